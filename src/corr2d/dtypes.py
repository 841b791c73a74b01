"""Which arrays are pictures, what type a result has, and what type its sums are made in."""

from math import isfinite
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

_SMALL = tuple(map(np.dtype, "?bBhHef"))  # float32 holds each of their values exactly
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


def as_weights(value: ArrayLike, name: str = "kernel") -> NDArray[np.float64]:
    """Give `value` as a contiguous, aligned (kh, kw) array of finite float64."""
    found = as_real_array(value, name)
    if found.ndim != 2 or found.size == 0:
        hint = " Write a row as kernel[None, :], a column as kernel[:, None]." if found.ndim == 1 else ""
        raise ValueError(
            f"`{name}` must have two axes (kh, kw), neither empty, got shape {found.shape}.{hint}"
        )
    weights = np.ascontiguousarray(found, np.float64)
    if not weights.flags.aligned:
        weights = weights.copy()
    if not np.isfinite(weights).all():
        infinite = np.count_nonzero(~np.isfinite(weights))
        raise ValueError(f"`{name}` must be finite, got {infinite} NaN or infinite weights.")
    return weights


def exceeds_float64(image: NDArray[Any]) -> bool:
    """Say whether `image` holds integers that float64 rounds."""
    if image.dtype.kind not in "iu" or image.dtype.itemsize < 8 or image.size == 0:
        return False
    return max(int(image.max()), -int(image.min())) > 2**53


def result_dtype(
    image: np.dtype[np.generic], asked: DTypeLike | None, name: str = "dtype"
) -> np.dtype[np.generic]:
    """Give the type of the result: `asked`, or float32 for small types and float64 for others."""
    if asked is None:
        return np.dtype(np.float32 if image.newbyteorder("=") in _SMALL else np.float64)
    rule = f"`{name}` must be one of {', '.join(t.name for t in _WRITABLE)}, in the machine's byte order"
    try:
        dtype = np.dtype(asked)
    except TypeError as error:
        raise TypeError(f"{rule}, got {asked!r}.") from error
    if dtype not in _WRITABLE:
        raise ValueError(f"{rule}, got {dtype!r}.")
    return dtype


def sum_dtype(
    image: np.dtype[np.generic],
    result: np.dtype[np.generic],
    weights: NDArray[np.float64],
    cval: float,
    bias: float,
) -> np.dtype[np.generic]:
    """Give the type to make the sums in: float32 where it answers as well as float64.

    A float32 result is held to 1e-6, which float32 sums keep unless a weight or `cval` is near the end of
    their range.
    An integer result is exact, which they keep only while every partial sum is an integer below 2**24.
    """
    single, double = np.dtype(np.float32), np.dtype(np.float64)
    if image.newbyteorder("=") not in _SMALL or result == double:
        return double
    magnitudes = np.abs(weights)
    if result == single:
        in_range = (magnitudes < 1e18) & ((magnitudes > 1e-18) | (magnitudes == 0))
        cval_in_range = cval == 0 or 1e-18 < abs(cval) < 1e18 or not isfinite(cval)
        return single if in_range.all() and cval_in_range else double
    if image.kind == "f" or float(bias) % 1 or float(cval) % 1 or (weights % 1).any():
        return double
    largest = 1 if image.kind == "b" else 2 ** (8 * image.itemsize)
    return single if magnitudes.sum() * max(largest, abs(cval)) + abs(bias) < 2**24 else double
