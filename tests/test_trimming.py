"""Windows inside a window: what goes first, and what is predicted without it."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from corr2d import Moments
from corr2d.size.trimming import Box, Sums, _surprise, held_out_errors_of, squared_error, trimmed


def fitted(total, entries):
    """Fit the last entry by some and the constant; give the coefficients of all."""
    some = [*entries, len(total) - 2]
    coefficients = np.zeros(len(total))
    coefficients[some] = -np.linalg.lstsq(total[np.ix_(some, some)], total[some, -1], rcond=None)[0]
    coefficients[-1] = 1
    return coefficients


def error_of(total, entries, held_out=None):
    coefficients = fitted(total, entries)
    return coefficients @ (total if held_out is None else held_out) @ coefficients


def noisy_pair(kernel, channels=(), seed=0, shape=(48, 61)):
    rng = np.random.default_rng(seed)
    before = scipy.ndimage.gaussian_filter(rng.standard_normal((*channels, *shape)), 0.6, axes=(-2, -1))
    after = scipy.ndimage.correlate(before.reshape(-1, *shape)[0], kernel)
    return before, after + rng.normal(0, 0.3 * after.std(), shape)


KERNEL = np.random.default_rng(1).standard_normal((3, 2))


@pytest.fixture(params=["one window", "two channels", "background"])
def sums(request):
    if request.param == "two channels":
        moments = Moments.of(*noisy_pair(KERNEL, (2,)), size=5, channel_axis=0, mix=True)
    else:
        moments = Moments.of(*noisy_pair(KERNEL), size=5, background=2 * (request.param == "background"))
    return Sums.of(moments)


def test_costs_of_rows_and_columns_are_those_of_fits_without_them(sums):
    there, left = set(range(len(sums.total) - 2)), sums.whole
    freedom = sums.count - len(there) - 1
    noise = error_of(sums.total, sorted(there)) / freedom
    for step in trimmed(sums):
        error = error_of(sums.total, sorted(there))
        tried = []
        for gone, _, _ in left.sides():
            taps = sums.inside(gone)
            cost = error_of(sums.total, sorted(there - set(taps))) - error
            tried.append((_surprise(cost / noise, len(taps), freedom), set(taps)))
        surprise, taps = min(tried, key=lambda each: each[0])
        assert set(step.gone) == taps
        assert step.surprise == pytest.approx(surprise, rel=1e-6, abs=1e-6)
        there, left = there - taps, step.left
    assert left.size != (5, 5)


def test_what_stays_longest_is_the_kernel(sums):
    boxes = [step.left for step in trimmed(sums)]
    assert Box(1, 4, 1, 3) in boxes
    surprises = [step.surprise for step in trimmed(sums)]
    at = boxes.index(Box(1, 4, 1, 3))
    assert max(surprises[: at + 1]) < 3.5 < surprises[at + 1]


def test_held_out_errors_are_those_of_fits_to_the_other_folds(sums):
    order = sums.inside(Box(0, 5, 0, 5))[::-1]
    ends = np.array([0, 2, 7, len(order)])
    errors, rounding = held_out_errors_of(sums, order, ends)
    assert errors.shape == (8, 4)
    for fold, held_out in enumerate(sums.folds):
        for window, end in enumerate(ends):
            entries = [*order[:end], *sums.background]
            expected = error_of(sums.total - held_out, entries, held_out)
            assert errors[fold, window] == pytest.approx(expected, rel=1e-8)
    assert (rounding < 1e-9 * errors.sum(axis=0)).all()
    assert squared_error(sums) == pytest.approx(error_of(sums.total, range(len(sums.total) - 2)), rel=1e-8)


@pytest.mark.parametrize("taps", [1, 3, 15, 45])
@pytest.mark.parametrize("freedom", [40, 1000, 10**6])
def test_surprise_is_that_of_the_f_distribution(taps, freedom):
    for deviations in (-1, 0, 2, 3.5):
        ratio = scipy.stats.f.isf(scipy.stats.norm.sf(deviations), taps, freedom)
        assert _surprise(ratio * taps, taps, freedom) == pytest.approx(deviations, abs=0.15)


def test_what_a_pair_does_not_tell_goes_first():
    rows = np.tile(np.random.default_rng(0).standard_normal((1, 90)), (60, 1))  # stripes
    after = scipy.ndimage.correlate1d(rows, [1, -2, 3], axis=1)
    boxes = [step.left for step in trimmed(Sums.of(Moments.of(rows, after, size=7)))]
    assert Box(3, 4, 2, 5) in boxes


def test_a_constant_before_leaves_the_tap_in_the_middle():
    after = np.random.default_rng(0).standard_normal((40, 50))
    steps = trimmed(Sums.of(Moments.of(np.full((40, 50), 3.5), after, size=5)))
    assert [step.left for step in steps[-2:]] == [Box(2, 3, 2, 3), Box(2, 2, 2, 2)]
    assert {step.surprise for step in steps} == {-np.inf}
