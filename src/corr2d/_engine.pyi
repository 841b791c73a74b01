"""The compiled engine (engine/bindings.cpp)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

isa: str
usable_isas: tuple[str, ...]

class Correlation:
    """A correlation, ready to be run over any pictures, from any thread."""

    def __init__(
        self,
        terms: Sequence[tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None, int, int]],
        row_step: int,
        column_step: int,
        border: int,
        cval: float,
        bias: float,
        near_tie: float,
        way: int,
        in_float64: bool,
        tile: int,
    ) -> None: ...
    def units(self, image: NDArray[Any], out: NDArray[Any], /) -> int: ...
    def run(
        self, image: NDArray[Any], out: NDArray[Any], threads: int, bands: int, least: int, /
    ) -> bool: ...

class Block:
    """So many bytes of memory, as a writable buffer; what was let go last, if that is enough."""

    def __init__(self, size: int, /) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def exact_products(
    matrix: NDArray[np.float64], vector: NDArray[np.float64], out: NDArray[np.float64], threads: int
) -> None:
    """Fill `out` with matrix @ vector, right to about the last bit whatever cancels."""

def fill_moments(
    before: NDArray[Any],
    after: NDArray[Any],
    blocks: Sequence[tuple[int, int, int, int]],
    size: tuple[int, int],
    step: tuple[int, int],
    gap: tuple[int, int],
    centers: Sequence[float],
    degrees: tuple[int, int],
    frames: tuple[tuple[float, float, float, float], tuple[float, float, float, float]],
    sums: NDArray[np.float64],
    mask: NDArray[np.bool_] | None,
    wanted: bool,
    weights: NDArray[np.float64] | None,
    threads: int,
    side: int = 0,
) -> None:
    """Fill sums[i] with the sums of z z^T, z = (windows, background, 1, pixel), over blocks[i].

    A block is (top, left, rows, columns). By lags over all pixels, directly or by FFTs of squares of a `side`
    (a power of two from 32 to 1024, at least kh and 3 * (kw - 1)); or one by one over those whose mask is as
    wanted, each as often as its weight says. `degrees` are those of the kernel and of the background, as
    polynomials of the position in `frames`, of `before` and of `after` (corr2d.position.Frame).
    """
