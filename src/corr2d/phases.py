"""Stride and dilation as sums of dense correlations, which is all that the engine knows.

Along one axis ``out[y] = sum_v kernel[v] * image[y * s + v * d - top]``. With ``g = gcd(s, d)`` write
``y = y' * d/g + p`` and ``v = v' * s/g + q``. Then ``y * s + v * d = (y' + v') * lcm(s, d) + p * s + q * d``:
every d/g-th result is a sum, over q, of dense correlations of every s/g-th weight with every lcm-th pixel. No
product is made that does not count.

Where d/g is large, so many sets of few results would cost more than they save. Then each weight is a term of
its own: a dense correlation of one tap with every s-th pixel.
"""

from functools import lru_cache
from math import gcd, lcm
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .borders import Pads, Steps

_MOST_PHASES = 8


class Phase(NamedTuple):
    """Results that lie a fixed number of rows and columns apart, and what they are the sum of."""

    results: tuple[slice, slice]
    steps: Steps  # between the pixels that neighbouring taps, and neighbouring results, see
    taps: list[tuple[slice, slice]]  # of each term
    origins: list[tuple[int, int]]  # of each term: where its window has the image's pixel (0, 0)

    def terms(
        self, weights: NDArray[Any], factors: tuple[NDArray[Any], NDArray[Any]] | None, first: int
    ) -> list[tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None, int, int]]:
        """Give what the engine takes: (weights, columns, rows, top, left) of each term.

        `first` is the column of the results that the engine is to begin with.
        """
        return [
            (
                weights[..., v, u],
                None if factors is None else factors[0][..., v],
                None if factors is None else factors[1][..., u],
                top,
                left - first * self.steps.columns,
            )
            for (v, u), (top, left) in zip(self.taps, self.origins, strict=True)
        ]


@lru_cache
def phases(kernel: tuple[int, int], pads: Pads, stride: Steps, dilation: Steps) -> list[Phase]:
    """Give the phases of the results of a (kh, kw) kernel. Some may be empty."""
    rows = along(kernel[0], stride.rows, dilation.rows)
    columns = along(kernel[1], stride.columns, dilation.columns)
    return [
        Phase(
            (slice(py, None, rows.phases), slice(px, None, columns.phases)),
            Steps(rows.step, columns.step),
            [(v, u) for v, _ in rows.terms for u, _ in columns.terms],
            [
                (pads.top - py * stride.rows - y, pads.left - px * stride.columns - x)
                for _, y in rows.terms
                for _, x in columns.terms
            ],
        )
        for py in range(rows.phases)
        for px in range(columns.phases)
    ]


class Along(NamedTuple):
    """One axis: how many phases there are, and the terms of each."""

    phases: int
    step: int
    terms: list[tuple[slice, int]]  # the taps, and how many pixels further the first of them looks


def along(taps: int, stride: int, dilation: int) -> Along:
    """Take one axis apart."""
    common = gcd(stride, dilation)
    every = stride // common
    if dilation // common > _MOST_PHASES:
        return Along(1, stride, [(slice(v, v + 1), v * dilation) for v in range(taps)])
    terms = [(slice(q, None, every), q * dilation) for q in range(min(every, taps))]
    return Along(dilation // common, lcm(stride, dilation), terms)
