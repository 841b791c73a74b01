"""A kernel that varies across the picture: how near each program comes to it, and how long it takes.

A picture of detail at every scale is blurred by a Gaussian whose width grows linearly from left to right, and
has noise added. What is printed is the time to find the kernel, and the root mean square of what it leaves of
`after`, where the true kernels leave the noise. `make bench-peers` installs the programs.

    python benchmarks/peers_varying.py          # some minutes
    python benchmarks/peers_varying.py --quick  # a small picture
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from bench_learn import PEERS, SEED, make_pair
from peer_process import INSTALL, installed, started
from timing import Timer, timer

from corr2d import learn, learn_varying

SIDE, K = 1024, 7
NARROW, WIDE = 0.6, 1.2  # standard deviations of the Gaussian, in pixels, at the left and the right border
NOISE = 1.0
ORDERS = (0, 1, 2)  # of the polynomials of the place that each tap is
RUNS, ENOUGH = 3, 60.0  # of each, unless one takes so many seconds
# Zero in `before`, as its mean is: programs that take it to be periodic, or zero beyond the border, agree.
MARGIN = 2 * K

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Found:
    """The median time, and the residual rms in grey levels."""

    who: str
    seconds: float
    residual: float


def blur_across(before: np.ndarray) -> np.ndarray:
    """Blur each column by the Gaussian of its place, cut off at K x K; zeros lie beyond the border."""
    h, w = before.shape
    reach = np.arange(K) - K // 2
    line = np.exp(-(reach[:, None] ** 2) / (2 * np.linspace(NARROW, WIDE, w) ** 2))
    line /= line.sum(axis=0)
    wide = np.pad(before, K // 2)
    rows = sum(weights * wide[:, u : u + w] for u, weights in enumerate(line))
    return sum(weights * rows[v : v + h] for v, weights in enumerate(line))


def make_varying_pair(side: int) -> Pair:
    picture = make_pair(side, K)[0].astype(np.float64)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    before = np.pad(picture - picture.mean(), MARGIN)
    # Of another seed than the picture, which would else be a filter of its own noise.
    return before, blur_across(before) + np.random.default_rng(SEED + 1).normal(0, NOISE, before.shape)


def rms_inside(residual: np.ndarray) -> float:
    return float(np.sqrt(np.mean(residual[MARGIN:-MARGIN, MARGIN:-MARGIN] ** 2)))


def median_seconds(run: Timer) -> float:
    found: list[float] = []
    while len(found) < RUNS and sum(found) < ENOUGH:
        found.append(run(len(found)))
    return float(np.median(found))


def ours(before: np.ndarray, after: np.ndarray) -> Iterator[Found]:
    for order in ORDERS:
        find = partial(learn_varying, degree=order) if order else learn
        predicted = find(before, after, size=K)(before, padding="same")
        seconds = median_seconds(timer(lambda find: find(before, after, size=K), [find], 0))
        yield Found(f"corr2d, order {order}", seconds, rms_inside(after - predicted))


def theirs(name: str, pair: Pair) -> Iterator[Found]:
    for order in ORDERS:
        with started(name, *pair, K, order=order, difference=True) as peer:
            seconds = median_seconds(peer.seconds)
            yield Found(f"{peer.answer.version}, order {order}", seconds, rms_inside(peer.answer.difference))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small picture")
    side = 192 if parser.parse_args().quick else SIDE
    pair = make_varying_pair(side)
    print(
        f"{side} x {side}, {K} x {K} taps, Gaussian of {NARROW} to {WIDE} pixels\n"
        f"{'':24} {'time':>10}   residual rms\n"
        f"{'the true kernels':24} {'':10}   {rms_inside(pair[1] - blur_across(pair[0])):.4f}"
    )

    def show(found: Found) -> None:
        print(f"{found.who:24} {found.seconds:8.3f} s   {found.residual:.4f}", flush=True)

    for found in ours(*pair):
        show(found)
    for name in PEERS:
        if not installed(name):
            print(f"{name:24} left out, since not installed: `{INSTALL}` installs it")
            continue
        for found in theirs(name, pair):
            show(found)


if __name__ == "__main__":
    main()
