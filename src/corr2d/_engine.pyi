"""The compiled engine (engine/bindings.cpp)."""

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
        kernel: NDArray[Any],
        out: NDArray[Any],
        top: int,
        left: int,
        border: int,
        cval: float,
        bias: float,
        way: int,
        columns: NDArray[Any],
        rows: NDArray[Any],
        tile: int,
    ) -> None: ...
    def run(self, begin: int, end: int) -> bool: ...
