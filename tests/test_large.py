"""Kernels found by conjugate gradients, against those found from moments."""

import tracemalloc
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from corr2d import Moments, corr2d, large, learn, learning
from corr2d.large import is_large
from corr2d.solve.iterative import InverseSpectrum, conjugate_gradients

PHOTO = np.asarray(Image.open(Path(__file__).parents[1] / "examples" / "photos" / "camera.png"))[
    100:240, 120:280
]
STEPS = "Found by {} conjugate gradient steps."


@pytest.fixture
def by_pictures(monkeypatch):
    """Take `learn_large` for whatever size."""

    def learned(*pair, **options):
        with monkeypatch.context() as patch:
            patch.setattr(large, "LARGEST_BY_MOMENTS", 0)
            kernel = learn(*pair, **options)
        assert kernel.rank is None
        return kernel

    return learned


@pytest.fixture
def by_moments(monkeypatch):
    """Take moments, and the error bars of white noise, as `learn_large` does."""

    def learned(*pair, **options):
        with monkeypatch.context() as patch:
            patch.setattr(learning, "solve", partial(learning.solve, errors="white"))
            return learn(*pair, **options)

    return learned


def random_kernel(size, seed=0):
    return np.random.default_rng(seed).standard_normal(size)


def filtered(image, size, noise=0.0, **options):
    clean = corr2d(image.astype(float), random_kernel(size), **options)
    return clean + 3 + np.random.default_rng(1).normal(0, noise or 1e-300, clean.shape)


def assert_same(found, expected):
    # 1e-4 of a standard error for any tap or sum of taps: the promise of `learn_large`.
    assert np.abs((found.weights - expected.weights) / expected.stderr).max() < 1e-4
    assert np.abs((found.bias - expected.bias) / expected.bias_stderr).max() < 1e-3
    for figure in ("noise", "rmse", "r2"):
        np.testing.assert_allclose(getattr(found, figure), getattr(expected, figure), rtol=1e-6)
    assert found.used == expected.used
    assert found.left_out == expected.left_out
    np.testing.assert_allclose(found.bias_stderr, expected.bias_stderr, rtol=0.02)


@pytest.mark.parametrize("size", [(31, 31), (1, 61), (24, 7)])
def test_same_kernel_as_from_moments(by_pictures, by_moments, size):
    after = filtered(PHOTO, size, noise=2)
    found, expected = by_pictures(PHOTO, after), by_moments(PHOTO, after)
    assert_same(found, expected)
    np.testing.assert_allclose(found.stderr, expected.stderr, rtol=1e-9)
    assert found.notes[0].startswith("Found by ")
    assert found.notes[1:] == ()


def cut_out(size, low, high):
    after = filtered(PHOTO, size, noise=2)
    return np.clip(after, *np.percentile(after, [low, high])).round()


OPTIONS = {
    "plain": {"size": (5, 5)},
    "even": {"size": (4, 6)},
    "row": {"size": (1, 7)},
    "one": {"size": (1, 1)},
    "stride": {"size": (5, 4), "stride": (2, 3)},
    "stride beyond the window": {"size": (3, 3), "stride": 4},
    "dilation": {"size": (5, 4), "dilation": (3, 2)},
    "stride and dilation": {"size": (5, 5), "stride": (1, 2), "dilation": (2, 3)},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("masked", [False, True])
def test_every_window_and_mask(by_pictures, by_moments, name, masked):
    options = OPTIONS[name]
    before = PHOTO.astype(float)
    steps = {key: value for key, value in options.items() if key != "size"}
    after = filtered(before, options["size"], noise=2, **steps)
    if masked:
        rng = np.random.default_rng(5)
        where = rng.random(after.shape) < 0.7
        before = before.copy()
        before[40:43, 50] = np.nan
        before[60, 70] = inf
        after[3, 4] = np.nan
        after[~where] = -1e9
        options = {**options, "where": where}
    found, expected = by_pictures(before, after, **options), by_moments(before, after, **options)
    assert_same(found, expected)
    np.testing.assert_allclose(found.stderr, expected.stderr, rtol=1e-9)
    own = "Found by", "The pair does not tell what the kernel does"  # which only moments tell
    assert [n for n in found.notes if not n.startswith(own)] == [
        n for n in expected.notes if not n.startswith(own)
    ]


def test_pixels_that_no_window_counts_cost_no_digits(by_pictures):
    before, where = PHOTO.astype(float), np.ones(PHOTO.shape, bool)
    before[:30] = 1e30
    where[:40] = False
    after = corr2d(before, random_kernel((5, 5)), padding="same")
    found = by_pictures(before, after, size=5, where=where)
    np.testing.assert_allclose(found.weights, random_kernel((5, 5)), atol=1e-12)


def test_clipped_pixels_are_left_out(by_pictures, by_moments):
    kernel = np.full((5, 5), 1 / 12.5)
    after = corr2d(PHOTO, kernel, padding="same", dtype=np.uint8)
    found, expected = by_pictures(PHOTO, after, size=5), by_moments(PHOTO, after, size=5)
    assert found.left_out["clipped high"] > 100
    assert_same(found, expected)
    every = by_pictures(PHOTO, after, size=5, clip=None)
    assert_same(every, by_moments(PHOTO, after, size=5, clip=None))
    assert np.abs(every.weights - found.weights).max() > 0.01


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "f2", "f4", ">f4", ">u2", "f8"])
def test_types_and_layouts(by_pictures, by_moments, dtype):
    before = (PHOTO > 100 if dtype == "?" else PHOTO / 3).astype(dtype)[::-1, ::2]
    after = filtered(before, (4, 5), noise=1)
    assert_same(by_pictures(before, after), by_moments(before, after))
    turned = filtered(PHOTO, (4, 5), noise=9)
    turned = (turned > 100 if dtype == "?" else turned / 9).astype(dtype)
    assert_same(by_pictures(PHOTO, turned), by_moments(PHOTO, turned))


def test_batches_pairs_and_colours(by_pictures, by_moments):
    colours = np.stack([PHOTO, PHOTO[::-1], PHOTO[:, ::-1]], axis=-1)
    after = np.stack([filtered(colours[..., c], (5, 5), noise=2) + 10 * c for c in range(3)], axis=-1)
    expected = by_moments(colours, after, channel_axis=-1)
    assert_same(by_pictures(colours, after, channel_axis=-1), expected)
    pairs = [(colours[:60, ..., c], after[:56, ..., c]) for c in range(3)]
    assert_same(by_pictures(iter(pairs), size=5), by_moments(pairs, size=5))
    each = {"channel_axis": -1, "per_channel": True, "where": np.arange(after.shape[1])[:, None] < 90}
    found, expected = by_pictures(colours, after, **each), by_moments(colours, after, **each)
    assert_same(found, expected)
    assert found.weights.shape == (3, 5, 5)
    assert found.condition is None
    assert "one for each of 3 channels" in repr(found)
    assert found.notes[0].startswith("channel 0: Found by ")


@pytest.mark.parametrize("image", [PHOTO, PHOTO.astype(float) + 1e5, PHOTO.astype(np.float32) / 255])
def test_noise_free(by_pictures, image):
    kernel = random_kernel((15, 15))
    found = by_pictures(image, corr2d(image.astype(float), kernel))
    np.testing.assert_allclose(found.weights, kernel, rtol=0, atol=1e-10 * np.linalg.norm(kernel))
    assert (np.abs(found.weights - kernel) <= 4 * found.stderr).all()
    assert abs(found.bias) <= 4 * found.bias_stderr
    assert found.noise < 1e-10 * found.weights.std() * image.std()


@pytest.mark.parametrize(("size", "neighbours"), [((31, 31), (21, 21)), ((51, 9), (25, 9))])
def test_error_bars_are_those_of_a_smaller_window(by_pictures, monkeypatch, size, neighbours):
    monkeypatch.setattr(large, "_NEIGHBOURS", neighbours[0] * neighbours[1])
    after = filtered(PHOTO, size, noise=2)
    kernel = by_pictures(PHOTO, after)
    found, expected = kernel.stderr, learn(PHOTO, after).stderr
    assert expected[size[0] // 2, size[1] // 2] > 1.2 * expected[0, 0]  # the edges know better
    np.testing.assert_allclose(found, expected, rtol=0.15)
    assert np.median(np.abs(found / expected - 1)) < 0.04
    assert kernel.notes[1:] == (
        f"The error bars are close, not exact: those of a {neighbours[0]} x {neighbours[1]} window, for the "
        f"same noise.",
    )


def test_error_bars_where_pixels_are_few(by_pictures, monkeypatch):
    monkeypatch.setattr(large, "_NEIGHBOURS", 9 * 9)
    before = np.random.default_rng(0).standard_normal((50, 52))
    after = filtered(before, (25, 25), noise=1)  # 728 pixels for 626 unknowns
    found, expected = by_pictures(before, after).stderr, learn(before, after).stderr
    np.testing.assert_allclose(np.median(found), np.median(expected), rtol=0.1)


def test_a_kernel_beyond_65_x_65_is_found_from_the_pictures():
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (160, 150), dtype=np.uint8)
    kernel = random_kernel((67, 66))
    found = learn(before, corr2d(before.astype(float), kernel, padding="same"), size=(67, 66))
    np.testing.assert_allclose(found.weights, kernel, atol=1e-10)
    assert found.rank is None
    assert is_large((67, 66))
    assert is_large(66)
    assert not is_large(65)
    assert not is_large((1, 4225))


def test_a_long_row():
    # By transforms in two dimensions alone, a step would take seconds.
    before, kernel = np.random.default_rng(0).standard_normal((1, 12000)), random_kernel((1, 4300))
    np.testing.assert_allclose(learn(before, corr2d(before, kernel)).weights, kernel, atol=1e-10)


def test_identity_is_noted(by_pictures):
    assert by_pictures(PHOTO, PHOTO, size=3).notes[1:] == (
        "`after` equals `before` wherever it counts: this kernel changes nothing.",
    )


def test_stride_and_rounded_integers_are_noted(by_pictures):
    before = np.random.default_rng(0).integers(0, 2**62, (40, 40))
    notes = by_pictures(before, before[1:-1:2, 1:-1:2].astype(float), size=3, stride=2).notes
    assert notes[:2] == (
        "`before` has integers beyond 2**53, which were rounded to float64.",
        "Learned with stride=(2, 2): apply it with the same.",
    )


# What the pair does not tell


def test_stripes_lead_to_the_smallest_kernel(by_pictures, by_moments):
    before = np.tile(PHOTO[50].astype(float), (120, 1))
    after = filtered(before, (9, 9), noise=1)
    found, expected = by_pictures(before, after), by_moments(before, after)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-4)
    assert np.isinf(found.stderr).all()
    assert found.bias_stderr == inf
    assert found.notes[1:] == (
        "`before` does not change from row to row: the pair tells only the sum of each kernel column.",
    )


def test_constant_before(by_pictures):
    after = np.random.default_rng(0).standard_normal((30, 30))
    found = by_pictures(np.full((34, 34), 7.0), after)
    assert not found.weights.any()
    assert found.bias == pytest.approx(after.mean())
    assert found.notes == (
        STEPS.format(0),
        "`before` is constant: the pair tells nothing about the kernel, only the level of `after`.",
    )


def test_constant_after_has_no_r2(by_pictures):
    found = by_pictures(PHOTO, np.full((136, 156), 9.0))
    assert np.isnan(found.r2)
    np.testing.assert_allclose(found.weights, 0, atol=1e-12)
    assert found.bias == pytest.approx(9)


def test_two_waves_leave_taps_open(by_pictures):
    y, x = np.mgrid[:60, :62]
    before = np.cos(0.9 * y + 0.4 * x) + 2 * np.cos(0.3 * y - 1.1 * x + 1)
    after = filtered(before, (5, 5), noise=0.1)
    found = by_pictures(before, after)
    assert np.isinf(found.stderr).all()
    assert found.noise == pytest.approx(learn(before, after).noise, rel=0.01)
    assert found.notes[1:] == (
        "The pair does not determine all taps, even of a 5 x 5 window: of the kernels that fit, this is "
        "the smallest.",
    )


def test_too_few_steps_are_owned_up_to(by_pictures, monkeypatch):
    monkeypatch.setattr(large, "_MOST_STEPS", 7)
    found = by_pictures(PHOTO, filtered(PHOTO, (33, 33), noise=2))
    assert np.isinf(found.stderr).all()
    assert found.notes == (
        STEPS.format(7),
        "That was too few: `before` is so smooth that other kernels fit as well. The error bars are not "
        "known; a smaller size has some.",
    )


def test_smooth_pictures_take_the_steps_they_need(by_pictures):
    smooth = scipy.ndimage.gaussian_filter(PHOTO.astype(float), 0.6)
    after = filtered(smooth, (15, 15), noise=1)
    assert_same(by_pictures(smooth, after), learn(smooth, after))


# What cannot be answered


def message(*args, **options):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole text is compared)
        learn(*args, **options)
    return str(caught.value)


def test_too_few_pixels_text():
    assert message(PHOTO, PHOTO, size=99) == (
        "A 99 x 99 kernel with a bias has 9802 unknowns, but only 2545 pixels count (59 clipped high were "
        "left out). Take a smaller size or larger pictures. Pass clip=None if the ends of the range are data."
    )
    assert message(PHOTO[:, :0], PHOTO[:, :0], size=99) == (
        "`size` must fit into the pictures of 140 x 0, got (99, 99)."
    )
    assert message([], size=99) == "`before` must hold at least one pair (before, after), got none."


def test_constraints_of_a_window_too_large_text():
    expected = (
        "A 153 x 153 kernel must be found without constraints, penalties, `mix`, `weights`, `background` and "
        "`loss`: the sums in which they are met are too large. Leave them out, or take a smaller size, up to "
        "152 x 152."
    )
    assert message(PHOTO, PHOTO, size=153, sum=1) == expected
    assert message(PHOTO, PHOTO, support=np.ones((153, 153), bool)) == expected
    assert is_large(153)
    assert not is_large(152, constrained=True)  # by moments


def test_pixels_too_large_text(by_pictures):
    with pytest.raises(
        ValueError, match=r"^`before` has pixels beyond 1e100 that count, whose squares are too"
    ):
        by_pictures(PHOTO * 1e120, PHOTO, size=3)


# The parts


def matrix(order=60, condition=1e3):
    vectors = np.linalg.qr(np.random.default_rng(0).standard_normal((order, order)))[0]
    return (vectors * np.geomspace(1, condition, order)) @ vectors.T


def test_gains_sum_to_the_squared_error():
    gram, right = matrix(), random_kernel(60, seed=1)
    answer = np.linalg.solve(gram, right)
    for steps in (0, 1, 7, 20):
        found = conjugate_gradients(gram.__matmul__, np.copy, right, lambda _: False, steps)
        off = found.solution - answer
        assert len(found.gains) == steps
        assert answer @ gram @ answer - sum(found.gains) == pytest.approx(off @ gram @ off, rel=1e-8)
    found = conjugate_gradients(gram.__matmul__, np.copy, right, lambda gains: len(gains) == 9, 500)
    assert len(found.gains) == 9
    found = conjugate_gradients(
        gram.__matmul__, lambda v: np.linalg.solve(gram, v), right, lambda _: False, 1
    )
    np.testing.assert_allclose(found.solution, answer, rtol=1e-9)


def test_nothing_to_find_takes_no_step():
    assert conjugate_gradients(matrix().__matmul__, np.copy, np.zeros(60), lambda _: False, 9).gains == []


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_inverse_spectrum_saves_steps(dilation):
    from corr2d.borders import Steps

    size = (13, 13)
    before = PHOTO.astype(float) - 128
    rows, columns = (n - d * 12 for n, d in zip(PHOTO.shape, dilation, strict=True))
    total = Moments.of(PHOTO, PHOTO[:rows, :columns], dilation=dilation).total
    gram = (total - np.outer(total[-2], total[-2]) / total[-2, -2])[:-2, :-2]
    inverse = InverseSpectrum([before], size, Steps(*dilation), rows * columns)
    a, b = random_kernel(size), random_kernel(size, seed=1)
    assert np.vdot(a, inverse(b)) == pytest.approx(np.vdot(inverse(a), b))
    assert np.vdot(a, inverse(a)) > 0
    right = random_kernel(169)

    def steps(precondition):
        answer = right @ np.linalg.solve(gram, right)
        found = conjugate_gradients(
            gram.__matmul__, precondition, right, lambda gains: sum(gains) > (1 - 1e-8) * answer, 2000
        )
        return len(found.gains)

    assert 4 * steps(lambda v: inverse(v.reshape(size)).ravel()) < steps(np.copy)


def test_memory_is_that_of_five_pictures(by_pictures):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (700, 700), dtype=np.uint8)
    after = corr2d(before, random_kernel((9, 9)))
    before.flags.writeable = after.flags.writeable = False
    tracemalloc.start()
    by_pictures(before, after)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5.5 * 8 * before.size
