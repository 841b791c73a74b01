"""Kernels too large for their moments, from the pictures themselves."""

from collections.abc import Sequence
from math import fsum, hypot, inf, isqrt, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .borders import Pads, Steps, reach
from .correlate import correlate
from .kernel import Kernel
from .moments import measure, notes_of
from .pair import Model, Resolved
from .solve.fit import EPS, Fit, least_squares
from .solve.iterative import InverseSpectrum, Linear, conjugate_gradients
from .solve.words import how_to_apply, is_identity, too_few, what_does_not_vary
from .summing import REASONS, center_of, check_bytes, check_scale, which_count
from .windows import Windows, resolve_asked

LARGEST_BY_MOMENTS = 65 * 65  # taps: their sums take 143 MB, and twice that to solve
LARGEST_CONSTRAINED = 152 * 152
_NEIGHBOURS = 31 * 31  # of a tap, that tell its error bar
_NEARLY = 1e-4  # standard errors that any tap, or any sum of taps, may be off by
_LOOK_BACK = 5  # steps, over which the gain is seen to have ceased
_CYCLES = 3
_MOST_STEPS = 500  # in a cycle; photos take 30 to 100
_ROUNDING = (8 * EPS) ** 2  # what is left of a sum of squares where nothing is (test_noise_free)
_UNSETTLED = (
    "That was too few: `before` is so smooth that other kernels fit as well. The error bars are not known; a "
    "smaller size has some."
)
_NO_PADS = Pads(0, 0, 0, 0)


def is_large(size: Any, *, constrained: bool = False) -> bool:
    """Say whether a window of `size` is found by `learn_large`: not if it is constrained, or no size at all.

    Constrained: found by more than least squares with one weight for each pixel and one window.

    Raises ValueError if it is constrained, and too large for moments.
    """
    try:
        kh, kw = resolve_asked(size)
    except (TypeError, ValueError):
        return False
    if constrained and kh * kw > LARGEST_CONSTRAINED:
        raise ValueError(
            f"A {kh} x {kw} kernel must be found without constraints, penalties, `mix`, `weights`, "
            f"`background` and `loss`: the sums in which they are met are too large. Leave them out, or take "
            f"a smaller size, up to 152 x 152."
        )
    return kh * kw > LARGEST_BY_MOMENTS and not constrained


def learn_large(pairs: Sequence[Resolved]) -> Kernel:
    """Find the kernel and bias of least squared error by conjugate gradients on the normal equations.

    The products with the windows' matrix X and its transpose are correlations: ``X w`` is that of `before`
    with w, ``X^T r`` that of `before` with r as the kernel; pixels that do not count are zero in r. The bias
    is eliminated. No matrix is made: beyond the pictures this takes five of them in float64.

    Ends where no tap, and no sum of taps, is off by more than 1e-4 of its standard error, or the residual is
    rounding; each cycle begins with the residual of the weights found so far, so that rounding does not add
    up. Error bars are those of a smaller window of up to 31 x 31 (`_Neighbours`); rank and condition are not
    known.

    Raises ValueError if fewer pixels count than there are unknowns, or pixels are beyond 1e100.
    """
    problem = _Problem.of(pairs)
    n, taps = problem.pixels, problem.size[0] * problem.size[1]
    if n < taps + 1:
        check_bytes(problem.size, taps + 2)
        raise ValueError(too_few(problem.size, n, problem.left_out, taps))
    near = _Neighbours.of(problem)
    # Where taps are left open, steps that are not turned by another matrix lead to the smallest kernel.
    inverse = np.copy if near.fit.untold.any() else problem.inverse()
    found = _descend(problem, inverse)
    freedom = n - taps - 1
    variance = found.squared_error / freedom if freedom > 0 else inf
    center_x, center_y = problem.center
    stderr, bias_stderr = np.full(problem.size, inf), inf
    notes = [] if found.settled else [_UNSETTLED]
    if freedom > 0 and found.settled and not near.fit.untold.any():
        stderr = near.spread_over(problem.size, n) * sqrt(variance)
        bias_stderr = sqrt(variance * (1 / n + _uncertainty_of_mean(problem, inverse)))
        # Of numbers so large that their difference is small (test_noise_free).
        rounding = 16 * EPS * (abs(center_y) + abs(center_x) * float(np.abs(found.weights).sum()))
        bias_stderr = hypot(bias_stderr, rounding)
        if near.size != problem.size:
            kh, kw = near.size
            notes = [
                f"The error bars are close, not exact: those of a {kh} x {kw} window, for the same noise."
            ]
    kernel = Kernel(
        weights=found.weights,
        bias=center_y + found.intercept - center_x * fsum(found.weights.flat),
        stderr=stderr,
        bias_stderr=bias_stderr,
        errors="white",
        rmse=sqrt(found.squared_error / n),
        noise=sqrt(variance),
        r2=1 - found.squared_error / found.spread if found.spread > 8 * EPS * problem.squares else nan,
        used=n,
        left_out=problem.left_out,
    )
    return kernel.with_notes(
        *dict.fromkeys(note for pair in pairs for note in notes_of(pair.before, pair.after)),
        *how_to_apply(problem.stride, problem.dilation),
        f"Found by {found.steps} conjugate gradient steps.",
        *notes,
        *near.notes,
        *is_identity(kernel, problem.stride, sqrt(problem.squares / n)),
    )


class _Plane(NamedTuple):
    before: NDArray[np.float64]  # about its centre, zero where it does not count
    after: NDArray[Any]
    counts: NDArray[np.bool_] | None  # which pixels of `after` do; None: all

    def only_counting(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make all others zero, in place."""
        if self.counts is not None:
            pixels[~self.counts] = 0
        return pixels


class _Problem(NamedTuple):
    """Least squares on pictures: the products that conjugate gradients are made of."""

    planes: list[_Plane]
    size: tuple[int, int]
    stride: Steps
    dilation: Steps
    center: tuple[float, float]
    pixels: int  # of `after` that count
    left_out: dict[str, int]
    squares: float  # of `after` about its centre, summed over the pixels that count

    @classmethod
    def of(cls, pairs: Sequence[Resolved]) -> "_Problem":
        windows = pairs[0].model.windows
        center = center_of(pairs[0].before), center_of(pairs[0].after)
        left_out = dict.fromkeys(REASONS, 0)
        planes, total, squares = [], 0, 0.0
        for pair in pairs:
            for i in np.ndindex(pair.after.shape[:-2]):
                counts = which_count(pair, i, left_out)
                count = int(np.count_nonzero(counts))
                pixels = pair.before[:, *i][0]
                before = np.subtract(pixels, center[0], dtype=np.float64)
                if count < counts.size or not np.isfinite(before).all():
                    before[~_reached(counts, before.shape, windows)] = 0
                check_scale("before", pixels, center[0], _squared([before]))
                planes.append(_Plane(before, pair.after[i], None if count == counts.size else counts))
                total += count
                squares += _squared([np.subtract(pair.after[i][counts], center[1], dtype=np.float64)])
            check_scale("after", pair.after, center[1], squares)
        return cls(planes, *windows, center, total, left_out, squares)

    def product(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the product with the Gram matrix of all windows about their mean."""
        parts = [self._seen(plane, weights) for plane in self.planes]
        self._leave_mean(parts)
        return self.gathered(parts)

    def residual(self, weights: NDArray[np.float64]) -> tuple[list[NDArray[np.float64]], float]:
        """Give what the weights leave of `after`, plane by plane about its mean, and that mean."""
        parts = []
        for plane in self.planes:
            part = plane.only_counting(np.subtract(plane.after, self.center[1], dtype=np.float64))
            if weights.any():
                part -= self._seen(plane, weights)
            parts.append(part)
        return parts, self._leave_mean(parts)

    def gathered(self, parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Give, for each tap, the sum over its pixels of the products with `parts`."""
        total = np.zeros(self.size)
        for plane, part in zip(self.planes, parts, strict=True):
            total += correlate(plane.before, part, _NO_PADS, stride=self.dilation, dilation=self.stride)
        return total

    def inverse(self) -> InverseSpectrum:
        """Give about the inverse of the Gram matrix."""
        return InverseSpectrum([plane.before for plane in self.planes], self.size, self.dilation, self.pixels)

    def mean_window(self) -> NDArray[np.float64]:
        """Give the mean of the pixels that each tap sees."""
        ones = [plane.only_counting(np.ones(plane.after.shape)) for plane in self.planes]
        return self.gathered(ones) / self.pixels + self.center[0]

    def _seen(self, plane: _Plane, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return plane.only_counting(
            correlate(plane.before, weights, _NO_PADS, stride=self.stride, dilation=self.dilation)
        )

    def _leave_mean(self, parts: list[NDArray[np.float64]]) -> float:
        """Subtract the mean over the pixels that count, and give it."""
        mean = fsum(float(part.sum()) for part in parts) / self.pixels
        for plane, part in zip(self.planes, parts, strict=True):
            part -= mean
            plane.only_counting(part)
        return mean


def _reached(counts: NDArray[np.bool_], shape: tuple[int, ...], windows: Windows) -> NDArray[np.bool_]:
    """Say which pixels of `before` lie in a window that counts."""
    size, stride, dilation = windows
    height, width = (far - 1 for far in reach(size, dilation))
    ends = np.zeros((shape[0] - height, shape[1] - width), np.bool_)
    ends[:: stride.rows, :: stride.columns] = counts
    pads = Pads(height, height, width, width)
    return correlate(ends, np.ones(size), pads, dilation=dilation, dtype=np.float64) > 0.5


class _Found(NamedTuple):
    weights: NDArray[np.float64]
    intercept: float  # about the centres
    spread: float  # of `after` about its mean, as a sum of squares
    squared_error: float
    steps: int
    settled: bool


def _descend(problem: _Problem, inverse: Linear) -> _Found:
    """Find the weights, in cycles that begin with the residual of those found so far."""
    weights, steps, squared, settled = np.zeros(problem.size), 0, [], False
    freedom = max(problem.pixels - weights.size - 1, 1)
    parts, intercept = problem.residual(weights)
    for _ in range(_CYCLES):
        squared.append(_squared(parts))
        right = problem.gathered(parts)
        parts = []  # a copy of the picture, which what follows makes as well

        def enough(gains: list[float], before: float = squared[-1]) -> bool:
            error = sum(gains[-_LOOK_BACK:])
            left = max(before - sum(gains), 0.0)
            return len(gains) >= _LOOK_BACK and error <= max(
                _NEARLY**2 * left / freedom, EPS**2 * problem.squares
            )

        found = conjugate_gradients(problem.product, inverse, right, enough, _MOST_STEPS)
        weights += found.solution
        steps += len(found.gains)
        settled = len(found.gains) < _MOST_STEPS
        parts, intercept = problem.residual(weights)
        if len(found.gains) <= _LOOK_BACK or not settled:
            break
    squared_error = max(_squared(parts), _ROUNDING * problem.squares)
    return _Found(weights, intercept, squared[0], squared_error, steps, settled)


def _squared(parts: list[NDArray[np.float64]]) -> float:
    return fsum(float(np.vdot(part, part)) for part in parts)


class _Neighbours(NamedTuple):
    """The error bars of taps, from as many of their neighbours as a smaller window holds.

    The variance of a tap is that of the noise over what its pixels vary by while those of all other taps stay
    (Draper & Smith 1998, chapter 5): over what neighbours cannot predict of a pixel, to which far ones add
    next to nothing. So each tap has the error bar that it would have at the same distance from the edges of
    the smaller window; one further inside, that of its centre. More taps leave fewer pixels for each: of
    normal pixels, an inverse Gram matrix is larger by the degrees of freedom that it lost (the mean of an
    inverse Wishart matrix: Mardia, Kent & Bibby 1979, section 3.8). At 31 x 31 from 21 x 21, on a photo of
    512 x 512: within 4 %; on 140 x 160 of its pixels: within 13 %, half of them within 4 %.
    """

    fit: Fit
    size: tuple[int, int]
    notes: list[str]

    @classmethod
    def of(cls, problem: _Problem) -> "_Neighbours":
        size = _smaller(problem.size)
        windows = Windows(size, problem.stride, problem.dilation)
        total = None
        for plane in problem.planes:
            inner = []  # the pixels that the smaller window reaches, in the middle of the larger one
            for axis in (0, 1):
                first = (problem.size[axis] - size[axis]) // 2 * problem.dilation[axis]
                places = (plane.after.shape[axis] - 1) * problem.stride[axis] + 1
                inner.append(slice(first, first + places + reach(size, problem.dilation)[axis] - 1))
            model = Model.plain(windows, plane.after.shape)
            moments = measure(Resolved(plane.before[None, *inner], plane.after, model, plane.counts))
            total = moments if total is None else total + moments
        assert total is not None  # there are pixels that count
        sums = total.total
        fit = least_squares(sums)
        kh, kw = size
        notes = []
        if fit.rank < fit.free:
            notes = what_does_not_vary(total, sums) or [
                f"The pair does not determine all taps, even of a {kh} x {kw} window: of the kernels "
                f"that fit, this is the smallest."
            ]
        return cls(fit, size, notes)

    def spread_over(self, size: tuple[int, int], pixels: int) -> NDArray[np.float64]:
        """Give the error bar of each tap of a larger window, for a noise of 1."""
        known = np.sqrt(np.diag(self.fit.inverse)).reshape(self.size)
        rows, columns = (_nearest_alike(n, k) for n, k in zip(self.size, size, strict=True))
        lost = (pixels - known.size - 1) / (pixels - size[0] * size[1] - 1)
        return known[np.ix_(rows, columns)] * sqrt(lost)


def _smaller(size: tuple[int, int]) -> tuple[int, int]:
    """Give the window of at most so many neighbours: as square as can be."""
    side = isqrt(_NEIGHBOURS)
    kh = min(size[0], max(side, _NEIGHBOURS // size[1]))
    return kh, min(size[1], max(side, _NEIGHBOURS // kh))


def _nearest_alike(n: int, k: int) -> NDArray[np.intp]:
    """Give, for each of k places, the one of n that is as far from the nearer end, or the middle."""
    places = np.arange(k)
    return np.where(places < k - places, np.minimum(places, n // 2), np.maximum(places - k + n, n // 2))


def _uncertainty_of_mean(problem: _Problem, inverse: Linear) -> float:
    """Give ``m^T G^-1 m``, m the mean window, to a percent: what conjugate gradients gain (from below)."""

    def enough(gains: list[float]) -> bool:
        return len(gains) >= _LOOK_BACK and sum(gains[-_LOOK_BACK:]) <= 0.01 * sum(gains)

    return sum(
        conjugate_gradients(problem.product, inverse, problem.mean_window(), enough, _MOST_STEPS).gains
    )
