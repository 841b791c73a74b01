"""Which arrays are pictures, what type a result has, and what type its sums are made in."""

from functools import cache
from math import inf, isfinite
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_SMALL = tuple(map(np.dtype, "?bBhHef"))
_WRITABLE = tuple(np.dtype(t) for t in ("f4", "f8", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"))


def as_real_array(value: ArrayLike, name: str) -> NDArray[np.generic]:
    """Give `value` as an array of real numbers without copying it, or say why it is none."""
    if type(value) is not np.ndarray:
        mask = getattr(value, "mask", None)
        if isinstance(value, np.ma.MaskedArray) or isinstance(mask, np.ndarray):
            raise TypeError(
                f"`{name}` is a {type(value).__name__}, whose mask would be ignored. "
                f"Give a plain array: fill the masked pixels first, for instance with NaN."
            )
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(
                f"`{name}` must be a rectangular array of numbers: {str(error).rstrip('.')}."
            ) from error
    if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        raise TypeError(
            f"`{name}` must hold real numbers of at most 64 bits, got dtype {value.dtype}."
            f"{_way_out(value.dtype)}"
        )
    return value


def _way_out(dtype: np.dtype[np.generic]) -> str:
    if dtype.kind == "c":
        return " Filter .real and .imag one by one."
    if dtype.kind == "f":
        return " Convert it with .astype(np.float64)."
    return ""


def as_image(value: ArrayLike, name: str = "image") -> NDArray[np.generic]:
    """Give `value` as an array whose last two axes are rows and columns."""
    image = as_real_array(value, name)
    if image.ndim < 2:
        raise ValueError(f"`{name}` must have at least two axes (rows, columns), got shape {image.shape}.")
    return image


def channels_first(image: NDArray[Any], channel_axis: int | None, name: str) -> NDArray[Any]:
    """Give a view with the colours in front, where they are a batch like any other."""
    if channel_axis is None:
        if image.ndim == 3 and image.shape[2] in (3, 4) and min(image.shape[:2]) > 4:
            raise ValueError(
                f"`{name}` has shape {image.shape}, which looks like rows x columns x colours. "
                f"Pass channel_axis=-1 for a colour picture, or {name}[None] if these are {image.shape[0]} "
                f"pictures of {image.shape[2]} columns."
            )
        return image
    if not isinstance(channel_axis, Integral):
        raise TypeError(f"`channel_axis` must be an integer, got {channel_axis!r}.")
    if image.ndim < 3 or not -image.ndim <= channel_axis < image.ndim:
        raise ValueError(
            f"`channel_axis` must be one of at least three axes, got {channel_axis} for shape {image.shape}."
        )
    return np.moveaxis(image, channel_axis, 0)


def mixing_channels(
    image: NDArray[Any], channel_axis: int | None, channels: int, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Give a view with the colours before rows and columns, for a kernel of `shape` that takes so many."""
    axis = -3 if channel_axis is None else channel_axis
    if not isinstance(axis, Integral):
        raise TypeError(f"`channel_axis` must be an integer, got {channel_axis!r}.")
    if image.ndim < 3 or not -image.ndim <= axis < image.ndim:
        raise ValueError(
            f"`image` must have an axis {axis} of channels beside rows and columns, got shape {image.shape}."
        )
    if image.shape[axis] != channels:
        hint = " Pass channel_axis=-1." if channel_axis is None and image.shape[-1] == channels else ""
        raise ValueError(
            f"`image` must have the {channels} channels that `kernel` (c_out, c_in, kh, kw) = {shape} takes, "
            f"got {image.shape[axis]} on axis {axis} of shape {image.shape}.{hint}"
        )
    return image if axis == -3 else np.moveaxis(image, axis, -3)


def planes_and_batch(
    image: NDArray[Any], weights: NDArray[Any], channel_axis: int | None
) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Give the view that `weights` slide over, rows and columns last, and the leading axes of the result."""
    if weights.ndim == 4:
        planes = mixing_channels(image, channel_axis, weights.shape[1], weights.shape)
        return planes, (*planes.shape[:-3], weights.shape[0])
    planes = channels_first(image, channel_axis, "image")
    return planes, planes.shape[:-2]


def as_weights(value: ArrayLike, name: str = "kernel", *, mixing: bool = False) -> NDArray[np.float64]:
    """Give `value` as a contiguous, aligned array of finite float64: (kh, kw), or if `mixing` 4-D as well."""
    found = as_real_array(value, name)
    if (found.ndim != 2 and not (mixing and found.ndim == 4)) or found.size == 0:
        hint = " Write a row as kernel[None, :], a column as kernel[:, None]." if found.ndim == 1 else ""
        more = " or four (c_out, c_in, kh, kw), none" if mixing else ", neither"
        raise ValueError(f"`{name}` must have two axes (kh, kw){more} empty, got shape {found.shape}.{hint}")
    weights = np.ascontiguousarray(found, np.float64)
    if not weights.flags.aligned:
        weights = weights.copy()
    # The sum of squares is quick, and finite unless a weight is not, or many are huge. But that of more than
    # 10,000 OpenBLAS makes in threads, which then spin on the processors that the engine wants.
    surely = weights.size <= _FEW and isfinite(np.vdot(weights, weights))
    if not surely and not np.isfinite(weights).all():
        infinite = np.count_nonzero(~np.isfinite(weights))
        raise ValueError(f"`{name}` must be finite, got {infinite} NaN or infinite weights.")
    return weights


def exceeds_float64(image: NDArray[Any]) -> bool:
    """Say whether `image` holds integers that float64 rounds."""
    if image.dtype.kind not in "iu" or image.dtype.itemsize < 8 or image.size == 0:
        return False
    return max(int(image.max()), -int(image.min())) > 2**53


@cache
def is_small(dtype: np.dtype[np.generic]) -> bool:
    """Say whether float32 holds each value of a type exactly."""
    return dtype.newbyteorder("=") in _SMALL


def result_dtype(
    image: np.dtype[np.generic], asked: DTypeLike | None, name: str = "dtype"
) -> np.dtype[np.generic]:
    """Give the type of the result: `asked`, or float32 for small types and float64 for others."""
    if asked is None:
        return SINGLE if is_small(image) else DOUBLE
    try:
        dtype = np.dtype(asked)
    except TypeError as error:
        raise TypeError(f"{_rule(name)}, got {asked!r}.") from error
    if dtype not in _WRITABLE:
        raise ValueError(f"{_rule(name)}, got {dtype!r}.")
    return dtype


def _rule(name: str) -> str:
    return f"`{name}` must be one of {', '.join(t.name for t in _WRITABLE)}, in the machine's byte order"


class Sums(NamedTuple):
    """What the sums are made in, and how near to a tie an integer result must be to be summed again."""

    dtype: np.dtype[Any]
    near_tie: float = 0.0


_IN_DOUBLE = Sums(DOUBLE)
LONGEST_SUM = 128  # taps that one float32 sum adds up: engine/direct.hpp
_FEW = 4096


def float_sums(
    image: np.dtype[np.generic], result: np.dtype[np.generic], weights: NDArray[np.float64], cval: float
) -> Sums:
    """Give what the sums of a float result are made in: float32 where it answers as well as float64.

    A float32 result is held to 1e-6, which float32 sums keep unless a weight or `cval` is near the end of
    their range.
    """
    if result == DOUBLE or not is_small(image):
        return _IN_DOUBLE
    cval_in_range = cval == 0 or 1e-18 < abs(cval) < 1e18 or not isfinite(cval)
    return Sums(SINGLE) if cval_in_range and _are_in_range(weights) else _IN_DOUBLE


def _are_in_range(weights: NDArray[np.float64]) -> bool:
    if weights.size <= 100:  # three times as fast as NumPy, and much of the time that a small picture takes
        return all(w == 0 or 1e-18 < abs(w) < 1e18 for w in weights.ravel().tolist())
    magnitudes = np.abs(weights)
    return bool(((magnitudes < 1e18) & ((magnitudes > 1e-18) | (magnitudes == 0))).all())


def largest_result(image: np.dtype[np.generic], magnitude: float, cval: float, bias: float) -> float:
    """Bound integer results of a kernel whose magnitudes sum to `magnitude`: infinity where nothing does."""
    if not is_small(image) or image.kind == "f" or not isfinite(cval):
        return inf
    largest = 1 if image.kind == "b" else 2 ** (8 * image.itemsize)
    return magnitude * max(largest, abs(cval)) + abs(bias)


def integer_sums(largest: float, weights: NDArray[np.float64], cval: float, bias: float) -> Sums:
    """Give what the sums of an integer result are made in, so that each is rounded as the exact sum is.

    float32 where every partial sum is a whole number of some 2**-n, and small enough to be exact; or where so
    few results lie near a tie that those can be summed again.
    """
    if largest >= 2**24:
        return _IN_DOUBLE
    parts = fineness(np.append(weights, bias))
    if parts is not None and float(cval) % 1 == 0 and largest * parts < 2**24:
        return Sums(SINGLE)
    taps = weights[0].size if weights.ndim == 4 else weights.size
    is_one_sum = weights.ndim == 2 and taps <= LONGEST_SUM
    longest = rounded_sums(weights, bias) if is_one_sum else LONGEST_SUM
    return summed_again(largest, longest, weights.shape[-2], taps, 0.02 * taps)


def rounded_sums(weights: NDArray[np.float64], bias: float = 0.0) -> float:
    """Add up how large a sum may be after each step, in units of what it may be in the end.

    Each step rounds what the sum is by then: float32 is off by so many times 2**-24. With a bias, which the
    sum begins with, that is as large as the number of steps.
    """
    magnitudes = np.abs(weights).ravel()
    if bias != 0:
        return len(magnitudes)
    total = float(magnitudes.sum())
    return float(magnitudes @ np.arange(len(magnitudes), 0, -1)) / total if total > 0 else 0.0


def fineness(numbers: NDArray[np.float64]) -> int | None:
    """Find the least 2**n, up to 2**15, that makes whole numbers of all, if any does."""
    if np.any(numbers * 2**15 % 1):
        return None
    return next(1 << n for n in range(16) if not np.any(numbers * (1 << n) % 1))


def summed_again(largest: float, longest: float, kh: int, taps: int, saved: float) -> Sums:
    """Give float32 with a second look at near ties, if that `saved` more than it takes.

    `longest` sums are rounded to float32, each at most as large as the largest; `saved` is in nanoseconds
    a pixel.
    """
    near_tie = (longest + 4) * 2.0**-24 * largest + 2e-7  # the rounded weights are 2 of the 4
    taken = 2 * near_tie * (100 + 10 * kh + taps)
    return Sums(SINGLE, near_tie) if taken < 0.3 + saved else _IN_DOUBLE
