"""The size of the window, where the shapes do not tell it."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .borders import NO_STEPS, Pads, Steps, result_shape
from .moments import Moments
from .solve.fit import predictor

LARGEST = 15  # tried unasked; 15 x 15 costs some 20 ms a megapixel
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Choice:
    """A size and how well it predicts pixels that it was not fitted to."""

    size: tuple[int, int]
    error: float  # mean square over the held-out pixels
    spread: float  # variance of `after`


def largest_window(
    shapes: list[tuple[int, ...]], limit: int, stride: Steps = NO_STEPS, dilation: Steps = NO_STEPS
) -> tuple[int, int]:
    """Give the largest odd window up to `limit` that has twice as many places in each picture as unknowns."""

    def fitting(k: int, n: int, gap: int) -> int:
        most = min(k, (n - 1) // gap + 1)
        return most - 1 + most % 2

    for k in range(limit, 1, -2):
        kh = min(fitting(k, h, dilation.rows) for h, _ in shapes)
        kw = min(fitting(k, w, dilation.columns) for _, w in shapes)
        if kh > 0 < kw and all(
            _places(shape, (kh, kw), stride, dilation) >= 2 * (kh * kw + 1) for shape in shapes
        ):
            return kh, kw
    return 1, 1


def _places(shape: tuple[int, ...], size: tuple[int, int], stride: Steps, dilation: Steps) -> int:
    rows, columns = result_shape((shape[0], shape[1]), size, Pads(0, 0, 0, 0), stride, dilation)
    return max(rows, 0) * max(columns, 0)


def choose_size(moments: Moments) -> Choice:
    """Choose the smallest odd window that predicts held-out blocks as well as the best does.

    Each block (fold) of the picture is predicted from a fit to the others. As well: the mean squared error
    is larger by at most one standard error of that difference over the blocks (Breiman et al. 1984, section
    3.4.3, with paired differences), or by what rounding makes of zero.

    Raises ValueError if one block holds more than half of the pixels: the others could not predict it.
    """
    counts = moments.sums[:, -2, -2]
    if counts.max() > counts.sum() / 2 and moments.count > 1:
        raise ValueError(
            "`size` must be given: more than half of the pixels that count lie in one block of the "
            "picture, and too few outside it to test a size on."
        )
    kh, kw = moments.size
    sizes = dict.fromkeys((min(k, kh), min(k, kw)) for k in range(1, max(kh, kw) + 1, 2))
    beside = moments.sums.shape[-1] - moments.channels * kh * kw
    held_out = {
        s: held_out_errors(moments.window(s))
        for s in sizes
        if moments.channels * s[0] * s[1] + beside - 1 <= moments.count / 2
    }
    if not held_out:
        return Choice((1, 1), np.inf, 0.0)
    n = counts.sum()
    best, _ = min(held_out.values(), key=lambda result: float(result[0].sum()))
    total = moments.total
    spread = float(total[-1, -1] - total[-1, -2] ** 2 / n) / n
    for size, (errors, rounding) in held_out.items():
        excess = errors - best
        mean = excess.sum() / n
        folds = int(np.count_nonzero(counts))
        deviation = sqrt(folds / max(folds - 1, 1) * float(((excess - mean * counts) ** 2).sum())) / n
        if mean <= deviation + rounding / n:
            return Choice(size, float(errors.sum() / n), spread)
    raise AssertionError("the best size is as good as itself")


def explains(choice: Choice, after: np.dtype[np.generic]) -> bool:
    """Say whether what is left is no more than the rounding of `after`: no larger window can do better."""
    rounding = 0.1 if after.kind in "iu" else 0.0  # 1/12 and some
    return choice.error <= max(rounding, 1e-12 * choice.spread)


def held_out_errors(moments: Moments) -> tuple[NDArray[np.float64], float]:
    """Give each fold's squared error when predicted from the others, and what rounding makes of their sum."""
    total = moments.total
    errors = np.zeros(len(moments.sums))
    rounding = 0.0
    for fold, sums in enumerate(moments.sums):
        if sums[-2, -2] > 0:
            coefficients = predictor(total - sums)
            errors[fold] = max(float(coefficients @ sums @ coefficients), 0.0)
            rounding += 8 * _EPS * float(np.abs(coefficients) @ np.abs(sums) @ np.abs(coefficients))
    return errors, rounding
