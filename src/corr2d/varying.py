"""Kernels that vary across the picture, as those of lenses and telescopes do."""

import os
from dataclasses import dataclass, field, fields
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .borders import Mode, Padding, resolve_mode, resolve_padding
from .correlate import correlate
from .describe import left_out_in_words
from .dtypes import as_image, result_dtype
from .kernel import Kernel
from .kernel_json import load_values, save_values, with_header, without_header
from .moments import Moments
from .pair import Clip
from .position import MOST, Frame, degree_of, monomials, polynomial, shifted
from .solve.background import Background
from .solve.fit import Fit, least_squares
from .solve.words import too_few

_FORMAT = "corr2d varying kernel"


@dataclass(frozen=True, eq=False, repr=False)
class VaryingKernel:
    """A kernel and bias that are polynomials of the position.

    ``out = level + sum over k of m_k * corr2d(image, weights[k])``

    with m_k the monomials 1, y, x, yy, yx, xx, … and rows and columns of the picture running from -1 to 1.
    What astronomers fit to subtract one night's picture from another's (Alard 2000); here every tap is free.

    Attributes
    ----------
    weights : (monomials, kh, kw) array
        One fixed kernel for each monomial.
    levels : (monomials,) array
        The coefficients of the bias.
    shape : (h, w)
        Of the pictures that it was learned from and can be run over.
    covariance : (kh, kw, monomials, monomials) array
        Of the coefficients of each tap; infinite where the pair does not determine one.
    noise, rmse, r2, used, left_out, rank, notes
        As those of `Kernel`.
    """

    weights: NDArray[np.float64]
    levels: NDArray[np.float64]
    shape: tuple[int, int]
    covariance: NDArray[np.float64]
    noise: float
    rmse: float
    r2: float
    used: int
    rank: int
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        weights, levels, covariance = (
            np.array(value, np.float64) for value in (self.weights, self.levels, self.covariance)
        )
        covariance[np.isnan(covariance)] = np.inf  # as files have it
        counts = [len(monomials(degree)) for degree in range(1, MOST + 1)]
        if weights.ndim != 3 or len(weights) not in counts or not np.isfinite(weights).all():
            raise ValueError(
                f"`weights` must be finite, of {', '.join(map(str, counts))} monomials, kh and kw, got shape "
                f"{weights.shape}."
            )
        if levels.ndim != 1 or len(levels) not in counts or not np.isfinite(levels).all():
            raise ValueError(
                f"`levels` must be finite, of {', '.join(map(str, counts))} monomials, got shape "
                f"{levels.shape}."
            )
        if covariance.shape != (*weights.shape[1:], len(weights), len(weights)):
            raise ValueError(
                f"`covariance` must fit `weights`, {weights.shape}, got shape {covariance.shape}."
            )
        if len(self.shape) != 2 or not all(isinstance(n, int) and n > 0 for n in self.shape):
            raise ValueError(f"`shape` must be two positive integers, got {self.shape!r}.")
        frozen = {"weights": weights, "levels": levels, "covariance": covariance}
        for name, array in frozen.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "notes", tuple(self.notes))

    @classmethod
    def of(cls, moments: Moments) -> "VaryingKernel":
        """Fit it to ``Moments.of(..., varying=degree)``, by least squares.

        A kernel that is a polynomial of the position of its taps' pixels is one of the position of the result
        too. So the windows of each monomial times `before` are taken for those of more channels, and the
        answer is exact.

        Raises ValueError if the moments are of a kernel that does not vary, have channels, a stride, a
        dilation or a window beside the middle, or too few pixels count.
        """
        if not moments.varying or moments.shape is None:
            raise ValueError("These moments are of a kernel that does not vary: use `Moments.solve`.")
        if moments.shift != (0, 0):
            raise ValueError(
                f"A kernel that varies has its window in the middle, got moments of shift {moments.shift}."
            )
        if moments.channels > 1 or max(*moments.stride, *moments.dilation) > 1:
            raise ValueError("A kernel that varies has no channels, stride or dilation. Leave them out.")
        beside = len(monomials(moments.background)) - 1
        unknowns = moments.sums.shape[-1] - 2
        if moments.count < unknowns + 1:
            raise ValueError(too_few(moments.size, moments.count, moments.left_out, unknowns))
        background = Background.of(moments.total, beside)
        fit = least_squares(background.left)
        freedom = moments.count - fit.rank - beside - 1
        variance = fit.squared_error / freedom if freedom > 0 else np.inf
        weights, covariance = _of_position(moments, fit, variance)
        found = 0 - fit.coefficients[:-2]
        coefficients = background.coefficients(found)
        levels = np.append(-fit.coefficients[-2] - coefficients @ background.mean, coefficients)
        levels[0] += moments.center[-1]
        levels[: len(weights)] -= moments.center[0] * weights.sum(axis=(1, 2))

        amount, last = moments.total[-2, -2], moments.total[-1]
        spread = float(last[-1] - last[-2] ** 2 / amount)
        notes = list(moments.notes)
        if fit.rank < fit.free:
            notes.append(
                f"The pair determines {fit.rank} of the {fit.free} directions of kernels that vary so; of "
                f"those that fit, this is the smallest."
            )
        return cls(
            weights=weights,
            levels=levels,
            shape=moments.shape,
            covariance=covariance,
            noise=sqrt(variance),
            rmse=sqrt(fit.squared_error / amount),
            r2=1 - fit.squared_error / spread if spread > 0 else np.nan,
            used=moments.count,
            rank=fit.rank,
            left_out=moments.left_out,
            notes=tuple(notes),
        )

    @property
    def size(self) -> tuple[int, int]:
        """The kernel's (kh, kw)."""
        return self.weights.shape[-2], self.weights.shape[-1]

    def __repr__(self) -> str:
        (h, w), (kh, kw), degree = self.shape, self.size, degree_of(len(self.weights))
        lines = [
            f"VaryingKernel {kh} × {kw}, each tap a polynomial of degree {degree} over {h} × {w} pixels",
            f"  noise {self.noise:.3g}, R² {self.r2:.6g}",
            f"from {self.used:,} pixels" + left_out_in_words(self.left_out, self.used),
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file; an existing one is replaced in one step. Raises OSError if it cannot."""
        save_values(path, with_header({f.name: getattr(self, f.name) for f in fields(self)}, _FORMAT))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "VaryingKernel":
        """Read the file that `save` wrote.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is none of these, too large, or its parts do not fit each other.
        """

        def make(values: dict[str, Any]) -> "VaryingKernel":
            names = {f.name for f in fields(cls)}
            values = without_header(values, _FORMAT, names)
            if missing := sorted(names - values.keys()):
                raise ValueError(f'"{missing[0]}" is missing.')
            figures = ("noise", "rmse", "r2")  # None where they are not finite
            return cls(**values | {name: _number(values[name]) for name in figures})

        return load_values(path, make)

    def at(self, y: float, x: float) -> Kernel:
        """Give the kernel, its bias and its error bars at one place, in pixels of `after`."""
        place = self._places(y, x)
        powers = monomials(degree_of(len(self.weights)))
        values = np.array([float(place[0]) ** i * float(place[1]) ** j for i, j in powers])
        variance = np.einsum("vukm,k,m->vu", np.nan_to_num(self.covariance, posinf=0), values, values)
        untold = np.isinf(self.covariance).any(axis=(2, 3))
        return Kernel(
            np.tensordot(values, self.weights, 1),
            bias=float(polynomial(self.levels, *place)),
            stderr=np.where(untold, np.inf, np.sqrt(np.maximum(variance, 0))),
        )

    def _places(self, y: ArrayLike, x: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        frame = Frame.over(self.shape)
        return (
            (np.asarray(y, np.float64) - frame.middle_row) * frame.per_row,
            (np.asarray(x, np.float64) - frame.middle_column) * frame.per_column,
        )

    def __call__(
        self,
        image: ArrayLike,
        *,
        padding: Padding = "valid",
        mode: Mode = "constant",
        cval: float = 0.0,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """Run it over a picture: the fixed kernels, each weighted by its monomial, plus the level.

        Parameters
        ----------
        image : (h, w) array
            Of the shape of `before` in the pair.
        padding, mode, cval, threads
            As in `corr2d`.

        Returns
        -------
        (h', w') array
            float32 or float64, as of `corr2d`; summed in float64.

        Raises
        ------
        TypeError, ValueError
            As `corr2d`, and if the picture is of another shape.
        """
        pixels = as_image(image)
        (h, w), (kh, kw) = self.shape, self.size
        within = (0, 0) if pixels.shape == (h, w) else (kh // 2, kw // 2)
        if pixels.shape not in ((h, w), (h + kh - 1, w + kw - 1)):
            raise ValueError(
                f"`image` must have the shape that this kernel varies over, {(h, w)}, or be larger by its "
                f"border, got {pixels.shape}."
            )
        border = resolve_mode(mode, cval, padding)
        pads = resolve_padding(padding, self.size)
        options: dict[str, Any] = {"border": border, "cval": cval, "threads": threads, "dtype": np.float64}
        result: Any = 0.0
        for weights, (i, j) in zip(self.weights, monomials(degree_of(len(self.weights))), strict=True):
            part = correlate(pixels, weights, pads, **options)
            rows = np.arange(part.shape[0])[:, None] + kh // 2 - pads.top - within[0]
            columns = np.arange(part.shape[1]) + kw // 2 - pads.left - within[1]
            y, x = self._places(rows, columns)
            part *= y**i
            part *= x**j
            result = result + part
        result += polynomial(self.levels, y, x)
        return np.asarray(result.astype(result_dtype(pixels.dtype, None), copy=False))


def learn_varying(
    before: ArrayLike,
    after: ArrayLike,
    *,
    degree: int = 1,
    size: int | tuple[int, int] | None = None,
    where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    clip: Clip = "auto",
    background: int = 0,
) -> VaryingKernel:
    """Find the kernel, varying across the picture, that turns `before` into `after`, by least squares.

    Parameters
    ----------
    before, after : (h, w) array
        As in `learn`.
    degree : int
        Of the polynomial in position that each tap is, 1 to 3. The bias has at least that degree.
    size, where, weights, clip, background
        As in `learn`; the size of a same-sized pair must be given.

    Raises
    ------
    TypeError, ValueError
        As `learn`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((40, 50))
    >>> y = x * np.linspace(1, 3, 50)  # a gain that grows from left to right
    >>> k = learn_varying(x, y, size=1)
    >>> k.at(20, 0).weights.round(6), k.at(20, 49).weights.round(6)
    (array([[1.]]), array([[3.]]))
    """
    if degree == 0:
        raise ValueError("`degree` must be 1 to 3, got 0. A kernel that does not vary is found by `learn`.")
    moments = Moments.of(
        before, after, size=size, where=where, weights=weights, clip=clip, background=background,
        varying=degree,
    )  # fmt: skip
    return VaryingKernel.of(moments)


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def _of_position(
    moments: Moments, fit: Fit, variance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give weights and covariances as polynomials of the result's position, for noise of that variance."""
    kh, kw = moments.size
    count = len(monomials(moments.varying))
    found = (0 - fit.coefficients[:-2]).reshape(count, kh, kw)
    entries = np.arange(found.size).reshape(found.shape)
    weights, covariance = np.empty_like(found), np.empty((kh, kw, count, count))
    for v, u in np.ndindex(kh, kw):
        change = shifted(moments.varying, *moments.offset_of(v, u))
        weights[:, v, u] = change.T @ found[:, v, u]
        of_tap = entries[:, v, u]
        if np.isinf(variance) or fit.untold[of_tap].any():
            covariance[v, u] = np.inf
        else:
            covariance[v, u] = variance * (change.T @ fit.inverse[np.ix_(of_tap, of_tap)] @ change)
    return weights, covariance
