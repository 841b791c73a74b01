"""The window that `learn` chooses: whether it is the one that the kernel fills, to the tap.

Every kernel has, on each of its four sides, a tap of at least a tenth of its largest: a row that is next to
nothing cannot be found, and is asked about on its own, with Gaussians.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corr2d import Kernel, learn
from corr2d.size import LARGEST

from .pairs import Image2, crop, filtered, noisy, rounded, through_jpeg
from .study import Cell, Table

DEFAULT = 64  # pairs of each class and noise
SEED = 20
_SIDES = (256, 320, 384, 448, 512)
_NOISES = (20.0, 30.0, 40.0, None)  # decibels; None: rounded to 8 bits and no more
_CLASSES = ("odd squares in the middle", "rectangles in the middle", "even in rows or columns", "anywhere")
_SIGMAS = (0.7, 1.0, 1.5, 2.0)


class Truth(NamedTuple):
    """A kernel, and the tap of it that stands on the pixel."""

    weights: Image2
    origin: tuple[int, int]

    def run(self, before: Image2) -> Image2:
        """Run it as an editor does: the same size, and a level and contrast that fit into 8 bits."""
        reach = LARGEST // 2
        frame = np.zeros((LARGEST, LARGEST))
        (kh, kw), (y, x) = self.weights.shape, self.origin
        frame[reach - y : reach - y + kh, reach - x : reach - x + kw] = self.weights
        after = filtered(before, frame)
        return np.asarray(128 + (after - after.mean()) * (45 / after.std()))

    def judge(self, kernel: Kernel) -> str:
        """Say what the window found is: exact, or else larger on some side, or else smaller."""
        ends = [(-o, k - o) for k, o in zip(self.weights.shape, self.origin, strict=True)]
        found = [(-o, k - o) for k, o in zip(kernel.size, kernel.origin or (0, 0), strict=True)]
        if found == ends:
            return "exact"
        larger = any(a < c or b > d for (a, b), (c, d) in zip(found, ends, strict=True))
        return "larger" if larger else "smaller"


def tables(pairs: int = DEFAULT) -> list[Table]:
    """Give the study's tables: exact windows, smooth kernels, residuals that are not white."""
    return [exact_windows(pairs), smooth_kernels(pairs), coloured_residuals(pairs)]


def exact_windows(pairs: int) -> Table:
    """Count the windows that are exact, too small and too large."""
    rng = np.random.default_rng(SEED)
    rows = []
    for which in _CLASSES:
        for noise in _NOISES:
            found = [truth.judge(learn(*pair)) for truth, pair in _pairs(rng, which, noise, pairs)]
            rows.append({"kernels": which, "noise": _named(noise), **_shares(found)})
    about = (
        f"{len(rows) * pairs} pairs of {_SIDES[0]} to {_SIDES[-1]} pixels; kernels of 1 x 1 to 15 x 15, "
        f"a quarter each of either sign, positive, boxes and sparse."
    )
    return Table("size", about, SEED, rows)


def smooth_kernels(pairs: int) -> Table:
    """Ask of Gaussians, whose rims fade out, what a smaller window costs in prediction."""
    rng = np.random.default_rng(SEED + 1)
    rows: list[dict[str, Cell]] = []
    for sigma in _SIGMAS:
        for noise in (20.0, 40.0):
            truth = Truth(gaussian(sigma), (LARGEST // 2, LARGEST // 2))
            sizes, costs = [], []
            for _ in range(max(pairs // 4, 1)):
                before, other = crop(rng, 384), crop(rng, 384)
                after = noisy(rng, filtered(before, truth.weights), noise)
                chosen, whole = learn(before, after), learn(before, after, size=LARGEST)
                sizes.append(chosen.size)
                costs.append([_excess(kernel, truth, other) for kernel in (chosen, whole)])
            heights, widths = np.transpose(sizes)
            ratio = np.median(np.divide(*np.transpose(costs)))
            rows.append(
                {
                    "sigma": sigma,
                    "noise": _named(noise),
                    "pairs": len(sizes),
                    "rows": _range(heights),
                    "columns": _range(widths),
                    "error": float(ratio),
                }
            )
    about = (
        "Gaussians: the sizes found, least, median and largest; and how far the kernel's prediction of "
        "another photograph is off, in what a 15 x 15 kernel from the same pair is off by (median)."
    )
    return Table("size-2", about, SEED + 1, rows)


def coloured_residuals(pairs: int) -> Table:
    """Count exact windows where what is left over is not white, and where there is nothing to find."""
    rng = np.random.default_rng(SEED + 2)
    rows = []
    for name in ("JPEG 95", "JPEG 85", "correlated, 30 dB"):
        found = []
        for truth, (before, _) in _pairs(rng, "anywhere", None, pairs):
            clean = truth.run(before.astype(np.float64))
            if name.startswith("JPEG"):
                after: NDArray[np.generic] = through_jpeg(clean, int(name.split()[1]))
            else:
                grain = filtered(rng.standard_normal(clean.shape), gaussian(1.0))
                after = clean + grain * (45 * 10**-1.5 / grain.std())
            found.append(truth.judge(learn(before, after)))
        rows.append({"left over": name, **_shares(found)})
    unrelated = [learn(crop(rng, 256), crop(rng, 256)) for _ in range(pairs)]
    alone = [
        "exact" if kernel.size == (1, 1) and kernel.origin == (0, 0) else "larger" for kernel in unrelated
    ]
    rows.append({"left over": "all: two photographs", **_shares(alone)})
    about = "What is left over has a structure. Of two photographs, one tap on the pixel is the exact answer."
    return Table("size-3", about, SEED + 2, rows)


def kernel_of(rng: np.random.Generator, shape: tuple[int, int], kind: int) -> Image2:
    """Give a kernel that fills its shape: on each side a tap of at least a tenth of the largest."""
    while True:
        weights = (
            rng.standard_normal(shape),
            rng.uniform(0.1, 1, shape),
            np.ones(shape),
            rng.standard_normal(shape) * (rng.random(shape) < max(0.2, 4 / sum(shape))),
        )[kind]
        sides = [np.abs(np.rot90(weights, turns)[0]).max() for turns in range(4)]
        if min(sides) >= 0.1 * np.abs(weights).max() > 0:
            return np.asarray(weights)


def gaussian(sigma: float) -> Image2:
    far = np.arange(LARGEST) - LARGEST // 2
    line = np.exp(-((far / sigma) ** 2) / 2)
    return np.outer(line, line) / line.sum() ** 2


def _pairs(
    rng: np.random.Generator, which: str, noise: float | None, pairs: int
) -> Iterator[tuple[Truth, tuple[NDArray[np.generic], NDArray[np.generic]]]]:
    for i in range(pairs):
        shape, origin = _window(rng, which)
        truth = Truth(kernel_of(rng, shape, i % 4), origin)
        before = crop(rng, int(rng.choice(_SIDES)))
        after = truth.run(before)
        if noise is None:
            yield truth, (rounded(before), rounded(after))
        else:
            yield truth, (before, noisy(rng, after, noise))


def _window(rng: np.random.Generator, which: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give a size and an origin."""
    kh, kw = (int(k) for k in rng.integers(1, LARGEST + 1, 2))
    if which == "odd squares in the middle":
        kh = kw = kh - 1 + kh % 2
    if which == "rectangles in the middle":
        kh, kw = kh - 1 + kh % 2, kw - 1 + kw % 2
    if which == "even in rows or columns":
        kh = kh + kh % 2 if kh < LARGEST else kh - 1
    if which != "anywhere":
        return (kh, kw), (kh // 2, kw // 2)
    # All of it within the largest window that is tried.
    y, x = (int(rng.integers(k - 1 - LARGEST // 2, LARGEST // 2 + 1)) for k in (kh, kw))
    return (kh, kw), (y, x)


def _excess(kernel: Kernel, truth: Truth, before: Image2) -> float:
    """Give by how much the kernel's prediction is off, root mean square, away from the border."""
    inside = slice(LARGEST, -LARGEST)
    off = kernel(before, padding="same", dtype=np.float64) - filtered(before, truth.weights)
    return float(np.sqrt(np.square(off[inside, inside]).mean()))


def _shares(found: list[str]) -> dict[str, Cell]:
    shares = {
        f"{verdict}, %": 100 * found.count(verdict) / len(found) for verdict in ("exact", "smaller", "larger")
    }
    return {"pairs": len(found), **shares}


def _range(sizes: NDArray[np.int_]) -> str:
    return f"{sizes.min()}, {np.median(sizes):.0f}, {sizes.max()}"


def _named(noise: float | None) -> str:
    return "rounding" if noise is None else f"{noise:.0f} dB"
