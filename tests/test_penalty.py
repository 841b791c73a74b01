"""Kernels under a penalty, against general-purpose solvers on the stacked patches, and against the truth."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.ndimage
from scipy.optimize import lsq_linear

from corr2d import Kernel, Moments, corr2d, learn
from corr2d.solve import solve
from corr2d.solve.constraints import Constraints
from corr2d.solve.penalty import _STRENGTHS, Penalty, _in_units, _path, few_blocks, pulled_least_squares

SIZES = [(1, 1), (1, 5), (4, 1), (3, 3), (2, 5), (4, 4)]
PENALTIES = [{"ridge": 0.3}, {"smooth": 0.2}, {"ridge": 1e-3, "smooth": 2.0}]


def gaussian(k, sigma):
    line = np.exp(-(((np.arange(k) - k // 2) / sigma) ** 2) / 2)
    return np.outer(line, line) / line.sum() ** 2


def noisy_pair(size, noise=0.5, shape=(24, 27), seed=0):
    """A pair of a random kernel, whose `before` is blurred a little and far from zero."""
    rng = np.random.default_rng(seed)
    before = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), 0.6) * 10 + 40
    after = corr2d(before, rng.standard_normal(size)) + 2
    return before, after + rng.normal(0, noise, after.shape)


def patches(before, size):
    """One row for each window."""
    kh, kw = size
    h, w = before.shape
    return np.array(
        [before[y : y + kh, x : x + kw].ravel() for y in range(h - kh + 1) for x in range(w - kw + 1)]
    )


def steps(size):
    """One row for each step between neighbours, into the zeros around too; none along a single tap."""
    kh, kw = size
    place = {(v, u): v * kw + u for v in range(kh) for u in range(kw)}
    rows = []
    for (dv, du), taps in {(1, 0): kh, (0, 1): kw}.items():
        for v in range(-1, kh):
            for u in range(-1, kw):
                ends = place.get((v, u)), place.get((v + dv, u + du))
                if taps > 1 and ends != (None, None):
                    row = np.zeros(kh * kw)
                    for end, sign in zip(ends, (-1, 1), strict=True):
                        if end is not None:
                            row[end] = sign
                    rows.append(row)
    return np.array(rows).reshape(-1, kh * kw)


def stacked(before, after, size, ridge=0.0, smooth=0.0):
    """Give the centred patches and targets, with a row for each term of the penalty below them."""
    X = patches(before, size)
    centred, y = X - X.mean(axis=0), after.ravel() - after.mean()
    s = (centred**2).sum() / X.shape[1]
    D = steps(size)
    A = np.concatenate([centred, np.sqrt(ridge * s) * np.eye(X.shape[1]), np.sqrt(smooth * s) * D])
    return A, np.concatenate([y, np.zeros(X.shape[1] + len(D))])


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_every_figure_is_that_of_the_stacked_rows(size, penalty):
    before, after = noisy_pair(size)
    ours = Moments.of(before, after, size=size).solve(errors="white", **penalty)
    A, y = stacked(before, after, size, **penalty)
    weights = np.linalg.lstsq(A, y)[0]
    np.testing.assert_allclose(ours.weights.ravel(), weights, rtol=1e-8, atol=1e-11)
    X = patches(before, size)
    centred, n = X - X.mean(axis=0), len(X)
    bias = after.mean() - X.mean(axis=0) @ weights
    assert ours.bias == pytest.approx(bias, rel=1e-9)
    residual = after.ravel() - X @ weights - bias
    hat = np.linalg.pinv(A)[:, :n]  # from noise to weights
    noise = np.sqrt(residual @ residual / (n - np.trace(hat @ centred) - 1))
    # The noise has no mean in the centred targets: hat's rows sum to zero.
    np.testing.assert_allclose(ours.stderr.ravel(), noise * np.sqrt((hat**2).sum(axis=1)), rtol=1e-7)
    from_noise = 1 / n - X.mean(axis=0) @ hat
    assert ours.bias_stderr == pytest.approx(noise * np.linalg.norm(from_noise), rel=1e-7)
    assert ours.noise == pytest.approx(noise, rel=1e-8)
    assert ours.rmse == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-8)
    plain = learn(before, after, size=size)
    assert (ours.rank, ours.used) == (plain.rank, plain.used)
    assert ours.condition == pytest.approx(plain.condition)
    if size != (1, 1) or "ridge" in penalty:
        assert ours.r2 < plain.r2


def by_equations(A, y, C, d):
    """Minimise |A w - y|^2 where C w = d, by its Lagrange multipliers."""
    taps, rows = A.shape[1], len(C)
    system = np.block([[A.T @ A, C.T], [C, np.zeros((rows, rows))]])
    return np.linalg.lstsq(system, np.concatenate([A.T @ y, d]))[0][:taps]


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_equations_hold_under_a_penalty(penalty):
    before, after = noisy_pair((3, 3))
    A, y = stacked(before, after, (3, 3), **penalty)
    mirrors = [np.eye(9)[i] - np.eye(9)[j] for i, j in ((0, 2), (3, 5), (6, 8))]
    C = np.array([np.ones(9), *mirrors])
    ours = learn(before, after, sum=2.5, symmetric="left-right", **penalty).weights.ravel()
    np.testing.assert_allclose(ours, by_equations(A, y, C, [2.5, 0, 0, 0]), atol=1e-9)
    support = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    ours = learn(before, after, support=support, **penalty).weights
    assert (ours[~support] == 0).all()
    np.testing.assert_allclose(ours[support], np.linalg.lstsq(A[:, support.ravel()], y)[0], atol=1e-9)


@pytest.mark.parametrize("penalty", [{"ridge": 1e-10}, {"smooth": 1e-10}], ids=str)
def test_equations_hold_where_the_penalty_is_weak_and_alone(penalty):
    before = np.tile(np.random.default_rng(0).standard_normal(40), (30, 1))  # says nothing about rows
    after = corr2d(before, gaussian(3, 1))
    ours = learn(before, after, sum=1, **penalty)
    assert ours.weights.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_nonnegative_is_what_scipy_finds_with_bounds(seed, penalty):
    size = (4, 5)
    before, after = noisy_pair(size, noise=3.0, seed=seed)
    A, y = stacked(before, after, size, **penalty)
    theirs = lsq_linear(A, y, (0, np.inf), method="bvls", tol=1e-14).x
    ours = learn(before, after, nonnegative=True, **penalty).weights.ravel()
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert 0 < (ours == 0).sum() < 20


@pytest.mark.parametrize("strengths", [*PENALTIES, {"ridge": "auto"}, {"smooth": "auto"}], ids=str)
def test_scaling_either_picture_changes_nothing(strengths):
    before, after = noisy_pair((5, 5), noise=20.0)
    ours = learn(before, after, **strengths)
    scaled = learn(1e-6 * before + 7, 1e4 * after - 3, **strengths)
    np.testing.assert_allclose(scaled.weights, 1e10 * ours.weights, rtol=1e-6)
    np.testing.assert_allclose(scaled.stderr, 1e10 * ours.stderr, rtol=1e-6)
    assert scaled.provenance == ours.provenance
    assert float(next(iter(ours.provenance.values()))) > 0


@pytest.mark.parametrize("scale", [1e-85, 1e85])
@pytest.mark.parametrize("name", ["ridge", "smooth"])
def test_strengths_are_chosen_to_the_ends_of_the_range_of_floats(name, scale):
    before, after = noisy_pair((5, 5), noise=20.0)
    ours = learn(before, after, **{name: "auto"})
    before -= before.mean()
    assert learn(scale * before, scale * after, **{name: "auto"}).provenance == ours.provenance


def test_strength_zero_is_no_penalty():
    pair = noisy_pair((3, 3))
    assert learn(*pair, ridge=0, smooth=0.0) == learn(*pair)


def test_more_strength_pulls_more():
    before, after = noisy_pair((5, 5))
    lengths = [np.linalg.norm(learn(before, after, ridge=r).weights) for r in (0, 1e-4, 0.01, 1, 100, 1e12)]
    assert all(a > b for a, b in pairwise(lengths))
    assert lengths[-1] < 1e-9
    D = steps((5, 5))
    rough = [
        np.linalg.norm(D @ learn(before, after, smooth=r).weights.ravel()) for r in (0, 1e-4, 0.01, 1, 100)
    ]
    assert all(a > b for a, b in pairwise(rough))


# The strength that held-out blocks ask for


def by_hand(moments, name, C=(), d=(), **fixed):
    """Choose as documented, with one solve for each strength and block; where C w = d."""
    folds = moments.sums[:8] + moments.sums[8:]
    taps = moments.size[0] * moments.size[1]

    def centred(total):
        return total - np.outer(total[-2], total[-2]) / total[-2, -2]

    s = np.trace(centred(moments.total)[:taps, :taps]) / taps
    C = np.reshape(C, (len(C), taps))
    D = steps(moments.size)
    penalties = {"ridge": np.eye(taps), "smooth": D.T @ D}
    errors = np.zeros((len(folds), len(_STRENGTHS)))
    for i, held_out in enumerate(folds):
        rest = moments.total - held_out
        for j, strength in enumerate(_STRENGTHS):
            about = centred(rest)
            pull = s * strength * penalties[name]
            for other, number in fixed.items():
                pull = pull + s * number * penalties[other]
            system = np.block([[about[:taps, :taps] + pull, C.T], [C, np.zeros((len(C), len(C)))]])
            w = np.linalg.solve(system, np.concatenate([about[:taps, -1], d]))[:taps]
            b = (rest[-1, -2] - rest[:taps, -2] @ w) / rest[-2, -2]
            c = np.array([*-w, -b, 1])
            errors[i, j] = c @ held_out @ c
    best, chosen = errors.sum(axis=0).argmin(), 0.0
    counts, n = folds[:, -2, -2], moments.count
    for j, strength in enumerate(_STRENGTHS):
        excess = errors[:, j] - errors[:, best]
        mean = excess.sum() / n
        if mean <= np.sqrt(8 / 7 * ((excess - mean * counts) ** 2).sum()) / n:
            chosen = strength
    return chosen


@pytest.mark.parametrize(
    ("name", "fixed"),
    [("ridge", {}), ("smooth", {}), ("smooth", {"ridge": 0.01}), ("ridge", {"smooth": 0.1})],
)
@pytest.mark.parametrize("noise", [1, 10, 100])
def test_the_strength_is_what_is_chosen_by_hand(noise, name, fixed):
    moments = Moments.of(*noisy_pair((5, 5), noise=noise, shape=(50, 61)))
    ours = solve(moments, **{name: "auto"}, **fixed)
    expected = by_hand(moments, name, **fixed)
    assert float(ours.provenance[name]) == expected
    again = solve(moments, **{name: expected}, **fixed)
    np.testing.assert_array_equal(ours.weights, again.weights)


@pytest.mark.parametrize("name", ["ridge", "smooth"])
def test_the_strength_is_what_is_chosen_by_hand_among_kernels_of_a_sum(name):
    moments = Moments.of(*noisy_pair((3, 4), noise=30.0, shape=(40, 41)))
    support = np.ones((3, 4), bool)
    support[0, :2] = False
    C = np.concatenate([np.ones((1, 12)), np.eye(12)[:2]])
    ours = solve(moments, **{name: "auto"}, sum=-7, support=support)
    assert float(ours.provenance[name]) == by_hand(moments, name, C, [-7, 0, 0]) > 0


@pytest.mark.parametrize("penalty", [Penalty(1.0, 0.0), Penalty(0.0, 1.0)], ids=str)
@pytest.mark.parametrize("known", [None, 2.5], ids=str)
def test_the_path_is_the_fit_at_every_strength(known, penalty):
    total = Moments.of(*noisy_pair((3, 4))).total
    constraints = Constraints.resolve((3, 4), sum=known, nonnegative=True, symmetric=None, support=None)
    unit = penalty.matrix(total, (3, 4))
    path = _path(total, *_in_units(unit, *constraints.plane()), _STRENGTHS)
    for strength, coefficients in zip(_STRENGTHS, path.T, strict=True):
        fit = pulled_least_squares(total, strength * unit, *constraints.plane())
        np.testing.assert_allclose(coefficients, fit.coefficients, atol=1e-9)


def test_the_strength_is_chosen_among_kernels_that_are_what_is_known():
    # What is known leaves the noise less to spoil, and the penalty less to do.
    before = np.random.default_rng(0).standard_normal((40, 44))
    kernel = gaussian(5, 1.0)
    after = corr2d(before, kernel) + np.random.default_rng(1).normal(0, 1.0, (36, 40))
    free, radial = (
        float(learn(before, after, ridge="auto", symmetric=symmetric).provenance["ridge"])
        for symmetric in (None, "radial")
    )
    assert radial < free
    ours = learn(before, after, smooth="auto", symmetric="radial", sum=1)
    assert ours.weights.sum() == pytest.approx(1, abs=1e-12)
    assert float(ours.provenance["smooth"]) > 0


@pytest.mark.parametrize("name", ["ridge", "smooth"])
@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_auto_is_nearer_to_the_truth_than_no_penalty(sigma, name):
    kernel, ratios = gaussian(9, sigma), []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        before = scipy.ndimage.gaussian_filter(rng.uniform(0, 255, (70, 80)), 0.8)
        after = corr2d(before, kernel) + rng.normal(0, 2, (62, 72))
        plain, ours = learn(before, after).weights, learn(before, after, **{name: "auto"}).weights
        ratios.append(np.sum((ours - kernel) ** 2) / np.sum((plain - kernel) ** 2))
    assert max(ratios) < 0.5
    assert np.mean(ratios) < 0.15


def test_pairs_without_relation_are_pulled_to_nothing():
    rng = np.random.default_rng(0)
    before, after = rng.standard_normal((2, 60, 60))
    ours, plain = learn(before, after, size=9, ridge="auto"), learn(before, after, size=9)
    assert np.linalg.norm(ours.weights) < 0.2 * np.linalg.norm(plain.weights)


@pytest.mark.parametrize("name", ["ridge", "smooth"])
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_a_noise_free_pair_needs_no_penalty(kind, name):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (50, 60)).astype(kind)
    kernel = rng.standard_normal((5, 5))
    ours = learn(before, corr2d(before.astype(np.float64), kernel), **{name: "auto"})
    assert ours.provenance == {name: "0.0"}
    assert ours.notes[0] == f"{name}=0 was chosen: blocks left out of the fit ask for none."
    np.testing.assert_allclose(ours.weights, kernel, rtol=1e-9)


def test_the_size_is_found_as_without():
    photo = np.random.default_rng(0).uniform(0, 255, (90, 100))
    after = scipy.ndimage.correlate(photo, gaussian(5, 1.0)) + np.random.default_rng(1).normal(
        0, 1, (90, 100)
    )
    assert learn(photo, after, smooth="auto").size == learn(photo, after).size == (5, 5)


def test_more_than_half_in_one_block_cannot_be_chosen_on():
    before, after = noisy_pair((3, 3), shape=(60, 60))
    after[12:] = after[:, 12:] = np.nan
    with pytest.raises(ValueError, match="half of the pixels"):
        learn(before, after, smooth="auto", weights=np.full(after.shape, 1e-4))
    with pytest.raises(ValueError, match="half of the pixels") as caught:
        learn(before, after, smooth="auto")
    assert str(caught.value) == (
        "`smooth` must be a number: more than half of the pixels that count lie in one block of the picture, "
        "and too few outside it to choose a strength on."
    )
    assert learn(before, after, smooth=0.1).provenance == {"smooth": "0.1"}


def test_blocks_are_joined_unless_one_would_hold_most_pixels():
    sums = np.zeros((16, 3, 3))
    sums[:, -2, -2] = np.arange(16)
    joined = few_blocks(sums)
    np.testing.assert_array_equal(joined[:, -2, -2], np.arange(8) + np.arange(8, 16))
    sums[:, -2, -2] = 0
    sums[[0, 8, 9], -2, -2] = 1  # the first and the ninth would be joined
    np.testing.assert_array_equal(few_blocks(sums), sums)
    np.testing.assert_array_equal(few_blocks(sums[:2]), sums[:2])


@pytest.mark.parametrize("name", ["ridge", "smooth"])
def test_a_background_is_pulled_by_nothing(name):
    before, after = noisy_pair((5, 5), noise=10.0, shape=(50, 61))
    plain = learn(before, after, background=1, **{name: "auto"})
    slope = 1e4 * np.linspace(-1, 1, after.shape[0])[:, None]
    tilted = learn(before, after + slope, background=1, **{name: "auto"})
    assert tilted.provenance == plain.provenance
    assert float(plain.provenance[name]) > 0
    np.testing.assert_allclose(tilted.weights, plain.weights, rtol=1e-6)
    assert tilted.noise == pytest.approx(plain.noise, rel=1e-6)


def test_mixed_channels_are_smooth_each_on_its_own():
    before = np.random.default_rng(0).standard_normal((2, 24, 27))
    kernels = np.random.default_rng(1).standard_normal((2, 3, 4))
    after = sum(corr2d(plane, kernel) for plane, kernel in zip(before, kernels, strict=True))[None]
    ours = learn(before, after, channel_axis=0, mix=True, smooth=0.3)
    X = np.concatenate([patches(plane, (3, 4)) for plane in before], axis=1)
    centred = X - X.mean(axis=0)
    s = (centred**2).sum() / 24
    A = np.concatenate([centred, np.sqrt(0.3 * s) * np.kron(np.eye(2), steps((3, 4)))])
    y = np.append(after.ravel() - after.mean(), np.zeros(len(A) - len(X)))
    np.testing.assert_allclose(ours.weights.ravel(), np.linalg.lstsq(A, y)[0], atol=1e-9)
    assert ours.provenance == {"smooth, channel 0": "0.3"}


# What is said of it


def test_error_bars_are_those_of_the_pulled_fit():
    # Fits of one kernel under other noise spread as each says, about what the penalty pulls them to.
    rng = np.random.default_rng(0)
    before = scipy.ndimage.gaussian_filter(rng.standard_normal((40, 40)), 0.7)
    kernel = gaussian(3, 0.8)
    clean = corr2d(before, kernel)
    fits = [
        learn(before, clean + rng.normal(0, 0.5, clean.shape), ridge=0.1, smooth=0.05) for _ in range(300)
    ]
    weights = [fit.weights for fit in fits]
    said = np.mean([fit.stderr for fit in fits], axis=0)
    np.testing.assert_allclose(np.std(weights, axis=0), said, rtol=0.15)
    assert np.std([fit.bias for fit in fits]) == pytest.approx(fits[0].bias_stderr, rel=0.15)
    assert np.mean([fit.noise for fit in fits]) == pytest.approx(0.5, rel=0.02)
    assert (np.abs(np.mean(weights, axis=0) - kernel) > said).any()  # which the bars do not include


def test_a_tap_held_at_zero_keeps_the_error_bar_that_it_has_under_the_penalty():
    pair = noisy_pair((3, 3), noise=3.0)
    free, ours = (learn(*pair, ridge=0.2, nonnegative=nonnegative) for nonnegative in (False, True))
    held = ours.weights == 0
    assert 0 < held.sum() < 9
    np.testing.assert_allclose(ours.stderr[held] / ours.noise, free.stderr[held] / free.noise, rtol=1e-9)


def test_what_the_pair_leaves_open_stays_open():
    line = np.random.default_rng(0).standard_normal(60)
    before = np.tile(line, (50, 1))
    after = corr2d(before, gaussian(3, 1)) + np.random.default_rng(1).normal(0, 0.1, (48, 58))
    for penalty in ({"ridge": 0.1}, {"smooth": 0.1}, {"ridge": "auto"}):
        ours = learn(before, after, **penalty)
        assert np.isinf(ours.stderr).all()
        assert (ours.rank, ours.condition) == (3, np.inf)
        assert any("does not change from row to row" in note for note in ours.notes)
        assert np.isfinite(ours.noise)
    wave = np.add.outer(np.zeros(50), np.cos(0.7 * np.arange(60))) + np.cos(1.1 * np.arange(50))[:, None]
    ours = learn(wave, wave[1:-1, 1:-1], ridge=0.1)
    assert (
        "The pair determines 4 of the 9 taps' directions; the penalty alone decides the rest."
    ) in ours.notes


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_a_penalty_decides_where_pixels_are_fewer_than_unknowns(penalty):
    before, after = noisy_pair((3, 3), shape=(4, 5))  # 6 pixels, 10 unknowns
    with pytest.raises(ValueError, match="10 unknowns, but only 6 pixels"):
        learn(before, after)
    ours = learn(before, after, **penalty)
    A, y = stacked(before, after, (3, 3), **penalty)
    np.testing.assert_allclose(ours.weights.ravel(), np.linalg.lstsq(A, y)[0], atol=1e-8)
    assert np.isinf(ours.stderr).all()
    assert learn(before, after, ridge=1e-4).noise == np.inf  # less than one degree of freedom is left


@pytest.mark.parametrize("name", ["ridge", "smooth"])
def test_the_strength_is_never_zero_where_pixels_are_few(name):
    y, x = np.mgrid[:7, :8]
    wave = np.cos(0.9 * y + 0.4 * x)  # its windows lie in two dimensions: twelve tell all that there is
    ours = learn(wave, wave[2:-2, 2:-2], **{name: "auto"})
    assert ours.provenance == {name: "1e-10"}
    assert ours.rank == 2
    np.testing.assert_allclose(corr2d(wave, ours.weights) + ours.bias, wave[2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize("strength", [0.1, "auto"])
def test_one_pixel_or_a_constant_picture_tells_nothing(strength):
    with pytest.raises(ValueError, match="10 unknowns, but only 1 pixels"):
        learn(np.eye(3), [[1.0]], ridge=strength)
    with pytest.raises(ValueError, match="10 unknowns, but only 0 pixels"):
        learn(np.eye(3), [[np.nan]], ridge=strength)
    with pytest.raises(ValueError, match="10 unknowns, but only 2 pixels"):
        learn(np.ones((3, 4)), [[1.0, 2.0]], ridge=strength)
    flat = learn(np.ones((20, 20)), np.full((18, 18), 3.0), ridge=strength, nonnegative=True)
    assert not flat.weights.any()
    assert flat.bias == 3
    assert any("`before` is constant" in note for note in flat.notes)


@pytest.mark.parametrize("known", [{}, {"sum": 0}, {"nonnegative": True}], ids=str)
def test_no_tap_at_all_has_an_answer(known):
    before, after = noisy_pair((3, 3))
    ours = learn(before, after, support=np.zeros((3, 3), bool), smooth="auto", **known)
    assert not ours.weights.any()
    assert ours.bias == pytest.approx(after.mean())
    assert ours.provenance == {"smooth": "0.0"}


@pytest.mark.parametrize("strength", [2.0, "auto"])
def test_one_tap_has_no_neighbours(strength):
    before, after = noisy_pair((1, 1))
    ours, plain = learn(before, after, size=1, smooth=strength), learn(before, after, size=1)
    np.testing.assert_array_equal(ours.weights, plain.weights)
    assert ours.notes == ("A kernel of one tap has no neighbours: `smooth` changes nothing.",)


def test_notes_say_what_pulls_and_provenance_how_much():
    moments = Moments.of(*noisy_pair((3, 3), noise=20.0))
    ours = moments.solve(ridge=0.25, smooth=1)
    assert ours.notes == (
        "ridge=0.25 pulls taps towards zero and smooth=1 pulls neighbouring taps towards each other; the "
        "error bars do not include that.",
    )
    assert ours.provenance == {"ridge": "0.25", "smooth": "1.0"}
    assert Kernel.from_dict(ours.to_dict()) == ours
    chosen = moments.solve(ridge="auto")
    strength = float(chosen.provenance["ridge"])
    assert chosen.notes == (
        f"ridge={strength:.3g} was chosen: the strongest that predicts blocks left out of the fit as well as "
        f"any.",
        f"ridge={strength:.3g} pulls taps towards zero; the error bars do not include that.",
    )
    np.testing.assert_array_equal(moments.solve(ridge=strength).weights, chosen.weights)


def test_the_strongest_tried_is_said_to_be():
    before = np.random.default_rng(0).standard_normal((40, 40))
    ours = learn(before, np.full((36, 36), 2.0) + 1e-3 * before[:36, :36] ** 2, sum=0, ridge="auto")
    assert ours.provenance == {"ridge": "1000.0"}
    assert ours.notes[0] == (
        "ridge=1e+03 was chosen, the strongest tried: it predicts blocks left out of the fit as well as any."
    )


def test_each_channel_has_its_own_strength():
    before = np.random.default_rng(0).standard_normal((2, 50, 50))
    noise = np.random.default_rng(1).standard_normal((2, 46, 46)) * [[[0.0]], [[3.0]]]
    after = np.stack([corr2d(plane, gaussian(5, 1)) for plane in before]) + noise
    ours = learn(before, after, channel_axis=0, per_channel=True, ridge="auto")
    assert ours.provenance["ridge, channel 0"] == "0.0"
    assert float(ours.provenance["ridge, channel 1"]) > 0.01
    assert any(note.startswith("channel 1: ridge=") for note in ours.notes)


@pytest.mark.parametrize("name", ["ridge", "smooth"])
@pytest.mark.parametrize(
    ("strength", "error"),
    [("much", ValueError), (-1e-9, ValueError), (np.nan, ValueError), (np.inf, ValueError),
     (1e13, ValueError), (10**400, ValueError), (None, TypeError), ([1], TypeError), (True, TypeError),
     (1j, TypeError)],
    ids=str,
)  # fmt: skip
def test_strengths_without_meaning_are_refused(strength, error, name):
    with pytest.raises(error) as caught:
        learn(*noisy_pair((3, 3)), **{name: strength})
    assert str(caught.value) == f"`{name}` must be a number from 0 to 1e+12 or 'auto', got {strength!r}."


def test_only_one_strength_can_be_chosen():
    with pytest.raises(ValueError, match="cannot both be 'auto'") as caught:
        learn(*noisy_pair((3, 3)), ridge="auto", smooth="auto")
    assert str(caught.value) == (
        "`ridge` and `smooth` cannot both be 'auto': held-out blocks are asked about one strength at a time. "
        "Give one of them a number, or leave it out."
    )
