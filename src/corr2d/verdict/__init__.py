"""What made `after` of `before`: the verdict, and the figures that it rests on.

Noise, rounding and JPEG files leave a residual too, and of a million pixels any of them is significant. So it
is asked how much of the residual is structure, as a share, and the bars are above what a convolution was ever
seen to leave (simulations/verdict.py): strong noise makes a convolution of low R², and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernel import Kernel
from ..moments import Moments
from ..shift import errors_of_mean
from ..size import held_out_errors
from .residuals import MARGIN, Sample, refitted
from .structure import Shares, Structure, neighbours
from .tone import Tone, find_tone

_Array = NDArray[np.float64]
_Mask = NDArray[np.bool_]

CONVOLUTION = "a convolution"
CURVED = "a convolution, then a tone curve"
VARIES = "a convolution that varies across the picture"
OTHER = "not a convolution"
UNTOLD = "the pictures cannot tell"

# Of the deviation of `after`: less is the rounding of float sums, in which no structure is looked for.
_EXACT = 1e-6
_ROUNDED = 0.31  # of a step: rounding leaves 1 / sqrt(12), 0.289
_HALF, _PULLED = 0.75, 0.4  # of a step: half of one; and what the fit is pulled aside where levels are few
_BEYOND = 3  # deviations: of so many pixels of the filter's results beyond an end, it was cut off
_FEWEST = 400  # pixels, of which chance alone makes shares as large as the bars
_A_TAP = 3  # pixels, and twice as many are better
# Of the residual. A convolution leaves less than 0.01, in JPEG files of quality 90 up to 0.07; a median, a
# tone curve, a filter that keeps edges and local contrast mostly more than 0.3.
_BAR = 0.12
# The smaller it is in steps, the more of the residual: a blur that is rounded after each of its passes leaves
# a third of a step, up to 0.41 of its residual, a sharpener that works in whole numbers 0.51 of half a step;
# JPEG files of gravel 0.8 steps, 0.15. None is a curve.
_BARS = ((1.0, _BAR), (0.5, 0.2), (0.1, 0.6))
_OF_CURVE = 0.13
_LEAST = 0.1  # of a step: structure that is smaller in all could be rounding
_POOR = 0.5  # R², below which it is asked whether anything is predicted at all
_CLEARLY = 3  # standard errors
_GOOD, _WHITE = 0.2, 0.05  # a gain, and a likeness of neighbours, that no two pictures have by chance
_ALIKE = 0.3  # correlation of neighbours: of noise it is less, where nothing else is left to see
_SOME = 4096  # pixels, of which the step between values is told
_OFF = 1e-3  # of a step: floats that are multiples of one are so near to them
_GONE = 0.005  # of the structure: lines between knots leave as much of a curve without noise
_MOST_UNKNOWNS = 1000  # 31 x 31: of larger windows none is tried
_BLOCK = 7  # pixels: as far as a pixel of a JPEG file may lie from one that it was changed by
_MOSTLY = 0.7  # of what is explained at all

_LARGER = "A larger window leaves less unexplained: pass a larger `size`."
_VARYING = (
    "The kernel, or the level, changes across the picture; this is its mean. corr2d.learn_varying finds it, "
    "and background=1 a slope of light."
)


@dataclass(frozen=True, eq=False)
class _Looked:
    """A sample beside what a kernel, and a tone curve after it, make of it."""

    sample: Sample
    kernel: Kernel
    tone: Tone | None = None

    @cached_property
    def results(self) -> _Array:
        """Of the filter."""
        return self.sample.predicted(self.kernel)

    @cached_property
    def predicted(self) -> _Array:
        return self.results if self.tone is None else self.tone(self.results)

    @cached_property
    def counts(self) -> _Mask:
        return np.asarray(self.sample.counts & np.isfinite(self.predicted))

    @cached_property
    def residual(self) -> _Array:
        return np.where(self.counts, self.sample.after - np.where(self.counts, self.predicted, 0), 0)

    @cached_property
    def pixels(self) -> int:
        return int(np.count_nonzero(self.counts))

    @cached_property
    def rms(self) -> float:
        return sqrt(float(np.sum(np.square(self.residual))) / max(self.pixels, 1))

    @cached_property
    def spread(self) -> float:
        return float(self.sample.after[self.counts].std()) if self.pixels else 0.0

    @cached_property
    def unexplained(self) -> float:
        """Share of the variance of `after`."""
        return (self.rms / self.spread) ** 2 if self.spread > 0 else nan

    @property
    def is_exact(self) -> bool:
        dtype, values = self.sample.dtype, self.sample.after[self.counts]
        unit = float(np.finfo(dtype).eps) * float(np.abs(values).max(initial=0)) if dtype.kind == "f" else 0.0
        return self.rms <= max(_EXACT * self.spread, 4 * unit)

    @cached_property
    def step(self) -> float:
        """From one value of `after` to the next: 1 of integers; 0 where there is none."""
        return _step(self.sample.after[self.counts], self.sample.dtype)

    @property
    def is_rounded(self) -> bool:
        """Say whether the residual is what rounding makes."""
        most = (_HALF + _PULLED * self.step / max(self.spread, self.step)) * self.step
        within = np.abs(self.residual[self.counts]) <= most
        return self.is_small and self.rms > 0.05 * self.step and bool(within.mean() > 0.999)

    @property
    def is_small(self) -> bool:
        """Say whether the residual is no more than rounding would leave."""
        return self.rms <= _ROUNDED * self.step

    @cached_property
    def beyond(self) -> int:
        """How many pixels at an end the kernel puts clearly beyond it."""
        if self.sample.ends is None:
            return 0
        low, high = self.sample.ends
        margin = self.step / 2 + _BEYOND * self.rms
        cut_low = self.sample.low & (self.predicted < low - margin)
        return int(np.count_nonzero(cut_low | (self.sample.high & (self.predicted > high + margin))))

    @cached_property
    def inside(self) -> _Mask:
        """Which pixels to look at: near an end only those count that noise has left inside."""
        if self.sample.ends is None or not (self.sample.low.any() or self.sample.high.any()):
            return self.counts
        for margin in (_BEYOND * self.rms, 0.0):
            low, high = self.sample.ends[0] + margin, self.sample.ends[1] - margin
            inside = self.counts & (self.predicted > low) & (self.predicted < high)
            if np.count_nonzero(inside) >= _FEWEST:
                break
        return np.asarray(inside)

    @cached_property
    def structure(self) -> Structure:
        return Structure.of(self.sample, self.results, self.residual, self.inside)

    @cached_property
    def shares(self) -> Shares:
        return self.structure.shares()

    @property
    def largest(self) -> float:
        """The larger of the shares that every pair is asked for."""
        return max(self.shares.both, self.shares.tiles)

    @property
    def is_odd(self) -> bool:
        """Say whether a good part of the residual is structure, more than rounding or a file could make."""
        curve, size = self.shares.curve, sqrt(max(self.largest, 0)) * self.rms
        if curve >= _OF_CURVE and sqrt(curve) * self.rms > _LEAST * self.step:
            return True
        return any(size > steps * self.step and self.largest >= bar for steps, bar in _BARS)

    def has_little_of(self, other: "_Looked") -> bool:
        """Say whether the other's structure is gone, as such or in all: what is left may be tiny."""
        if self.rms**2 > (1 - _BAR / 2) * other.rms**2:
            return False
        return not self.is_odd or self.largest * self.rms**2 < _GONE * other.largest * other.rms**2

    @property
    def may_be_toned(self) -> bool:
        """Say whether curves of the prediction explain most of the structure, or half of what tiles do."""
        curve = self.shares.curve
        return curve >= max(_BAR, _MOSTLY * self.shares.both, self.shares.tiles / 2)

    @property
    def may_be_linear(self) -> bool:
        """Say whether the structure could come of taps outside the window, or of pixels that were cut off."""
        return self.shares.both < 2 * _BAR or self.beyond >= _BEYOND

    def evidence(self) -> dict[str, float]:
        known = {"pixels looked at": float(self.pixels), "unexplained": self.unexplained}
        if self.sample.ends is not None:
            known["clearly beyond the ends"] = float(self.beyond)
        return known

    def of_structure(self) -> dict[str, float]:
        return {
            "explained by the prediction": self.shares.curve,
            "explained by the surroundings": self.shares.surroundings,
            "explained by both": self.shares.both,
            "differs from tile to tile": self.shares.tiles,
            "goes with the local gradient": self.structure.gradient(),
            "likeness of neighbours": neighbours(self.residual, self.inside),
        }


def judge(
    sample: Sample,
    kernel: Kernel,
    *,
    plain: Kernel | None = None,
    moments: Moments | None = None,
    fit: Callable[[Moments], Kernel] | None = None,
    free: bool = True,
) -> Kernel:
    """Give the kernel with a verdict, its evidence, and what is to be said of it.

    Where a tone curve followed the filter, it is the kernel under that curve.

    Parameters
    ----------
    sample : Sample
        Of the pair, or of some pairs of one kernel.
    kernel : Kernel
        That was learned from them, of one channel.
    plain : Kernel, optional
        That of least squares alone, if the other was constrained: it is the pair that is judged.
    moments : Moments, optional
        That it was learned from; needed to see whether anything is predicted in blocks that were left out.
    fit : callable, optional
        From moments to the kernel, to find it again under a tone curve.
    free : bool
        Whether that fit leaves the kernel free: to be multiplied, and to need a larger window.

    Examples
    --------
    >>> from corr2d import corr2d, learn
    >>> before = np.random.default_rng(0).integers(0, 200, (60, 60)).astype(np.uint8)
    >>> after = corr2d(before, [[0.3, 0.3, 0.3]], padding="same", dtype="uint8")
    >>> learn(before, after, size=3).verdict
    'a convolution, then rounded'
    """
    looked = _without_ends(_Looked(sample, plain or kernel))
    evidence = looked.evidence()
    unknowns = kernel.weights.size + 1
    rank = unknowns - 1 if looked.kernel.rank is None else looked.kernel.rank
    if rank == 0 or (looked.kernel.used or 0) < rank + 2:
        return _said(kernel, UNTOLD, evidence)
    if looked.is_exact or looked.is_rounded:
        return _said(kernel, _ordinary(looked), evidence)
    if looked.pixels < _FEWEST or (looked.kernel.used or 0) < _A_TAP * unknowns:
        return _said(kernel, UNTOLD, evidence)
    if not 1 - looked.unexplained >= _POOR:
        gain, clear = _held_out_gain(moments) if moments is not None else (1 - looked.unexplained, True)
        alike = neighbours(looked.residual, looked.counts)
        evidence |= {"gain on blocks left out": gain, "likeness of neighbours": alike}
        if not gain > 0 or not (clear or (gain > _GOOD and alike < _WHITE)):
            return _said(kernel, OTHER, evidence)
        if alike > _ALIKE:
            again = _closer(looked)
            if again is None or neighbours(again.residual, again.counts) > _ALIKE:
                return _said(kernel, OTHER, evidence)
            return _said(kernel, _ordinary(looked), evidence, *([_LARGER] if free else []))
    if np.count_nonzero(looked.inside) < _FEWEST:
        return _said(kernel, UNTOLD, evidence)
    evidence |= looked.of_structure()
    if not looked.is_odd:
        return _said(kernel, _ordinary(looked), evidence)
    return _odd(looked, kernel, evidence, fit, free)


def _without_ends(looked: _Looked) -> _Looked:
    """Look without the pixels at the ends of the range, if those count in the fit and enough others do."""
    sample = looked.sample
    at_ends = sample.low | sample.high
    if not sample.ends_count or not at_ends.any():
        return looked
    unknowns = looked.kernel.weights.size + 1
    if looked.pixels < max(_FEWEST, _A_TAP * unknowns) or unknowns > _MOST_UNKNOWNS:
        return _Looked(replace(sample, counts=sample.counts | at_ends, ends=None), looked.kernel)
    return _Looked(*refitted(sample, looked.counts, 0))


def _odd(
    looked: _Looked,
    kernel: Kernel,
    evidence: dict[str, float],
    fit: Callable[[Moments], Kernel] | None,
    free: bool,
) -> Kernel:
    """Say what a residual with structure comes from."""
    tone = find_tone(looked.sample, kernel, fit, free=free) if looked.may_be_toned else None
    if tone is not None:
        under = _Looked(looked.sample, tone.kernel, tone)
        evidence["unexplained under a tone curve"] = under.unexplained
        if under.is_exact or under.is_small or under.has_little_of(looked):
            return _under_curve(under, tone, kernel, evidence)
    place, everything = looked.structure.place(), looked.structure.everything()
    evidence["explained by the place"] = place
    if place >= max(_BAR, _MOSTLY * max(everything, looked.largest)):
        return _said(kernel, VARIES, evidence, _VARYING)
    again = _closer(looked) if looked.may_be_linear else None
    if again is not None:
        evidence["unexplained by a larger window"] = again.unexplained
        if again.is_exact or again.is_small or not again.is_odd:
            larger = free and again.unexplained < (1 - _BAR / 2) * looked.unexplained
            return _said(kernel, _ordinary(looked), evidence, *([_LARGER] if larger else []))
    return _said(kernel, OTHER, evidence)


def _closer(looked: _Looked) -> _Looked | None:
    """Look again, through a larger window and away from what was cut off; None where that is too much.

    Taps that lie outside the window leave structure of their own; and JPEG files change what lies beside a
    pixel that was cut off, and that pixel itself, which then counts in the fit.
    """
    sample = looked.sample
    grow = MARGIN // max(sample.windows.dilation)
    kh, kw = sample.windows.size
    unknowns = (kh + 2 * grow) * (kw + 2 * grow) + 1
    if unknowns > _MOST_UNKNOWNS:
        return None
    possible = looked.counts & sample.inner
    for counts in (possible & ~_widened(sample.low | sample.high), possible & looked.inside):
        if np.count_nonzero(counts) >= max(_FEWEST, _A_TAP * unknowns):
            return _Looked(*refitted(sample, counts, grow))
    return None


def _widened(cut_off: _Mask) -> _Mask:
    """Give the pixels within eight rows and columns, the side of a JPEG block."""
    for axis in (1, 2):
        counts = np.cumsum(cut_off, axis=axis)
        n = cut_off.shape[axis]
        last = counts.take(np.minimum(np.arange(n) + _BLOCK, n - 1), axis)
        before = np.where(np.arange(n) > _BLOCK, 1, 0).reshape((-1, 1) if axis == 1 else (1, -1))
        cut_off = last > before * counts.take(np.maximum(np.arange(n) - _BLOCK - 1, 0), axis)
    return cut_off


def _under_curve(under: _Looked, tone: Tone, plain: Kernel, evidence: dict[str, float]) -> Kernel:
    """Give the kernel under a curve, with the figures of both."""
    used, sample = under.pixels, under.sample
    cut_off = {"clipped low": sample.low, "clipped high": sample.high}
    freedom = used - tone.kernel.weights.size - len(tone.values)
    note = (
        f"A tone curve followed the filter: `curve` has it, and the weights are those under it, found from "
        f"{used:,} pixels. Calling the kernel does not apply the curve."
    )
    kernel = replace(
        tone.kernel,
        rmse=under.rms,
        noise=under.rms * sqrt(used / freedom) if freedom > 0 else np.inf,
        r2=1 - under.unexplained,
        used=used,
        left_out=dict.fromkeys(plain.left_out, 0) | {k: int(np.count_nonzero(v)) for k, v in cut_off.items()},
        curve=tone.points,
    )
    return _said(kernel, CURVED, evidence, note)


def _said(kernel: Kernel, verdict: str, evidence: dict[str, float], *notes: str) -> Kernel:
    if (
        verdict in (OTHER, UNTOLD, VARIES) and kernel.name is not None
    ):  # the nearest filter is not what was done
        kernel = replace(kernel, name=None, parameters=None)
    return replace(kernel, verdict=verdict, evidence=evidence, notes=(*kernel.notes, *notes))


def _ordinary(looked: _Looked) -> str:
    """Give the verdict on a residual without structure."""
    ways = {"clipped": looked.beyond >= _BEYOND, "rounded": not looked.is_exact and looked.is_rounded}
    then = " and ".join(way for way, found in ways.items() if found)
    return f"{CONVOLUTION}, then {then}" if then else CONVOLUTION


def _step(values: _Array, dtype: np.dtype[Any]) -> float:
    """Give what all values are multiples of: 1 of integers, 1 / 255 of 8 bits as floats, or 0."""
    if dtype.kind in "iu":
        return 1.0
    some = np.unique(values[:: max(1, len(values) // _SOME)])
    if len(some) < 2:
        return 0.0
    step = float(np.diff(some).min())
    levels = some / step
    if not np.isfinite(levels).all() or np.abs(levels - np.rint(levels)).max() > _OFF:
        return 0.0
    return step


def _held_out_gain(moments: Moments) -> tuple[float, bool]:
    """Give by how much held-out blocks are predicted better than by a mean, and whether that is clear."""
    errors, _ = held_out_errors(moments)
    of_mean = errors_of_mean(moments)
    spread = float(of_mean.sum())
    if not spread > 0:
        return 0.0, False
    gains = (of_mean - errors) / spread
    folds = len(gains)
    deviation = sqrt(folds / max(folds - 1, 1) * float(np.square(gains - gains.mean()).sum()))
    return float(gains.sum()), bool(gains.sum() > _CLEARLY * deviation)
