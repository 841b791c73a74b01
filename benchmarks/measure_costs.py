"""Measure what the engine's algorithms cost on this machine, and write the table that `plan` chooses by.

Instruction sets that this machine lacks take the figures of the best one it has.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from corr2d import _engine
from corr2d.costs import Costs

TABLE = Path(__file__).parent.parent / "src" / "corr2d" / "costs.py"
KNOWN = ("avx512", "avx2", "baseline")
SIDES = (32, 64, 128, 256, 512, 1024)


def nanoseconds(correlation: _engine.Correlation, image: np.ndarray, out: np.ndarray) -> float:
    best = float("inf")
    for _ in range(30):
        start = time.thread_time()
        correlation.run(image, out, 1, 1, 1)
        best = min(best, time.thread_time() - start)
    return best * 1e9


def measure(dtype: type) -> Costs:
    """Measure the instruction set that this process has picked."""
    image, out = np.random.default_rng(0).random((1024, 1024)).astype(dtype), np.empty((896, 896), dtype)

    def work(k: int, way: int, tile: int = 0) -> _engine.Correlation:
        terms = [(np.ones((k, k)), np.ones((1, k)), np.ones((1, k)), 0, 0)]
        in_float64 = dtype == np.float64
        return _engine.Correlation(terms, 1, 1, 0, 0.0, 0.0, 0.0, way, in_float64, tile)

    def a_pixel(k: int, way: int) -> float:
        return nanoseconds(work(k, way), image, out) / out.size

    few, many = a_pixel(3, 0), a_pixel(11, 0)
    tap = (many - few) / (121 - 9)
    short, long = a_pixel(3, 1), a_pixel(31, 1)
    single = (long - short) / (31 + 31 * (1 + 31 / 128) - 3 - 3 * (1 + 3 / 128))
    pairs = {side: work(side // 2, 2, side) for side in SIDES}
    return Costs(
        (max(few - 9 * tap, 0.0), tap),
        (max(short - 6 * single, 0.0), single),
        {side: nanoseconds(pair, image, out) / pair.units(image, out) for side, pair in pairs.items()},
    )


def text(costs: list) -> str:
    def number(value: float) -> str:
        return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):.0f}"

    direct, separable, fft = costs
    pairs = ", ".join(f"{side}: {number(ns)}" for side, ns in fft.items())
    return f"Costs(({', '.join(map(number, direct))}), ({', '.join(map(number, separable))}), {{{pairs}}})"


def main() -> None:
    if "--one" in sys.argv:
        print(json.dumps({t.__name__: measure(t) for t in (np.float32, np.float64)}))
        return
    table = {}
    for isa in _engine.usable_isas:
        command = [sys.executable, __file__, "--one"]
        environment = os.environ | {"CORR2D_ISA": isa}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        table[isa] = json.loads(done.stdout)
    head = TABLE.read_text().split("COSTS: dict", 1)[0]
    lines = ["COSTS: dict[str, dict[str, Costs]] = {"]
    for isa in KNOWN:
        lines.append(f'    "{isa}": {{')
        types = table.get(isa, table[_engine.usable_isas[0]])
        lines += [f'        "{name}": {text(costs)},' for name, costs in types.items()]
        lines.append("    },")
    TABLE.write_text(head + "\n".join([*lines, "}", ""]))
    subprocess.run(["ruff", "format", TABLE], check=False)
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
