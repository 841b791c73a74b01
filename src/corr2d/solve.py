"""From moments to a kernel: least squares, with everything that says how far to believe it."""

from dataclasses import dataclass
from math import fsum, inf, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from .kernel import Kernel
from .moments import Moments

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Fit:
    """The least-squares answer, as numbers about the moments' centre.

    ``coefficients`` are ``(-weights, -intercept, 1)``: their product with z = (window, 1, pixel) is the residual.
    """

    coefficients: NDArray[np.float64]
    squared_error: float  # summed over the pixels
    inverse: NDArray[np.float64]  # of the centred Gram matrix, on what the pair determines
    untold: NDArray[np.float64]  # per tap: how much of it lies in directions that the pair does not determine, 0 to 1
    rank: int
    condition: float


def solve(moments: Moments) -> Kernel:
    """Fit ``after = sum weights * window + bias`` by least squares.

    Minimises ``sum_i (y_i - w . x_i - b)^2`` over the pixels that count. Where the pair leaves a direction of w
    open, the answer is the w of smallest norm, the error bars of the taps concerned are infinite, and a note says
    why. Error bars are those of white residuals: ``noise^2 (X^T X)^-1``, noise^2 being the squared error over the degrees of
    freedom (Draper & Smith 1998, chapter 5).

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
    weights, intercept = -fit.coefficients[:taps], -fit.coefficients[taps]
    center_x, center_y = moments.center

    freedom = n - fit.rank - 1
    variance = fit.squared_error / freedom if freedom > 0 else inf
    spread = total[-1, -1] - total[-1, -2] ** 2 / n
    mean = total[:taps, -2] / n + center_x
    stderr = np.sqrt(np.maximum(np.diag(fit.inverse), 0)) * sqrt(variance) if freedom > 0 else np.full(taps, inf)
    stderr[fit.untold > 1e-8] = inf
    bias_stderr = sqrt(variance * (1 / n + max(float(mean @ fit.inverse @ mean), 0.0))) if freedom > 0 else inf
    if mean.any() and (fit.untold > 1e-8).any():
        bias_stderr = inf
    kernel = Kernel(
        weights=weights.reshape(kh, kw),
        bias=float(center_y + intercept - center_x * fsum(weights)),
        stderr=stderr.reshape(kh, kw),
        bias_stderr=bias_stderr,
        rmse=sqrt(fit.squared_error / n),
        noise=sqrt(variance),
        r2=1 - fit.squared_error / spread if spread > 0 else nan,
        used=n,
        left_out=moments.left_out,
        condition=fit.condition,
        rank=fit.rank,
    )
    return kernel.with_notes(*moments.notes, *_what_is_untold(moments, total, fit), *_is_identity(kernel, fit))


def least_squares(total: NDArray[np.float64]) -> Fit:
    """Solve the normal equations of ``total = sum z z^T``, z = (window, 1, pixel), by eigenvalues.

    The bias is eliminated first (centring). The residual of the full system is then computed as if exactly, and
    the answer corrected twice: moments that are exact give weights that are, to the last bits (Higham 2002,
    chapter 12).
    """
    taps = len(total) - 2
    gram = _centred(total)[:taps, :taps]
    values, vectors = np.linalg.eigh(gram)
    told = values > _rounding(total)
    basis = vectors[:, told]
    inverse = (basis / values[told]) @ basis.T
    n, sums = total[-2, -2], total[:taps, -2]
    coefficients = np.zeros(taps + 2)
    coefficients[-1] = 1
    residual = total[:, -1]
    for _ in range(3):
        weights = inverse @ (residual[:taps] - sums * (residual[-2] / n))
        coefficients[:taps] -= weights
        coefficients[taps] -= (residual[-2] - sums @ weights) / n
        residual = _exact_product(total, coefficients)
    return Fit(
        coefficients=coefficients,
        squared_error=max(fsum(coefficients * residual), 0.0),
        inverse=inverse,
        untold=1 - np.einsum("ij,ij->i", basis, basis),
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
    """What rounding leaves of an eigenvalue that is zero: as large as the sums were before centring."""
    taps = len(total) - 2
    return 8 * taps * _EPS * float(np.diag(total)[:taps].max())


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
        f"A {kh} x {kw} kernel with a bias has {kh * kw + 1} unknowns, but only {moments.count} pixels count{why}. "
        f"Take a smaller size or larger pictures.{hint}"
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
        notes.append("`before` does not change from row to row: the pair tells only the sum of each kernel column.")
    if kw > 1 and not varies(1, grid[:, :-1].ravel()):
        notes.append("`before` does not change from column to column: the pair tells only the sum of each kernel row.")
    return notes or [
        f"The pair determines {fit.rank} of the {taps} taps' directions; of the kernels that fit, this is the smallest."
    ]


def _is_identity(kernel: Kernel, fit: Fit) -> list[str]:
    kh, kw = kernel.weights.shape
    identity = np.zeros((kh, kw))
    identity[kh // 2, kw // 2] = 1
    same = fit.squared_error == 0 and kernel.bias == 0 and np.array_equal(kernel.weights, identity)
    return ["`after` equals `before` wherever it counts: this kernel changes nothing."] if same else []
