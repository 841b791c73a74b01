"""Moments: all that a least-squares fit needs to know of before and after, as sums that add up."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _engine
from .borders import NO_STEPS, Steps, reach, resolve_steps
from .dtypes import as_image, as_real_array, channels_first, exceeds_float64
from .moments_file import load_moments, save_moments
from .position import Frame, monomials, resolve_degree, shifted
from .threads import resolve_threads
from .windows import Slices, Windows

if TYPE_CHECKING:
    from .kernel import Kernel

Clip = Literal["auto"] | tuple[float, float] | None

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


@dataclass(frozen=True, eq=False)
class Moments:
    """The sums of products over all windows of `before` and the pixels of `after` that they lead to.

    With ``z = (windows, background, 1, pixel)`` for each pixel of `after` that counts, `sums` holds
    ``sum weight z z^T``: the Gram matrix of the windows, their products with the target, the plain sums and
    the count. It is kept for each block of the picture (fold) on its own, so that what one block says can be
    held against the rest.

    There is one window, but of a pair whose colours are mixed (one for each channel of `before`), and of a
    kernel that varies (each of them again for every monomial of the position, times that). The background
    are the monomials of the position but for the constant (`corr2d.position`).

    Moments of several pictures, or of the tiles of one, add up with ``+``. For 8-bit pictures all sums are
    exact integers, so that no order of adding changes a bit (up to 2**53, some 10**11 pixels); not so with
    weights, a background or a kernel that varies.

    Attributes
    ----------
    size : (kh, kw)
        Of the window.
    sums : (folds, n, n) array
        Of ``z z^T``, about `center`; of one window n is kh * kw + 2.
    center : tuple of float
        What is subtracted from each channel of `before`, and from `after`, so that a large offset costs no
        digits.
    count : int
        How many pixels of `after` count.
    left_out : dict
        How many do not, by reason.
    notes : tuple of str
        What a reader should know about the data.
    stride, dilation : (rows, columns)
        From one window to the next, and from one tap to the next.
    channels : int
        Of `before`, which are mixed.
    background, varying : int
        Degrees of the polynomials in position that the bias and the kernel are.
    shape : (h, w) or None
        Of `after`, if any of the two is not 0: its rows and columns run from -1 to 1.
    """

    size: tuple[int, int]
    sums: NDArray[np.float64]
    center: tuple[float, ...]
    count: int
    left_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    notes: tuple[str, ...] = ()
    stride: Steps = NO_STEPS
    dilation: Steps = NO_STEPS
    channels: int = 1
    background: int = 0
    varying: int = 0
    shape: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        before: ArrayLike,
        after: ArrayLike,
        *,
        size: int | tuple[int, int] | None = None,
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
        channel_axis: int | None = None,
        mix: bool = False,
        where: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        clip: Clip = "auto",
        background: int = 0,
        varying: int = 0,
    ) -> "Moments":
        """Measure a pair.

        Parameters
        ----------
        before : (..., h, w) array
            The input of the filter. Leading axes and channels are more pairs of the same kernel.
        after : (..., h, w) or (..., h - kh + 1, w - kw + 1) array
            Its output, of the same size (the window is then centred, at (kh // 2, kw // 2)) or without the
            border. The border of a same-sized `after`, which depends on an unknown padding, never counts.
        size : int or (kh, kw)
            Of the window; not needed where the shapes tell.
        stride, dilation : int or (rows, columns)
            As in `corr2d`: `after` has every so many-th result, and the taps are so many pixels apart. A
            strided `after` has ceil(h / stride) rows with its border, and the size must be given.
        channel_axis : int, optional
            The axis of the colours, as in `corr2d`.
        mix : bool
            All channels of `before` make one `after`, which has no channels.
        where : bool array that broadcasts to `after`, optional
            The pixels of `after` that count. (Pixels of `before` are left out by making them NaN.)
        weights : array that broadcasts to `after`, optional
            How much each pixel of `after` counts: one over the variance of its noise, up to a factor. Those
            of weight 0 are left out.
        clip : "auto", (low, high) or None
            Pixels of `after` at or beyond these values were cut off and do not count. "auto": the ends of the
            range of an integer type, nothing for floats.
        background, varying : int
            Degrees, 0 to 3, of the polynomials in position that the bias and the kernel are. The bias has at
            least the degree of the kernel.

        Raises
        ------
        TypeError
            If an array is masked or does not hold real numbers.
        ValueError
            If the shapes do not fit each other or the window, an option has no meaning, or pixels are beyond
            1e100 or all within 1e-100.

        Examples
        --------
        >>> Moments.of([[1., 2., 4.]], [[1., 2.]]).count
        2
        """
        return measure(
            resolve_pair(
                before, after, size=size, stride=stride, dilation=dilation, channel_axis=channel_axis,
                mix=mix, where=where, weights=weights, clip=clip, background=background, varying=varying,
            )
        )  # fmt: skip

    @property
    def total(self) -> NDArray[np.float64]:
        """The sums over all folds."""
        # One fold as it is: of a large window it is much of the memory.
        return self.sums[0] if len(self.sums) == 1 else np.asarray(self.sums.sum(axis=0))

    def offset_of(self, v: int, u: int) -> tuple[float, float]:
        """How far the tap (v, u) is from the window's centre, where rows and columns run from -1 to 1.

        >>> Moments.of(np.eye(8), np.eye(8), size=3, background=1).offset_of(0, 2)
        (-0.25, 0.25)
        """
        if self.shape is None:
            return 0.0, 0.0
        (kh, kw), (h, w) = self.size, self.shape
        rows, columns = self.dilation.rows / self.stride.rows, self.dilation.columns / self.stride.columns
        return (v - kh // 2) * rows * 2 / h, (u - kw // 2) * columns * 2 / w

    def window(self, size: tuple[int, int]) -> "Moments":
        """Give the moments of a smaller window with the same centre, from the same pixels.

        Raises ValueError if it is larger than this one.

        >>> big = Moments.of(np.eye(9), np.eye(9), size=5)
        >>> big.window((3, 1)).size
        (3, 1)
        """
        kh, kw = self.size
        rows, columns = size
        if not (0 < rows <= kh and 0 < columns <= kw):
            raise ValueError(f"`size` must lie inside the window of {self.size}, got {size}.")
        planes = len(monomials(self.varying)) * self.channels
        entries = np.arange(self.sums.shape[-1])
        taps, rest = np.split(entries, [planes * kh * kw])
        top, left = kh // 2 - rows // 2, kw // 2 - columns // 2
        inside = taps.reshape(planes, kh, kw)[:, top : top + rows, left : left + columns]
        keep = np.append(inside, rest)
        sums = np.ascontiguousarray(self.sums[:, keep[:, None], keep])
        # A smaller window allows more folds: those it has stay, the rest are empty.
        sums = np.concatenate([sums, np.zeros((_fold_count(len(keep)) - len(sums), *sums.shape[1:]))])
        return replace(self, size=size, sums=sums)

    def __add__(self, other: object) -> "Moments":
        if not isinstance(other, Moments):
            return NotImplemented
        if self.size != other.size:
            raise ValueError(
                f"Only moments of one window size add up, got {self.size} and {other.size}. "
                f"Take .window(size) of the larger."
            )
        if (self.stride, self.dilation) != (other.stride, other.dilation):
            raise ValueError(
                f"Only moments of one stride and dilation add up, got {tuple(self.stride)}, "
                f"{tuple(self.dilation)} and {tuple(other.stride)}, {tuple(other.dilation)}."
            )
        for name in ("channels", "background", "varying", "shape"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise ValueError(f"Only moments of one `{name}` add up, got {ours} and {theirs}.")
        left_out = {reason: n + other.left_out[reason] for reason, n in self.left_out.items()}
        sums = self.sums + _recentred(other, self.center)
        notes = tuple(dict.fromkeys(self.notes + other.notes))
        return replace(self, sums=sums, count=self.count + other.count, left_out=left_out, notes=notes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, to go on another day; an existing file is replaced in one step.

        Raises OSError if it cannot be written.
        """
        save_moments(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Moments":
        """Read the file that `save` wrote.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no file of moments of this version, or its parts do not fit each other.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Moments.of([[1.0, 2.0, 4.0]], [[1.0, 2.0]]).save(f"{folder}/day1.safetensors")
        ...     day1 = Moments.load(f"{folder}/day1.safetensors")
        >>> (day1 + Moments.of([[3.0, 5.0, 4.0]], [[2.0, 1.0]])).count
        4
        """
        parts = load_moments(path)
        folds = _fold_count(parts["sums"].shape[-1])
        if set(parts["left_out"]) != set(REASONS) or len(parts["sums"]) != folds:
            raise ValueError(
                f"{os.fspath(path)!r} must hold {folds} folds, and count what is left out by "
                f"{', '.join(REASONS)}."
            )
        return cls(**parts)

    def solve(self, **constraints: Any) -> "Kernel":
        """Fit the kernel and bias of least squared error.

        `constraints` are those of `corr2d.learn`: sum, nonnegative, symmetric, support, ridge, smooth,
        rank, family.
        """
        from .solve import solve

        return solve(self, **constraints)


class Model(NamedTuple):
    """What z is made of."""

    windows: Windows
    channels: int
    varying: int
    background: int
    frames: tuple[Frame, Frame]  # of `before` and of `after`
    shape: tuple[int, int]  # of `after`, with its border

    @classmethod
    def plain(cls, windows: Windows, shape: tuple[int, int]) -> "Model":
        """Give that of one window and a bias."""
        return cls(windows, 1, 0, 0, (Frame.over(shape), Frame.over(shape)), shape)

    @property
    def order(self) -> int:
        """How long z is."""
        (kh, kw), planes = self.windows.size, len(monomials(self.varying)) * self.channels
        return planes * kh * kw + len(monomials(self.background)) + 1


class Resolved(NamedTuple):
    """A pair as `Moments.of` takes it, checked: the pixels that windows inside reach and lead to."""

    before: NDArray[Any]  # (channels that are mixed, ..., rows, columns)
    after: NDArray[Any]  # (..., rows, columns)
    model: Model
    where: NDArray[np.bool_] | None = None
    weights: NDArray[np.float64] | None = None
    clip: tuple[float, float] | None = None


def resolve_pair(
    before: ArrayLike,
    after: ArrayLike,
    *,
    size: int | tuple[int, int] | None,
    stride: int | tuple[int, int],
    dilation: int | tuple[int, int],
    channel_axis: int | None,
    mix: bool,
    where: ArrayLike | None,
    weights: ArrayLike | None,
    clip: Clip,
    background: int,
    varying: int = 0,
) -> Resolved:
    """Check what `Moments.of` was given, all but the scale of the pixels."""
    of_after = None if mix else channel_axis
    x = channels_first(as_image(before, "before"), channel_axis, "before")
    y = channels_first(as_image(after, "after"), of_after, "after")
    if not mix:
        x = x[None]
    elif channel_axis is None:
        raise ValueError("`mix` needs `channel_axis`, to know where the colours are.")
    degrees = resolve_degree(varying, "varying"), resolve_degree(background, "background")
    steps, gaps = resolve_steps(stride, "stride"), resolve_steps(dilation, "dilation")
    windows = Windows.resolve(x.shape[1:], y.shape, size, steps, gaps)
    of_x, of_y = windows.inside(x.shape[1:], y.shape)
    counts = factors = None
    if where is not None:
        counts = resolve_where(where, np.shape(after), of_after)[..., *of_y]
    if weights is not None:
        factors = resolve_weights(weights, np.shape(after), of_after)[..., *of_y]
    frames = windows.frames(x.shape[1:], y.shape)
    model = Model(windows, len(x), degrees[0], max(degrees), frames, y.shape[-2:])
    return Resolved(x[..., *of_x], y[..., *of_y], model, counts, factors, resolve_clip(clip, y.dtype))


def resolve_where(where: ArrayLike, after: tuple[int, ...], channel_axis: int | None) -> NDArray[np.bool_]:
    """Give `where` in the shape of `after`, colours in front."""
    counts = as_real_array(where, "where")
    if counts.dtype != np.bool_:
        raise TypeError(f"`where` must be a bool array, True where a pixel counts, got dtype {counts.dtype}.")
    return _as_large_as_after(counts, after, channel_axis, "where")


def resolve_weights(
    weights: ArrayLike, after: tuple[int, ...], channel_axis: int | None
) -> NDArray[np.float64]:
    """Give `weights` in the shape of `after`, colours in front."""
    factors = as_real_array(weights, "weights").astype(np.float64)
    if not (np.isfinite(factors).all() and (factors >= 0).all()):
        raise ValueError("`weights` must be finite and not negative. Leave pixels out by a weight of 0.")
    return _as_large_as_after(factors, after, channel_axis, "weights")


def _as_large_as_after(
    array: NDArray[Any], after: tuple[int, ...], channel_axis: int | None, name: str
) -> NDArray[Any]:
    try:
        array = np.broadcast_to(array, after)
    except ValueError:
        raise ValueError(
            f"`{name}` must broadcast to the shape of `after`, {after}, got {array.shape}."
        ) from None
    return channels_first(array, channel_axis, name)


def resolve_clip(clip: Clip, dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Give the values at and beyond which pixels of that type were cut off, if there are any."""
    if clip is None:
        return None
    rule = "`clip` must be 'auto', (low, high) or None"
    if isinstance(clip, str):
        if clip != "auto":
            raise ValueError(f"{rule}, got {clip!r}.")
        return (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else None
    if not isinstance(clip, tuple | list | np.ndarray) or not all(isinstance(end, Real) for end in clip):
        raise TypeError(f"{rule}, got {clip!r}.")
    if len(clip) != 2 or not clip[0] < clip[1]:
        raise ValueError(f"`clip` must be (low, high) with low < high, got {clip!r}.")
    return clip[0], clip[1]


def _fold_count(order: int) -> int:
    folds = _FOLDS
    while folds > 1 and folds * order * order * 8 > _FOLD_BYTES:
        folds //= 2
    return folds


@np.errstate(over="ignore", invalid="ignore")  # check_scale says it in words
def measure(pair: Resolved) -> Moments:
    """Give the moments of a pair."""
    x, y, model, *_ = pair
    (kh, kw), order = model.windows.size, model.order
    check_bytes(model.windows.size, order)
    center = (*map(center_of, x), center_of(y))
    sums = np.zeros((_fold_count(order), order, order))
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
    by_position = bool(model.background or model.varying)
    return Moments(
        size=(kh, kw),
        sums=sums,
        center=center,
        count=count,
        left_out=left_out,
        notes=notes_of(x, y),
        stride=model.windows.stride,
        dilation=model.windows.dilation,
        channels=model.channels,
        background=model.background,
        varying=model.varying,
        shape=model.shape if by_position else None,
    )


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


def _blocks(shape: tuple[int, ...], where: NDArray[np.bool_] | None, folds: int) -> list[Slices]:
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
        blocks = _blocks(self.after.shape, self.where, len(sums))
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
            _engine.fill_moments(
                self.before, self.after, corners, *self.model.windows, self.center, degrees,
                self.model.frames, products, counts, among, self.weights, threads,
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


def _recentred(moments: Moments, new: tuple[float, ...]) -> NDArray[np.float64]:
    old, sums = moments.center, moments.sums
    if old == new:
        return sums
    # (x - new) = (x - old) + (old - new) * 1, and the 1 is an entry of z. Where the kernel varies, each
    # monomial at the tap's place stands for that 1: a polynomial of the position of `after`.
    kh, kw = moments.size
    move = np.eye(sums.shape[-1])
    rest = -1 - len(monomials(moments.background))
    planes = move[:rest].reshape(-1, moments.channels, kh, kw, len(move))
    steps = np.array(old) - np.array(new)
    for v, u in np.ndindex(kh, kw):
        of_tap = shifted(moments.varying, *moments.offset_of(v, u))
        for channel, step in enumerate(steps[:-1]):
            entries = planes[:, channel, v, u]
            entries[:, -2] += step * of_tap[:, 0]
            entries[:, rest : rest + len(of_tap) - 1] += step * of_tap[:, 1:]
    move[-1, -2] = steps[-1]
    return np.asarray(move @ sums @ move.T)


def notes_of(x: NDArray[Any], y: NDArray[Any]) -> tuple[str, ...]:
    """Say what a reader should know about the types of a pair."""
    names = [name for name, image in (("before", x), ("after", y)) if exceeds_float64(image)]
    return tuple(f"`{name}` has integers beyond 2**53, which were rounded to float64." for name in names)
