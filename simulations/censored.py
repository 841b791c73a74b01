"""Clipped pixels with noise: what leaving them out does to the kernel, and what counting them does."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corr2d import Kernel, learn

from .pairs import crop, filtered, rounded, textured
from .study import Cell, Table

SEED = 20260705
DEFAULT = 100
SIDE, LARGE = 128, 512

NOISES = (1, 3, 10)  # grey levels
SHARES = (5, 20, 60)  # per cent of the pixels
ENDS = ("high", "both")
WAYS = ("excluded", "censored", "auto")
SPOILT = ("rounded only", "noise", "noise, dead pixels", "noise, a caption", "noise, the caption masked")

_ROOM = 25.0  # grey levels between the darkest pixel and 0, where only bright ones are clipped
_CAPTION = np.s_[20:40, 10:110]
_BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16
_SHARPEN = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float64)
_EDGES = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)

KERNELS = {"blur": _BLUR, "sharpen": _SHARPEN, "edges": _EDGES}

Deviations = NDArray[np.float64]


class Pair(NamedTuple):
    """What was made, and of what."""

    before: NDArray[np.float64]
    after: NDArray[np.uint8]
    weights: NDArray[np.float64]
    bias: float


def exposed(
    rng: np.random.Generator, kernel: NDArray[np.float64], noise: float, share: float, ends: str, side: int
) -> Pair:
    """Filter a photograph or textured noise, exposed so that the share of its pixels is clipped.

    Pictures that would take a gain of more than 16 are passed over: of a dark sky, 8 bits keep little.
    """
    low = high = 0.0
    black, white = _ROOM + 3 * noise if ends == "high" else 0.5, 254.5
    while high - low < (white - black) / 16:
        before = crop(rng, side) if rng.random() < 0.5 else textured(rng, side)
        wide = filtered(before, kernel)
        low, high = np.quantile(wide, [0, 1 - share] if ends == "high" else [share / 2, 1 - share / 2])
    gain = (white - black) / (high - low)
    bias = white - gain * high
    after = rounded(gain * wide + bias + noise * rng.standard_normal(wide.shape))
    return Pair(before, after, gain * kernel, float(bias))


def simulated(
    rng: np.random.Generator, pairs: int, noise: float, share: float, ends: str, side: int
) -> Iterator[tuple[str, Pair]]:
    """Give so many pairs of each kernel."""
    for name, kernel in KERNELS.items():
        for _ in range(pairs):
            yield name, exposed(rng, kernel, noise, share, ends, side)


def deviations(kernel: Kernel, pair: Pair) -> Deviations:
    """Give what every tap and the bias are off by, in standard errors."""
    of_bias = (kernel.bias - pair.bias) / kernel.bias_stderr
    return np.append((kernel.weights - pair.weights) / kernel.stderr, of_bias)


def covered(found: list[Deviations]) -> float:
    """Give how many of the 95 % intervals hold what is true, in per cent."""
    return 100 * float(np.mean(np.abs(np.stack(found)) < 1.96))


def biases(found: dict[str, list[Deviations]]) -> NDArray[np.float64]:
    """Give what each tap of each kernel is off by on average, in standard errors."""
    return np.stack([np.mean(of_kernel, axis=0) for of_kernel in found.values()])


def counts_them(kernel: Kernel) -> bool:
    return any("pixels were clipped; they count" in note for note in kernel.notes)


def row(
    seed: list[int], pairs: int, noise: float, share: int, ends: str, side: int = SIDE
) -> dict[str, Cell]:
    """Learn so many pairs of each kernel in each way."""
    found: dict[str, dict[str, list[Deviations]]] = {way: {name: [] for name in KERNELS} for way in WAYS}
    counting = 0
    rng = np.random.default_rng(seed)
    for name, pair in simulated(rng, pairs, noise, share / 100, ends, side):
        for way in WAYS:
            kernel = learn(pair.before, pair.after, size=3, clipped=way)
            found[way][name].append(deviations(kernel, pair))
        counting += counts_them(kernel)
    cells: dict[str, Cell] = {"side": side, "noise": noise, "clipped, %": share, "ends": ends}
    for way in WAYS:
        bias = biases(found[way])
        cells[f"{way}: bias"] = float(np.sqrt(np.mean(np.square(bias))))
        cells[f"{way}: worst"] = float(np.abs(bias).max())
        cells[f"{way}: covers, %"] = covered([d for each in found[way].values() for d in each])
    cells["auto counts them, %"] = 100 * counting / (pairs * len(KERNELS))
    return cells


def spoilt(rng: np.random.Generator, pair: Pair, case: str) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Put white pixels into `after` that no noise clipped; give the options that say where they are."""
    after = pair.after.copy()
    if case == "noise, dead pixels":
        after[rng.random(after.shape) < 0.1] = 255
    if "caption" in case:
        after[_CAPTION] = 255
    counts = np.ones(after.shape, np.bool_)
    counts[_CAPTION] = False
    return after, {"where": counts} if case == "noise, the caption masked" else {}


def choices(seed: list[int], pairs: int, case: str) -> dict[str, Cell]:
    """Let "auto" choose."""
    rng = np.random.default_rng(seed)
    noise, right = 0.0 if case == "rounded only" else 3.0, case in ("noise", "noise, the caption masked")
    found: list[Deviations] = []
    chosen = 0
    for _, pair in simulated(rng, pairs, noise, 0.2, "both", SIDE):
        after, options = spoilt(rng, pair, case)
        kernel = learn(pair.before, after, size=3, **options)
        if noise:  # without it some kernels are exact, and error bars of rounding are another matter
            found.append(deviations(kernel, pair))
        chosen += counts_them(kernel) == right
    return {
        "pair": case,
        "right": "censored" if right else "excluded",
        "auto is right, %": 100 * chosen / (pairs * len(KERNELS)),
        "covers, %": covered(found) if noise else "-",
    }


def tables(pairs: int = DEFAULT) -> list[Table]:
    each = "of each of three kernels (blur, sharpen, edges; photographs and textured noise)"
    cases = [(noise, share, ends) for noise in NOISES for share in SHARES for ends in ENDS]
    fewer = max(2, pairs // 5)
    return [
        Table(
            "censored",
            f"{pairs} pairs of {SIDE} x {SIDE} pixels {each} in each row. Bias: what taps and bias are off "
            f"by on average, in standard errors of one fit, as root mean square over them and worst; chance "
            f"alone makes that {pairs**-0.5:.2g}. Covers: 95 % intervals that hold what is true.",
            SEED,
            [row([SEED, i], pairs, *case) for i, case in enumerate(cases)],
        ),
        Table(
            "censored-2",
            f"The same of {LARGE} x {LARGE} pixels, {fewer} pairs {each} in each row: error bars are a "
            f"quarter, and chance alone makes a bias of {fewer**-0.5:.2g}.",
            SEED,
            [row([SEED, 100 + i], fewer, noise, 20, "both", LARGE) for i, noise in enumerate(NOISES)],
        ),
        Table(
            "censored-3",
            f'What "auto" chooses: {pairs} pairs of {SIDE} x {SIDE} pixels {each} in each row, 20 % clipped '
            f"at both ends, noise 3. Dead pixels: a tenth set to 255; a caption: 20 x 100 pixels of 255.",
            SEED,
            [choices([SEED, 200 + i], pairs, case) for i, case in enumerate(SPOILT)],
        ),
    ]
