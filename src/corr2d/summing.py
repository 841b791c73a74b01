"""The sums over all windows of a pair, block by block: by lags where that is quick, else window by window."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _engine
from .borders import NO_STEPS, reach
from .lags import best_side
from .pair import Model, Resolved
from .threads import resolve_threads
from .windows import Slices, Windows

_FOLDS = 16
_FOLD_BYTES = 64 << 20  # of all folds together
_MATRIX_BYTES = 64 << 20  # of the sums of some folds, before they are added to others
_FEW = 0.4  # of the pixels: if no more are left out, it is quicker to sum all and take those out again
_ROWS_OF = 1 << 20  # pixels, looked at together
_LOSS = 16  # what is taken out may be so many times what stays: four of 53 bits
_MOST_BYTES = 4 << 30  # of the sums: windows up to 152 x 152
# Sums of squares: within them no product on the way to the kernel overflows or loses digits to underflow.
_LEAST_SQUARE, _LARGEST_SQUARE = 1e-200, 1e200
REASONS = ("not finite", "masked", "clipped low", "clipped high")


@dataclass(frozen=True)
class Summed:
    """What `sum_up` gives: fields of `Moments`."""

    sums: NDArray[np.float64]
    center: tuple[float, ...]
    count: int
    left_out: dict[str, int]


@np.errstate(over="ignore", invalid="ignore")  # check_scale says it in words
def sum_up(pair: Resolved) -> Summed:
    """Give the sums of a pair, and what they were made of."""
    x, y, model, *_ = pair
    (kh, kw), order = model.windows.size, model.order
    check_bytes(model.windows.size, order)
    center = (*map(center_of, x), center_of(y))
    sums = np.zeros((fold_count(order), order, order))
    left_out = dict.fromkeys(REASONS, 0)
    count = 0
    for plane in np.ndindex(y.shape[:-2]):
        for planes in _Planes.of(pair, plane, center).phases():
            count += planes.add_to(sums, left_out)
    squares = np.diagonal(sums, axis1=1, axis2=2).sum(axis=0)
    for channel, pixels in enumerate(x):
        of_channel = squares[channel * kh * kw : (channel + 1) * kh * kw]
        check_scale("before", pixels, center[channel], of_channel.max())
    check_scale("after", y, center[-1], squares[-1])
    return Summed(sums, center, count, left_out)


def fold_count(order: int) -> int:
    """Count the folds whose sums stay within the memory for them."""
    folds = _FOLDS
    while folds > 1 and folds * order * order * 8 > _FOLD_BYTES:
        folds //= 2
    return folds


def check_bytes(size: tuple[int, int], order: int) -> None:
    """Refuse windows whose sums are too large."""
    kh, kw = size
    if order * order * 8 > _MOST_BYTES:
        raise ValueError(
            f"A window of {kh} x {kw} needs sums of {order * order / 2**27:.0f} GB, more than the "
            f"{_MOST_BYTES >> 30} GB that are allowed. If `after` is scaled down, pass `stride` "
            f"and `size`. Otherwise take a smaller size, or compare like parts of the pictures."
        )


def check_scale(name: str, image: NDArray[Any], center: float, square: float) -> None:
    """Refuse floats whose squares leave the range of float64, where sums are infinite or zero."""
    if image.dtype.kind != "f" or _LEAST_SQUARE <= square <= _LARGEST_SQUARE:
        return
    if not square <= _LARGEST_SQUARE:
        raise ValueError(
            f"`{name}` has pixels beyond 1e100 that count, whose squares are too large to sum. Make them "
            f"NaN if they mark missing pixels; else divide the picture by a constant."
        )
    if np.any((image != center) & (np.abs(image - center) < 1e-100)):
        raise ValueError(
            f"`{name}` varies by less than 1e-100, whose squares are too small to sum. Multiply the picture "
            f"by a constant."
        )


def center_of(image: NDArray[Any]) -> float:
    """Give what is subtracted from all pixels, so that a large offset costs no digits."""
    # Fixed for 8 bits, so that sums do not depend on the picture. Else the median of a sample, to a few
    # digits, so that subtracting it is exact.
    if image.dtype.itemsize == 1:
        return 128.0 if image.dtype == np.uint8 else 0.0
    h, w = image.shape[-2:]
    sample = image[..., :: max(1, h // 64), :: max(1, w // 64)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0
    middle = float(np.median(sample))
    step = 2.0 ** np.ceil(np.log2(max(np.abs(sample - middle).max(), abs(middle) * 2.0**-20, 1e-300)) - 4)
    return float(np.round(middle / step) * step)


def blocks_of(shape: tuple[int, ...], where: NDArray[np.bool_] | None, folds: int) -> list[Slices]:
    """Cut the picture into `folds` blocks that share out what `where` leaves of it. Some may be empty."""
    spans = []  # of what is left: else one block may hold all of it (test_size_of_a_small_part)
    for axis in (len(shape) - 2, len(shape) - 1):
        inside = np.arange(shape[axis])
        if where is not None and where.any():
            inside = np.flatnonzero(where.any(axis=tuple(a for a in range(len(shape)) if a != axis)))
        spans.append((int(inside[0]), int(inside[-1]) + 1))
    height, width = (stop - start for start, stop in spans)
    down = min(
        (d for d in (1, 2, 4, 8, 16) if folds % d == 0),
        key=lambda d: abs(np.log(d * d / folds * width / height)),
    )
    ys, xs = (
        [0, *(start + (stop - start) * i // parts for i in range(1, parts)), n]
        for (start, stop), parts, n in zip(spans, (down, folds // down), shape[-2:], strict=True)
    )
    return [(slice(*rows), slice(*columns)) for rows in pairwise(ys) for columns in pairwise(xs)]


class _Planes(NamedTuple):
    """Planes of a pair: `after` has the size of the places that the window has in those of `before`."""

    before: NDArray[Any]  # (channels, h, w)
    after: NDArray[Any]
    where: NDArray[np.bool_] | None
    weights: NDArray[np.float64] | None
    model: Model
    center: tuple[float, ...]
    clip: tuple[float, float] | None

    @classmethod
    def of(cls, pair: Resolved, plane: tuple[int, ...], center: tuple[float, ...]) -> "_Planes":
        """Take one plane of `after`, and those of `before` that made it."""
        where, weights = (None if each is None else each[plane] for each in (pair.where, pair.weights))
        before = np.moveaxis(pair.before, 0, -3)[plane]  # the channels beside rows and columns
        return cls(before, pair.after[plane], where, weights, pair.model, center, pair.clip)

    def phases(self) -> "Iterator[_Planes]":
        """Give pairs whose taps are neighbours: every so many-th pixel of either is a pair of its own."""
        size, stride, dilation = self.model.windows
        if stride != NO_STEPS or dilation == NO_STEPS:
            yield self
            return
        for first in product(range(dilation.rows), range(dilation.columns)):
            every = slice(first[0], None, dilation.rows), slice(first[1], None, dilation.columns)
            after = self.after[every]
            if after.size:
                of_before, of_after = (frame.of_part(first, dilation) for frame in self.model.frames)
                rows, columns = len(after) + size[0] - 1, after.shape[1] + size[1] - 1
                yield self._replace(
                    before=self.before[:, *every][:, :rows, :columns],
                    after=after,
                    where=None if self.where is None else self.where[every],
                    weights=None if self.weights is None else self.weights[every],
                    model=self.model._replace(windows=Windows(size), frames=(of_before, of_after)),
                )

    def add_to(self, sums: NDArray[np.float64], left_out: dict[str, int]) -> int:
        """Add ``sum weight z z^T`` over blocks to the sums of their folds; count what counts and what not.

        A block is summed by lags, all of it (engine/lags.hpp), and the windows that do not count are taken
        out again. Where those are many, or so large that taking them out costs digits, the windows that
        count are summed one by one instead; so are all those of a stride, and those that have weights.
        """
        counts = self.counting(left_out)
        blocks = blocks_of(self.after.shape, self.where, len(sums))
        sizes = [counts[block].size for block in blocks]
        bad = [n - int(np.count_nonzero(counts[block])) for n, block in zip(sizes, blocks, strict=True)]
        folds = [fold for fold, n in enumerate(sizes) if n > bad[fold]]
        by_lag = self.model.windows == Windows(self.model.windows.size) and self.weights is None
        most = max(1, _MATRIX_BYTES // sums[0].nbytes)
        for i in range(0, len(folds), most):
            some = folds[i : i + most]
            mostly = [fold for fold in some if by_lag and bad[fold] <= _FEW * sizes[fold]]
            mended = [fold for fold in mostly if bad[fold]]
            by_lags = dict(zip(mostly, self._products(blocks, mostly), strict=True))
            for fold, excess in zip(mended, self._products(blocks, mended, counts, among=False), strict=True):
                left = by_lags[fold] - excess
                if _keeps_digits(by_lags[fold], left):
                    by_lags[fold] = left
                else:
                    del by_lags[fold]
            for fold, products in by_lags.items():
                sums[fold] += products
            rest = [fold for fold in some if fold not in by_lags]
            for fold, products in zip(rest, self._products(blocks, rest, counts), strict=True):
                sums[fold] += products
        return sum(sizes) - sum(bad)

    def _products(
        self,
        blocks: list[Slices],
        folds: list[int],
        counts: NDArray[np.bool_] | None = None,
        *,
        among: bool = True,
    ) -> NDArray[np.float64]:
        """Give ``sum weight z z^T`` over some blocks: of all pixels, or of those that count or do not."""
        order = self.model.order
        products = np.empty((len(folds), order, order))
        if folds:
            some = [blocks[fold] for fold in folds]
            corners = [(r.start, c.start, r.stop - r.start, c.stop - c.start) for r, c in some]
            threads = resolve_threads(None, 3 * order * self.after.size)
            degrees = self.model.varying, self.model.background
            whole = self.before.itemsize == self.after.itemsize == 1 and degrees == (0, 0)
            side = best_side(self.model, corners, whole=whole) if counts is None else 0
            _engine.fill_moments(
                self.before, self.after, corners, *self.model.windows, self.center, degrees,
                self.model.frames, products, counts, among, self.weights, threads, side,
            )  # fmt: skip
        return products

    def counting(self, left_out: dict[str, int]) -> NDArray[np.bool_]:
        """Say which pixels count, and count the others in `left_out`, each under its first reason."""
        counts = np.ones(self.after.shape, np.bool_)
        rows = max(1, _ROWS_OF // max(1, self.after.shape[1]))
        for top in range(0, len(counts), rows):
            some = slice(top, top + rows)
            self._leave_out(some, counts[some], left_out)
        return counts

    def _leave_out(self, some: slice, counts: NDArray[np.bool_], left_out: dict[str, int]) -> None:
        def leave_out(reason: str, bad: NDArray[np.bool_]) -> None:
            if bad.any():
                left_out[reason] += int(np.count_nonzero(bad & counts))
                np.logical_and(counts, ~bad, out=counts)

        after = self.after[some]
        size, stride, dilation = self.model.windows
        top = some.start * stride.rows
        before = self.before[:, top : top + (len(after) - 1) * stride.rows + reach(size, dilation)[0]]
        if after.dtype.kind == "f":
            leave_out("not finite", ~np.isfinite(after))
        if before.dtype.kind == "f":
            bad = ~np.isfinite(before).all(axis=0)
            if bad.any():
                leave_out("not finite", _any_in_window(bad, after.shape, self.model.windows))
        if self.where is not None:
            leave_out("masked", ~self.where[some])
        if self.weights is not None:
            leave_out("masked", self.weights[some] == 0)
        if self.clip is not None:
            leave_out("clipped low", after <= self.clip[0])
            leave_out("clipped high", after >= self.clip[1])


def which_count(pair: Resolved, plane: tuple[int, ...], left_out: dict[str, int]) -> NDArray[np.bool_]:
    """Say which pixels of a plane of `after` count, and count the others in `left_out`."""
    return _Planes.of(pair, plane, ()).counting(left_out)


def _any_in_window(bad: NDArray[np.bool_], places: tuple[int, ...], windows: Windows) -> NDArray[np.bool_]:
    for axis in (0, 1):
        taps, step, gap = (each[axis] for each in windows)
        lines = np.moveaxis(bad, axis, 0)
        found = np.zeros((places[axis], lines.shape[1]), np.bool_)
        for tap in range(taps):
            found |= lines[tap * gap : tap * gap + (places[axis] - 1) * step + 1 : step]
        bad = np.moveaxis(found, 0, axis)
    return bad


def _keeps_digits(products: NDArray[np.float64], left: NDArray[np.float64]) -> bool:
    of_all, of_left = np.diagonal(products), np.diagonal(left)
    return bool(of_all[-1] <= _LOSS * of_left[-1] and of_all[:-2].max() <= _LOSS * of_left[:-2].max())
