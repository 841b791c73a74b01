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
            (0.155, 0.0258),
            (0.524, 0.0429),
            {32: 5770, 64: 24200, 128: 86700, 256: 483000, 512: 3030000, 1024: 24200000},
        ),
        "float64": Costs(
            (0.573, 0.0536),
            (2.23, 0.0767),
            {32: 6810, 64: 38300, 128: 142000, 256: 682000, 512: 4840000, 1024: 49400000},
        ),
    },
    "avx2": {
        "float32": Costs(
            (0.155, 0.0258),
            (0.524, 0.0429),
            {32: 5770, 64: 24200, 128: 86700, 256: 483000, 512: 3030000, 1024: 24200000},
        ),
        "float64": Costs(
            (0.573, 0.0536),
            (2.23, 0.0767),
            {32: 6810, 64: 38300, 128: 142000, 256: 682000, 512: 4840000, 1024: 49400000},
        ),
    },
    "baseline": {
        "float32": Costs(
            (0.367, 0.0856),
            (1.83, 0.0713),
            {32: 6480, 64: 27600, 128: 127000, 256: 572000, 512: 7050000, 1024: 30300000},
        ),
        "float64": Costs(
            (0.928, 0.187),
            (3.13, 0.185),
            {32: 11500, 64: 50200, 128: 226000, 256: 1270000, 512: 6810000, 1024: 59900000},
        ),
    },
}
