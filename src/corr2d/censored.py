"""Clipped pixels that count as what they are: at least the upper end of the range, or at most the lower one.

Where there is noise, leaving clipped pixels out chooses by it: of two pixels that should be just below 255,
the one that the noise made brighter is left out. What stays near the end is too dark, and the kernel too
weak. A clipped pixel still says that its value, with its noise, was at least 255; its likelihood is the
chance of that (Tobin 1958; Amemiya 1973 shows that the most likely kernel is not biased).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from math import erfc, exp, inf, log, pi, sqrt
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .borders import Pads, Steps, reach
from .colours import Part
from .correlate import correlate
from .kernel import Kernel
from .large import LARGEST_BY_MOMENTS
from .moments import Moments
from .pair import Clip, Model, Resolved
from .position import monomials, polynomial
from .solve.fit import exact_product, squared_error
from .summing import blocks_of, fold_count
from .windows import resolve_asked

Clipped = Literal["auto", "excluded", "censored"]

CLIPPED = ("auto", "excluded", "censored")

_Array = NDArray[np.float64]
_Ints = NDArray[np.intp]

_ENDS = ("clipped low", "clipped high")
_NOTICEABLE = 0.25  # standard errors: 95 % intervals that are off by so much cover 94.3 %
_ROUNDING = 0.1  # noise squared, as `size.explains` has it: 1/12 and some
_SAMPLE = 1 << 15  # pixels, looked at to decide
_FAR, _MOSTLY_FAR = (
    4.0,
    0.05,
)  # deviations inside the range, and the share of clipped pixels that may be there
_INSIDE, _SURPRISING = 2.0, 0.02  # the same beyond what is expected, once the kernel is not biased
_ELSEWHERE = 6.0  # standard deviations inside the range, where no noise clips a pixel
_BEYOND, _TELLING = 8.0, 5.0  # beyond the end: pixels as far tell nothing; those nearer must be looked at
_CHUNK = 1 << 20  # numbers in the windows that are looked at together
_MOST_ROUNDS, _MOST_PASSES = 6, 60
# Standard errors that the last step may have left: after a joint step of that length the square of it, over
# the root of the number of pixels; after others a share of it.
_SETTLED = 1e-4
# Clipped pixels, whose top is near that of all: of one in 16 it is some 10 standard errors off, and two looks
# at all of them are enough from there.
_FEW, _THINNEST = 30_000, 16
_MOST_STEP = 0.7  # of log(sigma)
_LEAST_LEFT = 1e-3  # of what is told of sigma, where the kernel is not known
_NO_PADS = Pads(0, 0, 0, 0)

_WHEREVER = (
    "Clipped pixels are left out: more than noise explains lie where the kernel predicts values inside the "
    "range. If those are a caption, dead pixels or the like, leave them out by `where`; the others may count."
)
_GONE = (
    "Clipped pixels are left out. Whether that biases the kernel is not known where pairs are read one by "
    "one. With clipped='censored' they count, and all pairs are kept in memory."
)


def resolve_clipped(clipped: Any, *, without: Sequence[str]) -> Clipped:
    """Check what the user gave; `without` names other options, under which clipped pixels are left out."""
    rule = f"`clipped` must be one of {', '.join(map(repr, CLIPPED))}, got {clipped!r}."
    if not isinstance(clipped, str):
        raise TypeError(rule)
    if clipped not in CLIPPED:
        raise ValueError(rule)
    if clipped == "censored" and without:
        raise ValueError(f"clipped='censored' does not combine with {without[0]}. Leave one of them out.")
    return "excluded" if without else cast("Clipped", clipped)


def has_too_many_taps(size: int | tuple[int, int]) -> bool:
    """Say whether a kernel is so large that its clipped pixels are left out: it is found in other ways."""
    kh, kw = resolve_asked(size)
    return kh * kw > LARGEST_BY_MOMENTS


def refuse_many_taps(size: int | tuple[int, int]) -> None:
    """Raise ValueError if clipped pixels cannot count in a kernel of that size."""
    if has_too_many_taps(size):
        kh, kw = resolve_asked(size)
        raise ValueError(f"clipped='censored' is for kernels of up to 65 x 65 taps, got {kh} x {kw}.")


def is_touched(kernel: Kernel, moments: Moments) -> bool:
    """Say whether there are clipped pixels, and noise of which more is known than that there is some."""
    return any(moments.left_out[end] for end in _ENDS) and 0 < _noise(kernel) < inf


def not_looked_at(kernel: Kernel, moments: Moments, clip: Clip) -> Kernel:
    """Say so, if there are clipped pixels and noise, but the pictures are gone."""
    exact = clip == "auto" and _noise(kernel) ** 2 <= _ROUNDING
    return kernel if exact or not is_touched(kernel, moments) else kernel.with_notes(_GONE)


def with_clipped(
    excluded: Kernel,
    moments: Moments,
    parts: Sequence[Part],
    fit: Callable[..., Kernel],
    *,
    measured: tuple[int, int],
    clipped: Clipped,
    clip: Clip,
    **options: Any,
) -> Kernel:
    """Give the kernel that counts clipped pixels as such, or `excluded`, which was found without them.

    "auto": they count where leaving them out would be noticed, and they lie where the kernel predicts them.

    `moments` are those without them, of windows as large as `measured`, trimmed; `options` are others of
    `Moments.of`. Raises ValueError if they are to count and no picture has ends.
    """
    pairs = [part.resolved(size=measured, clip=clip, **options) for part in parts]
    if clipped == "censored" and all(pair.clip is None for pair in pairs):
        raise ValueError("clipped='censored' needs the ends of the range: pass clip=(low, high).")
    if not is_touched(excluded, moments):
        return excluded
    folds = fold_count(pairs[0].model.order)
    likelihood = _Likelihood(moments, [_trimmed(pair, moments) for pair in pairs], folds, fit)
    if clipped == "censored":
        return likelihood.kernel(excluded, ".")
    # Rounding alone takes no pixel over the end that was not there: without noise, what is left is exact.
    if _noise(excluded) ** 2 <= _ROUNDING and all(pair.after.dtype.kind in "iu" for pair in pairs):
        return excluded
    outlook = _Outlook.of(excluded, likelihood.pairs)
    if outlook.bias <= _NOTICEABLE:
        return excluded
    if outlook.far > _MOSTLY_FAR * outlook.clipped:
        return excluded.with_notes(_WHEREVER)
    why = f", since leaving them out would bias the kernel by about {_in_words(outlook.bias)}."
    kernel = likelihood.kernel(excluded, why)
    return excluded.with_notes(_WHEREVER) if _Outlook.of(kernel, likelihood.pairs).is_surprising else kernel


def _in_words(bias: float) -> str:
    shown = f"{bias:.0f}" if bias >= 10 else f"{bias:.1g}"
    return f"{shown} standard error{'s' if shown != '1' else ''}"


def _noise(kernel: Kernel) -> float:
    return float(np.ravel(kernel.noise)[0])


def _trimmed(pair: Resolved, moments: Moments) -> Resolved:
    """Give the same places of the smaller windows that the moments are trimmed to."""
    windows, size, shift = pair.model.windows, moments.size, moments.shift
    if (windows.size, pair.model.shift) == (size, shift):
        return pair
    smaller = windows._replace(size=size)
    before = pair.before
    for axis, n in enumerate(pair.after.shape[-2:]):
        top = windows.size[axis] // 2 + pair.model.shift[axis] - size[axis] // 2 - shift[axis]
        start = top * windows.dilation[axis]
        far = reach(size, windows.dilation)[axis]
        inside = slice(start, start + (n - 1) * windows.stride[axis] + far)
        before = before[..., inside, :] if axis == 0 else before[..., inside]
    return pair._replace(before=before, model=pair.model._replace(windows=smaller, shift=shift))


def _predicted(pair: Resolved, kernel: Kernel, every: int = 1) -> _Array:
    """Give what the kernel makes of `before`, in every so many-th row: NaN where a window is not finite."""
    _, stride, dilation = pair.model.windows
    steps = Steps(stride.rows * every, stride.columns)
    options: dict[str, Any] = {"stride": steps, "dilation": dilation, "dtype": np.float64}
    if kernel.weights.ndim == 4:
        predicted = correlate(pair.before, kernel.weights, _NO_PADS, channel_axis=0, **options)[0]
    else:
        predicted = correlate(pair.before[0], kernel.weights, _NO_PADS, **options)
    rows, columns = (np.arange(n) for n in pair.after.shape[-2:])
    y, x = _place(pair.model, rows[::every], columns)
    return np.asarray(predicted + polynomial([*np.ravel(kernel.bias), *_background(kernel)], y[:, None], x))


def _place(model: Model, rows: _Ints, columns: _Ints) -> tuple[_Array, _Array]:
    frame = model.frames[1]
    y, x = (rows - frame.middle_row) * frame.per_row, (columns - frame.middle_column) * frame.per_column
    return np.asarray(y, np.float64), np.asarray(x, np.float64)


def _background(kernel: Kernel) -> _Array:
    return np.zeros(0) if kernel.background is None else np.ravel(kernel.background)


def _ends(pair: Resolved) -> tuple[float, float]:
    """Give the values at and beyond which a pixel is clipped, before it was rounded."""
    low, high = pair.clip or (-inf, inf)
    if pair.after.dtype.kind not in "iu":
        return low, high
    # 254.5 is rounded to 254, and what is above it to 255.
    return np.floor(low) + 0.5, np.ceil(high) - 0.5


def _rounding(pair: Resolved) -> float:
    """Give the variance that rounding adds to that of the noise (Sheppard 1898)."""
    return 1 / 12 if pair.after.dtype.kind in "iu" else 0.0


class _Sample(NamedTuple):
    """Some rows of all pictures: pixels that count, clipped or not; lengths in deviations of the noise."""

    mean: _Array  # predicted
    low: _Array  # how far above it the lower end is
    high: _Array
    is_low: NDArray[np.bool_]
    is_high: NDArray[np.bool_]
    sigma: _Array  # of the noise that clips
    weight: _Array
    stands_for: _Array  # so many pixels

    @classmethod
    def of(cls, kernel: Kernel, pair: Resolved, every: int) -> "_Sample":
        every = min(every, pair.after.shape[-2])
        mean = _predicted(pair, kernel, every)
        after = pair.after[..., ::every, :]
        weight = np.ones(mean.shape) if pair.weights is None else pair.weights[..., ::every, :]
        counts = np.isfinite(mean) & np.isfinite(after) & (weight > 0)
        if pair.where is not None:
            counts &= pair.where[..., ::every, :]
        mean, after, weight = mean[counts], after[counts], weight[counts]
        sigma, _ = _clipping_noise(_noise(kernel), weight, _rounding(pair))
        low, high = ((end - mean) / sigma for end in _ends(pair))
        return cls(mean, low, high, *_clipped(after, pair), sigma, weight, np.full(mean.shape, float(every)))


@dataclass(frozen=True)
class _Outlook:
    """What a sample of the pixels says of the clipped ones, under a kernel."""

    bias: float  # of the kernel without them, in standard errors, along what it predicts
    clipped: int
    far: int  # of them, far inside the range
    inside: int  # of them, somewhat inside the range
    expected: float  # to be there

    @property
    def is_surprising(self) -> bool:
        """Say whether more pixels are clipped inside the range than noise explains."""
        return self.inside - self.expected > _SURPRISING * self.clipped + 4 * sqrt(self.expected + 1)

    @classmethod
    def of(cls, kernel: Kernel, pairs: Sequence[Resolved]) -> "_Outlook":
        """Look at some rows of all pictures."""
        every = max(1, sum(pair.after.size for pair in pairs) // _SAMPLE)
        samples = [_Sample.of(kernel, pair, every) for pair in pairs]
        sample = _Sample(*map(np.concatenate, zip(*samples, strict=True)))
        depth = np.concatenate([sample.high[sample.is_high], -sample.low[sample.is_low]])
        return cls(
            _bias(sample) / _noise(kernel),
            len(depth),
            int(np.count_nonzero(depth > _FAR)),
            int(np.count_nonzero(depth > _INSIDE)),
            sum(float(_chance(a[a > _INSIDE]).sum()) for a in (sample.high, -sample.low)),
        )


def _bias(sample: _Sample) -> float:
    """Give the bias without clipped pixels, times the noise.

    Of all pixels, the noise of those that are not clipped adds up to minus what the others have. It depends
    on the prediction alone, so it is taken for a kernel's that depends on that alone: a gain and a bias. If
    the windows' pixels are jointly normal there is no other (Chung & Goldberger 1984).
    """
    lost = sample.sigma * (_density(sample.low) - _density(sample.high))
    mean = sample.mean - sample.mean.mean() if sample.mean.size else sample.mean
    columns = np.stack([np.ones(mean.shape), mean])
    pull = columns @ (sample.stands_for * sample.weight * lost)
    kept = sample.stands_for * sample.weight * ~(sample.is_low | sample.is_high)
    along = pull @ np.linalg.lstsq((columns * kept) @ columns.T, pull, rcond=1e-12)[0]
    return sqrt(max(float(along), 0.0))


class _Near(NamedTuple):
    """Clipped pixels of a plane that tell something: not far beyond the end, nor where no noise clips."""

    before: NDArray[Any]  # (channels, h, w)
    model: Model
    rows: _Ints  # of `after`
    columns: _Ints
    side: _Array  # 1 where it is at least the end, -1 where it is at most the end
    end: _Array
    weight: _Array
    rounding: float
    folds: list[slice]  # which of them lie in which block of the picture
    times: float = 1.0  # so often each counts

    @classmethod
    def of(cls, pair: Resolved, plane: tuple[int, ...], chosen: NDArray[np.bool_], folds: int) -> "_Near":
        """Take those of a plane that are chosen."""
        where = None if pair.where is None else pair.where[plane]
        rows, columns, ends = [], [], [0]
        for block in blocks_of(chosen.shape, where, folds):
            y, x = np.nonzero(chosen[block])
            rows.append(y + block[0].start)
            columns.append(x + block[1].start)
            ends.append(ends[-1] + len(y))
        places = np.concatenate(rows), np.concatenate(columns)
        _, is_high = _clipped(pair.after[plane][places], pair)
        low, high = _ends(pair)
        weight = np.ones(ends[-1]) if pair.weights is None else pair.weights[plane][places]
        before = np.moveaxis(pair.before, 0, -3)[plane]
        sides, limits = np.where(is_high, 1.0, -1.0), np.where(is_high, high, low)
        spans = [slice(*span) for span in pairwise(ends)]
        return cls(before, pair.model, *places, sides, limits, weight, _rounding(pair), spans)

    def thinned(self, step: int) -> "_Near":
        """Give every so many-th, which stands for the others."""
        some = {name: getattr(self, name)[::step] for name in _EACH}
        return self._replace(**some, times=float(step), folds=[slice(0, len(some["rows"]))])

    def parts(self) -> Iterator["_Near"]:
        """Give them some at a time."""
        few = max(1, _CHUNK // self.model.order)
        for start in range(0, len(self.rows), few):
            stop = min(start + few, len(self.rows))
            folds = [
                slice(*(min(max(i, start), stop) - start for i in (f.start, f.stop))) for f in self.folds
            ]
            yield self._replace(**{name: getattr(self, name)[start:stop] for name in _EACH}, folds=folds)

    def windows(self, center: tuple[float, ...]) -> _Array:
        """Give (windows, background, 1, 0) of each, about the centre."""
        (kh, kw), stride, dilation = self.model.windows
        view = sliding_window_view(self.before, reach((kh, kw), dilation), axis=(1, 2))
        view = view[:, :: stride.rows, :: stride.columns, :: dilation.rows, :: dilation.columns]
        result = np.zeros((len(self.rows), self.model.order))
        for channel, of_channel in enumerate(view):
            taps = slice(channel * kh * kw, (channel + 1) * kh * kw)
            result[:, taps] = of_channel[self.rows, self.columns].reshape(-1, kh * kw)
            result[:, taps] -= center[channel]
        y, x = _place(self.model, self.rows, self.columns)
        powers = monomials(self.model.background)
        result[:, len(view) * kh * kw : -1] = np.stack(
            [y**i * x**j for i, j in [*powers[1:], powers[0]]], axis=-1
        )
        return result


_EACH = ("rows", "columns", "side", "end", "weight")


class _Point(NamedTuple):
    """Where the likelihood is looked at."""

    coefficients: _Array  # of (windows, background, 1), about the centre
    log_sigma: float

    def halfway(self, other: "_Point") -> "_Point":
        """Give the point between two."""
        between = (self.coefficients + other.coefficients) / 2
        return _Point(between, (self.log_sigma + other.log_sigma) / 2)


@dataclass
class _Seen:
    """The likelihood at a point: its logarithm, and first and second derivatives, as sums that `fit` takes.

    Those of the kernel are times sigma^2, as least squares has them; those of sigma are by its logarithm.
    """

    point: _Point
    sums: _Array  # (folds, n, n): of z z^T, whose least squares are Newton's step
    amount: float  # of pixels, as much as the clipped ones tell
    logarithm: float
    slope: float  # by log(sigma)
    curvature: float
    cross: _Array  # of the kernel and log(sigma)

    @property
    def variance(self) -> float:
        """Give the square of sigma."""
        return float(np.exp(2 * self.point.log_sigma))

    @cached_property
    def total(self) -> _Array:
        """Give the sums over all folds."""
        return np.asarray(self.sums.sum(axis=0))

    @cached_property
    def left(self) -> float:
        """Give the curvature by log(sigma) that is left where the kernel follows; 0 if that is not known."""
        taken = np.sqrt(np.maximum(np.diag(self.total)[:-1], np.finfo(np.float64).tiny))
        scaled = self.total[:-1, :-1] / taken[:, None] / taken
        scaled[np.diag_indices(len(scaled))] += 1e-10  # where the pair leaves directions open
        try:
            along = np.linalg.solve(np.linalg.cholesky(scaled), self.cross / taken)
        except np.linalg.LinAlgError:
            return 0.0
        return max(self.curvature - float(along @ along) / self.variance, 0.0)

    @property
    def is_joint(self) -> bool:
        """Say whether Newton's step can be made for the kernel and sigma at once."""
        return 0 < _LEAST_LEFT * self.curvature < self.left

    def with_sigma_free(self) -> _Array:
        """Take out of the sums what is not told of the kernel since sigma is not known (Schur)."""
        pulled = self.cross @ self.point.coefficients + self.variance * self.slope
        z = np.append(self.cross, pulled) / sqrt(self.variance * self.curvature)
        share = self.sums[:, -2, -2] / self.total[-2, -2]
        return np.asarray(self.sums - share[:, None, None] * np.outer(z, z))

    def step_of_sigma(self, coefficients: _Array, joint: bool) -> float:
        """Give Newton's step of log(sigma), for that of the kernel or for itself."""
        if joint:
            change = self.cross @ (coefficients - self.point.coefficients) / self.variance
            return float(self.slope - change) / self.curvature
        return float(np.clip(self.slope / max(self.curvature, abs(self.slope)), -_MOST_STEP, _MOST_STEP))

    def length(self, new: _Point) -> float:
        """Give how far away a point is, in standard errors."""
        step = new.coefficients - self.point.coefficients
        of_kernel = float(step @ self.total[:-1, :-1] @ step) / self.variance
        return sqrt(max(of_kernel, self.curvature * (new.log_sigma - self.point.log_sigma) ** 2, 0.0))


@dataclass(frozen=True)
class _Likelihood:
    """That of all pixels: of the clipped ones the chance to be beyond the end, of others the density.

    Maximised over kernel, bias and sigma by Newton's method. At each point a clipped pixel has a weight and
    a value such that weighted least squares on all pixels is Newton's step (Green 1984): so each step is
    `fit`, under whatever constraints, and the last one's error bars are those of the observed information.
    sigma counts the degrees of freedom, as it does where no pixel is clipped.
    """

    moments: Moments  # of the pixels that are not clipped
    pairs: Sequence[Resolved]
    folds: int
    fit: Callable[..., Kernel]

    def kernel(self, excluded: Kernel, why: str) -> Kernel:
        """Find it, from the fit without clipped pixels on; `why` ends the note on what counts."""
        noise, count = _noise(excluded), self.moments.count
        amount = float(self.moments.total[-2, -2])
        unknowns = count - amount * (float(np.ravel(excluded.rmse)[0]) / noise) ** 2
        found, sigma = excluded, noise
        places = [_Places.of(pair, found, sigma) for pair in self.pairs]
        for _ in range(_MOST_ROUNDS):
            looked_at = places
            seen = self._look(_Point(self._coefficients(found), log(sigma)), looked_at, unknowns)
            found, sigma = self._found(seen, unknowns)
            places = [_Places.of(pair, found, sigma) for pair in self.pairs]
            if all(was.is_enough_for(now) for was, now in zip(looked_at, places, strict=True)):
                break
        at_ends = [sum(of_pair) for of_pair in zip(*(p.counting for p in looked_at), strict=True)]
        left_out = dict(self.moments.left_out)
        for end, n in zip(_ENDS, at_ends, strict=True):
            left_out[end] -= n
        used = count + sum(at_ends)
        elsewhere = sum(left_out[end] for end in _ENDS)
        return replace(found, used=used, left_out=left_out).with_notes(*self._notes(at_ends, elsewhere, why))

    def _notes(self, at_ends: list[int], elsewhere: int, why: str) -> list[str]:
        clips = {pair.clip for pair in self.pairs if pair.clip is not None}
        values = [
            f"{ends.pop():.6g}" if len(ends) == 1 else "the end"
            for ends in map(set, zip(*clips, strict=True))
        ]
        ways = [
            f"'{way} {value}'"
            for way, value, n in zip(("at most", "at least"), values, at_ends, strict=True)
            if n
        ]
        n = sum(at_ends)
        words = "1 pixel was clipped; it counts" if n == 1 else f"{n:,} pixels were clipped; they count"
        notes = [f"{words} as {' or '.join(ways)}{why}"] if n else []
        if elsewhere:
            words = "1 clipped pixel is" if elsewhere == 1 else f"{elsewhere:,} clipped pixels are"
            notes.append(
                f"{words} left out: the kernel predicts values inside the range there, more than "
                f"{_ELSEWHERE:.0f} standard deviations of the noise from its end."
            )
        return notes

    def _look(self, start: _Point, places: Sequence["_Places"], unknowns: float) -> _Seen:
        """Climb to the top, where there are many clipped pixels with some of them first."""
        of_pairs = zip(places, self.pairs, strict=True)
        near = [plane for of_pair, pair in of_pairs for plane in of_pair.near(pair, self.folds)]
        pixels = sum(len(plane.rows) for plane in near)
        step = min(pixels // max(_FEW, 64 * len(start.coefficients)), _THINNEST)
        if step > 1:
            start = self._climb(start, [plane.thinned(step) for plane in near], unknowns).point
        return self._climb(start, near, unknowns)

    def _climb(self, start: _Point, near: Sequence[_Near], unknowns: float) -> _Seen:
        """Take steps until they are short."""
        seen = self._seen(start, near, unknowns)
        for _ in range(_MOST_PASSES):
            new = self._step(seen)
            while self._is_far(seen, new):
                ahead = self._seen(new, near, unknowns)
                # What rounding makes of so many terms is no descent.
                if ahead.logarithm >= seen.logarithm - 1e-6 - 1e-12 * self.moments.count:
                    break
                new = new.halfway(seen.point)
            else:
                return seen
            seen = ahead
        return seen

    def _is_far(self, seen: _Seen, new: _Point) -> bool:
        length = seen.length(new)
        return (length**2 / sqrt(self.moments.count) if seen.is_joint else length) > _SETTLED

    def _step(self, seen: _Seen) -> _Point:
        """Take Newton's step: of the kernel and sigma at once, or of each as if the other stayed."""
        for joint in (True, False) if seen.is_joint else (False,):
            sums = seen.with_sigma_free() if joint else seen.sums
            step_to = self.fit(replace(self.moments, sums=sums), errors="white", named=False)
            coefficients = self._coefficients(step_to)
            step = seen.step_of_sigma(coefficients, joint)
            if abs(step) <= _MOST_STEP:
                break
        return _Point(coefficients, seen.point.log_sigma + step)

    def _found(self, seen: _Seen, unknowns: float) -> tuple[Kernel, float]:
        """Give the kernel at the top, with error bars, and sigma."""
        joint = seen.is_joint
        sums = seen.with_sigma_free() if joint else seen.sums
        count = self.moments.count + round(seen.amount)
        moments = replace(self.moments, sums=sums, count=count)
        coefficients = self._coefficients(self.fit(moments, errors="white", named=False))
        sigma = exp(seen.point.log_sigma + seen.step_of_sigma(coefficients, joint))
        # The squares of clipped pixels are not known; with what sigma says of them, the noise is sigma.
        z = np.append(0 - coefficients, 1)
        lacking = (count - unknowns) * sigma**2 - float(z @ moments.total @ z)
        sums[:, -1, -1] += lacking * self.moments.sums[:, -2, -2] / self.moments.total[-2, -2]
        return self.fit(replace(moments, sums=sums)), sigma

    def _coefficients(self, kernel: Kernel) -> _Array:
        """Give (weights, background, intercept) about the moments' centre."""
        (kh, kw), (*center_x, center_y) = self.moments.size, self.moments.center
        weights = kernel.weights.ravel()
        intercept = float(np.ravel(kernel.bias)[0]) - center_y + weights @ np.repeat(center_x, kh * kw)
        return np.concatenate([weights, _background(kernel), [intercept]])

    def _seen(self, point: _Point, near: Sequence[_Near], unknowns: float) -> _Seen:
        """Look at all pixels: at those that are not clipped through their sums."""
        total, variance = self.moments.total, float(np.exp(2 * point.log_sigma))
        z = np.append(0 - point.coefficients, 1)
        error, freedom = squared_error(total, z) / variance, self.moments.count - unknowns
        seen = _Seen(
            point=point,
            sums=self.moments.sums.copy(),
            amount=0.0,
            logarithm=-freedom * point.log_sigma - error / 2,
            slope=error - freedom,
            curvature=2 * error,
            cross=2 * exact_product(total, z)[:-1],
        )
        for plane in near:
            for some in plane.parts():
                _add(seen, some, self.moments.center)
        return seen


def _add(seen: _Seen, near: _Near, center: tuple[float, ...]) -> None:
    """Add what clipped pixels tell."""
    z = near.windows(center)
    mean = z[:, :-1] @ seen.point.coefficients
    variance, times = seen.variance, near.times
    sigma, gain = _clipping_noise(sqrt(variance), near.weight, near.rounding)
    depth = near.side * (near.end - center[-1] - mean) / sigma
    logarithm = _log_chance(depth)
    hazard = np.exp(_log_density(depth) - logarithm)
    bend = hazard * (hazard - depth)  # minus the second derivative of the logarithm
    turn = bend * depth + hazard  # the derivative of hazard * depth
    weight = times * bend * variance / sigma**2
    z[:, -1] = mean + near.side * sigma / (hazard - depth)
    seen.cross += (times * near.side * gain * turn * variance / sigma) @ z[:, :-1]
    z *= np.sqrt(weight)[:, None]  # of one array and itself, half of the products are made
    for fold, some in enumerate(near.folds):
        if some.stop > some.start:
            seen.sums[fold] += z[some].T @ z[some]
    seen.amount += float((weight / near.weight).sum())
    seen.logarithm += times * float(logarithm.sum())
    seen.slope += times * float((hazard * depth * gain).sum())
    seen.curvature += times * float((gain * depth * (gain * turn - 2 * (1 - gain) * hazard)).sum())


class _Places(NamedTuple):
    """Which clipped pixels of a pair tell something, under a kernel."""

    told: NDArray[np.bool_]  # some
    telling: NDArray[np.bool_]  # enough
    elsewhere: NDArray[np.bool_]  # so far inside the range that no noise explains it
    counting: tuple[int, int]  # how many clipped pixels are not elsewhere, at the low end and at the high one

    @classmethod
    def of(cls, pair: Resolved, kernel: Kernel, sigma: float) -> "_Places":
        """Look at all pixels of a pair."""
        mean = _predicted(pair, kernel)
        sides = [side & np.isfinite(mean) & np.isfinite(pair.after) for side in _clipped(pair.after, pair)]
        for counts in (pair.where, None if pair.weights is None else pair.weights > 0):
            sides = sides if counts is None else [side & counts for side in sides]
        weight = np.ones(()) if pair.weights is None else np.where(pair.weights > 0, pair.weights, 1)
        deviation, _ = _clipping_noise(sigma, weight, _rounding(pair))
        low, high = _ends(pair)
        depth = np.where(sides[1], high - mean, np.where(sides[0], mean - low, -inf)) / deviation
        elsewhere = depth > _ELSEWHERE
        at_low, at_high = (int(np.count_nonzero(side & ~elsewhere)) for side in sides)
        told, telling = ((depth > -far) & ~elsewhere for far in (_BEYOND, _TELLING))
        return cls(told, telling, elsewhere, (at_low, at_high))

    def is_enough_for(self, now: "_Places") -> bool:
        """Say whether those that were looked at are still all that tell enough, and none is elsewhere."""
        return not (np.any(now.telling & ~self.told) or np.any(now.elsewhere & self.told))

    def near(self, pair: Resolved, folds: int) -> list[_Near]:
        """Give them plane by plane."""
        return [_Near.of(pair, plane, self.told[plane], folds) for plane in np.ndindex(self.told.shape[:-2])]


def _clipped(after: NDArray[Any], pair: Resolved) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which pixels are at or beyond the low end, and the high one."""
    low, high = pair.clip or (-inf, inf)
    return after <= low, after >= high


def _clipping_noise(sigma: float, weight: _Array, rounding: float) -> tuple[_Array, _Array]:
    """Give the noise that took pixels over the end, before rounding added to it, and how it grows with sigma.

    The latter: by the logarithms of both.
    """
    variance = sigma**2 / weight
    without = variance - rounding
    noisy = without >= variance / 4  # else it is mostly rounding, and not known well
    without = np.where(noisy, without, variance / 4)
    return np.sqrt(without), np.where(noisy, variance / without, 1.0)


_STEP, _LEAST, _MOST = 1 / 64, -12.0, 25.0


def _log_density(a: _Array) -> _Array:
    """Give the logarithm of that of the normal distribution."""
    return np.asarray(-np.square(a) / 2 - log(2 * pi) / 2)


def _density(a: _Array) -> _Array:
    return np.asarray(np.exp(_log_density(a)))


def _chance(a: _Array) -> _Array:
    """Give the chance that a normal variable exceeds a."""
    return np.asarray(np.exp(_log_chance(a)))


@cache
def _log_chances() -> tuple[_Array, _Array]:
    """Give the logarithm of the chance at the nodes of a table, and its slope times the step."""
    nodes = np.arange(_LEAST, _MOST + 2 * _STEP, _STEP)
    beyond = [erfc(abs(a) / sqrt(2)) / 2 for a in nodes.tolist()]
    values = np.where(nodes > 0, np.log(beyond), np.log1p(np.negative(beyond)))
    return values, -_STEP * np.exp(_log_density(nodes) - values)


def _log_chance(a: _Array) -> _Array:
    """Give the logarithm of the chance that a normal variable exceeds a, to 1e-9.

    By cubic interpolation between nodes 1/64 apart; beyond 25 by the asymptotic series (Abramowitz & Stegun
    1964, 26.2.12).
    """
    values, slopes = _log_chances()
    place = (np.clip(a, _LEAST, _MOST) - _LEAST) / _STEP
    node = place.astype(np.intp)
    t = place - node
    left, right, change = slopes[node], slopes[node + 1], values[node + 1] - values[node]
    result = values[node] + t * (left + t * (3 * change - 2 * left - right + t * (left + right - 2 * change)))
    far = a > _MOST
    if far.any():
        b = a[far]
        result[far] = -np.square(b) / 2 - np.log(b * sqrt(2 * pi)) + np.log1p((3 / b**2 - 1) / b**2)
    return np.asarray(result)
