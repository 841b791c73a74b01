"""The shapes that kernels are known by: gaussian, box, disk, motion, as functions of a few parameters.

Lengths are in pixels, angles in degrees. Every shape stands on a window of (kh, kw) taps, its centre
`center_y` rows below and `center_x` columns right of the tap (kh // 2, kw // 2), and its taps sum to one.

The gaussian is taken at the middle of each tap, as `scipy.ndimage.gaussian_filter` and OpenCV take it: it is
smooth as it stands, and integrated over a tap it would be wider than the number by which everyone calls it.
Shapes with an edge are anti-aliased: a tap has the share of its area that the shape covers, exactly, so that
it follows the parameters without a jump.
"""

from math import cos, isfinite, radians, sin
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Taps = NDArray[np.float64]

# What each figure is counted in, where it has a unit.
UNITS = {
    "sigma": "px",
    "down": "px",
    "right": "px",
    "sigma_long": "px",
    "sigma_short": "px",
    "height": "px",
    "width": "px",
    "radius": "px",
    "length": "px",
    "angle": "°",
    "center_y": "px",
    "center_x": "px",
}

# Parameters that any shape may have, as `learn` gives them; the gain of a family is what the taps sum to.
COMMON = ("gain", "center_y", "center_x", "down", "right")


def gaussian(
    size: tuple[int, int],
    sigma_long: float,
    sigma_short: float,
    angle: float = 0.0,
    center_y: float = 0.0,
    center_x: float = 0.0,
) -> Taps:
    """Give ``exp(-(a / sigma_long)^2 / 2 - (b / sigma_short)^2 / 2)`` at the middle of each tap.

    a and b are the distances from the centre along the long axis and across it. The blur of many causes
    together (Banham & Katsaggelos 1997).

    Parameters
    ----------
    size : (kh, kw)
        Of the window.
    sigma_long, sigma_short : float
        Standard deviations along the axis and across it, in pixels.
    angle : float
        Of the long axis, in degrees: 0 is horizontal, counted anti-clockwise as the picture is seen.
    center_y, center_x : float
        Of the centre, in pixels from the tap (kh // 2, kw // 2).

    Returns
    -------
    (kh, kw) array
        That sums to one.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a finite number, or a length not positive.

    Examples
    --------
    >>> gaussian((1, 3), 1.0, 1.0).round(3)
    array([[0.274, 0.452, 0.274]])
    """
    _check(size, (center_y, center_x), angle, sigma_long=sigma_long, sigma_short=sigma_short)
    return _gaussian(size, sigma_long, sigma_short, angle, center_y, center_x)


def box(
    size: tuple[int, int], height: float, width: float, center_y: float = 0.0, center_x: float = 0.0
) -> Taps:
    """Give the share of each tap that an upright rectangle covers: the mean of height x width pixels.

    Parameters
    ----------
    size : (kh, kw)
        Of the window.
    height, width : float
        In pixels, whole or not.
    center_y, center_x : float
        Of the centre, in pixels from the tap (kh // 2, kw // 2).

    Returns
    -------
    (kh, kw) array
        That sums to one.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a finite number, a length not positive, or the shape all outside the window.

    Examples
    --------
    >>> box((1, 5), 1, 4)
    array([[0.125, 0.25 , 0.25 , 0.25 , 0.125]])
    """
    _check(size, (center_y, center_x), 0.0, height=height, width=width)
    return _box(size, height, width, center_y, center_x)


def disk(size: tuple[int, int], radius: float, center_y: float = 0.0, center_x: float = 0.0) -> Taps:
    """Give the share of each tap that a disk covers: a point out of focus (Banham & Katsaggelos 1997).

    Parameters
    ----------
    size : (kh, kw)
        Of the window.
    radius : float
        In pixels.
    center_y, center_x : float
        Of the centre, in pixels from the tap (kh // 2, kw // 2).

    Returns
    -------
    (kh, kw) array
        That sums to one.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a finite number, a length not positive, or the shape all outside the window.

    Examples
    --------
    >>> disk((3, 3), 0.75).round(3)
    array([[0.001, 0.108, 0.001],
           [0.108, 0.566, 0.108],
           [0.001, 0.108, 0.001]])
    """
    _check(size, (center_y, center_x), 0.0, radius=radius)
    return _disk(size, radius, center_y, center_x)


def motion(
    size: tuple[int, int], length: float, angle: float = 0.0, center_y: float = 0.0, center_x: float = 0.0
) -> Taps:
    """Give the share of each tap that a straight track covers, one pixel wide and `length` pixels long.

    A point that moved at constant speed while the picture was taken (Banham & Katsaggelos 1997). A
    horizontal track of n pixels is the mean of n taps.

    Parameters
    ----------
    size : (kh, kw)
        Of the window.
    length : float
        From end to end, in pixels.
    angle : float
        In degrees: 0 is horizontal, counted anti-clockwise as the picture is seen.
    center_y, center_x : float
        Of the centre, in pixels from the tap (kh // 2, kw // 2).

    Returns
    -------
    (kh, kw) array
        That sums to one.

    Raises
    ------
    TypeError, ValueError
        If a parameter is not a finite number, a length not positive, or the shape all outside the window.

    Examples
    --------
    >>> motion((3, 3), 3, angle=45).round(3)
    array([[0.   , 0.083, 0.181],
           [0.083, 0.305, 0.083],
           [0.181, 0.083, 0.   ]])
    """
    _check(size, (center_y, center_x), angle, length=length)
    return _motion(size, length, angle, center_y, center_x)


def _gaussian(
    size: tuple[int, int], sigma_long: float, sigma_short: float, angle: float, cy: float, cx: float
) -> Taps:
    y, x = np.arange(size[0])[:, None] - size[0] // 2 - cy, np.arange(size[1]) - size[1] // 2 - cx
    c, s = cos(radians(angle)), sin(radians(angle))
    exponent = -(((x * c - y * s) / sigma_long) ** 2 + ((x * s + y * c) / sigma_short) ** 2) / 2
    # Beside the largest: all of a narrow one between the taps would underflow to zero.
    return _summing_to_one(np.exp(exponent - exponent.max()))


def _box(size: tuple[int, int], height: float, width: float, cy: float, cx: float) -> Taps:
    y, x = _edges(size, cy, cx)
    rows = np.diff(np.clip(y, -height / 2, height / 2))
    return _summing_to_one(np.outer(rows, np.diff(np.clip(x, -width / 2, width / 2))))


def _disk(size: tuple[int, int], radius: float, cy: float, cx: float) -> Taps:
    y, x = _edges(size, cy, cx)
    y = np.clip(y / radius, -1, 1)[:, None]
    x = np.clip(x / radius, -1, 1)

    def cap(height: Any) -> Any:
        """Give the area of the unit disk above `height` and left of x."""
        half = np.sqrt(1 - height**2)
        right = np.clip(x, -half, half)
        return _under_arc(right) - _under_arc(-half) - height * (right + half)

    # Of the disk above y and left of x: a cap, or all but a cap.
    caps = cap(np.abs(y))
    return _covered(np.where(y < 0, caps, 2 * cap(np.zeros((1, 1))) - caps))


def _under_arc(x: Any) -> Any:
    return (x * np.sqrt(1 - x**2) + np.arcsin(x)) / 2


def _motion(size: tuple[int, int], length: float, angle: float, cy: float, cx: float) -> Taps:
    c, s = cos(radians(angle)), sin(radians(angle))
    along, across = np.array([-s, c]) * (length / 2), np.array([c, s]) / 2  # (y, x)
    return _covered(
        _polygon_above(
            np.array([along + across, along - across, -along - across, across - along]),
            *_edges(size, cy, cx),
        )
    )


def _polygon_above(corners: Taps, y: Taps, x: Taps) -> Taps:
    """Give the area of a convex polygon above each y and left of each x.

    Side by side: left of x, the mean of ``max(y - side, 0)`` times the width that the side spans, counted
    plus for sides that run one way and minus for the others (Green).
    """
    others = np.roll(corners, -1, axis=0)
    swap = (others[:, 1] < corners[:, 1])[:, None]
    start, stop = np.where(swap, others, corners), np.where(swap, corners, others)
    sign = np.where(swap[:, 0], -1.0, 1.0)
    span = stop - start
    slope = np.divide(span[:, 0], span[:, 1], out=np.zeros(len(span)), where=span[:, 1] > 0)
    width = np.clip(x, start[:, 1:], stop[:, 1:]) - start[:, 1:]  # (side, x)
    at_start = y[:, None, None] - start[:, 0, None]  # (y, side, 1)
    at_end = at_start - slope[:, None] * width
    high, low = np.maximum(at_start, at_end), np.minimum(at_start, at_end)
    crossing = (high > 0) & (low < 0)
    above = np.maximum(high, 0)
    mean = np.where(
        crossing, above**2 / np.where(crossing, 2 * (high - low), 1), (above + np.maximum(low, 0)) / 2
    )
    return np.asarray(np.abs(np.einsum("s,sx,ysx->yx", sign, width, mean)))


def _edges(size: tuple[int, int], cy: float, cx: float) -> tuple[Taps, Taps]:
    """Give the edges between taps, from the centre."""
    return (
        np.arange(size[0] + 1.0) - (size[0] // 2 + 0.5 + cy),
        np.arange(size[1] + 1.0) - (size[1] // 2 + 0.5 + cx),
    )


def _covered(above: Taps) -> Taps:
    """Give what each tap has of areas that are summed from the first row and column on."""
    return _summing_to_one(np.maximum(np.diff(np.diff(above, axis=0), axis=1), 0))


def _summing_to_one(taps: Taps) -> Taps:
    total = taps.sum()
    if not total > 0:
        raise ValueError("The shape must reach into the window, got one that lies all outside it.")
    return np.asarray(taps / total)


def _check(size: Any, center: tuple[Any, Any], angle: Any, **lengths: Any) -> None:
    if (
        not isinstance(size, tuple)
        or len(size) != 2
        or not all(isinstance(k, Integral) and int(k) > 0 for k in size)
    ):
        raise ValueError(f"`size` must be two positive integers (kh, kw), got {size!r}.")
    figures = {**lengths, "angle": angle, "center_y": center[0], "center_x": center[1]}
    for name, value in figures.items():
        if not isinstance(value, Real):
            raise TypeError(f"`{name}` must be a finite number, got {value!r}.")
        if not isfinite(value):
            raise ValueError(f"`{name}` must be a finite number, got {value!r}.")
        if name in lengths and value <= 0:
            raise ValueError(f"`{name}` must be positive, got {value!r}.")
