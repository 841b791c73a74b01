"""The size of the window, where the shapes do not tell it."""

from dataclasses import dataclass
from itertools import takewhile
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..borders import NO_STEPS, Pads, Steps, result_shape
from ..moments import Moments
from ..solve.fit import EPS, predictor
from .trimming import Box, Sums, held_out_errors_of, squared_error, trimmed

LARGEST = 15  # tried unasked; 15 x 15 costs some 20 ms a megapixel
_OF_GRAIN = 0.005 / 12  # of a step's square: a 200th of the variance of what rounding leaves
_SURPRISING = 3.5  # deviations: chance is beyond once in 4,000 rows and columns, and some thirty are tried


@dataclass(frozen=True)
class Choice:
    """A size and how well it predicts pixels that it was not fitted to."""

    size: tuple[int, int]
    error: float  # mean square over the held-out pixels
    spread: float  # variance of `after`
    shift: tuple[int, int] = (0, 0)  # how much further up and left than centred the window stands


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


def choose_size(moments: Moments, grain: float = 0.0) -> Choice:
    """Choose the smallest window that predicts held-out blocks as well as the best does, and its place.

    From the measured window the outer rows and columns are taken away one by one, the one that costs least
    first (backward elimination, Draper & Smith 1998, section 15.3). Those that may be chance go for good: an
    F test finds what they explain within 3.5 deviations of it. By each of the windows from there on, every
    block (fold) of the picture is predicted from a fit to the others, and the smallest that does it as well
    as the best is taken. As well: the mean squared error is larger by at most one standard error of that
    difference over the blocks (Breiman et al. 1984, section 3.4.3, with paired differences), or by what
    rounding makes of zero. If the same size does as well in the middle, it is put there.

    `grain` is the step that the pixels of `after` were rounded to, 1 for integers. What rounding leaves
    depends on the picture where that is flat, so taps that stand for nothing explain some of it: a 200th
    of the step's variance is no reason for a larger window.

    The F test alone takes the residuals for white, and finds too large windows where they are not; blocks
    alone take what chance made of one of some thirty windows (`simulations/size.py`).

    Raises ValueError if one block holds more than half of the pixels: the others could not predict it.
    """
    counts = moments.sums[:, -2, -2]
    if counts.max() > counts.sum() / 2 and moments.count > 1:
        raise ValueError(
            "`size` must be given: more than half of the pixels that count lie in one block of the "
            "picture, and too few outside it to test a size on."
        )
    inside = _affordable(moments)
    if inside is None:
        return Choice((1, 1), np.inf, 0.0)
    sums = Sums.of(moments if inside == moments.size else moments.window(inside))
    box, error = _smallest_as_good(sums, _OF_GRAIN * grain**2 * sums.amount / sums.squares)
    middle = sums.middle(box.size)
    shift = moments.shift[0] + middle.top - box.top, moments.shift[1] + middle.left - box.left
    return Choice(box.size, error * sums.squares / sums.amount, sums.spread, shift)


def least_choice(moments: Moments) -> Choice:
    """Give the whole window with what its fit leaves: no window inside predicts held-out blocks better."""
    if _affordable(moments) != moments.size:
        return Choice(moments.size, np.inf, 0.0)
    sums = Sums.of(moments)
    return Choice(moments.size, squared_error(sums) * sums.squares / sums.amount, sums.spread)


def _affordable(moments: Moments) -> tuple[int, int] | None:
    """Give the largest window of at most half as many unknowns as pixels count: None if there is none."""
    kh, kw = moments.size
    beside = moments.sums.shape[-1] - moments.channels * kh * kw
    for k in range(max(kh, kw), 0, -1):
        size = min(k, kh), min(k, kw)
        if moments.channels * size[0] * size[1] + beside - 1 <= moments.count / 2:
            return size
    return None


def _smallest_as_good(sums: Sums, nothing: float) -> tuple[Box, float]:
    """Give the window, and its squared error over the held-out folds; `nothing` more of it does not count."""
    steps = trimmed(sums)
    by_chance = len(list(takewhile(lambda step: step.surprise <= _SURPRISING, steps)))
    boxes = [sums.whole, *(step.left for step in steps)][by_chance:]
    order = [sums.inside(boxes[-1]), *(step.gone for step in reversed(steps[by_chance:]))]
    ends = np.cumsum([len(taps) for taps in order])
    errors, rounding = held_out_errors_of(sums, np.concatenate(order), ends)
    best = errors[:, errors.sum(axis=0).argmin()]
    found = next(i for i in range(len(ends)) if _is_as_good(errors[:, i], best, rounding[i] + nothing, sums))
    box = boxes[-1 - found]
    middle = sums.middle((max(box.size[0], 1), max(box.size[1], 1)))
    if box.size == (0, 0):  # the mean is as good
        return middle, float(errors[:, found].sum())
    if box != middle:
        taps = sums.inside(middle)
        there, rounded = held_out_errors_of(sums, taps, np.array([len(taps)]))
        if _is_as_good(there[:, 0], errors[:, found], rounded[0] + nothing, sums):
            return middle, float(there.sum())
    return box, float(errors[:, found].sum())


def _is_as_good(errors: NDArray[np.float64], best: NDArray[np.float64], nothing: float, sums: Sums) -> bool:
    """Say whether errors are larger by at most one standard error of the difference, or by nothing."""
    share = sums.folds[:, -2, -2]  # of the pixels
    excess, folds = errors - best, len(errors)
    mean = excess.sum()
    deviation = sqrt(folds / max(folds - 1, 1) * float(((excess - mean * share) ** 2).sum()))
    return bool(mean <= deviation + nothing)


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
            rounding += 8 * EPS * float(np.abs(coefficients) @ np.abs(sums) @ np.abs(coefficients))
    return errors, rounding
