"""Filters that are known to the last tap, but for a gain: looked for at every place of the window at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ..operators import Operator, operators
from ..resampling import reductions
from .evidence import Array, Evidence, Named

_LOOKED_AT = 4  # of the best so many, the excess is had to its last digits
_NEAR = 0.1  # of the energy: what leaves more unexplained is not looked at
_ALIKE = 1e-9  # of the largest tap


@dataclass(frozen=True, eq=False)
class _Batch:
    """Operators of about one size, each with zeros below and beside it, and the places where each fits."""

    block: tuple[int, int]
    of: tuple[Operator, ...]
    taps: Array  # (operators, block)
    fits: Array  # (places, operators): 1, or NaN


def fixed_filters(evidence: Evidence) -> list[Named]:
    """Give the operators that explain nearly all that the kernel explains, the best first.

    The best gain of an operator leaves ``energy - (taps . cross)^2 / (taps . gram . taps)`` unexplained.
    """
    grey = evidence.on_grey
    found = [
        one for batch in _batches(evidence.size, evidence.stride, grey) for one in _screened(evidence, batch)
    ]
    found = sorted((one for one in found if one[0] <= _NEAR * evidence.energy), key=lambda one: one[0])
    named = [_exactly(evidence, operator, place) for _, operator, place in found[:_LOOKED_AT]]
    named.sort(key=lambda one: one.excess)
    # Of those that are the same kernel, the one that is listed first.
    order = {name: place for place, name in enumerate(_listed(evidence.stride, grey))}
    alike = [one for one in named if _is_alike(one, named[0])]
    alike.sort(key=lambda one: order[one.name])
    return [*alike[:1], *(one for one in named if not _is_alike(one, named[0]))]


def _is_alike(one: Named, other: Named) -> bool:
    return bool(np.abs(one.weights - other.weights).max() <= _ALIKE * np.abs(other.weights).max())


@lru_cache(maxsize=64)
def _all(stride: tuple[int, int], on_grey: bool) -> tuple[Operator, ...]:
    """Give what is looked for, the better known of two that are alike first."""
    known = tuple(one for one in operators() if not one.parameters)  # those are held against gaussians
    if on_grey:
        known = tuple(sorted(known, key=lambda one: not one.embosses))
    if stride == (1, 1):
        return known
    smaller = [Operator(name, taps, "Pillow, OpenCV") for name, taps in reductions(stride)]
    return (*smaller, *(one for one in known if one.name != "identity"))


def _listed(stride: tuple[int, int], on_grey: bool) -> Iterator[str]:
    # Backwards: of a name that stands there twice, the first place counts where a dict keeps the last.
    return iter(dict.fromkeys(one.name for one in _all(tuple(stride), on_grey)))


@lru_cache(maxsize=64)
def _batches(size: tuple[int, int], stride: tuple[int, int], on_grey: bool) -> tuple[_Batch, ...]:
    fitting = [one for one in _all(stride, on_grey) if np.less_equal(one.taps.shape, size).all()]
    sides = (0, 3, 5, 7, 12, 1 << 30)
    batches = []
    for least, side in pairwise(sides):
        some = tuple(one for one in fitting if least < max(one.taps.shape) <= side)
        if some:
            batches.append(_batch(size, some))
    return tuple(batches)


def _batch(size: tuple[int, int], some: tuple[Operator, ...]) -> _Batch:
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])
    bh, bw = (max(one.taps.shape[axis] for one in some) for axis in (0, 1))
    taps, fits = np.zeros((len(some), bh, bw)), np.full((len(some), *size), np.nan)
    for k, one in enumerate(some):
        kh, kw = one.taps.shape
        taps[k, :kh, :kw] = one.taps
        fits[k, (rows + kh <= size[0]) & (columns + kw <= size[1])] = 1
    return _Batch((bh, bw), some, taps.reshape(len(some), -1), fits.reshape(len(some), -1).T)


def _screened(evidence: Evidence, batch: _Batch) -> Iterator[tuple[float, Operator, tuple[int, int]]]:
    """Give what each operator leaves unexplained at its best place, and that place.

    The denominator hardly differs from place to place, but by more than neighbours of a smooth picture do: it
    is had exactly where the numerator is largest, and where the operator is most like the weights.
    """
    (kh, kw), (bh, bw) = evidence.size, batch.block
    padded = np.zeros((2, kh + bh - 1, kw + bw - 1))
    padded[0, :kh, :kw] = evidence.cross.reshape(kh, kw)
    padded[1, :kh, :kw] = evidence.weights.reshape(kh, kw)
    windows = np.lib.stride_tricks.sliding_window_view(padded, batch.block, axis=(1, 2))
    products = windows.reshape(2, kh * kw, bh * bw) @ batch.taps.T * batch.fits
    places = np.nan_to_num(np.abs(products), nan=-1.0).argmax(axis=1)  # (2, operators)
    along = np.take_along_axis(products[0], places, axis=0)
    left = evidence.energy - along**2 / _lengths(evidence, batch, places)
    best = left.argmin(axis=0)
    for k, operator in enumerate(batch.of):
        if along[best[k], k] > 0 or not operator.embosses:  # turned, there is another one
            yield float(left[best[k], k]), operator, divmod(int(places[best[k], k]), kw)


def _lengths(evidence: Evidence, batch: _Batch, places: NDArray[np.intp]) -> Array:
    """Give ``taps . gram . taps`` of each operator at its places."""
    (kh, kw), (bh, bw) = evidence.size, batch.block
    rows = np.minimum(places[..., None] // kw + np.arange(bh), kh - 1)  # beyond the window, taps are zero
    columns = np.minimum(places[..., None] % kw + np.arange(bw), kw - 1)
    at = (rows[..., :, None] * kw + columns[..., None, :]).reshape(*places.shape, bh * bw)
    grams = evidence.gram[at[..., :, None], at[..., None, :]]
    return np.asarray(np.einsum("ki,pkij,kj->pk", batch.taps, grams, batch.taps, optimize=True))


def _exactly(evidence: Evidence, operator: Operator, place: tuple[int, int]) -> Named:
    """Give the operator with its best gain."""
    (kh, kw), (rows, columns) = evidence.size, operator.taps.shape
    shape = np.zeros((kh, kw))
    shape[place[0] : place[0] + rows, place[1] : place[1] + columns] = operator.taps
    taps = shape.ravel()
    pull = evidence.gram @ taps
    gain = float(pull @ evidence.weights) / float(pull @ taps)
    error = sqrt(evidence.variance / float(pull @ taps))
    weights = gain * taps
    return Named(
        name=operator.name,
        weights=weights,
        unknowns=1,
        parameters={**_grey(evidence, operator), "gain": (gain, error)},
        excesses=((evidence.excess(weights), len(weights) - 1),),
        middle=(place[0] + (rows - 1) / 2, place[1] + (columns - 1) / 2),
        apart=_apart(operator, evidence.stride),
    )


def _grey(evidence: Evidence, operator: Operator) -> dict[str, tuple[float, float]]:
    return {"grey": evidence.bias} if operator.embosses and evidence.on_grey else {}


def _apart(operator: Operator, stride: tuple[int, int]) -> tuple[float, float]:
    """Say how far its middle is from the pixel that it makes where it does not move the picture."""
    if "reduction" in operator.name:
        return (stride[0] - 1) / 2, (stride[1] - 1) / 2
    return 0.0, 0.0
