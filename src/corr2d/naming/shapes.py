"""The filters that have parameters and a symmetry, each as a function of its place among them.

A place has coordinates that run freely: logarithms of lengths, and of an ellipse half the logarithm of its
covariance. Every function takes many places at once, (k, coordinates), and gives the taps of one group each,
(k, groups). Those that blur sum to one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from math import atan2, degrees, exp, hypot, log

import numpy as np

from ..families import disk, motion
from ..operators import operators
from .evidence import Array
from .symmetric import Groups, Symmetry

_At = Callable[..., Array]  # groups, places, and for some a reach


@dataclass(frozen=True, eq=False)
class Model:
    """A filter with parameters: ``amount * shape``, or that and the identity."""

    name: str
    at: _At
    values: Callable[[Array], dict[str, float]]  # the parameters of a place
    starts: Array  # (k, coordinates): places of which one is near to any kernel of the window
    linear: str = "gain"  # what the amount is called
    least: float = 0.0  # of the first parameter: smaller, it is another filter
    cuts: tuple[_At, ...] = ()  # the same with a reach, beyond which taps are cut off
    cut: bool = False  # it is one of those
    sharpens: bool = False  # it is added to the identity
    has_ends: bool = False  # its coordinates are those of an end, in pixels
    has_edges: bool = False  # where edges of shape and taps meet, the error has a crease; most are there


def gaussian(groups: Groups, places: Array, reach: float | None = None) -> Array:
    """Sample it at the middle of each tap, and cut off what is further away than `reach`."""
    sigma = np.exp(places[:, :1])
    squared = groups.dy**2 + groups.dx**2
    # Beside the largest: all of a narrow one between the taps would underflow to zero.
    shape = np.exp(-(squared - squared.min()) / (2 * sigma**2))
    return _summing_to_one(groups, _cut(groups, shape, reach))


def three_boxes(groups: Groups, places: Array) -> Array:
    """Give what three boxes in a row make, their ends in parts of a pixel (Gwosdek et al. 2011).

    Pillow's GaussianBlur, for the sigma that it is asked for.
    """
    far = int(max(groups.dy.max(initial=0), groups.dx.max(initial=0))) + 1
    profiles = np.stack([_box_thrice(sigma, far) for sigma in np.exp(places[:, 0])])
    shape = profiles[:, groups.dy.astype(int)] * profiles[:, groups.dx.astype(int)]
    return _summing_to_one(groups, shape)


def _box_thrice(sigma: float, far: int) -> Array:
    """Give the right half of the profile, `far` taps long."""
    third = sigma**2 / 3
    half = int((np.sqrt(12 * third + 1) - 1) / 2)
    end = (2 * half + 1) * (half * (half + 1) - 3 * third) / (6 * (third - (half + 1) ** 2))
    box = np.ones(2 * half + 3)
    box[[0, -1]] = end
    thrice = np.convolve(np.convolve(box, box), box)[3 * half + 3 :]
    return np.pad(thrice, (0, max(far - len(thrice), 0)))[:far]


def square(groups: Groups, places: Array) -> Array:
    """Give the share of each tap that a square covers."""
    side = np.exp(places[:, :1])
    return _covered(groups.dy, side) * _covered(groups.dx, side)


def rectangle(groups: Groups, places: Array) -> Array:
    """Give the share of each tap that an upright rectangle covers, of this height and width."""
    height, width = np.exp(places[:, :1]), np.exp(places[:, 1:])
    return _covered(groups.dy, height) * _covered(groups.dx, width)


def _covered(distance: Array, length: Array) -> Array:
    """Give the share of a bar about zero that lies in the pixel at that distance."""
    return np.asarray(np.clip(length / 2 + 0.5 - distance, 0, np.minimum(length, 1)) / length)


def round_disk(groups: Groups, places: Array) -> Array:
    """Give the share of each tap that a disk covers."""
    shapes = [disk(groups.size, radius, *_from_middle(groups)) for radius in np.exp(places[:, 0])]
    return _of_taps(groups, shapes)


def pixelated_disk(groups: Groups, places: Array, radius: float) -> Array:
    """Give all pixels whose middles are within a radius, as scikit-image's morphology.disk does."""
    inside = groups.dy**2 + groups.dx**2 <= radius**2
    return _summing_to_one(groups, np.tile(inside.astype(float), (len(places), 1)))


def track(groups: Groups, places: Array) -> Array:
    """Give that of a point that moves straight on; a place is half the way, down and to the right."""
    parameters = [_length_and_angle(place) for place in places]
    return _of_taps(groups, [motion(groups.size, *some, *_from_middle(groups)) for some in parameters])


def _length_and_angle(place: Array) -> tuple[float, float]:
    down, along = float(place[0]), float(place[1])
    return max(2 * hypot(down, along), 0.02), (degrees(atan2(-down, along)) + 90) % 180 - 90


def ellipse(groups: Groups, places: Array) -> Array:
    """Sample a gaussian whose place is ``mean + [[along, across], [across, -along]]``, as a family's is."""
    mean, along, across = places.T[:, :, None]
    apart = np.hypot(along, across)
    long, short = np.exp(-2 * (mean + apart)), np.exp(-2 * (mean - apart))
    # Of the inverse covariance: its mean, and what differs along and across.
    level, part = (long + short) / 2, (long - short) / 2 / np.where(apart > 0, apart, 1)
    y, x = groups.dy, groups.dx
    exponent = level * (x**2 + y**2) + part * (along * (x**2 - y**2) - 2 * across * x * y)
    exponent -= exponent.min(axis=1, keepdims=True)
    return _summing_to_one(groups, np.exp(-exponent / 2))


def laplacian(groups: Groups, places: Array, reach: float | None = None, *, level: bool = False) -> Array:
    """Sample the Laplacian of a gaussian (Marr & Hildreth 1980); level: less its mean, to sum to zero."""
    variance = np.exp(2 * places[:, :1])
    parabola = (groups.dy**2 + groups.dx**2) / variance**2 - 2 / variance
    shape = parabola * gaussian(groups, places, reach)
    if level:
        inside = _cut(groups, np.ones_like(shape), reach)
        shape = shape - inside * (shape @ groups.counts / (inside @ groups.counts))[:, None]
    return np.asarray(shape)


def slope(groups: Groups, places: Array, reach: float | None = None) -> Array:
    """Sample the first derivative of a gaussian along the axis that the symmetry is odd in."""
    distance = groups.dx if groups.symmetry == "odd in x" else groups.dy
    return _derivative(groups, places, lambda variance: distance / variance, reach)


def curvature(groups: Groups, places: Array, reach: float | None = None, *, axis: str) -> Array:
    """Sample the second derivative of a gaussian along an axis."""
    distance = groups.dx if axis == "x" else groups.dy
    return _derivative(groups, places, lambda variance: distance**2 / variance**2 - 1 / variance, reach)


def _derivative(
    groups: Groups, places: Array, factor: Callable[[Array], Array], reach: float | None
) -> Array:
    variance = np.exp(2 * places[:, :1])
    whole = np.arange(-60.0, 61) + groups.centre[0] % 1, np.arange(-60.0, 61) + groups.centre[1] % 1
    total = 1.0
    for along in whole:
        total = total * np.exp(-(along**2) / (2 * variance)).sum(axis=1, keepdims=True)
    shape = factor(variance) * np.exp(-(groups.dy**2 + groups.dx**2) / (2 * variance)) / total
    return _cut(groups, shape, reach)


def _table(groups: Groups, places: Array, taps: Array) -> Array:
    """Give the taps of a square table about the middle."""
    half = len(taps) // 2
    near = (groups.dy <= half) & (groups.dx <= half)
    values = np.zeros(groups.count)
    values[near] = taps[groups.dy[near].astype(int) + half, groups.dx[near].astype(int) + half]
    return np.tile(values, (len(places), 1))


def identity(groups: Groups) -> Array:
    """Give the one tap in the middle, group by group."""
    return np.asarray((groups.dy == 0) & (groups.dx == 0), np.float64)


def _less(groups: Groups, places: Array, *, blur: _At, **reach: float) -> Array:
    return identity(groups) - blur(groups, places, **reach)


def _cut(groups: Groups, shape: Array, reach: float | None) -> Array:
    return shape if reach is None else shape * ((groups.dy <= reach) & (groups.dx <= reach))


def _summing_to_one(groups: Groups, shape: Array) -> Array:
    return np.asarray(shape / (shape @ groups.counts)[:, None])


def _of_taps(groups: Groups, shapes: list[Array]) -> Array:
    return np.stack([shape.ravel()[groups.order[groups.starts]] for shape in shapes])


def _from_middle(groups: Groups) -> tuple[float, float]:
    return groups.centre[0] - groups.size[0] // 2, groups.centre[1] - groups.size[1] // 2


def _lengths(groups: Groups, first: float = 0.3, ratio: float = 1.15) -> Array:
    count = int(np.log(max(groups.size) / first) / np.log(ratio)) + 1
    return np.asarray((log(first) + log(ratio) * np.arange(count))[:, None], np.float64)


def _pairs(groups: Groups) -> Array:
    sides = _lengths(groups, 0.8, 1.3)[:, 0]
    return np.array(list(product(sides, repeat=2)))


def _ellipses(groups: Groups) -> Array:
    found = []
    for mean, apart in product(_lengths(groups, 0.5, 1.4)[:, 0], (0.2, 0.5, 0.9)):
        found += [(mean, apart * np.cos(turn), apart * np.sin(turn)) for turn in np.arange(0, 2 * np.pi, 0.7)]
    return np.array(found)


def _tracks(groups: Groups) -> Array:
    angles = np.arange(0, np.pi, np.pi / 12)
    halves = [half for half in (0.8, 1.1, 1.6, 2.2, 3.1, 4.4, 6.2, 8.8, 12.5) if half < max(groups.size)]
    return np.array([(half * np.sin(a), half * np.cos(a)) for half in halves for a in angles])


def _of_length(name: str) -> Callable[[Array], dict[str, float]]:
    return lambda place: {name: exp(place[0])}


def _sides(place: Array) -> dict[str, float]:
    return {"height": exp(place[0]), "width": exp(place[-1])}


def _axes(place: Array) -> dict[str, float]:
    mean, along, across = map(float, place)
    apart, angle = hypot(along, across), degrees(atan2(across, along)) / 2
    return {"sigma_long": exp(mean + apart), "sigma_short": exp(mean - apart), "angle": angle}


def _track_values(place: Array) -> dict[str, float]:
    length, angle = _length_and_angle(place)
    return {"length": length, "angle": angle}


_SIGMA = _of_length("sigma")
_NO_PLACE = np.zeros((1, 0))
_SHARPENING = (
    ("4 neighbours", [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]),
    ("8 neighbours", [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    ("diagonal neighbours", [[-1, 0, -1], [0, 4, 0], [-1, 0, -1]]),
)


@lru_cache(maxsize=128)
def models(groups: Groups) -> tuple[Model, ...]:
    """Give all filters of a symmetry that may stand in the window about that centre."""
    of: dict[Symmetry, Callable[[Groups], Iterator[Model]]] = {
        "square": _square_models,
        "rectangle": _rectangle_models,
        "half turn": _half_turn_models,
        "odd in x": _odd_models,
        "odd in y": _odd_models,
    }
    return tuple(of[groups.symmetry](groups))


def _square_models(groups: Groups) -> Iterator[Model]:
    lengths = _lengths(groups)
    reach = int(max(groups.dy.max(), groups.dx.max()))
    whole = groups.centre[0] % 1 == 0
    if whole:
        for which, taps in _SHARPENING:
            at = partial(_table, taps=np.array(taps, np.float64))
            yield Model(f"sharpen, {which}", at, lambda _: {}, _NO_PLACE, "amount", sharpens=True)
        for radius in range(1, reach + 1):
            at = partial(pixelated_disk, radius=radius)
            yield Model("disk", at, partial(_constant, "radius", radius), _NO_PLACE)
        for operator in operators():
            for parameter, value in operator.parameters.items():
                at = partial(_table, taps=operator.taps)
                yield Model(operator.name, at, partial(_constant, parameter, value), _NO_PLACE)
    yield Model("gaussian", gaussian, _SIGMA, lengths, cuts=(gaussian,))
    cuts = (laplacian, partial(laplacian, level=True))
    yield Model("laplacian of gaussian", laplacian, _SIGMA, lengths, least=0.4, cuts=cuts)
    if whole:
        yield Model("gaussian", three_boxes, _SIGMA, lengths)
        less = partial(_less, blur=gaussian)
        yield Model("unsharp mask", less, _SIGMA, lengths, "amount", cuts=(less,), sharpens=True)
        less = partial(_less, blur=three_boxes)
        yield Model("unsharp mask", less, _SIGMA, lengths, "amount", sharpens=True)
    yield Model("disk", round_disk, _of_length("radius"), _lengths(groups, first=0.55))
    yield Model("box", square, _sides, _lengths(groups, first=1.1), has_edges=True)


def _constant(name: str, value: float, _place: Array) -> dict[str, float]:
    return {name: float(value)}


def _rectangle_models(groups: Groups) -> Iterator[Model]:
    yield Model("box", rectangle, _sides, _pairs(groups), has_edges=True)
    for axis in "yx":
        at, name = partial(curvature, axis=axis), f"derivative of a gaussian, order 2 in {axis}"
        yield Model(name, at, _SIGMA, _lengths(groups), cuts=(at,))


def _half_turn_models(groups: Groups) -> Iterator[Model]:
    yield Model("gaussian", ellipse, _axes, _ellipses(groups))
    yield Model("motion", track, _track_values, _tracks(groups), has_ends=True)


def _odd_models(groups: Groups) -> Iterator[Model]:
    name = f"derivative of a gaussian, order 1 in {groups.symmetry[-1]}"
    yield Model(name, slope, _SIGMA, _lengths(groups), cuts=(slope,))
