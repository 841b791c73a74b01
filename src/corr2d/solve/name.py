"""The name of a kernel that was found, where the pair determines it."""

from dataclasses import replace

import numpy as np

from ..borders import NO_STEPS
from ..kernel import Kernel
from ..moments import Moments
from ..naming import Evidence, named_filter
from .background import Background
from .curved import CurvedFit
from .fit import Fit, centred, least_squares

_MOST = 1000  # taps: some 31 x 31, where finding a name takes as long as finding the kernel
_FOLDS = 4  # so many must hold pixels, for them to say how alike noise is from pixel to pixel
_DIGITS = 1e-9  # of the taps: where sums are exact, what solving for them leaves
_PULLED = 0.01  # of the energy: what constraints and penalties may change of a kernel that keeps its name


def with_name(kernel: Kernel, moments: Moments, background: Background, fit: Fit) -> Kernel:
    """Give the kernel its name and the parameters that go with it, if it is a known filter.

    It is judged by what the pair says of free taps. Nothing is said where the pair leaves taps open, where
    there are gaps between taps, or of a kernel that was fitted as a family.
    """
    taps = len(background.left) - 2
    if kernel.weights.ndim != 2 or kernel.family is not None or taps > _MOST:
        return kernel
    if moments.dilation != NO_STEPS or moments.count < taps + 2 + len(background.mean):
        return kernel
    free = _free_fit(kernel, background, fit)
    if free is None or free.rank < taps or not np.isfinite(free.squared_error):
        return kernel
    evidence = _evidence(kernel, moments, background, free)
    if evidence.excess(kernel.weights.ravel()) > _PULLED * evidence.energy:
        return kernel
    named = named_filter(evidence)
    return kernel if named is None else replace(kernel, name=named.name, parameters=named.parameters)


def _free_fit(kernel: Kernel, background: Background, fit: Fit) -> Fit | None:
    """Give the fit of free taps: this one, if it is."""
    if isinstance(fit, CurvedFit):
        return fit.free_fit
    taps = kernel.weights.size
    if fit.free == taps and fit.degrees == fit.rank:
        return fit
    return least_squares(background.left)


def _evidence(kernel: Kernel, moments: Moments, background: Background, fit: Fit) -> Evidence:
    total = background.left
    taps = len(total) - 2
    freedom = max(moments.count - fit.rank - len(background.mean) - 1, 1)
    variance = fit.squared_error / freedom
    mean = total[:taps, -2] / total[-2, -2]
    gram = np.ascontiguousarray(centred(total)[:taps, :taps])
    weights = 0 - fit.coefficients[:taps]

    def spreading() -> float:
        """Compare how the blocks of the picture disagree with how they would under noise of no likeness.

        The mean of ``score . inverse . score`` over the blocks, in units of the noise's variance: one for
        each tap if it is white (as the overdispersion of McCullagh & Nelder 1989, section 4.5).
        """
        sums = background.without(moments.sums)
        scores = sums @ fit.coefficients
        about_mean = scores[:, :taps] - np.outer(scores[:, taps], mean)
        folds = int(np.count_nonzero(sums[:, -2, -2]))
        if folds < _FOLDS or variance == 0:
            return 1.0
        squares = np.vdot(about_mean @ fit.inverse, about_mean)  # in this order: scores may be 1e160
        return float(squares) * folds / ((folds - 1) * taps * variance)

    rounding = max(
        float(fit.rounding @ np.sqrt(np.diag(gram))) ** 2, _DIGITS**2 * float(weights @ gram @ weights)
    )
    unit = float(np.diag(gram).max())  # of all squares: those of 1e80 could not be squared again
    return Evidence(
        size=moments.size,
        stride=moments.stride,
        gram=gram / unit,
        weights=weights,
        stderr=np.sqrt(np.diag(fit.inverse) * variance),
        count=moments.count,
        squared_error=fit.squared_error / unit,
        variance=variance / unit,
        rounding=rounding / unit,
        bias=(kernel.bias, kernel.bias_stderr),
        shift=moments.shift,
        spreading=spreading,
    )
