"""What a pair tells of a kernel, wave by wave."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..kernel import Kernel
from ..response import hidden_in_words, hidden_waves, response_stderr
from .fit import Fit, Told

_MOST_TAPS = 1024  # whose directions are looked for again, where some are open: 0.1 s


def with_response(kernel: Kernel, total: NDArray[np.float64], fit: Fit) -> Kernel:
    """Give the kernel the error bars of its frequency response.

    Not where colours are mixed, where the noise is not known, and where constraints or a very large window
    leave something open.
    """
    if kernel.weights.ndim != 2 or not np.isfinite(kernel.noise):
        return kernel
    unseen = None
    if fit.rank < fit.free:
        if fit.free < len(fit.untold) or fit.free > _MOST_TAPS:
            return kernel
        told = Told.of(total)
        unseen = told.directions[:, ~told.seen]
    return replace(kernel, response_stderr=response_stderr(_covariance(kernel, fit), unseen, kernel.size))


def what_is_hidden(kernel: Kernel) -> list[str]:
    """Say of which waves the pair tells nothing."""
    if kernel.response_stderr is None or not kernel.weights.any():
        return []
    words = hidden_in_words(hidden_waves(kernel.weights, kernel.response_stderr))
    return [] if words is None else [f"The pair does not tell what the kernel does {words}."]


def _covariance(kernel: Kernel, fit: Fit) -> NDArray[np.float64]:
    """Give that of the weights, with the error bars that the kernel has."""
    plain = np.sqrt(np.maximum(np.diag(fit.inverse), 0))
    stderr = kernel.stderr.ravel()
    scale = np.full(len(plain), kernel.noise)
    np.divide(stderr, plain, out=scale, where=np.isfinite(stderr) & (plain > 0))
    return np.asarray(fit.inverse * np.outer(scale, scale))
