"""What a pair says of a kernel, and whether a filter of some name is all that it says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, log, sqrt

import numpy as np
from numpy.typing import NDArray

from ..borders import Steps

Array = NDArray[np.float64]

_RARELY = 3.09  # standard deviations
# The limit of an excess under noise that is alike from pixel to pixel is at most so many times as large.
_ALIKE = 50.0
# Of the energy of the kernel: a pair that leaves more than this to chance tells no name.
_TOLD = 0.01
# Of the squared error: what a filter may leave unexplained, if its taps are those of the kernel but for how
# programs round them, to 1/256 along each axis.
_ROUNDED, _TAP = 0.05, 1 / 256
# Of the largest tap: published taps have some digits.
_DIGITS = 1e-4


def limit(freedom: int) -> float:
    """Give what a sum of so many squares of standard normal numbers exceeds once in a thousand times.

    Wilson & Hilferty 1931: the cube root of such a sum is nearly normal.

    >>> round(limit(100), 1)
    149.5
    """
    if freedom == 0:
        return 0.0
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + _RARELY * sqrt(spread)) ** 3)


@dataclass(frozen=True)
class Named:
    """A filter that the kernel may be."""

    name: str
    weights: Array  # (taps,)
    unknowns: int
    parameters: dict[str, tuple[float, float]]
    # Of the kernel over it: (excess of squared error, in how many directions), one or several of them.
    excesses: tuple[tuple[float, int], ...]
    middle: tuple[float, float]  # where its middle stands, in rows and columns of the window
    apart: tuple[float, float] = (0.0, 0.0)  # and how far that is from the pixel that it makes
    shapes: int = field(default=0)  # of the unknowns, those that the shape depends on

    @property
    def excess(self) -> float:
        """Give by how much the squared error is larger than the kernel's."""
        return sum(excess for excess, _ in self.excesses)


@dataclass(frozen=True)
class Evidence:
    """The kernel that explains a pair best, and how much worse any other explains it.

    Kernels w explain it worse by ``(w - weights)^T gram (w - weights)``, in units of the squared error.
    """

    size: tuple[int, int]
    stride: Steps
    gram: Array
    weights: Array
    stderr: Array
    count: int  # of pixels
    squared_error: float
    variance: float  # of the noise
    rounding: float  # of an excess: what that of the sums may have made of it
    bias: tuple[float, float]  # and its standard error
    shift: tuple[int, int]  # of the window: how much further up and left than centred it stands
    spreading: Callable[[], float]  # how much more likeness of the noise makes of an excess; costs a while

    @cached_property
    def cross(self) -> Array:
        """The products of the windows with what the kernel explains."""
        return np.asarray(self.gram @ self.weights)

    @cached_property
    def energy(self) -> float:
        """What the kernel explains."""
        return float(self.weights @ self.cross)

    @cached_property
    def spread(self) -> float:
        """Say how many times larger an excess may be than under noise that differs from pixel to pixel."""
        return min(max(1.0, self.spreading()), _ALIKE)

    @property
    def tells(self) -> bool:
        """Say whether it leaves so little to chance that a name can be told."""
        return self.energy > 0 and self.variance * limit(len(self.weights)) <= _TOLD * self.energy

    @property
    def on_grey(self) -> bool:
        """Say whether something is added to the result that can be seen."""
        value, error = self.bias
        contrast = sqrt(self.energy / max(self.squared_error / self.variance, 1.0)) if self.variance else 0.0
        return abs(value) > 5 * error and abs(value) > 0.2 * contrast

    def excess(self, weights: Array) -> float:
        """Give by how much the squared error is larger with these weights."""
        away = self.weights - weights
        return float(away @ self.gram @ away)

    def allows(self, excess: float, freedom: int) -> bool:
        """Say whether chance makes such an excess in so many directions."""
        if freedom < 0:
            return False
        bound, excess = self.variance * limit(freedom), excess - self.rounding
        return excess <= bound or (excess <= _ALIKE * bound and excess <= self.spread * bound)

    def most(self, freedom: int) -> float:
        """Give the excess in so many directions above which nothing is looked at any closer."""
        chance = self.spread * self.variance * limit(freedom) + self.rounding
        if self.known_taps:
            chance += _ROUNDED * self.squared_error
        return chance + _DIGITS**2 * self.energy

    @cached_property
    def known_taps(self) -> bool:
        """Say whether every tap is known as well as programs have them that round to 1/256."""
        return float(self.stderr.max()) <= _rounded(self.weights)

    def accepts(self, named: Named) -> bool:
        """Say whether the kernel is that filter, as far as the pair can tell."""
        # A shape that can bend to any few taps says nothing of them.
        if len(self.weights) - named.unknowns < 2 * named.shapes:
            return False
        return (self.expects(named) and self.allows(*self._moved_or_bent(named))) or self._forgives(named)

    def expects(self, named: Named) -> bool:
        """Say whether chance makes all that it explains less."""
        return all(self.allows(*each) for each in named.excesses)

    def cost(self, named: Named) -> float:
        """Give what the filters that are accepted are chosen by, the least (Schwarz 1978)."""
        noise = max(self.variance, self.rounding, np.finfo(np.float64).tiny)
        return named.excess / noise + named.unknowns * log(self.count)

    def _moved_or_bent(self, named: Named) -> tuple[float, int]:
        """Give by how much the filter would be better if any of its neighbours could be added to it.

        That is the filter moved by one pixel, to any side: with them it is wider, or longer, or elsewhere. An
        excess that is all of that kind is little among the directions of a large window, and much among nine.
        """
        padded = np.pad(named.weights.reshape(self.size), 1)
        moved = np.lib.stride_tricks.sliding_window_view(padded, self.size).reshape(-1, len(named.weights)).T
        moved = moved[:, np.abs(moved).max(axis=0) > 0]
        pull = moved.T @ (self.cross - self.gram @ named.weights)
        curvature = moved.T @ self.gram @ moved
        scale = np.sqrt(np.diag(curvature))
        inverse = np.linalg.pinv(curvature / np.outer(scale, scale), rcond=1e-10, hermitian=True)
        return float((pull / scale) @ inverse @ (pull / scale)), moved.shape[1]

    def _forgives(self, named: Named) -> bool:
        """Say whether it is that filter but for digits that its program does not have."""
        excess, off = named.excess, np.abs(self.weights - named.weights)
        if off.max() <= _DIGITS * np.abs(named.weights).max() and excess <= _DIGITS**2 * self.energy:
            return True
        near = bool((off <= _rounded(named.weights) + 2 * self.stderr).all())
        return self.known_taps and near and excess <= _ROUNDED * self.squared_error


def _rounded(weights: Array) -> float:
    """Say what a tap may be off by, where rows and columns are rounded before they are multiplied."""
    sizes = np.abs(weights)
    return _TAP * sqrt(float(sizes.max()) * float(sizes.sum()))


def covariance(slopes: Array, gram: Array, variance: float) -> Array:
    """Give that of the unknowns that move the weights by `slopes` (taps, unknowns): infinite if not told.

    As in the tangent plane (Seber & Wild 1989, section 2.1).
    """
    curvature = slopes.T @ gram @ slopes
    scale = np.sqrt(np.diag(curvature))
    if not (scale > 0).all():
        return np.full(curvature.shape, inf)
    inverse = np.linalg.pinv(curvature / np.outer(scale, scale), rcond=1e-12, hermitian=True)
    return np.asarray(variance * inverse / np.outer(scale, scale))
