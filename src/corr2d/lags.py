"""How sums by lags are made: directly, or by FFTs of squares of some side."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from . import _engine
from .costs import LAG_COSTS, LagCosts
from .pair import Model
from .position import monomials

Block = tuple[int, int, int, int]  # top, left, rows, columns

_MOST_BYTES = 32 << 20  # of spectra, in each thread
_CLEARLY = 1.25  # times as fast, to be preferred to direct


def best_side(model: Model, blocks: Sequence[Block], *, whole: bool) -> int:
    """Give the side of the squares that sum some blocks fastest, 0 for directly.

    `whole`: both pictures have 8 bits, which are multiplied as 16-bit whole numbers.
    """
    shapes = Counter((rows, columns) for _, _, rows, columns in blocks)
    costs = LAG_COSTS[_engine.isa]
    work = Lags.of(model)
    best, least = 0, sum(n * work.direct_cost(*shape, costs, whole=whole) for shape, n in shapes.items())
    least /= _CLEARLY
    for side in costs.squares:
        if work.fits(side):
            cost = sum(n * work.fft_cost(*shape, side, costs) for shape, n in shapes.items())
            if cost < least:
                best, least = side, cost
    return best


class Lags(NamedTuple):
    """What is summed, and what it costs, in nanoseconds on one thread."""

    kh: int
    kw: int
    planes: int
    targets: int

    @classmethod
    def of(cls, model: Model) -> "Lags":
        """Count the planes and targets of a model."""
        planes = model.channels * len(monomials(model.varying))
        return cls(*model.windows.size, planes, len(monomials(model.background)))

    @property
    def products(self) -> int:
        """How many sums of products of two spectra there are."""
        return (self.planes + self.targets) * self.planes

    def direct_cost(self, rows: int, columns: int, costs: LagCosts, *, whole: bool) -> float:
        """Count the multiply-adds: lags back are as many as forth, but for those along one axis."""
        back = self.planes**2 * (self.kh - 1) * (self.kw - 1)
        adds = self.products * self.kh * self.kw + back
        return rows * columns * adds * (costs.whole if whole else costs.real)

    def fft_cost(self, rows: int, columns: int, side: int, costs: LagCosts) -> float:
        """Count what engine/lags_fft.hpp transforms and multiplies of a block."""
        transform, product = costs.squares[side]
        pairs, strips, parts = self.squares(rows, columns, side)
        transforms = pairs * (2 * self.planes + self.targets) + strips * 2 * self.planes
        products = pairs * self.products + strips * self.planes**2
        return (transforms + parts * self.products) * transform + products * product

    def squares(self, rows: int, columns: int, side: int) -> tuple[int, int, int]:
        """Count the pairs of squares of a block, those of them that are strips alone, and its parts."""
        more = self.kw - 1
        tall, wide = side - (self.kh - 1), side - 2 * more
        most = min(_ceil(columns, wide), 64)
        height, width = min(rows, _ceil(16, most) * tall), min(columns, most * wide)
        parts = _ceil(rows, height) * _ceil(columns, width)
        down = _ceil(height, tall)
        tiles, strips = down * _ceil(width, wide), _ceil(down, side // (3 * more)) if more else 0
        with_tiles = _ceil(tiles, 2)
        return parts * with_tiles, parts * (_ceil(tiles + strips, 2) - with_tiles), parts

    def fits(self, side: int) -> bool:
        """Say whether the lags have room in a square, and the spectra in the memory for them."""
        if side < self.kh or side < 3 * (self.kw - 1):
            return False
        spectra = self.planes + self.targets + 1 + self.products
        return spectra * 2 * side * (side + 8) * 8 <= _MOST_BYTES


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
