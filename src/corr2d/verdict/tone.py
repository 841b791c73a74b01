"""The tone curve that followed a filter, and the filter under it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernel import Kernel
from ..moments import Moments
from .residuals import Sample, moments_of

_Array = NDArray[np.float64]

_KNOTS = 16  # evenly over the range, and as many with equally many pixels between them
_FEWEST, _SHARE = 12, 1 / 200  # pixels between two knots, and of all pixels: slopes are not those of noise
_ROUNDS = 10
_SETTLED = 1e-3  # of what is left unexplained: a round that gains no more is the last
_STIFFNESS = 1e-6  # of a pixel a knot: enough for knots that no pixel is near to lie in line
_AS_IT_IS = 0.005  # of a factor: so near to 1, a filter that has no gain keeps its name
_SLOPES = 0.02, 4.0  # of the mean slope: a step is made as if the curve were no flatter and no steeper


@dataclass(frozen=True, eq=False)
class Tone:
    """``after = curve(kernel's result)``, the curve rising: straight lines between its knots."""

    kernel: Kernel
    results: _Array  # of the filter: the knots
    values: _Array  # what the curve makes of them

    @cached_property
    def slopes(self) -> _Array:
        """Of the lines, from knot to knot."""
        return np.asarray(np.diff(self.values) / np.diff(self.results))

    def __call__(self, results: _Array) -> _Array:
        """Give what the curve makes of some results, straight on beyond its ends."""
        return self._on(results, self._piece(results))

    def slope(self, results: _Array) -> _Array:
        """Give how steep the curve is at some results."""
        return np.asarray(self.slopes[self._piece(results)])

    def _piece(self, results: _Array) -> NDArray[np.intp]:
        return np.asarray(np.clip(np.searchsorted(self.results, results) - 1, 0, len(self.slopes) - 1))

    def _on(self, results: _Array, piece: NDArray[np.intp]) -> _Array:
        return np.asarray(self.values[piece] + self.slopes[piece] * (results - self.results[piece]))

    @property
    def points(self) -> _Array:
        """The curve as `Kernel.curve` has it."""
        return np.stack([self.results, self.values], axis=1)


def find_tone(
    sample: Sample, kernel: Kernel, fit: Callable[[Moments], Kernel] | None, *, free: bool = True
) -> Tone | None:
    """Find the kernel and the rising curve of least squared error, ``sum (after - curve(kernel))**2``.

    By turns: the curve for the kernel's results is a line through knots, fitted and made to rise (isotonic
    regression, Ayer et al. 1955); the kernel for the curve is a fit to what the curve's tangents make of
    `after`, each pixel weighing as the square of their slope (Gauss-Newton; Härdle, Hall & Ichimura 1993 on
    such models, Breiman & Friedman 1985 on taking turns). Begun from the kernel of the straight line, whose
    taps are nearly in proportion already (Brillinger 1983).

    A factor and an offset could be in the curve or in the kernel. The kernel has those with which its results
    have the mean and the deviation of `after`, if it is free to.

    Parameters
    ----------
    sample : Sample
        Of the pair.
    kernel : Kernel
        Of the fit without a curve.
    fit : callable, optional
        From moments to the kernel, as in that fit. None: the kernel stays as it is.
    free : bool
        Whether that fit leaves the kernel free to be multiplied: not one of a given sum.

    Returns
    -------
    Tone or None
        None where too few pixels count, or the results of the kernel do not vary.
    """
    best: Tone | None = None
    least = np.inf
    for _ in range(_ROUNDS):
        found = _round(sample, kernel, free)
        if found is None:
            break
        tone, left = found
        if left >= least:
            break
        settled = left > least * (1 - _SETTLED)
        best, least = tone, left
        if fit is None or settled:
            break
        kernel = _under(sample, tone, fit)
    return best


def _round(sample: Sample, kernel: Kernel, free: bool) -> tuple[Tone, float] | None:
    """Give the curve for a kernel, and what both leave."""
    results = sample.predicted(kernel)
    counts = sample.counts & np.isfinite(results)
    of_after, of_filter = sample.after[counts], results[counts]
    if len(of_after) < _FEWEST * 4 or not of_filter.std() > 0:
        return None
    if free:
        gain = float(of_after.std() / of_filter.std())
        offset = float(of_after.mean() - gain * of_filter.mean())
        kernel, of_filter = _scaled(kernel, gain, offset), gain * of_filter + offset
    tone = Tone(kernel, *_rising_curve(of_filter, of_after))
    return tone, float(np.mean(np.square(of_after - tone(of_filter))))


def _under(sample: Sample, tone: Tone, fit: Callable[[Moments], Kernel]) -> Kernel:
    """Give the kernel for a curve: one step from the one that the curve was found for."""
    results = sample.predicted(tone.kernel)
    counts = sample.counts & np.isfinite(results)
    results = np.where(counts, results, 0)
    slope = tone.slope(results)
    least, most = (share * float(np.mean(slope[counts])) for share in _SLOPES)
    slope = np.clip(slope, least, most)
    targets = results + (np.where(counts, sample.after, 0) - tone(results)) / slope
    return fit(moments_of(sample, targets, counts, np.where(counts, slope**2, 0)))


def _scaled(kernel: Kernel, gain: float, offset: float) -> Kernel:
    """Give the kernel whose results are multiplied and moved so; the gain is positive."""

    def times(figure: Any) -> Any:
        return None if figure is None else np.multiply(figure, gain)

    measures = kernel.measures
    if measures is not None and "sum" in measures:
        value, error = measures["sum"]
        measures = measures | {"sum": (value * gain, error * gain)}
    return replace(
        kernel,
        weights=kernel.weights * gain,
        bias=kernel.bias * gain + offset,
        stderr=times(kernel.stderr),
        bias_stderr=times(kernel.bias_stderr),
        response_stderr=times(kernel.response_stderr),
        measures=measures,
        **_named(kernel, gain),
    )


def _named(kernel: Kernel, gain: float) -> dict[str, Any]:
    """Give the name and parameters of a kernel that is multiplied: it has a gain, or no name."""
    parameters = kernel.parameters or {}
    if "gain" in parameters:
        value, error = parameters["gain"]
        return {"parameters": parameters | {"gain": (value * gain, error * gain)}}
    if kernel.name is None or abs(gain - 1) < _AS_IT_IS:
        return {}
    return {"name": None, "parameters": None}


def _rising_curve(results: _Array, values: _Array) -> tuple[_Array, _Array]:
    """Fit lines between knots that rise from knot to knot, or stay."""
    knots = _knots(results)
    piece = np.clip(np.searchsorted(knots, results) - 1, 0, len(knots) - 2)
    share = (results - knots[piece]) / (knots[piece + 1] - knots[piece])
    n = len(knots)
    products = (1 - share) ** 2, (1 - share) * share, share**2
    of_piece = [np.asarray(np.bincount(piece, product, n), np.float64) for product in products]
    beside = np.diag(of_piece[1][:-1], 1)
    hats = np.diag(of_piece[0]) + beside + beside.T
    hats[1:, 1:] += np.diag(of_piece[2][:-1])
    bends = np.diff(np.diff(np.eye(n), axis=0) / np.diff(knots)[:, None], axis=0) * (knots[-1] - knots[0]) / n
    hats += _STIFFNESS * len(results) / n * bends.T @ bends
    at_first, at_second = (1 - share) * values, share * values
    cross = np.bincount(piece, at_first, n) + np.bincount(piece + 1, at_second, n)
    return knots, _rising(hats, np.asarray(cross, np.float64))


def _knots(results: _Array) -> _Array:
    """Give places to bend at: over the range and where the pixels are, with some pixels between any two."""
    ordered = np.sort(results)
    n = len(ordered)
    fewest = max(_FEWEST, int(_SHARE * n))
    count = min(_KNOTS, n // fewest)
    quantiles = ordered[np.linspace(0, n - 1, count + 1).astype(np.intp)]
    wanted = np.sort(np.concatenate([quantiles, np.linspace(ordered[0], ordered[-1], count + 1)]))
    kept, below = [ordered[0]], 0
    for knot in wanted[wanted < ordered[-1]]:
        upto = int(np.searchsorted(ordered, knot))
        if upto - below >= fewest:
            kept, below = [*kept, knot], upto
    if n - below < fewest and len(kept) > 1:
        kept.pop()
    return np.array([*kept, ordered[-1]])


def _rising(hats: _Array, cross: _Array) -> _Array:
    """Give the values at the knots: neighbours that fall are made equal until none do."""
    groups = np.arange(len(cross))
    while True:
        together = np.eye(groups[-1] + 1)[groups]  # (knots, groups)
        values = np.linalg.solve(together.T @ hats @ together, together.T @ cross)
        falls = np.diff(values) < 0
        if not falls.any():
            return np.asarray(values[groups])
        joined = np.concatenate([[0], np.cumsum(~falls)])
        groups = joined[groups]
