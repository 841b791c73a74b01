"""Kernels with constraints, against a general-purpose solver on the same problem."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, minimize, nnls

from corr2d import Moments, corr2d, learn
from corr2d.solve import solve
from corr2d.solve.fit import least_squares


def noisy_pair(kernel, shape=(60, 70), noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.standard_normal(shape)
    return before, corr2d(before, kernel) + 0.7 + noise * rng.standard_normal(corr2d(before, kernel).shape)


def squared_error(moments, weights):
    """Give the least squared error that any bias leaves with these weights."""
    total, w = moments.total, np.append(-np.ravel(weights), [0.0, 1.0])
    about = total - np.outer(total[-2], total[-2]) / total[-2, -2]
    return w @ about @ w


def by_scipy(moments, *, sum=None, nonnegative=False, equal=()):  # noqa: A002 (as solve calls it)
    """Minimise the same error with SLSQP; `equal` are pairs of taps."""
    taps = moments.size[0] * moments.size[1]
    rows, values = [], []
    if sum is not None:
        rows.append(np.ones(taps))
        values.append(sum)
    for i, j in equal:
        rows.append(np.eye(taps)[i] - np.eye(taps)[j])
        values.append(0)
    found = minimize(
        lambda w: squared_error(moments, w) / moments.count,
        np.full(taps, (sum or 0.5) / taps),
        method="SLSQP",
        bounds=[(0, None)] * taps if nonnegative else None,
        constraints=[LinearConstraint(np.array(rows), values, values)] if rows else [],
        options={"maxiter": 1000, "ftol": 1e-15},
    )
    return found.x.reshape(moments.size)


KERNELS = {
    "mixed": np.array([[0.2, -0.4, 0.1], [0.5, 1.0, -0.3], [0.0, 0.3, -0.2]]),
    "edge": np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]),
    "blur": np.outer([1, 2, 1], [1, 2, 1]) / 16,
}
MIRRORS = {
    "left-right": [(0, 2), (3, 5), (6, 8)],
    "up-down": [(0, 6), (1, 7), (2, 8)],
    "4-fold": [(0, 2), (0, 6), (0, 8), (1, 3), (1, 5), (1, 7)],
    "radial": [(0, 2), (0, 6), (0, 8), (1, 3), (1, 5), (1, 7)],
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("total", [None, 0, 1, -0.5, 2.5])
@pytest.mark.parametrize("symmetric", [None, *MIRRORS])
def test_the_error_is_as_small_as_scipy_finds_it(symmetric, total, nonnegative, name):
    if nonnegative and total is not None and total < 0:
        pytest.skip("taps that are not negative have no negative sum: refused, see the last test")
    moments = Moments.of(*noisy_pair(KERNELS[name]))
    ours = solve(moments, sum=total, nonnegative=nonnegative, symmetric=symmetric).weights
    theirs = by_scipy(moments, sum=total, nonnegative=nonnegative, equal=MIRRORS.get(symmetric, ()))
    assert squared_error(moments, ours) <= squared_error(moments, theirs) * (1 + 1e-9)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    if total is not None:
        assert ours.sum() == pytest.approx(total, abs=1e-13)
    if nonnegative:
        assert ours.min() >= 0
    for i, j in MIRRORS.get(symmetric, ()):
        assert ours.ravel()[i] == pytest.approx(ours.ravel()[j], abs=1e-14)


@pytest.mark.parametrize("seed", range(8))
def test_nonnegative_is_what_nnls_finds(seed):
    kernel = np.random.default_rng(seed).standard_normal((5, 6))
    moments = Moments.of(*noisy_pair(kernel, seed=seed))
    total = moments.total
    about = total - np.outer(total[-2], total[-2]) / total[-2, -2]
    root = np.linalg.cholesky(about[:30, :30]).T
    theirs = nnls(root, np.linalg.solve(root.T, about[:30, -1]))[0]
    ours = solve(moments, nonnegative=True).weights
    np.testing.assert_allclose(ours.ravel(), theirs, atol=1e-10)
    np.testing.assert_array_equal(ours.ravel() == 0, theirs == 0)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1), (4, 4), (5, 5), (3, 6)])
def test_symmetry_of_even_and_rectangular_windows(size):
    pair = noisy_pair(np.random.default_rng(1).standard_normal(size))
    ours = learn(*pair, symmetric=("left-right", "up-down")).weights
    np.testing.assert_allclose(ours, ours[::-1], atol=1e-14)
    np.testing.assert_allclose(ours, ours[:, ::-1], atol=1e-14)
    if size[0] == size[1]:
        ours = learn(*pair, symmetric="4-fold").weights
        np.testing.assert_allclose(ours, np.rot90(ours), atol=1e-14)
        np.testing.assert_allclose(ours, ours.T, atol=1e-14)


def test_radial_taps_are_equal_where_they_are_equally_far():
    ours = learn(*noisy_pair(np.random.default_rng(2).standard_normal((7, 7))), symmetric="radial").weights
    y, x = np.indices((7, 7)) - 3
    for distance in np.unique(y**2 + x**2):
        assert np.ptp(ours[y**2 + x**2 == distance]) < 1e-14
    assert len(np.unique(ours.round(12))) == len(np.unique(y**2 + x**2))


def padded_problem(before, after, size):
    """Give the matrix of patches and ones, and the target, of a pair without border."""
    windows = np.lib.stride_tricks.sliding_window_view(before.astype(float), size).reshape(after.size, -1)
    return np.column_stack([windows, np.ones(after.size)]), after.ravel().astype(float)


@pytest.mark.parametrize("others", [{}, {"nonnegative": True}], ids=str)
@pytest.mark.parametrize("total", [{}, {"sum": 3}], ids=str)
def test_fixed_taps_stay_and_the_others_agree_with_a_general_solver(total, others):
    options = total | others
    rng = np.random.default_rng(3)
    before = rng.integers(0, 255, (30, 34)).astype(np.uint8)
    after = corr2d(before, rng.normal(size=(3, 3)), dtype=float) + rng.normal(size=(28, 32))
    fixed = np.full((3, 3), np.nan)
    fixed[0, 0], fixed[1, 2] = 0.7, 0.0
    ours = learn(before, after, fixed=fixed, **options)
    assert ours.size == (3, 3)
    known = ~np.isnan(fixed)
    np.testing.assert_array_equal(ours.weights[known], fixed[known])
    assert (ours.stderr[known] == 0).all()
    matrix, target = padded_problem(before, after, (3, 3))
    taps = known.ravel()
    free = np.append(~taps, True)
    target = target - matrix[:, :-1][:, taps] @ fixed.ravel()[taps]
    rules = []
    if "sum" in options:
        rules = [{"type": "eq", "fun": lambda w: w[:-1].sum() + 0.7 - options["sum"]}]
    low = 0 if "nonnegative" in options else None
    start = np.full(free.sum(), 0.1)
    scale = np.abs(matrix[:, free]).max()

    def error(w):
        rest = (matrix[:, free] @ w - target) / scale
        return rest @ rest, 2 * matrix[:, free].T @ rest / scale

    truth = minimize(
        error, start, jac=True, method="SLSQP", constraints=rules, options={"ftol": 1e-15, "maxiter": 1000},
        bounds=[(low, None)] * (len(start) - 1) + [(None, None)],
    ).x  # fmt: skip
    np.testing.assert_allclose(ours.weights[~known], truth[:-1], atol=2e-4)


def test_fixed_taps_with_symmetry_and_colours():
    rng = np.random.default_rng(4)
    before = rng.integers(0, 255, (30, 34, 2)).astype(np.uint8)
    kernel = np.array([[1.0, 2, 1], [2, 7, 2], [1, 2, 1]])
    after = corr2d(before.astype(float), np.stack([kernel, kernel])[None], channel_axis=-1)
    fixed = np.full((3, 3), np.nan)
    fixed[0, 0] = 1
    ours = learn(before, after, fixed=fixed, symmetric="4-fold", channel_axis=-1, mix=True)
    np.testing.assert_allclose(ours.weights, np.stack([kernel, kernel])[None], atol=1e-10)
    assert (ours.stderr[0, :, ::2, ::2] == 0).all()
    everything = learn(before[..., 0], before[1:-1, 1:-1, 0], fixed=kernel)
    np.testing.assert_array_equal(everything.weights, kernel)


def test_support_leaves_zeros_and_gives_the_size():
    kernel = np.array([[0, 1.0, 0, 0], [0.5, -2, 0.25, 0], [0, 1.5, 0, 0]])
    before, after = noisy_pair(kernel)
    ours = learn(before, after, support=kernel != 0)
    assert (ours.weights[kernel == 0] == 0).all()
    assert (ours.stderr[kernel == 0] == 0).all()
    # The same as regression on those pixels alone.
    windows = np.lib.stride_tricks.sliding_window_view(before, kernel.shape)[..., kernel != 0]
    columns = np.column_stack([windows.reshape(-1, 5), np.ones(after.size)])
    truth = np.linalg.lstsq(columns, after.ravel())[0]
    np.testing.assert_allclose(ours.weights[kernel != 0], truth[:5], atol=1e-12)
    assert ours.bias == pytest.approx(truth[5], abs=1e-12)
    same_sized = corr2d(before, kernel, padding="same")
    assert learn(before, same_sized, support=np.ones((3, 4), bool)).size == (3, 4)


@pytest.mark.parametrize("constraint", [{"sum": 1}, {"symmetric": "radial"}, {"nonnegative": True}])
def test_a_noise_free_kernel_that_obeys_comes_back_exactly(constraint):
    before = np.random.default_rng(3).integers(0, 256, (80, 90)).astype(np.uint8)
    kernel = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) / 81
    ours = learn(before, corr2d(before, kernel, dtype=np.float64), **constraint)
    if "symmetric" in constraint:
        kernel_radial = learn(before, corr2d(before, kernel, dtype=np.float64)).weights
        np.testing.assert_allclose(kernel_radial, kernel, atol=1e-13)
        kernel = np.array([[1, 2, 1], [2, 3, 2], [1, 2, 1]]) / 15
        ours = learn(before, corr2d(before, kernel, dtype=np.float64), **constraint)
    np.testing.assert_allclose(ours.weights, kernel, atol=1e-13)


def test_error_bars_are_those_of_the_constrained_fit():
    # Averages of many fits spread as each says, and a constraint that is true narrows them.
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    fits = [learn(*noisy_pair(kernel, (40, 40), 0.5, seed), symmetric="4-fold", sum=1) for seed in range(300)]
    spread = np.std([fit.weights for fit in fits], axis=0)
    said = np.mean([fit.stderr for fit in fits], axis=0)
    np.testing.assert_allclose(spread, said, rtol=0.15)
    plain = learn(*noisy_pair(kernel, (40, 40), 0.5, 0))
    assert (said < plain.stderr).all()
    assert said[0, 0] < 0.5 * plain.stderr[0, 0]  # one of eight that are as one


def test_a_tap_held_at_zero_keeps_its_error_bar():
    pair = noisy_pair(KERNELS["mixed"])
    plain, ours = learn(*pair), learn(*pair, nonnegative=True)
    held = ours.weights == 0
    assert 2 <= held.sum() <= 6
    np.testing.assert_allclose(ours.stderr[held] / ours.noise, plain.stderr[held] / plain.noise, rtol=1e-9)
    assert (ours.stderr[~held] > 0).all()


def test_what_the_pair_leaves_open_stays_finite():
    before = np.tile(np.random.default_rng(4).standard_normal(70), (60, 1))  # says nothing about rows
    after = corr2d(before, np.outer([1, 2, 1], [1, 2, 1]) / 16)
    for constraint in ({"nonnegative": True}, {"sum": 1.0}, {"symmetric": "4-fold"}):
        ours = learn(before, after, **constraint)
        np.testing.assert_allclose(corr2d(before, ours.weights) + ours.bias, after, atol=1e-9)
        assert ours.weights.min() >= 0 or "nonnegative" not in constraint
        assert any("does not change from row to row" in note for note in ours.notes)


def test_a_constant_picture_and_no_tap_at_all_have_an_answer():
    flat = learn(np.ones((20, 20)), np.full((18, 18), 3.0), nonnegative=True)
    assert not flat.weights.any()
    assert flat.bias == 3
    assert any("`before` is constant" in note for note in flat.notes)
    for nonnegative in (False, True):
        pair = noisy_pair(KERNELS["blur"])
        none = learn(*pair, support=np.zeros((3, 3), bool), nonnegative=nonnegative)
        assert not none.weights.any()
        assert none.bias == pytest.approx(pair[1].mean())


def test_several_channels_obey_each():
    before = np.random.default_rng(5).random((2, 50, 60))
    after = np.stack([corr2d(before[0], KERNELS["edge"]), corr2d(before[1], KERNELS["mixed"])])
    ours = learn(before, after, channel_axis=0, per_channel=True, nonnegative=True)
    assert ours.weights.shape == (2, 3, 3)
    assert ours.weights.min() == 0


def test_constraints_reach_moments_too():
    moments = Moments.of(*noisy_pair(KERNELS["blur"]))
    assert moments.solve(sum=1) == solve(moments, sum=1)
    assert moments.solve().weights.sum() != 1


def test_fewer_unknowns_need_fewer_pixels():
    before = np.random.default_rng(6).standard_normal((4, 4))
    after = corr2d(before, KERNELS["blur"])  # 4 pixels, 10 unknowns
    with pytest.raises(ValueError, match="10 unknowns, but only 4 pixels"):
        learn(before, after)
    np.testing.assert_allclose(learn(before, after, symmetric="4-fold").weights, KERNELS["blur"], atol=1e-8)


def test_a_plane_of_kernels_is_searched_where_it_is():
    moments = Moments.of(*noisy_pair(KERNELS["mixed"]))
    start, basis = np.arange(9.0), np.eye(9)[:, :4]
    fit = least_squares(moments.total, start, basis)
    np.testing.assert_allclose(-fit.coefficients[4:9], start[4:])
    assert (fit.rank, fit.free) == (4, 4)
    nothing = least_squares(moments.total, start, np.zeros((9, 0)))
    np.testing.assert_allclose(-nothing.coefficients[:9], start)
    assert nothing.free == 0


@pytest.mark.parametrize(
    ("constraint", "error", "words"),
    [
        ({"sum": "1"}, TypeError, "`sum` must be a finite number"),
        ({"sum": np.nan}, TypeError, "`sum` must be a finite number"),
        ({"sum": -1, "nonnegative": True}, ValueError, "cannot sum to -1"),
        ({"symmetric": "round"}, ValueError, "`symmetric` must be one or some of 'left-right'"),
        ({"symmetric": 4}, TypeError, "`symmetric` must be one or some of"),
        ({"symmetric": ["radial", 3]}, ValueError, "`symmetric` must be one or some of"),
        ({"support": np.ones((3, 3))}, TypeError, "`support` must be a bool array"),
        ({"support": np.ones((2, 2), bool), "size": 3}, ValueError, r"must have the kernel's shape \(3, 3\)"),
        ({"support": np.zeros((3, 3), bool), "sum": 1}, ValueError, "leaves no tap"),
        ({"support": np.ones(3, bool)}, ValueError, "must have two axes"),
        ({"fixed": np.ones(3)}, ValueError, "`fixed` must have two axes"),
        ({"fixed": np.ones((2, 2)), "size": 3}, ValueError, r"`fixed` must have the kernel's shape \(3, 3\)"),
        ({"fixed": np.full((3, 3), np.inf)}, ValueError, "`fixed` must hold finite numbers"),
        ({"fixed": np.ones((3, 3)), "sum": 1}, ValueError, "leaves no tap"),
        ({"fixed": -np.ones((3, 3)), "nonnegative": True}, ValueError, "`fixed` has a tap below zero"),
        (
            {"fixed": np.ones((3, 3)), "support": np.eye(3, dtype=bool)},
            ValueError,
            "`fixed` has a tap where `support` has none",
        ),
        (
            {"fixed": np.arange(9.0).reshape(3, 3), "symmetric": "up-down"},
            ValueError,
            "`fixed` and `symmetric` contradict each other",
        ),
        (
            {"fixed": np.where(np.eye(3), 2, np.nan), "sum": 1, "nonnegative": True},
            ValueError,
            "`fixed` taps leave -5.0 for those",
        ),
        ({"fixed": np.ones((3, 3)), "rank": 1}, ValueError, "not with `fixed`"),
    ],
    ids=str,
)
def test_constraints_without_meaning_are_refused(constraint, error, words):
    with pytest.raises(error, match=words):
        learn(*noisy_pair(KERNELS["blur"]), **constraint)
    with pytest.raises(ValueError, match="must be square"):
        learn(*noisy_pair(np.ones((2, 3))), symmetric="4-fold")
