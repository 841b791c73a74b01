"""What a kernel comes to: its sum, its centre of mass, its width, and how sure they are."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .errors import ErrorBars
from .fit import Fit

_Array = NDArray[np.float64]

_CLEAR = 5.0  # standard errors: of less, a quotient is not nearly linear in what it is divided by
_ZERO = 1e-6  # of the sizes of the taps: what rounding leaves of a sum of zero is far below


def kernel_moments(
    size: tuple[int, int], channels: int, gaps: tuple[int, int], origin: tuple[int, int]
) -> _Array:
    """Give the rows (4, taps) that make of the weights sum w, sum w y, sum w x and sum w (y y + x x) / 2.

    y and x are pixels from the tap on the `origin`, `gaps` from one tap to the next. Of several channels, all
    are added up.
    """
    kh, kw = size
    y, x = np.meshgrid(
        (np.arange(kh) - origin[0]) * float(gaps[0]),
        (np.arange(kw) - origin[1]) * float(gaps[1]),
        indexing="ij",
    )
    rows = np.stack([np.ones(kh * kw), y.ravel(), x.ravel(), (y * y + x * x).ravel() / 2])
    return np.tile(rows, channels)


def measures(weights: _Array, rows: _Array, bars: ErrorBars, fit: Fit) -> dict[str, tuple[float, float]]:
    """Give the measures of a kernel, each with its standard error.

    Errors are those of the tangent (delta method), with all that the errors of the taps have in common;
    infinite where directions that the pair leaves open change the measure. Centre and width are left out
    where the sum is not clearly different from zero, and the width where its square is not: of them, no error
    bar would be of use.
    """
    total, of_y, of_x, second = (rows @ weights).tolist()
    # What a measure is on top of its slope, (4,): what the four moments change of it.
    slopes = {"sum": (total, np.array([1.0, 0, 0, 0]))}
    found = _with_errors(slopes, rows, bars, fit)
    if not abs(total) > max(_CLEAR * found["sum"][1], _ZERO * float(np.abs(weights).sum())):
        return found
    y, x = of_y / total, of_x / total
    square = second / total - (y * y + x * x) / 2
    of_square = np.array([y * y + x * x - second / total, -y, -x, 1]) / total
    slopes = {
        "center_y": (y, np.array([-y, 1, 0, 0]) / total),
        "center_x": (x, np.array([-x, 0, 1, 0]) / total),
        "square": (square, of_square),
    }
    found |= _with_errors(slopes, rows, bars, fit)
    square, error = found.pop("square")
    if square > max(_CLEAR * error, _ZERO) or (square > 0 and error == np.inf):
        width = sqrt(square)
        found["width"] = (width, error / (2 * width))
    return found


def _with_errors(
    slopes: dict[str, tuple[float, _Array]], rows: _Array, bars: ErrorBars, fit: Fit
) -> dict[str, tuple[float, float]]:
    factors = np.stack([slope for _, slope in slopes.values()])
    errors = bars.of(np.pad(factors, ((0, 0), (0, len(bars.covariance) - 4))))
    of_taps = factors @ rows
    errors = np.hypot(errors, np.abs(of_taps) @ fit.rounding)
    changed = np.abs(of_taps @ fit.hidden).max(axis=1, initial=0)
    errors[changed > 1e-6 * np.abs(of_taps).max(axis=1)] = np.inf
    return {name: (value, float(e)) for (name, (value, _)), e in zip(slopes.items(), errors, strict=True)}
