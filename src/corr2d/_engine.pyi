"""The compiled engine (engine/bindings.cpp)."""

from collections.abc import Sequence
from typing import Any

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
