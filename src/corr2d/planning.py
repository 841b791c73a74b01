"""Which algorithm answers a correlation fastest, and why: a value that can be printed."""

from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _engine
from .costs import COSTS
from .dtypes import as_image, as_weights, result_dtype, sum_dtype
from .threads import usable_cpus

Algorithm = Literal["auto", "direct", "separable", "fft"]

ALGORITHMS = ("direct", "separable", "fft")  # in the order of engine/job.hpp
DIRECT = ALGORITHMS.index("direct")
_MOST_TERMS = 4
_MEMORY = 64 << 20
_SMALL_TILE = 256  # whatever the number of threads
_CLEARLY = 1.25  # times as fast, to be preferred to direct
_NEAR = "nothing else would be clearly faster, and direct has the last digits right."
# Multiply-adds below which direct is taken unasked: looking costs more.
_WORTH_A_LOOK = 50_000
_LONGEST_ROW = 128  # taps that one float32 sum may add up: engine/direct.hpp


class Factors(NamedTuple):
    """A kernel as a sum of columns times rows."""

    columns: NDArray[np.float64]  # (rank, kh)
    rows: NDArray[np.float64]  # (rank, kw)


@dataclass(frozen=True)
class Plan:
    """What `corr2d` does for pictures and a kernel of some shape and type.

    Attributes
    ----------
    algorithm : {"direct", "separable", "fft"}
        "direct": all products, in registers. "separable": sums along rows, then down columns. "fft": products
        of spectra, tile by tile.
    reason : str
        Why, in words.
    sums : dtype
        The type the sums are made in.
    milliseconds : dict
        What each algorithm that can do it is expected to take on one thread.
    rank : int
        Of the kernel as a sum of columns times rows, or 0 if it is no sum of a few.
    tile : int
        Side of the FFT's tiles.
    """

    algorithm: str
    reason: str
    sums: np.dtype[Any]
    milliseconds: dict[str, float] = field(default_factory=dict)
    rank: int = 0
    tile: int = 0
    factors: Factors | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        expected = ", ".join(f"{name} {ms:.3g} ms" for name, ms in self.milliseconds.items())
        details = {
            "direct": "",
            "separable": f", rank {self.rank}",
            "fft": f", tiles of {self.tile} x {self.tile}",
        }
        lines = [f"{self.algorithm}{details[self.algorithm]}, sums in {self.sums.name}: {self.reason}"]
        return "\n".join(lines + ([f"expected on one thread: {expected}"] if expected else []))


def plan(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    dtype: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> Plan:
    """Say how `corr2d` would go about `image` and `kernel`.

    Parameters
    ----------
    image : (..., h, w) array
        Only its shape and dtype matter; the result is taken to be of that shape too.
    kernel : (kh, kw) array
        Its weights matter too: a kernel may be separable.
    dtype, algorithm
        As in `corr2d`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        As `corr2d`.

    Examples
    --------
    >>> plan(np.zeros((2048, 2048), np.float32), np.ones((15, 15))).algorithm
    'separable'
    """
    pixels, weights = as_image(image), as_weights(kernel)
    out = result_dtype(pixels.dtype, dtype)
    return choose(pixels.shape, pixels.dtype, weights, out, algorithm=algorithm)


def choose(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    weights: NDArray[np.float64],
    out: np.dtype[Any],
    *,
    cval: float = 0.0,
    bias: float = 0.0,
    algorithm: str = "auto",
) -> Plan:
    """Plan a correlation with results of `shape`, from pixels of `dtype`, to pixels of `out`."""
    check_algorithm(algorithm)
    kh, kw = weights.shape
    sums = sum_dtype(dtype, out, weights, cval, bias)
    pixels = prod(shape)
    if algorithm == "direct":
        return _direct("as asked.", sums)
    if algorithm == "auto" and (weights.size < 9 or pixels * weights.size < _WORTH_A_LOOK):
        return _direct("the work is too little for anything else to pay.", sums)
    # Products of spectra are not integers even where all sums of products are.
    double = np.dtype(np.float64)
    other_sums = double if out.kind in "iu" else sums
    row_sums = double if kw > _LONGEST_ROW else other_sums
    cost = {"direct": _direct_cost(pixels, weights.size, sums)}
    tile, cost["fft"] = _best_tile(shape, kh, kw, other_sums)
    one_term = _separable_cost(pixels, 1, kh, kw, row_sums)
    if algorithm == "auto" and cost["direct"] < _CLEARLY * min(cost["fft"], one_term):
        # Said before the kernel is taken apart, which takes as long as filtering a small picture.
        return Plan("direct", _NEAR, sums, {name: ns / 1e6 for name, ns in cost.items()})
    factors = _factors(weights, other_sums, 1 << 30 if algorithm == "separable" else _MOST_TERMS)
    if factors is not None:
        cost["separable"] = _separable_cost(pixels, len(factors.rows), kh, kw, row_sums)
    milliseconds = {name: cost[name] / 1e6 for name in ALGORITHMS if name in cost}
    if algorithm == "auto":
        chosen, reason = min(cost, key=lambda name: cost[name]), f"the fastest of {len(cost)} that can do it."
        if chosen != "direct" and cost["direct"] < _CLEARLY * cost[chosen]:
            chosen, reason = "direct", _NEAR
    else:
        chosen, reason = algorithm, "as asked."
    return Plan(
        chosen,
        reason,
        {"direct": sums, "separable": row_sums, "fft": other_sums}[chosen],
        milliseconds,
        0 if factors is None else len(factors.rows),
        tile,
        factors,
    )


@cache
def _direct(reason: str, sums: np.dtype[Any]) -> Plan:
    return Plan("direct", reason, sums)


def check_algorithm(algorithm: object) -> None:
    """Refuse what is no algorithm."""
    if algorithm != "auto" and algorithm not in ALGORITHMS:
        names = ", ".join(map(repr, ("auto", *ALGORITHMS)))
        error = ValueError if isinstance(algorithm, str) else TypeError
        raise error(f"`algorithm` must be one of {names}, got {algorithm!r}.")


def _factors(weights: NDArray[np.float64], sums: np.dtype[Any], most: int) -> Factors | None:
    """Write the kernel as a sum of few columns times rows, to the precision of the sums.

    Crosses are taken out one by one, each through the largest weight left (Gaussian elimination with complete
    pivoting). Unlike singular vectors, the factors of an integer kernel such as Sobel's are then exact.
    """
    _, power = np.frexp(np.abs(weights).max())
    left = np.ldexp(weights, -power)  # whose sum cannot overflow
    allowed = float(np.finfo(sums).eps) * float(np.abs(left).sum())
    columns: list[NDArray[np.float64]] = []
    rows: list[NDArray[np.float64]] = []
    while float(np.abs(left).sum()) > allowed or not rows:
        if len(rows) == min(most, *weights.shape):
            return None
        i, j = divmod(int(np.abs(left).argmax()), weights.shape[1])
        columns.append(left[:, j] / (left[i, j] or 1.0))  # 0: a kernel of zeros
        rows.append(np.ldexp(left[i], power))
        left -= np.outer(columns[-1], left[i])
        left[i] = left[:, j] = 0  # exactly: min(kh, kw) terms always do
    return Factors(np.array(columns), np.array(rows))


def _direct_cost(pixels: int, taps: int, sums: np.dtype[Any]) -> float:
    each, tap = COSTS[_engine.isa][sums.name].direct
    return pixels * (each + tap * taps)


def _separable_cost(pixels: int, rank: int, kh: int, kw: int, sums: np.dtype[Any]) -> float:
    each, tap = COSTS[_engine.isa][sums.name].separable
    return pixels * rank * (each + tap * (kh + kw * (1 + kh / 128)))


def _best_tile(shape: tuple[int, ...], kh: int, kw: int, sums: np.dtype[Any]) -> tuple[int, float]:
    costs = {
        side: _fft_cost(shape, kh, kw, side, pair)
        for side, pair in COSTS[_engine.isa][sums.name].fft.items()
        if side <= _SMALL_TILE or _fft_bytes(kh, kw, side, sums) <= _MEMORY
    }
    return min(costs.items(), key=lambda item: item[1])


def _fft_cost(shape: tuple[int, ...], kh: int, kw: int, side: int, pair: float) -> float:
    """Count pairs of tiles as engine/fft.hpp lays them out; a block of the kernel costs about half a pair."""
    bh, bw = min(kh, side // 2), min(kw, side // 2)
    blocks = _ceil(kh, bh) * _ceil(kw, bw)
    tiles = _ceil(shape[-2], side - bh + 1) * _ceil(shape[-1], side - bw + 1) * prod(shape[:-2])
    each = pair if blocks == 1 else pair * (0.5 + blocks)
    return _ceil(tiles, 2) * each + pair / 2


def _fft_bytes(kh: int, kw: int, side: int, sums: np.dtype[Any]) -> int:
    """Count the planes that engine/fft.hpp keeps: of the kernel, and of each thread."""
    whole = max(kh, kw) <= side // 2
    planes = 2 + 2 * usable_cpus() if whole else 6 * usable_cpus()
    return planes * side * (side + 64 // sums.itemsize) * sums.itemsize


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
