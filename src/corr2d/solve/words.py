"""What is said of a fit in words."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..borders import NO_STEPS
from ..kernel import Kernel
from ..moments import Moments
from .fit import Fit, centred, rounding_of

CHANGES_NOTHING = "`after` equals `before` wherever it counts: this kernel changes nothing."
ONLY_SHIFTS = "`after` equals the shifted `before` wherever it counts: this kernel changes nothing else."


def too_few(moments: Moments, unknowns: int) -> str:
    """Say why there is no answer."""
    kh, kw = moments.size
    of_channels = f" of {moments.channels} channels" if moments.channels > 1 else ""
    reasons = ", ".join(f"{n} {reason}" for reason, n in moments.left_out.items() if n)
    why = f" ({reasons} were left out)" if reasons else ""
    hint = " Pass clip=None if the ends of the range are data." if "clipped" in reasons else ""
    return (
        f"A {kh} x {kw} kernel{of_channels} with a bias has {unknowns + 1} unknowns, but only "
        f"{moments.count} pixels count{why}. Take a smaller size or larger pictures.{hint}"
    )


def how_to_apply(moments: Moments) -> list[str]:
    """Say so, if the kernel must be given a stride or a dilation to do what it was seen to do."""
    steps = {"stride": moments.stride, "dilation": moments.dilation}
    given = ", ".join(f"{name}={tuple(step)}" for name, step in steps.items() if step != NO_STEPS)
    return [f"Learned with {given}: apply it with the same."] if given else []


def what_is_untold(
    moments: Moments, total: NDArray[np.float64], fit: Fit, *, pulled: bool = False
) -> list[str]:
    """Say what the pair leaves open, if it leaves anything open."""
    kh, kw = moments.size
    taps = moments.channels * kh * kw
    if fit.rank == fit.free:
        return []
    if np.diag(centred(total))[:taps].max() <= rounding_of(total):
        return ["`before` is constant: the pair tells nothing about the kernel, only the level of `after`."]
    gram = total[:taps, :taps]
    variance = np.diag(gram)

    def varies(step: int, pairs: NDArray[np.intp]) -> bool:  # sum of (x_i - x_j)^2 over neighbouring taps
        i, j = pairs, pairs + step
        return bool(np.any(variance[i] + variance[j] - 2 * gram[i, j] > rounding_of(total)))

    grid = np.arange(taps).reshape(-1, kh, kw)
    notes = []
    if kh > 1 and not varies(kw, grid[:, :-1].ravel()):
        notes.append(
            "`before` does not change from row to row: the pair tells only the sum of each kernel column."
        )
    if kw > 1 and not varies(1, grid[:, :, :-1].ravel()):
        notes.append(
            "`before` does not change from column to column: the pair tells only the sum of each kernel row."
        )
    middle = grid[:, kh // 2, kw // 2]
    of_middle = centred(total)[np.ix_(middle, middle)]
    if moments.channels > 1 and np.linalg.matrix_rank(of_middle, hermitian=True) < moments.channels:
        notes.append("The channels of `before` are not independent: the pair does not tell what each adds.")
    of_what = "taps' directions" if fit.free == taps else "directions that the constraints leave"
    rest = "the penalty alone decides the rest" if pulled else "of the kernels that fit, this is the smallest"
    return notes or [f"The pair determines {fit.rank} of the {fit.free} {of_what}; {rest}."]


def is_identity(kernel: Kernel, moments: Moments, total: NDArray[np.float64]) -> list[str]:
    """Say so, if the kernel changes nothing."""
    if kernel.weights.ndim != 2:
        return []
    kh, kw = kernel.weights.shape
    identity = np.zeros((kh, kw))
    identity[kh // 2, kw // 2] = 1
    scale = sqrt(total[-1, -1] / total[-2, -2])
    same = (
        moments.stride == NO_STEPS
        and abs(kernel.bias) <= 1e-10 * scale
        and np.abs(kernel.weights - identity).max() <= 1e-10
    )
    return [CHANGES_NOTHING] if same else []
