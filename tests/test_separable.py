"""Kernels of a given rank, against a general-purpose solver on the explicit matrix of patches."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares

from corr2d import Moments, corr2d, learn
from corr2d.solve import solve


def of_rank(rank, size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((size[0], rank)) @ rng.standard_normal((rank, size[1]))


def noisy_pair(kernel, noise=0.3, seed=0, shape=(40, 45)):
    rng = np.random.default_rng(seed)
    before = 10 * gaussian_filter(rng.standard_normal(shape), 0.8) + 3
    after = corr2d(before, kernel) + 0.7
    return before, after + noise * rng.standard_normal(after.shape)


def by_scipy(before, after, size, rank, sum=None):  # noqa: A002 (as solve calls it)
    """The factors, all at once, from several starts; a sum is asked for by a row of large weight."""
    kh, kw = size
    windows = np.lib.stride_tricks.sliding_window_view(before, size).reshape(-1, kh * kw)
    A, y = windows - windows.mean(axis=0), (after - after.mean()).ravel()
    # The same residuals, but for a turn that leaves their squares: kh * kw rows in place of thousands.
    Q, R = np.linalg.qr(A)
    rest = y - Q @ (Q.T @ y)
    y = Q.T @ y
    if sum is not None:
        R, y = np.vstack([R, np.full(kh * kw, 1e5)]), np.append(y, 1e5 * sum)

    def kernel(factors):
        columns, rows = factors[: kh * rank].reshape(kh, rank), factors[kh * rank :].reshape(rank, kw)
        return (columns @ rows).ravel()

    def residual(factors):  # as many rows as factors, as MINPACK wants
        return np.append(R @ kernel(factors) - y, np.zeros(len(factors)))

    rng = np.random.default_rng(1)
    found = [
        least_squares(residual, rng.standard_normal(rank * (kh + kw)), method="lm", xtol=1e-13, ftol=1e-13)
        for _ in range(8 if rank == 1 else 3)
    ]
    best = min(found, key=lambda one: one.cost)
    return kernel(best.x).reshape(size), 2 * best.cost + rest @ rest


@pytest.mark.parametrize("total", [None, 1.0, 0.0])
@pytest.mark.parametrize(
    ("size", "rank"), [((3, 3), 1), ((5, 5), 1), ((5, 5), 2), ((4, 6), 3), ((2, 5), 1), ((7, 3), 2)]
)
def test_the_error_is_as_small_as_scipy_finds_it(size, rank, total):
    pair = noisy_pair(of_rank(min(size), size, seed=rank), seed=rank)  # of no low rank: much is left out
    ours = learn(*pair, size=size, rank=rank, sum=total)
    theirs, error = by_scipy(*pair, size, rank, total)
    # A penalty lets go of the sum a little.
    assert ours.used * ours.rmse**2 <= error * (1 + (1e-9 if total is None else 1e-5))
    np.testing.assert_allclose(ours.weights, theirs, atol=1e-4 * np.abs(theirs).max())
    assert np.linalg.svd(ours.weights, compute_uv=False)[rank] < 1e-14 * np.abs(ours.weights).sum()
    if total is not None:
        assert ours.weights.sum() == pytest.approx(total, abs=1e-13 * np.abs(ours.weights).sum())


@pytest.mark.parametrize(
    ("size", "rank"), [((3, 3), 1), ((9, 9), 1), ((9, 9), 3), ((6, 11), 2), ((15, 15), 2)]
)
def test_a_noise_free_pair_gives_the_kernel_itself(size, rank):
    kernel = of_rank(rank, size)
    ours = learn(*noisy_pair(kernel, noise=0, shape=(60, 70)), rank=rank)
    np.testing.assert_allclose(ours.weights, kernel, atol=1e-9 * np.abs(kernel).max())
    assert ours.notes == ()


@pytest.mark.parametrize("size", [(3, 3), (5, 7)])
def test_sobel_sums_to_zero_by_its_rows_or_its_columns(size):
    sobel = np.zeros(size)
    sobel[-3:, -3:] = np.outer([1, 2, 1], [1, 0, -1])
    for kernel in (sobel, -sobel[::-1, ::-1], np.roll(sobel, 1, axis=0)):
        ours = learn(*noisy_pair(kernel, noise=0), rank=1, sum=0)
        np.testing.assert_allclose(ours.weights, kernel, atol=1e-9)
    if size[0] == size[1]:
        ours = learn(*noisy_pair(sobel.T, noise=0), rank=1, sum=0)
        np.testing.assert_allclose(ours.weights, sobel.T, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1), (3, 5)])
def test_full_rank_is_the_plain_fit(size):
    moments = Moments.of(*noisy_pair(of_rank(1, size)), size=size)
    for rank in (min(size), min(size) + 4):
        assert solve(moments, rank=rank) == solve(moments)
        assert solve(moments, rank=rank, sum=1) == solve(moments, sum=1)


def test_errors_are_as_large_as_their_bars_and_smaller_than_those_of_free_taps():
    kernel, errors = np.outer([1, 3, -2, 1, 0.5], [1, 2, 4, 1, -1]) / 4, []
    before, clean = noisy_pair(kernel, noise=0, shape=(25, 26))
    rng = np.random.default_rng(2)
    for _ in range(25):
        ours = learn(before, clean + rng.normal(0, 0.5, clean.shape), rank=1)
        errors.append((ours.weights - kernel) / ours.stderr)
        assert ours.rank == 9
    assert 0.85 < np.sqrt(np.mean(np.square(errors))) < 1.15
    plain = learn(before, clean + rng.normal(0, 0.5, clean.shape))
    assert np.median(ours.stderr) < 0.8 * np.median(plain.stderr)
    assert (ours.stderr < 1.2 * plain.stderr).all()


def test_error_bars_are_those_of_the_tangent_plane():
    before, after = noisy_pair(of_rank(1, (3, 4)))
    ours = learn(before, after, rank=1)
    column, row = ours.weights[:, 0], ours.weights[0] / ours.weights[0, 0]
    J = np.column_stack(
        [np.outer(e, row).ravel() for e in np.eye(3)] + [np.outer(column, e).ravel() for e in np.eye(4)[1:]]
    )
    windows = np.lib.stride_tricks.sliding_window_view(before, (3, 4)).reshape(-1, 12)
    A = windows - windows.mean(axis=0)
    covariance = ours.noise**2 * J @ np.linalg.inv(J.T @ A.T @ A @ J) @ J.T
    np.testing.assert_allclose(ours.stderr.ravel(), np.sqrt(np.diag(covariance)), rtol=1e-6)
    assert ours.noise == pytest.approx(ours.rmse * np.sqrt(ours.used / (ours.used - 7)))


def test_a_rank_that_does_not_explain_the_pair_is_said():
    two = of_rank(2, (5, 5))
    assert "rank does not explain the pair: noise" in learn(*noisy_pair(two), rank=1).notes[0]
    assert learn(*noisy_pair(two), rank=2).notes == ()
    assert learn(*noisy_pair(two), rank=3).notes == ("The pair is explained as well by 2 terms: rank=2.",)
    one = noisy_pair(of_rank(1, (5, 5)))
    assert learn(*one, rank=2).notes == ("The pair is explained as well by one term: rank=1.",)


def test_what_the_pair_does_not_tell():
    flat = np.full((20, 22), 7.0)
    for known in ({}, {"sum": 1}):
        ours = learn(flat, 2 * flat, size=3, rank=1, **known)
        np.testing.assert_allclose(ours.weights, known.get("sum", 0) / 9)
        assert np.isinf(ours.stderr).all()
        assert "constant" in ours.notes[0]
    stripes = np.tile(np.random.default_rng(0).standard_normal(40), (30, 1))
    ours = learn(stripes, corr2d(stripes, np.outer([1, 2, 1], [1, 0, -1])), rank=1)
    np.testing.assert_allclose(ours.weights, np.outer([1, 1, 1], [4, 0, -4]) / 3, atol=1e-9)
    assert np.isinf(ours.stderr).any()
    assert "sum of each kernel column" in ours.notes[0]
    nothing = learn(
        np.random.default_rng(0).standard_normal((20, 22)), np.full((20, 22), 3.0), size=3, rank=1
    )
    np.testing.assert_array_equal(nothing.weights, 0)
    assert nothing.bias == 3


def test_fewer_unknowns_need_fewer_pixels():
    kernel = np.outer([1, 2, 1, 3], [1, -2, 1, 2])
    before = np.random.default_rng(0).standard_normal((6, 7))  # 12 pixels, 17 unknowns; of rank 1, 8
    with pytest.raises(ValueError, match="17 unknowns, but only 12 pixels"):
        learn(before, corr2d(before, kernel))
    ours = learn(before, corr2d(before, kernel), rank=1)
    assert np.abs(corr2d(before, ours.weights) + ours.bias - corr2d(before, kernel)).max() < 2


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"rank": 0}, ValueError, "`rank` must be a positive integer, got 0."),
        ({"rank": 1.0}, TypeError, "`rank` must be a positive integer, got 1.0."),
        ({"rank": "1"}, TypeError, "`rank` must be a positive integer, got '1'."),
        ({"rank": 1, "sum": "1"}, TypeError, "`sum` must be a finite number, got '1'."),
        *(
            (
                {"rank": rank} | other,
                ValueError,
                f"`rank` can be combined with `sum`, but not with `{next(iter(other))}`. "
                "Leave out one of them.",
            )
            for rank in (1, 3)  # of full rank too
            for other in (
                {"nonnegative": True},
                {"symmetric": "radial"},
                {"support": np.ones((3, 3), bool)},
                {"family": "box"},
            )
        ),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused(given, error, words):
    with pytest.raises(error) as caught:
        learn(*noisy_pair(of_rank(1, (3, 3))), **given)
    assert str(caught.value) == words
