"""A bias that is a polynomial of the position, and weights of pixels."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from corr2d import Kernel, Moments, corr2d, learn
from corr2d.solve.background import Background

BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16
TRUE = {1: [3.0, -7.0], 2: [3.0, -7.0, 2.0, 5.0, -4.0], 3: [3, -7, 2, 5, -4, 1, -2, 8, 6.0]}


def photo(shape=(70, 90), seed=0):
    return np.random.default_rng(seed).integers(20, 236, shape).astype(np.uint8)


def surface(coefficients, h, w):
    """Give the polynomial over h x w pixels, without the constant."""
    y = (2 * np.arange(h)[:, None] + 1) / h - 1
    x = (2 * np.arange(w)[None, :] + 1) / w - 1
    terms = [y, x, y * y, y * x, x * x, y**3, y * y * x, y * x * x, x**3]
    return sum(c * (t + np.zeros((h, w))) for c, t in zip(coefficients, terms, strict=False))


def explicit_fit(before, after, size, degree, weights=None):
    """Solve by a matrix of patches, monomials and ones, for a pair without border."""
    count = {0: 0, 1: 2, 2: 5, 3: 9}[degree]
    columns = [surface(np.eye(9)[i], *after.shape).ravel() for i in range(count)]
    windows = sliding_window_view(before.astype(float), size).reshape(after.size, -1)
    matrix = np.column_stack([windows, *columns, np.ones(after.size)])
    root = np.ones(after.size) if weights is None else np.sqrt(weights.ravel())
    used = root > 0
    matrix, target = (matrix * root[:, None])[used], (after.ravel() * root)[used]
    solution, *_ = np.linalg.lstsq(matrix, target, rcond=None)
    rest = target - matrix @ solution
    variance = rest @ rest / (len(target) - matrix.shape[1])
    stderr = np.sqrt(variance * np.diag(np.linalg.inv(matrix.T @ matrix)))
    return solution, stderr, np.sqrt(variance)


@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_kernel_and_background_come_back(padding, degree):
    x = photo()
    y = corr2d(x.astype(float), BLUR, padding=padding)
    y += 11 + surface(TRUE[degree], *y.shape)
    k = learn(x, y, size=3, background=degree)
    np.testing.assert_allclose(k.weights, BLUR, atol=1e-11)
    np.testing.assert_allclose(k.background, TRUE[degree], atol=1e-8)
    assert k.bias == pytest.approx(11, abs=1e-8)
    inside = (slice(1, -1),) * 2 if padding == "same" else (slice(None),) * 2
    whole = k(x, padding=padding, dtype="float64") + k.level(*y.shape) - k.bias
    np.testing.assert_allclose(whole[inside], y[inside], atol=1e-7)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_figures_agree_with_an_explicit_fit(weighted, degree):
    rng = np.random.default_rng(degree)
    x = photo((40, 50))
    y = corr2d(x.astype(float), BLUR) + surface(TRUE.get(degree, []), 38, 48) + rng.normal(size=(38, 48))
    weights = rng.choice([0, 0.5, 1, 4], y.shape) if weighted else None
    k = Moments.of(x, y, background=degree, weights=weights).solve(errors="white")
    solution, stderr, noise = explicit_fit(x, y, (3, 3), degree, weights)
    np.testing.assert_allclose(k.weights.ravel(), solution[:9], atol=1e-9)
    np.testing.assert_allclose(k.stderr.ravel(), stderr[:9], rtol=1e-8)
    assert k.bias == pytest.approx(solution[-1], abs=1e-6)
    assert k.bias_stderr == pytest.approx(stderr[-1], rel=1e-7)
    assert k.noise == pytest.approx(noise, rel=1e-8)
    if degree:
        np.testing.assert_allclose(k.background, solution[9:-1], atol=1e-6)
    else:
        assert k.background is None


def test_size_is_chosen_under_a_background():
    x = photo((120, 130))
    y = corr2d(x, BLUR, padding="same") + surface([60.0, -80.0], 120, 130)
    assert learn(x, y, background=1).size == (3, 3)


@pytest.mark.parametrize(
    "steps", [{"stride": 2}, {"stride": (1, 3)}, {"dilation": 2}, {"dilation": (3, 1)}], ids=str
)
def test_with_steps(steps):
    x = photo((80, 90))
    y = corr2d(x.astype(float), BLUR, padding="same", **steps)
    y += surface(TRUE[2], *y.shape)
    k = learn(x, y, size=3, background=2, **steps)
    np.testing.assert_allclose(k.weights, BLUR, atol=1e-10)
    np.testing.assert_allclose(k.background, TRUE[2], atol=1e-7)


def test_pixels_left_out_take_nothing_with_them():
    x, rng = photo(), np.random.default_rng(5)
    y = corr2d(x.astype(float), BLUR, padding="same") + surface(TRUE[2], *x.shape)
    for share in (0.05, 0.7):
        spoilt, where = y.copy(), rng.random(y.shape) > share
        spoilt[~where] = 1e6
        k = learn(x, spoilt, size=3, background=2, where=where)
        np.testing.assert_allclose(k.background, TRUE[2], atol=1e-7)


def test_channels_have_backgrounds_of_their_own():
    x = np.stack([photo(seed=s) for s in range(3)], axis=-1)
    y = corr2d(x.astype(float), BLUR, channel_axis=-1)
    for c in range(3):
        y[..., c] += surface(np.multiply(TRUE[1], c), *y.shape[:2])
    for options in ({"per_channel": True}, {"mix": True}):
        k = learn(x, y, channel_axis=-1, background=1, **options)
        np.testing.assert_allclose(k.background, [np.multiply(TRUE[1], c) for c in range(3)], atol=1e-7)
        assert k.level(5, 6).shape == (3, 5, 6)
        assert Kernel.from_dict(k.to_dict()) == k


def test_pictures_about_different_centres_add_up():
    x = np.random.default_rng(0).normal(size=(50, 60))
    pairs = [(a, corr2d(a, BLUR, padding="same") + surface(TRUE[2], 50, 60)) for a in (x, x[::-1] + 500)]
    moments = [Moments.of(*pair, size=3, background=2) for pair in pairs]
    assert moments[0].center != moments[1].center
    for total in (moments[0] + moments[1], moments[1] + moments[0]):
        np.testing.assert_allclose(total.solve().background, TRUE[2], atol=1e-7)


def test_pixels_in_one_line_do_not_tell_the_slope_across():
    x = photo()
    y = corr2d(x.astype(float), BLUR, padding="same") + surface([5.0, 0.0], *x.shape)
    where = np.zeros(x.shape, bool)
    where[:, 30] = True
    k = learn(x, y, size=(3, 1), background=1, where=where)
    assert np.isfinite(k.weights).all()
    assert np.isfinite(k.background).all()


def test_saved_and_loaded(tmp_path):
    x = photo()
    y = corr2d(x, BLUR, padding="same") + surface(TRUE[1], *x.shape)
    moments = Moments.of(x, y, size=5, background=1)
    moments.save(tmp_path / "m.safetensors")
    assert Moments.load(tmp_path / "m.safetensors").window((3, 3)).solve() == moments.window((3, 3)).solve()
    k = moments.solve()
    k.save(tmp_path / "k.json")
    assert Kernel.load(tmp_path / "k.json") == k
    assert "background +3" in repr(k)


@pytest.mark.parametrize(
    ("degree", "error"), [(-1, ValueError), (4, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_degrees_that_have_no_meaning(degree, error):
    rule = f"`background` must be the degree of a polynomial, 0 to 3, got {degree!r}."
    with pytest.raises(error, match="^" + rule):
        learn(photo(), photo(), size=3, background=degree)


def test_moments_of_other_shapes_do_not_add_up():
    one, other = (Moments.of(photo(s), photo(s), size=1, background=1) for s in ((9, 9), (9, 8)))
    with pytest.raises(ValueError, match=r"Only moments of one `shape` add up, got \(9, 9\) and \(9, 8\)"):
        one + other


# Weights


def test_whole_weights_are_repeated_pixels():
    x, rng = photo((30, 40)), np.random.default_rng(3)
    y = rng.integers(1, 255, (28, 38)).astype(np.uint8)
    weights = rng.integers(0, 3, y.shape)
    ours = Moments.of(x, y, weights=weights)
    once, twice = (Moments.of(x, y, where=weights >= n) for n in (1, 2))
    np.testing.assert_allclose(ours.total, once.total + twice.total, rtol=0, atol=1e-6)
    assert ours.count == np.count_nonzero(weights)
    assert ours.left_out["masked"] == np.count_nonzero(weights == 0)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_the_scale_of_weights_changes_the_noise_alone(factor):
    rng = np.random.default_rng(4)
    x = photo((40, 50))
    y = corr2d(x, BLUR) + rng.normal(size=(38, 48))
    weights = rng.random(y.shape) + 0.1
    k, scaled = (learn(x, y, weights=w) for w in (weights, weights * factor))
    np.testing.assert_allclose(scaled.weights, k.weights, atol=1e-10)
    np.testing.assert_allclose(scaled.stderr, k.stderr, rtol=1e-9)
    assert scaled.noise == pytest.approx(k.noise * np.sqrt(factor))


def test_weights_of_colours_dilation_and_batches():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 255, (2, 40, 50)).astype(np.uint8)
    y = corr2d(x.astype(float), BLUR, dilation=2) + rng.normal(size=(2, 36, 46))
    weights = rng.random(y.shape)
    both = learn(x, y, dilation=2, weights=weights)
    parts = [Moments.of(a, b, dilation=2, weights=w) for a, b, w in zip(x, y, weights, strict=True)]
    np.testing.assert_allclose(both.weights, (parts[0] + parts[1]).solve().weights, atol=1e-12)
    each = learn(np.moveaxis(x, 0, -1), np.moveaxis(y, 0, -1), dilation=2, channel_axis=-1, per_channel=True,
                 weights=np.moveaxis(weights, 0, -1))  # fmt: skip
    np.testing.assert_allclose(each.weights, [part.solve().weights for part in parts], atol=1e-12)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_have_no_meaning(bad):
    weights = np.ones((70, 90))
    weights[3, 3] = bad
    with pytest.raises(ValueError, match="`weights` must be finite and not negative"):
        learn(photo(), photo(), size=3, weights=weights)
    with pytest.raises(ValueError, match="`weights` must broadcast to the shape of `after`"):
        learn(photo(), photo(), size=3, weights=np.ones((3, 3)))
    with pytest.raises(ValueError, match="`weights` belongs to one pair"):
        learn([(photo(), photo())], weights=np.ones((70, 90)))


@pytest.mark.parametrize("degree", [1, 2])
def test_what_is_taken_out_of_the_folds_is_what_is_taken_out_of_their_sum(degree):
    rng = np.random.default_rng(6)
    x = photo()
    where = np.ones(x.shape, bool)
    where[:30, :50] = False  # so that the monomials have a mean
    moments = Moments.of(x, rng.normal(size=x.shape), size=3, background=degree, where=where)
    background = Background.of(moments.total, len(TRUE[degree]))
    assert np.abs(background.mean).max() > 0.05
    folds = background.without(moments.sums)
    assert len(folds) == len(moments.sums)
    scale = np.abs(background.left).max()
    np.testing.assert_allclose(folds.sum(axis=0), background.left, rtol=0, atol=1e-12 * scale)
