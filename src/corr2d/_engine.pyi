"""The compiled engine (engine/bindings.cpp)."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

isa: str
usable_isas: tuple[str, ...]

class Correlation:
    """One correlation, ready to be run band by band, from any thread."""

    units: int
    def __init__(
        self,
        image: NDArray[Any],
        out: NDArray[Any],
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
    def run(self, begin: int, end: int) -> bool: ...
