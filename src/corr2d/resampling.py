"""How pictures are moved by parts of a pixel and made smaller: the kernels of interpolation.

Each is a function of the distance between a pixel of `before` and the place of one of `after`. Made wider by
the factor by which a picture is reduced, it keeps out what the smaller picture cannot show (anti-aliasing, as
Pillow does it); left as it is, it looks at the nearest pixels alone (as OpenCV does it, but for "area").
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

Taps = NDArray[np.float64]
Profile = Callable[[Taps], Taps]


def bilinear(distance: Taps) -> Taps:
    """Give ``1 - |t|``, the triangle.

    >>> bilinear(np.array([-0.25, 0.75]))
    array([0.75, 0.25])
    """
    return np.asarray(np.maximum(1 - np.abs(distance), 0))


def bicubic(distance: Taps, a: float = -0.5) -> Taps:
    """Give the piecewise cubic of Keys 1981, whose slope at 1 is `a`: -0.5 in Pillow, -0.75 in OpenCV.

    >>> bicubic(np.array([-1.5, -0.5, 0.5, 1.5]))
    array([-0.0625,  0.5625,  0.5625, -0.0625])
    """
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t**2 + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def lanczos(distance: Taps, lobes: int = 3) -> Taps:
    """Give ``sinc(t) sinc(t / lobes)`` (Duchon 1979): 3 lobes in Pillow, 4 in OpenCV.

    >>> lanczos(np.array([0.0, 1.5, 3.0])).round(3)
    array([ 1.   , -0.135,  0.   ])
    """
    return np.where(np.abs(distance) < lobes, np.sinc(distance) * np.sinc(distance / lobes), 0.0)


def hamming(distance: Taps) -> Taps:
    """Give ``sinc(t)`` under a Hamming window of one lobe, as Pillow has it.

    >>> hamming(np.array([0.0, 0.5, 1.0])).round(3)
    array([1.   , 0.344, 0.   ])
    """
    window = 0.54 + 0.46 * np.cos(np.pi * distance)
    return np.where(np.abs(distance) < 1, np.sinc(distance) * window, 0.0)


def area(distance: Taps) -> Taps:
    """Give the share of a pixel that is covered by one as large.

    >>> area(np.array([0.0, 0.5, 1.0]))
    array([1. , 0.5, 0. ])
    """
    return np.asarray((np.abs(distance) < 0.5) + 0.5 * (np.abs(distance) == 0.5))


# By which pictures are moved by parts of a pixel.
INTERPOLATIONS: tuple[tuple[str, Profile], ...] = (
    ("bilinear", bilinear),
    ("bicubic", bicubic),
    ("bicubic", lambda t: bicubic(t, -0.75)),
    ("lanczos", lanczos),
    ("lanczos", lambda t: lanczos(t, 2)),
    ("lanczos", lambda t: lanczos(t, 4)),
)

_WIDENED: tuple[tuple[str, Profile], ...] = (
    ("area", area),
    ("bilinear", bilinear),
    ("bicubic", bicubic),
    ("bicubic", lambda t: bicubic(t, -0.75)),
    ("lanczos", lanczos),
    ("hamming", hamming),
    ("lanczos", lambda t: lanczos(t, 2)),
)


def profile_at(profile: Profile, taps: int, place: ArrayLike, wider: float = 1.0) -> Taps:
    """Give the taps of an interpolation along one axis, for a value at `place`, counted from the first tap.

    They sum to one. Of several places, taps are along the last axis.

    >>> profile_at(bilinear, 3, 1.25)
    array([0.  , 0.75, 0.25])
    """
    found = profile((np.arange(taps) - np.asarray(place, np.float64)[..., None]) / wider)
    return np.asarray(found / found.sum(axis=-1, keepdims=True))


def reductions(steps: tuple[int, int]) -> Iterator[tuple[str, Taps]]:
    """Give the kernels that make a picture smaller by whole numbers (rows, columns), and their names.

    Each is as large as it needs to be; its middle is the place of a pixel of the smaller picture. Of those
    that are alike, the better known comes first.

    >>> next(reductions((2, 2)))
    ('area reduction by 2', array([[0.25, 0.25],
           [0.25, 0.25]]))
    """
    by = f"{steps[0]}" if steps[0] == steps[1] else f"{steps[0]} x {steps[1]}"
    for name, profile in _WIDENED:
        yield f"{name} reduction by {by}", _outer([_reduced(profile, step, step) for step in steps])
    for name, profile in INTERPOLATIONS:
        taps = _outer([_reduced(profile, step, 1) for step in steps])
        if taps.size > 1:  # one tap: by whatever name, the nearest pixel
            yield f"{name} reduction by {by}, not anti-aliased", taps
    yield f"nearest reduction by {by}", np.ones((1, 1))


def _reduced(profile: Profile, step: int, wider: int) -> Taps:
    """Give the taps about the middle of `step` pixels: an odd number of them if the step is odd."""
    half = 4 * wider  # no profile reaches further
    count = 2 * half + step % 2
    taps = profile_at(profile, count, (count - 1) / 2, wider)
    used = np.flatnonzero(np.abs(taps) > 1e-12)
    return taps[used[0] : used[-1] + 1]


def _outer(profiles: list[Taps]) -> Taps:
    return np.asarray(np.outer(*profiles), np.float64)
