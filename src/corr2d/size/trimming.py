"""Windows inside a window: which rows and columns at its sides can go, and what is predicted without them.

The fits of a window, and of all those that stay as its outer rows and columns go one by one, are had from one
matrix. Taking the taps S out of a fit raises its squared error by ``w_S^T (C_SS)^-1 w_S``, with C the inverse
of the Gram matrix, and changes C and the other taps by a matrix of rank |S| (Seber & Lee 2003, section 3.8).
And with the taps in the order in which they go, the last first, Cholesky's factor of all taps holds that of
every window: its upper left part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import cbrt, inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..moments import Moments
from ..position import monomials
from ..solve.fit import EPS, centred
from ..solve.penalty import few_blocks

_Array = NDArray[np.float64]

_CANCELLED = 1e-3  # of the inverse is left: it is made anew
_DOUBTFUL = 1e6  # an inverse as large as this may have lost digits that count
_OPEN = 1e-10  # what the pair tells of a direction, of what it tells of a tap: it may as well be nothing


class Box(NamedTuple):
    """A window inside the measured one, as rows and columns of that; bottom and right do not belong to it."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """The window's (kh, kw)."""
        return self.bottom - self.top, self.right - self.left

    def sides(self) -> "Iterator[tuple[Box, Box, int]]":
        """Give what can go, an outer row or column, with what then stays and the row or column it is."""
        top, bottom, left, right = self
        if self.size == (1, 1):
            yield self, Box(top, top, left, left), 0
        if bottom - top > 1:
            yield Box(top, top + 1, left, right), Box(top + 1, bottom, left, right), 0
            yield Box(bottom - 1, bottom, left, right), Box(top, bottom - 1, left, right), 0
        if right - left > 1:
            yield Box(top, bottom, left, left + 1), Box(top, bottom, left + 1, right), 1
            yield Box(top, bottom, right - 1, right), Box(top, bottom, left, right - 1), 1


class Step(NamedTuple):
    """A row or column that goes."""

    gone: NDArray[np.intp]  # its taps, as entries of z
    left: Box
    surprise: float  # that taps which stand for nothing help so much: in deviations of a normal distribution


@dataclass(frozen=True)
class Sums:
    """The sums of some moments in units of their own, so that rounding is as large in all of them.

    Every entry of z is divided by its root mean square: all of `total`'s diagonal is one.
    """

    folds: _Array  # (folds, n, n)
    total: _Array
    amount: float  # of weight: how many pixels count, if all count the same
    squares: float  # the unit of a squared error: the sum of squares of `after`, 1 if that is 0
    window: tuple[int, int]
    taps: NDArray[np.intp]  # (planes, kh, kw): which entry of z each is
    count: int

    @classmethod
    def of(cls, moments: Moments) -> "Sums":
        """Take those of moments, in at most eight blocks, which choose as well as sixteen."""
        folds = few_blocks(moments.sums)
        folds = folds[folds[:, -2, -2] > 0]
        total = folds.sum(axis=0)
        scale = np.sqrt(np.diag(total))
        scale[scale == 0] = 1
        units = 1 / np.outer(scale, scale)
        planes = len(monomials(moments.varying)) * moments.channels
        taps = np.arange(planes * moments.size[0] * moments.size[1]).reshape(planes, *moments.size)
        amount, squares = float(total[-2, -2]), float(scale[-1] ** 2)
        return cls(folds * units, total * units, amount, squares, moments.size, taps, moments.count)

    @property
    def whole(self) -> Box:
        """The measured window."""
        return Box(0, self.window[0], 0, self.window[1])

    def inside(self, box: Box) -> NDArray[np.intp]:
        """Give the taps of a window, as entries of z."""
        return self.taps[:, box.top : box.bottom, box.left : box.right].ravel()

    @property
    def background(self) -> NDArray[np.intp]:
        """The entries of z that belong to every window, but for the constant and the pixel."""
        return np.arange(self.taps.size, len(self.total) - 2)

    @property
    def spread(self) -> float:
        """The variance of `after`."""
        return max(float(centred(self.total)[-1, -1]), 0.0) * self.squares / self.amount

    @property
    def ridge(self) -> float:
        """What is added to the diagonal: as much as rounding may have made of an eigenvalue that is zero.

        So what the pair does not tell can be laid on the other taps at no cost, and goes.
        """
        return 8 * EPS * (len(self.total) - 2)

    def middle(self, size: tuple[int, int]) -> Box:
        """Give the window of a size that stands in the middle, where `Moments.window` takes it."""
        top, left = (whole // 2 - k // 2 for whole, k in zip(self.window, size, strict=True))
        return Box(top, top + size[0], left, left + size[1])


class _Fit:
    """The fit of some taps, from which more and more are taken out, and the inverse of their Gram matrix."""

    def __init__(self, sums: Sums, taps: NDArray[np.intp]) -> None:
        entries = np.concatenate([taps, sums.background, [len(sums.total) - 2, len(sums.total) - 1]])
        self.place = np.zeros(len(sums.total), np.intp)  # of each entry of z among these
        self.place[entries] = np.arange(len(entries))
        total = sums.total[entries[:, None], entries]
        self.about_mean, self.magnitudes, self.ridge = centred(total), np.abs(total), sums.ridge
        self.cross, self.left = self.about_mean[:-2, -1], len(entries) - 2
        self._invert()
        if self.largest > 1 / _OPEN:
            # More ridge: of an inverse of 1e12 no digits are left where much of it cancels
            # (test_what_a_pair_does_not_tell_goes_first).
            self.ridge += _OPEN
            self._invert()
        self.weights = self.inverse @ self.cross
        self._settle()

    @property
    def is_worn(self) -> bool:
        """Whether it is better made anew: half of it is zeros, or the largest went, and digits with it."""
        few = 2 * self.left < len(self.cross)
        return few or float(np.diag(self.inverse).max()) < _CANCELLED * self.largest

    @property
    def squared_error(self) -> float:
        """What the fit leaves."""
        residual = np.concatenate([-self.weights, [0.0, 1.0]])
        return max(float(residual @ self.about_mean @ residual), 0.0)

    @property
    def rounding(self) -> float:
        """What rounding may make of the squared error, and the ridge of the cost of laying taps on others."""
        magnitudes = np.abs(np.concatenate([self.weights, [0.0, 1.0]]))
        of_sums = 8 * EPS * float(magnitudes @ self.magnitudes @ magnitudes)
        return of_sums + 4 * self.ridge * float(self.weights @ self.weights)

    def cost_of(self, taps: NDArray[np.intp]) -> float:
        """Say by how much the squared error grows without them."""
        some = self.place[taps]
        weights = self.weights[some]
        return float(weights @ np.linalg.solve(self.inverse[some[:, None], some], weights))

    def take_out(self, taps: NDArray[np.intp]) -> None:
        some = self.place[taps]
        # By Cholesky's factor: what it rounds keeps the inverse symmetric and positive.
        factor = np.linalg.cholesky(self.inverse[some[:, None], some])
        change = np.linalg.solve(factor, self.inverse[some])
        self.weights -= np.linalg.solve(factor, self.weights[some]) @ change
        self.inverse -= change.T @ change
        self.weights[some] = self.inverse[some] = self.inverse[:, some] = 0
        self.left -= len(some)
        self._settle()

    def _invert(self) -> None:
        gram = self.about_mean[:-2, :-2].copy()
        gram[np.diag_indices_from(gram)] += self.ridge
        factor = np.linalg.inv(np.linalg.cholesky(gram))
        self.inverse = factor.T @ factor
        self.largest = float(np.diag(self.inverse).max())

    def _settle(self) -> None:
        """Correct the weights by what they leave of the equations, where digits were lost."""
        for _ in range(2 * (self.largest > _DOUBTFUL)):
            rest = self.cross - self.about_mean[:-2, :-2] @ self.weights - self.ridge * self.weights
            self.weights += self.inverse @ rest


def trimmed(sums: Sums) -> list[Step]:
    """Take the outer rows and columns away one by one, the one that costs least first.

    Down to none, or until twice the noise of the whole window is left.

    Least: the one that most likely costs so much if it stands for nothing, by the F test, which compares rows
    and columns of any length. Of those that cost no more than rounding, the one furthest from the middle.
    """
    known, left = _Fit(sums, sums.inside(sums.whole)), sums.whole
    freedom = max(sums.count - len(sums.total) + 1, 1)
    noise = max(known.squared_error, known.rounding) / freedom
    most = 2 * noise * sums.count
    steps: list[Step] = []
    while left.size != (0, 0) and known.squared_error <= most:
        tried: list[tuple[float, int, Step]] = []
        nothing = known.rounding
        for gone, rest, axis in left.sides():
            taps = sums.inside(gone)
            cost = known.cost_of(taps) - nothing
            surprise = _surprise(cost / noise, len(taps), freedom) if cost > 0 else -inf
            far = abs((gone.top, gone.left)[axis] - sums.window[axis] // 2)
            tried.append((surprise, -far, Step(taps, rest, surprise)))
        _, _, step = min(tried, key=lambda each: each[:2])
        steps.append(step)
        left = step.left
        known.take_out(step.gone)
        if known.is_worn and left.size != (0, 0):
            known = _Fit(sums, sums.inside(left))
    return steps


def _surprise(ratio: float, taps: int, freedom: int) -> float:
    """Say how unlikely it is that taps which stand for nothing lower the squared error by so many variances.

    The cube root of F, about normal (Paulson 1942).
    """
    root = cbrt(ratio / taps)
    of_taps, of_noise = 2 / (9 * taps), 2 / (9 * freedom)
    surprise = (1 - of_noise) * root - (1 - of_taps)
    return surprise / sqrt(of_noise * root**2 + of_taps)


def held_out_errors_of(sums: Sums, order: NDArray[np.intp], ends: NDArray[np.intp]) -> tuple[_Array, _Array]:
    """Predict each fold from fits to the others, by windows of the first so many taps of `order`.

    Gives the squared errors, (folds, windows), and what rounding may make of their sums.
    """
    beside = len(sums.background)
    entries = np.concatenate([sums.background, order, [len(sums.total) - 2, len(sums.total) - 1]])
    some = entries[:, None], entries
    total = sums.total[some]
    errors = np.empty((len(sums.folds), len(ends)))
    for fold, of_fold in enumerate(sums.folds):
        held_out = of_fold[some]
        found = _coefficients(total - held_out, ends + beside, sums.ridge)
        errors[fold] = np.maximum(np.einsum("im,im->m", found, held_out @ found), 0)
    magnitudes = np.abs(_coefficients(total, ends + beside, sums.ridge))
    rounding = 8 * EPS * np.einsum("im,im->m", magnitudes, np.abs(total) @ magnitudes)
    return errors, rounding + sums.ridge * np.square(magnitudes[:-2]).sum(axis=0)


def squared_error(sums: Sums) -> float:
    """Give the squared error that the whole window leaves, where it is fitted."""
    found = _coefficients(sums.total, np.array([len(sums.total) - 2]), sums.ridge)[:, 0]
    return max(float(found @ sums.total @ found), 0.0)


def _coefficients(total: _Array, ends: NDArray[np.intp], ridge: float) -> _Array:
    """Fit windows of the first so many entries each: ``(-weights, -intercept, 1)``, column by column."""
    about_mean, n = centred(total), len(total) - 2
    found = np.zeros((n + 2, len(ends)))
    found[-1] = 1
    # With `after` as one more row, whose pivot is no zero, the factor has what is left of the products.
    some = np.append(np.arange(n), n + 1)
    gram = about_mean[some[:, None], some]
    gram[np.diag_indices_from(gram)] += ridge
    gram[-1, -1] += 1
    factor = np.linalg.cholesky(gram)
    # Zeros below the end of a window stay zeros: the factor is triangular.
    reduced = np.where(np.arange(n)[:, None] < ends, factor[-1, :-1, None], 0)
    found[:n] = -_solve_upper(factor[:-1, :-1].T, reduced)
    found[n] = -(total[-1, -2] + total[-2, :-2] @ found[:n]) / total[-2, -2]
    return found


def _solve_upper(upper: _Array, columns: _Array) -> _Array:
    """Solve by halves: NumPy knows no triangular matrices, and takes four times as long for one of 225."""
    half = len(upper) // 2
    if half < 32:
        return np.asarray(np.linalg.solve(upper, columns), np.float64)
    below = _solve_upper(upper[half:, half:], columns[half:])
    above = _solve_upper(upper[:half, :half], columns[:half] - upper[:half, half:] @ below)
    return np.concatenate([above, below])
