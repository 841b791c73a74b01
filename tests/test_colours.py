"""Kernels from colours to colours, in closed form."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from corr2d import Kernel, Moments, corr2d, learn

RNG = np.random.default_rng(7)


def photo(shape=(60, 70), channels=3, seed=0):
    return np.random.default_rng(seed).integers(20, 236, (*shape, channels)).astype(np.uint8)


def explicit_fit(before, after, size, counts=None):
    """Solve by a matrix of patches of all channels and ones: weights, bias, their standard errors."""
    windows = [sliding_window_view(before[..., c].astype(float), size) for c in range(before.shape[-1])]
    rows = [w.reshape(after.size, -1) for w in windows]
    matrix = np.column_stack([*rows, np.ones(after.size)])
    target = after.ravel().astype(float)
    if counts is not None:
        matrix, target = matrix[counts.ravel()], target[counts.ravel()]
    solution, *_ = np.linalg.lstsq(matrix, target, rcond=None)
    rest = target - matrix @ solution
    variance = rest @ rest / (len(target) - matrix.shape[1])
    stderr = np.sqrt(variance * np.diag(np.linalg.inv(matrix.T @ matrix)))
    return solution[:-1].reshape(-1, *size), solution[-1], stderr[:-1].reshape(-1, *size), stderr[-1]


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 4), (1, 5)], ids=str)
@pytest.mark.parametrize("channels", [(3, 3), (3, 1), (1, 2), (2, 5)], ids=str)
def test_kernels_between_channels_come_back(channels, size):
    x = photo(channels=channels[0])
    kernel = RNG.normal(size=(channels[1], channels[0], *size))
    bias = RNG.normal(size=channels[1])
    y = corr2d(x.astype(float), kernel, channel_axis=-1) + bias
    found = learn(x, y, channel_axis=-1, mix=True)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-11)
    np.testing.assert_allclose(found.bias, bias, atol=1e-8)
    np.testing.assert_allclose(found(x, channel_axis=-1), y, rtol=1e-6, atol=1e-3)


def test_size_of_a_same_sized_pair_is_found():
    x = photo()
    kernel = RNG.normal(size=(3, 3, 3, 3)) / 8
    y = corr2d(x, kernel, padding="same", mode="reflect", channel_axis=-1)
    found = learn(x, y, channel_axis=-1, mix=True)
    assert found.size == (3, 3)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_any_channel_axis(axis):
    x, kernel = photo(), RNG.normal(size=(2, 3, 2, 3))
    y = corr2d(x.astype(float), kernel, channel_axis=-1)
    moved = np.moveaxis(x, -1, axis), np.moveaxis(y, -1, axis)
    found = learn(*moved, channel_axis=axis, mix=True)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-11)
    np.testing.assert_allclose(found(moved[0], channel_axis=axis, dtype="float64"), moved[1], atol=1e-8)


def test_figures_agree_with_an_explicit_fit():
    x = photo()
    y = corr2d(x.astype(float), RNG.normal(size=(2, 3, 3, 2)), channel_axis=-1)
    y += RNG.normal(size=y.shape)
    found = learn(x, y, channel_axis=-1, mix=True)
    for c in range(2):
        weights, bias, stderr, bias_stderr = explicit_fit(x, y[..., c], (3, 2))
        np.testing.assert_allclose(found.weights[c], weights, atol=1e-10)
        np.testing.assert_allclose(found.stderr[c], stderr, rtol=1e-8)
        assert found.bias[c] == pytest.approx(bias, abs=1e-7)
        assert found.bias_stderr[c] == pytest.approx(bias_stderr, rel=1e-8)
        assert found.rank[c] == 18


def test_each_channel_leaves_its_own_pixels_out():
    # Edges, cut off at 0 and 255: half of the pixels of each channel, not the same ones.
    x, kernel = photo(), np.zeros((3, 3, 3, 3))
    edges = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
    for c in range(3):
        kernel[c, c] = edges
        kernel[c, (c + 1) % 3, 1, 1] = 1
    y = corr2d(x, kernel, channel_axis=-1, dtype="uint8")
    found = learn(x, y, channel_axis=-1, mix=True)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-10)
    assert found.used + sum(found.left_out.values()) == y.size
    counts = (y[..., 1] > 0) & (y[..., 1] < 255)
    weights, *_ = explicit_fit(x, y[..., 1], (3, 3), counts)
    np.testing.assert_allclose(found.weights[1], weights, atol=1e-9)


def test_where_and_nan_of_one_channel():
    x, kernel = photo().astype(float), RNG.normal(size=(2, 3, 2, 2))
    y = corr2d(x, kernel, channel_axis=-1)
    where = np.ones(y.shape, bool)
    where[10:20, :, 0] = False
    y[10:20, :, 0] = 1e4
    x[30, 30, 1] = np.nan
    found = learn(x, y, channel_axis=-1, mix=True, where=where)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-9)
    assert found.left_out["masked"] == 10 * 69
    assert found.left_out["not finite"] == 2 * 4


def test_several_pairs_and_streams():
    x, kernel = photo((90, 70)), RNG.normal(size=(2, 3, 3, 3))
    y = corr2d(x.astype(float), kernel, channel_axis=-1)
    pairs = [(x[:50], y[:48]), (x[40:], y[40:])]
    found = learn(iter(pairs), size=3, channel_axis=-1, mix=True)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-11)
    one, other = (Moments.of(a, b[..., 1], channel_axis=-1, mix=True) for a, b in pairs)
    assert (one + other).channels == 3
    np.testing.assert_allclose((one + other).solve().weights[0], kernel[1], atol=1e-11)


def test_offsets_of_channels_cost_no_digits():
    x = RNG.normal(size=(60, 70, 3)) + np.array([1e5, 0.0, -3e4])
    kernel = RNG.normal(size=(1, 3, 3, 3))
    y = corr2d(x, kernel, channel_axis=-1)
    found = learn(x, y, channel_axis=-1, mix=True)
    np.testing.assert_allclose(found.weights, kernel, atol=1e-8)
    moments = Moments.of(x, y[..., 0], channel_axis=-1, mix=True)
    assert np.diagonal(moments.total)[:-1].max() < 100 * moments.count


def test_grey_picture_in_colour_leaves_the_mix_open():
    x = np.repeat(photo(channels=1), 3, axis=-1)
    y = corr2d(x.astype(float), RNG.normal(size=(1, 3, 3, 3)), channel_axis=-1)
    found = learn(x, y, channel_axis=-1, mix=True)
    assert np.isinf(found.stderr).all()
    assert found.notes == (
        "channel 0: The channels of `before` are not independent: the pair does not tell what each adds.",
    )
    np.testing.assert_allclose(found(x, channel_axis=-1, dtype="float64"), y, atol=1e-7)


def test_constraints_hold_for_each_channel():
    x = photo()
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    kernel = np.array([[blur * c for c in (0.2, 0.5, 0.3)]])
    y = corr2d(x.astype(float), kernel, channel_axis=-1)
    y += RNG.normal(0, 5, y.shape)
    plain = learn(x, y, channel_axis=-1, mix=True)
    found = learn(x, y, channel_axis=-1, mix=True, sum=1, nonnegative=True, symmetric="radial")
    assert found.weights.sum() == pytest.approx(1)
    assert (found.weights >= 0).all()
    np.testing.assert_allclose(found.weights, found.weights[..., ::-1], atol=1e-12)
    assert np.abs(found.weights - kernel).max() < np.abs(plain.weights - kernel).max()


def test_saved_and_loaded(tmp_path):
    x = photo()
    y = corr2d(x, RNG.normal(size=(2, 3, 1, 3)), channel_axis=-1)
    found = learn(x, y, channel_axis=-1, mix=True)
    found.save(tmp_path / "k.json")
    assert Kernel.load(tmp_path / "k.json") == found
    assert "from each of 3 channels to each of 2" in repr(found)
    moments = Moments.of(x, y[..., 0], channel_axis=-1, mix=True)
    moments.save(tmp_path / "m.safetensors")
    assert Moments.load(tmp_path / "m.safetensors").solve() == moments.solve()


def test_integer_results_take_the_bias_before_they_are_rounded():
    kernel = Kernel(np.full((2, 3, 1, 1), 1 / 3), bias=[0.4, -300.0])
    image = np.full((2, 2, 3), 7, np.uint8)
    assert kernel(image, channel_axis=-1, dtype="uint8")[0, 0].tolist() == [7, 0]


def test_per_channel_and_mix_exclude_each_other():
    x = photo()
    with pytest.raises(ValueError, match="exclude each other"):
        learn(x, x, channel_axis=-1, mix=True, per_channel=True)
    with pytest.raises(ValueError, match="`mix` needs `channel_axis`"):
        learn(x[..., 0], x[..., 0], mix=True)
    with pytest.raises(ValueError, match="`mix` needs `channel_axis`"):
        Moments.of(x[..., 0], x[..., 0], mix=True)
    with pytest.raises(ValueError, match="must have channels, got 3 and 0"):
        learn(x, x[..., :0], size=1, channel_axis=-1, mix=True)
    with pytest.raises(ValueError, match="must have 3 channels, as the kernel has, got 2"):
        Kernel(np.ones((1, 3, 1, 1)), bias=[0.0])(x[..., :2], channel_axis=-1)


def test_moments_of_other_channels_do_not_add_up():
    x, y = photo(), photo(channels=1)[..., 0]
    three = Moments.of(x, y, size=1, channel_axis=-1, mix=True)
    two = Moments.of(x[..., :2], y, size=1, channel_axis=-1, mix=True)
    with pytest.raises(ValueError, match="Only moments of one `channels` add up, got 3 and 2"):
        three + two
