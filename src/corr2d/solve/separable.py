"""Kernels that are a sum of few products of a column and a row: as quick to run as the products are few."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .constraints import Constraints
from .curved import CurvedFit, Target, as_free, descend, linearised
from .fit import EPS, Fit, least_squares

_Array = NDArray[np.float64]

_TRIED = 8  # rounds from each start, before the best of them goes on


@dataclass(frozen=True)
class Separable:
    """Least squares over the kernels of rank at most `rank`: ``weights = sum_k outer(column_k, row_k)``.

    Minimises ``(w - free)^T gram (w - free)``, gram the centred Gram matrix and free the kernel of the plain
    fit, over the w of that rank (and of that sum). That is a low-rank approximation in a norm of its own: the
    singular vectors of the free kernel are not its answer, and it may have several minima (Manton, Mahony &
    Hua 2003). So it is sought from several starts, by Gauss-Newton steps with alternating least squares after
    each: the best rows for the columns, the best columns for the rows (Kolda & Bader 2009, section 3.4).
    """

    size: tuple[int, int]
    rank: int
    sum: float | None

    @classmethod
    def resolve(cls, size: tuple[int, int], rank: Any, sum: float | None) -> "Separable | None":  # noqa: A002 (the word)
        """Check what the user gave: None if every kernel of this size is of that rank."""
        if not isinstance(rank, Integral):
            raise TypeError(f"`rank` must be a positive integer, got {rank!r}.")
        if int(rank) < 1:
            raise ValueError(f"`rank` must be a positive integer, got {rank!r}.")
        return None if int(rank) >= min(size) else cls(size, int(rank), sum)

    @property
    def unknowns(self) -> int:
        """How many numbers make a kernel of this kind."""
        kh, kw = self.size
        return self.rank * (kh + kw - self.rank) - (self.sum is not None)

    def fit(self, total: _Array) -> CurvedFit:
        """Fit the kernel of least squared error that is of this rank."""
        constraints = Constraints.resolve(
            self.size, sum=self.sum, nonnegative=False, symmetric=None, support=None
        )
        free_fit = least_squares(total) if constraints is None else constraints.fit(total)
        target = Target.of(total, free_fit)
        best = self._nearest(target)
        fit = self._with_error_bars(total, best, free_fit)
        if self.rank > 1:
            fewer = replace(self, rank=self.rank - 1)
            gain = target.distance(fewer._nearest(target).weights) - target.distance(best.weights)
            fit = replace(fit, notes=self._if_it_says_little(gain, fit, total[-2, -2]))
        return fit

    def _nearest(self, target: Target) -> "_Product":
        # Rows first or columns first: of a kernel that sums to zero, the one solved for first takes it on.
        orders = (True, False) if self.sum is not None else (True,)
        starts = [_Product(self, weights) for weights in self._starts(target)]
        swept = [start.swept(target, rows_first) for start in starts for rows_first in orders]
        tried = [descend(point, target, rounds=_TRIED) for point in swept if point is not None]
        return descend(min(tried, key=lambda point: target.distance(point.weights)), target)

    def _starts(self, target: Target) -> Iterator[_Array]:
        """Give kernels, of any rank, whose largest terms are good to begin with."""
        kh, kw = self.size
        free = target.weights.reshape(kh, kw)
        yield free
        # The metric as that of columns times that of rows, in which singular vectors are the answer.
        gram = target.gram.reshape(kh, kw, kh, kw)
        of_columns, of_rows = _root(np.einsum("aubu->ab", gram)), _root(np.einsum("vavb->ab", gram))
        product = _cut(of_columns @ free @ of_rows, self.rank)
        yield np.linalg.solve(of_columns, product) @ np.linalg.inv(of_rows)
        # The first term that was left out, in place of the last that was not.
        columns, values, rows = np.linalg.svd(free, full_matrices=False)
        kept = [*range(self.rank - 1), self.rank]
        yield (columns[:, kept] * values[kept]) @ rows[kept]
        if self.sum:  # singular vectors may all sum to zero, and then no multiple of them is of that sum
            yield np.full(self.size, self.sum / (kh * kw))

    def _with_error_bars(self, total: _Array, best: "_Product", free_fit: Fit) -> CurvedFit:
        values = np.linalg.svd(best.weights.reshape(self.size), compute_uv=False)
        if values[self.rank - 1] > 8 * EPS * max(self.size) * values[0]:
            return linearised(total, best.weights, best.tangent(), free_fit)
        # Of a lower rank still: there the set has no tangent plane, and the error bars are the free ones.
        return as_free(total, best.weights, free_fit)

    def _if_it_says_little(self, gain: float, fit: Fit, n: float) -> tuple[str, ...]:
        """Say so, if the last term is no larger than what noise makes of none."""
        kh, kw = self.size
        variance = fit.squared_error / max(n - fit.rank - 1, 1)
        # The largest singular value of kh x kw white noise is about sqrt(kh) + sqrt(kw) (Geman 1980).
        if gain > variance * (sqrt(kh) + sqrt(kw) + 2) ** 2:
            return ()
        terms = "one term" if self.rank == 2 else f"{self.rank - 1} terms"
        return (f"The pair is explained as well by {terms}: rank={self.rank - 1}.",)


@dataclass(frozen=True)
class _Product:
    """A kernel of some rank."""

    kind: Separable
    weights: _Array

    @cached_property
    def _directions(self) -> _Array:
        rank = self.kind.rank
        columns, _, rows = np.linalg.svd(self.weights.reshape(self.kind.size))
        basis = np.concatenate(
            [np.kron(columns[:, :rank], rows.T), np.kron(columns[:, rank:], rows[:rank].T)], axis=1
        )
        return basis if self.kind.sum is None else _keeping_the_sum(basis)

    def tangent(self) -> _Array:
        """Give the directions that change the columns, the rows or both, but do not raise the rank."""
        return self._directions

    def moved(self, step: _Array, target: Target) -> "_Product":
        """Go on by `step`, and take the best rows and columns from there."""
        there = replace(self, weights=self.weights + self._directions @ step)
        return there.swept(target, rows_first=True) or self

    def swept(self, target: Target, rows_first: bool) -> "_Product | None":
        """Give the best rows for its columns, then the best columns for those rows, or the other way round.

        None if no kernel with these columns, or rows, is of the sum asked for.
        """
        weights: _Array | None = _cut(self.weights.reshape(self.kind.size), self.kind.rank).ravel()
        for of_rows in (rows_first, not rows_first):
            if weights is not None:
                weights = self._settled(weights, target, of_rows)
        return None if weights is None else replace(self, weights=weights)

    def _settled(self, weights: _Array, target: Target, of_rows: bool) -> _Array | None:
        kh, kw = self.kind.size
        columns, _, rows = np.linalg.svd(weights.reshape(kh, kw), full_matrices=False)
        rank = self.kind.rank
        basis = np.kron(columns[:, :rank], np.eye(kw)) if of_rows else np.kron(np.eye(kh), rows[:rank].T)
        if self.kind.sum is not None:
            slope = basis.sum(axis=0)
            missing = self.kind.sum - weights.sum()
            if slope @ slope > 1e-18 * len(slope):
                weights = weights + basis @ slope * (missing / (slope @ slope))
            elif abs(missing) > 1e-9 * np.abs(weights).sum():
                return None
            basis = _keeping_the_sum(basis)
        curvature = basis.T @ target.gram @ basis
        return np.asarray(weights + basis @ np.linalg.solve(curvature, basis.T @ target.pull(weights)))


def _keeping_the_sum(basis: _Array) -> _Array:
    """Give those of the directions in which the sum of the taps stays: of an orthonormal basis, one less."""
    slope = basis.sum(axis=0)
    if slope @ slope <= 1e-18 * len(slope):
        return basis
    return np.asarray(basis @ np.linalg.qr(slope[:, None], mode="complete")[0][:, 1:])


def _cut(kernel: _Array, rank: int) -> _Array:
    """Give the kernel's largest `rank` terms (Eckart & Young 1936)."""
    columns, values, rows = np.linalg.svd(kernel, full_matrices=False)
    return np.asarray((columns[:, :rank] * values[:rank]) @ rows[:rank])


def _root(metric: _Array) -> _Array:
    values, vectors = np.linalg.eigh(metric)
    return np.asarray((vectors * np.sqrt(np.maximum(values, EPS * values[-1]))) @ vectors.T)
