"""What the engine's algorithms cost, as benchmarks/measure_costs.py measured it and wrote it here.

AVX-512 has the figures of AVX2: no machine with it has been measured yet. `plan` compares costs with each
other, so that their ratios matter more than the figures.
"""

from typing import NamedTuple


class Costs(NamedTuple):
    """Nanoseconds on one thread."""

    direct: tuple[float, float]  # a pixel; a pixel and tap
    separable: tuple[float, float]  # a pixel; a pixel and tap of one row or column
    fft: dict[int, tuple[float, float]]  # by the side of its squares: a pair of tiles; of that, a product


class LagCosts(NamedTuple):
    """Nanoseconds on one thread, of sums by lags in float64."""

    real: float  # a multiply-add
    whole: float  # the same of 8-bit pixels
    squares: dict[int, tuple[float, float]]  # by their side: a transform of two; a product of two spectra


COSTS: dict[str, dict[str, Costs]] = {
    "avx512": {
        "float32": Costs(
            (0.175, 0.0227),
            (0.135, 0.0288),
            {32: (5620, 393), 64: (26600, 1862), 128: (91000, 6370), 256: (478000, 33460), 512: (5210000, 364700), 1024: (29600000, 2072000)},
        ),
        "float64": Costs(
            (0.68, 0.0454),
            (0.988, 0.0593),
            {32: (8670, 607), 64: (34900, 2443), 128: (163000, 11410), 256: (834000, 58380), 512: (6180000, 432600), 1024: (70600000, 4942000)},
        ),
    },
    "avx2": {
        "float32": Costs(
            (0.175, 0.0227),
            (0.135, 0.0288),
            {32: (5620, 393), 64: (26600, 1862), 128: (91000, 6370), 256: (478000, 33460), 512: (5210000, 364700), 1024: (29600000, 2072000)},
        ),
        "float64": Costs(
            (0.68, 0.0454),
            (0.988, 0.0593),
            {32: (8670, 607), 64: (34900, 2443), 128: (163000, 11410), 256: (834000, 58380), 512: (6180000, 432600), 1024: (70600000, 4942000)},
        ),
    },
    "baseline": {
        "float32": Costs(
            (0.462, 0.0893),
            (0.507, 0.0599),
            {32: (8200, 574), 64: (32600, 2282), 128: (143000, 10010), 256: (968000, 67760), 512: (7540000, 527800), 1024: (39200000, 2744000)},
        ),
        "float64": Costs(
            (0.705, 0.166),
            (1.33, 0.152),
            {32: (14600, 1022), 64: (65900, 4613), 128: (373000, 26110), 256: (1450000, 101500), 512: (7110000, 497700), 1024: (87000000, 6090000)},
        ),
    },
}

LAG_COSTS: dict[str, LagCosts] = {
    "avx512": LagCosts(
        0.0595,
        0.0209,
        {
            32: (5610, 905),
            64: (16800, 5220),
            128: (50300, 43800),
            256: (295000, 257000),
            512: (1730000, 3260000),
        },
    ),
    "avx2": LagCosts(
        0.0595,
        0.0209,
        {
            32: (5610, 905),
            64: (16800, 5220),
            128: (50300, 43800),
            256: (295000, 257000),
            512: (1730000, 3260000),
        },
    ),
    "baseline": LagCosts(
        0.178,
        0.0406,
        {
            32: (6820, 2060),
            64: (29300, 13200),
            128: (106000, 82000),
            256: (606000, 376000),
            512: (2620000, 4010000),
        },
    ),
}
