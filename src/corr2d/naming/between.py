"""Pictures moved by parts of a pixel: an interpolation of whose kind and place nothing is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..resampling import INTERPOLATIONS, Profile, profile_at
from ..solve.curved import Target
from .descent import settle
from .evidence import Array, Evidence, Named, covariance

_NEAR = 0.02  # of the energy: what leaves more unexplained is not looked at further
_NEXT = 1e-6  # step of a difference quotient, in pixels


@dataclass(frozen=True, eq=False)
class _Between:
    """A gain times an interpolation at some place between the taps."""

    profile: Profile
    size: tuple[int, int]
    place: tuple[float, float]
    sides: tuple[Array, Array]  # (3, taps) of rows and columns: there, and a little before and after
    gain: float

    @classmethod
    def at(cls, profile: Profile, size: tuple[int, int], place: tuple[float, float], target: Target) -> Self:
        """Take the best gain."""
        near = np.array([0.0, -_NEXT, _NEXT])
        y, x = (profile_at(profile, k, at + near) for k, at in zip(size, place, strict=True))
        shape = np.outer(y[0], x[0]).ravel()
        pull = target.gram @ shape
        return cls(profile, size, place, (y, x), float(pull @ target.weights) / float(pull @ shape))

    @property
    def weights(self) -> Array:
        return self.gain * np.outer(self.sides[0][0], self.sides[1][0]).ravel()

    def tangent(self) -> Array:
        """Give what the gain and each coordinate change, but of an axis of one tap."""
        y, x = self.sides
        columns = [np.outer(y[0], x[0])]
        if self.size[0] > 1:
            columns.append(self.gain / (2 * _NEXT) * np.outer(y[2] - y[1], x[0]))
        if self.size[1] > 1:
            columns.append(self.gain / (2 * _NEXT) * np.outer(y[0], x[2] - x[1]))
        return np.stack([column.ravel() for column in columns], axis=1)

    def moved(self, step: Array, target: Target) -> Self:
        """Go on by `step`, within the window, and take the gain that is best there."""
        steps = iter(np.clip(step[1:], -0.5, 0.5).tolist())
        y, x = (
            min(max(at + (next(steps) if k > 1 else 0.0), 0.0), k - 1.0)
            for k, at in zip(self.size, self.place, strict=True)
        )
        return self.at(self.profile, self.size, (y, x), target)


def moved_between(evidence: Evidence) -> Iterator[Named]:
    """Give the interpolations that may be the kernel, each at its best place.

    All begin where the best cubic is, from the tap that explains most.
    """
    unknowns = 1 + sum(k > 1 for k in evidence.size)
    if len(evidence.weights) < 3 * unknowns - 2:
        return
    alone = evidence.cross**2 / np.diag(evidence.gram)
    y, x = divmod(int(alone.argmax()), evidence.size[1])
    target = Target(evidence.gram, evidence.weights)
    _, cubic = INTERPOLATIONS[1]
    start = _Between.at(cubic, evidence.size, (float(y), float(x)), target)
    first = settle(start, target, _NEAR * evidence.energy)
    if first is None:
        return
    allowed = evidence.most(len(evidence.weights))
    for name, profile in INTERPOLATIONS:
        found = settle(_Between.at(profile, evidence.size, first.place, target), target, allowed)
        if found is not None:
            yield _named(evidence, f"shift, {name}", found, unknowns)


def _named(evidence: Evidence, name: str, found: _Between, unknowns: int) -> Named:
    spread = covariance(found.tangent(), evidence.gram, evidence.variance)
    errors = iter(np.sqrt(np.maximum(np.diag(spread), 0)).tolist())
    gain = (found.gain, next(errors))
    moves = {
        way: (k // 2 + shift - at, next(errors) if k > 1 else 0.0)
        for way, k, shift, at in zip(
            ("down", "right"), evidence.size, evidence.shift, found.place, strict=True
        )
        if k > 1 or shift
    }
    return Named(
        name=name,
        weights=found.weights,
        unknowns=unknowns,
        parameters={**moves, "gain": gain},
        excesses=((evidence.excess(found.weights), len(found.weights) - unknowns),),
        middle=found.place,
        shapes=unknowns - 1,
    )
