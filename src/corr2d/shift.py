"""The shift of a pair: `after` lies so many rows and columns beside `before`.

Everywhere ``after[y, x]`` belongs to ``before[y - rows, x - columns]``: positive numbers mean that `after`
lies further down and to the right, as in ``numpy.roll(before, shift)`` and ``scipy.ndimage.shift``. So does
scikit-image's ``phase_cross_correlation(after, before)``; with the arguments in the order of before and after
it gives the way back, the opposite.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial, reduce
from math import sqrt
from numbers import Integral
from operator import add
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dtypes import as_image, channels_first
from .moments import Moments
from .pair import Clip, resolve_weights, resolve_where
from .peaks import Planes, common_part, find_peaks
from .size import LARGEST, held_out_errors, largest_window
from .solve.fit import centred, rounding_of
from .windows import resolve_asked

Shift = Literal["auto"] | tuple[int, int]
NO_SHIFT = (0, 0)
_NOT_FOUND = "No shift stands out, so none was assumed. If you know it, pass shift=(rows, columns)."

_LOOK = 7  # the window that a peak is tried with
_STAGES = (_LOOK, LARGEST)  # the largest kernels that are looked for, as in learning.py
_MARGIN = 3  # how much further than the window a better place for it is looked for
_MOVES = 4  # times that the window may move
_FAR = LARGEST // 2 + _MARGIN  # within this distance, two shifts may show parts of one kernel
_FEWEST = 64  # pixels that must count: of fewer, chance explains a third now and then
_CLEARLY = 3  # standard errors
_NOTHING = 1e-9  # of the spread: what rounding leaves where all is explained
_AS_GOOD = 1.05  # times as much left unexplained, at most
_ALIKE = 1.01  # times as much noise left by a smaller window, at most
_MUCH = 1.5  # times as much left unexplained: told apart even if all of it lies in one block

# Pairs, and in each the channels that have a kernel of their own.
_Pairs = list[list[Planes]]


class _Trial(NamedTuple):
    """How well windows at a shift predict blocks of `after` that they were not fitted to."""

    shift: tuple[int, int]
    errors: NDArray[np.float64]  # of each block, in shares of what the mean leaves of all
    of_mean: NDArray[np.float64]  # what predicting the mean leaves

    @property
    def explained(self) -> NDArray[np.float64]:
        return self.of_mean - self.errors

    @property
    def unexplained(self) -> float:
        return float(self.errors.sum())


def _unexplained(trial: _Trial) -> float:
    return trial.unexplained


def find_shift(
    before: ArrayLike,
    after: ArrayLike,
    *,
    size: int | tuple[int, int] | None = None,
    channel_axis: int | None = None,
    where: ArrayLike | None = None,
    clip: Clip = "auto",
) -> tuple[int, int] | None:
    """Find by how much `after` is displaced against `before`, whatever filter lies between them.

    ``after[y, x]`` belongs to ``before[y - rows, x - columns]``: for a pair without a filter, `after` is
    ``numpy.roll(before, (rows, columns), axis=(0, 1))`` but for the border.

    The peaks of the phase correlation (Kuglin & Hines 1975), its phases weighted by the amplitudes of `after`
    or of `before`, are tried by fitting a kernel at each. The best is the one that predicts blocks left out
    of its fit best. About it the smallest window that fits is placed, so that an off-centre kernel counts as
    a shift of a centred one.

    Parameters
    ----------
    before, after : (..., h, w) array
        Of the same shape, any unit. Leading axes are a batch, all of one shift.
    size : int or (kh, kw), optional
        Of the kernel, if it is known. Default: what fits, up to 15 x 15.
    channel_axis : int, optional
        The axis of the colours, as in `corr2d`: all of one shift, each may have a kernel of its own.
    where : bool array that broadcasts to `after`, optional
        The pixels of `after` that count.
    clip : "auto", (low, high) or None
        Pixels of `after` at or beyond these values do not count, as in `corr2d.learn`.

    Returns
    -------
    (int, int) or None
        Rows and columns, up to a quarter of the pictures' (and some, for an off-centre kernel). None where no
        shift stands out: the pictures have nothing in common, too few pixels count, or no shift predicts
        clearly better than none does.

    Raises
    ------
    TypeError
        If an array is masked or does not hold real numbers, or an option is of the wrong kind.
    ValueError
        If the pictures differ in shape, or an option has no meaning.

    Examples
    --------
    >>> before = np.random.default_rng(0).random((40, 50))
    >>> find_shift(before, -np.roll(before, (3, -8), axis=(0, 1)))
    (3, -8)
    """
    return shift_of([(before, after)], size=size, channel_axis=channel_axis, where=where, clip=clip)


def shift_of(
    pairs: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    size: int | tuple[int, int] | None = None,
    channel_axis: int | None = None,
    where: ArrayLike | None = None,
    clip: Clip = "auto",
) -> tuple[int, int] | None:
    """Do what `find_shift` promises for pairs that share one shift and one kernel."""
    asked = None if size is None else resolve_asked(size)
    if asked is not None and max(asked) > LARGEST:
        asked = None  # too large to be tried in many places: it is put about what a smaller one finds
    some = [_channels(*pair, channel_axis, where) for pair in pairs]
    if min((planes.after.size for channels in some for planes in channels), default=0) == 0:
        return None
    peaks = find_peaks([planes for channels in some for planes in channels])
    trials = [trial for shift in (NO_SHIFT, *peaks) if (trial := _tried(some, shift, clip))]
    if not trials:
        return None
    # A peak may stand on one end of the kernel, where a small window misses most of it: so the best is placed
    # before it is judged.
    placed = _placed(some, min(trials, key=_unexplained).shift, asked, clip)
    best = _chosen([*trials, *filter(None, [_tried(some, placed, clip)])])
    if best is None:
        return None
    return placed if _distance(best.shift, placed) <= _MARGIN else _placed(some, best.shift, asked, clip)


def resolve_shift(shift: Any) -> Shift:
    """Check what the user gave."""
    rule = f"`shift` must be 'auto' or (rows, columns), two integers, got {shift!r}."
    if isinstance(shift, str):
        if shift != "auto":
            raise ValueError(rule)
        return "auto"
    if not isinstance(shift, tuple | list | np.ndarray) or not all(
        isinstance(n, Integral) and not isinstance(n, bool) for n in shift
    ):
        raise TypeError(rule)
    if len(shift) != 2:
        raise ValueError(rule)
    return int(shift[0]), int(shift[1])


class Aligned(NamedTuple):
    """Pairs cut to their common part, and where that part of `after` belongs."""

    pairs: Iterable[tuple[ArrayLike, ArrayLike]]
    where: ArrayLike | None
    weights: ArrayLike | None
    shift: tuple[int, int]
    notes: tuple[str, ...]


def align(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    shift: Shift,
    *,
    size: int | tuple[int, int] | None,
    channel_axis: int | None,
    where: ArrayLike | None,
    weights: ArrayLike | None,
    clip: Clip,
) -> Aligned:
    """Find the shift that all pairs share, if it is to be found, and cut them to what both pictures show.

    With a shift that is given, pairs are still taken one by one; to find one, all are needed at once.

    Raises ValueError if the pictures of a pair differ in shape, or have no part in common.
    """
    notes: tuple[str, ...] = ()
    if shift == "auto":
        pairs = list(pairs)
        found = shift_of(pairs, size=size, channel_axis=channel_axis, where=where, clip=clip)
        notes = (_NOT_FOUND,) if found is None else ()
        shift = NO_SHIFT if found is None else found
    if where is not None or weights is not None:
        ((_, after),) = pairs = list(pairs)
        shape = np.shape(after)
        if where is not None:
            where = _cut_after(resolve_where(where, shape, channel_axis), shift, channel_axis)
        if weights is not None:
            weights = _cut_after(resolve_weights(weights, shape, channel_axis), shift, channel_axis)
    cut = partial(_cut, shift=shift, channel_axis=channel_axis)
    return Aligned(map(cut, pairs), where, weights, shift, notes)


def _cut_after(planes: NDArray[Any], shift: tuple[int, int], channel_axis: int | None) -> NDArray[Any]:
    _, part = common_part(planes.shape[-2:], shift)
    return _colours_back(planes[..., *part], channel_axis)


def _cut(
    pair: tuple[ArrayLike, ArrayLike], shift: tuple[int, int], channel_axis: int | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    x, y = _same_shaped(*pair, channel_axis)
    of_before, of_after = common_part(x.shape[-2:], shift)
    return _colours_back(x[..., *of_before], channel_axis), _colours_back(y[..., *of_after], channel_axis)


def _colours_back(planes: NDArray[Any], channel_axis: int | None) -> NDArray[Any]:
    return planes if channel_axis is None else np.moveaxis(planes, 0, channel_axis)


def _same_shaped(
    before: ArrayLike, after: ArrayLike, channel_axis: int | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    x = channels_first(as_image(before, "before"), channel_axis, "before")
    y = channels_first(as_image(after, "after"), channel_axis, "after")
    if x.shape != y.shape:
        raise ValueError(
            f"`before` and `after` must have the same shape to be shifted against each other, got "
            f"{np.shape(before)} and {np.shape(after)}. Without its border, `after` tells where the kernel "
            f"lies: leave `shift` out."
        )
    return x, y


def _channels(
    before: ArrayLike, after: ArrayLike, channel_axis: int | None, where: ArrayLike | None
) -> list[Planes]:
    x, y = _same_shaped(before, after, channel_axis)
    counts = None if where is None else resolve_where(where, np.shape(after), channel_axis)
    if channel_axis is None:
        return [Planes(x, y, counts)]
    return [Planes(x[c], y[c], None if counts is None else counts[c]) for c in range(len(x))]


# Fits


def _moments(pairs: _Pairs, shift: tuple[int, int], limit: int, clip: Clip) -> list[Moments] | None:
    """Measure some spots, one Moments for each channel; None where too few pixels count."""
    least = [min(some.after.shape[axis] for channels in pairs for some in channels) for axis in (-2, -1)]
    if any(2 * abs(move) > n for move, n in zip(shift, least, strict=True)):
        return None
    planes = [[some.common(shift) for some in channels] for channels in pairs]
    shapes = [spot.after.shape[-2:] for channels in planes for some in channels for spot in some.spots()]
    size = largest_window(shapes, limit)
    measured = [
        reduce(
            add,  # by a generator: the sums of a large window take 25 MB a spot
            (
                Moments.of(spot.before, spot.after, size=size, where=spot.where, clip=clip)
                for some in channel
                for spot in some.spots()
            ),
        )
        for channel in zip(*planes, strict=True)
    ]
    return measured if all(map(_has_enough, measured)) else None


def _has_enough(moments: Moments) -> bool:
    """Say whether each block can be predicted from the others."""
    taps = moments.size[0] * moments.size[1]
    counts = moments.sums[:, -2, -2]
    return bool(moments.count >= max(2 * (taps + 1), _FEWEST) and counts.max() <= moments.count / 2)


def _tried(pairs: _Pairs, shift: tuple[int, int], clip: Clip) -> _Trial | None:
    """Fit a small window at a shift; None where too few pixels count, or those of `after` are all alike."""
    measured = _moments(pairs, shift, _LOOK, clip)
    if measured is None:
        return None
    held_out = [held_out_errors(moments) for moments in measured]
    of_mean = np.sum([errors_of_mean(moments) for moments in measured], axis=0)
    spread = float(of_mean.sum())
    if not spread > sum(rounding for _, rounding in held_out):
        return None
    return _Trial(shift, np.sum([errors for errors, _ in held_out], axis=0) / spread, of_mean / spread)


def errors_of_mean(moments: Moments) -> NDArray[np.float64]:
    """Give each block's squared error when predicted by the mean of the others."""
    counts, sums, squares = (moments.sums[:, i, j] for i, j in ((-2, -2), (-1, -2), (-1, -1)))
    mean = (sums.sum() - sums) / (counts.sum() - counts)
    return np.asarray(np.maximum(squares - 2 * mean * sums + mean**2 * counts, 0))


def _chosen(trials: list[_Trial]) -> _Trial | None:
    """Choose the trial that predicts best, if it does so clearly.

    None where it is no better than the mean; or where another one, too far away to show a part of the same
    kernel, is worse but not clearly. Of those that are as good, as in a periodic picture, the smallest shift.
    """
    best = min(trials, key=_unexplained)
    if not (_MUCH * best.unexplained <= 1 or _stands_out(best.explained)):
        return None
    rivals = [t for t in trials if _distance(t.shift, best.shift) > _FAR and not _is_clear(best, t)]
    as_good = [t for t in rivals if _is_as_good(t, best)]
    if len(as_good) < len(rivals):
        return None
    return min([best, *as_good], key=lambda trial: _length(trial.shift))


def _is_clear(best: _Trial, other: _Trial) -> bool:
    """Say whether the best predicts better, beyond what chance does.

    Noise differs from block to block, and so do the pixels of two shifts: what is explained differs less than
    what is left where most is noise, and more where little is.
    """
    if other.unexplained <= best.unexplained + _NOTHING:
        return False
    return (
        other.unexplained >= _MUCH * best.unexplained
        or _stands_out(other.errors - best.errors)
        or _stands_out(best.explained - other.explained)
    )


def _stands_out(gains: NDArray[np.float64]) -> bool:
    folds = len(gains)
    deviation = sqrt(folds / (folds - 1) * float(((gains - gains.mean()) ** 2).sum()))
    return bool(gains.sum() > _CLEARLY * deviation)


def _is_as_good(trial: _Trial, best: _Trial) -> bool:
    return trial.unexplained <= _AS_GOOD * best.unexplained + _NOTHING and (
        _AS_GOOD * (1 - trial.unexplained) >= 1 - best.unexplained
    )


def _distance(one: tuple[int, int], other: tuple[int, int]) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _length(shift: tuple[float, float]) -> float:
    return shift[0] ** 2 + shift[1] ** 2


# The place of the window


def _placed(
    pairs: _Pairs, shift: tuple[int, int], asked: tuple[int, int] | None, clip: Clip
) -> tuple[int, int]:
    """Move a shift to where the smallest window that explains the pair, or the one asked, fits best."""
    for _ in range(_MOVES):
        down, along = _move(pairs, shift, asked, clip)
        shift = (shift[0] + down, shift[1] + along)
        if max(abs(down), abs(along)) < _MARGIN:
            break
    return shift


def _move(
    pairs: _Pairs, shift: tuple[int, int], asked: tuple[int, int] | None, clip: Clip
) -> tuple[int, int]:
    move = NO_SHIFT
    for largest in _STAGES if asked is None else (max(asked),):
        measured = _moments(pairs, shift, largest + 2 * _MARGIN, clip)
        if measured is None:
            break
        places: list[_Place] = []
        for size in _sizes(largest, asked, measured[0].size):
            # A large window lies about where the next smaller one does, and takes long to try.
            about, far = (places[-1].move, 1) if places and max(size) > _LOOK else (NO_SHIFT, _MARGIN)
            places.append(_best_place(measured, size, shift, about, far))
        size, move, _, _ = next(place for place in places if place.noise <= places[-1].most)
        if max(size) > _LOOK and len(places) > 1:
            # Now in all places: which of them are as good shows only there (a row of taps fits anywhere).
            move = _best_place(measured, size, shift, NO_SHIFT, _MARGIN).move
        if size != places[-1].size:
            break
    return move


def _sizes(largest: int, asked: tuple[int, int] | None, window: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Give the sizes that are tried, from the smallest on, as far as the measured window holds them."""
    sizes = [(k, k) for k in range(1, largest + 1, 2)] if asked is None else [asked]
    return iter(dict.fromkeys((min(kh, window[0]), min(kw, window[1])) for kh, kw in sizes))


class _Place(NamedTuple):
    size: tuple[int, int]
    move: tuple[int, int]
    noise: float  # squared error over the degrees of freedom, and what rounding may make of it
    most: float  # as much is no worse: some, and what chance does


def _best_place(
    measured: list[Moments],
    size: tuple[int, int],
    shift: tuple[int, int],
    about: tuple[int, int],
    far: int,
) -> _Place:
    """Find where a window inside the measured one fits best: if several places do, in their middle."""
    moves = [
        (down, along)
        for down in range(about[0] - far, about[0] + far + 1)
        for along in range(about[1] - far, about[1] + far + 1)
        if all(_lies_inside(*axis) for axis in zip(measured[0].size, size, (down, along), strict=True))
    ]
    left = np.sum([_squared_errors(moments, size, moves) for moments in measured], axis=0)
    spread = sum(float(centred(moments.total)[-1, -1]) for moments in measured)
    count, taps = sum(moments.count for moments in measured), size[0] * size[1]
    least = float(left.min()) + 1e-10 * spread
    # A move exchanges some rows and columns of taps; those that stand for nothing lower the error by chance,
    # each by its share of about one pixel.
    slack = 2 * (size[0] + size[1]) / count
    as_good = [move for move, error in zip(moves, left, strict=True) if error <= least * (1 + slack)]
    middle = np.mean(as_good, axis=0)
    move = min(
        as_good,
        key=lambda move: (_length(tuple(move - middle)), _length((shift[0] + move[0], shift[1] + move[1]))),
    )
    noise = least / (count - taps * len(measured))
    return _Place(size, move, noise, noise * (_ALIKE + 3 * sqrt(2 * taps) / count))


def _lies_inside(window: int, size: int, move: int) -> bool:
    return 0 <= window // 2 - size // 2 - move <= window - size


def _taps(window: tuple[int, int], size: tuple[int, int], move: tuple[int, int]) -> NDArray[np.intp]:
    """Give the taps of a window, inside the measured one, whose shift is greater by `move`."""
    # A greater shift looks further up and left.
    top, left = (w // 2 - k // 2 - m for w, k, m in zip(window, size, move, strict=True))
    inner = np.arange(window[0] * window[1]).reshape(window)[top : top + size[0], left : left + size[1]]
    return inner.ravel()


def _squared_errors(
    moments: Moments, size: tuple[int, int], moves: list[tuple[int, int]]
) -> NDArray[np.float64]:
    """Give what the least-squares fits of windows of `size` leave, all at once."""
    total = moments.total
    about_mean = centred(total)
    gram, cross = about_mean[:-2, :-2], about_mean[:-2, -1]
    taps = np.stack([_taps(moments.size, size, move) for move in moves])
    grams, crosses = gram[taps[:, :, None], taps[:, None, :]], cross[taps]
    # Directions that the pair does not tell are held to zero.
    grams[:, range(taps.shape[1]), range(taps.shape[1])] += max(rounding_of(total), 1e-300)
    weights = np.linalg.solve(grams, crosses[..., None])[..., 0]
    explained = 2 * (weights * crosses).sum(axis=1) - np.einsum("mi,mij,mj->m", weights, grams, weights)
    return np.asarray(about_mean[-1, -1] - explained)
