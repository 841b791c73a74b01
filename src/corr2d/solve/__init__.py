"""From moments to a kernel: least squares, with everything that says how far to believe it."""

from collections.abc import Sequence
from math import fsum, hypot, inf, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..kernel import Kernel
from ..moments import Moments
from ..position import monomials
from .background import Background
from .constraints import Constraints, Symmetry
from .curved import CurvedFit
from .errors import Assumed, Noise
from .family import Family, FamilyFit, FamilyName
from .fit import EPS, Fit, least_squares
from .forms import resolve_form
from .measures import kernel_moments, measures
from .name import with_name
from .penalty import Penalty, Strength, pulled_least_squares
from .separable import Separable
from .waves import with_response
from .words import explains_less, how_to_apply, is_identity, not_white, too_few, what_is_untold


def solve(
    moments: Moments,
    *,
    sum: float | None = None,  # noqa: A002 (the word for it)
    nonnegative: bool = False,
    symmetric: Symmetry | Sequence[Symmetry] | None = None,
    support: ArrayLike | None = None,
    fixed: ArrayLike | None = None,
    ridge: Strength = 0.0,
    smooth: Strength = 0.0,
    rank: int | None = None,
    family: FamilyName | None = None,
    errors: Assumed = "auto",
    named: bool = True,
) -> Kernel:
    """Fit ``after = sum weights * window + bias`` by least squares.

    Minimises ``sum_i (y_i - w . x_i - b)^2`` over the pixels that count. Where the pair leaves a direction
    of w open, the answer is the w of smallest norm, the error bars of the taps concerned are infinite, and a
    note says why. Error bars are those of white noise, ``noise^2 (X^T X)^-1`` with noise^2 the squared error
    over the degrees of freedom (Draper & Smith 1998, chapter 5), where the blocks of the picture (the folds
    of the moments) show no other; else those that the blocks themselves tell, and a note says so
    (`corr2d.solve.errors`). What the rounding of the moments may add is in both (`least_squares`).

    Constraints combine; those that are equations lower the number of unknowns, and the error bars with it.
    `rank` and `family` leave a curved set of kernels (`corr2d.solve.separable`, `corr2d.solve.family`): error
    bars are those of its tangent plane, and a note says so where free taps explain the pair much better.

    Under a penalty it minimises ``sum_i (y_i - w . x_i - b)^2 + s * (ridge * |w|^2 + smooth * |D w|^2)``. s
    is the mean over the taps of ``sum_i (x_i - mean x)^2``, so that the strengths have no unit and scaling
    either picture changes nothing; D takes the first differences of neighbouring taps, with zeros around the
    window (`corr2d.solve.penalty` says why). Penalties combine with all constraints. Error bars then are
    those of ``noise^2 A^-1 G A^-1``, with G the centred Gram matrix, A the same with the penalty, and noise^2
    the squared error over the pixels less ``trace(A^-1 G) + 1``: how the noise comes through, without what
    the penalty pulls, and as if the strength had been known. What the pair leaves open stays open: a penalty
    decides it, but its error bars are infinite, and rank and condition are those of the pair.

    Parameters
    ----------
    moments : Moments
        Of the pair, or of several.
    sum : float, optional
        What the taps sum to: 1 for a filter that keeps the level, 0 for one that keeps none of it.
    nonnegative : bool
        No tap is below zero. The error bar of a tap held at zero is the one that it has without that.
    symmetric : {"left-right", "up-down", "4-fold", "radial"} or some of them, optional
        Taps that mirror each other are equal; "4-fold": under all turns and mirrors of a square; "radial":
        those equally far from the centre.
    support : (kh, kw) bool array, optional
        True where a tap may differ from zero.
    fixed : (kh, kw) array, optional
        The weights that are known, NaN for those to be found.
    ridge : float or "auto"
        How strongly taps are pulled towards zero (Hoerl & Kennard 1970). "auto": the strongest of 0 and half
        decades from 1e-10 to 1000 that predicts blocks of the picture left out of the fit as well as any;
        found without regard to `nonnegative`.
    smooth : float or "auto"
        How strongly neighbouring taps are pulled towards each other (Phillips 1962). "auto": as for `ridge`;
        only one of them can be.
    rank : int, optional
        The kernel is a sum of so many products of a column and a row. Combines with `sum` only.
    family : {"gaussian", "box", "disk", "motion"}, optional
        The kernel is a gain times this shape (`corr2d.families`), wherever its centre is. Combines with `sum`
        only, which is then the gain.
    errors : {"auto", "white"}
        What error bars assume of the noise. "auto": that it is white, unless blocks of the picture show that
        it is not; `Kernel.errors` says which.
    named : bool
        Whether a known filter is looked for that the kernel may be (`corr2d.naming`): some 5 to 25 ms.

    Raises
    ------
    TypeError, ValueError
        If a constraint or a strength has no meaning, two of them leave no kernel or cannot be combined, fewer
        pixels count than there are unknowns and no penalty decides the rest, or more than half of the pixels
        lie in one block and the strength is to be chosen.

    Examples
    --------
    >>> doubled = Moments.of([[1.0, 2.0, 4.0, 3.0]], [[2.0, 4.0, 8.0, 6.0]], size=1)
    >>> [float(solve(doubled, ridge=r).weights[0, 0].round(6)) for r in (0, 1, 3)]  # 2 / (1 + ridge)
    [2.0, 1.0, 0.5]
    """
    if moments.varying:
        raise ValueError("The kernel of these moments varies: use corr2d.VaryingKernel.of(moments).")
    if errors not in ("auto", "white"):
        raise ValueError(f"`errors` must be 'auto' or 'white', got {errors!r}.")
    mixed = True if moments.channels > 1 else None
    known: dict[str, Any] = {
        "sum": sum, "nonnegative": nonnegative, "symmetric": symmetric, "support": support,
        "fixed": fixed,
    }  # fmt: skip
    form = resolve_form(
        moments.size, rank=rank, family=family, ridge=ridge or None, smooth=smooth or None, mix=mixed, **known
    )
    constraints = Constraints.resolve(moments.size, moments.channels, **known) if form is None else None
    penalty = Penalty.resolve(ridge, smooth)
    background = Background.of(moments.total, len(monomials(moments.background)) - 1)
    pulled = False
    if penalty is not None:
        penalty, fit, pulled = _pulled(moments, background, constraints, penalty)
    else:
        bound = form or constraints
        _check_count(moments, bound)
        fit = least_squares(background.left) if bound is None else bound.fit(background.left)
    left = background.left
    kernel = with_response(_kernel_of(moments, background, fit, errors), left, fit)
    if named:
        kernel = with_name(kernel, moments, background, fit)
    return kernel.with_notes(
        *moments.notes,
        *how_to_apply(moments.stride, moments.dilation),
        *(() if penalty is None else penalty.notes(moments.size)),
        *what_is_untold(moments, left, fit, kernel, pulled=pulled),
        *(explains_less(kernel, moments, fit) if isinstance(fit, CurvedFit) else ()),
        *is_identity(kernel, moments.stride, sqrt(left[-1, -1] / left[-2, -2])),
        *not_white(kernel, moments),
        **({} if penalty is None else penalty.provenance()),
    )


def _unknowns(moments: Moments, bound: Constraints | Separable | Family | None) -> int:
    """Count them, without the bias."""
    kh, kw = moments.size
    taps = moments.channels * kh * kw if bound is None else bound.unknowns
    return taps + len(monomials(moments.background)) - 1


def _check_count(moments: Moments, bound: Constraints | Separable | Family | None) -> None:
    unknowns = _unknowns(moments, bound)
    if moments.count < unknowns + 1:
        size, count, channels = moments.size, moments.count, moments.channels
        raise ValueError(too_few(size, count, moments.left_out, unknowns, channels=channels))


def _pulled(
    moments: Moments, background: Background, constraints: Constraints | None, penalty: Penalty
) -> tuple[Penalty, Fit, bool]:
    """Fit under a penalty: give it with its strength, the fit, and whether anything pulls."""
    taps, unknowns = len(background.left) - 2, _unknowns(moments, constraints)
    if moments.count < len(background.mean) + 2:
        _check_count(moments, constraints)
    plane = (np.zeros(taps), np.eye(taps)) if constraints is None else constraints.plane()
    folds = background.without(moments.sums)
    penalty = penalty.settled(folds, moments.size, plane, allow_none=moments.count > unknowns)
    pull = penalty.matrix(background.left, moments.size)
    if pull is None:
        _check_count(moments, constraints)
    if constraints is None:
        return penalty, pulled_least_squares(background.left, pull), pull is not None
    return penalty, constraints.fit(background.left, pull), pull is not None


def _kernel_of(moments: Moments, background: Background, fit: Fit, errors: Assumed) -> Kernel:
    """Give the kernel that was found, with all figures that go with it."""
    (kh, kw), channels, total = moments.size, moments.channels, background.left
    taps, n = len(total) - 2, moments.count
    weights, intercept = 0 - fit.coefficients[:taps], -fit.coefficients[taps]  # 0 - 0 is 0, -0 is not
    center_x, center_y = np.repeat(moments.center[:-1], kh * kw), moments.center[-1]
    polynomial = background.coefficients(weights)

    amount = total[-2, -2]  # of weight: how many count, if all count the same
    freedom = n - fit.degrees - len(polynomial) - 1
    variance = fit.squared_error / freedom if freedom >= 1 else inf
    # Of `after` as it is: a background that explains it is not counted as unexplained.
    whole = moments.sums[:, -1].sum(axis=0)
    spread = whole[-1] - whole[-2] ** 2 / amount
    # The windows' mean in the middle of the picture.
    mean = total[:taps, -2] / amount - background.slopes[:, :-1].T @ background.mean + center_x
    origin = kh // 2 + moments.shift[0], kw // 2 + moments.shift[1]
    rows = kernel_moments((kh, kw), channels, moments.dilation, origin)
    figures = np.concatenate([rows, fit.slopes]) if isinstance(fit, FamilyFit) else rows
    noise = Noise(background, fit, variance, freedom)
    bars = noise.error_bars(mean, figures, moments.sums if errors == "auto" else None)
    wider = bars.wider(np.eye(len(figures))[len(rows) :])  # of the parameters of a family
    stderr = np.hypot(bars.taps, fit.rounding)
    bias_stderr = hypot(bars.bias, float(np.abs(mean) @ fit.rounding))
    stderr[fit.untold] = inf
    if mean.any() and fit.untold.any():
        bias_stderr = inf
    of_channels = (kh, kw) if channels == 1 else (1, channels, kh, kw)

    def figure(value: float | NDArray[np.float64] | None) -> Any:
        """Give it with an axis for the channel of the result, if there are channels."""
        return value if channels == 1 or value is None else [value]

    return Kernel(
        weights=weights.reshape(of_channels),
        origin=origin,
        bias=figure(float(center_y + intercept - polynomial @ background.mean - fsum(center_x * weights))),
        background=figure(polynomial if len(polynomial) else None),
        stderr=stderr.reshape(of_channels),
        bias_stderr=figure(bias_stderr),
        rmse=figure(sqrt(fit.squared_error / amount)),
        noise=figure(sqrt(variance)),
        # A constant `after` leaves of its spread what rounding makes of zero (test_constant_after_has_no_r2).
        r2=figure(1 - fit.squared_error / spread if spread > 8 * EPS * whole[-1] else nan),
        used=n,
        left_out=moments.left_out,
        condition=figure(fit.condition),
        rank=figure(fit.rank),
        errors=bars.kind,
        measures={
            name: (figure(value), figure(error))
            for name, (value, error) in measures(weights, rows, bars, fit).items()
        },
        family=fit.family if isinstance(fit, FamilyFit) else None,
        parameters=fit.parameters(variance, wider) if isinstance(fit, FamilyFit) else None,
    )
