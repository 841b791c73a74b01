"""Kernels that are alike under mirrors: few numbers each, and a first question that most kernels fail.

A kernel is cut into groups of taps that its symmetry makes equal. Of the kernels that have the symmetry, the
best explains the pair by so much worse than the kernel itself; if chance does not allow that, no filter of
that symmetry is the kernel, whatever its parameters. If it does, the filters are held against that best one,
in as many numbers as there are groups.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from .evidence import Array, Evidence

# All mirrors of a square; both of a rectangle; a half turn; a mirror that changes the sign.
Symmetry = Literal["square", "rectangle", "half turn", "odd in x", "odd in y"]

Place = tuple[float, float]

_LOOKED_AT = 8  # places that may be the middle
_NEARLY = 0.02  # as alike as that to the best


@dataclass(frozen=True, eq=False)
class Groups:
    """The taps of a window that a symmetry about `centre` makes equal, each group by one of them."""

    size: tuple[int, int]
    centre: Place
    symmetry: Symmetry
    order: NDArray[np.intp]  # taps, group by group; those that the symmetry makes zero are left out
    starts: NDArray[np.intp]  # of each group in `order`
    signs: Array  # of the taps in `order`
    counts: Array  # the signs of each group, summed
    dy: Array  # of the tap that stands for a group, from the centre, in whole or half pixels
    dx: Array

    @classmethod
    @lru_cache(maxsize=128)
    def of(cls, size: tuple[int, int], centre: Place, symmetry: Symmetry) -> Self:
        """Sort the taps of a window of (kh, kw)."""
        rows, columns = np.indices(size).reshape(2, -1)
        y, x = np.rint(2 * (rows - centre[0])), np.rint(2 * (columns - centre[1]))
        signs = np.ones(len(y))
        a, b = np.abs(y), np.abs(x)
        if symmetry == "square":
            a, b = np.minimum(a, b), np.maximum(a, b)
        elif symmetry == "half turn":
            back = (y < 0) | ((y == 0) & (x < 0))
            a, b = np.where(back, -y, y), np.where(back, -x, x)
        elif symmetry == "odd in x":
            signs = np.sign(x)
        elif symmetry == "odd in y":
            signs = np.sign(y)
        order = np.lexsort((b, a))
        order = order[signs[order] != 0]
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(a[order]) != 0) | (np.diff(b[order]) != 0)
        starts = np.flatnonzero(first)
        return cls(
            size, centre, symmetry, order, starts, signs[order],
            np.add.reduceat(signs[order], starts) if len(starts) else np.zeros(0),
            a[order][starts] / 2, b[order][starts] / 2,
        )  # fmt: skip

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.starts)

    def summed(self, taps: Array) -> Array:
        """Sum over each group, along the first axis."""
        signed = taps[self.order] * (self.signs if taps.ndim == 1 else self.signs[:, None])
        return np.asarray(np.add.reduceat(signed, self.starts, axis=0))

    def spread(self, values: Array) -> Array:
        """Give each tap the value of its group: (groups, ...) to (taps, ...)."""
        taps = np.zeros((self.size[0] * self.size[1], *values.shape[1:]))
        each = np.diff(np.append(self.starts, len(self.order)))
        signs = self.signs if values.ndim == 1 else self.signs[:, None]
        taps[self.order] = np.repeat(values, each, axis=0) * signs
        return taps


@dataclass(frozen=True, eq=False)
class Symmetric:
    """The best kernel of a symmetry: what it explains less, and the sums that others are held against."""

    groups: Groups
    gram: Array
    values: Array  # of the best one, group by group
    excess: float
    freedom: int  # of the excess

    @classmethod
    def of(cls, evidence: Evidence, groups: Groups) -> Self:
        """Find it."""
        gram = groups.summed(np.ascontiguousarray(groups.summed(evidence.gram).T))
        values = np.asarray(np.linalg.solve(gram, groups.summed(evidence.cross)), np.float64)
        excess = evidence.excess(groups.spread(values))
        return cls(groups, gram, values, excess, len(evidence.weights) - groups.count)

    @cached_property
    def cross(self) -> Array:
        """The products with what the best one explains."""
        return np.asarray(self.gram @ self.values)


def middles(evidence: Evidence) -> tuple[list[Place], float]:
    """Give where the kernel may be symmetric about, and how much it is: 1 to -1, where a half turn turns it.

    A kernel that a half turn about c leaves as it is has ``sum_t w(c + t) cross(c - t)`` as large as the
    energy, if `before` is the same everywhere: so weighted, taps that the pair hardly tells do not count.
    What lies outside of the window is missing in that sum, so it is had exactly for the best.
    """
    (kh, kw) = evidence.size
    shape = 2 * kh - 1, 2 * kw - 1
    weights, cross = evidence.weights.reshape(kh, kw), evidence.cross.reshape(kh, kw)
    turned = np.fft.irfft2(np.fft.rfft2(weights, shape) * np.fft.rfft2(cross, shape), shape) / evidence.energy
    usual = (2 * (kh // 2), 2 * (kw // 2))
    best = np.argsort(np.abs(np.abs(turned.ravel()) - 1), kind="stable")[:_LOOKED_AT]
    doubled = dict.fromkeys([usual, *(divmod(int(at), shape[1]) for at in best)])
    likeness = {at: _likeness(evidence, *at, odd=turned[at] < 0) for at in doubled}
    found = max(doubled, key=likeness.__getitem__)
    # Where the kernel is wide, places beside the best are nearly as good: whole pixels come first.
    nearly = [at for at in likeness if likeness[at] > likeness[found] - _NEARLY]
    nearly.sort(key=lambda at: (at != usual, at[0] % 2 + at[1] % 2, -likeness[at]))
    chosen = dict.fromkeys([*nearly[:2], found])
    return [(y / 2, x / 2) for y, x in chosen], likeness[found] * (-1 if turned[found] < 0 else 1)


def _likeness(evidence: Evidence, y: int, x: int, *, odd: bool) -> float:
    """Say how alike the kernel is to itself turned about (y / 2, x / 2), or to that with its sign changed."""
    kh, kw = evidence.size
    weights = evidence.weights.reshape(kh, kw)
    rows, columns = y - np.arange(kh), x - np.arange(kw)
    of_rows, of_columns = (rows >= 0) & (rows < kh), (columns >= 0) & (columns < kw)
    turned = np.zeros((kh, kw))
    turned[np.ix_(of_rows, of_columns)] = weights[np.ix_(rows[of_rows], columns[of_columns])]
    away = (weights + turned if odd else weights - turned).ravel()
    return max(1 - float(away @ evidence.gram @ away) / (2 * evidence.energy), 0.0)
