"""What else a residual could be made of: curves of the prediction, the surroundings of a pixel, its place.

Noise is none of them. So each tile of a sample is summed up as moments of functions of the pixel that no
convolution can make, and of the residual; from those moments alone it is asked how much of the residual each
kind of function predicts in tiles that it was not fitted to (Mosteller & Tukey 1968).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..position import monomials
from .residuals import MARGIN, Sample

_Array = NDArray[np.float64]
_Mask = NDArray[np.bool_]
_Plane = NDArray[np.float32]
_Planes = list[_Plane]

_SIDE = 16  # pixels of each tile
_GROUPS = 8  # of tiles: each is predicted from the others
_KNOTS = (-1.5, -0.75, 0.0, 0.75, 1.5)  # deviations of the prediction, about which its curves bend
_STEPS = np.array([1, 3], np.float32)  # typical differences of neighbours, at which differences are cut off
_LEAST_RIDGE = 1e-6  # of the mean square: a feature that is a sum of others is not solved for
_DEGREE = 2  # of the polynomials of the place
_OWN = (0, 1, 2, 3)  # entries of a tile's own: a level, the prediction, the pixel, the mean about it


class Shares(NamedTuple):
    """Shares of the residual's variance, predicted in tiles that were left out; below 0 for none.

    Attributes
    ----------
    curve : float
        By curves of the prediction.
    surroundings : float
        By medians, extremes, contrasts and cut-off differences about the pixel.
    both : float
        By both together.
    tiles : float
        By a level, a gain and a sharpness of each tile's own; not left out, but freed of what chance makes.
    """

    curve: float
    surroundings: float
    both: float
    tiles: float


@dataclass(frozen=True)
class Structure:
    """``sum z z^T`` of each tile, z = (1, linear, curves, surroundings, residual), and the tiles' places.

    The first of the surroundings is the length of the local gradient.

    `shares` are asked of every pair; `place` and `everything`, which take longer, of those that look odd.
    """

    tiles: _Array
    places: _Array
    linear: int
    curves: int

    @classmethod
    def of(cls, sample: Sample, predicted: _Array, residual: _Array, counts: _Mask) -> "Structure":
        """Sum up a part of each tile.

        Parameters
        ----------
        sample : Sample
            Of the pair.
        predicted, residual : (tiles, th, tw) arrays
            What the kernel makes, and what it leaves, in units of `after`.
        counts : (tiles, th, tw) bool array
            Which of them to look at.
        """
        predicted, residual, counts = _tiles_last(predicted), _tiles_last(residual), _tiles_last(counts)
        linear, curves, surroundings = _features(sample, predicted, counts)
        rest = _standard(np.where(counts, residual, 0), counts)
        planes = [np.ones_like(rest), *linear, *curves, *surroundings, rest]
        tiles, pixels = rest.shape[-1], rest[..., 0].size
        z = np.empty((tiles, len(planes), pixels), np.float32)
        some = counts.reshape(pixels, tiles)
        for i, plane in enumerate(planes):
            np.multiply(plane.reshape(pixels, tiles).T, some.T, out=z[:, i])
        sums = np.matmul(z, z.transpose(0, 2, 1)).astype(np.float64)
        return cls(sums, sample.places, len(linear), len(curves))

    def shares(self) -> Shares:
        """Say what share of the residual curves and surroundings explain, and what differs between tiles."""
        return Shares(
            curve=self._left_out_share("curves"),
            surroundings=self._left_out_share("surroundings"),
            both=self._left_out_share("curves", "surroundings"),
            tiles=self._share_of_tiles(),
        )

    def place(self) -> float:
        """Say what share of it a kernel explains that is a polynomial of the position."""
        return self._left_out_share(degree=_DEGREE)

    def everything(self) -> float:
        """Say what share of it all of them explain together."""
        return self._left_out_share("curves", "surroundings", degree=_DEGREE)

    def gradient(self) -> float:
        """Give the correlation of the residual with the length of the local gradient."""
        total = self.tiles.sum(axis=0)
        about_mean = total - np.outer(total[0], total[0]) / max(total[0, 0], 1.0)
        at = 1 + self.linear + self.curves
        spread = float(np.sqrt(max(about_mean[at, at] * about_mean[-1, -1], 0.0)))
        return float(about_mean[at, -1]) / spread if spread > 0 else 0.0

    def _entries(self, kinds: tuple[str, ...]) -> list[int]:
        """Give the places in z of these kinds, after the linear ones, which are always there."""
        first, second, last = 1 + self.linear, 1 + self.linear + self.curves, self.tiles.shape[-1] - 1
        parts = {"curves": range(first, second), "surroundings": range(second, last)}
        return [*range(first), *(i for kind in kinds for i in parts[kind]), last]

    @cached_property
    def _groups(self) -> _Array:
        """The tiles' weights in each group: dealt out so that no neighbours, row or column are in one."""
        order = np.lexsort((self.places[:, 1], self.places[:, 0]))
        dealt = (np.arange(len(order)) + 3 * (np.arange(len(order)) // _GROUPS)) % _GROUPS
        weights = np.zeros((_GROUPS, len(order)))
        weights[dealt, order] = 1
        return weights

    @cached_property
    def _grouped(self) -> _Array:
        return self._in_groups(self.tiles)

    @cached_property
    def _without(self) -> float:
        """What linear functions leave of the residual, in tiles that were left out."""
        return _left_over(_of_entries(self._grouped, self._entries(())))

    def _in_groups(self, tiles: _Array) -> _Array:
        return np.tensordot(self._groups, tiles, 1)

    def _left_out_share(self, *kinds: str, degree: int = 0) -> float:
        """Give how much less of the residual is left in tiles that were left out with these than without."""
        if self._without <= 0:
            return 0.0
        entries = self._entries(kinds)
        if degree:
            sums = self._in_groups(self._varying(entries, degree))
        else:
            sums = _of_entries(self._grouped, entries)
        return 1 - _left_over(sums) / self._without

    def _varying(self, entries: list[int], degree: int) -> _Array:
        """Give each tile's sums with the linear entries times each monomial of the place.

        A tile is small beside the picture: its place is that of its middle.
        """
        linear, rest = 1 + self.linear, entries[1 + self.linear :]
        powers = monomials(degree)
        turn = np.zeros((len(self.tiles), len(powers) * linear + len(rest), self.tiles.shape[-1]))
        for k, (i, j) in enumerate(powers):
            value = self.places[:, 0] ** i * self.places[:, 1] ** j
            turn[:, range(k * linear, (k + 1) * linear), range(linear)] = value[:, None]
        turn[:, range(len(powers) * linear, turn.shape[1]), rest] = 1
        return np.asarray(turn @ self.tiles @ turn.transpose(0, 2, 1))

    def _share_of_tiles(self) -> float:
        linear = self._entries(())
        of_linear, own = _of_entries(self.tiles, linear), len(_OWN)
        turn = np.zeros((own + 1, len(linear)))
        turn[range(own), _OWN] = 1
        turn[-1] = _fitted(of_linear.sum(axis=0))
        tiles = turn @ of_linear @ turn.T
        tiles = tiles[tiles[:, 0, 0] > 2 * own]
        coefficients = _fitted(tiles)
        squares = tiles[:, -1, -1]
        left = np.einsum("ti,tij,tj->t", coefficients, tiles, coefficients)
        chance = own * squares / tiles[:, 0, 0]
        return float((squares - left - chance).sum() / squares.sum()) if squares.sum() > 0 else 0.0


def neighbours(residual: _Array, counts: _Mask) -> float:
    """Give the correlation of the residual of pixels beside each other, along rows and columns."""
    pixels = np.where(counts, residual, 0)
    squares = float(np.sum(np.square(pixels)))
    products, pairs = 0.0, 0
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :, 1:], np.s_[:, :, :-1])):
        products += float(np.sum(pixels[one] * pixels[other]))
        pairs += int(np.count_nonzero(counts[one] & counts[other]))
    return products / pairs * np.count_nonzero(counts) / squares if pairs and squares > 0 else 0.0


def _of_entries(sums: _Array, entries: list[int]) -> _Array:
    return sums[:, np.array(entries)[:, None], entries]


def _tiles_last(planes: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(planes[:, :_SIDE, :_SIDE].transpose(1, 2, 0))


def _left_over(groups: _Array) -> float:
    """Give the squared residual, the last entry, of each group when fitted to the others."""
    coefficients = _fitted(groups.sum(axis=0) - groups)
    return float(np.einsum("gi,gij,gj->", coefficients, groups, coefficients))


def _fitted(sums: _Array) -> _Array:
    """Give ``(-coefficients, 1)`` of the least-squares fit of the last entry, of each of some sums."""
    gram, cross = sums[..., :-1, :-1], sums[..., :-1, -1]
    scale = 1 / np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), np.finfo(np.float64).tiny))
    scaled = gram * scale[..., None] * scale[..., None, :] + _LEAST_RIDGE * np.eye(gram.shape[-1])
    found = scale * np.linalg.solve(scaled, (scale * cross)[..., None])[..., 0]
    return np.concatenate([-found, np.ones((*found.shape[:-1], 1))], axis=-1)


def _features(sample: Sample, predicted: _Array, counts: _Mask) -> tuple[_Planes, _Planes, _Planes]:
    """Give what a convolution could add, what only curves and what only the surroundings can: in deviations.

    float32: they are asked for a share of the residual, not for its digits.
    """
    around = _Around.of(sample)
    ring, far = ([around.at(s * dy, s * dx) for dy, dx in product((-1, 0, 1), repeat=2)] for s in (1, 2))
    middle = ring[4]
    z = _standard(predicted, counts)
    mean3, mean_far = _mean(ring), _mean(far)
    mean5, mean9, square9 = around.mean(2), around.mean(4), around.squared().mean(4)
    gradient = ring[5] - ring[3], ring[7] - ring[1]
    linear = [z, middle, mean3, mean_far, mean5, mean9, *gradient]
    curves = [np.tanh(z - np.float32(knot)) for knot in _KNOTS] + [z * z]

    contrast9 = np.sqrt(np.maximum(square9 - mean9 * mean9, 0))
    contrast3 = np.sqrt(np.maximum(_mean([one * one for one in ring]) - mean3 * mean3, 0))
    detail = middle - mean9
    lowest, highest = ring[0], ring[0]
    for one in ring[1:]:
        lowest, highest = np.minimum(lowest, one), np.maximum(highest, one)
    typical = np.float32(np.median(np.abs(ring[5] - middle)[counts]) + 1e-6)
    cut = []
    for some in (ring, far):
        differences = [one - middle for one in some[:4] + some[5:]]
        cut += [_mean([np.clip(one, -step, step) for one in differences]) for step in _STEPS * typical]
    surroundings = [
        np.hypot(*gradient),
        _median(ring) - mean3,
        _median(far) - mean_far,
        (lowest + highest) / 2 - mean3,
        *cut,
        contrast3,
        contrast9,
        detail * contrast9,
        detail / (contrast9 + contrast9.mean() / 4 + np.float32(1e-6)),
        np.abs(middle - mean3),
        (middle - mean3) * contrast3,
    ]
    return linear, curves, surroundings


@dataclass(frozen=True)
class _Around:
    """`before` about each pixel of a tile, in its deviations: (rows, columns, tiles).

    The tiles come last, so that what lies beside each other in memory is longer than a row of a tile.
    """

    planes: NDArray[np.float32]
    steps: tuple[int, int]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, sample: Sample) -> "_Around":
        (top, left) = sample.above
        steps, (th, tw) = sample.windows.stride, (min(n, _SIDE) for n in sample.after.shape[1:])
        rows = slice(top - MARGIN, top + (th - 1) * steps.rows + 1 + MARGIN)
        columns = slice(left - MARGIN, left + (tw - 1) * steps.columns + 1 + MARGIN)
        pixels = np.ascontiguousarray(sample.before[:, rows, columns].transpose(1, 2, 0), np.float64)
        return cls(_standard(pixels, np.isfinite(pixels)), steps, (th, tw))

    def at(self, y: int, x: int) -> NDArray[np.float32]:
        """Give the pixels so far below and right of each."""
        rows = slice(MARGIN + y, MARGIN + y + (self.shape[0] - 1) * self.steps[0] + 1, self.steps[0])
        columns = slice(MARGIN + x, MARGIN + x + (self.shape[1] - 1) * self.steps[1] + 1, self.steps[1])
        return self.planes[rows, columns]

    def squared(self) -> "_Around":
        return replace(self, planes=self.planes * self.planes)

    def mean(self, radius: int) -> NDArray[np.float32]:
        """Give the mean of the square about each."""
        rows, columns = (n - 2 * radius for n in self.planes.shape[:2])
        down = _mean([self.planes[i : i + rows] for i in range(2 * radius + 1)])
        both = _mean([down[:, i : i + columns] for i in range(2 * radius + 1)])
        within = MARGIN - radius
        every = both[within :: self.steps[0], within :: self.steps[1]]
        return every[: self.shape[0], : self.shape[1]]


def _standard(plane: _Array, counts: _Mask) -> NDArray[np.float32]:
    """Give a plane about its mean in its deviations; 0 where it is not finite."""
    some = plane[counts]
    middle = float(some.mean()) if some.size else 0.0
    spread = float(some.std()) if some.size else 0.0
    return np.where(np.isfinite(plane), (plane - middle) / (spread or 1.0), 0).astype(np.float32)


def _mean(planes: _Planes) -> NDArray[np.float32]:
    total = planes[0] + planes[1]
    for plane in planes[2:]:
        total += plane
    return total / np.float32(len(planes))


# Pairs of places to put in order, after which the fifth of nine holds their median (Smith 1996; Devillard
# 1998).
_NETWORK = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3),
    (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip


def _median(nine: _Planes) -> NDArray[np.float32]:
    nine = list(nine)
    for i, j in _NETWORK:
        nine[i], nine[j] = np.minimum(nine[i], nine[j]), np.maximum(nine[i], nine[j])
    return nine[4]
