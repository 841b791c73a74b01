"""Measure `learn` beside normal equations that a NumPy user would write, and write the README's table.

A pair of 8-bit pictures, 2048 x 2048, as it is and with half of the pixels of `after` clipped. Calls follow
each other in one process, all at their default number of threads; both answers must agree. Peers find a
kernel and nothing else: beside them is `learn(..., examine=False)`, the kernel with its error bars; what
verdict and name add has a column of its own. Memory is the peak of one call in a fresh process, beyond the
pictures.

The astronomers' programs are measured as well, where `make bench-peers` has installed them: each is a process
in an environment of its own that solves in turn with ours, on a pair with the border that it assumes.

    python benchmarks/bench_learn.py            # ten to twenty minutes; writes README.md and a results file
    python benchmarks/bench_learn.py --quick    # one small cell; writes nothing
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from limits import MULTIPLY_ADD, Limits, running_limits
from memory import peak
from numpy.lib.stride_tricks import sliding_window_view
from peer_process import INSTALL, installed, started
from tables import machine, number, table, write_section
from timing import Timing, compare, timer

from corr2d import Kernel, _engine, corr2d, learn

ROOT = Path(__file__).parent.parent
SEED = 20261122
SIZES = (5, 9, 15, 21)
SIDE = 2048
BLOCK = 32  # rows of patches: fewer are slower, more take gigabytes

# What each takes to lie beyond the border, and the sizes that it can do: ois keeps a picture of float64 for
# each tap, 8 GB at 15 x 15.
PEERS = {"sfft": ("wrap", SIZES), "ois": ("constant", SIZES[:2])}

EXAMINED = "with verdict and name"

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Learned:
    """One cell: `what` is measured beside `learn` of k x k."""

    k: int
    what: str
    timing: Timing


def make_pair(side: int, k: int, *, clipped: float = 0.0, mode: str = "mirror") -> Pair:
    """Make a picture with detail at every scale, and filter it; a share of the result is clipped."""
    rng = np.random.default_rng(SEED)
    spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    image = np.fft.irfft2(spectrum / (frequency + 1 / side), (side, side))
    before = np.clip(128 + 30 * image / image.std(), 10, 245).round().astype(np.uint8)
    kernel = rng.random((k, k))
    after = corr2d(before, kernel / kernel.sum(), padding="same", mode=mode, dtype=np.uint8)
    after[rng.random(after.shape) < clipped] = 255
    return before, after


def normal_equations(pair: Pair, k: int) -> np.ndarray:
    """Give the taps that least squares finds, from matrices of patches, block by block."""
    before, after = pair
    m, n = k // 2, k * k + 1
    gram, cross = np.zeros((n, n)), np.zeros(n)
    rows, columns = before.shape[0] - k + 1, before.shape[1] - k + 1
    for top in range(0, rows, BLOCK):
        count = min(BLOCK, rows - top)
        patches = np.ones((count * columns, n))
        windows = sliding_window_view(before[top : top + count + k - 1].astype(np.float64), (k, k))
        patches[:, :-1] = windows.reshape(len(patches), k * k)
        target = after[m + top : m + top + count, m : m + columns].ravel()
        counts = (target > 0) & (target < 255)
        if not counts.all():
            patches, target = patches[counts], target[counts]
        gram += patches.T @ patches
        cross += patches.T @ target.astype(np.float64)
    return np.linalg.solve(gram, cross)[:-1].reshape(k, k)


def fitted(pair: Pair, k: int) -> Kernel:
    """Find what peers find."""
    return learn(*pair, size=k, examine=False)


def beside(ours: Callable, theirs: Callable, given: object, budget: float, limits: Limits) -> Timing:
    return compare(timer(ours, [given], 0), timer(theirs, [given], 0), budget, limits.reached)


def measure(side: int, k: int, budget: float, limits: Limits) -> list[Learned]:
    found = []
    for what, clipped in (("NumPy", 0.0), ("NumPy, half clipped", 0.5)):
        pair = make_pair(side, k, clipped=clipped)
        ours, truth = fitted(pair, k), normal_equations(pair, k)
        if not np.abs(ours.weights - truth).max() < 1e-9 * np.abs(truth).max():
            raise AssertionError(f"learn and NumPy disagree for {k} x {k}")
        timing = beside(
            lambda pair: fitted(pair, k), lambda pair: normal_equations(pair, k), pair, budget, limits
        )
        found.append(Learned(k, what, timing))
    pair, kernel = make_pair(side, k), np.random.default_rng(SEED).standard_normal((k, k))
    image = pair[0].astype(np.float32)
    timing = beside(lambda pair: fitted(pair, k), lambda pair: learn(*pair, size=k), pair, budget, limits)
    found.append(Learned(k, EXAMINED, timing))
    timing = beside(
        lambda _: fitted(pair, k), lambda _: corr2d(image, kernel, padding="same"), None, budget, limits
    )
    found.append(Learned(k, "corr2d", timing))
    # The sums by lags alone, of floats: two pictures of which every second product is made (engine/lags.hpp).
    x, y = (picture.astype(np.float64) for picture in make_pair(side, k))
    y = np.ascontiguousarray(y[: side - k + 1, : side - k + 1])
    nowhere = (0.0, 0.0, 0.0, 0.0)  # no monomials of the position
    sums, adds = np.empty((1, k * k + 2, k * k + 2)), (3 * k * k - 2 * k + 1) * y.size

    def by_lags(_: object) -> None:
        _engine.fill_moments(
            x, y, [(0, 0, *y.shape)], (k, k), (1, 1), (1, 1), (0.0, 0.0), (0, 0), (nowhere, nowhere), sums,
            None, True, None, 2,
        )  # fmt: skip

    # The limit counts operations of float32: of float64 the chip makes half as many.
    timing = compare(
        timer(by_lags, [None], 0),
        lambda _: 2 * limits.seconds(MULTIPLY_ADD, adds, 1),
        budget,
        limits.reached,
    )
    return [*found, Learned(k, "peak", timing)]


def measure_peers(names: list[str], side: int, k: int, budget: float, limits: Limits) -> list[Learned]:
    found = []
    for name in names:
        mode, sizes = PEERS[name]
        if k not in sizes:
            continue
        pair = make_pair(side, k, mode=mode)
        with started(name, *pair, k) as peer:
            ours = fitted(pair, k)
            # They fit the border as well, which ours leaves out: the same but for the rounding of the pair.
            if not np.abs(ours.weights - peer.answer.kernel).max() < 5 * ours.stderr.max():
                raise AssertionError(f"learn and {name} disagree for {k} x {k}")
            mine = timer(lambda pair, k=k: fitted(pair, k), [pair], 0)
            timing = compare(mine, peer.seconds, budget, limits.reached)
        found.append(Learned(k, peer.answer.version, timing))
    return found


def megabytes(k: int, side: int) -> float:
    command = [sys.executable, __file__, "--memory", str(k), str(side)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure_memory(k: int, side: int) -> float:
    before, after = make_pair(256, k)
    learn(before, after, size=k)  # what is loaded and kept
    before, after = (np.tile(picture, (side // 256, side // 256)) for picture in (before, after))
    at_first = peak()
    learn(before, after, size=k)
    return (peak() - at_first) / 1e6


def text(rows: list[Learned], memory: dict[int, float], side: int) -> str:
    def column(what: str, say: Callable[[Timing], str]) -> dict[int, str]:
        return {row.k: "≈ " * row.timing.noisy + say(row.timing) for row in rows if row.what == what}

    def ratio(timing: Timing) -> str:
        return f"{number(timing.ratio)} ({number(timing.low)}–{number(timing.high)})"

    peers = dict.fromkeys(row.what for row in rows if row.what.split()[0] in PEERS)
    columns = {
        "ours": column("NumPy", lambda t: f"{number(t.ours_ms)} ms"),
        "ours, with verdict and name": column(EXAMINED, lambda t: f"{number(t.theirs_ms)} ms"),
        "normal equations by NumPy": column("NumPy", ratio),
        "half clipped, ours": column("NumPy, half clipped", lambda t: f"{number(t.ours_ms)} ms"),
        "half clipped, NumPy": column("NumPy, half clipped", ratio),
        **{f"`{peer}`": column(peer, ratio) for peer in peers},
        "ours / one `corr2d` of float32": column("corr2d", lambda t: number(1 / t.ratio)),
        "sums of float64, of the multiply-add peak": column("peak", lambda t: f"{t.ratio:.0%}"),
        "memory": {k: f"{number(used)} MB" for k, used in memory.items()},
    }
    head = (
        f"{machine()}. `learn(examine=False)`, the kernel with its error bars, of a pair of 8-bit pictures, "
        f"{side} × {side}: a peer's time divided by ours, as above. NumPy: matrices of patches of {BLOCK} "
        "rows. Memory: a call's peak beyond the pictures."
    )
    if peers:
        head += (
            f" {' and '.join(peers)}: the kernel alone, on the CPU, warm, each in a process of its own that "
            "waits while ours runs, on a pair with the border that it assumes."
        )
    return "\n".join([head, *table("size", columns)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small cell; writes nothing")
    parser.add_argument("--memory", nargs=2, type=int, metavar=("K", "SIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(measure_memory(*options.memory)))
        return
    sizes, side, budget = ((5,), 256, 0.1) if options.quick else (SIZES, SIDE, 1.0)
    names = [name for name in PEERS if installed(name)]
    if missing := [name for name in PEERS if name not in names]:
        print(f"Left out, since not installed: {', '.join(missing)}. `{INSTALL}` installs them.")
    memory = {k: megabytes(k, side) for k in sizes}  # first: a fresh process begins at the peak of this one
    rows = []
    with running_limits() as limits:
        for k in sizes:
            found = [*measure(side, k, budget, limits), *measure_peers(names, side, k, budget, limits)]
            print(*(f"{row.k} {row.what}: {row.timing}" for row in found), sep="\n", flush=True)
            rows += found
    said = text(rows, memory, side)
    print(said)
    if not options.quick:
        write_section(ROOT / "README.md", "bench-learn", said)
        kept = {"machine": machine(), "rows": [asdict(row) for row in rows], "memory": memory}
        (ROOT / "benchmarks" / "results" / "learn.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
