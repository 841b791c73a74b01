"""Measure what the engine's algorithms cost on this machine, and write the table that `plan` chooses by.

Of the instruction sets that are named, or else of all that this machine has; others keep their figures.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from corr2d import _engine
from corr2d.costs import COSTS, LAG_COSTS, Costs, LagCosts
from corr2d.lags import Lags

TABLE = Path(__file__).parent.parent / "src" / "corr2d" / "costs.py"
SIDES = (32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
LAG_SIDES = (32, 64, 128, 256, 512)  # larger ones never pay
AT_HAND = 8 << 20  # bytes of spectra: engine/fft.hpp


def nanoseconds(*runs: tuple[_engine.Correlation, np.ndarray, np.ndarray]) -> list[float]:
    """Time each in turn."""
    best = [float("inf")] * len(runs)
    for _ in range(30):
        for i, (correlation, image, out) in enumerate(runs):
            start = time.thread_time()
            correlation.run(image, out, 1, 1, 1)
            best[i] = min(best[i], time.thread_time() - start)
    return [seconds * 1e9 for seconds in best]


def measure(dtype: type) -> Costs:
    """Measure the instruction set that this process has picked."""
    image, out = np.random.default_rng(0).random((1024, 1024)).astype(dtype), np.empty((896, 896), dtype)

    def work(k: int, way: int, tile: int = 0, channels: int = 1) -> _engine.Correlation:
        """Give a correlation with k x k taps, from so many channels to as many."""
        shape = (channels, channels) if channels > 1 else ()
        terms = [(np.ones((*shape, k, k)), np.ones((*shape, 1, k)), np.ones((*shape, 1, k)), 0, 0)]
        in_float64 = dtype == np.float64
        return _engine.Correlation(terms, 1, 1, 0, 0.0, 0.0, 0.0, way, in_float64, tile)

    sizes = ((3, 0), (11, 0), (3, 1), (31, 1))
    of_pixels = nanoseconds(*((work(*size), image, out) for size in sizes))
    few, many, short, long = (ns / out.size for ns in of_pixels)
    tap = (many - few) / (121 - 9)
    single = (long - short) / (31 + 31 * (1 + 31 / 128) - 3 - 3 * (1 + 3 / 128))
    squares: dict[int, tuple[float, float]] = {}
    least = 0.0  # what a product costs, as its numbers are more than those of the side before
    for before, side in zip(SIDES[:1] + SIDES, SIDES, strict=False):
        least *= (side / before) ** 2
        n = 4  # channels, to as many: as many squares must be kept
        while n * 2 * side**2 * image.itemsize * 1.1 > AT_HAND:
            n //= 2
        alone, mixing = work(side // 2, 2, side), work(side // 2, 2, side, channels=n)
        pairs = alone.units(image, out)
        if n < 2:  # numbers are counted, then
            (ns,) = nanoseconds((alone, image, out))
            squares[side] = (ns / (pairs + 0.5), least)
            continue
        # A pair is two transforms and a product; its kernel is one transform. So many channels are n pairs,
        # n * n - n products more, and n * n kernels.
        counts = [[pairs + 0.5, -0.5], [n * pairs + n**2 / 2, (n**2 - n) * pairs - n**2 / 2]]
        images, outs = np.repeat(image[None], n, axis=0), np.repeat(out[None], n, axis=0)
        pair, product = np.linalg.solve(counts, nanoseconds((alone, image, out), (mixing, images, outs)))
        least = max(product, least)  # in noise it may come out as little as nothing
        squares[side] = (pair, least)
    return Costs(
        (max(few - 9 * tap, 0.0), tap),
        (max(short - 6 * single, 0.0), single),
        squares,
    )


def lag_nanoseconds(work: Lags, dtype: type, side: int) -> float:
    """Time the sums of one block of 1000 x 1000 pixels; what the matrix takes beside them is little."""
    rng, channels = np.random.default_rng(0), work.planes
    y = rng.integers(0, 256, (1000, 1000)).astype(dtype)
    x = rng.integers(0, 256, (channels, 999 + work.kh, 999 + work.kw)).astype(dtype)
    order = channels * work.kh * work.kw + 2
    sums, frame = np.empty((1, order, order)), (0.0, 0.0, 0.0, 0.0)  # no monomials of the position
    best = float("inf")
    for _ in range(10):
        start = time.thread_time()
        _engine.fill_moments(
            x, y, [(0, 0, 1000, 1000)], (work.kh, work.kw), (1, 1), (1, 1), (128.0,) * (channels + 1),
            (0, 0), (frame, frame), sums, None, True, None, 1, side,
        )  # fmt: skip
        best = min(best, time.thread_time() - start)
    return best * 1e9


def measure_lags() -> LagCosts:
    few, large = [Lags(3, 3, planes, 1) for planes in (1, 2, 4)], Lags(15, 15, 1, 1)

    def counts(work: Lags, side: int) -> list[float]:
        """Count transforms and products."""
        only = [{side: (1.0, 0.0)}, {side: (0.0, 1.0)}]
        return [work.fft_cost(1000, 1000, side, LagCosts(0.0, 0.0, each)) for each in only]

    squares = {}
    for side in LAG_SIDES:
        each = np.array([lag_nanoseconds(work, np.float32, side) for work in few])
        numbers = np.array([counts(work, side) for work in few]) / each[:, None]  # each as near as the others
        transform, product = np.linalg.lstsq(numbers, np.ones(len(few)))[0]
        if product < 0:  # too little to be told apart
            transform, product = len(few) / numbers[:, 0].sum(), 0.0
        squares[side] = (transform, product)
    adds = large.direct_cost(1000, 1000, LagCosts(1.0, 1.0, {}), whole=False)
    real, whole = (lag_nanoseconds(large, dtype, 0) / adds for dtype in (np.float32, np.uint8))
    return LagCosts(real, whole, squares)


def number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):.0f}"


def lag_text(costs: LagCosts) -> str:
    each = ", ".join(f"{side}: ({', '.join(map(number, pair))})" for side, pair in costs.squares.items())
    return f"LagCosts({number(costs.real)}, {number(costs.whole)}, {{{each}}})"


def text(costs: Costs) -> str:
    pairs = ", ".join(f"{side}: ({', '.join(map(number, pair))})" for side, pair in costs.fft.items())
    direct, separable = (", ".join(map(number, pair)) for pair in (costs.direct, costs.separable))
    return f"Costs(({direct}), ({separable}), {{{pairs}}})"


def measured(isa: str) -> tuple[dict[str, Costs], LagCosts]:
    """Measure in a process of its own, which picks that instruction set."""
    command = [sys.executable, __file__, "--one"]
    environment = os.environ | {"CORR2D_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    costs, lags = json.loads(done.stdout)
    return {name: Costs(*each) for name, each in costs.items()}, LagCosts(*lags)


def main() -> None:
    if "--one" in sys.argv:
        print(json.dumps([{t.__name__: measure(t) for t in (np.float32, np.float64)}, measure_lags()]))
        return
    table = {isa: (COSTS[isa], LAG_COSTS[isa]) for isa in COSTS}
    table |= {isa: measured(isa) for isa in sys.argv[1:] or _engine.usable_isas}
    head = TABLE.read_text().split("COSTS: dict", 1)[0]
    lines, of_lags = ["COSTS: dict[str, dict[str, Costs]] = {"], ["LAG_COSTS: dict[str, LagCosts] = {"]
    for isa, (costs, lags) in table.items():
        lines.append(f'    "{isa}": {{')
        lines += [f'        "{name}": {text(each)},' for name, each in costs.items()]
        lines.append("    },")
        of_lags.append(f'    "{isa}": {lag_text(lags)},')
    TABLE.write_text(head + "\n".join([*lines, "}", "", *of_lags, "}", ""]))
    subprocess.run([sys.executable, "-m", "ruff", "format", TABLE], check=False)
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
