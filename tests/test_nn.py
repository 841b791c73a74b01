"""corr2d on torch tensors, its gradients, and the layer."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from reference import both
from torch.autograd import gradcheck, gradgradcheck

from corr2d import Kernel, corr2d
from corr2d.borders import MODES, Pads
from corr2d.nn import Conv2D

PADDINGS = ["same", "full", 3, (0, 2, 1, 3)]  # each is wider than half the 3 x 4 images below: borders meet
KERNELS = [(1, 1), (2, 3), (3, 2)]
# Stride and dilation coprime, equal, with a common factor; strides larger than the kernels; other down than
# across.
STEPS = [
    {"stride": stride, "dilation": dilation}
    for stride, dilation in (
        (2, 1), (1, 2), (2, 3), (3, 2), (2, 2), (4, 6), (6, 4), (7, 1), (1, 4), ((1, 3), (2, 1)),
        ((4, 1), (2, 5)),
    )
]  # fmt: skip
MIXING = [(2, 3, 2, 3), (1, 2, 3, 2), (3, 1, 1, 2)]  # c_out, c_in, kh, kw
NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def rand(*shape, dtype=torch.float64, grad=False):
    return torch.randn(shape, dtype=dtype).requires_grad_(grad)


def image_for(kernel, step, batch=(), padding=0, spare=(1, 0)):
    """An image of 3 x 2 results, and of `spare` rows and columns more; padding by name comes on top."""
    (sy, sx), (dy, dx) = both(step["stride"]), both(step["dilation"])
    h, w = (kernel[-2] - 1) * dy + 1 + 2 * sy + spare[0], (kernel[-1] - 1) * dx + 1 + sx + spare[1]
    border = 2 * padding if isinstance(padding, int) else 0
    channels = kernel[1:2] if len(kernel) == 4 else ()
    return rand(*batch, *channels, max(h - border, 1), max(w - border, 1), grad=True)


def assert_derivatives(function, *arguments):
    """Hold the first and second derivatives against differences, along random directions."""
    assert gradcheck(function, arguments, fast_mode=True)
    assert gradgradcheck(function, arguments, fast_mode=True)


def steps(some=STEPS):
    return pytest.mark.parametrize(
        "step", some, ids=lambda step: f"stride {step['stride']} dilation {step['dilation']}"
    )


def run_python(code):
    """Run `code` in a fresh interpreter and give what it printed."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Values


@pytest.mark.parametrize("grad", [False, True])
def test_textbook_example_is_a_tensor(grad):
    image = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]], requires_grad=grad)
    result = corr2d(image, torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    assert isinstance(result, torch.Tensor)
    assert result.dtype == torch.float32
    assert result.requires_grad == grad
    assert result.tolist() == [[19, 25], [37, 43]]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("shape", [(9, 11), (5, 9, 11), (5, 1, 9, 11), (2, 3, 9, 11)])
def test_leading_axes_are_a_batch_and_each_equals_torch(shape, grad):
    image, kernel = rand(*shape, grad=grad), rand(3, 2)
    result = corr2d(image, kernel)
    expected = torch.nn.functional.conv2d(image.reshape(-1, 1, 9, 11), kernel[None, None])
    assert result.shape == (*shape[:-2], 7, 10)
    torch.testing.assert_close(result, expected.reshape(result.shape), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_gradients_do_not_change_the_values(padding, mode, dtype, tolerance):
    image, kernel = rand(2, 6, 7, dtype=dtype), rand(3, 4, dtype=dtype)
    cval = 0.5 if mode == "constant" else 0.0
    options = {"padding": padding, "mode": mode, "cval": cval}
    expected = corr2d(image.numpy(), kernel.numpy(), **options)
    for grad in (False, True):
        result = corr2d(image.requires_grad_(grad), kernel, **options)
        np.testing.assert_allclose(result.detach(), expected, rtol=0, atol=tolerance * np.abs(expected).max())


SMALL = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int16,
    torch.float16,
    torch.bfloat16,
    torch.float32,
]
WIDE = [torch.int32, torch.uint32, torch.int64, torch.uint64, torch.float64]


@pytest.mark.parametrize("dtype", SMALL + WIDE)
@pytest.mark.parametrize("grad", [False, True])
def test_dtype_of_the_result_follows_the_image(dtype, grad):
    image = (10 * torch.rand(4, 5)).to(torch.uint8).to(dtype)
    kernel = torch.ones(2, 2, dtype=torch.float64, requires_grad=grad)
    result = corr2d(image, kernel)
    assert result.dtype == (torch.float64 if dtype in WIDE else torch.float32)
    pixels = image.to(torch.float64)
    expected = pixels[1:, 1:] + pixels[1:, :-1] + pixels[:-1, 1:] + pixels[:-1, :-1]
    assert result.tolist() == expected.tolist()
    if grad:
        result.sum().backward()
        assert kernel.grad.tolist() == corr2d(pixels, torch.ones(3, 4)).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gradients_have_the_dtype_of_their_argument(dtype):
    image, kernel = rand(5, 6, dtype=dtype, grad=True), rand(2, 2, dtype=dtype, grad=True)
    corr2d(image, kernel).sum().backward()
    assert image.grad.dtype == kernel.grad.dtype == dtype


def test_one_argument_may_be_an_array():
    image, kernel = rand(5, 6), rand(2, 3)
    expected = corr2d(image.numpy(), kernel.numpy())
    frozen = image.numpy()[::-1, ::-1].copy()[::-1, ::-1]
    frozen.flags.writeable = False  # negative strides and read-only: torch takes neither
    for grad in (False, True):
        for mixed in (
            corr2d(image.requires_grad_(grad), kernel.numpy()),
            corr2d(image, kernel.tolist()),
            corr2d(frozen.astype(">f8"), kernel.requires_grad_(grad)),
            corr2d(frozen, kernel),
        ):
            assert isinstance(mixed, torch.Tensor)
            assert mixed.detach().numpy().tobytes() == expected.tobytes()
        image.requires_grad_(False)
        kernel.requires_grad_(False)


def test_non_contiguous_tensors():
    image = rand(12, 7, 3).permute(2, 1, 0)[:, ::2].requires_grad_()
    kernel = rand(2, 3).T.requires_grad_()
    assert not image.is_contiguous()
    assert not kernel.is_contiguous()
    plain = [t.detach().contiguous().requires_grad_() for t in (image, kernel)]
    options = {"padding": "same", "mode": "wrap"}
    result, expected = corr2d(image, kernel, **options), corr2d(*plain, **options)
    assert torch.equal(result, expected)
    weights = torch.rand(1).expand(result.shape)  # strides 0, as .sum().backward() gives
    for ours, theirs in zip(
        torch.autograd.grad(result, (image, kernel), weights),
        torch.autograd.grad(expected, plain, weights.contiguous()),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_channel_axis_stays_where_it_is(axis, grad):
    planes = rand(3, 8, 9, grad=grad)
    kernel = rand(3, 3)
    result = corr2d(planes.movedim(0, axis), kernel, channel_axis=axis, padding="same", mode="mirror")
    expected = torch.stack([corr2d(plane, kernel, padding="same", mode="mirror") for plane in planes])
    assert torch.equal(result, expected.movedim(0, axis))


def test_channel_axis_gradients():
    image, kernel = rand(4, 5, 3, grad=True), rand(2, 3, grad=True)
    assert gradcheck(lambda i, k: corr2d(i, k, channel_axis=-1, padding="same"), (image, kernel))


@pytest.mark.parametrize("kernel", [*KERNELS, *MIXING], ids=str)
@steps()
def test_gradients_do_not_change_the_values_of_any_step(step, kernel):
    weights = rand(*kernel)
    for options in ({}, {"padding": "same", "mode": "mirror"}, {"padding": (1, 0, 2, 3), "cval": 0.5}):
        for batch in ((), (2,), (2, 1)):
            image = image_for(kernel, step, batch).detach()
            expected = corr2d(image.numpy(), weights.numpy(), **options, **step)
            for grad in (False, True):
                result = corr2d(image.clone().requires_grad_(grad), weights, **options, **step)
                assert result.requires_grad == grad
                np.testing.assert_array_equal(result.detach(), expected)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2])
def test_channels_are_mixed_on_any_axis(axis, grad):
    image, kernel = rand(2, 3, 9, 8), rand(5, 3, 2, 2)
    image.requires_grad_(grad)
    expected = corr2d(image.detach().numpy(), kernel.numpy(), stride=2)
    result = corr2d(image.movedim(-3, axis), kernel, channel_axis=axis, stride=2)
    assert result.requires_grad == grad
    np.testing.assert_array_equal(result.movedim(axis, -3).detach(), expected)


@pytest.mark.parametrize("axis", [-1, 0])
def test_gradients_of_channels_on_any_axis(axis):
    image, kernel = (
        rand(2, 3, 6, 5).movedim(-3, axis).contiguous().requires_grad_(),
        rand(2, 3, 2, 2, grad=True),
    )
    assert_derivatives(partial(corr2d, channel_axis=axis, padding="same", dilation=2), image, kernel)


def test_without_gradients_dtype_and_out_work():
    image, kernel = (200 * torch.rand(6, 7)).to(torch.uint8), torch.ones(2, 2)
    expected = corr2d(image.numpy(), kernel.numpy(), dtype=np.uint8)
    assert expected.max() == 255
    for dtype in (torch.uint8, np.uint8, "u1"):
        result = corr2d(image, kernel, dtype=dtype)
        assert result.dtype == torch.uint8
        assert result.tolist() == expected.tolist()
    out = torch.zeros(5, 6, dtype=torch.uint8)
    assert corr2d(image, kernel, out=out) is out
    assert out.tolist() == expected.tolist()


def test_no_grad_is_the_way_without_gradients():
    image, kernel = rand(5, 5, grad=True), rand(2, 2, grad=True)
    with torch.no_grad():
        result = corr2d(image, kernel, dtype=torch.float32)
    assert not result.requires_grad


def test_writing_to_out_is_seen_by_autograd():
    factor = rand(2, 2, grad=True)
    out = rand(2, 2)
    product = (factor * out).sum()
    corr2d(rand(3, 3), rand(2, 2), out=out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


# Gradients


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_valid(kernel):
    arguments = rand(2, 3, 4, grad=True), rand(*kernel, grad=True)
    assert gradcheck(corr2d, arguments)
    assert gradgradcheck(corr2d, arguments)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS, ids=str)
def test_gradients_of_every_border(padding, mode, kernel):
    options = {"padding": padding, "mode": mode, "cval": 0.5 if mode == "constant" else 0.0}
    assert_derivatives(partial(corr2d, **options), rand(3, 4, grad=True), rand(*kernel, grad=True))


BORDERS = [
    {},
    {"padding": 3, "cval": 0.5},
    {"padding": "same", "mode": "mirror"},
    {"padding": "full", "mode": "wrap"},
]


@pytest.mark.parametrize("first", range(len(STEPS)), ids=lambda i: f"{STEPS[i]}")
@pytest.mark.parametrize(("nth", "kernel"), list(enumerate([*KERNELS[1:], *MIXING])), ids=str)
def test_gradients_of_every_step(nth, kernel, first):
    # Each step meets each kernel, and each of both each border.
    step, options = STEPS[first], BORDERS[(first + nth) % len(BORDERS)]
    image = image_for(kernel, step, (2,), options.get("padding", 0))
    assert_derivatives(partial(corr2d, **options, **step), image, rand(*kernel, grad=True))


@pytest.mark.parametrize("mode", MODES[1:])
@steps([STEPS[3], STEPS[-1]])
def test_gradients_of_steps_at_every_border(step, mode):
    for kernel in (KERNELS[1], MIXING[0]):
        options = {"padding": (5, 4, 0, 6), "mode": mode, **step}
        image = rand(*kernel[1:-2], 4, 5, grad=True)
        assert_derivatives(partial(corr2d, **options), image, rand(*kernel, grad=True))


@pytest.mark.parametrize("kernel", [KERNELS[2], MIXING[0]], ids=str)
@steps([STEPS[3], STEPS[5]])
def test_third_derivatives(step, kernel):
    def first(image, kernel):
        return torch.autograd.grad(
            corr2d(image, kernel, **step).pow(3).sum(), (image, kernel), create_graph=True
        )

    assert_derivatives(first, image_for(kernel, step), rand(*kernel, grad=True))


@pytest.mark.parametrize("kernel", [(1, 1, 1, 1), (1, 1, 2, 3), (4, 3, 3, 2)], ids=str)
@steps()
def test_gradients_equal_torch(step, kernel):
    # Of every number of rows and columns at the end that no window reaches.
    for spare in range(max(both(step["stride"]))):
        image, weights = image_for(kernel, step, (2,), spare=(spare, spare)), rand(*kernel, grad=True)
        expected = torch.nn.functional.conv2d(image, weights, **step)
        result = corr2d(image, weights, **step)
        gradient = rand(*expected.shape)
        for ours, theirs in zip(
            torch.autograd.grad(result, (image, weights), gradient),
            torch.autograd.grad(expected, (image, weights), gradient),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_pixels_that_no_window_reaches_have_no_gradient():
    image, kernel = rand(10, 12, grad=True), torch.ones(2, 2, dtype=torch.float64)
    corr2d(image, kernel, stride=(5, 4), dilation=(1, 2)).sum().backward()
    rows, columns = torch.zeros(10), torch.zeros(12)
    rows[[0, 1, 5, 6]] = 1
    columns[[0, 2, 4, 6, 8, 10]] = 1
    assert image.grad.tolist() == torch.outer(rows, columns).tolist()


@pytest.mark.parametrize("mode", MODES)
def test_gradients_where_the_border_is_longer_than_the_image(mode):
    arguments = rand(1, 2, grad=True), rand(2, 2, grad=True)
    assert gradcheck(lambda i, k: corr2d(i, k, padding=(4, 3, 5, 6), mode=mode), arguments)


@pytest.mark.parametrize("step", [{"stride": 1, "dilation": 1}, STEPS[2], STEPS[-1]], ids=str)
@pytest.mark.parametrize("shape", [(150, 1030), (70, 30, 19), (300, 3, 70, 27), (2, 3, 170, 20)], ids=str)
def test_weight_gradient_is_whole_across_blocks(shape, step, monkeypatch):
    # The third is cut into more blocks than there are sums, and the last of them is smaller than the others.
    monkeypatch.setattr("corr2d.nn._BLOCK", (40, 256))
    (sy, sx), (dy, dx) = both(step["stride"]), both(step["dilation"])
    image, kernel = rand(*shape), rand(*((2, 3) if len(shape) == 4 else ()), 3, 2, grad=True)
    result = corr2d(image, kernel, **step)
    gradient = rand(*result.shape)
    (ours,) = torch.autograd.grad(result, kernel, gradient)
    h, w = gradient.shape[-2:]
    for v in range(3):
        for u in range(2):
            pixels = image[..., v * dy :: sy, u * dx :: sx][..., :h, :w]
            if len(shape) < 4:
                expected = (gradient * pixels).sum()
            else:
                expected = torch.einsum("nohw,nihw->oi", gradient, pixels)
            torch.testing.assert_close(ours[..., v, u], expected, rtol=1e-12, atol=1e-10)


def test_float32_weight_gradient_keeps_its_digits():
    image = 1000 + torch.rand(512, 512)
    kernel = torch.ones(3, 3, requires_grad=True)
    (ours,) = torch.autograd.grad(corr2d(image, kernel).sum(), kernel)
    pixels = image.double()
    expected = torch.stack(
        [pixels[v : v + 510, u : u + 510].sum() for v in range(3) for u in range(3)]
    ).reshape(3, 3)
    assert ours.dtype == torch.float32
    assert ((ours.double() - expected) / expected).abs().max() < 6e-8  # one rounding to float32


@pytest.mark.parametrize(("of_image", "of_kernel"), [(True, False), (False, True)])
def test_gradient_of_one_argument_only(of_image, of_kernel):
    image, kernel = rand(5, 6, grad=of_image), rand(2, 3, grad=of_kernel)
    both = [t.detach().clone().requires_grad_() for t in (image, kernel)]
    corr2d(image, kernel).square().sum().backward()
    corr2d(*both).square().sum().backward()
    for alone, together, wanted in zip((image, kernel), both, (of_image, of_kernel), strict=True):
        if wanted:
            assert torch.equal(alone.grad, together.grad)
        else:
            assert alone.grad is None


def test_nan_in_the_image_reaches_what_it_touches_and_raises_nowhere():
    image = rand(6, 7)
    image[0, 0] = NAN
    image.requires_grad_()
    kernel = rand(2, 2, grad=True)
    result = corr2d(image, kernel)
    assert result.isnan().sum() == 1
    result.square().sum().backward()
    assert kernel.grad.isnan().all()
    touched = torch.zeros(6, 7, dtype=torch.bool)
    touched[:2, :2] = True  # the pixels of the one window that holds the NaN
    assert torch.equal(image.grad.isnan(), touched)


@pytest.mark.parametrize("kernel", [(3, 2), (2, 3, 3, 2)], ids=str)
@steps()
def test_nan_in_the_gradient_reaches_what_its_window_sees(step, kernel):
    image, weights = image_for(kernel, step), rand(*kernel, grad=True)
    (sy, sx), (dy, dx) = both(step["stride"]), both(step["dilation"])
    result = corr2d(image, weights, **step)
    for value in (NAN, INF):
        gradient = torch.ones_like(result)
        gradient[..., 1, 1] = value
        of_image, of_kernel = torch.autograd.grad(result, (image, weights), gradient, retain_graph=True)
        touched = torch.zeros(image.shape, dtype=torch.bool)
        touched[..., sy : sy + 2 * dy + 1 : dy, sx : sx + dx + 1 : dx] = True
        assert torch.equal(~of_image.isfinite(), touched)
        assert not of_kernel.isfinite().any()


def test_nan_of_one_kernel_stays_in_its_channels():
    # As the gradient of a gradient: stride as large as the kernel, so that no zeros beyond the edge are met.
    image, kernel = rand(3, 8, 9, grad=True), rand(2, 3, 2, 3, grad=True)
    result = corr2d(image, kernel, stride=(2, 3))
    gradient = torch.rand_like(result, requires_grad=True)
    (of_kernel,) = torch.autograd.grad(result, kernel, gradient, create_graph=True)
    weights = torch.ones_like(kernel)
    weights[1, 2, 0, 1] = NAN
    of_image, of_gradient = torch.autograd.grad(of_kernel, (image, gradient), weights)
    touched = torch.zeros(image.shape, dtype=torch.bool)
    touched[2, ::2, 1::3] = True
    assert torch.equal(of_image.isnan(), touched)
    assert of_gradient.isnan().flatten(1).all(1).tolist() == [False, True]
    assert of_gradient[0].isfinite().all()


def test_infinite_weights_of_a_gradient_stay_infinite():
    # Of a size for which another way than the direct one would be taken.
    image, kernel = torch.rand(200, 200).requires_grad_(), torch.rand(16, 16).requires_grad_()
    result = corr2d(image, kernel)
    gradient = torch.rand_like(result).requires_grad_()
    (of_kernel,) = torch.autograd.grad(result, kernel, gradient, create_graph=True)
    weights = torch.ones_like(kernel)
    weights[3, 5] = INF
    of_image, of_gradient = torch.autograd.grad(of_kernel, (image, gradient), weights)
    assert (of_gradient == INF).all()
    assert (of_image[15:-15, 15:-15] == INF).all()


def test_nan_in_the_gradient_of_a_gradient_does_not_raise():
    image, kernel = rand(4, 4, grad=True), rand(2, 2, grad=True)
    (of_kernel,) = torch.autograd.grad(corr2d(image, kernel).square().sum(), kernel, create_graph=True)
    (second,) = torch.autograd.grad(of_kernel, image, torch.full((2, 2), NAN))
    assert second.isnan().all()


def test_batch_of_narrow_gradients():
    image, kernel = (
        rand(8, 9, 5, grad=True),
        rand(2, 2, grad=True),
    )  # results are 8 x 8 x 4, like a colour picture
    corr2d(image, kernel).sum().backward()
    assert image.grad[:, 1:-1, 1:-1] == pytest.approx(kernel.detach().sum().expand(8, 7, 3))
    # With its border the image is 5 x 7 x 4: in second derivatives it is correlated again.
    assert_derivatives(partial(corr2d, padding=1), rand(5, 5, 2, grad=True), kernel)


def test_a_gradient_that_is_a_negated_view():
    pair, kernel = torch.randn(2, 5, 6, dtype=torch.complex128), rand(2, 2, grad=True)
    image = pair[0].requires_grad_().conj().imag  # PyTorch's lazy minus sign
    assert image.is_neg()
    result = corr2d(image, kernel)
    (ours,) = torch.autograd.grad(result, kernel, pair[1, :4, :5].conj().imag)
    (expected,) = torch.autograd.grad(
        corr2d(-pair[0].detach().imag.clone(), kernel), kernel, -pair[1, :4, :5].imag.clone()
    )
    assert torch.equal(ours, expected)


@pytest.mark.parametrize("step", [{}, STEPS[3]], ids=str)
@pytest.mark.parametrize("channels", [(), (2, 4)], ids=str)
def test_empty_batch_and_empty_image(channels, step):
    for shape, padding in (((0, 4, 5), "valid"), ((0, 5), "same"), ((3, 4, 0), "same")):
        shape = (*shape[:-2], *channels[1:], *shape[-2:])
        for mode in ("constant", "wrap") if padding == "same" else ("constant",):
            image, kernel = rand(*shape, grad=True), rand(*channels, 2, 2, grad=True)
            result = corr2d(image, kernel, padding=padding, mode=mode, **step)
            assert result.numel() == 0
            result.sum().backward()
            assert image.grad.shape == shape
            assert kernel.grad.shape == kernel.shape
            assert not kernel.grad.any()


@pytest.mark.parametrize("step", [{}, STEPS[3]], ids=str)
@pytest.mark.parametrize(("batch", "kernel"), [((3,), (5, 4)), ((2, 2), (3, 2, 3, 2))])
def test_threads_do_not_change_the_bits(batch, kernel, step):
    image, kernel = rand(*batch, 300, 500, dtype=torch.float32), rand(*kernel, dtype=torch.float32)
    seen = set()
    for threads in (1, 2, 5, None):
        arguments = [t.clone().requires_grad_() for t in (image, kernel)]
        result = corr2d(*arguments, padding="same", mode="mirror", threads=threads, **step)
        gradients = torch.autograd.grad(result.square().sum(), arguments)
        seen.add(b"".join(t.detach().numpy().tobytes() for t in (result, *gradients)))
    assert len(seen) == 1


def test_order_of_the_bands_does_not_change_the_bits(monkeypatch):
    def gradient():
        torch.manual_seed(0)
        image, kernel = rand(3, 300, 700), rand(2, 2, grad=True)
        return torch.autograd.grad(corr2d(image, kernel).square().sum(), kernel)[0]

    def run_backwards(tasks, _threads):
        return [task() for task in reversed(tasks)][::-1]

    forwards = gradient()
    monkeypatch.setattr("corr2d.nn.run_all", run_backwards)
    assert torch.equal(forwards, gradient())


def test_inputs_are_left_alone():
    image, kernel = rand(5, 6, grad=True), rand(2, 3, grad=True)
    before = image.detach().clone(), kernel.detach().clone()
    corr2d(image, kernel, padding="full", mode="reflect").square().sum().backward()
    assert torch.equal(image.detach(), before[0])
    assert torch.equal(kernel.detach(), before[1])


# Refusals


@pytest.mark.parametrize(("option", "value"), [("dtype", torch.float64), ("out", torch.zeros(4, 5))])
def test_options_that_gradients_cannot_pass_are_refused(option, value):
    image, kernel = rand(5, 6, grad=True), rand(2, 2)
    with pytest.raises(ValueError, match=rf"`{option}` cannot be given where gradients are wanted") as caught:
        corr2d(image, kernel, **{option: value})
    assert str(caught.value).endswith(
        "Convert the result with .to(dtype), or pass image.detach() and kernel.detach()."
    )


def test_out_that_wants_gradients_is_refused():
    with pytest.raises(ValueError, match="`out` cannot be given where gradients are wanted"):
        corr2d(rand(5, 6), rand(2, 2), out=torch.zeros(4, 5, dtype=torch.float64, requires_grad=True))


def test_out_must_be_a_tensor():
    with pytest.raises(
        TypeError, match="`out` must be a torch tensor, as `image` or `kernel` is, got ndarray"
    ):
        corr2d(rand(5, 6), rand(2, 2), out=np.zeros((4, 5)))


@pytest.mark.parametrize(
    ("image", "kernel", "options"),
    [
        (torch.ones(3), torch.ones(1, 1), {}),
        (torch.ones(3, 3), torch.ones(2), {}),
        (torch.ones(3, 3), torch.ones(1, 1, 2, 2), {}),
        (torch.ones(3, 3), torch.ones(1, 2, 2), {}),
        (torch.ones(3, 3), torch.ones(0, 1, 2, 2), {}),
        (torch.ones(3, 9, 9), torch.ones(1, 2, 2, 2), {}),
        (torch.ones(9, 9, 3), torch.ones(1, 3, 2, 2), {}),
        (torch.ones(9, 9, 3), torch.ones(1, 3, 2, 2), {"channel_axis": 3}),
        (torch.ones(9, 9, 3), torch.ones(1, 3, 2, 2), {"channel_axis": 1.0}),
        (torch.ones(9, 9, 3), torch.ones(1, 3, 9, 9), {"channel_axis": -1, "dilation": 2}),
        (torch.ones(0, 8, 3), torch.ones(2, 2), {"channel_axis": -1}),
        (torch.ones(0, 8, 3), torch.ones(1, 3, 2, 2), {"channel_axis": -1, "padding": "full"}),
        (torch.ones(3, 3), torch.ones(2, 2), {"stride": 0}),
        (torch.ones(3, 3), torch.ones(2, 2), {"stride": 1.5}),
        (torch.ones(3, 3), torch.ones(2, 2), {"dilation": (1, 0)}),
        (torch.ones(3, 3), torch.ones(2, 2), {"dilation": (1, 2, 3)}),
        (torch.ones(3, 3), torch.ones(2, 2), {"dilation": 3}),
        (torch.ones(3, 3), torch.tensor([[NAN]]), {}),
        (torch.ones(3, 3), torch.ones(4, 4), {}),
        (torch.ones(0, 3), torch.ones(2, 2), {}),
        (torch.ones(9, 9, 3), torch.ones(2, 2), {}),
        (torch.ones(9, 9, 3), torch.ones(2, 2), {"channel_axis": 3}),
        (torch.ones(3, 3), torch.ones(2, 2), {"channel_axis": 0}),
        (torch.ones(3, 3), torch.ones(2, 2), {"mode": "wrap"}),
        (torch.ones(3, 3), torch.ones(2, 2), {"padding": "same", "mode": "symmetric"}),
        (torch.ones(3, 3), torch.ones(2, 2), {"padding": "half"}),
        (torch.ones(3, 3), torch.ones(2, 2), {"padding": -1}),
        (torch.ones(3, 3), torch.ones(2, 2), {"threads": 0}),
        (torch.ones(3, 3, dtype=torch.complex64), torch.ones(2, 2), {}),
        (torch.ones(3, 3), torch.ones(2, 2, dtype=torch.complex64), {}),
    ],
)
def test_gradients_refuse_what_arrays_refuse_in_the_same_words(image, kernel, options):
    with pytest.raises((TypeError, ValueError)) as expected:
        corr2d(image.numpy(), kernel.numpy(), **options)
    for grad in (False, True):
        with pytest.raises(expected.type) as caught:
            corr2d(image.requires_grad_(grad), kernel, **options)
        assert str(caught.value) == str(expected.value)


def test_tensors_elsewhere_are_refused():
    with pytest.raises(
        ValueError, match=r"^`image` must be on the CPU, got device meta. Pass image.cpu\(\).$"
    ):
        corr2d(torch.ones(3, 3, device="meta"), torch.ones(2, 2))
    with pytest.raises(
        ValueError, match=r"^`kernel` must be on the CPU, got device meta. Pass kernel.cpu\(\).$"
    ):
        corr2d(torch.ones(3, 3), torch.ones(2, 2, device="meta"))


def test_sparse_tensors_are_refused():
    with pytest.raises(TypeError, match=r"must be an ordinary dense tensor, .* Pass image.to_dense\(\)"):
        corr2d(torch.eye(4).to_sparse(), torch.ones(2, 2))


@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors is in prototype stage:UserWarning")
def test_masked_tensors_are_refused():
    image = torch.masked.masked_tensor(torch.ones(4, 4), torch.eye(4, dtype=torch.bool))
    with pytest.raises(TypeError, match="whose mask would be ignored"):
        corr2d(image, torch.ones(2, 2))


# The layer


def test_layer_is_corr2d_plus_bias():
    layer = Conv2D((2, 3))
    with torch.no_grad():
        layer.bias.fill_(0.25)
    for shape in ((6, 8), (5, 1, 6, 8)):
        image = torch.rand(shape)
        assert torch.equal(layer(image), corr2d(image, layer.weight) + 0.25)
        assert layer(image).shape == (*shape[:-2], 5, 6)


def test_layer_starts_as_in_the_chapter():
    layer = Conv2D((40, 50))
    assert layer.weight.shape == (40, 50)
    assert 0 <= layer.weight.min() < 0.01
    assert 0.99 < layer.weight.max() < 1
    assert layer.bias.tolist() == [0]
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_kernel_size_may_be_an_int():
    assert Conv2D(3).weight.shape == (3, 3)
    assert repr(Conv2D(3)) == "Conv2D(kernel_size=(3, 3))"


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (0, ValueError),
        ((1, 0), ValueError),
        ((-1, 2), ValueError),
        ((1, 2, 3), TypeError),
        (2.0, TypeError),
        ("3", TypeError),
    ],
)
def test_kernel_size_is_checked(size, error):
    with pytest.raises(error, match="`kernel_size` must be"):
        Conv2D(size)


def test_state_dict_round_trips():
    layer, other = Conv2D((2, 3)), Conv2D((2, 3))
    image = torch.rand(5, 5)
    assert not torch.equal(layer(image), other(image))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(image), other(image))


def test_training_finds_kernel_and_bias():
    image, wanted = torch.randn(4, 1, 16, 16), torch.tensor([[1.0, -2.0, 0.5]])
    target = corr2d(image, wanted) + 3
    layer = Conv2D((1, 3))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        (layer(image) - target).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), wanted, rtol=0, atol=1e-5)
    assert layer.bias.item() == pytest.approx(3, abs=1e-5)


def test_two_successive_layers_learn():
    image = torch.randn(4, 1, 16, 16)
    target = corr2d(corr2d(image, torch.tensor([[1.0, -1.0]])), torch.tensor([[1.0], [1.0]]))
    net = torch.nn.Sequential(Conv2D((1, 2)), Conv2D((2, 1)))
    before = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = (net(image) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-4 * losses[0]
    assert not any(
        torch.equal(old, new) for old, new in zip(before[::2], list(net.parameters())[::2], strict=True)
    )


def test_diverged_layer_says_so():
    layer = Conv2D((1, 2))
    with torch.no_grad():
        layer.weight.fill_(NAN)
    with pytest.raises(ValueError, match="`kernel` must be finite, got 2 NaN or infinite weights"):
        layer(torch.ones(3, 3))


# Without torch


def test_torch_is_not_imported_unless_asked_for():
    assert run_python(
        "import sys, corr2d; print(corr2d.corr2d([[1., 2.]], [[1.]]).tolist(), 'torch' in sys.modules)"
    ) == ("[[1.0, 2.0]] False\n")


def test_works_where_torch_is_missing():
    printed = run_python("""
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
import corr2d
print(corr2d.corr2d([[1., 2.]], [[1.]]).tolist())
try:
    import corr2d.nn
except ImportError as error:
    print(error)
""")
    assert printed.splitlines() == [
        "[[1.0, 2.0]]",
        "corr2d.nn needs torch, which is not installed. Install it with `pip install torch`; "
        "the rest of corr2d works without it.",
    ]


# A kernel whose origin lies outside of it: negative pads


@pytest.mark.parametrize("mode", ["constant", "reflect", "mirror", "nearest", "wrap"])
@pytest.mark.parametrize("origin", [(-2, 5), (9, -8), (-30, 40)])
def test_a_shifted_kernel_gives_tensors_what_it_gives_arrays(origin, mode):
    kernel = Kernel(np.random.default_rng(0).standard_normal((3, 2)), bias=0.5, origin=origin)
    image = np.random.default_rng(1).standard_normal((6, 7))
    options = {"padding": "same", "mode": mode, "cval": 2.0 if mode == "constant" else 0.0, "stride": (1, 2)}
    expected = kernel(image, **options)
    leaf = torch.tensor(image, requires_grad=True)
    for tensor in (torch.tensor(image), leaf):
        result = kernel(tensor, **options).detach().numpy()
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-14)  # the bias is added afterwards
    kernel_of = torch.tensor(kernel.weights, requires_grad=True)
    pads = Pads(origin[0], 2 - origin[0], origin[1], 1 - origin[1])

    def shifted(image, weights):
        return corr2d(image, weights, **options | {"padding": pads})

    assert gradcheck(shifted, (leaf, kernel_of))
    assert gradgradcheck(shifted, (leaf, kernel_of))
