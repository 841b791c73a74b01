"""Kernels that vary across the picture."""

import json

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from corr2d import Moments, VaryingKernel, corr2d, learn, learn_varying

POWERS = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)]
COUNT = {1: 3, 2: 6, 3: 10}


def monomials(degree, shape):
    y = ((2 * np.arange(shape[0]) + 1) / shape[0] - 1)[:, None]
    x = ((2 * np.arange(shape[1]) + 1) / shape[1] - 1)[None, :]
    return np.array([y**i * x**j for i, j in POWERS[: COUNT[degree]]])


def varying_pair(degree, size, *, seed=0, shape=(70, 80), offset=0.0, padding="same"):
    rng = np.random.default_rng(seed)
    kernels = rng.normal(size=(COUNT[degree], *size))
    x = rng.normal(size=shape) * 50 + offset
    planes = np.array([corr2d(x, k, padding=padding) for k in kernels])
    return x, (monomials(degree, planes.shape[1:]) * planes).sum(axis=0), kernels


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (4, 5)], ids=str)
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_kernel_comes_back_and_makes_after_again(degree, size, padding):
    x, y, kernels = varying_pair(degree, size, padding=padding)
    k = learn_varying(x, y, degree=degree, size=size)
    np.testing.assert_allclose(k.weights, kernels, atol=1e-10)
    np.testing.assert_allclose(k.levels, 0, atol=1e-8)
    if padding == "valid":
        np.testing.assert_allclose(k(x), y, atol=1e-8)
    else:
        top, left = size[0] // 2, size[1] // 2
        inside = slice(top, top + 71 - size[0]), slice(left, left + 81 - size[1])
        np.testing.assert_allclose(k(x, padding="same", mode="wrap")[inside], y[inside], atol=1e-8)
        np.testing.assert_allclose(k(x), y[inside], atol=1e-8)
    at = k.at(5, 60)
    values = monomials(degree, y.shape)[:, 5, 60]
    np.testing.assert_allclose(at.weights, np.tensordot(values, kernels, 1), atol=1e-10)


def test_offsets_stay_in_the_level():
    x, y, kernels = varying_pair(1, (3, 3), offset=1e4)
    k = learn_varying(x, y + 7, size=3)
    np.testing.assert_allclose(k.weights, kernels, atol=1e-8)
    assert k.at(35, 40).bias == pytest.approx(7, abs=1e-3)


def test_figures_agree_with_an_explicit_fit():
    x, y, _ = varying_pair(2, (3, 2), shape=(40, 44), padding="valid")
    y = y + np.random.default_rng(1).normal(size=y.shape)
    where = np.random.default_rng(2).random(y.shape) < 0.8
    k = learn_varying(x, y, degree=2, where=where)
    terms = monomials(2, y.shape).reshape(6, -1).T
    windows = sliding_window_view(x, (3, 2)).reshape(y.size, 6)
    matrix = np.column_stack([(terms[:, :, None] * windows[:, None, :]).reshape(y.size, 36), terms])[
        where.ravel()
    ]
    solution, *_ = np.linalg.lstsq(matrix, y[where], rcond=None)
    rest = y[where] - matrix @ solution
    variance = rest @ rest / (len(rest) - 42)
    np.testing.assert_allclose(k.weights.ravel(), solution[:36], atol=1e-9)
    np.testing.assert_allclose(k.levels, solution[36:], atol=1e-9)
    assert k.noise == pytest.approx(np.sqrt(variance))
    assert k.used == where.sum()
    covariance = (variance * np.linalg.inv(matrix.T @ matrix))[:36, :36].reshape(6, 6, 6, 6)
    values = monomials(2, y.shape)[:, 30, 3]
    expected = np.sqrt(np.einsum("kala,k,l->a", covariance, values, values)).reshape(3, 2)
    np.testing.assert_allclose(k.at(30, 3).stderr, expected, rtol=1e-8)


def test_moments_of_frames_add_up():
    frames = [varying_pair(1, (3, 3), seed=0, offset=offset)[:2] for offset in (0.0, 300.0)]
    parts = [Moments.of(*frame, size=3, varying=1) for frame in frames]
    assert parts[0].center != parts[1].center
    kernels = varying_pair(1, (3, 3), seed=0)[2]
    for total in (parts[0] + parts[1], parts[1] + parts[0]):
        found = VaryingKernel.of(total)
        np.testing.assert_allclose(found.weights, kernels, atol=1e-9)
        np.testing.assert_allclose(found.levels, 0, atol=1e-6)


def test_saved_moments_give_the_same_kernel(tmp_path):
    x, y, _ = varying_pair(2, (3, 3))
    moments = Moments.of(x, y, size=3, varying=2)
    moments.save(tmp_path / "m.safetensors")
    loaded = VaryingKernel.of(Moments.load(tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(loaded.weights, VaryingKernel.of(moments).weights)


def test_a_blur_that_grows_to_the_right_is_better_followed():
    x = np.random.default_rng(0).integers(20, 236, (120, 160)).astype(np.uint8)
    sharp, soft = np.zeros((3, 3)), np.full((3, 3), 1 / 9)
    sharp[1, 1] = 1
    share = np.linspace(0, 1, 160)
    y = np.rint(corr2d(x, sharp, padding="same") * (1 - share) + corr2d(x, soft, padding="same") * share)
    fixed, k = learn(x, y.astype(np.uint8), size=3), learn_varying(x, y.astype(np.uint8), size=3)
    assert k.noise < fixed.noise / 20
    np.testing.assert_allclose(k.at(60, 159).weights, soft, atol=1e-2)


def test_saved_loaded_and_printed(tmp_path):
    x, y, _ = varying_pair(1, (3, 3))
    k = learn_varying(x, y, size=3)
    k.save(tmp_path / "k.json")
    loaded = VaryingKernel.load(tmp_path / "k.json")
    np.testing.assert_array_equal(loaded(x), k(x))
    np.testing.assert_array_equal(loaded.at(3, 4).stderr, k.at(3, 4).stderr)
    assert repr(loaded) == repr(k)
    assert repr(k).startswith("VaryingKernel 3 × 3, each tap a polynomial of degree 1 over 70 × 80 pixels\n")
    stripes = np.tile(x[0], (40, 1))
    untold = learn_varying(stripes, corr2d(stripes, np.ones((3, 3))))
    untold.save(tmp_path / "k.json")
    assert np.isinf(VaryingKernel.load(tmp_path / "k.json").at(10, 10).stderr).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "corr2d kernel"}, '"format" must be "corr2d varying kernel".'),
        ({"weights": [[[1.0]]]}, "`weights` must be finite, of 3, 6, 10 monomials"),
        ({"levels": [1.0]}, "`levels` must be finite"),
        ({"covariance": [[[[1.0]]]]}, "`covariance` must fit `weights`"),
        ({"shape": [0, 3]}, "`shape` must be two positive integers"),
        ({"more": 1}, "unknown key 'more'"),
        ({"weights": None}, "`weights` must be finite"),
        ({"noise": "much"}, "could not convert string"),
    ],
    ids=str,
)
def test_files_that_cannot_be_read(tmp_path, change, reason):
    x, y, _ = varying_pair(1, (3, 3))
    learn_varying(x, y, size=3).save(tmp_path / "k.json")
    values = json.loads((tmp_path / "k.json").read_text()) | change
    (tmp_path / "k.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="is not a kernel file that corr2d can read") as caught:
        VaryingKernel.load(tmp_path / "k.json")
    assert reason in str(caught.value)
    del values["levels"]
    (tmp_path / "k.json").write_text(json.dumps({**values, "format": "corr2d varying kernel"} | {"more": 1}))
    with pytest.raises(ValueError, match=r"unknown key|missing"):
        VaryingKernel.load(tmp_path / "k.json")


def test_stripes_leave_bars_infinite():
    x = np.tile(np.random.default_rng(0).random(50), (40, 1))
    k = learn_varying(x, corr2d(x, np.ones((3, 3))))
    assert np.isinf(k.at(10, 10).stderr).all()
    assert "directions of kernels that vary" in k.notes[0]


def test_what_is_not_known_is_infinite():
    constant = learn_varying(np.ones((30, 30)), np.ones((30, 30)), size=3)
    assert np.isinf(constant.at(1, 1).stderr).all()
    x = np.random.default_rng(0).random((4, 6))  # 15 pixels, 3 kernels of 4 taps and 3 levels
    exact = learn_varying(x, x[1:, 1:] ** 2)
    assert exact.rank == 12
    assert np.isinf(exact.noise)
    assert np.isinf(exact.at(1, 1).stderr).all()


def test_refusals():
    x, y, _ = varying_pair(1, (3, 3))
    with pytest.raises(ValueError, match="`degree` must be 1 to 3, got 0"):
        learn_varying(x, y, degree=0, size=3)
    with pytest.raises(ValueError, match="0 to 3, got 4"):
        learn_varying(x, y, degree=4, size=3)
    with pytest.raises(ValueError, match="`size` must be given"):
        learn_varying(x, y)
    with pytest.raises(ValueError, match="does not vary: use `Moments"):
        VaryingKernel.of(Moments.of(x, y, size=3))
    with pytest.raises(ValueError, match=r"use corr2d.VaryingKernel.of\(moments\)"):
        Moments.of(x, y, size=3, varying=1).solve()
    with pytest.raises(ValueError, match=r"has its window in the middle, got moments of shift \(1, 0\)"):
        VaryingKernel.of(Moments.of(np.eye(30), np.eye(30), size=3, varying=1).window((1, 1), (1, 0)))
    with pytest.raises(ValueError, match="no channels, stride or dilation"):
        VaryingKernel.of(Moments.of(x, y, size=3, dilation=2, varying=1))
    with pytest.raises(ValueError, match=r"must have the shape that this kernel varies over, \(70, 80\)"):
        learn_varying(x, y, size=3)(x[:-1])
    with pytest.raises(ValueError, match="unknowns"):
        learn_varying(x[:7, :7], y[:7, :7], size=3)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_tap_lies_where_its_pixel_does(stride):
    # z made by hand: each window times the place of each of its pixels, in pixels of `after`.
    rng = np.random.default_rng(0)
    x, y = (
        rng.integers(0, 255, (23, 26)).astype(np.uint8),
        rng.normal(size=(-(-23 // stride), -(-26 // stride))),
    )
    moments = Moments.of(x, y, size=(5, 3), stride=stride, varying=1)
    (h, w), rows = y.shape, []
    down = (2 * np.arange(23) / stride + 1 - h) / h
    along = (2 * np.arange(26) / stride + 1 - w) / w
    planes = (x - 128.0) * np.array([np.ones((23, 26)), down[:, None] + 0 * along, 0 * down[:, None] + along])
    for i, j in np.ndindex(y.shape):
        top, left = i * stride - 2, j * stride - 1
        if 0 <= top <= 23 - 5 and 0 <= left <= 26 - 3:
            window = planes[:, top : top + 5, left : left + 3].ravel()
            rows.append([*window, down[i * stride], along[j * stride], 1, y[i, j] - moments.center[-1]])
    z = np.array(rows)
    assert moments.count == len(z)
    np.testing.assert_allclose(moments.total, z.T @ z, rtol=0, atol=1e-12 * np.abs(z.T @ z).max())
