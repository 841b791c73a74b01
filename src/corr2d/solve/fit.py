"""Least squares on moments, to the last digits that they hold."""

from dataclasses import dataclass
from math import fsum, inf, sqrt

import numpy as np
from numpy.typing import NDArray

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
    untold: NDArray[np.bool_]  # per tap: part of it lies in directions that the pair does not determine
    rounding: NDArray[np.float64]  # per tap: what the rounding of the moments may have made of it
    rank: int
    free: int  # directions that the constraints leave; `rank` of them are determined
    condition: float


def least_squares(
    total: NDArray[np.float64],
    start: NDArray[np.float64] | None = None,
    basis: NDArray[np.float64] | None = None,
) -> Fit:
    """Solve the normal equations of ``total = sum z z^T``, z = (window, 1, pixel), by eigenvalues.

    The weights are `start` (zeros) plus a combination of the orthonormal columns of `basis` (all directions).

    The bias is eliminated first (centring). The residual of the full system is then computed as if exactly,
    and the answer corrected twice: moments that are exact give weights that are, to the last bits (Higham
    2002, chapter 12).
    """
    taps = len(total) - 2
    gram = centred(total)[:taps, :taps]
    values, vectors = np.linalg.eigh(gram if basis is None else basis.T @ gram @ basis)
    told = values > rounding_of(total)
    directions = vectors if basis is None else basis @ vectors
    seen = directions[:, told]
    # Of amplitudes: a hidden part of 1e-4 is 100 times the error bar of a noise-free tap
    # (test_blurred_picture_is_never_trusted_too_far).
    untold = np.abs(directions[:, ~told]).max(axis=1, initial=0) > 1e-8
    inverse = (seen / values[told]) @ seen.T
    n, sums = total[-2, -2], total[:taps, -2]
    coefficients = np.zeros(taps + 2)
    coefficients[-1] = 1
    residual = total[:, -1]
    if start is not None:
        coefficients[:taps] = 0 - start
        residual = _exact_product(total, coefficients)
    for _ in range(3):
        weights = inverse @ (residual[:taps] - sums * (residual[-2] / n))
        coefficients[:taps] -= weights
        coefficients[taps] -= (residual[-2] - sums @ weights) / n
        # What rounding leaves of a weight that is zero (test_zeros_are_zeros).
        found = coefficients[:taps]
        found[np.abs(found) < EPS * np.abs(found).max()] = 0
        residual = _exact_product(total, coefficients)
    rounding = _rounding_of_product(total, coefficients)
    return Fit(
        coefficients=coefficients,
        # Noise below that of the sums cannot be told from none: 1e-8 of the contrast
        # (test_weights_that_cancel).
        squared_error=max(fsum(coefficients * residual), float(np.abs(coefficients) @ rounding)),
        inverse=inverse,
        untold=untold,
        rounding=np.abs(inverse) @ rounding[:taps],
        rank=int(told.sum()),
        free=len(values),
        condition=(sqrt(values[-1] / values[0]) if len(values) else 1.0) if told.all() else inf,
    )


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
    return np.asarray(total - np.outer(total[-2], total[-2]) / total[-2, -2])


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
    largest = float(np.abs(total).max())
    step = min(1.0, 2.0 ** (np.ceil(np.log2(largest)) - 44))
    if largest < 2**53 and not (total % step).any():
        return np.zeros(len(total))
    return np.asarray(EPS * (np.abs(total) @ np.abs(coefficients)))


def _exact_product(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give matrix @ vector, each sum rounded once: error-free products (Dekker 1971), then an exact sum."""
    product = matrix * vector
    a, b = _halves(matrix)
    c, d = _halves(vector)
    error = ((a * c - product) + a * d + b * c) + b * d
    return np.array([fsum(row) for row in np.concatenate([product, error], axis=1).tolist()])


def _halves(a: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    high = a * 134217729.0  # 2**27 + 1
    high = high - (high - a)
    return high, a - high
