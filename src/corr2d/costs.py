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
            {32: 5620, 64: 26600, 128: 91000, 256: 478000, 512: 5210000, 1024: 29600000},
        ),
        "float64": Costs(
            (0.68, 0.0454),
            (0.988, 0.0593),
            {32: 8670, 64: 34900, 128: 163000, 256: 834000, 512: 6180000, 1024: 70600000},
        ),
    },
    "avx2": {
        "float32": Costs(
            (0.175, 0.0227),
            (0.135, 0.0288),
            {32: 5620, 64: 26600, 128: 91000, 256: 478000, 512: 5210000, 1024: 29600000},
        ),
        "float64": Costs(
            (0.68, 0.0454),
            (0.988, 0.0593),
            {32: 8670, 64: 34900, 128: 163000, 256: 834000, 512: 6180000, 1024: 70600000},
        ),
    },
    "baseline": {
        "float32": Costs(
            (0.462, 0.0893),
            (0.507, 0.0599),
            {32: 8200, 64: 32600, 128: 143000, 256: 968000, 512: 7540000, 1024: 39200000},
        ),
        "float64": Costs(
            (0.705, 0.166),
            (1.33, 0.152),
            {32: 14600, 64: 65900, 128: 373000, 256: 1450000, 512: 7110000, 1024: 87000000},
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
