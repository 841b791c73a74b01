"""Filters with parameters, held against the best kernel of their symmetry."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from math import log, sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..solve.curved import Target
from .descent import settle
from .evidence import Array, Evidence, Named, covariance
from .shapes import Model, identity, models
from .symmetric import Groups, Symmetric

_NEAR = 0.05  # of the energy: what leaves more unexplained on a grid of places is not looked at
_TRIED = 5  # names whose parameters are sought
_NEXT = 1e-5  # step of a difference quotient, in coordinates
_WORSE = 25.0  # squared standard deviations: a filter so much worse than another is not chosen
_SHORTEST = -3.0  # of a coordinate: a length of a twentieth of a pixel lies in one tap, or in none
_LITTLE = 0.01  # an amount of sharpening
_LOST = 10.0  # pixels or degrees, or times the value: a parameter less known than that is none
_ALIKE = 4.0  # squared standard deviations, by which one more number must be worth it


@dataclass(frozen=True, eq=False)
class _Grid:
    """All models of a symmetry at all their starts."""

    models: tuple[Model, ...]
    which: NDArray[np.intp]  # (rows,): of the models
    places: list[Array]  # of the rows
    shapes: Array  # (rows, groups)
    sharpens: NDArray[np.bool_]  # (rows,)


@lru_cache(maxsize=64)
def _grid(groups: Groups) -> _Grid:
    known = models(groups)
    shapes = [model.at(groups, model.starts) for model in known]
    which = np.repeat(np.arange(len(known)), [len(some) for some in shapes])
    places = [place for model in known for place in model.starts]
    sharpens = np.array([model.sharpens for model in known])[which]
    return _Grid(known, which, places, np.concatenate(shapes), sharpens)


def fitted_filters(evidence: Evidence, symmetric: Symmetric) -> list[Named]:
    """Give the filters of a symmetry that are accepted for the kernel, the better known first.

    Each begins from the best of a grid of places; what is quite unlike the kernel there is passed over. Once
    one is accepted, others must come near it.
    """
    grid = _grid(symmetric.groups)
    left = _unexplained(grid, symmetric)
    order = np.argsort(left)
    of_name: dict[str, dict[int, int]] = {}  # the best row of each model
    for row in order[left[order] <= _NEAR * evidence.energy]:
        which = int(grid.which[row])
        of_name.setdefault(grid.models[which].name, {}).setdefault(which, int(row))
    allowed = evidence.most(symmetric.groups.count)
    names = [model.name for model in grid.models]
    found: list[Named] = []
    for name, best in list(of_name.items())[:_TRIED]:
        near = {which: row for which, row in best.items() if len(grid.places[row]) or left[row] <= allowed}
        starts = [(grid.models[which], grid.places[row]) for which, row in near.items()]
        some = _accepted(evidence, symmetric, starts, allowed)
        better_known = all(names.index(name) < names.index(named.name) for named in found)
        if better_known and not any(map(evidence.expects, some)):
            some += _accepted(evidence, symmetric, _cut(evidence, symmetric, starts), allowed)
        found += some
        if some:
            least = min(named.excess for named in some) - symmetric.excess
            allowed = min(allowed, least + evidence.rounding + _WORSE * evidence.variance)
    return sorted(found, key=lambda named: names.index(named.name))


def _accepted(
    evidence: Evidence, symmetric: Symmetric, starts: Iterable[tuple[Model, Array]], allowed: float
) -> list[Named]:
    fitted = (_fitted(evidence, symmetric, model, place, allowed) for model, place in starts)
    return [named for named in fitted if named is not None and evidence.accepts(named)]


def _cut(
    evidence: Evidence, symmetric: Symmetric, starts: Iterable[tuple[Model, Array]]
) -> Iterator[tuple[Model, Array]]:
    """Give the models with taps cut off where the best of the symmetry ends, with their best starts."""
    groups = symmetric.groups
    far = np.maximum(groups.dy, groups.dx)
    reaches = np.unique(far)
    first = 0
    for first, reach in enumerate(reaches):  # noqa: B007 (where it ends is what is sought)
        inside = np.flatnonzero(far <= reach)
        away = symmetric.values.copy()
        away[inside] -= np.linalg.solve(symmetric.gram[np.ix_(inside, inside)], symmetric.cross[inside])
        if evidence.allows(float(away @ symmetric.gram @ away), groups.count - len(inside)):
            break
    # Of a tail that chance alone may have made, some may be there.
    for (model, _), reach in product(starts, reaches[first : first + 3]):
        for at in model.cuts:
            cut = replace(model, at=partial(at, reach=float(reach)), cut=True)
            left = _left_of(symmetric, cut.at(groups, cut.starts), sharpens=cut.sharpens)
            yield cut, cut.starts[left.argmin()]


def _unexplained(grid: _Grid, symmetric: Symmetric) -> Array:
    """Give what each row leaves of the best kernel of the symmetry, with the best amount of it."""
    left = np.empty(len(grid.shapes))
    for sharpens in (False, True):
        rows = grid.sharpens == sharpens
        left[rows] = _left_of(symmetric, grid.shapes[rows], sharpens=sharpens)
    return left


def _left_of(symmetric: Symmetric, shapes: Array, *, sharpens: bool) -> Array:
    target = symmetric.values - (identity(symmetric.groups) if sharpens else 0.0)
    pull = symmetric.gram @ target
    pulls = shapes @ pull
    if sharpens:  # less than none of it blurs
        pulls = np.maximum(pulls, 0)
    lengths = np.einsum("ij,ij->i", shapes @ symmetric.gram, shapes)
    return np.asarray(target @ pull - pulls**2 / np.where(lengths > 0, lengths, np.inf))


@dataclass(frozen=True, eq=False)
class _Shaped:
    """An amount of a model at some place."""

    model: Model
    groups: Groups
    place: Array
    shape: Array
    amount: float

    @classmethod
    def at(cls, model: Model, groups: Groups, place: Array, target: Target) -> Self:
        """Take the best amount."""
        shape = model.at(groups, place[None])[0]
        pull = target.gram @ shape
        length = float(pull @ shape)
        return cls(model, groups, place, shape, float(pull @ target.weights) / length if length > 0 else 0.0)

    @property
    def weights(self) -> Array:
        return self.amount * self.shape

    def tangent(self) -> Array:
        """Give what the amount and each coordinate change."""
        steps = _NEXT * np.eye(len(self.place))
        shapes = self.model.at(self.groups, np.concatenate([self.place + steps, self.place - steps]))
        slopes = (shapes[: len(steps)] - shapes[len(steps) :]) / (2 * _NEXT)
        return np.concatenate([self.shape[None], self.amount * slopes]).T

    def moved(self, step: Array, target: Target) -> Self:
        """Go on by `step`, and take the amount that is best there."""
        # Not too far at once: of a length twice as long, the slope says nothing.
        change = np.clip(step[1:], -0.7, 0.7)
        # Four times as long as the window, one is as good as the next (and three boxes take long to make).
        most = max(self.groups.size) if self.model.has_ends else log(4 * max(self.groups.size))
        least = -most if self.model.has_ends else _SHORTEST
        return self.at(self.model, self.groups, np.clip(self.place + change, least, most), target)


def _fitted(
    evidence: Evidence, symmetric: Symmetric, model: Model, place: Array, allowed: float
) -> Named | None:
    """Find the parameters of a model; None if they leave more than is allowed."""
    groups = symmetric.groups
    base = identity(groups) if model.sharpens else np.zeros(groups.count)
    target = Target(symmetric.gram, symmetric.values - base)
    start = _Shaped.at(model, groups, place, target)
    found = settle(start, target, allowed) if len(place) else start
    unknowns = 1 + len(place)
    if model.has_edges:
        whole = min(
            (_Shaped.at(model, groups, at, target) for at in _whole(groups, (found or start).place)),
            key=lambda shaped: target.distance(shaped.weights),
        )
        least = allowed if found is None else target.distance(found.weights)
        if target.distance(whole.weights) <= least + _ALIKE * len(place) * evidence.variance:
            found, unknowns = whole, 1
    if found is None:
        return None
    if not np.isfinite(found.weights).all() or (model.sharpens and found.amount < _LITTLE):
        return None
    values = {name: (value, 0.0) for name, value in model.values(found.place).items()}
    if model.has_edges and unknowns == 1:  # the exponential of a logarithm
        values = {name: (float(round(value)), 0.0) for name, (value, _) in values.items()}
    if model.least and next(iter(values.values()))[0] < model.least:
        return None
    if any(value > max(groups.size) for name, (value, _) in values.items() if name != "angle"):
        return None
    if unknowns > 1:
        values, amount_error = _with_errors(evidence, symmetric, found)
        if not all(error < _LOST * max(abs(value), 1.0) for value, error in values.values()):
            return None
    else:
        amount_error = sqrt(evidence.variance / float(found.shape @ symmetric.gram @ found.shape))
    return Named(
        name=model.name,
        weights=groups.spread(base + found.weights),
        unknowns=unknowns,
        parameters={**values, model.linear: (found.amount, amount_error)},
        excesses=(
            (symmetric.excess, symmetric.freedom),
            (target.distance(found.weights), max(groups.count - unknowns, 0)),
        ),
        middle=groups.centre,
        shapes=unknowns - 1,
    )


def _whole(groups: Groups, place: Array) -> Iterator[Array]:
    """Give the nearest lengths whose ends lie between pixels, where the centre is on one or between them.

    None is longer than the window: what lies outside it could be anything.
    """
    sides = np.array(groups.size) if len(place) == 2 else np.array([min(groups.size)])
    odd = np.array([1 - 2 * (at % 1) for at in groups.centre])[: len(place)]
    nearest = odd + 2 * np.rint((np.exp(place) - odd) / 2)
    for steps in product((0, -2, 2), repeat=len(place)):
        yield np.log(np.maximum(np.minimum(nearest + steps, sides - (sides - odd) % 2), 2 - odd))


def _with_errors(
    evidence: Evidence, symmetric: Symmetric, found: _Shaped
) -> tuple[dict[str, tuple[float, float]], float]:
    """Give the parameters, each with its standard error, and that of the amount."""
    spread = covariance(found.tangent(), symmetric.gram, evidence.variance)
    values = found.model.values(found.place)
    slopes = np.empty((len(values), len(found.place)))
    for i, step in enumerate(_NEXT * np.eye(len(found.place))):
        there, back = (found.model.values(found.place + way) for way in (step, -step))
        for row, name in enumerate(values):
            change = there[name] - back[name]
            slopes[row, i] = ((change + 90) % 180 - 90 if name == "angle" else change) / (2 * _NEXT)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, spread[1:, 1:], slopes), 0))
    pairs = zip(values.values(), errors.tolist(), strict=True)
    return dict(zip(values, pairs, strict=True)), sqrt(max(float(spread[0, 0]), 0.0))
