"""Clipped pixels that count as at least, or at most, what they are."""

from functools import partial

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import norm
from simulations.censored import SPOILT, choices, row

from corr2d import Kernel, censored, corr2d, learn
from corr2d.borders import NO_STEPS
from corr2d.colours import Part
from corr2d.solve import solve
from corr2d.summing import blocks_of

BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16
TAPS = 9


def texture(rng, shape):
    """Noise with a photograph's many greys, blurred so that neighbours are alike."""
    wide = rng.normal(size=(shape[0] + 4, shape[1] + 4))
    image = sliding_window_view(wide, (5, 5)).mean(axis=(2, 3))
    return np.clip(np.rint(128 + 200 * image), 0, 255).astype(np.uint8)


def as_uint8(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def noisy_pair(seed, shape=(60, 70), noise=6.0, gain=2.5, level=-190.0):
    """A pair of the same size, whose bright and dark ends are cut off."""
    rng = np.random.default_rng(seed)
    x = texture(rng, shape)
    wide = gain * corr2d(x.astype(float), BLUR, padding="same", mode="reflect") + level
    return x, wide + noise * rng.standard_normal(shape)


def minus_log_likelihood(weights, bias, sigma, windows, y, ends, *, rounds, unknowns=0.0, scale=1.0):
    """The likelihood as it is written down: windows (pixels, taps), y, ends and the scale of each noise."""
    mean = windows @ np.ravel(weights) + bias
    low, high = y <= ends[0], y >= ends[1]
    half = 0.5 if rounds else 0.0
    sigmas = sigma * np.broadcast_to(scale, y.shape)
    before_rounding = np.sqrt(sigmas**2 - rounds / 12)
    inside = norm.logpdf(y, mean, sigmas)[~(low | high)].sum()
    above = norm.logsf((ends[1] - half - mean) / before_rounding)[high].sum()
    below = norm.logcdf((ends[0] + half - mean) / before_rounding)[low].sum()
    return -(inside + above + below + unknowns * np.log(sigma))


def windows_of(x, size=(3, 3)):
    return sliding_window_view(np.asarray(x, float), size).reshape(-1, size[0] * size[1])


def at(windows, y, p, *, ends=(0, 255), rounds=True, unknowns=TAPS + 1, scale=1.0):
    """The same at p = (weights, bias, log sigma)."""
    return minus_log_likelihood(
        p[:-2], p[-2], np.exp(p[-1]), windows, y, ends, rounds=rounds, unknowns=unknowns, scale=scale
    )


def likelihood_of(x, y, **options):
    """The same of the inside of a pair of one size."""
    return partial(at, windows_of(x), np.asarray(y, float)[1:-1, 1:-1].ravel(), **options)


def parameters(kernel):
    return np.concatenate([kernel.weights.ravel(), np.ravel(kernel.bias), [np.log(np.max(kernel.noise))]])


def slope_in_standard_errors(function, top, scale):
    """By how much the top lies elsewhere, in standard errors, along each parameter."""
    steps = np.diag(scale) / 20
    slopes = [(function(top + s) - function(top - s)) / 2 for s in steps]
    bends = [function(top + s) - 2 * function(top) + function(top - s) for s in steps]
    return np.abs(np.array(slopes) / np.array(bends)) / 20


def is_top(kernel, function):
    """Whether no parameter is off by more than 0.002 standard errors."""
    scale = np.concatenate([kernel.stderr.ravel(), np.ravel(kernel.bias_stderr), [0.01]])
    return slope_in_standard_errors(function, parameters(kernel), scale).max() < 2e-3


def test_chances_are_right():
    a = np.concatenate([np.linspace(-40, 40, 20001), [-np.inf, np.inf]])
    with np.errstate(over="ignore"):
        truth = log_ndtr(-a)
    found = censored._log_chance(a)
    assert found[-1] == -np.inf
    np.testing.assert_allclose(found[:-1], truth[:-1], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", ["uint8", "float", "one end"])
def test_agrees_with_a_general_solver(kind):
    x, wide = noisy_pair(0)
    y = {"uint8": as_uint8(wide), "float": np.clip(wide, 0, 255), "one end": np.minimum(wide, 150)}[kind]
    ends = {"uint8": (0, 255), "float": (0, 255), "one end": (-np.inf, 150)}[kind]
    clip = "auto" if kind == "uint8" else ends
    k = learn(x, y, size=3, clip=clip, clipped="censored")
    function = likelihood_of(x, y, ends=ends, rounds=kind == "uint8", unknowns=TAPS + 1)
    scale = np.append(k.stderr.ravel(), [k.bias_stderr, 0.01])
    start = parameters(learn(x, y, size=3, clip=clip, clipped="excluded"))
    found = minimize(lambda p: function(start + scale * p), np.zeros(len(start)), tol=1e-8, method="BFGS")
    np.testing.assert_allclose((parameters(k) - start) / scale, found.x, atol=3e-4)
    assert np.abs(found.x).max() > 0.5  # it is not where it began


def test_error_bars_are_those_of_the_observed_information():
    x, wide = noisy_pair(1, noise=10.0, level=-120.0)
    y = as_uint8(wide)
    k = learn(x, y, size=3, clipped="censored")
    assert 0.2 < np.mean(y == 255) < 0.6
    function = likelihood_of(x, y, ends=(0, 255), rounds=True, unknowns=TAPS + 1)
    top, scale = parameters(k), np.append(k.stderr.ravel(), [k.bias_stderr, 0.01]) / 10
    steps = np.eye(len(top))

    def bent(i, j):
        values = [function(top + scale * (a * i + b * j)) for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        return (values[0] - values[1] - values[2] + values[3]) / 4

    inverse = np.linalg.inv([[bent(i, j) for j in steps] for i in steps])
    truth = np.sqrt(np.diag(inverse)) * scale
    np.testing.assert_allclose(k.stderr.ravel(), truth[:TAPS], rtol=1e-3)
    assert k.bias_stderr == pytest.approx(truth[TAPS], rel=1e-3)


def test_without_bias_where_exclusion_has_some():
    # The study's figures, of few pairs: chance alone makes a bias of 0.3.
    few = row([0], 12, 10, 60, "high", side=64)
    assert few["excluded: bias"] > 2
    assert few["censored: bias"] < 0.45
    assert few["excluded: covers, %"] < 70
    assert 91 < few["censored: covers, %"] < 98.5
    assert few["auto: covers, %"] == few["censored: covers, %"]


@pytest.mark.parametrize("case", SPOILT)
def test_auto_is_right(case):
    assert choices([1], 2, case)["auto is right, %"] == 100


def test_rounding_alone_is_exact_as_it_is(monkeypatch):
    x, wide = noisy_pair(2, noise=0.0)
    y = as_uint8(wide)
    monkeypatch.setattr(censored, "_Outlook", None)  # that is clear without a look at the pixels
    assert learn(x, y, size=3) == learn(x, y, size=3, clipped="excluded")


def test_without_noise_nothing_is_gained():
    x, wide = noisy_pair(2, noise=0.0)
    exact = np.clip(wide, 0, 255)
    options = {"size": 3, "clip": (0, 255)}
    for how in ("auto", "censored"):
        k = learn(x, exact, clipped=how, **options)
        np.testing.assert_allclose(k.weights, 2.5 * BLUR, atol=1e-10)
        assert k.bias == pytest.approx(-190, abs=1e-8)


def test_pairs_without_clipped_pixels_cost_nothing(monkeypatch):
    for name in ("_Outlook", "_Likelihood"):
        monkeypatch.setattr(censored, name, None)
    x, wide = noisy_pair(3, gain=1.0, level=0.0)
    y = np.clip(as_uint8(wide), 1, 254)
    assert learn(x, y, size=3).notes == ()


def test_what_counts_is_said():
    x, wide = noisy_pair(4)
    y = as_uint8(wide)
    inner = y[1:-1, 1:-1]
    n = np.count_nonzero((inner == 0) | (inner == 255))
    k = learn(x, y, size=3, clipped="censored")
    assert k.used == inner.size
    assert not any(k.left_out.values())
    assert k.notes == (f"{n:,} pixels were clipped; they count as 'at most 0' or 'at least 255'.",)
    chosen = learn(x, y, size=3)
    assert chosen.notes[0].startswith(k.notes[0][:-1] + ", since leaving them out would bias the kernel by")
    assert chosen.notes[0].endswith(" standard errors.")
    left = learn(x, y, size=3, clipped="excluded")
    assert left.used == inner.size - n
    assert left.left_out["clipped low"] + left.left_out["clipped high"] == n
    assert left.notes == ()


def test_dead_pixels_stay_left_out():
    x, wide = noisy_pair(5)
    y = as_uint8(wide)
    dead = np.random.default_rng(5).random(y.shape) < 0.1
    dead &= wide < 200
    y[dead] = 255
    k = learn(x, y, size=3)
    assert k.left_out == learn(x, y, size=3, clipped="excluded").left_out
    assert k.notes[0].startswith("Clipped pixels are left out: more than noise explains lie where")
    forced = learn(x, y, size=3, clipped="censored")
    assert 0.8 * np.count_nonzero(dead) < forced.left_out["clipped high"] < np.count_nonzero(dead)
    assert forced.notes[1].startswith(f"{forced.left_out['clipped high']:,} clipped pixels are left out: the")
    masked = learn(x, y, size=3, where=~dead)
    assert "they count as" in masked.notes[0]


def test_far_dead_pixels_are_seen_before_anything_is_fitted(monkeypatch):
    x, wide = noisy_pair(5)
    y = as_uint8(wide)
    y[np.random.default_rng(5).random(y.shape) < 0.1] = 255
    monkeypatch.setattr(censored._Likelihood, "kernel", None)
    assert learn(x, y, size=3).notes[0].startswith("Clipped pixels are left out")


def test_dead_pixels_near_the_end_are_found_in_the_end():
    # Most of what lies two to four deviations below 255 is white: no noise does that.
    x, wide = noisy_pair(6, shape=(120, 120), noise=4.0)
    y = as_uint8(wide)
    level = 2.5 * corr2d(x.astype(float), BLUR, padding="same", mode="reflect") - 190
    y[(level > 239) & (level < 246) & (np.random.default_rng(6).random(y.shape) < 0.9)] = 255
    excluded = learn(x, y, size=3, clipped="excluded")
    k = learn(x, y, size=3)
    np.testing.assert_array_equal(k.weights, excluded.weights)
    assert k.notes[0].startswith("Clipped pixels are left out: more than noise explains")


@pytest.mark.parametrize(
    "known",
    [{"sum": 2.5}, {"symmetric": "radial"}, {"nonnegative": True}, {"support": BLUR > 0.1}, {"rank": 1}],
    ids=lambda known: next(iter(known)),
)
def test_with_what_is_known(known):
    x, wide = noisy_pair(7, noise=12.0)
    y = as_uint8(wide)
    if "nonnegative" in known:  # so that some taps are held at zero
        x, wide = noisy_pair(7, noise=12.0, gain=0.0, level=0.0)
        y = as_uint8(wide + 4.0 * x - 400)
    size = {} if "support" in known else {"size": 3}
    k = learn(x, y, clipped="censored", **size, **known)
    freedom = {"sum": 8, "symmetric": 3, "nonnegative": np.count_nonzero(k.weights), "support": 5, "rank": 5}
    function = likelihood_of(x, y, ends=(0, 255), rounds=True, unknowns=freedom[next(iter(known))] + 1)
    start, best = parameters(k), function(parameters(k))
    # No way that the constraint leaves open leads up.
    rng = np.random.default_rng(0)
    free = learn(x, y, size=3, clipped="censored")
    assert best > function(parameters(free)) - 2
    for _ in range(40):
        step = np.concatenate([rng.normal(size=TAPS), rng.normal(size=2)])
        step *= np.append(free.stderr.ravel(), [free.bias_stderr, 0.01]) / 3
        taps = (k.weights + step[:TAPS].reshape(3, 3)) * k.weights.any()
        if "sum" in known:
            taps += (2.5 - taps.sum()) / 9
        elif "symmetric" in known:
            edges, corners = taps[[0, 1, 1, 2], [1, 0, 2, 1]].mean(), taps[::2, ::2].mean()
            taps = np.array(
                [[corners, edges, corners], [edges, taps[1, 1], edges], [corners, edges, corners]]
            )
        elif "nonnegative" in known:
            taps = np.maximum(taps, 0)
        elif "support" in known:
            taps = np.where(known["support"], taps, 0)
        else:
            u, s, v = np.linalg.svd(taps)
            taps = s[0] * np.outer(u[:, 0], v[0])
        there = np.concatenate([taps.ravel(), start[-2:] + step[-2:]])
        assert function(there) > best - 1e-4
    if "nonnegative" in known:
        assert (k.weights == 0).any()


def test_with_stride():
    rng = np.random.default_rng(8)
    x = texture(rng, (81, 90))
    wide = 2.5 * corr2d(x.astype(float), BLUR, padding="same", mode="reflect", stride=2) - 190
    y = as_uint8(wide + 8 * rng.standard_normal(wide.shape))
    k = learn(x, y, size=3, stride=2, clipped="censored")
    windows = sliding_window_view(x.astype(float), (3, 3))[1::2, 1::2].reshape(-1, 9)
    inner = y[1:40, 1:45].astype(float).ravel()
    assert k.used == inner.size == len(windows)
    assert is_top(k, partial(at, windows, inner))


def test_with_dilation():
    rng = np.random.default_rng(8)
    x = texture(rng, (81, 90))
    wide = 2.5 * corr2d(x.astype(float), BLUR, padding="same", mode="reflect", dilation=(1, 2)) - 190
    y = as_uint8(wide + 8 * rng.standard_normal(wide.shape))
    k = learn(x, y, size=3, dilation=(1, 2), clipped="censored")
    windows = sliding_window_view(x.astype(float), (3, 5))[..., ::2].reshape(-1, 9)
    inner = y[1:-1, 2:-2].astype(float).ravel()
    assert k.used == inner.size == len(windows)
    assert is_top(k, partial(at, windows, inner))


def test_with_a_background():
    x, wide = noisy_pair(8, shape=(60, 80), noise=8.0)
    rows, columns = np.meshgrid(*((2 * np.arange(n) + 1) / n - 1 for n in x.shape), indexing="ij")
    k = learn(x, as_uint8(wide + 40 * columns - 20 * rows), size=3, background=1, clipped="censored")
    inner = as_uint8(wide + 40 * columns - 20 * rows).astype(float)[1:-1, 1:-1].ravel()
    windows = np.column_stack([windows_of(x), rows[1:-1, 1:-1].ravel(), columns[1:-1, 1:-1].ravel()])

    def function(p):
        weights = np.concatenate([p[:9], p[11:]])
        return minus_log_likelihood(
            weights, p[9], np.exp(p[10]), windows, inner, (0, 255), rounds=True, unknowns=12
        )

    top = np.append(parameters(k), k.background)
    scale = np.concatenate([k.stderr.ravel(), [k.bias_stderr, 0.01, 0.3, 0.3]])
    assert slope_in_standard_errors(function, top, scale).max() < 2e-3
    np.testing.assert_allclose(k.background, [-20, 40], atol=1.5)


def test_with_weights_where_and_nan():
    x, wide = noisy_pair(9)
    rng = np.random.default_rng(9)
    weights = rng.uniform(0.3, 3, x.shape)
    mean = 2.5 * corr2d(x.astype(float), BLUR, padding="same", mode="reflect") - 190
    y = np.clip(mean + (wide - mean) / np.sqrt(weights), 0, 255)
    where = rng.random(x.shape) < 0.8
    y[~where] = 255
    y[20, 20] = np.nan
    weights[30, 30:40] = 0
    k = learn(x, y, size=3, weights=weights, where=where, clip=(0, 255), clipped="censored")
    counts = (where & np.isfinite(y) & (weights > 0))[1:-1, 1:-1].ravel()
    assert k.used == np.count_nonzero(counts)
    windows, inner = windows_of(x)[counts], y[1:-1, 1:-1].ravel()[counts]
    scale = 1 / np.sqrt(weights[1:-1, 1:-1].ravel()[counts])
    assert is_top(k, partial(at, windows, inner, rounds=False, scale=scale))


def test_nan_in_before_and_several_pairs():
    pairs = []
    for seed in (10, 11):
        x, wide = noisy_pair(seed)
        x = x.astype(float)
        x[seed, 30] = np.nan
        pairs.append((x, as_uint8(wide)))
    k = learn(pairs, size=3, clipped="censored")
    windows = np.concatenate([windows_of(x) for x, _ in pairs])
    inner = np.concatenate([y[1:-1, 1:-1].ravel() for _, y in pairs]).astype(float)
    counts = np.isfinite(windows).all(axis=1)
    assert k.used == np.count_nonzero(counts)
    assert is_top(k, partial(at, windows[counts], inner[counts]))
    assert learn(iter(pairs), size=3, clipped="censored") == k


def test_pairs_read_one_by_one_are_not_looked_at_again():
    pairs = [(x, as_uint8(wide)) for x, wide in map(noisy_pair, (12, 13))]
    k = learn(iter(pairs), size=3)
    assert k.left_out["clipped high"] > 0
    assert k.notes == (
        "Clipped pixels are left out. Whether that biases the kernel is not known where pairs are read one "
        "by one. With clipped='censored' they count, and all pairs are kept in memory.",
    )
    assert "they count as" in learn(pairs, size=3).notes[0]
    x, wide = noisy_pair(14, noise=0.0)
    assert learn(iter([(x, as_uint8(wide))]), size=3).notes == ()  # exact as it is


def test_channels_and_mixed_colours():
    pairs = [noisy_pair(seed) for seed in (15, 16)]
    x = np.stack([x for x, _ in pairs], axis=-1)
    y = np.stack([as_uint8(wide) for _, wide in pairs], axis=-1)
    k = learn(x, y, size=3, channel_axis=-1, per_channel=True, clipped="censored")
    for c in (0, 1):
        alone = learn(x[..., c], y[..., c], size=3, clipped="censored")
        np.testing.assert_array_equal(k.weights[c], alone.weights)
        np.testing.assert_array_equal(k.stderr[c], alone.stderr)
    alike = learn(x, y, size=3, channel_axis=-1, clipped="censored")
    together = learn([(x[..., c], y[..., c]) for c in (0, 1)], size=3, clipped="censored")
    np.testing.assert_allclose(alike.weights, together.weights, rtol=1e-9, atol=1e-12)
    mixed = learn(x, y, size=3, channel_axis=-1, mix=True, clipped="censored")
    assert (np.abs(mixed.weights[0, 0] - 2.5 * BLUR) < 4.5 * mixed.stderr[0, 0]).all()
    assert (np.abs(mixed.weights[0, 1]) < 4.5 * mixed.stderr[0, 1]).all()
    assert mixed.used == y[1:-1, 1:-1].size


def test_a_shifted_pair_and_16_bits():
    x, wide = noisy_pair(17, shape=(90, 100))
    y = as_uint8(wide)
    moved = np.roll(y, (3, -5), axis=(0, 1))
    k = learn(x, moved, size=3, shift=(3, -5), clipped="censored")
    inside = learn(x[:-3, 5:], moved[3:, :-5], size=3, clipped="censored")
    np.testing.assert_array_equal(k.weights, inside.weights)
    finer = np.clip(np.rint(257 * wide), 0, 65535).astype(np.uint16)
    fine = learn(x, finer, size=3, clipped="censored")
    np.testing.assert_allclose(fine.weights / 257, learn(x, y, size=3, clipped="censored").weights, atol=0.02)
    assert "at least 65535" in fine.notes[0]


def test_the_ring_around_the_tried_window_does_not_count():
    x, wide = noisy_pair(18, shape=(90, 100))
    y = as_uint8(wide)
    k = learn(x, y, clipped="censored")
    assert k.size == (3, 3)
    ring = (y.shape[0] * y.shape[1] - k.used) / 2
    inside = np.zeros(y.shape, bool)
    width = next(n for n in (1, 2, 3, 7) if (90 - 2 * n) * (100 - 2 * n) == k.used)
    assert width > 1
    assert ring > 0
    inside[width:-width, width:-width] = True
    same = learn(x, y, size=3, where=inside, clipped="censored")
    np.testing.assert_allclose(k.weights, same.weights, rtol=1e-9)
    np.testing.assert_allclose(k.stderr, same.stderr, rtol=1e-6)


def test_some_first_and_then_all(monkeypatch):
    x, wide = noisy_pair(19, shape=(140, 150), noise=15.0, level=-120.0)
    y = as_uint8(wide)
    k = learn(x, y, size=3, clipped="censored")
    monkeypatch.setattr(censored, "_FEW", 600)
    monkeypatch.setattr(censored, "_CHUNK", 1000)
    looks, look = [], censored._Likelihood._seen

    def spied(self, point, near, unknowns):
        seen = look(self, point, near, unknowns)
        looks.append((sum(len(plane.rows) for plane in near), seen.amount))
        return seen

    monkeypatch.setattr(censored._Likelihood, "_seen", spied)
    again = learn(x, y, size=3, clipped="censored")
    assert looks[0][0] < looks[-1][0] / 2
    assert looks[0][1] == pytest.approx(looks[-1][1], rel=0.2)  # the others are stood for
    assert (np.abs(again.weights - k.weights) < 2e-4 * k.stderr).all()
    np.testing.assert_allclose(again.stderr, k.stderr, rtol=1e-4)
    assert again.noise == pytest.approx(k.noise, rel=1e-5)


def test_what_clipped_pixels_tell_lies_in_their_blocks():
    # Sums are kept block by block; what a block tells of the kernel is its own pixels' alone.
    x, wide = noisy_pair(20)
    y = as_uint8(wide)
    y[:, 40:] = np.clip(y[:, 40:], 1, 254)
    seen = []

    def fit(moments, **assumed):
        seen.append(moments)
        return solve(moments, **assumed)

    part = Part(x, y, None, False, None, None)
    options = {"clip": "auto", "stride": NO_STEPS, "dilation": NO_STEPS, "background": 0}
    moments = part.moments(size=3, **options)
    k = censored.with_clipped(
        solve(moments), moments, [part], fit, measured=(3, 3), clipped="censored", **options
    )
    center_x, center_y = moments.center
    z = np.concatenate([-k.weights.ravel(), [center_y - k.bias - center_x * k.weights.sum(), 1]])
    told = np.abs((seen[-1].sums - moments.sums)[:, :-1] @ z).max(axis=1)
    inner = y[1:-1, 1:-1]
    ends = [
        np.count_nonzero((inner[block] == 0) | (inner[block] == 255))
        for block in blocks_of(inner.shape, None, len(moments.sums))
    ]
    largest = told.max()
    assert 0 in ends
    for n, of_block in zip(ends, told, strict=True):
        assert of_block < 1e-6 * largest if n == 0 else n < 5 or of_block > 1e-4 * largest
    np.testing.assert_allclose((seen[-1].total[:-1] @ z), 0, atol=1e-6 * largest)


def test_the_pair_may_leave_directions_open():
    rng = np.random.default_rng(21)
    x, _ = noisy_pair(21)
    stripes = np.tile(x[0], (60, 1))
    tall = 2.5 * corr2d(stripes.astype(float), BLUR, padding="same", mode="reflect") - 190
    k = learn(stripes, as_uint8(tall + 6 * rng.standard_normal(tall.shape)), size=3, clipped="censored")
    assert k.rank == 3
    assert np.isinf(k.stderr).all()
    assert np.ptp(k.weights, axis=0).max() < 1e-9
    flat = learn(np.full((60, 60), 7), as_uint8(250 + 8 * rng.standard_normal((60, 60))), size=3)
    assert flat.bias == pytest.approx(250, abs=1)
    assert flat.noise == pytest.approx(8, rel=0.1)
    assert (flat.weights == 0).all()


@pytest.mark.parametrize("shape", [(1, 60), (4, 5), (6, 6), (2, 40)])
@pytest.mark.parametrize("how", ["auto", "censored"])
def test_tiny_pictures(shape, how):
    rng = np.random.default_rng(22)
    x = rng.integers(0, 256, shape)
    y = as_uint8(x * 1.5 - 60 + 5 * rng.standard_normal(shape))
    k = learn(x, y, size=1, clipped=how)
    assert abs(k.weights[0, 0] - 1.5) < 6 * k.stderr[0, 0]
    assert k.used + sum(k.left_out.values()) == y.size


def test_fewer_pixels_than_unknowns_text():
    x, _ = noisy_pair(23)
    with pytest.raises(ValueError, match=r"^A 3 x 3 kernel with a bias has 10 unknowns, but only 0 pixels"):
        learn(x, np.full(x.shape, 255, np.uint8), size=3, clipped="censored")
    # As many as unknowns: of the noise nothing is known, so nothing more than without clipped pixels.
    k = learn([[1.0, 2.0, 3.0]], [[2.0, 4.0, 5.0]], size=1, clip=(0, 5), clipped="censored")
    assert k.weights[0, 0] == pytest.approx(2)
    assert k.left_out["clipped high"] == 1


def test_errors():
    x, wide = noisy_pair(24)
    y = as_uint8(wide)
    with pytest.raises(
        ValueError, match=r"^`clipped` must be one of 'auto', 'excluded', 'censored', got 'x'\.$"
    ):
        learn(x, y, size=3, clipped="x")
    with pytest.raises(
        TypeError, match=r"^`clipped` must be one of 'auto', 'excluded', 'censored', got None\.$"
    ):
        learn(x, y, size=3, clipped=None)
    for beside in ({"loss": "huber"}, {"ridge": 0.1}, {"smooth": "auto"}):
        name = next(iter(beside))
        rule = f"^clipped='censored' does not combine with `{name}`. Leave one of them out.$"
        with pytest.raises(ValueError, match=rule):
            learn(x, y, size=3, clipped="censored", **beside)
        assert not any("count as" in note for note in learn(x, y, size=3, **beside).notes)
    with pytest.raises(ValueError, match=r"^clipped='censored' needs the ends of the range: pass clip="):
        learn(x, y.astype(float), size=3, clipped="censored")
    with pytest.raises(ValueError, match=r"^clipped='censored' is for kernels of up to 65 x 65 taps, got 67"):
        learn(x, y, size=67, clipped="censored")


def test_inputs_are_left_alone():
    x, wide = noisy_pair(25)
    y = np.clip(wide, 0, 255)
    copies = x.copy(), y.copy()
    for array in (x, y):
        array.flags.writeable = False
    learn(x, y, size=3, clip=(0, 255), clipped="censored")
    for array, copy in zip((x, y), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_clipped_pixels_count_in_a_window_beside_its_pixel():
    rng = np.random.default_rng(7)
    before = 30 + 200 * rng.random((160, 170))
    truth = np.array([[0.5, 0.8], [0.4, 0.9]])  # at rows -3 and -2, columns 1 and 2 from the pixel
    kernel = Kernel(truth, origin=(3, -1))
    clean = kernel(before, padding="same", mode="reflect", dtype="float64")
    after = np.clip(np.rint(clean + 20 * rng.standard_normal(clean.shape)), 0, 255).astype(np.uint8)
    found = learn(before, after, clipped="censored")
    assert (found.size, found.origin) == ((2, 2), (3, -1))
    assert np.abs(found.weights - truth).max() < 4 * found.stderr.max()
    assert np.abs(learn(before, after, clipped="excluded").weights - truth).max() > 10 * found.stderr.max()
