"""Least squares on moments, to the last digits that they hold."""

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum, inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _engine
from ..threads import resolve_threads
from .inverse import SMALL, absolute_product, invert, largest_eigenvalue, slices

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Fit:
    """The least-squares answer, as numbers about the moments' centre.

    ``coefficients`` are ``(-weights, -intercept, 1)``: their product with z = (window, 1, pixel) is the
    residual.
    """

    coefficients: NDArray[np.float64]
    squared_error: float  # summed over the pixels
    inverse: NDArray[np.float64]  # of the centred Gram matrix, on what the pair determines
    response: NDArray[np.float64]  # its product with ``sum window * noise`` is what that makes of the weights
    untold: NDArray[np.bool_]  # per tap: part of it lies in directions that the pair does not determine
    hidden: NDArray[np.float64]  # (taps, k): those directions, orthonormal
    rounding: NDArray[np.float64]  # per tap: what the rounding of the moments may have made of it
    rank: int
    free: int  # directions that the constraints leave; `rank` of them are determined
    condition: float
    degrees: float  # of freedom that the answer takes: the rank, or less under a penalty


@dataclass(frozen=True)
class Told:
    """What the sums determine of the weights, and what they leave open."""

    values: NDArray[np.float64]  # eigenvalues of the centred Gram matrix, the smallest first
    directions: NDArray[np.float64]  # of the weights, column by column, each with its eigenvalue
    seen: NDArray[np.bool_]  # which of them rounding alone could not have made

    @classmethod
    def of(cls, total: NDArray[np.float64], basis: NDArray[np.float64] | None = None) -> "Told":
        """Look at all directions, or at those of the orthonormal columns of `basis`."""
        taps = len(total) - 2
        gram = centred(total)[:taps, :taps]
        values, vectors = np.linalg.eigh(gram if basis is None else basis.T @ gram @ basis)
        return cls(values, vectors if basis is None else basis @ vectors, values > rounding_of(total))

    @property
    def rank(self) -> int:
        """How many directions are determined."""
        return int(self.seen.sum())

    @property
    def hidden(self) -> NDArray[np.float64]:
        """Give the directions that are left open."""
        return self.directions[:, ~self.seen]

    @property
    def untold(self) -> NDArray[np.bool_]:
        """Say of each tap whether part of it is left open."""
        # Of amplitudes: a hidden part of 1e-4 is 100 times the error bar of a noise-free tap
        # (test_blurred_picture_is_never_trusted_too_far).
        return np.asarray(np.abs(self.hidden).max(axis=1, initial=0) > 1e-8)

    @property
    def condition(self) -> float:
        """Give the ratio of the singular values of the windows."""
        if not self.seen.all():
            return inf
        return sqrt(self.values[-1] / self.values[0]) if len(self.values) else 1.0


def least_squares(
    total: NDArray[np.float64],
    start: NDArray[np.float64] | None = None,
    basis: NDArray[np.float64] | None = None,
) -> Fit:
    """Solve the normal equations of ``total = sum z z^T``, z = (window, 1, pixel).

    The weights are `start` (zeros) plus a combination of the orthonormal columns of `basis` (all directions).

    The bias is eliminated first (centring), and the rest inverted: by elimination, or by eigenvalues where
    some of them may be rounding. The residual of the full system is then computed as if exactly, and the
    answer corrected twice: moments that are exact give weights that are, to the last bits (Higham 2002,
    chapter 12).
    """
    taps = len(total) - 2
    known = _by_elimination(total, basis) or _by_eigenvalues(Told.of(total, basis))
    n, sums = total[-2, -2], total[:taps, -2]
    coefficients = np.zeros(taps + 2)
    coefficients[-1] = 1
    residual = total[:, -1]
    if start is not None:
        coefficients[:taps] = 0 - start
        residual = exact_product(total, coefficients)
    for _ in range(3):
        weights = known.correct(residual[:taps] - sums * (residual[-2] / n))
        coefficients[:taps] -= weights
        coefficients[taps] -= (residual[-2] - sums @ weights) / n
        # What rounding leaves of a weight that is zero (test_zeros_are_zeros).
        found = coefficients[:taps]
        found[np.abs(found) < EPS * np.abs(found).max()] = 0
        residual = exact_product(total, coefficients)
    rounding = _rounding_of_product(total, coefficients)
    return Fit(
        coefficients=coefficients,
        squared_error=_squared_error(coefficients, residual, rounding),
        inverse=known.inverse,
        response=known.inverse,
        untold=known.untold,
        hidden=known.hidden,
        rounding=absolute_product(known.inverse, rounding[:taps]) if rounding.any() else rounding[:taps],
        rank=known.rank,
        free=known.free,
        condition=known.condition,
        degrees=known.rank,
    )


class _Known(NamedTuple):
    """What the windows alone say: the part of a `Fit` that does not depend on `after`."""

    inverse: NDArray[np.float64]
    # Its product with a vector. Not by the inverse of a plane of kernels, which leaves the plane where it is
    # large (test_equations_hold_where_the_penalty_is_weak_and_alone).
    correct: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    untold: NDArray[np.bool_]
    hidden: NDArray[np.float64]
    rank: int
    free: int
    condition: float


def _by_elimination(total: NDArray[np.float64], basis: NDArray[np.float64] | None) -> _Known | None:
    """Invert the centred Gram matrix, in the memory of one more; None if an eigenvalue may be rounding."""
    taps = len(total) - 2
    free = taps if basis is None else basis.shape[1]
    if free == 0:
        return None
    inverse = centred(total)[:taps, :taps]
    gram = None if basis is None else basis.T @ inverse @ basis
    if gram is not None:
        inverse = gram.copy()
    few = np.linalg.eigvalsh(inverse) if free <= SMALL else None
    if not invert(inverse, rounding_of(total)):
        return None

    def product(v: NDArray[np.float64]) -> NDArray[np.float64]:
        if gram is not None:
            return np.asarray(gram @ v)
        sums = total[:taps, -2]
        return np.asarray(total[:taps, :taps] @ v - sums * (sums @ v / total[-2, -2]))

    if few is not None:
        condition = sqrt(few[-1] / few[0])
    else:
        condition = sqrt(largest_eigenvalue(product, free) * largest_eigenvalue(inverse.__matmul__, free))
    if basis is None:
        return _Known(inverse, inverse.__matmul__, *_nothing(taps), free, free, condition)
    untold, hidden = _nothing(taps)
    return _Known(
        inverse=basis @ inverse @ basis.T,
        correct=lambda v: basis @ (inverse @ (basis.T @ v)),
        untold=untold,
        hidden=hidden,
        rank=free,
        free=free,
        condition=condition,
    )


def _nothing(taps: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Give what is untold and hidden, where nothing is."""
    return np.zeros(taps, np.bool_), np.zeros((taps, 0))


def _by_eigenvalues(told: Told) -> _Known:
    """Invert the centred Gram matrix on the directions whose eigenvalues rounding alone could not make."""
    values, seen = told.values[told.seen], told.directions[:, told.seen]
    return _Known(
        inverse=(seen / values) @ seen.T,
        correct=lambda v: seen @ ((seen.T @ v) / values),
        untold=told.untold,
        hidden=told.hidden,
        rank=told.rank,
        free=len(told.values),
        condition=told.condition,
    )


def squared_error(total: NDArray[np.float64], coefficients: NDArray[np.float64]) -> float:
    """Give the squared error that coefficients leave, summed over the pixels."""
    rounding = _rounding_of_product(total, coefficients)
    return _squared_error(coefficients, exact_product(total, coefficients), rounding)


def _squared_error(
    coefficients: NDArray[np.float64], residual: NDArray[np.float64], rounding: NDArray[np.float64]
) -> float:
    # Noise below that of the sums cannot be told from none: 1e-8 of the contrast (test_weights_that_cancel).
    return max(fsum(coefficients * residual), float(np.abs(coefficients) @ rounding))


def predictor(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give `least_squares(total).coefficients` alone, without the last digits: ten times as fast."""
    taps = len(total) - 2
    about_mean = centred(total)
    gram, cross = about_mean[:taps, :taps], about_mean[:taps, -1]
    try:
        if np.diag(np.linalg.cholesky(gram)).min() ** 2 <= rounding_of(total):
            return least_squares(total).coefficients
    except np.linalg.LinAlgError:
        return least_squares(total).coefficients
    weights = np.linalg.solve(gram, cross)
    intercept = (total[-1, -2] - total[:taps, -2] @ weights) / total[-2, -2]
    return np.concatenate([-weights, [-intercept, 1.0]])


def centred(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eliminate the bias: what z varies about its mean."""
    about_mean = np.outer(total[-2], total[-2])
    about_mean /= total[-2, -2]
    return np.asarray(np.subtract(total, about_mean, out=about_mean))


def rounding_of(total: NDArray[np.float64]) -> float:
    """Say what rounding leaves of an eigenvalue that is zero: as large as the sums were before centring."""
    taps = len(total) - 2
    return 8 * taps * EPS * float(np.diag(total)[:taps].max())


def _rounding_of_product(
    total: NDArray[np.float64], coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Say what the rounding of the sums may have made of ``total @ coefficients``.

    Nothing, if they are exact: all of them integers, or multiples of a step that needs no more than 44 bits.
    """
    largest = max(float(total.max()), -float(total.min()))
    step = min(1.0, 2.0 ** (np.ceil(np.log2(largest)) - 44))
    if largest < 2**53 and all(_is_whole(total[rows] / step) for rows in slices(len(total))):
        return np.zeros(len(total))
    return EPS * absolute_product(total, coefficients)


def _is_whole(numbers: NDArray[np.float64]) -> bool:
    return bool((np.rint(numbers) == numbers).all())


def exact_product(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give matrix @ vector, right to about the last bit whatever cancels (engine/exact.cpp)."""
    product = np.empty(len(matrix))
    _engine.exact_products(matrix, vector, product, resolve_threads(None, 30 * matrix.size))
    return product
