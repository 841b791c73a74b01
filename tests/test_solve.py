"""Least squares from the sums, against least squares from the explicit matrix of patches."""

from fractions import Fraction
from math import inf, isnan

import numpy as np
import pytest
import scipy.ndimage

from corr2d import Moments, _engine, corr2d, learn
from corr2d.solve.fit import Told, _by_eigenvalues, _by_elimination, exact_product, least_squares, predictor
from corr2d.solve.inverse import SMALL, absolute_product, invert, largest_eigenvalue

SIZES = [(1, 1), (3, 3), (2, 5), (5, 4)]


def patches(before, size):
    """One row for each window, and a column of ones."""
    kh, kw = size
    rows = [
        [*before[y : y + kh, x : x + kw].ravel(), 1.0]
        for y in range(before.shape[0] - kh + 1)
        for x in range(before.shape[1] - kw + 1)
    ]
    return np.array(rows, np.float64)


def noisy_pair(size, noise=0.3, shape=(24, 27), seed=0):
    rng = np.random.default_rng(seed)
    before = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), 0.7) * 10 + 3
    kernel = rng.standard_normal(size)
    after = (patches(before, size)[:, :-1] @ kernel.ravel() + 2).reshape(
        [n - k + 1 for n, k in zip(shape, size, strict=True)]
    )
    return before, after + rng.normal(0, noise, after.shape), kernel


@pytest.mark.parametrize("size", SIZES)
def test_every_figure_equals_the_formula(size):
    before, after, _ = noisy_pair(size)
    learned = learn(before, after, size=size)
    A, y = patches(before, size), after.ravel()
    n, unknowns = A.shape
    answer, _, _, _ = np.linalg.lstsq(A, y)
    residual = y - A @ answer
    noise = np.sqrt(residual @ residual / (n - unknowns))
    errors = noise * np.sqrt(np.diag(np.linalg.inv(A.T @ A)))
    singular = np.linalg.svd(A[:, :-1] - A[:, :-1].mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(learned.weights.ravel(), answer[:-1], rtol=1e-9, atol=1e-11)
    assert learned.bias == pytest.approx(answer[-1], rel=1e-9)
    np.testing.assert_allclose(learned.stderr.ravel(), errors[:-1], rtol=1e-8)
    assert learned.bias_stderr == pytest.approx(errors[-1], rel=1e-8)
    assert learned.noise == pytest.approx(noise, rel=1e-9)
    assert learned.rmse == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-9)
    assert learned.r2 == pytest.approx(1 - residual @ residual / np.sum((y - y.mean()) ** 2), rel=1e-9)
    assert learned.condition == pytest.approx(singular[0] / singular[-1], rel=1e-8)
    assert learned.rank == unknowns - 1
    assert learned.used == n
    assert learned.notes == ()


def test_figures_do_not_depend_on_the_level_of_the_pictures():
    before, after, _ = noisy_pair((3, 3))
    low, high = learn(before, after), learn(before + 1e4, after - 1e5)
    np.testing.assert_allclose(high.weights, low.weights, rtol=1e-8)
    np.testing.assert_allclose(high.stderr, low.stderr, rtol=1e-8)
    assert high.noise == pytest.approx(low.noise, rel=1e-8)
    assert high.bias_stderr > 100 * low.bias_stderr


def test_error_bars_cover():
    size, noise = (3, 3), 0.5
    before, clean, kernel = noisy_pair(size, 0.0, (20, 21))
    rng = np.random.default_rng(7)
    hits, bias_hits, estimates = [], [], []
    for _ in range(300):
        learned = learn(before, clean + rng.normal(0, noise, clean.shape))
        hits.append(np.abs(learned.weights - kernel) <= 1.96 * learned.stderr)
        bias_hits.append(abs(learned.bias - 2) <= 1.96 * learned.bias_stderr)
        estimates.append(learned.noise)
    assert 0.92 < np.mean(hits) < 0.98
    assert 0.92 < np.mean(bias_hits) < 0.98
    assert np.mean(estimates) == pytest.approx(noise, rel=0.02)


# What the pair does not tell


def stripes(axis, shape=(20, 22), seed=0):
    line = np.random.default_rng(seed).integers(1, 250, shape[axis]).astype(np.float64)
    return np.broadcast_to(np.expand_dims(line, 1 - axis), shape).copy()


def low_rank(shape=(20, 22)):
    """A sum of two waves: windows of it lie in four dimensions."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.cos(0.9 * y + 0.4 * x) + 2 * np.cos(0.3 * y - 1.1 * x + 1)


def half_told(shape=(20, 22)):
    """Only the last row varies, which only the last row of the kernel sees."""
    before = np.full(shape, 4.0)
    before[-1] = np.random.default_rng(0).standard_normal(shape[1])
    return before


DEGENERATE = {
    "constant": np.full((20, 22), 7.0),
    "zero": np.zeros((20, 22)),
    "vertical stripes": stripes(1),
    "horizontal stripes": stripes(0),
    "low rank": low_rank(),
    "half told": half_told(),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("size", [(3, 3), (4, 3)])
def test_smallest_kernel_that_fits(name, size):
    before = DEGENERATE[name]
    after = np.random.default_rng(1).standard_normal(
        [n - k + 1 for n, k in zip(before.shape, size, strict=True)]
    )
    A, y = patches(before, size)[:, :-1], after.ravel()
    centred = A - A.mean(axis=0)
    inverse = np.linalg.pinv(centred, rcond=1e-9)
    expected = inverse @ (y - y.mean())
    learned = learn(before, after)
    np.testing.assert_allclose(learned.weights.ravel(), expected, atol=1e-9)
    assert learned.bias == pytest.approx(y.mean() - A.mean(axis=0) @ expected, abs=1e-9)
    assert learned.rank == np.linalg.matrix_rank(centred, tol=1e-9 * max(np.linalg.norm(centred), 1))
    assert learned.condition == inf
    untold = np.abs(np.eye(centred.shape[1]) - inverse @ centred).max(axis=0) > 1e-6
    np.testing.assert_array_equal(np.isinf(learned.stderr).ravel(), untold)
    if name == "half told":
        assert untold.tolist() == [True] * (untold.size - 3) + [False] * 3
    residual = y - y.mean() - centred @ expected
    variance = residual @ residual / (y.size - learned.rank - 1)
    told = ~untold
    np.testing.assert_allclose(
        learned.stderr.ravel()[told], np.sqrt(variance * np.diag(inverse @ inverse.T))[told], rtol=1e-8
    )
    if name == "zero":
        assert learned.bias_stderr == pytest.approx(np.sqrt(variance / y.size))
    else:
        assert learned.bias_stderr == inf


NOTES = {
    "constant": ["`before` is constant: the pair tells nothing about the kernel, only the level of `after`."],
    "vertical stripes": [
        "`before` does not change from row to row: the pair tells only the sum of each kernel column."
    ],
    "horizontal stripes": [
        "`before` does not change from column to column: the pair tells only the sum of each kernel row."
    ],
    "low rank": [
        "The pair determines 4 of the 9 taps' directions; of the kernels that fit, this is the smallest."
    ],
    "half told": [
        "The pair determines 3 of the 9 taps' directions; of the kernels that fit, this is the smallest."
    ],
}


@pytest.mark.parametrize("name", NOTES)
def test_note_says_what_is_untold(name):
    before = DEGENERATE[name]
    after = np.random.default_rng(1).standard_normal((18, 20))
    assert list(learn(before, after).notes) == NOTES[name]


def test_what_a_striped_picture_tells_is_exact():
    kernel = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 10]])
    before = stripes(1)
    after = (patches(before, (3, 3))[:, :-1] @ kernel.ravel()).reshape(18, 20)
    learned = learn(before, after)
    np.testing.assert_allclose(learned.weights.sum(axis=0), kernel.sum(axis=0), rtol=1e-12)
    assert np.isinf(learned.stderr).all()


@pytest.mark.parametrize("level", [7.0, 0.1, 1e9 + 0.1, 0.0])
def test_constant_after_has_no_r2(level):
    before, after, _ = noisy_pair((3, 3))
    learned = learn(before, np.full_like(after, level))
    assert isnan(learned.r2)
    assert learned.to_dict()["r2"] is None
    np.testing.assert_allclose(learned.weights, 0, atol=1e-12)
    assert learned.bias == pytest.approx(level)


def test_as_many_pixels_as_unknowns_leave_the_errors_open():
    before = np.random.default_rng(0).standard_normal((1, 6))
    with pytest.raises(ValueError, match="4 unknowns, but only 3 pixels"):
        learn(before[:, :5], [[1.0, 5.0, 2.0]])
    learned = learn(before, [[1.0, 5.0, 2.0, 0.0]])
    assert np.isinf(learned.stderr).all()
    assert learned.bias_stderr == learned.noise == inf
    np.testing.assert_allclose(
        patches(before, (1, 3)) @ [*learned.weights[0], learned.bias], [1, 5, 2, 0], atol=1e-12
    )


@pytest.mark.parametrize("kind", ["u1", "f8", "f4"])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 4)])
def test_before_that_equals_after_is_noted(kind, size):
    before = np.random.default_rng(0).uniform(1, 250, (30, 31)).astype(kind)
    learned = learn(before, before, size=size)
    assert learned.notes == ("`after` equals `before` wherever it counts: this kernel changes nothing.",)
    smooth = 1e4 + scipy.ndimage.gaussian_filter(before.astype(float), 0.6)  # leaves a bias of rounding only
    assert learn(smooth, smooth, size=size).notes == learned.notes
    changed = before.copy()
    changed[10, 10] += 1
    assert learn(before, changed, size=size).notes == ()


# Numerically hard


def blurred(sigma):
    rng = np.random.default_rng(0)
    return scipy.ndimage.gaussian_filter(rng.uniform(0, 255, (120, 120)), sigma)


@pytest.mark.parametrize("sigma", [0.5, 1, 1.5, 2, 3, 5])
@pytest.mark.parametrize("k", [3, 5, 7])
def test_blurred_picture_is_never_trusted_too_far(sigma, k):
    # Gram matrices with conditions of 1e3 to beyond 1e16: each error bar holds, or is infinite.
    before = blurred(sigma)
    kernel = np.random.default_rng(1).standard_normal((k, k))
    after = np.einsum("yxvu,vu->yx", np.lib.stride_tricks.sliding_window_view(before, (k, k)), kernel)
    learned = learn(before, after)
    assert (np.abs(learned.weights - kernel) <= 2 * learned.stderr).all()
    ones = patches(before[:40, :40], (k, k))
    predicted = ones @ np.append(learned.weights, learned.bias)
    assert np.abs(predicted - after[: 41 - k, : 41 - k].ravel()).max() < 0.01


def test_exact_sums_have_no_rounding_error():
    before = np.random.default_rng(0).integers(0, 256, (30, 30), dtype=np.uint8)
    after = patches(before.astype(int), (3, 3))[:, :-1] @ [0, 1, -2, 3, -4, 5, -6, 7, 9]
    learned = learn(before, after.reshape(28, 28))
    np.testing.assert_allclose(learned.weights, [[0, 1, -2], [3, -4, 5], [-6, 7, 9]], rtol=0, atol=1e-30)
    assert learned.bias == 0
    assert learned.stderr.max() < 1e-30


def test_weights_that_cancel():
    before = 1e3 + np.random.default_rng(0).uniform(0, 1, (40, 40))
    kernel = np.array([[1e8, -1e8], [1e-3, 1]])
    after = patches(before, (2, 2))[:, :-1] @ kernel.ravel()
    learned = learn(before, after.reshape(39, 39))
    np.testing.assert_allclose(learned.weights, kernel, atol=1e-9 * 1e8)
    assert (np.abs(learned.weights - kernel) <= 3 * learned.stderr).all()


@pytest.mark.parametrize("outlier", [1e6, 1e12, 1e20])
def test_one_enormous_pixel_of_before_is_believed(outlier):
    before, _, kernel = noisy_pair((3, 3), shape=(40, 40))
    before[20, 20] = outlier
    after = np.einsum("yxvu,vu->yx", np.lib.stride_tricks.sliding_window_view(before, (3, 3)), kernel)
    learned = learn(before, after)
    np.testing.assert_allclose(learned.weights, kernel, rtol=1e-9)
    assert np.isfinite(learned.bias_stderr)
    assert abs(learned.bias) <= 3 * learned.bias_stderr


def test_one_enormous_pixel_of_after_widens_the_error_bars():
    before, after, kernel = noisy_pair((3, 3), shape=(40, 40))
    after[20, 20] = 1e20
    learned = learn(before, after)
    assert (np.abs(learned.weights - kernel) < 10 * learned.stderr).all()
    assert learned.r2 < 0.1


# The parts


@pytest.mark.parametrize("size", SIZES)
def test_predictor_equals_least_squares(size):
    before, after, _ = noisy_pair(size)
    total = Moments.of(before, after, size=size).total
    np.testing.assert_allclose(predictor(total), least_squares(total).coefficients, atol=1e-10)


@pytest.mark.parametrize("name", DEGENERATE)
def test_predictor_of_a_degenerate_picture_is_least_squares(name):
    total = Moments.of(DEGENERATE[name], np.random.default_rng(0).standard_normal((18, 20))).total
    np.testing.assert_array_equal(predictor(total), least_squares(total).coefficients)


def test_residuals_are_orthogonal_to_the_windows():
    before, after, _ = noisy_pair((3, 3))
    total = Moments.of(before, after).total
    product = total @ least_squares(total).coefficients
    np.testing.assert_allclose(product[:-1], 0, atol=1e-9)


def test_moments_solve_themselves():
    before, after, _ = noisy_pair((3, 3))
    assert Moments.of(before, after).solve(named=False) == learn(before, after, examine=False)


def test_zeros_are_zeros():
    # Corrected twice, a weight that is zero comes out as 1e-40 unless it is told from rounding.
    before = np.random.default_rng(4).integers(0, 256, (60, 70)).astype(float)
    emboss = np.array([[0.0, 0, 0], [0, 1, 0], [-1, 0, 0]])
    kernel = learn(before, corr2d(before, emboss) + 128)
    assert np.array_equal(kernel.weights, emboss)
    assert (kernel.bias, kernel.noise) == (128, 0)


# Products that cancel


def exactly(matrix, vector):
    """Give matrix @ vector in fractions, each rounded once."""
    of_vector = [Fraction(b) for b in vector.tolist()]
    return [
        float(sum((Fraction(a) * b for a, b in zip(row, of_vector, strict=True)), Fraction(0)))
        for row in matrix.tolist()
    ]


@pytest.mark.parametrize("columns", [0, 1, 2, 3, 4, 5, 7, 8, 9, 130])
def test_products_are_right_to_the_last_bit(columns):
    rng = np.random.default_rng(columns)
    matrix = rng.standard_normal((70, columns)) * 10.0 ** rng.integers(-8, 8, (70, columns))
    vector = rng.standard_normal(columns) * 10.0 ** rng.integers(-8, 8, columns)
    np.testing.assert_array_equal(exact_product(matrix, vector), exactly(matrix, vector))


@pytest.mark.parametrize("columns", [2, 3, 6, 41])
def test_products_that_cancel_to_1e_30_keep_their_digits(columns):
    # Each row is made orthogonal to the vector, to float64 and then once more.
    rng = np.random.default_rng(columns)
    vector = rng.standard_normal(2 * columns)
    matrix = rng.standard_normal((20, 2 * columns))
    matrix[:, columns:] = -matrix[:, :columns]
    vector[columns:] = vector[:columns]
    vector[-1] *= 1 + 2.0**-52
    np.testing.assert_array_equal(exact_product(matrix, vector), exactly(matrix, vector))
    matrix[:, -1] *= 1 + 2.0**-52  # what is left is a product of two last bits
    matrix[:, 0] += 2.0**-30 * matrix[:, 0]
    matrix[:, columns] -= 2.0**-30 * matrix[:, 0]
    truth = np.array(exactly(matrix, vector))
    assert np.abs(truth).max() < 1e-8
    np.testing.assert_allclose(exact_product(matrix, vector), truth, rtol=4e-16)


def test_products_have_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    matrix, vector = rng.standard_normal((333, 50)), rng.standard_normal(50)
    one, four = np.empty(333), np.empty(333)
    _engine.exact_products(matrix, vector, one, 1)
    _engine.exact_products(matrix, vector, four, 4)
    np.testing.assert_array_equal(one, four)


def test_products_want_shapes_that_fit():
    for matrix, vector, out, threads in [((3, 4), 3, 3, 1), ((3, 4), 4, 4, 1), ((3, 4), 4, 3, 0)]:
        with pytest.raises(ValueError):  # noqa: PT011 (the engine speaks to us, not to users)
            _engine.exact_products(np.ones(matrix), np.ones(vector), np.ones(out), threads)


# Large windows


def gram_of(order, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((2 * order + 3, order)) * np.geomspace(1, spread, order)
    return a.T @ a


@pytest.mark.parametrize("order", [1, 2, SMALL, SMALL + 1, 400, 800])
@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_inverse_in_place(order, spread):
    gram = gram_of(order, spread=spread)
    found = np.tril(gram) + np.triu(np.full_like(gram, np.nan), 1)  # only the lower triangle is read
    assert invert(found, 1e-30)
    np.testing.assert_array_equal(found, found.T)
    scale = np.sqrt(np.diag(gram))
    np.testing.assert_allclose(gram @ found * scale / scale[:, None], np.eye(order), atol=1e-10)


@pytest.mark.parametrize("order", [3, SMALL + 1, 500])
def test_only_eigenvalues_above_the_least_are_inverted(order):
    gram = gram_of(order)
    least = np.linalg.eigvalsh(gram)[0]
    assert invert(gram.copy(), 0.9 * least / np.sqrt(order))
    assert not invert(gram.copy(), 1.01 * least)
    gram[-1, -1] -= 10 * order + 1e3  # one eigenvalue below zero
    assert not invert(gram.copy(), 0.0)


@pytest.mark.parametrize("order", [1, 5, 60, 300])
@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_extreme_eigenvalues(order, spread):
    gram = gram_of(order, spread=spread)
    values = np.linalg.eigvalsh(gram)
    assert largest_eigenvalue(gram.__matmul__, order) == pytest.approx(values[-1], rel=3e-4)
    inverse = np.linalg.inv(gram)
    assert largest_eigenvalue(inverse.__matmul__, order) == pytest.approx(1 / values[0], rel=3e-4)


@pytest.mark.parametrize("rows", [1, 767, 768, 1700])
def test_product_of_absolute_values(rows):
    rng = np.random.default_rng(rows)
    matrix, vector = rng.standard_normal((rows, 9)), rng.standard_normal(9)
    np.testing.assert_allclose(absolute_product(matrix, vector), np.abs(matrix) @ np.abs(vector), rtol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (18, 17)])
@pytest.mark.parametrize("constrained", [False, True])
def test_elimination_equals_eigenvalues(size, constrained):
    before, after, _ = noisy_pair(size, shape=(60, 61))
    total = Moments.of(before, after, size=size).total
    taps = size[0] * size[1]
    basis = None
    if constrained:  # all taps but the last
        basis = np.linalg.qr(np.random.default_rng(0).standard_normal((taps, taps)))[0][:, : max(1, taps - 1)]
    quick, slow = _by_elimination(total, basis), _by_eigenvalues(Told.of(total, basis))
    np.testing.assert_allclose(quick.inverse, slow.inverse, rtol=0, atol=1e-10 * np.abs(slow.inverse).max())
    assert quick.condition == pytest.approx(slow.condition, rel=3e-4)
    assert (quick.rank, quick.free) == (slow.rank, slow.free) == (max(1, taps - constrained),) * 2
    assert not quick.untold.any()
    assert not slow.untold.any()


def test_every_figure_of_a_large_window_equals_the_formula():
    size = (17, 19)
    before, after, _ = noisy_pair(size, shape=(70, 66))
    learned = learn(before, after)
    A, y = patches(before, size), after.ravel()
    answer = np.linalg.lstsq(A, y)[0]
    residual = y - A @ answer
    noise = np.sqrt(residual @ residual / (len(y) - A.shape[1]))
    errors = noise * np.sqrt(np.diag(np.linalg.inv(A.T @ A)))
    np.testing.assert_allclose(learned.weights.ravel(), answer[:-1], atol=1e-11)
    np.testing.assert_allclose(learned.stderr.ravel(), errors[:-1], rtol=1e-8)
    assert learned.bias_stderr == pytest.approx(errors[-1], rel=1e-8)
    assert learned.noise == pytest.approx(noise, rel=1e-9)
    assert learned.rank == 17 * 19
    assert learned.condition == pytest.approx(np.linalg.cond(A[:, :-1] - A[:, :-1].mean(axis=0)), rel=3e-4)


def test_what_a_large_window_leaves_open_is_found():
    before = stripes(1, shape=(60, 62))
    learned = learn(before, np.random.default_rng(0).standard_normal((44, 46)))
    assert learned.rank == 17
    assert learned.condition == inf
    assert np.isinf(learned.stderr).all()


def test_one_fold_is_not_copied():
    moments = Moments.of(*noisy_pair((50, 3), shape=(200, 60))[:2])
    moments = Moments(moments.size, moments.sums[:1], moments.center, moments.count)
    assert np.shares_memory(moments.total, moments.sums)
