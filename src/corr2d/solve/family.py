"""Kernels of a known form: a gain times a gaussian, box, disk or track, whose parameters are sought."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from math import atan2, cos, degrees, exp, hypot, inf, log, radians, sin, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..families import box, disk, gaussian, motion
from .constraints import Constraints
from .curved import CurvedFit, Target, as_free, descend, linearised
from .fit import centred, least_squares, rounding_of

_Array = NDArray[np.float64]

FamilyName = Literal["gaussian", "box", "disk", "motion"]

_NEXT = 1e-5  # step of a difference quotient, in coordinates: good to 1e-10 of the taps
_UNSEEN = 1e-7  # of the taps: what changes them by less is taken to leave them as they are
_TRIED, _ROUNDS = 6, 6  # so many starts go on for so many rounds, before the best of them goes on alone
_NOT_AN_ANGLE = 180 / sqrt(12)  # standard deviation of a direction of which nothing is known
_SHORTEST = 0.02  # pixels: a shape so small lies in one tap, or is told from none by its centre
_OUTSIDE = 0.01  # share of a shape beyond the window, of which a reader should know


_Ends = list[tuple[float, float]]


@dataclass(frozen=True)
class Coordinates:
    """How a shape's parameters are counted while they are sought: freely, and smooth where they can be."""

    shape: Callable[..., _Array]
    names: tuple[str, ...]  # of its parameters, but for the centre
    place_of: Callable[..., tuple[float, ...]]  # of the parameters, the centre last
    parameters_at: Callable[..., tuple[float, ...]]  # and back
    starts: Callable[
        [tuple[int, int]], Iterator[tuple[float, ...]]
    ]  # parameters to begin with, in that window
    ends: Callable[[tuple[int, int]], _Ends]  # no coordinate goes beyond
    has_edges: bool = False  # and these are its coordinates


def _sides(size: tuple[int, int]) -> _Ends:
    return [(-(k // 2) - 0.5, k - k // 2 - 0.5) for k in size]


def _log_ends(size: tuple[int, int]) -> tuple[float, float]:
    return log(_SHORTEST), log(8.0 * max(size))


def _lengths(size: tuple[int, int], first: float) -> list[float]:
    """Give each twice as long as the one before: what is found from one covers half the way to the next."""
    return [first * 2**k for k in range(8) if k == 0 or first * 2**k < max(size)]


def _gaussian_starts(size: tuple[int, int]) -> Iterator[tuple[float, float, float]]:
    for sigma in _lengths(size, 0.4):
        if min(size) == 1:  # What lies across shows nowhere: it starts as nothing, and steps leave it so.
            yield (sigma, _SHORTEST, 0 if size[0] == 1 else 90)
        else:
            yield from (
                (sigma * ratio, sigma, turn) for ratio, turn in [(1, 0), (3, 0), (3, 45), (3, 90), (3, 135)]
            )


def _gaussian_place(long: float, short: float, angle: float, *center: float) -> tuple[float, ...]:
    """Give half the logarithm of the covariance, as ``mean + [[along, across], [across, -along]]``.

    The angle of a circle means nothing: here the circle is no singular point, but stands at (mean, 0, 0).
    """
    apart, twice = log(long / short) / 2, 2 * radians(angle)
    return (log(long * short) / 2, apart * cos(twice), apart * sin(twice), *center)


def _gaussian_at(mean: float, along: float, across: float, *center: float) -> tuple[float, ...]:
    apart = hypot(along, across)
    return (exp(mean + apart), exp(mean - apart), degrees(atan2(across, along)) / 2, *center)


def _box_place(height: float, width: float, y: float, x: float) -> tuple[float, ...]:
    """Give its edges: beyond the window, one is as good as the next, and it must not take the other along."""
    return (y - height / 2, y + height / 2, x - width / 2, x + width / 2)


def _box_at(top: float, bottom: float, left: float, right: float) -> tuple[float, ...]:
    height, width = max(abs(bottom - top), _SHORTEST), max(abs(right - left), _SHORTEST)
    return (height, width, (top + bottom) / 2, (left + right) / 2)


def _motion_place(length: float, angle: float, y: float, x: float) -> tuple[float, ...]:
    """Give its ends, for the reason that a box has for its edges."""
    down, along = -length / 2 * sin(radians(angle)), length / 2 * cos(radians(angle))
    return (y - down, x - along, y + down, x + along)


def _motion_at(y: float, x: float, other_y: float, other_x: float) -> tuple[float, ...]:
    down, along = other_y - y, other_x - x
    angle = (degrees(atan2(-down, along)) + 90) % 180 - 90
    return (max(hypot(down, along), _SHORTEST), angle, (y + other_y) / 2, (x + other_x) / 2)


FAMILIES: dict[str, Coordinates] = {
    "gaussian": Coordinates(
        gaussian,
        ("sigma_long", "sigma_short", "angle"),
        _gaussian_place,
        _gaussian_at,
        _gaussian_starts,
        lambda size: [_log_ends(size), (-4.0, 4.0), (-4.0, 4.0), *_sides(size)],
    ),
    "box": Coordinates(
        box,
        ("height", "width"),
        _box_place,
        _box_at,
        lambda size: product(_lengths(size, 1.3), repeat=2),
        lambda size: [side for side in _sides(size) for _ in range(2)],
        has_edges=True,
    ),
    "disk": Coordinates(
        disk,
        ("radius",),
        lambda radius, *center: (log(radius), *center),
        lambda radius, *center: (exp(radius), *center),
        lambda size: ((radius,) for radius in _lengths(size, 0.7)),
        lambda size: [_log_ends(size), *_sides(size)],
    ),
    "motion": Coordinates(
        motion,
        ("length", "angle"),
        _motion_place,
        _motion_at,
        lambda size: product(_lengths(size, 1.6), np.arange(-90.0, 90.0, 22.5).tolist()),
        lambda size: [*_sides(size), *_sides(size)],
        has_edges=True,
    ),
}


@dataclass(frozen=True)
class FamilyFit(CurvedFit):
    """A fit that is a gain times a shape, with the parameters of both."""

    family: str = ""
    values: dict[str, float] = field(default_factory=dict)
    spreads: dict[str, float] = field(
        default_factory=dict
    )  # standard errors of noise 1; infinite if not told
    roundings: dict[str, float] = field(default_factory=dict)  # what that of the moments may have made of it
    slopes: _Array = field(default_factory=lambda: np.zeros((0, 0)))  # (values, taps): what taps change of it

    def parameters(self, variance: float, wider: _Array) -> dict[str, tuple[float, float]]:
        """Give each with its standard error, for noise of that variance, and so many times that."""
        deviations = sqrt(variance) * wider
        errors = {
            name: hypot(spread * deviation, self.roundings[name]) if spread < inf > variance else inf
            for (name, spread), deviation in zip(self.spreads.items(), deviations.tolist(), strict=True)
        }
        if errors.get("angle", 0.0) > _NOT_AN_ANGLE:
            errors["angle"] = inf
        return {name: (value, errors[name]) for name, value in self.values.items()}


@dataclass(frozen=True)
class Family:
    """Least squares over the kernels ``gain * shape(parameters, center)``.

    Minimises ``(w - free)^T gram (w - free)``, gram the centred Gram matrix and free the kernel of the plain
    fit, over at most seven numbers with the bias. The gain is solved for at each step (variable projection,
    Golub & Pereyra 1973); the others are found from the best of a coarse grid of shapes at every place of the
    window. The standard errors are those of the tangent plane: ``noise^2 (J^T gram J)^-1``.
    """

    size: tuple[int, int]
    name: str
    sum: float | None

    @classmethod
    def resolve(cls, size: tuple[int, int], family: Any, sum: float | None) -> "Family":  # noqa: A002 (the word)
        """Check what the user gave."""
        rule = f"`family` must be one of {', '.join(map(repr, FAMILIES))}, got {family!r}."
        if not isinstance(family, str):
            raise TypeError(rule)
        if family not in FAMILIES:
            raise ValueError(rule)
        if sum == 0:
            raise ValueError(
                f"A {family} has taps of one sign, which cannot sum to 0. Leave out `sum` or `family`."
            )
        return cls(size, family, sum)

    @property
    def coordinates(self) -> Coordinates:
        """How its parameters are counted."""
        return FAMILIES[self.name]

    @property
    def ends(self) -> tuple[_Array, _Array]:
        """The lowest and highest of each coordinate."""
        low, high = np.array(self.coordinates.ends(self.size)).T
        return low, high

    def shape_at(self, place: _Array) -> _Array:
        """Give the taps of the shape whose coordinates these are."""
        return self.coordinates.shape(self.size, *self.coordinates.parameters_at(*place)).ravel()

    @property
    def unknowns(self) -> int:
        """How many numbers make a kernel of this kind."""
        return min(len(self.coordinates.names) + 2 + (self.sum is None), self.size[0] * self.size[1])

    def fit(self, total: _Array) -> FamilyFit:
        """Fit the kernel of least squared error that is of this form."""
        constraints = Constraints.resolve(
            self.size, sum=self.sum, nonnegative=False, symmetric=None, support=None
        )
        free_fit = least_squares(total) if constraints is None else constraints.fit(total)
        target = Target.of(total, free_fit)
        begun = [descend(point, target, _ROUNDS) for point in self._starts(target)]
        best = descend(min(begun, key=lambda point: target.distance(point.weights)), target)
        if self.coordinates.has_edges:
            # Most are of whole pixels, where the error has a crease that steps run along, not into.
            whole = np.clip(np.round(2 * best.place) / 2, *self.ends)
            again = descend(_Shaped.at(whole, self, target), target)
            best = min(best, again, key=lambda point: target.distance(point.weights))
        if free_fit.rank == 0 or best.gain == 0:  # any shape would do
            fit = as_free(total, best.weights, free_fit)
        else:
            fit = linearised(total, best.weights, best.tangent(), free_fit)
        return self._with_parameters(fit, best, total)

    def _starts(self, target: Target) -> "list[_Shaped]":
        """Give the best of a grid of shapes, each at its best place."""
        (kh, kw), apart = self.size, 1 if max(self.size) <= 9 else 2
        centers = sorted(
            product(range(kh // 2 % apart, kh, apart), range(kw // 2 % apart, kw, apart)),
            key=lambda center: hypot(center[0] - kh // 2, center[1] - kw // 2),  # of equals, the first counts
        )
        found = []
        for start in self.coordinates.starts(self.size):
            # Moved by whole taps it is the same shape: cut out of a larger window.
            wide = self.coordinates.shape((3 * kh, 3 * kw), *start)
            windows = np.lib.stride_tricks.sliding_window_view(wide, self.size)
            shapes = np.array([windows[kh + kh // 2 - y, kw + kw // 2 - x].ravel() for y, x in centers])
            shapes /= shapes.sum(axis=1, keepdims=True)
            errors = self._errors(shapes, target)
            best = int(errors.argmin())
            y, x = centers[best]
            place = np.array(self.coordinates.place_of(*start, y - kh // 2, x - kw // 2))
            found.append((float(errors[best]), np.clip(place, *self.ends)))
        found.sort(key=lambda pair: pair[0])
        return [_Shaped.at(place, self, target) for _, place in found[:_TRIED]]

    def _errors(self, shapes: _Array, target: Target) -> _Array:
        """Give the squared error of each shape with the best gain for it, but for what all have in common."""
        pulls = shapes @ (target.gram @ target.weights)
        lengths = np.einsum("ij,ij->i", shapes @ target.gram, shapes)
        if self.sum is not None:
            return np.asarray(self.sum * (self.sum * lengths - 2 * pulls))
        return np.asarray(-(pulls**2) / lengths)

    def _with_parameters(self, fit: CurvedFit, best: "_Shaped", total: _Array) -> FamilyFit:
        tangent = best.tangent()
        inverse, hidden = _inverse(tangent, total, np.abs(best.weights).max())
        to_places = np.linalg.pinv(tangent, rcond=1e-9)
        if self.sum is not None:  # a gain that was given is told
            inverse, hidden, to_places = (
                np.pad(inverse, ((1, 0), (1, 0))),
                np.pad(hidden, ((1, 0), (0, 0))),
                np.pad(to_places, ((1, 0), (0, 0))),
            )
        values, slopes = best.parameters()
        steepest = np.abs(slopes).max(axis=1)  # of a length held at its shortest, zero
        lost = (np.abs(slopes @ hidden).max(axis=1, initial=0) > 1e-6 * steepest) | (steepest == 0)
        spreads = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, inverse, slopes), 0))
        of_taps = slopes @ to_places
        roundings = np.abs(of_taps) @ fit.rounding
        return FamilyFit(
            **{
                **vars(fit),
                "notes": self._notes(best, [name for name, gone in zip(values, lost, strict=True) if gone]),
            },
            family=self.name,
            values=values,
            spreads=dict(zip(values, np.where(lost, inf, spreads).tolist(), strict=True)),
            roundings=dict(zip(values, roundings.tolist(), strict=True)),
            slopes=of_taps,
        )

    def _notes(self, best: "_Shaped", lost: list[str]) -> tuple[str, ...]:
        notes = []
        if lost:
            notes.append(f"The pair does not tell {', '.join(lost)} of this {self.name}: others fit as well.")
        kh, kw = self.size
        wide = self.coordinates.shape((3 * kh, 3 * kw), *self.coordinates.parameters_at(*best.place))
        outside = 1 - wide[kh : 2 * kh, kw : 2 * kw].sum()
        if outside > _OUTSIDE:
            notes.append(
                f"{100 * outside:.0f} % of this {self.name} lies outside the {kh} x {kw} window: take a "
                f"larger size."
            )
        return tuple(notes)


@dataclass(frozen=True)
class _Shaped:
    """A kernel of a family: ``weights = gain * shape``, the shape at `place`, its centre last."""

    kind: Family
    place: _Array
    shape: _Array
    gain: float

    @classmethod
    def at(cls, place: _Array, kind: Family, target: Target) -> "_Shaped":
        """Give the shape at that place with the gain that is best for it."""
        shape = kind.shape_at(place)
        if kind.sum is not None:
            return cls(kind, place, shape, kind.sum)
        pull = target.gram @ shape
        return cls(kind, place, shape, float(pull @ target.weights / (pull @ shape)))

    @property
    def weights(self) -> _Array:
        return self.gain * self.shape

    def tangent(self) -> _Array:
        """Give what each coordinate changes, after the gain, where that is free."""
        columns = [self.shape] if self.kind.sum is None else []
        for step in _NEXT * np.eye(len(self.place)):
            low, high = np.clip([self.place - step, self.place + step], *self.kind.ends)
            change = self.kind.shape_at(high) - self.kind.shape_at(low)
            columns.append(self.gain / (high - low).sum() * change)
        return np.stack(columns, axis=1)

    def moved(self, step: _Array, target: Target) -> "_Shaped":
        """Go on by `step`, and take the gain that is best there."""
        place = np.clip(self.place + step[-len(self.place) :], *self.kind.ends)
        return self.at(place, self.kind, target)

    def parameters(self) -> tuple[dict[str, float], _Array]:
        """Give the parameters, and what the gain and each coordinate change of them."""
        coordinates = self.kind.coordinates
        names = [*coordinates.names, "center_y", "center_x"]
        values = dict(zip(names, map(float, coordinates.parameters_at(*self.place)), strict=True))
        slopes = np.zeros((len(names) + 1, len(self.place) + 1))
        for i, step in enumerate(_NEXT * np.eye(len(self.place))):
            there, back = (coordinates.parameters_at(*(self.place + way)) for way in (step, -step))
            change = dict(zip(names, np.subtract(there, back).tolist(), strict=True))
            if "angle" in change:
                change["angle"] = (change["angle"] + 90) % 180 - 90
            slopes[:-1, i + 1] = np.array(list(change.values())) / (2 * _NEXT)
        slopes[-1, 0] = 1
        return {**values, "gain": self.gain}, slopes


def _inverse(tangent: _Array, total: _Array, largest: float) -> tuple[_Array, _Array]:
    """Give ``(J^T gram J)^-1`` on the directions that are told, and the directions that are not."""
    taps, count = tangent.shape
    lengths = np.linalg.norm(tangent, axis=0)
    seen = np.flatnonzero(lengths > _UNSEEN * largest)
    scaled = tangent[:, seen] / lengths[seen]
    values, vectors = np.linalg.eigh(scaled.T @ centred(total)[:taps, :taps] @ scaled)
    told = values > max(rounding_of(total), 1e-12 * values.max(initial=0))
    directions = np.zeros((count, len(seen)))
    directions[seen] = vectors / lengths[seen, None]
    inverse = (directions[:, told] / values[told]) @ directions[:, told].T
    hidden = directions[:, ~told] / np.abs(directions[:, ~told]).max(axis=0, initial=0)
    unseen = np.delete(np.eye(count), seen, axis=1)
    return inverse, np.concatenate([hidden, unseen], axis=1)
