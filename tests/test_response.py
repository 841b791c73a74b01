"""How kernels act on waves, and the waves of which a pair says nothing."""

import numpy as np
import pytest

from corr2d import Kernel, corr2d, learn
from corr2d.response import COLUMNS, ROWS, hidden_in_words, response_stderr

rng = np.random.default_rng(20261122)
Y, X = np.broadcast_arrays(ROWS[:, None], COLUMNS)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 3), (4, 5)])
def test_a_wave_comes_out_multiplied_by_the_response(size):
    kernel = Kernel(rng.standard_normal(size))
    y, x = 0.13, -0.31
    rows, columns = np.mgrid[:20, :24]
    wave = np.exp(2j * np.pi * (y * rows + x * columns))
    filtered = kernel(wave.real, padding="same") + 1j * kernel(wave.imag, padding="same")
    inside = slice(6, -6), slice(6, -6)
    assert filtered[inside] == pytest.approx(kernel.response(y, x) * wave[inside], abs=1e-12)


def test_a_shift_turns_the_response():
    moved = Kernel([[1.0]], origin=(2, -3))
    assert moved.response(0.1, 0.2) == pytest.approx(np.exp(-2j * np.pi * (0.2 - 0.6)))


@pytest.mark.parametrize("channels", [(3,), (2, 3)])
def test_each_channel_has_a_response(channels):
    weights = rng.standard_normal((*channels, 3, 4))
    kernel = Kernel(weights, bias=np.zeros(channels[0]))
    found = kernel.response(np.zeros((5, 1)), np.linspace(0, 0.5, 7))
    assert found.shape == (*channels, 5, 7)
    assert found[..., 0, 0] == pytest.approx(weights.sum(axis=(-2, -1)))


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (5, 2)])
def test_error_bars_are_those_of_the_covariance(size):
    kh, kw = size
    some = rng.standard_normal((kh * kw, kh * kw + 3))
    covariance = some @ some.T
    v, u = np.divmod(np.arange(kh * kw), kw)
    waves = np.exp(2j * np.pi * (Y[..., None] * v + X[..., None] * u))
    variance = np.einsum("yxi,ij,yxj->yx", waves.conj(), covariance, waves).real
    assert response_stderr(covariance, None, size) == pytest.approx(np.sqrt(variance), rel=6e-3)


def test_error_bars_cover_the_response_of_noisy_pairs():
    before, truth = rng.standard_normal((80, 80)), rng.standard_normal((3, 3))
    clean, exact = corr2d(before, truth), Kernel(truth).response(Y, X)
    far = []
    for _ in range(60):
        kernel = learn(before, clean + 2 * rng.standard_normal(clean.shape))
        far.append(np.abs(kernel.response(Y, X) - exact) ** 2 / kernel.response_stderr**2)
    assert np.mean(far) == pytest.approx(1, abs=0.15)


def test_open_waves_have_infinite_error_bars():
    stripes = np.tile(rng.standard_normal(40), (30, 1))  # no change from row to row
    kernel = learn(stripes, corr2d(stripes, rng.standard_normal((3, 3))))
    assert np.isfinite(kernel.response_stderr[0]).all()
    assert np.isinf(kernel.response_stderr[3:]).all()


def blurred(*sigmas):
    down, along = (
        np.exp(-0.5 * (np.arange(-8, 9) / sigma) ** 2) if sigma else np.ones(1) for sigma in sigmas
    )
    kernel = np.outer(down / down.sum(), along / along.sum())
    return corr2d(30 * rng.standard_normal((200, 220)), kernel, padding="same", mode="wrap")


@pytest.mark.parametrize(
    ("sigmas", "words"),
    [((0, 2), "in x."), ((2, 0), "in y."), ((2, 2), "in any direction."), ((0, 0), None)],
)
def test_what_a_blurred_picture_cannot_tell_is_named(sigmas, words):
    before = blurred(*sigmas)
    after = corr2d(before, np.ones((3, 3)) / 9, padding="same", dtype="float64")
    after += 2 * rng.standard_normal(after.shape)
    notes = learn(before, after, size=5).notes
    said = [note for note in notes if note.startswith("The pair does not tell what the kernel does above")]
    assert len(said) == (words is not None)
    assert words is None or said[0].endswith(words)


def test_regions_in_words():
    nothing = np.zeros(Y.shape, np.bool_)
    assert hidden_in_words(nothing) is None
    assert hidden_in_words(~nothing) is None
    assert hidden_in_words(np.abs(X) >= 0.25) == "above 0.25 cycles per pixel in x"
    assert hidden_in_words(Y > 0.25) == "above 0.3 cycles per pixel in y"
    assert hidden_in_words((np.abs(X) >= 0.25) | (Y >= 0.4)) == "above 0.25 cycles per pixel in x or 0.4 in y"
    assert hidden_in_words(np.hypot(Y, X) >= 0.25) == "above 0.25 cycles per pixel in any direction"
    some = (np.abs(X) > 0.2) & (np.abs(X) < 0.3)
    assert hidden_in_words(some) == "at 10 % of all frequencies, none of them below 0.25 cycles per pixel"


def test_the_error_bars_are_kept_in_the_file(tmp_path):
    before = rng.standard_normal((20, 20))
    kernel = learn(before, corr2d(before, [[1.0, 2.0]]) + rng.standard_normal((20, 19)))
    kernel.save(tmp_path / "kernel.json")
    assert Kernel.load(tmp_path / "kernel.json") == kernel


def test_each_colour_has_error_bars():
    before = rng.standard_normal((20, 20, 3))
    after = before + rng.standard_normal(before.shape)
    each = learn(before, after, size=3, channel_axis=-1, per_channel=True)
    assert each.response_stderr.shape == (3, 11, 21)
    assert learn(before, after, size=3, channel_axis=-1, mix=True).response_stderr is None
