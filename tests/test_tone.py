"""The tone curve that followed a filter, and the filter under it."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.optimize
from test_residuals import sample_of

from corr2d import learn
from corr2d.solve import solve
from corr2d.verdict.tone import _rising, _rising_curve, find_tone

KERNEL = np.array([[0.05, 0.1, 0.05], [0.1, 0.5, 0.1], [0.0, 0.1, 0.0]])


@pytest.fixture(scope="module")
def before():
    rng = np.random.default_rng(0)
    image = scipy.ndimage.gaussian_filter(rng.standard_normal((160, 170)), 1.5)
    return 120 + 130 * image


def toned(before, curve, noise=0.0, seed=1):
    filtered = scipy.ndimage.correlate(before, KERNEL)
    return curve(filtered) + noise * np.random.default_rng(seed).standard_normal(before.shape)


def gamma(power):
    return lambda image: 255 * np.clip(image / 255, 0, 1) ** power


def found(before, after, size=3, fit=solve):
    plain = learn(before, after, size=size, examine=False)
    return plain, find_tone(sample_of(before, after, size), plain, fit)


def relative_error(weights):
    gain = (weights * KERNEL).sum() / (KERNEL**2).sum()
    return np.linalg.norm(weights / gain - KERNEL) / np.linalg.norm(KERNEL)


@pytest.mark.parametrize("power", [1 / 2.2, 1 / 1.2, 1.2, 2.2])
def test_gamma_and_the_kernel_under_it_are_found(before, power):
    plain, tone = found(before, toned(before, gamma(power)))
    assert relative_error(tone.kernel.weights) < min(0.002, relative_error(plain.weights) / 3)
    gain = (tone.kernel.weights * KERNEL).sum() / (KERNEL**2).sum()
    results = np.linspace(60, 180, 50)
    off = tone(tone.kernel.bias + gain * results) - gamma(power)(results)
    assert np.sqrt(np.mean(off**2)) < 0.15


def test_matches_a_general_purpose_solver(before):
    """SciPy's, told that the curve is a power: the same kernel out of noise, to its error bars."""
    after = toned(before, gamma(2.0), noise=2.0)
    _, tone = found(before, after)
    windows = np.lib.stride_tricks.sliding_window_view(before, (3, 3)).reshape(-1, 9)
    target = after[1:-1, 1:-1].ravel()

    def residuals(unknowns):
        return 255 * np.clip(windows @ unknowns[:9] / 255, 1e-9, None) ** unknowns[9] - target

    best = scipy.optimize.least_squares(residuals, [*KERNEL.ravel(), 1.5], method="lm")
    expected = best.x[:9].reshape(3, 3)
    ours = tone.kernel.weights
    gain = (ours * expected).sum() / (expected**2).sum()
    assert np.abs(ours / gain - expected).max() < 4 * (tone.kernel.stderr / gain).max()


def test_results_have_the_mean_and_deviation_of_after(before):
    after = toned(before, gamma(1.8))
    _, tone = found(before, after)
    sample = sample_of(before, after, 3)
    results = sample.predicted(tone.kernel)
    assert results.mean() == pytest.approx(sample.after.mean(), rel=1e-9)
    assert results.std() == pytest.approx(sample.after.std(), rel=1e-9)


def test_error_bars_cover_the_truth(before):
    z = []
    for seed in range(1, 9):
        after = toned(before, gamma(1.5), noise=3.0, seed=seed)
        _, tone = found(before, after)
        gain = (tone.kernel.weights * KERNEL).sum() / (KERNEL**2).sum()
        z.append((tone.kernel.weights - gain * KERNEL) / tone.kernel.stderr)
    assert 0.5 < np.sqrt(np.mean(np.square(z))) < 1.5


def test_a_falling_curve_is_a_rising_one_of_the_negative_kernel(before):
    _, rising = found(before, toned(before, gamma(1.5)))
    _, falling = found(before, 255 - toned(before, gamma(1.5)))
    assert relative_error(falling.kernel.weights) < 0.002
    np.testing.assert_allclose(falling.kernel.weights, -rising.kernel.weights, atol=1e-3)
    assert (np.diff(falling.values) >= 0).all()


def test_the_curve_rises_where_noise_makes_it_fall(before):
    after = toned(before, lambda image: np.where(image < 120, 0.0, 100.0), noise=5.0)
    _, tone = found(before, after)
    assert (np.diff(tone.values) >= 0).all()
    assert (np.diff(tone.results) > 0).all()


def test_a_fit_of_a_given_sum_keeps_it(before):
    after = toned(before, gamma(1.5))
    plain = learn(before, after, size=3, sum=1, examine=False)
    sample = sample_of(before, after, 3)
    tone = find_tone(sample, plain, lambda moments: solve(moments, sum=1), free=False)
    assert tone.kernel.weights.sum() == pytest.approx(1)
    assert relative_error(tone.kernel.weights) < 0.002


def test_without_a_fit_the_kernel_stays(before):
    plain, tone = found(before, toned(before, gamma(1.5)), fit=None)
    ratio = tone.kernel.weights / plain.weights
    np.testing.assert_allclose(ratio, ratio[0, 0])


def test_pixels_that_are_not_finite_are_passed_over(before):
    after = toned(before, gamma(1.5))
    holed = before.copy()
    holed[50, 60], holed[90, 20], after[30, 30] = np.nan, np.inf, np.nan
    _, tone = found(holed, after)
    assert relative_error(tone.kernel.weights) < 0.002


def test_no_curve_of_a_constant_result(before):
    sample = sample_of(before, before, 1)
    flat = learn(before, before * 0 + 3.0, size=1, examine=False)
    assert find_tone(sample, flat, solve) is None


def test_rising_values_are_those_of_isotonic_regression():
    rng = np.random.default_rng(2)
    values, weights = np.arange(12) / 3 + rng.standard_normal(12), rng.uniform(1, 9, 12)
    expected = scipy.optimize.isotonic_regression(values, weights=weights).x
    np.testing.assert_allclose(_rising(np.diag(weights), weights * values), expected)


@pytest.mark.parametrize("distinct", [2, 3, 40])
def test_few_levels_make_few_knots(distinct):
    levels = np.repeat(np.arange(float(distinct)), 50)
    knots, values = _rising_curve(levels, levels**2)
    assert (np.diff(knots) > 0).all()
    np.testing.assert_allclose(np.interp(levels, knots, values), levels**2, atol=distinct**2 / 100)
