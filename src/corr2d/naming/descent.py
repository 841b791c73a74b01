"""Steps to the best parameters of a filter, given up early where they lead to none."""

from typing import Protocol, Self, TypeVar

import numpy as np

from ..solve.curved import Target
from .evidence import Array

_ROUNDS = 14
_SEEN = 1  # rounds after which what the tangent plane promises is taken for what can be had,
_STUCK = 0.3  # if it is more than that of what is left
_SETTLED = 1e-6  # of the excess that chance allows
_HALVINGS = 6
_DAMPED = 1e-9  # of the curvature along each unknown: where it leaves one open, no step is made along it


class Point(Protocol):
    """An amount of a filter with some parameters."""

    @property
    def weights(self) -> Array:
        """Its taps."""

    def tangent(self) -> Array:
        """Give what the amount and each parameter change, (taps, unknowns)."""

    def moved(self, step: Array, target: Target) -> Self:
        """Go on by `step`, and take the amount that is best there."""


_P = TypeVar("_P", bound=Point)


def settle(point: _P, target: Target, allowed: float) -> _P | None:
    """Go down to the filter that is nearest to the target; None if that leaves more than `allowed`.

    Gauss-Newton steps with the amount solved for (variable projection, Golub & Pereyra 1973), each halved
    until it leads down. As `corr2d.solve.curved.descend`, which goes on to the last digits; most kernels are
    not the filter they are held against, and are told so after a few rounds.
    """
    left = target.distance(point.weights)
    for turn in range(_ROUNDS):
        tangent = point.tangent()
        slope = tangent.T @ target.pull(point.weights)
        curvature = tangent.T @ target.gram @ tangent
        scale = np.sqrt(np.diag(curvature))
        scale[scale == 0] = 1.0
        scaled = curvature / np.outer(scale, scale) + _DAMPED * np.eye(len(scale))
        step = np.asarray(np.linalg.solve(scaled, slope / scale) / scale, np.float64)
        promised = left - slope @ step
        if turn >= _SEEN and promised > allowed and promised > _STUCK * left:
            return None
        last = left
        for _ in range(_HALVINGS):
            trial = point.moved(step, target)
            found = target.distance(trial.weights)
            if found < left:
                point, left = trial, found
                break
            step = step / 4
        if last - left <= _SETTLED * allowed:
            break
    return point if left <= allowed else None
