"""learn(): pairs of pictures in, the kernel that made the one from the other out."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .borders import Steps, resolve_steps
from .dtypes import as_image, channels_first
from .kernel import Kernel
from .moments import Clip, Moments, resolve_where
from .size import LARGEST, choose_size, explains, largest_window
from .solve import solve
from .solve.constraints import Symmetry
from .windows import is_same_sized, told_size

_Pair = tuple[ArrayLike, ArrayLike]
_Measure = Callable[[Iterable[_Pair], Any], list[Moments]]

# Most kernels are small: the largest window is measured only if a smaller one does not explain the pair.
_STAGES = (7, LARGEST)


def learn(
    before: ArrayLike | Iterable[tuple[ArrayLike, ArrayLike]],
    after: ArrayLike | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    channel_axis: int | None = None,
    per_channel: bool = False,
    where: ArrayLike | None = None,
    clip: Clip = "auto",
    sum: float | None = None,  # noqa: A002 (the word for it)
    nonnegative: bool = False,
    symmetric: Symmetry | Sequence[Symmetry] | None = None,
    support: ArrayLike | None = None,
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
        Of the kernel. Default: what the shapes tell (h - h' + 1, w - w' + 1); for a same-sized pair the
        smallest odd square up to 15 x 15 that predicts blocks of the picture left out of the fit as well as
        any (`corr2d.size.choose_size`).
    stride, dilation : int or (rows, columns)
        As in `corr2d`: `after` has every so many-th result (a smaller picture), and the taps are so many
        pixels apart. A strided `after` with its border has ceil(h / stride) rows; without, `size` must be
        given.
    channel_axis : int, optional
        The axis of the colours, as in `corr2d`.
    per_channel : bool
        One kernel for each channel, in place of one for all.
    where : bool array that broadcasts to `after`, optional
        The pixels of `after` that count. Pixels of `before` are left out by making them NaN.
    clip : "auto", (low, high) or None
        Pixels of `after` at or beyond these values were cut off and do not count. "auto": the ends of the
        range of an integer type, nothing for floats.
    sum : float, optional
        What the taps sum to: 1 for a filter that keeps the level, 0 for one that keeps none of it.
    nonnegative : bool
        No tap is below zero.
    symmetric : {"left-right", "up-down", "4-fold", "radial"} or some of them, optional
        Taps that mirror each other are equal; "4-fold": under all turns and mirrors of a square; "radial":
        those equally far from the centre.
    support : (kh, kw) bool array, optional
        True where a tap may differ from zero. It gives the size.

    Returns
    -------
    Kernel
        With error bars, and notes in words where the pair leaves something open. Unit of the weights: unit of
        `after` over unit of `before`.

    Raises
    ------
    TypeError
        If an array is masked or does not hold real numbers.
    ValueError
        If shapes do not fit, an option has no meaning, or fewer pixels count than there are unknowns.

    Examples
    --------
    >>> from corr2d import corr2d
    >>> X = np.ones((6, 8))
    >>> X[:, 2:6] = 0
    >>> learn(X, corr2d(X, [[1, -1]])).weights
    array([[ 1., -1.]])
    """
    pairs = _as_pairs(before, after, where)
    if support is not None and size is None:
        size = _size_of(support)
    steps, gaps = resolve_steps(stride, "stride"), resolve_steps(dilation, "dilation")
    fit = partial(solve, sum=sum, nonnegative=nonnegative, symmetric=symmetric, support=support)
    if per_channel and channel_axis is None:
        raise ValueError("`per_channel` needs `channel_axis`, to know where the colours are.")

    def measure(pairs: Iterable[_Pair], size: int | tuple[int, int] | None) -> list[Moments]:
        # By map, not a generator, which would keep a pair while the next one is made
        # (test_one_pair_at_a_time).
        def measured(pair: _Pair) -> list[Moments]:
            return _measure_pair(
                *pair, channel_axis, per_channel, where, size=size, stride=steps, dilation=gaps, clip=clip
            )

        total = reduce(_added, map(measured, pairs), None)
        if total is None:
            raise ValueError("`before` must hold at least one pair (before, after), got none.")
        return total

    if size is None:
        pairs = pictures = [(as_image(x, "before"), as_image(y, "after")) for x, y in pairs]
        size = _told_size(pictures, channel_axis, steps, gaps)
        if size is None and pictures:
            parts, notes = _choose(pictures, channel_axis, steps, gaps, measure)
            return _stacked([fit(moments) for moments in parts], notes)
    return _stacked([fit(moments) for moments in measure(pairs, size)])


def _size_of(support: ArrayLike) -> tuple[int, int]:
    shape = np.shape(support)
    if len(shape) != 2:
        raise ValueError(f"`support` must have two axes (kh, kw), got shape {shape}.")
    return shape


def _as_pairs(before: Any, after: Any, where: Any) -> Iterable[_Pair]:
    if after is not None:
        return [(before, after)]
    if where is not None:
        raise ValueError(
            "`where` belongs to one pair. In several pairs, leave pixels out by making them NaN."
        )
    if not isinstance(before, Iterable):
        raise TypeError(
            f"Without `after`, `before` must be an iterable of pairs (before, after), got "
            f"{type(before).__name__}."
        )
    return map(_as_pair, before)


def _as_pair(pair: Any) -> _Pair:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(
            f"Without `after`, `before` must be an iterable of pairs (before, after), got one of "
            f"{type(pair).__name__}."
        )
    return pair[0], pair[1]


def _told_size(
    pairs: list[tuple[NDArray[Any], NDArray[Any]]], channel_axis: int | None, stride: Steps, dilation: Steps
) -> tuple[int, int] | None:
    """Give the size that the pairs with a smaller `after` tell, if any does."""
    told: dict[tuple[int, int], None] = {}
    for x, y in pairs:
        before = channels_first(x, channel_axis, "before").shape
        after = channels_first(y, channel_axis, "after").shape
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


def _measure_pair(
    before: ArrayLike,
    after: ArrayLike,
    channel_axis: int | None,
    per_channel: bool,
    where: Any,
    **options: Any,
) -> list[Moments]:
    """Give one Moments for all channels, or one for each."""
    if not per_channel:
        return [Moments.of(before, after, channel_axis=channel_axis, where=where, **options)]
    x = channels_first(as_image(before, "before"), channel_axis, "before")
    y = channels_first(as_image(after, "after"), channel_axis, "after")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"`before` and `after` must have the same channels, at least one, got {len(x)} and {len(y)}."
        )
    masks = [None] * len(x)
    if where is not None:
        masks = list(resolve_where(where, np.shape(after), channel_axis))
    return [Moments.of(*pair, where=mask, **options) for *pair, mask in zip(x, y, masks, strict=True)]


def _choose(
    pairs: list[tuple[NDArray[Any], NDArray[Any]]],
    channel_axis: int | None,
    stride: Steps,
    dilation: Steps,
    measure: _Measure,
) -> tuple[list[Moments], list[str]]:
    """Measure with a small window, with the largest if that does not explain the pair, and trim.

    What the larger window leaves out at the border stays out: if the kernel is larger than the chosen size
    after all, that ring depends on the padding (test_the_ring_around_the_tried_window_does_not_count).
    """
    shapes = [channels_first(x, channel_axis, "before").shape[-2:] for x, _ in pairs]
    for stage in _STAGES:
        window = largest_window(shapes, stage, stride, dilation)
        parts = measure(pairs, window)
        # NaN all over `before` leave fewer and fewer windows whole, the larger they are (test_scattered_nan).
        while window != (1, 1) and min(m.count for m in parts) < 2 * (window[0] * window[1] + 1):
            window = largest_window(shapes, max(window) - 2, stride, dilation)
            parts = measure(pairs, window)
        choices = [choose_size(moments) for moments in parts]
        explained = all(explains(choice, y.dtype) for choice in choices for _, y in pairs)
        if explained:
            break
    size = (max(c.size[0] for c in choices), max(c.size[1] for c in choices))
    notes = []
    if not explained and size == window and max(size) == LARGEST:
        notes = [
            f"{size[0]} x {size[1]} is the largest size tried; a larger one may fit better: pass `size`."
        ]
    return [moments.window(size) for moments in parts], notes


def _added(some: list[Moments] | None, more: list[Moments]) -> list[Moments]:
    if some is None:
        return more
    if len(some) != len(more):
        raise ValueError(f"All pairs must have the same channels, got {len(some)} and {len(more)}.")
    return [a + b for a, b in zip(some, more, strict=True)]


def _stacked(kernels: list[Kernel], notes: Iterable[str] = ()) -> Kernel:
    """Make one kernel with channels of several without; one alone stays as it is."""
    if len(kernels) == 1:
        return kernels[0].with_notes(*notes)
    figures: dict[str, Any] = {
        name: np.stack([getattr(kernel, name) for kernel in kernels])
        for name in ("weights", "bias", "stderr", "bias_stderr", "rmse", "noise", "r2", "condition", "rank")
    }
    left_out = {reason: sum(k.left_out[reason] for k in kernels) for reason in kernels[0].left_out}
    words = [f"channel {c}: {note}" for c, kernel in enumerate(kernels) for note in kernel.notes]
    used = sum(kernel.used or 0 for kernel in kernels)
    return Kernel(**figures, used=used, left_out=left_out, notes=(*words, *notes))
