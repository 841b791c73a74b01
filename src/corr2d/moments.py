"""Moments: all that a least-squares fit needs to know of before and after, as sums that add up."""

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .borders import NO_STEPS, Steps
from .dtypes import exceeds_float64
from .moments_file import load_moments, save_moments
from .pair import Clip, Resolved, resolve_pair
from .position import monomials, shifted
from .summing import REASONS, fold_count, sum_up

if TYPE_CHECKING:
    from .kernel import Kernel


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
    shift : (int, int)
        How many rows and columns of taps further up and left than centred the window stands, as if `after`
        lay so much further down and to the right. The kernel's `origin` is (kh // 2, kw // 2) and this.
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
    shift: tuple[int, int] = (0, 0)

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
        down, along = v - kh // 2 - self.shift[0], u - kw // 2 - self.shift[1]
        return down * rows * 2 / h, along * columns * 2 / w

    def window(self, size: tuple[int, int], shift: tuple[int, int] | None = None) -> "Moments":
        """Give the moments of a smaller window from the same pixels: with the same centre, or that `shift`.

        Raises ValueError if it does not lie inside this one.

        >>> big = Moments.of(np.eye(9), np.eye(9), size=5)
        >>> big.window((3, 1)).size
        (3, 1)
        >>> big.window((2, 4), shift=(-1, 0)).shift
        (-1, 0)
        """
        kh, kw = self.size
        rows, columns = size
        if not (0 < rows <= kh and 0 < columns <= kw):
            raise ValueError(f"`size` must lie inside the window of {self.size}, got {size}.")
        down, along = shift = self.shift if shift is None else shift
        top, left = kh // 2 + self.shift[0] - rows // 2 - down, kw // 2 + self.shift[1] - columns // 2 - along
        if not (0 <= top <= kh - rows and 0 <= left <= kw - columns):
            raise ValueError(
                f"`shift` must leave the {rows} x {columns} window inside that of {self.size} at shift "
                f"{self.shift}, got {shift}."
            )
        if (size, shift) == (self.size, self.shift):
            return self
        planes = len(monomials(self.varying)) * self.channels
        entries = np.arange(self.sums.shape[-1])
        taps, rest = np.split(entries, [planes * kh * kw])
        inside = taps.reshape(planes, kh, kw)[:, top : top + rows, left : left + columns]
        keep = np.append(inside, rest)
        sums = np.ascontiguousarray(self.sums[:, keep[:, None], keep])
        # A smaller window allows more folds: those it has stay, the rest are empty.
        sums = np.concatenate([sums, np.zeros((fold_count(len(keep)) - len(sums), *sums.shape[1:]))])
        return replace(self, size=size, sums=sums, shift=shift)

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
        for name in ("channels", "background", "varying", "shape", "shift"):
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
        folds = fold_count(parts["sums"].shape[-1])
        if set(parts["left_out"]) != set(REASONS) or len(parts["sums"]) != folds:
            raise ValueError(
                f"{os.fspath(path)!r} must hold {folds} folds, and count what is left out by "
                f"{', '.join(REASONS)}."
            )
        return cls(**parts)

    def solve(self, **constraints: Any) -> "Kernel":
        """Fit the kernel and bias of least squared error.

        `constraints` are those of `corr2d.learn`: sum, nonnegative, symmetric, support, fixed, ridge, smooth,
        rank, family. With ``errors="white"`` error bars take the noise to be white, untested.
        """
        from .solve import solve

        return solve(self, **constraints)


def measure(pair: Resolved) -> Moments:
    """Give the moments of a pair."""
    model = pair.model
    return Moments(
        size=model.windows.size,
        **vars(sum_up(pair)),
        notes=notes_of(pair.before, pair.after),
        stride=model.windows.stride,
        dilation=model.windows.dilation,
        channels=model.channels,
        background=model.background,
        varying=model.varying,
        shape=model.shape if model.background or model.varying else None,
        shift=model.shift,
    )


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
