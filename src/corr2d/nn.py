"""`corr2d` for torch: tensors in, tensors out, with gradients; and the layer made of it.

The only module that imports torch. With y for the result, g for its gradient, I for the image with its border
and K for the kernel, ``sum(g * y)`` is linear in each of g, I and K. Its three derivatives are therefore
correlations again, and the derivatives of those are the same three: two `Function`s that name each other give
gradients of any order.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _engine
from .borders import MODES, Mode, Padding, Pads, resolve_mode, resolve_padding
from .correlate import corr2d, correlate
from .dtypes import as_image, as_weights, channels_first, result_dtype
from .planning import DIRECT, Algorithm
from .threads import resolve_threads, run_all

try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError(
        "corr2d.nn needs torch, which is not installed. Install it with `pip install torch`; "
        "the rest of corr2d works without it."
    ) from error

__all__ = ["Conv2D", "corr2d_tensor"]


def corr2d_tensor(
    image: Any,
    kernel: Any,
    *,
    padding: Padding = "valid",
    mode: Mode = "constant",
    cval: float = 0.0,
    channel_axis: int | None = None,
    dtype: Any = None,
    out: torch.Tensor | None = None,
    threads: int | None = None,
    algorithm: Algorithm = "auto",
) -> torch.Tensor:
    """Do what `corr2d` promises where `image` or `kernel` is a torch tensor: `corr2d` calls this by itself.

    Without gradients the tensors' memory is used as it is. With gradients, of `image`, of `kernel` or of
    both, the result has the same values, and gradients of any order go through the engine. The gradient of
    `kernel` is summed in float64 whatever the dtypes are: a float32 sum over a whole picture loses digits.

    Parameters
    ----------
    image : (..., h, w) tensor or array
        On the CPU, any real dtype; bfloat16 is read as float32.
    kernel : (kh, kw) tensor or array
        On the CPU; finite.
    padding, mode, cval, channel_axis, threads, algorithm
        As in `corr2d`. Gradients choose their own algorithm.
    dtype : torch or NumPy dtype, optional
        As in `corr2d`; not where gradients are wanted.
    out : (..., h', w') tensor, optional
        As in `corr2d`; not where gradients are wanted.

    Returns
    -------
    (..., h', w') tensor
        The dtype follows the rule of `corr2d`, by the dtype of `image` alone.

    Raises
    ------
    TypeError
        If a tensor is masked, sparse, quantized or complex, or `out` is not a tensor.
    ValueError
        If a tensor is not on the CPU, `dtype` or `out` is given where gradients are wanted, or for
        any reason that `corr2d` has.

    Examples
    --------
    >>> image = torch.arange(9.0).reshape(3, 3)
    >>> kernel = torch.tensor([[0.0, 1.0], [2.0, 3.0]], requires_grad=True)
    >>> corr2d(image, kernel).sum().backward()
    >>> kernel.grad
    tensor([[ 8., 12.],
            [20., 24.]])
    """
    pixels, weights = _as_array(image, "image"), _as_array(kernel, "kernel")
    if not _wants_gradient(image, kernel, out):
        return _without_gradient(
            pixels, weights, out, padding=padding, mode=mode, cval=cval, channel_axis=channel_axis,
            dtype=_numpy_dtype(dtype), threads=threads, algorithm=algorithm,
        )  # fmt: skip
    for name, value in (("dtype", dtype), ("out", out)):
        if value is not None:
            raise ValueError(
                f"`{name}` cannot be given where gradients are wanted. "
                f"Convert the result with .to(dtype), or pass image.detach() and kernel.detach()."
            )
    pixels, weights = as_image(pixels), as_weights(weights)
    channels_first(pixels, channel_axis, "image")  # the same refusals as without gradients
    pads = resolve_padding(padding, (weights.shape[0], weights.shape[1]))
    border = _Border(pads, resolve_mode(mode, cval, padding), cval)
    planes = _as_float_tensor(image, pixels)
    taps = kernel.to(torch.float64) if isinstance(kernel, torch.Tensor) else torch.from_numpy(weights.copy())
    if channel_axis is None:
        return _correlate(planes, taps, border, threads, algorithm)
    planes = planes.movedim(channel_axis, 0)
    return _correlate(planes, taps, border, threads, algorithm).movedim(0, channel_axis)


class Conv2D(torch.nn.Module):
    """The textbook's layer: ``corr2d(x, weight) + bias``, one kernel and one scalar, both learned.

    Unlike torch.nn.Conv2d it takes a bare picture as well as a batch, and the leading axes are nothing but a
    batch: the channels of a (n, c, h, w) tensor are filtered one by one by the one kernel, not mixed.

    Parameters
    ----------
    kernel_size : (kh, kw) or int
        An int means a square.

    Attributes
    ----------
    weight : (kh, kw) Parameter
        At first uniform in [0, 1), from torch's own generator.
    bias : (1,) Parameter
        At first 0.

    Raises
    ------
    TypeError
        If `kernel_size` is neither an int nor two.
    ValueError
        If a size is below 1. In a forward pass: whatever `corr2d` refuses, which includes weights that are
        NaN or infinite because the training has diverged.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> layer = Conv2D((1, 2))
    >>> layer
    Conv2D(kernel_size=(1, 2))
    >>> layer(torch.ones(6, 8)).shape, layer(torch.ones(10, 1, 6, 8)).shape
    (torch.Size([6, 7]), torch.Size([10, 1, 6, 7]))
    """

    def __init__(self, kernel_size: int | tuple[int, int]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(_resolve_kernel_size(kernel_size)))
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give ``corr2d(x, weight) + bias``.

        Parameters
        ----------
        x : (..., h, w) tensor
            Leading axes are a batch: (n, 1, h, w), as torch.nn.Conv2d takes it, works.

        Returns
        -------
        (..., h - kh + 1, w - kw + 1) tensor
        """
        return corr2d_tensor(x, self.weight) + self.bias

    def extra_repr(self) -> str:
        """Give what stands between the brackets of the layer's repr."""
        return f"kernel_size={tuple(self.weight.shape)}"


def _resolve_kernel_size(kernel_size: object) -> tuple[int, int]:
    sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if (
        not isinstance(sizes, tuple | list)
        or len(sizes) != 2
        or not all(isinstance(size, int) for size in sizes)
    ):
        raise TypeError(f"`kernel_size` must be an int or (kh, kw), got {kernel_size!r}.")
    if min(sizes) < 1:
        raise ValueError(f"`kernel_size` must be at least 1 each way, got {kernel_size!r}.")
    return sizes[0], sizes[1]


# Tensors and arrays


def _as_array(value: Any, name: str) -> Any:
    """Give the memory of a tensor as an array; leave anything else to `corr2d`'s own checks."""
    if not isinstance(value, torch.Tensor):
        return value
    if isinstance(value, torch.masked.MaskedTensor):
        raise TypeError(
            f"`{name}` is a MaskedTensor, whose mask would be ignored. Fill it first: {name}.to_tensor(nan)."
        )
    if value.layout != torch.strided or value.is_quantized:
        kind, way_out = ("quantized", "dequantize") if value.is_quantized else (f"{value.layout}", "to_dense")
        raise TypeError(
            f"`{name}` must be an ordinary dense tensor, got a {kind} one. Pass {name}.{way_out}()."
        )
    if value.device.type != "cpu":
        raise ValueError(f"`{name}` must be on the CPU, got device {value.device}. Pass {name}.cpu().")
    value = value.detach()
    if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
        value = value.float()  # NumPy has no bfloat16
    return value.resolve_conj().resolve_neg().numpy()


def _as_float_tensor(image: Any, pixels: NDArray[Any]) -> torch.Tensor:
    """Give `image` in the dtype of the result: a copy unless it is a tensor of that dtype already."""
    dtype = result_dtype(pixels.dtype, None)
    if not isinstance(image, torch.Tensor):
        return torch.from_numpy(np.array(pixels, dtype))
    return image.to(torch.float64 if dtype == np.float64 else torch.float32)


def _numpy_dtype(dtype: Any) -> Any:
    return torch.empty(0, dtype=dtype).numpy().dtype if isinstance(dtype, torch.dtype) else dtype


def _wants_gradient(*values: Any) -> bool:
    return torch.is_grad_enabled() and any(isinstance(v, torch.Tensor) and v.requires_grad for v in values)


def _without_gradient(image: Any, kernel: Any, out: torch.Tensor | None, **options: Any) -> torch.Tensor:
    if out is None:
        return torch.from_numpy(corr2d(image, kernel, **options))
    if not isinstance(out, torch.Tensor):
        raise TypeError(f"`out` must be a torch tensor, as `image` or `kernel` is, got {type(out).__name__}.")
    corr2d(image, kernel, out=_as_array(out, "out"), **options)
    # What autograd has saved of `out` is no longer there: without this it would go on with wrong numbers.
    torch.autograd.graph.increment_version(out)
    return out


# Borders


class _Border(NamedTuple):
    pads: Pads
    mode: int
    cval: float


_NO_BORDER = _Border(Pads(0, 0, 0, 0), MODES.index("constant"), 0.0)


def _positions(before: int, size: int, after: int, mode: str) -> torch.Tensor:
    """Say which of `size` pixels stands at each place of a padded row."""
    places = torch.arange(-before, size + after)
    if mode == "nearest":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    mirror = mode == "mirror"
    period = max(2 * size - 2, 1) if mirror else 2 * size
    places = places % period
    return torch.where(places < size, places, period - places if mirror else period - 1 - places)


def _add_border(image: torch.Tensor, border: _Border) -> torch.Tensor:
    pads, mode = border.pads, MODES[border.mode]
    if not any(pads):
        return image
    if mode == "constant":
        sides = (pads.left, pads.right, pads.top, pads.bottom)
        return torch.nn.functional.pad(image, sides, value=border.cval)
    rows = _positions(pads.top, image.shape[-2], pads.bottom, mode)
    columns = _positions(pads.left, image.shape[-1], pads.right, mode)
    return image.index_select(-2, rows).index_select(-1, columns)


def _fold_border(padded: torch.Tensor, border: _Border, shape: torch.Size) -> torch.Tensor:
    """Give each pixel of a `shape` image the sum of its copies: the transpose of `_add_border`."""
    pads, mode = border.pads, MODES[border.mode]
    h, w = shape[-2:]
    if not any(pads):
        return padded
    if mode == "constant":
        return padded[..., pads.top : pads.top + h, pads.left : pads.left + w]
    rows = _positions(pads.top, h, pads.bottom, mode)
    columns = _positions(pads.left, w, pads.right, mode)
    folded = padded.new_zeros((*padded.shape[:-1], w)).index_add(-1, columns, padded)
    return folded.new_zeros(shape).index_add(-2, rows, folded)


# Gradients


def _correlate(
    image: torch.Tensor,
    weights: torch.Tensor,
    border: _Border,
    threads: int | None,
    algorithm: Algorithm = "auto",
) -> torch.Tensor:
    result: torch.Tensor = _Correlate.apply(image, weights, border, threads, algorithm)  # type: ignore[no-untyped-call]  # torch's
    return result


class _Correlate(torch.autograd.Function):
    """The correlation of (..., h, w) float planes with (kh, kw) float64 weights, which need not be finite."""

    @staticmethod
    def forward(
        ctx: Any,
        image: torch.Tensor,
        weights: torch.Tensor,
        border: _Border,
        threads: int | None,
        algorithm: Algorithm,
    ) -> torch.Tensor:
        ctx.save_for_backward(image, weights)
        ctx.border, ctx.threads = border, threads
        result = correlate(
            image.detach().numpy(),
            np.ascontiguousarray(weights.detach().numpy()),
            border.pads,
            border=border.mode,
            cval=border.cval,
            # Not None: a batch of gradients may look like a colour picture (test_batch_of_narrow_gradients).
            channel_axis=0 if image.ndim > 2 else None,
            threads=threads,
            algorithm=algorithm,
        )
        return torch.from_numpy(result)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        image, weights = ctx.saved_tensors
        of_image = of_weights = None
        if ctx.needs_input_grad[0]:
            of_image = _image_gradient(gradient, weights, ctx.border, image.shape, ctx.threads)
        if ctx.needs_input_grad[1]:
            of_weights = _weights_gradient(image, gradient, ctx.border, weights.shape, ctx.threads)
        return of_image, of_weights, None, None, None


def _image_gradient(
    gradient: torch.Tensor, weights: torch.Tensor, border: _Border, shape: torch.Size, threads: int | None
) -> torch.Tensor:
    if gradient.numel() == 0:
        return gradient.new_zeros(shape)
    kh, kw = weights.shape
    everywhere = _NO_BORDER._replace(pads=Pads(kh - 1, kh - 1, kw - 1, kw - 1))
    padded = _correlate(gradient, weights.flip(0, 1), everywhere, threads)
    return _fold_border(padded, border, shape)


def _weights_gradient(
    image: torch.Tensor, gradient: torch.Tensor, border: _Border, shape: torch.Size, threads: int | None
) -> torch.Tensor:
    if gradient.numel() == 0:
        return gradient.new_zeros(shape, dtype=torch.float64)
    padded = _add_border(image, border)
    sums: torch.Tensor = _ProductSums.apply(padded, gradient, threads)  # type: ignore[no-untyped-call]  # torch's
    return sums


class _ProductSums(torch.autograd.Function):
    """The (kh, kw) float64 sums, over the batch, of `gradient` times the image shifted by (v, u)."""

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, gradient: torch.Tensor, threads: int | None) -> torch.Tensor:
        ctx.save_for_backward(image, gradient)
        ctx.threads = threads
        return torch.from_numpy(_product_sums(image.detach().numpy(), gradient.detach().numpy(), threads))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weights,) = gradients
        image, gradient = ctx.saved_tensors
        of_image = of_gradient = None
        if ctx.needs_input_grad[0]:
            of_image = _image_gradient(gradient, weights, _NO_BORDER, image.shape, ctx.threads)
        if ctx.needs_input_grad[1]:
            of_gradient = _correlate(image, weights, _NO_BORDER, ctx.threads)
        return of_image, of_gradient, None


# Rows x columns of the gradient that are one kernel for the engine: their window fits an L2 cache.
_BLOCK = (64, 512)
# A fixed number of sums, each over every 64th block, added in order: the same bits for any number of threads
# (test_threads_do_not_change_the_bits).
_SUMS = 64


def _product_sums(image: NDArray[Any], gradient: NDArray[Any], threads: int | None) -> NDArray[np.float64]:
    h, w = gradient.shape[-2:]
    kh, kw = image.shape[-2] - h + 1, image.shape[-1] - w + 1
    images, gradients = image.reshape(-1, *image.shape[-2:]), gradient.reshape(-1, h, w)
    blocks = [
        (plane, y, x)
        for plane in range(len(gradients))
        for y in range(0, h, _BLOCK[0])
        for x in range(0, w, _BLOCK[1])
    ]

    def add(first: int) -> NDArray[np.float64]:
        sums, block_sums = np.zeros((kh, kw)), np.empty((kh, kw))
        for plane, y, x in blocks[first::_SUMS]:
            factors = np.ascontiguousarray(gradients[plane, y : y + _BLOCK[0], x : x + _BLOCK[1]], np.float64)
            rows, columns = factors.shape
            window = images[plane, y : y + rows + kh - 1, x : x + columns + kw - 1]
            # Not corr2d: a NaN in the gradient belongs in the sums, where corr2d refuses it in a kernel.
            correlation = _engine.Correlation(
                window, factors, block_sums, 0, 0, 0, 0.0, 0.0, DIRECT, factors, factors, 0
            )
            correlation.run(0, kh)
            sums += block_sums
        return sums

    tasks = [partial(add, i) for i in range(min(len(blocks), _SUMS))]
    parts = run_all(tasks, resolve_threads(threads, gradient.size * kh * kw))
    return np.asarray(sum(parts, np.zeros((kh, kw))))
