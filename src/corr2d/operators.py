"""The fixed operators that filters are known by: derivatives, Laplacians, embossing, small smoothing kernels.

Each has its taps as they are commonly written, never flipped: a derivative in x is positive where the picture
grows brighter to the right, one in y where it does so downwards. Programs scale them as they like, so that
an operator is known up to a gain.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from math import log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Taps = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Operator:
    """A kernel that has a name.

    Attributes
    ----------
    name : str
        In words.
    taps : (kh, kw) array
        As they are commonly written.
    source : str
        Author and year, or the program.
    parameters : dict
        Those that it has without being fitted, such as the standard deviation of a binomial.
    embosses : bool
        It is drawn on a grey, that is added to the result.
    """

    name: str
    taps: Taps
    source: str
    parameters: dict[str, float] = field(default_factory=dict)
    embosses: bool = False


# name, smoothing across, difference along, source. Each is in x and in y.
_DERIVATIVES: list[tuple[str, ArrayLike, ArrayLike, str]] = [
    ("forward difference", [1], [-1, 1], "Boole 1860"),
    ("forward difference over 2 x 2", [1, 1], [-1, 1], "Horn & Schunck 1981"),
    ("central difference", [1], [-1, 0, 1], "Boole 1860"),
    ("central difference of 5 taps", [1], [1, -8, 0, 8, -1], "Fornberg 1988, table 1"),
    ("prewitt", [1, 1, 1], [-1, 0, 1], "Prewitt 1970"),
    ("sobel", [1, 2, 1], [-1, 0, 1], "Sobel & Feldman 1968"),
    ("sobel of 5 x 5", [1, 4, 6, 4, 1], [-1, -2, 0, 2, 1], "OpenCV, getDerivKernels"),
    (
        "sobel of 7 x 7",
        [1, 6, 15, 20, 15, 6, 1],
        [-1, -4, -5, 0, 5, 4, 1],
        "OpenCV, getDerivKernels",
    ),
    ("frei-chen", [1, sqrt(2), 1], [-1, 0, 1], "Frei & Chen 1977"),
    ("scharr", [3, 10, 3], [-1, 0, 1], "Scharr 2000"),
    ("scharr", [47, 162, 47], [-1, 0, 1], "Scharr 2000, to more digits"),
    (
        "farid of 3 x 3",
        [0.229879, 0.540242, 0.229879],
        [-0.425287, 0, 0.425287],
        "Farid & Simoncelli 2004, table 1",
    ),
    (
        "farid of 5 x 5",
        [0.037659, 0.249153, 0.426375, 0.249153, 0.037659],
        [-0.109604, -0.276691, 0, 0.276691, 0.109604],
        "Farid & Simoncelli 2004, table 1",
    ),
    (
        "farid of 7 x 7",
        [0.004711, 0.069321, 0.245410, 0.361117, 0.245410, 0.069321, 0.004711],
        [-0.018708, -0.125376, -0.193091, 0, 0.193091, 0.125376, 0.018708],
        "Farid & Simoncelli 2004, table 1",
    ),
    ("derivative of order 2", [1], [1, -2, 1], "Boole 1860"),
    ("derivative of order 2, 5 taps", [1], [-1, 16, -30, 16, -1], "Fornberg 1988, table 1"),
    ("derivative of order 2, smoothed", [1, 2, 1], [1, -2, 1], "OpenCV, getDerivKernels"),
    ("derivative of order 2, of 5 x 5", [1, 4, 6, 4, 1], [1, 0, -2, 0, 1], "OpenCV, getDerivKernels"),
    (
        "farid of order 2",
        [0.004711, 0.069321, 0.245410, 0.361117, 0.245410, 0.069321, 0.004711],
        [0.055336, 0.137778, -0.056554, -0.273118, -0.056554, 0.137778, 0.055336],
        "Farid & Simoncelli 2004, table 1",
    ),
    ("derivative of order 3, forward", [1], [-1, 3, -3, 1], "Boole 1860"),
    ("derivative of order 3", [1], [-1, 2, 0, -2, 1], "Fornberg 1988, table 1"),
    ("derivative of order 3, smoothed", [1, 2, 1], [-1, 2, 0, -2, 1], "Fornberg 1988, table 1"),
    ("derivative of order 3, of 5 x 5", [1, 4, 6, 4, 1], [-1, 2, 0, -2, 1], "OpenCV, getDerivKernels"),
    ("derivative of order 4", [1], [1, -4, 6, -4, 1], "Fornberg 1988, table 1"),
    ("derivative of order 4, smoothed", [1, 2, 1], [1, -4, 6, -4, 1], "Fornberg 1988, table 1"),
    ("derivative of order 4, of 5 x 5", [1, 4, 6, 4, 1], [1, -4, 6, -4, 1], "OpenCV, getDerivKernels"),
]

# name, taps, source. Each along both diagonals.
_DIAGONAL: list[tuple[str, ArrayLike, str]] = [
    ("roberts", [[-1, 0], [0, 1]], "Roberts 1963"),
    ("prewitt", [[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], "Prewitt 1970"),
    ("sobel", [[-2, -1, 0], [-1, 0, 1], [0, 1, 2]], "Sobel & Feldman 1968"),
]

# To the right, the light falling from the left; each is turned to all eight directions of the compass.
_EMBOSSING: list[tuple[ArrayLike, str]] = [
    ([[-1, 0, 1], [-2, 1, 2], [-1, 0, 1]], "GIMP, convolution matrix"),
    ([[-1, 0, 1], [-1, 1, 1], [-1, 0, 1]], "GIMP, convolution matrix"),
    ([[0, 0, 0], [-1, 1, 0], [0, 0, 0]], "Pillow, ImageFilter.EMBOSS"),
    ([[0, 0, 0], [-1, 0, 1], [0, 0, 0]], "a central difference"),
    ([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], "Prewitt 1970"),
    ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "Sobel & Feldman 1968"),
]

_KIRSCH = [[-3, -3, 5], [-3, 0, 5], [-3, -3, 5]]

_FOUR, _EIGHT = [[0, 1, 0], [1, -4, 1], [0, 1, 0]], [[1, 1, 1], [1, -8, 1], [1, 1, 1]]
_CROSS = [[1, 0, 1], [0, -4, 0], [1, 0, 1]]

_ALONE: list[tuple[str, ArrayLike, str]] = [
    ("identity", [[1]], "one tap"),
    ("laplacian, 4 neighbours", _FOUR, "Rosenfeld & Kak 1976"),
    ("laplacian, 8 neighbours", _EIGHT, "Rosenfeld & Kak 1976"),
    ("laplacian, diagonal neighbours", _CROSS, "OpenCV, Laplacian of ksize 3"),
    ("laplacian, isotropic", [[1, 4, 1], [4, -20, 4], [1, 4, 1]], "Kantorovich & Krylov 1958"),
    ("laplacian, isotropic", [[1, 2, 1], [2, -12, 2], [1, 2, 1]], "Oono & Puri 1987"),
    ("derivative of order 2 in x and in y", [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], "Immerkær 1996"),
    ("derivative in x and y", [[1, 0, -1], [0, 0, 0], [-1, 0, 1]], "Fornberg 1988"),
    (
        "laplacian of gaussian, 5 x 5",
        [[0, 0, 1, 0, 0], [0, 1, 2, 1, 0], [1, 2, -16, 2, 1], [0, 1, 2, 1, 0], [0, 0, 1, 0, 0]],
        "Gonzalez & Woods 2008, figure 10.21",
    ),
]

# Over their sum.
_SMOOTHING: list[tuple[str, ArrayLike, str]] = [
    ("smooth", [[1, 1, 1], [1, 5, 1], [1, 1, 1]], "Pillow, ImageFilter.SMOOTH"),
    (
        "smooth more",
        [[1, 1, 1, 1, 1], [1, 5, 5, 5, 1], [1, 5, 44, 5, 1], [1, 5, 5, 5, 1], [1, 1, 1, 1, 1]],
        "Pillow, ImageFilter.SMOOTH_MORE",
    ),
    (
        "blur by a ring",
        [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]],
        "Pillow, ImageFilter.BLUR",
    ),
]

_LINES = (3, 5, 7, 9, 11, 13, 15)  # taps, of motion along a diagonal as it is drawn by hand

# What stands for a gaussian in integers, and its sigma: the standard deviation, but of 3 taps, which are a
# gaussian's own.
_BINOMIALS: list[tuple[ArrayLike, float, str]] = [
    ([1, 2, 1], 1 / sqrt(2 * log(2)), "Crowley 1981"),
    ([1, 4, 6, 4, 1], 1.0, "Crowley 1981"),
    ([1, 6, 15, 20, 15, 6, 1], sqrt(1.5), "Crowley 1981"),
    ([8, 28, 56, 72, 56, 28, 8], sqrt(1.875), "OpenCV, getGaussianKernel of 7"),
    ([1, 8, 28, 56, 70, 56, 28, 8, 1], sqrt(2), "Crowley 1981"),
]

_DIRECTIONS = (
    "right",
    "up and right",
    "up",
    "up and left",
    "left",
    "down and left",
    "down",
    "down and right",
)
_RING = [(1, 2), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]  # of 3 x 3, from the right


def turned(taps: ArrayLike, eighths: int) -> Taps:
    """Turn the ring of a 3 x 3 kernel by so many eighths, anti-clockwise as the picture is seen.

    >>> turned([[0, 0, 0], [-1, 0, 1], [0, 0, 0]], 1)
    array([[ 0.,  0.,  1.],
           [ 0.,  0.,  0.],
           [-1.,  0.,  0.]])
    """
    taps = np.array(taps, np.float64)
    result = taps.copy()
    for place, at in enumerate(_RING):
        result[_RING[(place + eighths) % 8]] = taps[at]
    return result


@cache
def operators() -> tuple[Operator, ...]:
    """Give all of them, the better known of two that are alike first.

    >>> next(one for one in operators() if one.name == "sobel in x").taps
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]])
    """
    found = (*_alone(), *_derivatives(), *_compass())
    for operator in found:
        operator.taps.flags.writeable = False
    return found


def _alone() -> Iterator[Operator]:
    for name, taps, source in _ALONE:
        yield Operator(name, np.array(taps, np.float64), source)
    for name, taps, source in _SMOOTHING:
        yield Operator(name, _summing_to_one(np.array(taps, np.float64)), source)
    for n in _LINES:
        for way, line in (("down", np.eye(n)), ("up", np.eye(n)[::-1].copy())):
            yield Operator(f"motion {way} the diagonal, {n} pixels", line / n, "a line of equal taps")
    for profile, sigma, source in _BINOMIALS:
        yield Operator("gaussian", _summing_to_one(_product(profile, profile)), source, {"sigma": sigma})


def _derivatives() -> Iterator[Operator]:
    for name, across, along, source in _DERIVATIVES:
        yield Operator(f"{name} in x", _product(across, along), source)
        yield Operator(f"{name} in y", _product(along, across), source)
    for name, taps, source in _DIAGONAL:
        down = np.array(taps, np.float64)
        yield Operator(f"{name} down the diagonal", down, source)
        yield Operator(f"{name} up the diagonal", down[::-1].copy(), source)


def _compass() -> Iterator[Operator]:
    for eighths, way in enumerate(_DIRECTIONS):
        yield Operator(f"kirsch, {way}", turned(_KIRSCH, eighths), "Kirsch 1971")
        for taps, source in _EMBOSSING:
            yield Operator(f"emboss, {way}", turned(taps, eighths), source, embosses=True)


def _product(column: ArrayLike, row: ArrayLike) -> Taps:
    return np.outer(np.array(column, np.float64), np.array(row, np.float64))


def _summing_to_one(taps: Taps) -> Taps:
    return np.asarray(taps / taps.sum())
