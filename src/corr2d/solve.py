"""From moments to a kernel: least squares, with everything that says how far to believe it."""

from dataclasses import dataclass
from math import fsum, hypot, inf, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from .kernel import Kernel
from .moments import Moments

_EPS = float(np.finfo(np.float64).eps)


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
    condition: float


def solve(moments: Moments) -> Kernel:
    """Fit ``after = sum weights * window + bias`` by least squares.

    Minimises ``sum_i (y_i - w . x_i - b)^2`` over the pixels that count. Where the pair leaves a direction
    of w open, the answer is the w of smallest norm, the error bars of the taps concerned are infinite, and a
    note says why. Error bars are those of white residuals, ``noise^2 (X^T X)^-1`` with noise^2 the squared
    error over the degrees of freedom (Draper & Smith 1998, chapter 5), and what the rounding of the moments
    may add (`least_squares`).

    Raises
    ------
    ValueError
        If fewer pixels count than there are unknowns.
    """
    kh, kw = moments.size
    taps, n = kh * kw, moments.count
    if n < taps + 1:
        raise ValueError(_too_few(moments))
    total = moments.total
    fit = least_squares(total)
    weights, intercept = 0 - fit.coefficients[:taps], -fit.coefficients[taps]  # 0 - 0 is 0, -0 is not
    center_x, center_y = moments.center

    freedom = n - fit.rank - 1
    variance = fit.squared_error / freedom if freedom > 0 else inf
    spread = total[-1, -1] - total[-1, -2] ** 2 / n
    mean = total[:taps, -2] / n + center_x
    stderr = np.full(taps, inf)
    bias_stderr = inf
    if freedom > 0:
        stderr = np.hypot(np.sqrt(np.diag(fit.inverse)) * sqrt(variance), fit.rounding)
        bias_stderr = sqrt(variance * (1 / n + max(float(mean @ fit.inverse @ mean), 0.0)))
        bias_stderr = hypot(bias_stderr, float(np.abs(mean) @ fit.rounding))
    stderr[fit.untold] = inf
    if mean.any() and fit.untold.any():
        bias_stderr = inf
    kernel = Kernel(
        weights=weights.reshape(kh, kw),
        bias=float(center_y + intercept - center_x * fsum(weights)),
        stderr=stderr.reshape(kh, kw),
        bias_stderr=bias_stderr,
        rmse=sqrt(fit.squared_error / n),
        noise=sqrt(variance),
        # A constant `after` leaves of its spread what rounding makes of zero (test_constant_after_has_no_r2).
        r2=1 - fit.squared_error / spread if spread > 8 * _EPS * total[-1, -1] else nan,
        used=n,
        left_out=moments.left_out,
        condition=fit.condition,
        rank=fit.rank,
    )
    return kernel.with_notes(
        *moments.notes, *_what_is_untold(moments, total, fit), *_is_identity(kernel, total)
    )


def least_squares(total: NDArray[np.float64]) -> Fit:
    """Solve the normal equations of ``total = sum z z^T``, z = (window, 1, pixel), by eigenvalues.

    The bias is eliminated first (centring). The residual of the full system is then computed as if exactly,
    and the answer corrected twice: moments that are exact give weights that are, to the last bits (Higham
    2002, chapter 12).
    """
    taps = len(total) - 2
    gram = _centred(total)[:taps, :taps]
    values, vectors = np.linalg.eigh(gram)
    told = values > _rounding(total)
    basis = vectors[:, told]
    # Of amplitudes: a hidden part of 1e-4 is 100 times the error bar of a noise-free tap
    # (test_blurred_picture_is_never_trusted_too_far).
    untold = np.abs(vectors[:, ~told]).max(axis=1, initial=0) > 1e-8
    inverse = (basis / values[told]) @ basis.T
    n, sums = total[-2, -2], total[:taps, -2]
    coefficients = np.zeros(taps + 2)
    coefficients[-1] = 1
    residual = total[:, -1]
    for _ in range(3):
        weights = inverse @ (residual[:taps] - sums * (residual[-2] / n))
        coefficients[:taps] -= weights
        coefficients[taps] -= (residual[-2] - sums @ weights) / n
        # What rounding leaves of a weight that is zero (test_zeros_are_zeros).
        found = coefficients[:taps]
        found[np.abs(found) < _EPS * np.abs(found).max()] = 0
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
        condition=sqrt(values[-1] / values[0]) if told.all() else inf,
    )


def predictor(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give `least_squares(total).coefficients` alone, without the last digits: ten times as fast."""
    taps = len(total) - 2
    centred = _centred(total)
    gram, cross = centred[:taps, :taps], centred[:taps, -1]
    try:
        if np.diag(np.linalg.cholesky(gram)).min() ** 2 <= _rounding(total):
            return least_squares(total).coefficients
    except np.linalg.LinAlgError:
        return least_squares(total).coefficients
    weights = np.linalg.solve(gram, cross)
    intercept = (total[-1, -2] - total[:taps, -2] @ weights) / total[-2, -2]
    return np.concatenate([-weights, [-intercept, 1.0]])


def _centred(total: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(total - np.outer(total[-2], total[-2]) / total[-2, -2])


def _rounding(total: NDArray[np.float64]) -> float:
    """Say what rounding leaves of an eigenvalue that is zero: as large as the sums were before centring."""
    taps = len(total) - 2
    return 8 * taps * _EPS * float(np.diag(total)[:taps].max())


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
    return np.asarray(_EPS * (np.abs(total) @ np.abs(coefficients)))


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


def _too_few(moments: Moments) -> str:
    kh, kw = moments.size
    reasons = ", ".join(f"{n} {reason}" for reason, n in moments.left_out.items() if n)
    why = f" ({reasons} were left out)" if reasons else ""
    hint = " Pass clip=None if the ends of the range are data." if "clipped" in reasons else ""
    return (
        f"A {kh} x {kw} kernel with a bias has {kh * kw + 1} unknowns, but only {moments.count} pixels "
        f"count{why}. Take a smaller size or larger pictures.{hint}"
    )


def _what_is_untold(moments: Moments, total: NDArray[np.float64], fit: Fit) -> list[str]:
    kh, kw = moments.size
    taps = kh * kw
    if fit.rank == taps:
        return []
    if fit.rank == 0:
        return ["`before` is constant: the pair tells nothing about the kernel, only the level of `after`."]
    gram = total[:taps, :taps]
    variance = np.diag(gram)

    def varies(step: int, pairs: NDArray[np.intp]) -> bool:  # sum of (x_i - x_j)^2 over neighbouring taps
        i, j = pairs, pairs + step
        return bool(np.any(variance[i] + variance[j] - 2 * gram[i, j] > _rounding(total)))

    grid = np.arange(taps).reshape(kh, kw)
    notes = []
    if kh > 1 and not varies(kw, grid[:-1].ravel()):
        notes.append(
            "`before` does not change from row to row: the pair tells only the sum of each kernel column."
        )
    if kw > 1 and not varies(1, grid[:, :-1].ravel()):
        notes.append(
            "`before` does not change from column to column: the pair tells only the sum of each kernel row."
        )
    return notes or [
        f"The pair determines {fit.rank} of the {taps} taps' directions; of the kernels that fit, this is "
        f"the smallest."
    ]


def _is_identity(kernel: Kernel, total: NDArray[np.float64]) -> list[str]:
    kh, kw = kernel.weights.shape
    identity = np.zeros((kh, kw))
    identity[kh // 2, kw // 2] = 1
    scale = sqrt(total[-1, -1] / total[-2, -2])
    same = abs(kernel.bias) <= 1e-10 * scale and np.abs(kernel.weights - identity).max() <= 1e-10
    return ["`after` equals `before` wherever it counts: this kernel changes nothing."] if same else []
