"""learn(): pairs of pictures in, the kernel that made the one from the other out."""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .dtypes import as_image, channels_first
from .kernel import Kernel
from .moments import Clip, Moments
from .size import LARGEST, choose_size, explains, largest_window
from .solve import solve

_Pair = tuple[ArrayLike, ArrayLike]
_Measure = Callable[[Iterable[_Pair], Any], list[Moments]]

# Most kernels are small: the largest window is measured only if a smaller one does not explain the pair.
_STAGES = (7, LARGEST)


def learn(
    before: ArrayLike | Iterable[tuple[ArrayLike, ArrayLike]],
    after: ArrayLike | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    channel_axis: int | None = None,
    per_channel: bool = False,
    where: ArrayLike | None = None,
    clip: Clip = "auto",
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
        Of the kernel. Default: what the shapes tell (h - h' + 1, w - w' + 1); for a same-sized pair the smallest
        odd square up to 15 x 15 that predicts blocks of the picture left out of the fit as well as any
        (`corr2d.size.choose_size`).
    channel_axis : int, optional
        The axis of the colours, as in `corr2d`.
    per_channel : bool
        One kernel for each channel, in place of one for all.
    where : bool array that broadcasts to `after`, optional
        The pixels of `after` that count. Pixels of `before` are left out by making them NaN.
    clip : "auto", (low, high) or None
        Pixels of `after` at or beyond these values were cut off and do not count. "auto": the ends of the range
        of an integer type, nothing for floats.

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
    >>> X = np.ones((6, 8))
    >>> X[:, 2:6] = 0
    >>> learn(X, corr2d(X, [[1, -1]])).weights
    array([[ 1., -1.]])
    """
    pairs = _as_pairs(before, after, where)
    if per_channel and channel_axis is None:
        raise ValueError("`per_channel` needs `channel_axis`, to know where the colours are.")

    def measure(pairs: Iterable[_Pair], size: int | tuple[int, int] | None) -> list[Moments]:
        parts = (_measure_pair(*pair, size, channel_axis, per_channel, where, clip) for pair in pairs)
        return reduce(lambda a, b: [m + n for m, n in zip(a, b, strict=True)], parts)

    if size is None:
        pairs = list(pairs)
        if any(np.shape(x) == np.shape(y) for x, y in pairs):
            return _stacked(*_choose(pairs, channel_axis, measure))
    return _stacked([solve(moments) for moments in measure(pairs, size)])


def _as_pairs(before: Any, after: Any, where: Any) -> Iterable[_Pair]:
    if after is not None:
        return [(before, after)]
    if where is not None:
        raise ValueError("`where` belongs to one pair. In several pairs, leave pixels out by making them NaN.")
    return map(_as_pair, before)


def _as_pair(pair: Any) -> _Pair:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(
            f"Without `after`, `before` must be an iterable of pairs (before, after), got one of {type(pair).__name__}."
        )
    return pair[0], pair[1]


def _measure_pair(
    before: ArrayLike, after: ArrayLike, size: Any, channel_axis: int | None, per_channel: bool, where: Any, clip: Clip
) -> list[Moments]:
    """Give one Moments for all channels, or one for each."""
    if not per_channel:
        return [Moments.of(before, after, size=size, channel_axis=channel_axis, where=where, clip=clip)]
    x = channels_first(as_image(before, "before"), channel_axis, "before")
    y = channels_first(as_image(after, "after"), channel_axis, "after")
    if len(x) != len(y):
        raise ValueError(f"`before` and `after` must have the same channels, got {len(x)} and {len(y)}.")
    masks = [None] * len(x)
    if where is not None:
        masks = list(channels_first(np.broadcast_to(where, np.shape(after)), channel_axis, "where"))
    return [Moments.of(*pair, size=size, where=mask, clip=clip) for *pair, mask in zip(x, y, masks, strict=True)]


def _choose(pairs: list[_Pair], channel_axis: int | None, measure: _Measure) -> tuple[list[Kernel], list[str]]:
    """Measure once with a small window, again with the largest if that does not explain the pair, and trim."""
    shapes = [channels_first(as_image(x, "before"), channel_axis, "before").shape[-2:] for x, _ in pairs]
    after = np.asarray(pairs[0][1]).dtype
    for stage in _STAGES:
        window = largest_window(shapes, stage)
        parts = measure(pairs, window)
        choices = [choose_size(moments) for moments in parts]
        if all(explains(choice, after) for choice in choices):
            break
    size = (max(c.size[0] for c in choices), max(c.size[1] for c in choices))
    notes = []
    if size == window and not all(explains(choice, after) for choice in choices):
        notes = [f"{size[0]} x {size[1]} is the largest size tried; a larger one may fit better: pass `size`."]
    return [solve(moments.window(size)) for moments in parts], notes


def _stacked(kernels: list[Kernel], notes: Iterable[str] = ()) -> Kernel:
    """Make one kernel with channels of several without; one alone stays as it is."""
    if len(kernels) == 1:
        return kernels[0].with_notes(*notes)
    figures = {
        name: np.stack([getattr(kernel, name) for kernel in kernels])
        for name in ("weights", "bias", "stderr", "bias_stderr", "rmse", "noise", "r2", "condition", "rank")
    }
    left_out = {reason: sum(k.left_out[reason] for k in kernels) for reason in kernels[0].left_out}
    words = [f"channel {c}: {note}" for c, kernel in enumerate(kernels) for note in kernel.notes]
    used = sum(kernel.used or 0 for kernel in kernels)
    return Kernel(**figures, used=used, left_out=left_out, notes=(*words, *notes))
