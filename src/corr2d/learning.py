"""learn(): pairs of pictures in, the kernel that made the one from the other out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .borders import NO_STEPS, Steps, resolve_steps
from .censored import (
    Clipped,
    has_too_many_taps,
    is_touched,
    not_looked_at,
    refuse_many_taps,
    resolve_clipped,
    with_clipped,
)  # fmt: skip
from .colours import Colours, Part
from .dtypes import as_image
from .kernel import Kernel
from .large import is_large, learn_large
from .moments import Moments
from .naming import moved_name
from .pair import Clip
from .robust import Loss, resolve_loss, robust
from .shift import NO_SHIFT, Aligned, Shift, align, resolve_shift, shift_of
from .size import LARGEST, Choice, choose_size, explains, largest_window, least_choice
from .solve import solve
from .solve.constraints import Symmetry
from .solve.family import FamilyName
from .solve.penalty import Strength
from .solve.words import CHANGES_NOTHING, ONLY_SHIFTS
from .verdict import judge
from .verdict.residuals import Sample, joined
from .windows import is_same_sized, told_size

_Pair = tuple[ArrayLike, ArrayLike]
_Measure = Callable[[Iterable[_Pair], Any], list[Moments]]
_Mirrored = Literal["no", "centred", "square"]  # what windows symmetric kernels and families need

# Most kernels are small: the largest window is measured only if a smaller one does not explain the pair.
_STAGES = (7, LARGEST)
_NO_PAIR = "`before` must hold at least one pair (before, after), got none."

# R², below which a shift is looked for, to say so, where no size was given: it takes as long as to find one.
_POOR = 0.5

_LOOKS = 4  # pairs of which samples are taken


def learn(
    before: ArrayLike | Iterable[tuple[ArrayLike, ArrayLike]],
    after: ArrayLike | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    shift: Shift = NO_SHIFT,
    channel_axis: int | None = None,
    per_channel: bool = False,
    mix: bool = False,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    clip: Clip = "auto",
    clipped: Clipped = "auto",
    background: int = 0,
    loss: Loss = "squared",
    sum: float | None = None,  # noqa: A002 (the word for it)
    nonnegative: bool = False,
    symmetric: Symmetry | Sequence[Symmetry] | None = None,
    support: ArrayLike | None = None,
    fixed: ArrayLike | None = None,
    ridge: Strength = 0.0,
    smooth: Strength = 0.0,
    rank: int | None = None,
    family: FamilyName | None = None,
    examine: bool = True,
) -> Kernel:
    """Find the kernel and bias that turn `before` into `after`, by least squares.

    Parameters
    ----------
    before : (..., h, w) array, or an iterable of pairs (before, after)
        The input of the filter. Leading axes are a batch.
    after : (..., h, w) or (..., h', w') array
        Its output, of the same size or without the border. The border of a same-sized `after` never counts,
        since it depends on a padding that nobody knows. Omitted where `before` is an iterable of pairs.
    size : int or (kh, kw), optional
        Of the kernel. Of more than 65 x 65 taps it is found by conjugate gradients (`corr2d.large`), all
        pairs kept in memory. Default: what the shapes tell (h - h' + 1, w - w' + 1); for a same-sized pair
        the smallest window that predicts blocks of the picture left out of the fit as well as any, within 15
        x 15 about the pixel: of any height and width, and its middle need not be on the pixel, which is then
        in `origin` (`corr2d.size.choose_size`).
    stride, dilation : int or (rows, columns)
        As in `corr2d`: `after` has every so many-th result (a smaller picture), and the taps are so many
        pixels apart. A strided `after` with its border has ceil(h / stride) rows; without, `size` must be
        given.
    shift : "auto" or (rows, columns)
        By how much `after` lies further down and to the right than `before`, of the same shape: without a
        filter, ``after[y, x]`` is ``before[y - rows, x - columns]``. It goes into the kernel's `origin`, so
        that the kernel puts its results where `after` had them. "auto" finds it, up to a quarter of the
        pictures, one for all pairs and channels (`corr2d.shift.find_shift`); where none stands out, it is
        (0, 0) and a note says so.
    channel_axis : int, optional
        The axis of the colours, as in `corr2d`.
    per_channel : bool
        One kernel for each channel, in place of one for all.
    mix : bool
        One kernel from each channel of `before` to each of `after`, which may be more or fewer.
    where : bool array that broadcasts to `after`, optional
        The pixels of `after` that count. Pixels of `before` are left out by making them NaN.
    weights : array that broadcasts to `after`, optional
        How much each pixel of `after` counts: one over the variance of its noise, up to a factor.
    clip : "auto", (low, high) or None
        Pixels of `after` at or beyond these values were cut off. "auto": the ends of the range of an integer
        type, nothing for floats.
    clipped : {"auto", "excluded", "censored"}
        What those pixels are. "excluded": they are left out, which is exact without noise; with noise it
        leaves out, of two pixels near the end, the one that noise took over it, and so biases the kernel.
        "censored": they count as "at least" the upper end or "at most" the lower one (`corr2d.censored`), in
        some passes over the pixels; noise is taken to be normal, and as strong everywhere. "auto": censored
        where leaving them out would be noticed beside the error bars and they lie where the kernel predicts
        them, which a note then says; else, and with `loss`, `ridge`, `smooth`, more than 65 x 65 taps, or
        pairs from an iterator (not a list), excluded.
    background : int
        Degree, 0 to 3, of the polynomial in position that the bias is: 1 for a slope of light. See
        `Kernel.background`.
    loss : {"squared", "huber", "tukey"}
        What is summed over the pixels. "huber" counts those far off less, "tukey" in the end not at all
        (`corr2d.robust`). All pairs are then kept in memory.
    sum : float, optional
        What the taps sum to: 1 for a filter that keeps the level, 0 for one that keeps none of it.
    nonnegative : bool
        No tap is below zero.
    symmetric : {"left-right", "up-down", "4-fold", "radial"} or some of them, optional
        Taps that mirror each other are equal; "4-fold": under all turns and mirrors of a square; "radial":
        those equally far from the centre.
    support : (kh, kw) bool array, optional
        True where a tap may differ from zero. It gives the size.
    fixed : (kh, kw) array, optional
        The weights that are known, NaN for those to be found. It gives the size.
    ridge : float or "auto"
        How strongly taps are pulled towards zero, for pairs that say little: few pixels, much noise, a
        blurred `before`. No unit: 1 weighs as much as the contrast of `before` (`corr2d.solve.solve` has the
        formula). "auto": the strongest that predicts blocks of the picture left out of the fit as well as
        any.
    smooth : float or "auto"
        How strongly neighbouring taps are pulled towards each other, and those at the rim towards the zeros
        around them. "auto": as for `ridge`; only one of them can be.
    rank : int, optional
        The kernel is a sum of so many products of a column and a row: with few, it is quick to run. Combines
        with `sum` only.
    family : {"gaussian", "box", "disk", "motion"}, optional
        The kernel is a gain times this shape (`corr2d.families`), anywhere in the window; the result's
        `parameters` have its measures with error bars. Combines with `sum` only, which is then the gain.
    examine : bool
        Look for the known filter that the kernel is (`Kernel.name`), and at the residual, in tiles spread
        over the first pairs, for a verdict: whether a convolution made `after`, with its evidence. Where a
        tone curve followed the filter, the kernel is the one under that curve, and a note says so. There is
        no verdict on kernels with channels, nor with `weights`, a background or another loss. False: the fit
        alone, without some 10 to 40 ms.

    Returns
    -------
    Kernel
        With error bars, a verdict, and notes in words where the pair leaves something open. Unit of the
        weights: unit of `after` over unit of `before`.

    Raises
    ------
    TypeError
        If an array is masked or does not hold real numbers.
    ValueError
        If shapes do not fit, an option has no meaning, fewer pixels count than there are unknowns and no
        penalty decides the rest, they lie too close together to choose a size or a strength on, a kernel
        larger than 152 x 152 is asked for with more than least squares, or `clipped` is "censored" where the
        ends are not known or another option excludes it.

    Examples
    --------
    >>> from corr2d import corr2d
    >>> X = np.ones((6, 8))
    >>> X[:, 2:6] = 0
    >>> learn(X, corr2d(X, [[1, -1]])).weights
    array([[ 1., -1.]])
    """
    pairs = _as_pairs(before, after, where=where, weights=weights)
    if size is None:
        size = _size_of("support", support) or _size_of("fixed", fixed)
    colours = Colours.resolve(channel_axis, per_channel=per_channel, mix=mix)
    steps, gaps = resolve_steps(stride, "stride"), resolve_steps(dilation, "dilation")
    options: dict[str, Any] = {"stride": steps, "dilation": gaps, "clip": clip, "background": background}
    fit = partial(
        solve, sum=sum, nonnegative=nonnegative, symmetric=symmetric, support=support, fixed=fixed,
        ridge=ridge, smooth=smooth, rank=rank, family=family, named=examine,
    )  # fmt: skip
    resolve_loss(loss)
    beside = {"loss": loss != "squared", "ridge": ridge, "smooth": smooth}
    clipped = resolve_clipped(clipped, without=[f"`{name}`" for name, given in beside.items() if given])
    if clipped == "censored":
        pairs = list(pairs)
    in_memory = isinstance(pairs, list)
    moved = Aligned(pairs, where, weights, NO_SHIFT, ())
    if (wanted := resolve_shift(shift)) != NO_SHIFT:
        _check_steps(steps, gaps, background)
        moved = align(
            pairs, wanted, size=size, channel_axis=channel_axis, where=where, weights=weights, clip=clip
        )
        if in_memory:
            moved = moved._replace(pairs=list(moved.pairs))
    constrained = (
        any(given is not None for given in (sum, symmetric, support, fixed, weights, rank, family))
        or bool(nonnegative or ridge or smooth or mix or background)
        or loss != "squared"
    )
    can_tell = colours.way == "alike" and weights is None and not background and loss == "squared"
    task = _Task(
        colours, options, moved.where, moved.weights, fit, loss, constrained, clipped,
        _mirrored(symmetric, family), examine=examine and can_tell,
    )  # fmt: skip
    if size is not None and loss == "squared":
        return _shifted(colours.stacked(task.kernels(moved.pairs, size)), moved)
    kept = [(as_image(x, "before"), as_image(y, "after")) for x, y in moved.pairs]
    if size is not None:
        return _shifted(colours.stacked(task.kernels(kept, size)), moved)
    kernel = task.with_size_found(kept)
    if moved.shift == NO_SHIFT and not mix and (steps, gaps) == (NO_STEPS, NO_STEPS):
        kernel = kernel.with_notes(*_hint(kernel, kept, channel_axis=channel_axis, where=where, clip=clip))
    return _shifted(kernel, moved)


@dataclass(frozen=True)
class _Task:
    """What is to be found, whatever the pairs and the size."""

    colours: Colours
    options: dict[str, Any]  # of `Moments.of`
    where: ArrayLike | None
    weights: ArrayLike | None
    fit: Callable[[Moments], Kernel]
    loss: Loss
    constrained: bool  # more than least squares is asked for
    clipped: Clipped
    mirrored: _Mirrored
    examine: bool

    def parts(self, pair: _Pair) -> list[Part]:
        return self.colours.parts(*pair, self.where, self.weights)

    def measured(self, pair: _Pair, size: int | tuple[int, int]) -> list[Moments]:
        return [part.moments(size=size, **self.options) for part in self.parts(pair)]

    def measure(self, pairs: Iterable[_Pair], size: int | tuple[int, int]) -> list[Moments]:
        """Give the moments of each kernel."""
        # By map, not a generator, which would keep a pair while the next one is made
        # (test_one_pair_at_a_time).
        total = reduce(_added, map(partial(self.measured, size=size), pairs), None)
        if total is None:
            raise ValueError(_NO_PAIR)
        return total

    def kernels(
        self, pairs: Iterable[_Pair], size: int | tuple[int, int], shift: tuple[int, int] = NO_SHIFT
    ) -> list[Kernel]:
        """Fit kernels of one size; only where it is large, or the loss is not squared, are all pairs kept."""
        if self.clipped == "censored":
            refuse_many_taps(size)
        seen = _Seen(self, size)
        if is_large(size, constrained=self.constrained):
            found = [
                learn_large([part.resolved(size=size, **self.options) for part in parts])
                for parts in _in_step([self.parts(pair) for pair in map(seen.look, pairs)])
            ]
            return [seen.judged(kernel) for kernel in found]
        if self.loss == "squared":
            return self.fitted(self.measure(map(seen.look, pairs), size), pairs, seen)
        parts_of_each = _in_step([self.parts(pair) for pair in pairs])
        options = self.options | {"shift": shift}
        return [robust(size, parts, self.loss, self.fit, **options) for parts in parts_of_each]

    def fitted(
        self,
        found: list[Moments],
        pairs: Iterable[_Pair],
        seen: "_Seen",
        measured: tuple[int, int] | None = None,
    ) -> list[Kernel]:
        """Fit a kernel to each moments, and judge it by what was seen of the pairs.

        `measured`: the size of the window that the moments were trimmed from.
        """
        kernels = self.with_clipped_counted(found, pairs, measured)
        return [seen.judged(kernel, moments) for kernel, moments in zip(kernels, found, strict=True)]

    def with_clipped_counted(
        self, found: list[Moments], pairs: Iterable[_Pair], measured: tuple[int, int] | None
    ) -> list[Kernel]:
        """Fit kernels to moments, and to clipped pixels if they count."""
        kernels = [self.fit(moments) for moments in found]
        if self.clipped == "excluded" or has_too_many_taps(found[0].size):
            return kernels
        if self.clipped == "auto" and not any(map(is_touched, kernels, found)):
            return kernels
        if not isinstance(pairs, list):
            clip = self.options["clip"]
            return [not_looked_at(k, moments, clip) for k, moments in zip(kernels, found, strict=True)]
        options = {**self.options, "measured": measured or found[0].size, "clipped": self.clipped}
        parts_of_each = _in_step([self.parts(pair) for pair in pairs])
        return [
            with_clipped(kernel, moments, parts, self.fit, **options)
            for kernel, moments, parts in zip(kernels, found, parts_of_each, strict=True)
        ]

    def with_size_found(self, pairs: list[tuple[NDArray[Any], NDArray[Any]]]) -> Kernel:
        """Fit kernels of the size that the shapes tell, or else the pixels."""
        if not pairs:
            raise ValueError(_NO_PAIR)
        stride, dilation = self.options["stride"], self.options["dilation"]
        told = _told_size(pairs, self.colours, stride, dilation)
        if told is not None:
            return self.colours.stacked(self.kernels(pairs, told))
        found, window, notes = _choose(pairs, self.colours, stride, dilation, self.measure, self.mirrored)
        if self.loss == "squared":
            seen = _Seen(self, found[0].size, found[0].shift)
            for pair in pairs:
                seen.look(pair)
            return self.colours.stacked(self.fitted(found, pairs, seen, window), notes)
        return self.colours.stacked(self.kernels(pairs, found[0].size, found[0].shift), notes)


def _mirrored(symmetric: Symmetry | Sequence[Symmetry] | None, family: FamilyName | None) -> _Mirrored:
    if family is not None:  # the ends of a track need room to turn
        return "square"
    if symmetric is None:
        return "no"
    # What is no name is refused where it is used.
    return "square" if isinstance(symmetric, Sequence) and "4-fold" in symmetric else "centred"


class _Seen:
    """Samples of the first pairs, for the verdict; the pairs themselves are not kept."""

    def __init__(self, task: _Task, size: int | tuple[int, int], shift: tuple[int, int] = NO_SHIFT) -> None:
        self.task, self.window = task, {"size": size, "shift": shift}
        self.samples: list[Sample] = []
        self.looks = _LOOKS if task.examine else 0

    def look(self, pair: _Pair) -> _Pair:
        """Take a sample of the pair, if it is one of the first, and give the pair."""
        if self.looks:
            self.looks -= 1
            (part,) = self.task.parts(pair)
            sample = Sample.of(part.resolved(**self.window, **self.task.options))
            self.samples += [] if sample is None else [sample]
        return pair

    def judged(self, kernel: Kernel, moments: Moments | None = None) -> Kernel:
        """Give the kernel with a verdict on the pairs that were seen."""
        if not self.samples:
            return kernel
        task, plain, fit = self.task, kernel, None if moments is None else self.task.fit
        if moments is not None and task.constrained:
            if moments.count < moments.sums.shape[-1]:
                return kernel
            plain = solve(moments, errors="white", named=False)
        return judge(
            joined(self.samples), kernel, plain=plain, moments=moments, fit=fit, free=not task.constrained
        )


def _check_steps(stride: Steps, dilation: Steps, background: int) -> None:
    if background:
        raise ValueError(
            f"`shift` must be (0, 0) where there is a background, got background={background}. Cut the "
            f"pictures to their common part first."
        )
    for name, steps in (("stride", stride), ("dilation", dilation)):
        if steps != NO_STEPS:
            raise ValueError(
                f"`shift` must be (0, 0) where `{name}` is not 1, got {name}={tuple(steps)}. Cut the "
                f"pictures to their common part first."
            )


def _hint(kernel: Kernel, pairs: Sequence[_Pair], **options: Any) -> list[str]:
    """Say so, if pairs of the same shape that are poorly explained are better explained by a shift."""
    same = all(np.shape(before) == np.shape(after) for before, after in pairs)
    if not pairs or not same or not np.all(np.asarray(kernel.r2) < _POOR):
        return []
    found = shift_of(pairs, **options)
    if found is None or _reaches(kernel, found):
        return []
    return [f"`after` seems to be shifted against `before` by {found} rows and columns: pass shift='auto'."]


def _reaches(kernel: Kernel, shift: tuple[int, int]) -> bool:
    """Say whether the kernel has taps as far from the pixel as that shift."""
    (y, x), (kh, kw) = kernel.origin or NO_SHIFT, kernel.size
    return max(map(abs, shift)) <= max(y, kh - 1 - y, x, kw - 1 - x)


def _shifted(kernel: Kernel, moved: Aligned) -> Kernel:
    """Give the kernel, learned from aligned pictures, the origin that leads back to `after`."""
    if moved.shift == NO_SHIFT:
        return kernel.with_notes(*moved.notes)
    down, right = (place + n for place, n in zip(kernel.origin or NO_SHIFT, moved.shift, strict=True))
    changes = CHANGES_NOTHING if (down, right) == (kernel.size[0] // 2, kernel.size[1] // 2) else ONLY_SHIFTS
    notes = tuple(changes if note in (CHANGES_NOTHING, ONLY_SHIFTS) else note for note in kernel.notes)
    measures = _measures_from(kernel, moved.shift)
    named = moved_name(kernel, moved.shift)
    return replace(kernel, origin=(down, right), measures=measures, notes=notes, **named)


def _measures_from(kernel: Kernel, shift: tuple[int, int]) -> dict[str, tuple[Any, Any]] | None:
    """Give the measures about an origin that is moved so far."""
    steps = dict(zip(("center_y", "center_x"), shift, strict=True))
    if kernel.measures is None:
        return None
    return {name: (value - steps.get(name, 0), error) for name, (value, error) in kernel.measures.items()}


def _size_of(name: str, given: ArrayLike | None) -> tuple[int, int] | None:
    if given is None:
        return None
    shape = np.shape(given)
    if len(shape) != 2:
        raise ValueError(f"`{name}` must have two axes (kh, kw), got shape {shape}.")
    return shape


def _as_pairs(before: Any, after: Any, **of_one: Any) -> Iterable[_Pair]:
    if after is not None:
        return [(before, after)]
    for name, given in of_one.items():
        if given is not None:
            raise ValueError(
                f"`{name}` belongs to one pair. In several pairs, leave pixels out by making them NaN, or "
                f"add up `Moments`."
            )
    if not isinstance(before, Iterable):
        raise TypeError(
            f"Without `after`, `before` must be an iterable of pairs (before, after), got "
            f"{type(before).__name__}."
        )
    pairs = map(_as_pair, before)
    return list(pairs) if isinstance(before, list | tuple) else pairs


def _as_pair(pair: Any) -> _Pair:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(
            f"Without `after`, `before` must be an iterable of pairs (before, after), got one of "
            f"{type(pair).__name__}."
        )
    return pair[0], pair[1]


def _told_size(
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]], colours: Colours, stride: Steps, dilation: Steps
) -> tuple[int, int] | None:
    """Give the size that the pairs with a smaller `after` tell, if any does."""
    told: dict[tuple[int, int], None] = {}
    for x, y in pairs:
        before, after = colours.shapes(x, y)
        size = told_size(before, after, stride, dilation)
        if size is not None:
            told[size] = None
        elif not is_same_sized(before, after, stride):
            raise ValueError("`size` must be given for a strided pair without border: no shape tells it.")
    if len(told) > 1:
        raise ValueError(
            f"All pairs must be of one kernel size, but their shapes tell {' and '.join(map(str, told))}."
        )
    return next(iter(told), None)


def _choose(
    pairs: list[tuple[NDArray[Any], NDArray[Any]]],
    colours: Colours,
    stride: Steps,
    dilation: Steps,
    measure: _Measure,
    mirrored: _Mirrored,
) -> tuple[list[Moments], tuple[int, int], list[str]]:
    """Measure with a small window, with the largest if that does not explain the pair, and trim.

    Gives what is left, and the window that was measured.

    What the larger window leaves out at the border stays out: if the kernel is larger than the chosen size
    after all, that ring depends on the padding (test_the_ring_around_the_tried_window_does_not_count).
    """
    shapes = [colours.shapes(x, y)[0][-2:] for x, y in pairs]
    grain = float(all(y.dtype.kind in "iu" for _, y in pairs))
    for stage in _STAGES:
        window = largest_window(shapes, stage, stride, dilation)
        parts = measure(pairs, window)
        # NaN all over `before` leave fewer and fewer windows whole, the larger they are (test_scattered_nan).
        while window != (1, 1) and min(m.count for m in parts) < 2 * (window[0] * window[1] + 1):
            window = largest_window(shapes, max(window) - 2, stride, dilation)
            parts = measure(pairs, window)
        last = stage == LARGEST
        if not last and not _explained([least_choice(moments) for moments in parts], pairs):
            continue
        choices = [choose_size(moments, grain) for moments in parts]
        if _explained(choices, pairs) and (last or not _may_reach_further(choices, window)):
            break
    size, shift = _around(choices, window, mirrored)
    notes = []
    if not _explained(choices, pairs) and LARGEST in _ends_reached(size, shift, window):
        notes = [
            f"{window[0]} x {window[1]} is the largest size tried; a larger one may fit better: pass `size`."
        ]
    return [moments.window(size, shift) for moments in parts], window, notes


def _explained(choices: list[Choice], pairs: list[tuple[NDArray[Any], NDArray[Any]]]) -> bool:
    return all(explains(choice, y.dtype) for choice in choices for _, y in pairs)


def _may_reach_further(choices: list[Choice], window: tuple[int, int]) -> bool:
    """Say whether taps beyond the window may hide below rounding: the kernel ends where the window does."""
    exact = all(explains(choice, np.dtype(np.float64)) for choice in choices)
    return not exact and any(_ends_reached(choice.size, choice.shift, window) for choice in choices)


def _ends_reached(size: tuple[int, int], shift: tuple[int, int], window: tuple[int, int]) -> set[int]:
    """Give the length of the window along each axis on which a smaller one reaches one of its ends."""
    tops = [whole // 2 - k // 2 - n for whole, k, n in zip(window, size, shift, strict=True)]
    return {whole for whole, k, top in zip(window, size, tops, strict=True) if top == 0 or top + k == whole}


def _around(
    choices: list[Choice], window: tuple[int, int], mirrored: _Mirrored
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give the size and the shift of the smallest window that holds those of all channels.

    Symmetric kernels are so about their pixel, and need a window that is; shapes of a family need a square.
    """
    origins = [np.add(np.array(choice.size) // 2, choice.shift) for choice in choices]
    before = np.max(origins, axis=0)  # taps up and left of the pixel; none, if negative
    behind = np.max([choice.size - origin for choice, origin in zip(choices, origins, strict=True)], axis=0)
    if mirrored != "no":
        far = np.maximum(before, behind - 1)
        if mirrored == "square":
            far[:] = min(far.max(), (min(window) - 1) // 2)
        before, behind = far, far + 1
    kh, kw = (before + behind).tolist()
    return (kh, kw), (int(before[0]) - kh // 2, int(before[1]) - kw // 2)


def _in_step(pairs: list[list[Part]]) -> list[tuple[Part, ...]]:
    """Give the parts of all pairs that one kernel is made of, kernel by kernel."""
    if not pairs:
        raise ValueError(_NO_PAIR)
    if len(counts := sorted({len(parts) for parts in pairs})) > 1:
        raise ValueError(f"All pairs must have the same channels, got {' and '.join(map(str, counts))}.")
    return list(zip(*pairs, strict=True))


def _added(some: list[Moments] | None, more: list[Moments]) -> list[Moments]:
    if some is None:
        return more
    if len(some) != len(more):
        raise ValueError(f"All pairs must have the same channels, got {len(some)} and {len(more)}.")
    return [a + b for a, b in zip(some, more, strict=True)]
