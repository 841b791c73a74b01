"""Which algorithm answers a correlation fastest, and why: a value that can be printed."""

from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _engine
from .borders import NO_STEPS, Padding, Steps, resolve_padding, resolve_steps, result_shape
from .costs import COSTS
from .dtypes import (
    DOUBLE,
    LONGEST_SUM,
    SINGLE,
    Sums,
    as_image,
    as_weights,
    fineness,
    float_sums,
    integer_sums,
    largest_result,
    planes_and_batch,
    result_dtype,
    rounded_sums,
    summed_again,
)
from .phases import along
from .threads import usable_cpus

Algorithm = Literal["auto", "direct", "separable", "fft"]

ALGORITHMS = ("direct", "separable", "fft")  # in the order of engine/job.hpp
DIRECT = ALGORITHMS.index("direct")
_MOST_TERMS = 4
_MEMORY = 64 << 20
# Bytes of spectra, of kernels and of each thread's pixels: engine/fft.hpp.
_KEPT, _AT_HAND = 16 << 20, 8 << 20
_SEEN_TWICE = 1.25  # squares of pixels, where kernels are cut: at the edges of units
_SMALL_TILE = 256  # whatever the number of threads
_CLEARLY = 1.25  # times as fast, to be preferred to what has the last digits right
_NEAR = "nothing else would be clearly faster, and {} has the last digits right."
# Multiply-adds below which direct is taken unasked: looking costs more.
_WORTH_A_LOOK = 50_000
# Products of spectra are off by up to 3e-6 of the largest result: an integer by at most one level.
_HALF_A_LEVEL = 2**16


class Factors(NamedTuple):
    """A kernel as a sum of columns times rows."""

    columns: NDArray[np.float64]  # (rank, kh), or (c_out, c_in, rank, kh)
    rows: NDArray[np.float64]  # (rank, kw), or (c_out, c_in, rank, kw)


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
    near_tie : float
        Integer results whose sum is so near to a tie are summed again in float64.
    """

    algorithm: str
    reason: str
    sums: np.dtype[Any]
    milliseconds: dict[str, float] = field(default_factory=dict)
    rank: int = 0
    tile: int = 0
    near_tie: float = 0.0
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
    padding: Padding = "same",
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    channel_axis: int | None = None,
    dtype: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> Plan:
    """Say how `corr2d` would go about `image` and `kernel`.

    Parameters
    ----------
    image : (..., h, w) array
        Only its shape and dtype matter.
    kernel : (kh, kw) or (c_out, c_in, kh, kw) array
        Its weights matter too: a kernel may be separable.
    padding, stride, dilation, channel_axis, dtype, algorithm
        As in `corr2d`; only `padding` is "same" unless told otherwise.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        As `corr2d`, but for a kernel that does not fit: then there is nothing to do.

    Examples
    --------
    >>> plan(np.zeros((2048, 2048), np.float32), np.ones((15, 15))).algorithm
    'separable'
    """
    pixels, weights = as_image(image), as_weights(kernel, mixing=True)
    steps, gaps = resolve_steps(stride, "stride"), resolve_steps(dilation, "dilation")
    kh, kw = weights.shape[-2:]
    planes, batch = planes_and_batch(pixels, weights, channel_axis)
    h, w = planes.shape[-2:]
    rows, columns = result_shape((h, w), (kh, kw), resolve_padding(padding, (kh, kw), gaps), steps, gaps)
    shape = (*batch, max(rows, 0), max(columns, 0))
    out = result_dtype(pixels.dtype, dtype)
    return choose(shape, pixels.dtype, weights, out, stride=steps, dilation=gaps, algorithm=algorithm)


def choose(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    weights: NDArray[np.float64],
    out: np.dtype[Any],
    *,
    stride: Steps = NO_STEPS,
    dilation: Steps = NO_STEPS,
    cval: float = 0.0,
    bias: float = 0.0,
    algorithm: str = "auto",
) -> Plan:
    """Plan a correlation with results of `shape`, from pixels of `dtype`, to pixels of `out`."""
    check_algorithm(algorithm)
    if out.kind == "f":
        largest = 0.0
        direct = float_sums(dtype, out, weights, cval)
        fft = direct.dtype
    else:
        each = np.abs(weights).sum() if weights.ndim == 2 else np.abs(weights).sum(axis=(1, 2, 3)).max()
        largest = largest_result(dtype, float(each), cval, bias)
        direct = integer_sums(largest, weights, cval, bias)
        fft = SINGLE if largest < _HALF_A_LEVEL else DOUBLE
    if algorithm == "direct":
        return _direct("as asked.", direct)
    taps = weights[0].size if weights.ndim == 4 else weights.size
    if algorithm == "auto" and (taps < 9 or prod(shape) * taps < _WORTH_A_LOOK):
        return _direct("the work is too little for anything else to pay.", direct)
    job = _Job(shape, weights, stride, dilation)
    cost = {"direct": job.direct_cost(direct.dtype)}
    tile, cost["fft"] = job.best_tile(fft)
    # Integers are rounded as the exact sum is, whether direct or separable.
    worth = {"direct": 1.0, "separable": _CLEARLY if out.kind == "f" else 1.0, "fft": _CLEARLY}
    one_term = job.separable_cost(1, SINGLE if direct.dtype == SINGLE else DOUBLE)
    least = min(worth["separable"] * one_term, worth["fft"] * cost["fft"])
    if algorithm == "auto" and cost["direct"] < least:
        # Said before the kernel is taken apart, which takes as long as filtering a small picture.
        milliseconds = {name: ns / 1e6 for name, ns in cost.items()}
        return Plan("direct", _NEAR.format("direct"), direct.dtype, milliseconds, near_tie=direct.near_tie)
    most = 1 << 30 if algorithm == "separable" else _MOST_TERMS
    factors, separable = _separable(weights, direct, most, largest if out.kind != "f" else None, bias)
    if factors is not None:
        cost["separable"] = job.separable_cost(factors.rows.shape[-2], separable.dtype)
    milliseconds = {name: cost[name] / 1e6 for name in ALGORITHMS if name in cost}
    if algorithm == "auto":
        chosen, fastest = min(cost, key=lambda name: worth[name] * cost[name]), min(cost.values())
        of_all = f"the fastest of {len(cost)} that can do it."
        reason = of_all if cost[chosen] == fastest else _NEAR.format(chosen)
    else:
        chosen, reason = algorithm, "as asked."
    sums = {"direct": direct, "separable": separable, "fft": Sums(fft)}[chosen]
    return Plan(
        chosen,
        reason,
        sums.dtype,
        milliseconds,
        0 if factors is None else factors.rows.shape[-2],
        tile,
        sums.near_tie,
        factors,
    )


@cache
def _direct(reason: str, sums: Sums) -> Plan:
    return Plan("direct", reason, sums.dtype, near_tie=sums.near_tie)


def check_algorithm(algorithm: object) -> None:
    """Refuse what is no algorithm."""
    if algorithm != "auto" and algorithm not in ALGORITHMS:
        names = ", ".join(map(repr, ("auto", *ALGORITHMS)))
        error = ValueError if isinstance(algorithm, str) else TypeError
        raise error(f"`algorithm` must be one of {names}, got {algorithm!r}.")


def _separable(
    weights: NDArray[np.float64], direct: Sums, most: int, largest: float | None, bias: float
) -> tuple[Factors | None, Sums]:
    """Take a kernel apart, and say what its sums are made in; `largest` is None for float results."""
    kh, kw = weights.shape[-2:]
    if kw > LONGEST_SUM or (direct.dtype == DOUBLE if largest is None else largest >= 2**24):
        return _all_factors(weights, direct.dtype if largest is None else DOUBLE, most), Sums(DOUBLE)
    factors = _all_factors(weights, SINGLE, most)
    if factors is None or largest is None:
        return factors, Sums(SINGLE)
    # What cancels between the terms counts in each of them.
    of_factors = float((np.abs(factors.columns).sum(-1) * np.abs(factors.rows).sum(-1)).sum())
    larger = largest * max(1.0, of_factors / (float(np.abs(weights).sum()) or 1.0))
    if direct == Sums(SINGLE):
        parts = [fineness(factor) for factor in factors]
        if parts[0] is not None and parts[1] is not None and larger * parts[0] * parts[1] < 2**24:
            return factors, direct  # whole numbers of some 2**-n all the way
    rank, taps = factors.rows.shape[-2], weights[0].size if weights.ndim == 4 else weights.size
    # 4: the factors are as near as two roundings each.
    if weights.ndim == 2 and rank == 1 and kh <= LONGEST_SUM:
        longest = 4 + rounded_sums(factors.rows) + rounded_sums(factors.columns, bias)
    else:
        longest = 4.0 + kw + min(taps // kw * rank, LONGEST_SUM)
    again = summed_again(larger, longest, kh, taps, 0.03 * rank * (kh + kw))
    return (factors, again) if again.dtype == SINGLE else (_all_factors(weights, DOUBLE, most), again)


def _all_factors(weights: NDArray[np.float64], sums: np.dtype[Any], most: int) -> Factors | None:
    """Take apart the kernel of each pair of channels; those of a lower rank get terms of zeros."""
    if weights.ndim == 2:
        return _factors(weights, sums, most)
    each = [_factors(kernel, sums, most) for kernel in weights.reshape(-1, *weights.shape[2:])]
    found = [factors for factors in each if factors is not None]
    if len(found) < len(each):
        return None
    rank = max(len(factors.rows) for factors in found)

    def together(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        full = [np.pad(part, ((0, rank - len(part)), (0, 0))) for part in parts]
        return np.reshape(full, (*weights.shape[:2], rank, -1))

    return Factors(together([f.columns for f in found]), together([f.rows for f in found]))


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
        common = _common(left[:, j]) or left[i, j] or 1.0  # 1: of a kernel of zeros
        columns.append(left[:, j] / common)
        rows.append(np.ldexp(left[i] * common / (left[i, j] or 1.0), power))
        left -= np.outer(left[:, j], left[i] / (left[i, j] or 1.0))
        left[i] = left[:, j] = 0  # exactly: min(kh, kw) terms always do
    return Factors(np.array(columns), np.array(rows))


def _common(numbers: NDArray[np.float64]) -> float:
    """Give the greatest common divisor of whole numbers of some 2**-n, n up to 15; else 0."""
    parts = fineness(numbers)
    return 0.0 if parts is None else float(np.gcd.reduce((numbers * parts).astype(np.int64))) / parts


class _Job:
    """What a correlation costs, in nanoseconds on one thread."""

    def __init__(
        self, shape: tuple[int, ...], weights: NDArray[np.float64], stride: Steps, dilation: Steps
    ) -> None:
        self.shape = shape
        self.pixels: int = prod(shape)
        self.channels_out: int
        self.channels_in: int
        self.channels_out, self.channels_in = weights.shape[:2] if weights.ndim == 4 else (1, 1)
        self.kh, self.kw = int(weights.shape[-2]), int(weights.shape[-1])
        self.taps = self.channels_in * self.kh * self.kw
        rows, columns = map(along, (self.kh, self.kw), stride, dilation)
        self.phases_y, self.phases_x = rows.phases, columns.phases
        self.terms_y, self.terms_x = len(rows.terms), len(columns.terms)
        self.terms = self.channels_in * self.terms_y * self.terms_x

    def direct_cost(self, sums: np.dtype[Any]) -> float:
        each, tap = COSTS[_engine.isa][sums.name].direct
        return self.pixels * (each * self.terms + tap * self.taps)

    def separable_cost(self, rank: int, sums: np.dtype[Any]) -> float:
        each, tap = COSTS[_engine.isa][sums.name].separable
        taps = self.terms_x * self.kh + self.terms_y * self.kw * (1 + self.kh / 128)
        return self.pixels * self.channels_in * rank * (each * self.terms_y * self.terms_x + tap * taps)

    def best_tile(self, sums: np.dtype[Any]) -> tuple[int, float]:
        costs = {
            side: self.fft_cost(side, *square, sums)
            for side, square in COSTS[_engine.isa][sums.name].fft.items()
            if side <= _SMALL_TILE or self._fft_bytes(side, sums) <= _MEMORY
        }
        return min(costs.items(), key=lambda item: item[1])

    def fft_cost(self, side: int, pair: float, product: float, sums: np.dtype[Any]) -> float:
        """Count transforms of pairs of tiles, and products of spectra, as engine/fft.hpp lays them out."""
        blocks = self._blocks(side)
        h, w = _ceil(self.shape[-2], self.phases_y), _ceil(self.shape[-1], self.phases_x)
        down, across = (
            _tiles(results, taps, side) for results, taps in zip((h, w), self._term_size, strict=True)
        )
        phases = self.phases_y * self.phases_x
        pairs = phases * _ceil(down * across * prod(self.shape[:-2]) // self.channels_out, 2)
        squares = self.terms * (_SEEN_TWICE if blocks > self.terms else 1.0)
        if squares * 2 * self._plane(side, sums) > _AT_HAND:  # transformed for each product, then
            squares = blocks * self.channels_out
        results, products = self.channels_out, self.channels_out * blocks
        kernels = products * (phases if self._keeps_kernels(side, sums) else pairs)
        return (pairs * (squares + results) + kernels) * (pair - product) / 2 + pairs * products * product

    @property
    def _term_size(self) -> tuple[int, int]:
        return _ceil(self.kh, self.terms_y), _ceil(self.kw, self.terms_x)

    def _blocks(self, side: int) -> int:
        kh, kw = self._term_size
        return self.terms * _ceil(kh, _block(kh, side)) * _ceil(kw, _block(kw, side))

    def _plane(self, side: int, sums: np.dtype[Any]) -> int:
        return side * (side + 64 // sums.itemsize) * sums.itemsize

    def _keeps_kernels(self, side: int, sums: np.dtype[Any]) -> bool:
        spectra = self.channels_out * self._blocks(side)
        return spectra == 1 or spectra * 2 * self._plane(side, sums) <= _KEPT

    def _fft_bytes(self, side: int, sums: np.dtype[Any]) -> int:
        """Count what engine/fft.hpp keeps: the kernels' spectra, and of each thread the pixels'."""
        plane = self._plane(side, sums)
        if self.channels_out * self._blocks(side) == 1:
            return (2 + 2 * usable_cpus()) * plane
        return _KEPT + (max(2 * plane, _AT_HAND) + 4 * plane) * usable_cpus()


def _block(taps: int, side: int) -> int:
    return taps if taps <= side // 2 + 1 else side // 2


def _tiles(results: int, taps: int, side: int) -> int:
    block = _block(taps, side)
    return _ceil(results, side - taps + 1 if block == taps else block)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
