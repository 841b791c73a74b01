"""Error bars: of white noise, and of blocks where noise is not white; the measures of a kernel."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter
from simulations.errors import coverage, drawn, pair
from simulations.pairs import crop, textured

from corr2d import Kernel, Moments, corr2d, learn
from corr2d.families import gaussian
from corr2d.solve import errors
from corr2d.summing import blocks_of

BLUR = gaussian((3, 3), 0.8, 0.6, 30, 0.1, -0.2)
NOT_WHITE = (
    "The noise is not white (near pixels err alike, or some parts more than others): error bars rest on 16 "
    "blocks of the picture."
)


def smooth_noise(rng, shape, width=1.0):
    return gaussian_filter(rng.standard_normal(shape), width) * 4 * width


def spoilt_pair(seed=0, side=48, kernel=BLUR, width=1.0):
    """Give a pair whose noise is alike in neighbouring pixels, without its border."""
    rng = np.random.default_rng(seed)
    before = textured(rng, side)
    after = corr2d(before, kernel)
    return before, after + smooth_noise(rng, after.shape, width)


# Against the sums as they are written


def explicit_ratio(before, after, of_weights):
    """Give the variance of a figure by blocks, over that of white noise, its freedom, and the plain error.

    The figure is of_weights @ (taps, bias). All by matrices with a row for each pixel.
    """
    kh, kw = np.array(before.shape) - after.shape + 1
    windows = sliding_window_view(before, (kh, kw)).reshape(after.size, -1)
    Z = np.column_stack([windows, np.ones(after.size)])
    to_weights = np.linalg.pinv(Z)
    keeps = np.eye(after.size) - Z @ to_weights
    residual = keeps @ after.ravel()
    h = of_weights @ to_weights
    numbers = np.arange(after.size).reshape(after.shape)
    parts = np.zeros((16, after.size))
    for part, block in zip(parts, blocks_of(after.shape, None, 16), strict=True):
        part[numbers[block].ravel()] = h[numbers[block].ravel()]
    variance = residual @ residual / (after.size - Z.shape[1])
    covariance = parts @ keeps @ parts.T
    ratio = np.square(parts @ residual).sum() / (variance * np.trace(covariance))
    freedom = np.trace(covariance) ** 2 / np.square(covariance).sum()
    return ratio, freedom, np.sqrt(variance * (h @ h))


@pytest.mark.parametrize(("size", "seed"), [((3, 3), 1), ((1, 4), 2), ((1, 1), 3)])
def test_bias_and_sum_are_those_of_explicit_blocks(size, seed):
    kernel = np.full(size, 1 / np.prod(size))
    before, after = spoilt_pair(seed, 32, kernel, 1.5)
    ours = learn(before, after, size=size)
    assert ours.errors == "blocks"
    taps = np.append(np.ones(kernel.size), 0)
    for figure, found in ((1 - taps, ours.bias_stderr), (taps, ours.measures["sum"][1])):
        ratio, freedom, plain = explicit_ratio(before, after, figure)
        wide = scipy.stats.t.ppf(0.975, freedom) / scipy.stats.norm.ppf(0.975)
        assert found == pytest.approx(plain * np.sqrt(ratio) * wide, rel=0.005)


@pytest.mark.parametrize("degree", [1, 3])
def test_a_background_is_one_more_thing_that_the_fit_takes(degree):
    # Beside a bias that is a polynomial, what blocks say is what they say of a fit to all its monomials.
    before, after = spoilt_pair(5, 40, BLUR, 1.5)
    moments = Moments.of(before, after, background=degree)
    ours = moments.solve()
    assert ours.errors == "blocks"
    total = moments.total
    n, taps = total[-2, -2], 9
    inverse = np.linalg.inv(total[:-1, :-1])
    residual = np.append(-inverse @ total[:-1, -1], 1)
    window = np.append(np.full(taps, -moments.center[0]), np.zeros(len(total) - taps - 2))
    h = inverse @ np.append(window, 1.0)  # of the bias: the constant at the middle, less the taps' centre
    scores = moments.sums @ residual
    products = moments.sums[:, :-1, :-1] @ h
    covariance = np.diag(products @ h) - products @ inverse @ products.T
    variance = residual @ total @ residual / (n - len(total) + 1)
    ratio = np.square(scores[:, :-1] @ h).sum() / (variance * np.trace(covariance))
    freedom = np.trace(covariance) ** 2 / np.square(covariance).sum()
    wide = scipy.stats.t.ppf(0.975, freedom) / scipy.stats.norm.ppf(0.975)
    plain = np.sqrt(variance * (h @ total[:-1, :-1] @ h))
    assert ours.bias_stderr == pytest.approx(plain * np.sqrt(ratio) * wide, rel=0.005)


def test_quantiles_and_logarithms_are_those_of_scipy():
    freedom = np.geomspace(1, 1e5, 300)
    np.testing.assert_allclose(errors.student(freedom), scipy.stats.t.ppf(0.975, freedom), rtol=0.005)
    half = np.geomspace(0.3, 1e3, 100)
    mean = scipy.special.digamma(half) - np.log(half)
    np.testing.assert_allclose(errors._mean_log(half), mean, rtol=1e-4)
    np.testing.assert_allclose(errors._spread_of_log(half), scipy.special.polygamma(1, half), rtol=1e-6)
    assert errors._half_of_spread(float(scipy.special.polygamma(1, 3.7))) == pytest.approx(3.7)


# What holds the truth


@pytest.mark.parametrize(
    ("noise", "size", "least_blocks", "most_blocks"),
    [
        ("white", 9, 0, 10),
        ("rounding to 8 bits", 3, 0, 15),
        ("blurred by 1 pixel", 9, 100, 100),
        ("that of JPEG 75, from another picture", 9, 50, 100),
    ],
)
def test_intervals_hold_the_truth(noise, size, least_blocks, most_blocks):
    found = coverage(drawn(partial(pair, noise=noise, size=size, side=96), 30, seed=size))
    assert 90 <= found["taps"] <= 98
    assert least_blocks <= found["blocks"] <= most_blocks
    beside = [found[name] for name in ("bias", "sum", "center_y", "center_x")]
    assert 85 <= np.mean(beside) <= 99.5


def test_plain_error_bars_would_not():
    # Of the bias, under noise that is alike in neighbouring pixels: they are three times too narrow.
    pairs = [spoilt_pair(seed, 64) for seed in range(20)]
    held = dict.fromkeys(("auto", "white"), 0)
    for kind in held:
        for before, after in pairs:
            kernel = Moments.of(before, after).solve(errors=kind)
            held[kind] += abs(kernel.bias) < 1.96 * kernel.bias_stderr
    assert held["white"] < 15
    assert held["auto"] >= 17


# The choice


def test_white_noise_is_kept_white():
    kinds = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        before = crop(rng, 64)
        after = corr2d(before, BLUR) + 3 * rng.standard_normal((62, 62))
        kinds.append(learn(before, after).errors)
    assert kinds.count("blocks") <= 5  # 2 to 3 % of them


def test_the_choice_is_said():
    before, after = spoilt_pair()
    kernel = learn(before, after)
    assert (kernel.errors, kernel.notes) == ("blocks", (NOT_WHITE,))
    moments = Moments.of(before, after)
    white = moments.solve(errors="white")
    assert (white.errors, white.notes) == ("white", ())
    assert Kernel.from_dict(kernel.to_dict()) == kernel
    np.testing.assert_array_equal(white.weights, kernel.weights)


@pytest.mark.parametrize("given", ["blocks", None, 1])
def test_text_of_an_unknown_kind(given):
    with pytest.raises(ValueError, match=r"^`errors` must be 'auto' or 'white', got "):
        Moments.of(np.eye(9), np.eye(9), size=1).solve(errors=given)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_few_spoilt_pixels_are_no_evidence(size):
    rng = np.random.default_rng(size)
    before = textured(rng, 60)
    after = before.copy()
    after[30, 31] += 1
    assert learn(before, after, size=size).errors == "white"


def test_noise_in_one_half_is_seen():
    rng = np.random.default_rng(3)
    before = textured(rng, 96)
    before[:, 48:] = 128 + (before[:, 48:] - 128) / 8  # where there is noise, there is little to learn from
    noise = rng.standard_normal(before.shape) * np.where(np.arange(96) < 48, 0.1, 4)
    kernel = learn(before, before + noise, size=5)
    assert kernel.errors == "blocks"
    moments = Moments.of(before, before + noise, size=5)
    assert kernel.stderr.mean() < moments.solve(errors="white").stderr.mean() / 3


@pytest.mark.parametrize("scale", [1e-80, 1e80])
@pytest.mark.parametrize("options", [{}, {"symmetric": "radial"}, {"rank": 1}, {"nonnegative": True}])
def test_units_change_nothing(scale, options):
    before, after = spoilt_pair(1)
    one = Moments.of(before, after).solve(**options)
    other = Moments.of(before * scale, after * scale).solve(**options)
    assert one.errors == other.errors == "blocks"
    np.testing.assert_allclose(other.stderr, one.stderr, rtol=1e-6)
    assert other.bias_stderr == pytest.approx(one.bias_stderr * scale, rel=1e-6)
    for name, (_, error) in one.measures.items():
        assert other.measures[name][1] == pytest.approx(error, rel=1e-6)


def test_one_block_tells_nothing():
    moments = Moments.of(*spoilt_pair())
    alone = replace(moments, sums=moments.total[None])
    assert alone.solve() == moments.solve(errors="white")


def test_smaller_windows_have_the_same_blocks():
    before, after = spoilt_pair(2, 64, np.ones((1, 1)))
    same = learn(before, after).to_dict()
    small = Moments.of(before, after, size=5).window((1, 1))
    assert small.solve().errors == same["errors"] == "blocks"


def test_more_pairs_are_more_blocks_of_each():
    pairs = [spoilt_pair(seed, 96) for seed in range(8)]
    one, many = learn(*pairs[0]), learn(pairs)
    assert one.errors == many.errors == "blocks"
    ratio = many.stderr.mean() / one.stderr.mean()
    assert 0.25 < ratio < 0.5  # 1 / sqrt(8) is 0.35


@pytest.mark.parametrize("loss", ["huber", "tukey"])
def test_robust_losses_take_noise_for_white(loss):
    kernel = learn(*spoilt_pair(), loss=loss)
    assert kernel.errors == "white"
    assert NOT_WHITE not in kernel.notes


@pytest.mark.parametrize("value", [0.0, 7.0])
@pytest.mark.parametrize("size", [1, 3])
def test_constant_pictures_have_finite_or_infinite_figures(value, size):
    rng = np.random.default_rng(0)
    after = smooth_noise(rng, (20, 20), 1.5)
    kernel = learn(np.full((20, 20), value), after, size=size)
    assert np.isinf(kernel.stderr).all()
    assert kernel.measures["sum"] == (0, np.inf)
    assert list(kernel.measures) == ["sum"]


@pytest.mark.parametrize("shape", [(1, 12), (12, 1), (5, 5), (4, 7)])
def test_tiny_pairs_have_error_bars(shape):
    rng = np.random.default_rng(shape[0])
    before = rng.standard_normal(shape)
    kernel = learn(before, before + 0.1 * rng.standard_normal(shape), size=1)
    assert 0 < kernel.stderr[0, 0] < 1
    assert kernel.measures["sum"][0] == kernel.weights[0, 0]
    assert kernel.measures["sum"][1] == pytest.approx(kernel.stderr[0, 0], rel=0.5)


def test_error_bars_of_a_family_rest_on_blocks_too():
    kernel = gaussian((7, 7), 1.2, 1.2)
    before, after = spoilt_pair(4, 96, kernel, 1.2)
    found = learn(before, after, family="gaussian")
    plain = Moments.of(before, after).solve(family="gaussian", errors="white")
    assert found.errors == "blocks"
    assert found.parameters["gain"][1] == pytest.approx(found.measures["sum"][1], rel=0.2)
    assert found.parameters["gain"][1] > 1.5 * plain.parameters["gain"][1]


# Measures


def by_definition(weights, origin=None, step=1):
    y, x = np.indices(weights.shape) - np.reshape(origin or [k // 2 for k in weights.shape], (2, 1, 1))
    y, x = step * y, step * x
    total = weights.sum()
    center_y, center_x = (weights * y).sum() / total, (weights * x).sum() / total
    square = (weights * ((y - center_y) ** 2 + (x - center_x) ** 2)).sum() / total / 2
    return {"sum": total, "center_y": center_y, "center_x": center_x, "width": np.sqrt(square)}


@pytest.mark.parametrize("size", [(3, 3), (4, 5), (1, 3), (6, 1)])
def test_measures_are_those_of_the_weights(size):
    rng = np.random.default_rng(size[1])
    kernel = rng.uniform(0.5, 1, size)
    before = textured(rng, 64)
    after = corr2d(before, kernel)
    after += 0.1 * rng.standard_normal(after.shape)
    moments = Moments.of(before, after)
    found = moments.solve(errors="white")
    expected = by_definition(found.weights)
    assert list(found.measures) == list(expected)
    windows = sliding_window_view(before, size).reshape(after.size, -1)
    covariance = found.noise**2 * np.linalg.inv(np.cov(windows.T, bias=True) * after.size)
    for name, value in expected.items():
        assert found.measures[name][0] == pytest.approx(value, abs=1e-12)
        slope = np.empty(kernel.size)
        for i, step in enumerate(1e-5 * np.eye(kernel.size)):
            there, back = (by_definition(found.weights + way * step.reshape(size))[name] for way in (1, -1))
            slope[i] = (there - back) / 2e-5
        error = np.sqrt(slope @ covariance @ slope)
        assert found.measures[name][1] == pytest.approx(error, rel=1e-5, abs=1e-12)


def test_edge_kernels_have_no_centre():
    rng = np.random.default_rng(0)
    before = textured(rng, 64)
    for noise in (0.0, 1.0):
        after = corr2d(before, [[1.0, 0, -1]]) + noise * rng.standard_normal((64, 62))
        kernel = learn(before, after)
        assert list(kernel.measures) == ["sum"]
        value, error = kernel.measures["sum"]
        assert abs(value) <= 4 * error


def test_a_shift_by_part_of_a_pixel_has_no_width():
    # Nor has what sharpens: the square of its width is negative.
    rng = np.random.default_rng(1)
    before = textured(rng, 64)
    for taps in ([0.0, 1, 0], [-0.5, 2, -0.5]):
        after = corr2d(before, [taps]) + rng.standard_normal((64, 62))
        assert list(learn(before, after).measures) == ["sum", "center_y", "center_x"]


def test_stripes_tell_the_sum_but_not_every_centre():
    rng = np.random.default_rng(2)
    before = np.repeat(rng.uniform(0, 255, (1, 80)), 60, axis=0)
    after = corr2d(before, BLUR) + rng.standard_normal((58, 78))
    measures = learn(before, after).measures
    assert measures["sum"][1] < 0.01
    assert measures["center_x"][1] < 0.1
    assert measures["center_y"][1] == np.inf
    assert abs(measures["center_x"][0] + 0.2) < 0.1


def test_centres_are_in_pixels_from_the_origin():
    rng = np.random.default_rng(3)
    before = textured(rng, 80)
    apart = learn(before, corr2d(before, BLUR, dilation=3), size=3, dilation=3).measures
    expected = by_definition(BLUR, step=3)
    assert {name: pytest.approx(value, abs=1e-6) for name, (value, _) in apart.items()} == expected
    moved = np.roll(corr2d(before, BLUR, padding="same"), (5, -4), axis=(0, 1))
    kernel = learn(before, moved, size=3, shift=(5, -4))
    expected = by_definition(BLUR, origin=(6, -3))
    assert {name: pytest.approx(value, abs=1e-6) for name, (value, _) in kernel.measures.items()} == expected


def test_colours_have_measures_of_their_own():
    rng = np.random.default_rng(4)
    before = np.stack([textured(rng, 48) for _ in range(3)])
    after = np.stack([corr2d(plane, gain * BLUR) for plane, gain in zip(before, (1, 2, 3), strict=True)])
    each = learn(before, after, channel_axis=0, per_channel=True)
    np.testing.assert_allclose(each.measures["sum"][0], [1, 2, 3], atol=1e-9)
    assert each.errors == "white"
    mixed = learn(before, after, size=3, channel_axis=0, mix=True)
    assert mixed.measures["sum"][0].shape == mixed.measures["width"][1].shape == (3,)
    np.testing.assert_allclose(mixed.measures["sum"][0], [1, 2, 3], atol=1e-6)
    assert "sum 3 ± " in repr(mixed)
    after[1] += smooth_noise(rng, after[1].shape, 1.5)
    spoilt = learn(before, after, channel_axis=0, per_channel=True)
    assert spoilt.errors == "blocks"
    assert f"channel 1: {NOT_WHITE}" in spoilt.notes


def test_measures_are_printed_in_one_line():
    centre = {"center_y": (0.0123, 0.02), "center_x": (-0.2, 0.02)}
    kernel = Kernel(BLUR, measures={"sum": (1.00021, 0.0003), **centre, "width": (1.4, np.inf)})
    line = "  sum 1.00021 ± 0.0003, centre (0.012 ± 0.02, -0.2 ± 0.02), width 1.4 ± ∞"
    assert line in repr(kernel).split("\n")
    assert "sum" not in repr(replace(kernel, parameters={"gain": (1.0, 0.1)}))


def test_taps_held_at_zero_keep_the_error_bars_of_white_noise():
    kernel = np.zeros((5, 5))
    kernel[1:4, 1:4] = gaussian((3, 3), 0.7, 0.7)
    moments = Moments.of(*spoilt_pair(6, 64, kernel))
    found, white = moments.solve(nonnegative=True), moments.solve(nonnegative=True, errors="white")
    held = found.weights == 0
    assert found.errors == "blocks"
    assert 3 < np.count_nonzero(held) < 16
    np.testing.assert_array_equal(found.stderr[held], white.stderr[held])
    assert (found.stderr[~held] != white.stderr[~held]).all()
