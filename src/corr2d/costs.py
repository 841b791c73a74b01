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
            (0.203, 0.0227),
            (0.224, 0.0303),
            {32: 8130, 64: 20800, 128: 94400, 256: 437000, 512: 4570000, 1024: 20400000},
        ),
        "float64": Costs(
            (0.4, 0.0452),
            (0.895, 0.0549),
            {32: 8380, 64: 37200, 128: 162000, 256: 769000, 512: 4560000, 1024: 44400000},
        ),
    },
    "avx2": {
        "float32": Costs(
            (0.203, 0.0227),
            (0.224, 0.0303),
            {32: 8130, 64: 20800, 128: 94400, 256: 437000, 512: 4570000, 1024: 20400000},
        ),
        "float64": Costs(
            (0.4, 0.0452),
            (0.895, 0.0549),
            {32: 8380, 64: 37200, 128: 162000, 256: 769000, 512: 4560000, 1024: 44400000},
        ),
    },
    "baseline": {
        "float32": Costs(
            (0, 0.0965),
            (0.482, 0.0975),
            {32: 7740, 64: 31700, 128: 143000, 256: 652000, 512: 7710000, 1024: 31100000},
        ),
        "float64": Costs(
            (1.96, 0.15),
            (0.648, 0.165),
            {32: 14800, 64: 64600, 128: 295000, 256: 1300000, 512: 7510000, 1024: 70100000},
        ),
    },
}
