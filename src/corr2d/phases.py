"""Stride and dilation as sums of dense correlations, which is all that the engine knows.

Along one axis ``out[y] = sum_v kernel[v] * image[y * s + v * d - top]``. With ``g = gcd(s, d)`` write
``y = y' * d/g + p`` and ``v = v' * s/g + q``. Then ``y * s + v * d = (y' + v') * lcm(s, d) + p * s + q * d``:
every d/g-th result is a sum, over q, of dense correlations of every s/g-th weight with every lcm-th pixel. No
product is made that does not count.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import gcd, lcm
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .borders import Pads, Steps


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
    rows = list(_along(kernel[0], pads.top, stride.rows, dilation.rows))
    columns = list(_along(kernel[1], pads.left, stride.columns, dilation.columns))
    steps = Steps(lcm(stride.rows, dilation.rows), lcm(stride.columns, dilation.columns))
    return [
        Phase(
            (y, x),
            steps,
            [(v, u) for v, _ in terms_y for u, _ in terms_x],
            [(top, left) for _, top in terms_y for _, left in terms_x],
        )
        for y, terms_y in rows
        for x, terms_x in columns
    ]


def count_phases(stride: int, dilation: int) -> tuple[int, int]:
    """Count, along one axis, the phases of the results and the terms of each."""
    common = gcd(stride, dilation)
    return dilation // common, stride // common


def _along(
    taps: int, before: int, stride: int, dilation: int
) -> Iterator[tuple[slice, list[tuple[slice, int]]]]:
    results, terms = count_phases(stride, dilation)
    for p in range(results):
        yield (
            slice(p, None, results),
            [(slice(q, None, terms), before - p * stride - q * dilation) for q in range(min(terms, taps))],
        )
