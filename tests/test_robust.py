"""Fits that outliers do not spoil."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.optimize import least_squares

from corr2d import corr2d, learn

BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16


def spoilt_pair(seed, share=0.1, shape=(60, 70), noise=2.0, kernel=BLUR):
    rng = np.random.default_rng(seed)
    x = rng.integers(20, 236, shape).astype(np.uint8)
    y = corr2d(x.astype(float), kernel)
    y += rng.normal(0, noise, y.shape)
    bad = rng.random(y.shape) < share
    y[bad] += rng.exponential(200, np.count_nonzero(bad))
    return x, y, bad


def test_huber_agrees_with_a_general_solver():
    x, y, _ = spoilt_pair(0)
    k = learn(x, y, loss="huber")
    windows = sliding_window_view(x.astype(float), (3, 3)).reshape(y.size, 9)
    matrix = np.column_stack([windows, np.ones(y.size)])
    truth = least_squares(
        lambda w: matrix @ w - y.ravel(), np.zeros(10), lambda _: matrix,
        loss="huber", f_scale=1.345 * k.noise, xtol=1e-14, ftol=1e-14, gtol=1e-14, x_scale="jac",
    ).x  # fmt: skip
    np.testing.assert_allclose(k.weights.ravel(), truth[:9], atol=1e-5)
    assert k.bias == pytest.approx(truth[9], abs=1e-3)
    residual = matrix @ [*k.weights.ravel(), k.bias] - y.ravel()
    assert k.noise == pytest.approx(1.4826 * np.median(np.abs(residual)), rel=1e-4)


@pytest.mark.parametrize("loss", ["huber", "tukey"])
def test_outliers_spoil_little(loss):
    x, y, bad = spoilt_pair(1)
    plain, k = learn(x, y), learn(x, y, loss=loss)
    clean = learn(x, y, where=~bad)
    error = {name: np.abs(found.weights - BLUR).max() for name, found in (("plain", plain), ("k", k))}
    assert error["k"] < error["plain"] / 10
    assert abs(k.noise - 2) < 0.5
    assert k.stderr.max() < 2 * clean.stderr.max()
    assert k.used == y.size
    assert "more than 3 standard deviations off" in k.notes[-1]


def test_tukey_leaves_them_out_altogether():
    x, y, bad = spoilt_pair(2, share=0.2, noise=0.0)
    y[bad] += 50
    k = learn(x, y, loss="tukey")
    np.testing.assert_allclose(k.weights, BLUR, atol=1e-12)
    assert k.bias == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("loss", ["huber", "tukey"])
def test_error_bars_cover(loss):
    # 95 % intervals, of 60 pairs of which a twentieth is spoilt on both sides.
    inside = []
    for seed in range(60):
        x, y, bad = spoilt_pair(seed, share=0.05, shape=(40, 40))
        y[bad] -= 200.0 * (np.arange(np.count_nonzero(bad)) % 2 * 2)
        k = learn(x, y, loss=loss)
        inside.append(np.abs(k.weights - BLUR) < 1.96 * k.stderr)
    assert 0.92 < np.mean(inside) < 0.98


def test_without_outliers_little_is_lost():
    x, y, _ = spoilt_pair(3, share=0)
    plain = learn(x, y)
    for loss in ("huber", "tukey"):
        k = learn(x, y, loss=loss)
        assert k.stderr.max() == pytest.approx(plain.stderr.max(), rel=0.08)
        assert k.noise == pytest.approx(plain.noise, rel=0.08)


@pytest.mark.parametrize("loss", ["huber", "tukey"])
def test_with_everything_else(loss):
    rng = np.random.default_rng(4)
    x = rng.integers(20, 236, (70, 80, 3)).astype(np.uint8)
    kernel = rng.normal(size=(2, 3, 3, 3)) / 5
    y = corr2d(x.astype(float), kernel, padding="same", channel_axis=-1)
    bad = rng.random(y.shape) < 0.1
    y += (2 * np.arange(80)[None, :, None] + 1) / 80 - 1
    y[bad] = 900
    where = np.ones(y.shape, bool)
    where[20:30] = False
    y[20:30] = -900
    y[40, 40, 0] = np.nan
    x = x.astype(float)
    x[50, 50, 1] = np.nan
    options = {"size": 3, "channel_axis": -1, "mix": True, "background": 1, "where": where}
    k = learn(x, y, loss=loss, weights=rng.random(y.shape), clip=(-1e5, 1e5), **options)
    np.testing.assert_allclose(k.weights, kernel, atol=1e-9 if loss == "tukey" else 1e-7)
    np.testing.assert_allclose(k.background, [[0, 1], [0, 1]], atol=1e-5)
    assert k.left_out["masked"] == 2 * 10 * 78
    assert np.abs(learn(x, y, **options).weights - kernel).max() > 1e-2


@pytest.mark.parametrize("steps", [{"stride": 2}, {"dilation": 2}], ids=str)
def test_several_pairs_with_steps(steps):
    pairs = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = rng.integers(20, 236, (60, 70)).astype(np.uint8)
        y = corr2d(x.astype(float), BLUR, padding="same", **steps)
        y[rng.random(y.shape) < 0.1] = 999
        pairs.append((x, y))
    k = learn(iter(pairs), size=3, loss="tukey", **steps)
    np.testing.assert_allclose(k.weights, BLUR, atol=1e-10)


def test_size_is_still_chosen():
    x, y, _ = spoilt_pair(5, share=0.01, shape=(130, 130))
    padded = np.pad(y, 1)
    assert learn(x, padded, loss="huber").size == (3, 3)


@pytest.mark.parametrize(("loss", "error"), [("cauchy", ValueError), (2, TypeError), (None, TypeError)])
def test_losses_there_are(loss, error):
    x, y, _ = spoilt_pair(0)
    with pytest.raises(error, match=r"^`loss` must be one of 'squared', 'huber', 'tukey', got"):
        learn(x, y, loss=loss)
