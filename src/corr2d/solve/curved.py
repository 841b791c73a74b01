"""Least squares over a curved set of kernels: from tangent plane to tangent plane, on the moments alone.

The squared error of any weights is that of the best free kernel, and ``(w - free)^T gram (w - free)``: the
kernel sought is the one of the set that is nearest the free one, by the Gram matrix. The difference is taken
before it is squared, so that a kernel of the set is found to its last digits.
"""

from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from .fit import EPS, Fit, centred, least_squares, rounding_of

_ROUNDS = 100
_LAST_DIGITS = 8 * EPS


@dataclass(frozen=True)
class CurvedFit(Fit):
    """A fit on a curved set, and what is said of it."""

    free_fit: Fit  # without the set
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """The free kernel, and the distance from it."""

    gram: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, total: NDArray[np.float64], fit: Fit) -> "Target":
        """Take what `fit` found. Directions that the pair leaves open count next to nothing, but not nothing.

        Of the kernels of the set that fit, the nearest to the smallest free one is then taken.
        """
        taps = len(total) - 2
        gram = centred(total)[:taps, :taps] + (rounding_of(total) or 1.0) * np.eye(taps)
        return cls(gram, 0 - fit.coefficients[:taps])

    def pull(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give half the direction in which the error falls."""
        return np.asarray(self.gram @ (self.weights - weights))

    def distance(self, weights: NDArray[np.float64]) -> float:
        """Give by how much the squared error is larger than the free kernel's."""
        return float((self.weights - weights) @ self.pull(weights))


class Point(Protocol):
    """A kernel of the set."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """Its taps."""

    def tangent(self) -> NDArray[np.float64]:
        """Give the directions (taps, k) in which the set goes on."""

    def moved(self, step: NDArray[np.float64], target: Target) -> Self:
        """Go on by ``tangent @ step``, back to the set, and take there the best of what is linear."""


_P = TypeVar("_P", bound=Point)


def descend(point: _P, target: Target, rounds: int = _ROUNDS) -> _P:
    """Go down from `point` to where no step makes the error less.

    Gauss-Newton steps, shortened where the set bends too much for them (Levenberg 1944, Marquardt 1963, with
    the scaling of Moré 1978); what enters linearly is solved for after each (variable projection, Golub &
    Pereyra 1973, in the form of Ruhe & Wedin 1980).
    """
    error, damping = target.distance(point.weights), 1e-3
    for _ in range(rounds):
        tangent = point.tangent()
        slope = tangent.T @ target.pull(point.weights)
        curvature = tangent.T @ target.gram @ tangent
        scale = np.diag(curvature).copy()
        scale[scale <= EPS**2 * scale.max(initial=0)] = 1.0
        while True:
            step = np.asarray(np.linalg.solve(curvature + damping * np.diag(scale), slope), np.float64)
            change = np.abs(tangent @ step).max(initial=0)
            trial = point.moved(step, target)
            found = target.distance(trial.weights)
            if found < error:
                break
            if not (step @ slope > 4 * EPS * error and change > _LAST_DIGITS * np.abs(point.weights).max()):
                return point
            damping *= 8
        point, error, damping = trial, found, max(damping / 8, 1e-12)
        if change <= _LAST_DIGITS * np.abs(point.weights).max():
            return point
    return point


def linearised(
    total: NDArray[np.float64], weights: NDArray[np.float64], tangent: NDArray[np.float64], free_fit: Fit
) -> CurvedFit:
    """Say how far to believe `weights`: as far as least squares in the tangent plane.

    The error bars are those of ``noise^2 J (J^T gram J)^+ J^T`` (Seber & Wild 1989, section 2.1).
    """
    basis, sizes, _ = np.linalg.svd(tangent, full_matrices=False)
    basis = basis[:, sizes > 1e-9 * sizes.max(initial=0)]
    plane = least_squares(total, weights, basis)
    here = least_squares(total, weights, basis[:, :0])
    about = replace(plane, coefficients=here.coefficients, squared_error=here.squared_error)
    return CurvedFit(**vars(about), free_fit=free_fit)


def as_free(total: NDArray[np.float64], weights: NDArray[np.float64], free_fit: Fit) -> CurvedFit:
    """Say that `weights` are as uncertain as free taps: where the set has no tangent plane."""
    here = least_squares(total, weights, np.zeros((len(weights), 0)))
    about = replace(free_fit, coefficients=here.coefficients, squared_error=here.squared_error)
    return CurvedFit(**vars(about), free_fit=free_fit)
