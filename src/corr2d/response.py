"""How a kernel acts on waves: its frequency response, and the frequencies of which a pair says nothing."""

from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Cycles per pixel: down the rows, and along them. A wave and its opposite are one.
ROWS = np.arange(11) / 20
COLUMNS = np.arange(-10, 11) / 20

_HIDDEN = 0.25  # of the largest response: the 95 % interval is then as wide as that
_OPEN = 0.1  # of a wave's amplitude: so much in directions that the pair leaves open
_FEW, _MOST = (
    0.02,
    0.98,
)  # of all frequencies: fewer are not worth a word, more are no news beside the error bars
_FITS = 0.85  # of region and description together, that both have in common


def response(
    weights: NDArray[np.float64], origin: tuple[int, int], y: ArrayLike, x: ArrayLike
) -> NDArray[np.complex128]:
    """Give ``sum_v sum_u weights[v, u] exp(2 pi i (y (v - origin[0]) + x (u - origin[1])))``.

    A wave ``exp(2 pi i (y row + x column))`` comes out multiplied by it. `y` and `x`, in cycles per pixel,
    broadcast; the result has their shape after the leading axes of `weights`.
    """
    kh, kw = weights.shape[-2:]
    y, x = np.broadcast_arrays(np.asarray(y, np.float64), np.asarray(x, np.float64))
    down = np.exp(2j * np.pi * y[..., None] * (np.arange(kh) - origin[0]))
    along = np.exp(2j * np.pi * x[..., None] * (np.arange(kw) - origin[1]))
    of_waves = weights.reshape(*weights.shape[:-2], *(1,) * y.ndim, kh, kw)
    return np.asarray(np.einsum("...v,...vu,...u->...", down, of_waves, along))


def response_stderr(
    covariance: NDArray[np.float64], unseen: NDArray[np.float64] | None, size: tuple[int, int]
) -> NDArray[np.float64]:
    """Give the standard error of the response at `ROWS` x `COLUMNS`, to three digits.

    Parameters
    ----------
    covariance : (taps, taps) array
        Of the weights.
    unseen : (taps, n) array or None
        Orthonormal directions that the pair leaves open. Where more than a tenth of a wave lies in them, the
        error is infinite.
    size : (kh, kw)
        Of the window.
    """
    variance = np.maximum(_of_waves(_by_lag(covariance, size)).real, 0)
    found = np.array([float(f"{error:.3g}") for error in np.sqrt(variance).ravel()]).reshape(variance.shape)
    if unseen is not None:
        hidden = _of_waves(_by_lag(unseen @ unseen.T, size)).real
        found[hidden > _OPEN**2 * len(covariance)] = inf
    return found


def hidden_waves(weights: NDArray[np.float64], stderr: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of `ROWS` x `COLUMNS` where twice the error bar is as large as half of the largest response.

    The largest that is sure, that is: noise alone may make a larger one where little is known.
    """
    sure = np.abs(_of_waves(weights)) - 2 * stderr
    return np.asarray(stderr > _HIDDEN * max(float(sure.max()), 0.0))


def hidden_in_words(hidden: NDArray[np.bool_]) -> str | None:
    """Say which frequencies a pair tells nothing of; None if that is not worth a word."""
    # The frequency 0 across counts once, all others stand for two.
    share = float(np.average(hidden, weights=np.where(ROWS > 0, 2.0, 1.0)[:, None] * np.ones(len(COLUMNS))))
    if not _FEW <= share <= _MOST:
        return None
    if regions := _regions(hidden):
        return max(regions, key=lambda region: region[1])[0]
    least = float(np.hypot(ROWS[:, None], COLUMNS)[hidden].min())
    lowest = f", none of them below {least:.2g} cycles per pixel" if least > 0 else ""
    return f"at {100 * share:.0f} % of all frequencies{lowest}"


def _regions(hidden: NDArray[np.bool_]) -> list[tuple[str, float]]:
    """Give descriptions that fit, each with how well."""
    y, x = np.broadcast_arrays(ROWS[:, None], np.abs(COLUMNS))
    single = {name: _beyond(hidden, distance) for name, distance in (("x", x), ("y", y))}
    found = [(f"{_above(c)} in {axis}", (x if axis == "x" else y) >= c) for axis, c in single.items() if c]
    if single["x"] and single["y"]:
        words = f"{_above(single['x'])} in x or {single['y']:.2g} in y"
        found.append((words, (x >= single["x"]) | (y >= single["y"])))
    if c := _beyond(hidden, np.hypot(y, x)):
        found.append((f"{_above(c)} in any direction", np.hypot(y, x) >= c))
    fits = [
        (words, np.count_nonzero(hidden & said) / np.count_nonzero(hidden | said)) for words, said in found
    ]
    return [(words, fit) for words, fit in fits if fit >= _FITS]


def _beyond(hidden: NDArray[np.bool_], distance: NDArray[np.float64]) -> float | None:
    """Give the least distance from which on all is hidden."""
    for c in np.unique(distance):
        if c > 0 and hidden[distance >= c].all():
            return float(c)
    return None


def _above(c: float) -> str:
    return f"above {c:.2g} cycles per pixel"


def _by_lag(matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Sum the elements of all pairs of taps that lie equally far apart: (2 kh - 1, 2 kw - 1), 0 amid."""
    kh, kw = size
    blocks = matrix.reshape(kh, kw, kh, kw)
    found = np.zeros((2 * kh - 1, 2 * kw - 1))
    for v in range(kh):
        # Rows that are one longer than they are apart come to lie askew: diagonals become columns.
        wide = np.zeros((kh, kw, 2 * kw))
        wide[..., :kw] = blocks[v, ::-1].swapaxes(0, 1)
        askew = wide.reshape(kh, -1)[:, :-kw].reshape(kh, kw, 2 * kw - 1)
        found[kh - 1 - v : 2 * kh - 1 - v] += askew.sum(axis=1)
    return found


def _of_waves(grid: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Give the sum of elements times ``exp(2 pi i (y v + x u))`` on the grid, (v, u) from the middle."""
    down, along = (
        np.exp(2j * np.pi * np.outer(waves, np.arange(n) - n // 2))
        for waves, n in zip((ROWS, COLUMNS), grid.shape, strict=True)
    )
    return np.asarray(down @ grid @ along.T)
