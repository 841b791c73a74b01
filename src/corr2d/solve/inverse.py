"""Inverting a Gram matrix where it stands, and how far its eigenvalues reach."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_BLOCK = 192  # columns eliminated together
_ROWS = 768  # updated together: 26 MB of a 65 x 65 window's
SMALL = 256  # up to this order Cholesky's factor is inverted, and all eigenvalues found: that is quicker
_STEPS = 100
_FOUND = 1e-3  # what an eigenvector may be off by: its eigenvalue has four digits (test_extreme_eigenvalues)


def invert(gram: NDArray[np.float64], least: float) -> bool:
    """Replace a symmetric matrix by its inverse, if all its eigenvalues are larger than `least`.

    False if a pivot is not positive, or the inverse leaves it open whether they are: what is in `gram` is
    then of no use. Only the lower triangle is read.

    Gauss-Jordan elimination by blocks (Higham 2002, section 14.4), on the lower triangle alone. The pivots
    are those of Cholesky's factor, and what rounding does is what it does there: it depends on the condition
    after the best scaling of the diagonal, whatever the scale is (Higham 2002, theorem 10.6). No eigenvalue
    of the inverse is larger than its Frobenius norm.
    """
    try:
        if len(gram) <= SMALL:
            gram[:] = _inverse_of_few(gram)
        else:
            _eliminate(gram)
    except np.linalg.LinAlgError:
        return False
    return sum(float(np.sum((gram[rows] * least) ** 2)) for rows in slices(len(gram))) < 1


def _inverse_of_few(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    factor = np.linalg.inv(np.linalg.cholesky(gram))
    return np.asarray(factor.T @ factor)


def _eliminate(gram: NDArray[np.float64]) -> None:
    """Invert in place. Raises LinAlgError if a pivot is not positive."""
    n = len(gram)
    for start in range(0, n, _BLOCK):
        block = slice(start, min(start + _BLOCK, n))
        pivot = _inverse_of_few(gram[block, block])
        columns = np.concatenate([gram[block, :start].T, gram[start:, block]])
        scaled = columns @ pivot
        for rows in slices(n):
            gram[rows, : rows.stop] -= scaled[rows] @ columns[: rows.stop].T
        gram[block, :start] = scaled[:start].T
        gram[start:, block] = scaled[start:]
        gram[block, block] = -pivot
    for rows in slices(n):  # what stands there is minus the inverse
        gram[rows, : rows.stop] *= -1
        gram[rows, rows] = np.tril(gram[rows, rows]) + np.tril(gram[rows, rows], -1).T
        gram[: rows.start, rows] = gram[rows, : rows.start].T


def slices(n: int) -> list[slice]:
    """Cut a large matrix into slices of some rows, so that what is made of each takes little memory."""
    return [slice(top, min(top + _ROWS, n)) for top in range(0, n, _ROWS)]


def absolute_product(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give abs(matrix) @ abs(vector), without the matrix of absolute values."""
    magnitudes = np.abs(vector)
    return np.concatenate([np.abs(matrix[rows]) @ magnitudes for rows in slices(len(matrix))])


def largest_eigenvalue(product: Callable[[NDArray[np.float64]], NDArray[np.float64]], order: int) -> float:
    """Find the largest eigenvalue of a symmetric matrix from its products with vectors, to a few digits.

    Lanczos' method with all vectors kept orthogonal (Golub & Van Loan 2013, section 10.3).
    """
    steps = min(order, _STEPS)
    vectors, tridiagonal = np.zeros((steps + 1, order)), np.zeros((steps + 1, steps + 1))
    vectors[0] = np.random.default_rng(0).standard_normal(order)
    vectors[0] /= np.linalg.norm(vectors[0])
    for step in range(steps):
        seen = vectors[: step + 1]
        new = product(vectors[step])
        tridiagonal[step, step] = vectors[step] @ new
        for _ in range(2):  # once leaves what rounding made of large components
            new -= (seen @ new) @ seen
        length = float(np.linalg.norm(new))
        values, combinations = np.linalg.eigh(tridiagonal[: step + 1, : step + 1])
        if length * abs(combinations[-1, -1]) <= _FOUND * values[-1]:
            break
        tridiagonal[step, step + 1] = tridiagonal[step + 1, step] = length
        vectors[step + 1] = new / length
    return float(values[-1])
