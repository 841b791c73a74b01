"""Measure corr2d beside its peers, print the tables, and write them into the README.

Every figure compares two calls that follow each other in one process, both at their default number of
threads, with fresh output arrays for everyone, as users have them. (Only the chip's limits are held against
calls into memory that is already there.) A peer's answer is compared with ours before it is timed. Each
library has a process of its own, because the threads of one that wait for work take processors from the next.

    python benchmarks/bench.py            # some eight minutes; writes README.md and benchmarks/results
    python benchmarks/bench.py --quick    # a few cells in less than a minute; writes nothing
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from cells import LARGE, LARGE_SIZES, PROCESSES, TINY, Cell, Memory, Row, cells_of
from limits import COPY, MULTIPLY_ADD, Limits, running_limits
from memory import megabytes
from peers import LBFGS, PEERS, check, corr2d_like, lbfgs, make_image, make_kernel
from PIL import Image
from tables import machine, progress, tables, write_results, write_section
from timing import Timing, compare, images_for, timer

import corr2d
from corr2d import _engine

ROOT = Path(__file__).parent.parent
SEED = 20261122
SECONDS, QUICK_SECONDS = 1.0, 0.1  # for each round of a cell
TINY_BATCH = 1000  # calls of some microseconds each


def row(cell: Cell, algorithm: str, timing: Timing, note: str = "") -> Row:
    return Row(**asdict(cell), isa=_engine.isa, algorithm=algorithm, note=note, **asdict(timing))


@lru_cache(maxsize=1)  # the cells of one type and size follow each other
def pictures(shape: tuple[int, int], dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(SEED)
    return images_for(lambda: make_image(rng, shape, np.dtype(dtype)))


def apply_beside_peer(cell: Cell, rng: np.random.Generator, budget: float, limits: Limits) -> Row:
    dtype = np.dtype(cell.dtype)
    kernel = make_kernel(rng, cell.kernel, cell.k, dtype)
    images = pictures(cell.shape, cell.dtype)
    theirs = PEERS[cell.peer](kernel)
    answer = theirs(images[0])
    ours = corr2d_like(answer, images[0], kernel)
    check(ours(images[0]), answer, cell.peer)
    del answer
    batch = TINY_BATCH if cell.shape == TINY else 1
    # Half the pictures apart: theirs would find in the cache what ours has just read.
    timers = timer(ours, images, 0, batch), timer(theirs, images, len(images) // 2, batch)
    timing = compare(*timers, budget, limits.reached)
    return row(cell, corr2d.plan(images[0], kernel, dtype=dtype).algorithm, timing)


def apply_beside_limit(cell: Cell, rng: np.random.Generator, budget: float, limits: Limits) -> Row:
    kernel = make_kernel(rng, cell.kernel, cell.k, np.dtype(cell.dtype))
    images = pictures(cell.shape, cell.dtype)
    outs = [np.ones_like(image) for image in images]

    def ours(i: int) -> None:
        corr2d.corr2d(images[i], kernel, padding="same", mode="mirror", out=outs[i])

    def limit(_: int) -> float:
        return limits.seconds(cell.peer, images[0].size, cell.k)

    timing = compare(timer(ours, range(len(images)), 0), limit, budget, limits.reached)
    return row(cell, corr2d.plan(images[0], kernel).algorithm, timing)


def learn_beside_peer(cell: Cell, rng: np.random.Generator, budget: float, limits: Limits) -> Row:
    with Image.open(ROOT / "examples/photos/camera.png") as photo:
        before = np.asarray(photo) / 255.0
    kernel = rng.standard_normal((cell.k, cell.k))
    after = corr2d.corr2d(before, kernel)
    calls = {
        "ours": lambda image: corr2d.learn(image, after, size=cell.k, examine=False).weights,
        "theirs": lambda image: lbfgs(image, after, cell.k),
    }
    errors = [
        f"{name} {np.linalg.norm(call(before) - kernel) / np.linalg.norm(kernel):.0e}"
        for name, call in calls.items()
    ]
    timing = compare(*(timer(call, [before], 0) for call in calls.values()), budget, limits.reached)
    return row(cell, "learn", timing, ", ".join(errors))


def rows_of(process: str, *, quick: bool) -> Iterator[Row]:
    rng = np.random.default_rng(SEED)
    budget = QUICK_SECONDS if quick else SECONDS
    measures = {COPY: apply_beside_limit, MULTIPLY_ADD: apply_beside_limit, LBFGS: learn_beside_peer}
    with running_limits() as limits:
        for cell in cells_of(process, quick=quick):
            yield measures.get(cell.peer, apply_beside_peer)(cell, rng, budget, limits)


def measured_elsewhere(process: str, *, quick: bool, isa: str | None = None) -> Iterator[Row]:
    """Run this script as `process`, and give its rows as they come."""
    command = [sys.executable, __file__, "--process", process] + ["--quick"] * quick
    environment = os.environ | ({"CORR2D_ISA": isa} if isa else {})
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            fields = json.loads(line)
            yield Row(**fields | {"shape": tuple(fields["shape"])})
    if child.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed.")


def measure_all(*, quick: bool) -> Iterator[Row]:
    for process in PROCESSES:
        isa = "avx2" if process == "avx2" else None
        if isa is None or (_engine.isa == "avx512" and isa in _engine.usable_isas):
            yield from measured_elsewhere(process, quick=quick, isa=isa)


def measure_memory(*, quick: bool) -> Iterator[Memory]:
    calls = [("corr2d", "random", k, "auto") for k in LARGE_SIZES]
    calls += [("corr2d", "Gaussian", k, "separable") for k in LARGE_SIZES[1:-1]]
    calls += [("cv2.filter2D", "random", k, "auto") for k in LARGE_SIZES]
    for peer, kernel, k, algorithm in calls[:: 4 if quick else 1]:
        yield Memory(LARGE, kernel, k, algorithm, peer, megabytes(peer, kernel, k, algorithm, LARGE[0]))


def main() -> None:
    options = argparse.ArgumentParser(description="Measure corr2d beside its peers.")
    options.add_argument("--quick", action="store_true", help="a few cells; write nothing")
    options.add_argument("--process", choices=PROCESSES, help="only this; print its rows as JSON")
    asked = options.parse_args()
    if asked.process:
        for measured in rows_of(asked.process, quick=asked.quick):
            print(json.dumps(asdict(measured)), flush=True)
        return
    print(machine(), flush=True)
    begun = time.perf_counter()
    rows, memory = [], []
    for measured in measure_all(quick=asked.quick):
        print(progress(measured), flush=True)
        rows.append(measured)
    for used in measure_memory(quick=asked.quick):
        print(f"{used.peer} {used.k} {used.algorithm}: {used.megabytes:.1f} MB", flush=True)
        memory.append(used)
    text = tables(rows, memory)
    print(f"\n{text}\n\n{time.perf_counter() - begun:.0f} s")
    if asked.quick:
        return
    write_section(ROOT / "README.md", "bench", text)
    results = write_results(ROOT / "benchmarks/results", rows, memory)
    print(f"written to README.md and {results.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
