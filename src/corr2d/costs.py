"""What the engine's algorithms cost, as benchmarks/measure_costs.py measured it and wrote it here.

AVX-512 has the figures of AVX2: no machine with it has been measured yet. `plan` compares costs with each
other, so that their ratios matter more than the figures.
"""

from typing import NamedTuple


class Costs(NamedTuple):
    """Nanoseconds on one thread."""

    direct: tuple[float, float]  # a pixel; a pixel and tap
    separable: tuple[float, float]  # a pixel; a pixel and tap of one row or column
    fft: dict[int, float]  # a pair of tiles, by their side


COSTS: dict[str, dict[str, Costs]] = {
    "avx512": {
        "float32": Costs(
            (0.288, 0.0297),
            (0.256, 0.0438),
            {32: 5870, 64: 23000, 128: 87400, 256: 459000, 512: 5070000, 1024: 22300000},
        ),
        "float64": Costs(
            (0.831, 0.0489),
            (1.39, 0.0658),
            {32: 7410, 64: 34900, 128: 144000, 256: 702000, 512: 4320000, 1024: 42700000},
        ),
    },
    "avx2": {
        "float32": Costs(
            (0.288, 0.0297),
            (0.256, 0.0438),
            {32: 5870, 64: 23000, 128: 87400, 256: 459000, 512: 5070000, 1024: 22300000},
        ),
        "float64": Costs(
            (0.831, 0.0489),
            (1.39, 0.0658),
            {32: 7410, 64: 34900, 128: 144000, 256: 702000, 512: 4320000, 1024: 42700000},
        ),
    },
    "baseline": {
        "float32": Costs(
            (0.701, 0.0629),
            (0.195, 0.0731),
            {32: 6550, 64: 28500, 128: 119000, 256: 550000, 512: 8530000, 1024: 29800000},
        ),
        "float64": Costs(
            (0.028, 0.217),
            (1.48, 0.276),
            {32: 17500, 64: 75800, 128: 342000, 256: 1270000, 512: 6800000, 1024: 60600000},
        ),
    },
}
