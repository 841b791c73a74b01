"""What the engine's algorithms cost, as benchmarks/measure_costs.py measured it and wrote it here.

Those of AVX-512 are of an Intel Xeon with 2 MiB of L2 cache a core; the others of an AMD EPYC with 512 KiB.
Of AVX-512, those of squares are the least of several runs; but those of float32 up to 96, which that made too
cheap, are set by what whole calls over 2048 x 2048 take beside squares of 128.
`plan` compares costs with each other, so that their ratios matter more than the figures.
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
            (0.286, 0.0169),
            (0.42, 0.0234),
            {
                32: (3900, 874),
                48: (8900, 1320),
                64: (15000, 4450),
                96: (34800, 5490),
                128: (57500, 17100),
                192: (147000, 52000),
                256: (241000, 76100),
                384: (676000, 595000),
                512: (1580000, 703000),
                768: (3300000, 2660000),
                1024: (7080000, 2850000),
            },
        ),
        "float64": Costs(
            (0.526, 0.024),
            (0.968, 0.0355),
            {
                32: (4570, 1780),
                48: (19500, 2410),
                64: (26400, 7100),
                96: (71000, 17500),
                128: (107000, 35100),
                192: (329000, 106000),
                256: (502000, 433000),
                384: (1580000, 1010000),
                512: (3270000, 1590000),
                768: (7340000, 4640000),
                1024: (17100000, 6220000),
            },
        ),
    },
    "avx2": {
        "float32": Costs(
            (0.331, 0.022),
            (0.495, 0.0302),
            {
                32: (5310, 598),
                64: (20000, 2230),
                128: (82800, 14500),
                256: (369000, 55800),
                512: (4150000, 223000),
                1024: (24500000, 893000),
            },
        ),
        "float64": Costs(
            (0.505, 0.0455),
            (1.22, 0.0492),
            {
                32: (7790, 905),
                64: (29900, 4060),
                128: (127000, 18600),
                256: (605000, 392000),
                512: (4430000, 1570000),
                1024: (48400000, 6270000),
            },
        ),
    },
    "baseline": {
        "float32": Costs(
            (0.278, 0.0639),
            (0.502, 0.0606),
            {
                32: (7840, 956),
                64: (31300, 2990),
                128: (140000, 13100),
                256: (604000, 67100),
                512: (8040000, 2200000),
                1024: (30500000, 8810000),
            },
        ),
        "float64": Costs(
            (0.701, 0.162),
            (1.6, 0.142),
            {
                32: (12400, 1480),
                64: (51200, 6400),
                128: (230000, 36400),
                256: (1060000, 752000),
                512: (6240000, 3010000),
                1024: (65500000, 12000000),
            },
        ),
    },
}

LAG_COSTS: dict[str, LagCosts] = {
    "avx512": LagCosts(
        0.0316,
        0.0147,
        {
            32: (5150, 474),
            64: (16300, 2190),
            128: (43400, 33200),
            256: (312000, 95900),
            512: (630000, 2380000),
        },
    ),
    "avx2": LagCosts(
        0.0593,
        0.0206,
        {
            32: (5910, 82.8),
            64: (16200, 3310),
            128: (53100, 33000),
            256: (251000, 234000),
            512: (1780000, 2050000),
        },
    ),
    "baseline": LagCosts(
        0.149,
        0.0322,
        {
            32: (6900, 994),
            64: (18600, 21200),
            128: (192000, 20900),
            256: (528000, 193000),
            512: (2070000, 2340000),
        },
    ),
}
