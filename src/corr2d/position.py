"""Polynomials of the position in a picture: what a background, or a kernel that varies, is made of.

A picture's rows and columns run from -1 to 1. The monomials of degree 0, 1, 2, … come in this order:
1, y, x, yy, yx, xx, …
"""

from math import comb
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .borders import NO_STEPS, Steps

MOST = 3  # of degrees: beyond it, powers up to the 6th in the sums cost the digits


class Frame(NamedTuple):
    """Where a pixel lies: at ((row - middle_row) * per_row, (column - middle_column) * per_column)."""

    middle_row: float
    middle_column: float
    per_row: float
    per_column: float

    @classmethod
    def over(cls, shape: tuple[int, ...]) -> "Frame":
        """Give the frame of a picture of (h, w) pixels.

        >>> Frame.over((2, 4))
        Frame(middle_row=0.5, middle_column=1.5, per_row=1.0, per_column=0.5)
        """
        h, w = shape
        return cls((h - 1) / 2, (w - 1) / 2, 2 / h, 2 / w)

    def of_part(self, first: tuple[int, int], steps: Steps = NO_STEPS) -> "Frame":
        """Give the frame of every so many-th pixel from `first` on."""
        return Frame(
            (self.middle_row - first[0]) / steps.rows,
            (self.middle_column - first[1]) / steps.columns,
            self.per_row * steps.rows,
            self.per_column * steps.columns,
        )

    def of_finer(self, stride: Steps, origin: tuple[int, int]) -> "Frame":
        """Give the frame of a picture of which this one has every so many-th pixel, from `origin` on."""
        return Frame(
            self.middle_row * stride.rows + origin[0],
            self.middle_column * stride.columns + origin[1],
            self.per_row / stride.rows,
            self.per_column / stride.columns,
        )


def monomials(degree: int) -> list[tuple[int, int]]:
    """Give the powers (of y, of x) of each monomial.

    >>> monomials(2)
    [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    """
    return [(n - i, i) for n in range(degree + 1) for i in range(n + 1)]


def polynomial(coefficients: ArrayLike, y: ArrayLike, x: ArrayLike) -> NDArray[np.float64]:
    """Give the polynomial of these coefficients, one for each monomial, at places that broadcast."""
    coefficients = np.asarray(coefficients, np.float64)
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    degree = degree_of(len(coefficients))
    result = np.zeros(np.broadcast_shapes(y.shape, x.shape))
    for coefficient, (i, j) in zip(coefficients, monomials(degree), strict=True):
        result += coefficient * y**i * x**j
    return result


def degree_of(count: int) -> int:
    """Give the degree of the polynomials of so many coefficients."""
    degree = 0
    while len(monomials(degree)) < count:
        degree += 1
    return degree


def shifted(degree: int, dy: float, dx: float) -> NDArray[np.float64]:
    """Give the matrix T of ``monomial m at (y + dy, x + dx) = sum over k of T[m, k] * monomial k at (y, x)``.

    >>> shifted(1, 0.5, 0.0)
    array([[1. , 0. , 0. ],
           [0.5, 1. , 0. ],
           [0. , 0. , 1. ]])
    """
    powers = monomials(degree)
    places = {power: k for k, power in enumerate(powers)}
    matrix = np.zeros((len(powers), len(powers)))
    for m, (i, j) in enumerate(powers):
        for a in range(i + 1):
            for b in range(j + 1):
                matrix[m, places[a, b]] = comb(i, a) * dy ** (i - a) * comb(j, b) * dx ** (j - b)
    return matrix


def resolve_degree(value: Any, name: str) -> int:
    """Check the degree of a polynomial that the user asked for."""
    rule = f"`{name}` must be the degree of a polynomial, 0 to {MOST}, got {value!r}."
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(rule)
    degree = int(value)
    if not 0 <= degree <= MOST:
        raise ValueError(rule)
    return degree
