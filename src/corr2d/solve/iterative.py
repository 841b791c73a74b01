"""Normal equations too large to be written down: conjugate gradients, and what makes them few."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..borders import Steps
from .fit import EPS

Linear = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_TILES = 16  # a side: the spectrum of a larger picture is that of so many parts of it
# Below it a frequency is so weak that dividing by it would bring out what rounding left of it.
_WEAKEST = 1e-10


class Descent(NamedTuple):
    """Where conjugate gradients ended, and what each step gained."""

    solution: NDArray[np.float64]
    gains: list[float]  # (solution - answer)^T G (solution - answer) fell by so much in each step


def conjugate_gradients(
    product: Linear,
    precondition: Linear,
    right: NDArray[np.float64],
    enough: Callable[[list[float]], bool],
    most: int,
) -> Descent:
    """Solve ``G w = right`` for a symmetric G of no negative eigenvalue, from its products with vectors.

    Begins at zero, and ends where `enough` of the gains says so, after `most` steps, or where only rounding
    is left. The gains that are
    still to come sum to the squared error ``(w - answer)^T G (w - answer)`` (Hestenes & Stiefel 1952, theorem
    6:1), so that the last of them bound from below what it was before them (Strakos & Tichy 2002, section 4).
    """
    solution, left = np.zeros_like(right), right.copy()
    better = precondition(left)
    direction, slope = better, float(np.vdot(left, better))
    gains: list[float] = []
    rounding = (
        16 * EPS
    ) ** 2 * slope  # of `left`: beyond it steps go astray (test_two_waves_leave_taps_open)
    while slope > rounding and len(gains) < most and not enough(gains):
        image = product(direction)
        curvature = float(np.vdot(direction, image))
        if curvature <= 0:  # rounding, in a direction that G does not see
            break
        step = slope / curvature
        solution += step * direction
        left -= step * image
        gains.append(step * slope)
        better = precondition(left)
        last, slope = slope, float(np.vdot(left, better))
        direction = better + slope / last * direction
    return Descent(solution, gains)


class InverseSpectrum:
    """About the inverse of the Gram matrix of all windows of some pictures.

    That matrix is nearly Toeplitz: it holds the pictures' autocorrelation, whose transform is their power
    spectrum S. The Toeplitz matrix of 1 / S is nearly its inverse (R. Chan & Ng 1993, section 3), and is
    applied by transforms of twice the window's size. S is the mean over overlapping parts of the picture,
    faded out towards their edges (Welch 1967): without that, or by a circulant matrix of the window's own
    size (T. Chan 1988), a photo takes twice as many steps.
    """

    def __init__(
        self, pictures: list[NDArray[np.float64]], size: tuple[int, int], dilation: Steps, count: int
    ) -> None:
        smallest = [
            min((picture.shape[axis] - 1) // dilation[axis] + 1 for picture in pictures) for axis in (0, 1)
        ]
        # At least three parts along each axis: of a single one, S is mostly chance.
        rows, columns = (max(k, min(2 * k, n // 2)) for k, n in zip(size, smallest, strict=True))
        fade = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1])
        spectrum, tiles = np.zeros((rows, columns // 2 + 1)), 0
        for picture in pictures:
            mean = float(picture.mean())
            for tile in _tiles(picture, (rows, columns), dilation):
                spectrum += np.abs(np.fft.rfft2((tile - mean) * fade)) ** 2
                tiles += 1
        spectrum *= count / (tiles * float(np.vdot(fade, fade)))
        weakest = max(_WEAKEST * float(spectrum.max()), np.finfo(np.float64).tiny)
        self._over = 1 / np.maximum(spectrum, weakest)
        self._size, self._padded = size, (rows, columns)

    def __call__(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply by it, tap by tap."""
        spectrum = np.fft.rfft2(gradient, self._padded)
        spectrum *= self._over
        kh, kw = self._size
        return np.ascontiguousarray(np.fft.irfft2(spectrum, self._padded)[:kh, :kw])


def _tiles(picture: NDArray[np.float64], size: tuple[int, int], dilation: Steps) -> list[NDArray[np.float64]]:
    """Give parts that overlap by half, of every so many-th pixel."""
    tops, lefts = (
        _starts(n - (k - 1) * gap, (k + 1) // 2 * gap)
        for n, k, gap in zip(picture.shape, size, dilation, strict=True)
    )
    (rows, columns), (down, along) = size, dilation
    return [
        picture[top : top + (rows - 1) * down + 1 : down, left : left + (columns - 1) * along + 1 : along]
        for top in tops
        for left in lefts
    ]


def _starts(places: int, step: int) -> NDArray[np.intp]:
    return np.linspace(0, places - 1, min(_TILES, -(-(places - 1) // step) + 1)).astype(np.intp)
