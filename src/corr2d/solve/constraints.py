"""What a kernel is known to be before it is fitted: its sum, its signs, its symmetry, some of its taps.

All but the signs leave a plane of kernels, ``start + basis @ u``, in which least squares is what it is
without them. Signs are found by trying which taps are held at zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dtypes import as_real_array
from .fit import Fit, centred, rounding_of
from .penalty import pulled, pulled_least_squares

Symmetry = Literal["left-right", "up-down", "4-fold", "radial"]

SYMMETRIES = ("left-right", "up-down", "4-fold", "radial")


@dataclass(frozen=True)
class Constraints:
    """What `solve` was told of the kernel, checked against its size."""

    size: tuple[int, int]
    sum: float | None  # of the taps that are not fixed
    nonnegative: bool
    groups: NDArray[np.bool_]  # (n, taps): taps of equal weight; a tap in none of them is fixed
    fixed: NDArray[np.float64]  # (taps,): the weights of those, and zeros

    @classmethod
    def resolve(
        cls,
        size: tuple[int, int],
        channels: int = 1,
        *,
        sum: Any,  # noqa: A002 (the word for it)
        nonnegative: Any,
        symmetric: Any,
        support: ArrayLike | None,
        fixed: ArrayLike | None = None,
    ) -> "Constraints | None":
        """Check what the user gave: None if there is no constraint."""
        if not nonnegative and all(given is None for given in (sum, symmetric, support, fixed)):
            return None
        if sum is not None and (not isinstance(sum, Real) or not isfinite(sum)):
            raise TypeError(f"`sum` must be a finite number, got {sum!r}.")
        if nonnegative and sum is not None and sum < 0:
            raise ValueError(
                f"Taps that are not negative cannot sum to {sum}. Leave out `nonnegative` or `sum`."
            )
        known = _known_taps(_resolve_support(support, size), _resolve_fixed(fixed, size))
        if nonnegative and np.nanmin(known, initial=0) < 0:
            raise ValueError("`fixed` has a tap below zero. Leave out `nonnegative`, or that tap.")
        labels = _equal_taps(size, symmetric)
        groups = []
        for label in np.unique(labels):
            group = labels == label
            values = np.unique(known[group & ~np.isnan(known)])
            if len(values) > 1:
                raise ValueError(f"`fixed` and `symmetric` contradict each other: equal taps are {values}.")
            if len(values) == 0:
                groups.append(group)
            known[group] = values[0] if len(values) else 0
        free = np.array(groups, np.bool_).reshape(-1, labels.size)
        rest = 0.0 if sum is None else float(sum) - channels * float(known.sum())
        if len(free) == 0 and abs(rest) > 1e-12 * max(abs(float(sum or 0)), np.abs(known).max()):
            raise ValueError(f"`support` or `fixed` leaves no tap that could sum to {sum}.")
        if nonnegative and sum is not None and rest < 0:
            raise ValueError(f"`fixed` taps leave {rest} for those that are not negative to sum to.")
        every = np.kron(np.eye(channels, dtype=np.bool_), free)
        return cls(size, None if sum is None else rest, bool(nonnegative), every, np.tile(known, channels))

    @property
    def unknowns(self) -> int:
        """How many numbers make a kernel that is known to be so."""
        return len(self.groups) - (self.sum is not None)

    def fit(self, total: NDArray[np.float64], pull: NDArray[np.float64] | None = None) -> Fit:
        """Fit the kernel of least squared error that is what it is known to be; `pull`: under a penalty."""
        if not self.nonnegative or len(self.groups) == 0:
            return pulled_least_squares(total, pull, *self.plane())
        free, values = self._active_set(pulled(total, pull))
        fit = pulled_least_squares(total, pull, *self._plane(free))
        weights = 0 - fit.coefficients[:-2]
        if weights.min() < 0:
            # Where the pair leaves directions open, the smallest kernel of them may have negative taps.
            fit = replace(fit, coefficients=_coefficients(total, self.fixed + values @ self.groups))
        # A tap held at zero is as uncertain as it is without that.
        held = ~(free @ self.groups) & self.groups.any(axis=0)
        if held.any():
            every = pulled_least_squares(total, pull, *self.plane())
            inverse = fit.inverse.copy()
            inverse[held, held] = every.inverse[held, held]
            rounding = np.where(held, every.rounding, fit.rounding)
            fit = replace(
                fit,
                inverse=inverse,
                rounding=rounding,
                untold=fit.untold | (held & every.untold),
                hidden=every.hidden if (held & every.untold).any() else fit.hidden,
                free=fit.rank + every.free - every.rank,  # what the pair leaves open, held or not
            )
        return fit

    def plane(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give `start` and `basis` of the kernels that are what is known, but for their signs."""
        return self._plane(np.ones(len(self.groups), np.bool_))

    def _plane(self, free: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give `start` and `basis` of the kernels in which the groups that are not free are zero."""
        groups = self.groups[free].astype(np.float64)
        basis = (groups / np.sqrt(groups.sum(axis=1, keepdims=True))).T
        if self.sum is None or len(groups) == 0:
            return self.fixed, basis
        # All but the direction that changes the sum (Householder).
        slope = basis.sum(axis=0)
        start = self.fixed + basis @ slope * (self.sum / (slope @ slope))
        reflector = slope.copy()
        reflector[0] += np.copysign(np.linalg.norm(slope), slope[0])
        reflector /= np.linalg.norm(reflector)
        rest = (np.eye(len(slope)) - 2 * np.outer(reflector, reflector))[:, 1:]
        return start, basis @ rest

    def _active_set(self, total: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Find the groups that are not held at zero, and their weights.

        A primal active-set method for convex quadratic programs (Nocedal & Wright 2006, algorithm 16.3),
        begun from the unconstrained answer with its negative weights cut off.
        """
        groups = self.groups.astype(np.float64)
        about_mean = centred(total)
        taps = groups.shape[1]
        gram = groups @ about_mean[:taps, :taps] @ groups.T
        gram += (rounding_of(total) or 1.0) * np.eye(len(gram))  # so that it has one answer
        cross = groups @ (about_mean[:taps, -1] - about_mean[:taps, :taps] @ self.fixed)
        sizes = groups.sum(axis=1)

        def best(free: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
            """Give the weights of least error with all others zero, and the price of the sum."""
            values, some = np.zeros(len(gram)), np.flatnonzero(free)
            if len(some) == 0:
                return values, 0.0
            solved = np.linalg.solve(gram[np.ix_(some, some)], np.column_stack([cross, sizes])[some])
            price = 0.0
            if self.sum is not None:
                price = float((self.sum - sizes[some] @ solved[:, 0]) / (sizes[some] @ solved[:, 1]))
            values[some] = solved[:, 0] + price * solved[:, 1]
            return values, price

        values = np.maximum(best(np.ones(len(gram), np.bool_))[0], 0)
        if self.sum is not None:
            values = (
                values * (self.sum / (sizes @ values))
                if values.any()
                else np.full(len(gram), self.sum / sizes.sum())
            )
        free = values > 0
        smallest = 1e-12 * float(np.abs(cross).max(initial=0))
        for _ in range(20 * len(gram) + 20):
            goal, price = best(free)
            steps = np.full(len(gram), np.inf)
            falling = free & (goal < 0)
            steps[falling] = values[falling] / (values[falling] - goal[falling])
            first = int(steps.argmin())
            if steps[first] < 1:
                values = np.maximum(values + steps[first] * (goal - values), 0)
                free[first] = False
                values[first] = 0
                continue
            values = goal
            gain = cross + price * sizes - gram @ values  # of letting a tap grow
            gain[free] = -np.inf
            if free.all() or gain.max() <= smallest:
                return free, values
            free[int(gain.argmax())] = True
        raise ArithmeticError("the taps that are zero could not be found: this is a fault in corr2d")


def _coefficients(total: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    intercept = (total[-1, -2] - total[:-2, -2] @ weights) / total[-2, -2]
    return np.concatenate([0 - weights, [-intercept, 1.0]])


def _resolve_support(support: ArrayLike | None, size: tuple[int, int]) -> NDArray[np.bool_]:
    if support is None:
        return np.ones(size[0] * size[1], np.bool_)
    allowed = np.asarray(support)
    if allowed.dtype != np.bool_:
        raise TypeError(
            f"`support` must be a bool array, True where a tap may be, got dtype {allowed.dtype}."
        )
    if allowed.shape != size:
        raise ValueError(f"`support` must have the kernel's shape {size}, got {allowed.shape}.")
    return allowed.ravel()


def _resolve_fixed(fixed: ArrayLike | None, size: tuple[int, int]) -> NDArray[np.float64]:
    if fixed is None:
        return np.full(size[0] * size[1], np.nan)
    taps = as_real_array(fixed, "fixed").astype(np.float64)
    if taps.shape != size:
        raise ValueError(f"`fixed` must have the kernel's shape {size}, got {taps.shape}.")
    if np.isinf(taps).any():
        raise ValueError("`fixed` must hold finite numbers, and NaN where a tap is to be found.")
    return taps.ravel()


def _known_taps(allowed: NDArray[np.bool_], fixed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the weights of the taps that are known, NaN for the others."""
    if np.any(~allowed & ~np.isnan(fixed) & (fixed != 0)):
        raise ValueError("`fixed` has a tap where `support` has none. Leave it out of one of them.")
    return np.where(allowed, fixed, 0.0)


def _equal_taps(size: tuple[int, int], symmetric: Any) -> NDArray[np.intp]:
    """Give each tap a label that it shares with those of equal weight."""
    names = (symmetric,) if isinstance(symmetric, str) else () if symmetric is None else symmetric
    rule = f"`symmetric` must be one or some of {', '.join(map(repr, SYMMETRIES))}, got {symmetric!r}."
    if not isinstance(names, Sequence):
        raise TypeError(rule)
    if not all(isinstance(name, str) and name in SYMMETRIES for name in names):
        raise ValueError(rule)
    kh, kw = size
    labels = np.arange(kh * kw).reshape(size)
    mirrors: list[Callable[[NDArray[Any]], NDArray[Any]]] = []
    if "radial" in names:
        y, x = np.indices(size)
        distance = (2 * y - kh + 1) ** 2 + (2 * x - kw + 1) ** 2
        labels = np.unique(distance, return_inverse=True)[1].reshape(size)
    if "4-fold" in names:
        if kh != kw:
            raise ValueError(f"A 4-fold symmetric kernel must be square, got {kh} x {kw}.")
        mirrors += [np.rot90, np.fliplr]
    mirrors += [np.fliplr] * ("left-right" in names) + [np.flipud] * ("up-down" in names)
    settled = False
    while not settled:  # each label goes round until all that are equal have the least
        before = labels
        for mirror in mirrors:
            labels = np.minimum(labels, mirror(labels))
        settled = bool((labels == before).all())
    return labels.ravel()
