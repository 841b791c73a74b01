"""What is said of a fit in words."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..borders import NO_STEPS, Steps
from ..kernel import Kernel
from ..moments import Moments
from .curved import CurvedFit
from .fit import Fit, centred, rounding_of
from .waves import what_is_hidden

CHANGES_NOTHING = "`after` equals `before` wherever it counts: this kernel changes nothing."
ONLY_SHIFTS = "`after` equals the shifted `before` wherever it counts: this kernel changes nothing else."


def too_few(
    size: tuple[int, int], count: int, left_out: dict[str, int], unknowns: int, *, channels: int = 1
) -> str:
    """Say why there is no answer."""
    kh, kw = size
    of_channels = f" of {channels} channels" if channels > 1 else ""
    reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
    why = f" ({reasons} were left out)" if reasons else ""
    hint = " Pass clip=None if the ends of the range are data." if "clipped" in reasons else ""
    return (
        f"A {kh} x {kw} kernel{of_channels} with a bias has {unknowns + 1} unknowns, but only "
        f"{count} pixels count{why}. Take a smaller size or larger pictures.{hint}"
    )


def not_white(kernel: Kernel, moments: Moments) -> list[str]:
    """Say so, if error bars rest on blocks of the picture."""
    if kernel.errors != "blocks":
        return []
    blocks = int(np.count_nonzero(moments.sums[:, -2, -2]))
    return [
        f"The noise is not white (near pixels err alike, or some parts more than others): error bars rest on "
        f"{blocks} blocks of the picture."
    ]


def how_to_apply(stride: Steps, dilation: Steps) -> list[str]:
    """Say so, if the kernel must be given a stride or a dilation to do what it was seen to do."""
    steps = {"stride": stride, "dilation": dilation}
    given = ", ".join(f"{name}={tuple(step)}" for name, step in steps.items() if step != NO_STEPS)
    return [f"Learned with {given}: apply it with the same."] if given else []


def what_is_untold(
    moments: Moments, total: NDArray[np.float64], fit: Fit, kernel: Kernel, *, pulled: bool = False
) -> list[str]:
    """Say what the pair leaves open, if it leaves anything open."""
    if fit.rank == fit.free:
        return what_is_hidden(kernel)
    of_what = "taps' directions" if fit.free == len(fit.untold) else "directions that the constraints leave"
    which = "near the smallest" if isinstance(fit, CurvedFit) else "the smallest"
    rest = "the penalty alone decides the rest" if pulled else f"of the kernels that fit, this is {which}"
    return what_does_not_vary(moments, total) or [
        f"The pair determines {fit.rank} of the {fit.free} {of_what}; {rest}.",
        *what_is_hidden(kernel),
    ]


def what_does_not_vary(moments: Moments, total: NDArray[np.float64]) -> list[str]:
    """Say so, if `before` is constant, or is along its rows, columns or channels."""
    kh, kw = moments.size
    taps = moments.channels * kh * kw
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
    return notes


def explains_less(kernel: Kernel, moments: Moments, fit: CurvedFit) -> list[str]:
    """Say what the search found, and so if free taps explain the pair much better than the form asked for.

    Much: a tenth more noise, and more than chance makes of it. If the form holds, the ratio of what its error
    is larger by, a freedom, to the noise of free taps varies about one (F test, Draper & Smith 1998, chapter
    5).
    """
    free = fit.free_fit
    freedom, gained = moments.count - free.rank - 1, free.rank - fit.rank
    if freedom <= 0 or gained <= 0:
        return list(fit.notes)
    noise = sqrt(free.squared_error / freedom)
    ratio = (fit.squared_error - free.squared_error) / gained
    chance = 1 + 5 * sqrt(2 / gained + 2 / freedom)
    spread = moments.total[-1, -1] - moments.total[-1, -2] ** 2 / moments.total[-2, -2]
    if kernel.noise <= 1.1 * noise or ratio <= chance * noise**2 or fit.squared_error <= 1e-14 * spread:
        return list(fit.notes)
    form = f"The family {kernel.family!r}" if kernel.family else "The rank"
    return [
        f"{form} does not explain the pair: noise {kernel.noise:.3g} with it, {noise:.3g} with free taps.",
        *fit.notes,
    ]


def is_identity(kernel: Kernel, stride: Steps, level: float) -> list[str]:
    """Say so, if the kernel changes nothing, or only shifts; `level` is the root mean square of `after`."""
    if kernel.weights.ndim != 2:
        return []
    kh, kw = kernel.weights.shape
    identity = np.zeros((kh, kw))
    identity[kh // 2, kw // 2] = 1
    same = (
        stride == NO_STEPS
        and abs(kernel.bias) <= 1e-10 * level
        and np.abs(kernel.weights - identity).max() <= 1e-10
    )
    if not same:
        return []
    return [CHANGES_NOTHING if kernel.origin == (kh // 2, kw // 2) else ONLY_SHIFTS]
