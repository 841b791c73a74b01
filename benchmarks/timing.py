"""How two calls are timed against each other: in turn, A B A B …, and again where the machine was disturbed.

A shared machine changes its speed by a factor of two within seconds, which two calls that follow each
other both see: what is quoted is the median of the pairs' ratios, with their quartiles.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

ROUNDS = 3
CALM = 0.25  # interquartile range / median, above which a round is measured again
MOST_PAIRS = 101
IMAGES_BYTES = 64 << 20  # more than most last-level caches: no call finds its picture there

T = TypeVar("T")
Timer = Callable[[int], float]  # seconds of the i-th run


@dataclass(frozen=True)
class Timing:
    """Milliseconds of ours and theirs, and the ratio theirs / ours, of so many pairs."""

    ours_ms: float
    theirs_ms: float
    ratio: float
    low: float
    high: float
    pairs: int
    noisy: bool


def images_for(make: Callable[[], np.ndarray]) -> list[np.ndarray]:
    """Make enough pictures to push each other out of the cache."""
    first = make()
    return [first] + [make() for _ in range(1, min(128, IMAGES_BYTES // first.nbytes))]


def timer(call: Callable[[T], object], inputs: Sequence[T], start: int, batch: int = 1) -> Timer:
    """Time `batch` calls on one input, and the next time on the next one, beginning at `start`."""

    def seconds(i: int) -> float:
        given = inputs[(start + i) % len(inputs)]
        begun = time.perf_counter()
        for _ in range(batch):
            call(given)
        return (time.perf_counter() - begun) / batch

    return seconds


def compare(ours: Timer, theirs: Timer, budget: float, quiet: Callable[[], bool]) -> Timing:
    """Measure rounds of `budget` seconds until one is calm; if none is, report them all, and say so.

    A round is calm if its ratios lie close together and the machine was `quiet` before and after it: a
    program that takes a processor all the time makes the ratios wrong without spreading them.
    """
    rounds: list[np.ndarray] = []
    for _ in range(ROUNDS):
        before = quiet()
        rounds.append(_round(ours, theirs, budget))
        timing = _summary(rounds[-1], noisy=False)
        if before and timing.high - timing.low <= CALM * timing.ratio and quiet():
            return timing
    return _summary(np.concatenate(rounds), noisy=True)


def _round(ours: Timer, theirs: Timer, budget: float) -> np.ndarray:
    pairs: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(pairs) < MOST_PAIRS:
        pairs.append((ours(len(pairs)), theirs(len(pairs))))
        spent = time.perf_counter() - begun
        # Slow peers get fewer pairs: what disturbs the machine for milliseconds moves them least.
        least = 7 if spent < 4 * budget else 3
        if len(pairs) >= least and spent > budget:
            break
    return np.array(pairs)


def _summary(pairs: np.ndarray, *, noisy: bool) -> Timing:
    mine, other = np.median(pairs, axis=0) * 1e3
    low, ratio, high = np.quantile(pairs[:, 1] / pairs[:, 0], [0.25, 0.5, 0.75])
    return Timing(float(mine), float(other), float(ratio), float(low), float(high), len(pairs), noisy)
