"""What a kernel leaves unexplained, looked at in tiles spread over a pair: as many, however large it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..borders import NO_STEPS, Pads, reach
from ..correlate import correlate
from ..dtypes import exceeds_float64
from ..kernel import Kernel
from ..moments import Moments
from ..pair import Resolved, resolve_clip
from ..windows import Windows

TILES = 64
_SIDE, _LEAST_SIDE = 32, 8  # pixels: 64 tiles of 32 x 32 are 65,536
MARGIN = 4  # pixels beyond: neighbourhoods of up to 9 x 9 are looked at, and windows larger by 8

_Array = NDArray[np.float64]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """Tiles of a pair. They are copies, so that the pictures need not be kept.

    Attributes
    ----------
    windows : Windows
        How the windows of the pair stand.
    shift : (int, int)
        How much further up and left than centred they do.
    before : (tiles, rows, columns) array
        All that the windows reach, and a margin beyond.
    above, below : (rows, columns)
        How far that is, from the first pixel that the tile's are made at and from the last.
    after : (tiles, th, tw) array
        In float64.
    counts, low, high : (tiles, th, tw) bool arrays
        Which pixels of `after` count, and which were cut off at the lower or the upper end.
    inner : (tiles, th, tw) bool array
        Where the margin is a part of the picture; beyond its border the last pixels are repeated.
    places : (tiles, 2) array
        Where the middle of each tile lies in its picture, rows and columns from -1 to 1.
    ends : (low, high) or None
        The values at and beyond which `after` was cut off. Of integers they are known, whatever `clip` says.
    ends_count : bool
        Whether pixels there count in the fit all the same, by ``clip=None``.
    """

    windows: Windows
    shift: tuple[int, int]
    before: NDArray[Any]
    above: tuple[int, int]
    below: tuple[int, int]
    after: _Array
    counts: _Mask
    low: _Mask
    high: _Mask
    inner: _Mask
    places: _Array
    ends: tuple[float, float] | None
    ends_count: bool
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, pair: Resolved) -> "Sample | None":
        """Take tiles of a pair; None of one whose colours are mixed, that is weighted or has a background."""
        model = pair.model
        if model.channels > 1 or model.background or pair.weights is not None or pair.after.size == 0:
            return None
        planes = list(np.ndindex(pair.after.shape[:-2]))
        planes = [planes[i * len(planes) // n] for n in [min(len(planes), TILES)] for i in range(n)]
        quota = TILES // len(planes)
        return joined([_of_plane(pair, plane, quota) for plane in planes])

    def _axes(self) -> list[tuple[int, int]]:
        return list(zip(self.windows.size, self.windows.dilation, strict=True))

    def windowed(self) -> NDArray[Any]:
        """Give what the windows reach of `before`, for `correlate` without padding."""
        far, stride = reach(self.windows.size, self.windows.dilation), self.windows.stride
        first = [
            start - (k // 2 + moved) * gap
            for start, moved, (k, gap) in zip(self.above, self.shift, self._axes(), strict=True)
        ]
        spans = [
            slice(start, start + (n - 1) * step + whole)
            for start, n, step, whole in zip(first, self.after.shape[1:], stride, far, strict=True)
        ]
        return self.before[:, spans[0], spans[1]]

    def predicted(self, kernel: Kernel) -> _Array:
        """Give what the kernel makes of the tiles, (tiles, th, tw)."""
        _, stride, dilation = self.windows
        pixels = self.windowed()
        if exceeds_float64(pixels):
            pixels = pixels.astype(np.float64)  # its warning has been given
        predicted = correlate(
            pixels[None], kernel.weights, Pads(0, 0, 0, 0), bias=float(kernel.bias), stride=stride,
            dilation=dilation, dtype=np.float64,
        )  # fmt: skip
        return np.asarray(predicted[0])  # four axes are no colours, however narrow the tiles are


def refitted(sample: Sample, counts: _Mask, grow: int) -> tuple[Sample, Kernel]:
    """Fit a kernel of larger windows, by `grow` taps on each side, to those tiles and pixels alone."""
    kh, kw = sample.windows.size
    windows = sample.windows._replace(size=(kh + 2 * grow, kw + 2 * grow))
    sample = replace(sample, windows=windows, counts=counts)
    return sample, moments_of(sample, sample.after, counts).solve(errors="white", named=False)


def moments_of(sample: Sample, targets: _Array, counts: _Mask, weights: _Array | None = None) -> Moments:
    """Measure the tiles, with `targets` in place of `after`."""
    size, stride, dilation = sample.windows
    # So that no tile is taken for one with its border: rows that no window reaches.
    beyond = ((0, 0), (0, stride.rows - 1), (0, stride.columns - 1))
    told = stride == NO_STEPS and size != (1, 1)  # by the shapes
    moments = Moments.of(
        np.pad(sample.windowed(), beyond)[None], np.where(counts, targets, 0)[None],
        size=None if told else size, stride=stride, dilation=dilation, where=counts,
        weights=weights, clip=None,
    )  # fmt: skip
    return replace(moments, shift=sample.shift)


def joined(samples: Sequence[Sample]) -> Sample:
    """Make one sample of those of several pictures, all tiles cut to the smallest, at most 64 of them."""
    if len(samples) == 1 and len(samples[0].after) <= TILES:
        return samples[0]
    th, tw = np.min([s.after.shape[1:] for s in samples], axis=0)
    first = samples[0]
    (top, left), (bottom, right) = first.above, first.below
    rows, columns = (th - 1) * first.windows.stride.rows, (tw - 1) * first.windows.stride.columns
    tiles = np.cumsum([0, *(len(s.after) for s in samples)])
    n = min(int(tiles[-1]), TILES)
    kept = np.arange(n) * int(tiles[-1]) // n
    each = [kept[(kept >= a) & (kept < b)] - a for a, b in pairwise(tiles)]

    def together(name: str) -> Any:
        return np.concatenate([getattr(s, name)[i][:, :th, :tw] for s, i in zip(samples, each, strict=True)])

    before = [
        s.before[i][:, : top + rows + bottom + 1, : left + columns + right + 1]
        for s, i in zip(samples, each, strict=True)
    ]
    return replace(
        first,
        before=np.concatenate(before),
        **{name: together(name) for name in ("after", "counts", "low", "high", "inner")},
        places=np.concatenate([s.places[i] for s, i in zip(samples, each, strict=True)]),
    )


def _of_plane(pair: Resolved, plane: tuple[int, ...], quota: int) -> Sample:
    before, after, windows = pair.before[0][plane], pair.after[plane], pair.model.windows
    h, w = after.shape
    down = min(max(round((quota * h / w) ** 0.5), 1), quota)
    tops, th = _spread(h, down)
    lefts, tw = _spread(w, quota // down)
    top, left = (each.ravel() for each in np.meshgrid(tops, lefts, indexing="ij"))
    tile = after[_pixels(top, th, h)[:, :, None], _pixels(left, tw, w)[:, None]]
    counts = np.isfinite(tile)
    if pair.where is not None:
        counts &= pair.where[plane][_pixels(top, th, h)[:, :, None], _pixels(left, tw, w)[:, None]]
    low = high = np.zeros(tile.shape, np.bool_)
    ends = pair.clip or resolve_clip("auto", after.dtype)
    if ends is not None:
        low, high = counts & (tile <= ends[0]), counts & (tile >= ends[1])
    frame = pair.model.frames[1]
    spans, inner, above, below = [], [], [], []
    for axis, (first, n) in enumerate(((top, th), (left, tw))):
        k, gap, step = windows.size[axis], windows.dilation[axis], windows.stride[axis]
        ahead = (k // 2 + pair.model.shift[axis]) * gap  # of the pixel, windows reach so far
        above.append(max(ahead, 0) + MARGIN)
        below.append(max((k - 1) * gap - ahead, 0) + MARGIN)
        length = above[axis] + (n - 1) * step + 1 + below[axis]
        spans.append(_pixels(first * step + ahead - above[axis], length, before.shape[axis]))
        starts = (first[:, None] + np.arange(n)) * step
        last = before.shape[axis] - 1 - (k - 1) * gap
        inner.append((starts >= MARGIN) & (starts + MARGIN <= last))
    y = (top + (th - 1) / 2 - frame.middle_row) * frame.per_row
    x = (left + (tw - 1) / 2 - frame.middle_column) * frame.per_column
    return Sample(
        windows=windows,
        shift=pair.model.shift,
        before=before[spans[0][:, :, None], spans[1][:, None]],
        above=(above[0], above[1]),
        below=(below[0], below[1]),
        after=tile.astype(np.float64),
        counts=counts & ~low & ~high,
        low=low,
        high=high,
        inner=inner[0][:, :, None] & inner[1][:, None],
        places=np.stack([y, x], axis=1),
        ends=ends,
        ends_count=pair.clip is None and ends is not None,
        dtype=after.dtype,
    )


def _spread(n: int, parts: int) -> tuple[NDArray[np.intp], int]:
    """Give where at most so many tiles begin that do not overlap, and how long they are."""
    side = min(n, max(_LEAST_SIDE, min(_SIDE, n // parts)))
    parts = min(parts, n // side)
    return np.arange(parts) * (n - side) // max(parts - 1, 1), side


def _pixels(start: NDArray[np.intp], count: int, n: int) -> NDArray[np.intp]:
    """Give the rows, or columns, of each tile; beyond the picture, its last."""
    return np.asarray(np.clip(start[:, None] + np.arange(count), 0, n - 1))
