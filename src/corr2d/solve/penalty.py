"""What pulls the taps where the pair says little: towards zero (ridge), towards their neighbours (smooth).

With z = (window, 1, pixel) for each pixel that counts, the weights w and the bias b minimise

    sum_i (y_i - w . x_i - b)^2  +  s * (ridge * |w|^2 + smooth * |D w|^2)

s is the mean over the taps of ``sum_i (x_i - mean x)^2``, so that the strengths have no unit: scaling either
picture changes nothing. The bias is pulled by nothing. Ridge: Hoerl & Kennard 1970. D takes the first
differences of neighbouring taps, down and along (Phillips 1962). What lies outside the window, or outside
`support`, counts as zero there, because it is: a kernel that fades out is smooth, one that is cut off is not.
(Simulated with blurs, motion, sharpening and noise in windows of 7 x 7 and 9 x 9: the squared error of the
taps is 0.82 of that without the zeros around. The exception is a box that fills its window.) Along an axis
with a single tap there is nothing to smooth.

The matrix of the penalty is added to the sums as windows of more pixels would be, ones that have no share in
the means. So constraints and signs are found as without it.
"""

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .fit import EPS, Fit, Told, centred, least_squares, rounding_of, squared_error

Strength = float | Literal["auto"]

# Half decades: the best of them leaves 1.03 of the squared error of the taps that tenths of decades leave.
_STRENGTHS = np.append(0.0, 10.0 ** np.arange(-10, 3.5, 0.5))
_LARGEST = 1e12  # nothing is left of a kernel long before


@dataclass(frozen=True)
class Penalty:
    """The strengths that `solve` was told, or chose."""

    ridge: Strength
    smooth: Strength
    chosen: str | None = None  # which of them, by held-out blocks

    @classmethod
    def resolve(cls, ridge: Any, smooth: Any) -> "Penalty | None":
        """Check what the user gave: None if nothing pulls."""
        penalty = cls(_resolve_strength("ridge", ridge), _resolve_strength("smooth", smooth))
        if penalty.ridge == penalty.smooth == "auto":
            raise ValueError(
                "`ridge` and `smooth` cannot both be 'auto': held-out blocks are asked about one strength at "
                "a time. Give one of them a number, or leave it out."
            )
        return None if penalty.ridge == penalty.smooth == 0 else penalty

    def settled(
        self,
        sums: NDArray[np.float64],
        size: tuple[int, int],
        plane: tuple[NDArray[np.float64], NDArray[np.float64]],
        *,
        allow_none: bool,
    ) -> "Penalty":
        """Choose the strength that is "auto", if one is, among the kernels of `plane` (start, basis).

        `sums` are those of the folds. Without `allow_none`, zero is not among the strengths.
        """
        name = "ridge" if self.ridge == "auto" else "smooth" if self.smooth == "auto" else None
        if name is None:
            return self
        total = np.asarray(sums.sum(axis=0))
        others = self._with(name, 0.0).matrix(total, size)
        unit = Penalty(0.0, 0.0)._with(name, 1.0).matrix(total, size)
        strength = 0.0
        if unit is not None and plane[1].shape[1] > 0:
            strength = _choose(name, sums, others, unit, plane, _STRENGTHS if allow_none else _STRENGTHS[1:])
        return replace(self._with(name, strength), chosen=name)

    def matrix(self, total: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64] | None:
        """Give what is added to the Gram matrix: None if that is nothing."""
        taps = len(total) - 2
        spread = np.diag(centred(total))[:taps]
        if spread.max() <= rounding_of(total):  # `before` is constant
            return None
        rough = np.kron(np.eye(taps // (size[0] * size[1])), _roughness(size))  # each channel on its own
        pull = float(self.ridge) * np.eye(taps) + float(self.smooth) * rough
        return float(spread.mean()) * pull if pull.any() else None

    def notes(self, size: tuple[int, int]) -> list[str]:
        """Say what was chosen, what pulls, and that error bars do not know of it."""
        words = []
        smooth, chosen = self.smooth, self.chosen
        if size == (1, 1) and (smooth or chosen == "smooth"):
            words = ["A kernel of one tap has no neighbours: `smooth` changes nothing."]
            smooth, chosen = 0.0, None if chosen == "smooth" else chosen
        if chosen is not None:
            strength = getattr(self, chosen)
            why = ": the strongest that predicts blocks left out of the fit as well as any"
            if strength == _STRENGTHS[-1]:
                why = ", the strongest tried: it predicts blocks left out of the fit as well as any"
            if strength == 0:
                why = ": blocks left out of the fit ask for none"
            words.append(f"{chosen}={strength:.3g} was chosen{why}.")
        pulls = [f"ridge={self.ridge:.3g} pulls taps towards zero"] if self.ridge else []
        pulls += [f"smooth={smooth:.3g} pulls neighbouring taps towards each other"] if smooth else []
        if pulls:
            words.append(f"{' and '.join(pulls)}; the error bars do not include that.")
        return words

    def provenance(self) -> dict[str, str]:
        """Give the strengths as texts that are numbers."""
        names = [name for name in ("ridge", "smooth") if getattr(self, name) > 0 or name == self.chosen]
        return {name: repr(getattr(self, name)) for name in names}

    def _with(self, name: str, strength: float) -> "Penalty":
        return replace(self, ridge=strength) if name == "ridge" else replace(self, smooth=strength)


def pulled_least_squares(
    total: NDArray[np.float64],
    pull: NDArray[np.float64] | None,
    start: NDArray[np.float64] | None = None,
    basis: NDArray[np.float64] | None = None,
) -> Fit:
    """Solve as `least_squares`, under a penalty whose matrix is `pull`.

    ``inverse`` is ``A^-1 G A^-1`` with G the centred Gram matrix and A = G + pull: how the noise of the pair
    comes through, and nothing of the pull. ``degrees`` is ``trace(A^-1 G)`` (Hastie, Tibshirani & Friedman
    2009, section 3.4.1). What the pair does not tell, it does not tell under a penalty either: rank,
    condition and the taps concerned are those without.
    """
    if pull is None:
        return least_squares(total, start, basis)
    fit = least_squares(pulled(total, pull), start, basis)
    told = Told.of(total, basis)
    # By a root of G: else rounding makes variances negative
    # (test_the_strength_is_never_zero_where_pixels_are_few).
    root = told.directions[:, told.seen] * np.sqrt(told.values[told.seen])
    half = fit.inverse @ root
    return replace(
        fit,
        squared_error=squared_error(total, fit.coefficients),
        inverse=half @ half.T,
        untold=told.untold,
        hidden=told.hidden,
        rank=told.rank,
        condition=told.condition,
        degrees=min(float((root * half).sum()), told.rank),
    )


def pulled(total: NDArray[np.float64], pull: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Give the sums with the penalty among them."""
    if pull is None:
        return total
    sums = total.copy()
    sums[: len(pull), : len(pull)] += pull
    return sums


def _resolve_strength(name: str, strength: Any) -> Strength:
    rule = f"`{name}` must be a number from 0 to {_LARGEST:g} or 'auto', got {strength!r}."
    if isinstance(strength, str):
        if strength != "auto":
            raise ValueError(rule)
        return "auto"
    if not isinstance(strength, Real) or isinstance(strength, bool):
        raise TypeError(rule)
    if not 0 <= strength <= _LARGEST:  # type: ignore[operator]  # Real has no order in its type
        raise ValueError(rule)
    return float(strength)


def _roughness(size: tuple[int, int]) -> NDArray[np.float64]:
    """Give D^T D: its product with a kernel, from both sides, sums the squared steps between neighbours."""
    down, along = (
        2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1) if n > 1 else np.zeros((1, 1)) for n in size
    )
    return np.asarray(np.kron(down, np.eye(size[1])) + np.kron(np.eye(size[0]), along))


def _choose(
    name: str,
    sums: NDArray[np.float64],
    others: NDArray[np.float64] | None,
    unit: NDArray[np.float64],
    plane: tuple[NDArray[np.float64], NDArray[np.float64]],
    strengths: NDArray[np.float64],
) -> float:
    """Choose the strongest penalty that predicts held-out blocks as well as the best does.

    Each block (fold) is predicted from a fit to the others. As well: the mean squared error is larger by at
    most one standard error of that difference over the blocks (Breiman et al. 1984, section 3.4.3, with
    paired differences). Simulated with eight kernels of 7 x 7 and 9 x 9, photographs of 50 x 50 to 160 x 160,
    blurred and not, and three noises: of the squared error of the taps it leaves 0.75 to 0.86 (ridge) and
    0.71 to 0.91 (smooth) of what the smallest held-out error leaves, and it predicts other pictures as well
    (0.98 to 1.05). Eight blocks choose as well as sixteen, in half the time.

    The penalty is the same sum for every fold, not the same share of the fold's own contrast: what the noise
    asks for does not change where the block with the one edge is left out. (Else the worst of 288 ridges has
    22 times the squared error of the taps of no penalty, not 1.8 times.)
    """
    sums = few_blocks(sums)
    counts = sums[:, -2, -2]
    n = counts.sum()
    if counts.max() > n / 2:
        raise ValueError(
            f"`{name}` must be a number: more than half of the pixels that count lie in one block of the "
            f"picture, and too few outside it to choose a strength on."
        )
    total = np.asarray(sums.sum(axis=0))
    start, basis = _in_units(unit, *plane)
    errors, rounding = np.zeros((len(sums), len(strengths))), 0.0
    for fold, held_out in enumerate(sums):
        if counts[fold] > 0:
            path = _path(pulled(total - held_out, others), start, basis, strengths)
            errors[fold] = np.maximum(np.einsum("im,im->m", path, held_out @ path), 0)
            weakest = np.abs(path[:, 0])
            rounding += 8 * EPS * float(weakest @ np.abs(held_out) @ weakest)
    if errors[:, 0].sum() <= rounding:  # no noise (test_a_noise_free_pair_needs_no_penalty)
        return float(strengths[0])
    errors /= errors.max()  # whose squares may be beyond 1e308
    excess = errors - errors[:, [int(errors.sum(axis=0).argmin())]]
    mean = excess.sum(axis=0) / n
    folds = int(np.count_nonzero(counts))
    squares = ((excess - mean * counts[:, None]) ** 2).sum(axis=0)
    deviation = np.sqrt(folds / max(folds - 1, 1) * squares) / n
    return float(strengths[mean <= deviation].max())


def few_blocks(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Join the folds by twos, down to eight, unless one then holds most pixels."""
    while len(sums) > 8:
        first, second = np.array_split(sums, 2)
        joined = first.copy()
        joined[: len(second)] += second
        if joined[:, -2, -2].max() > joined[:, -2, -2].sum() / 2:
            break
        sums = joined
    return sums


def _in_units(
    unit: NDArray[np.float64], start: NDArray[np.float64], basis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Describe a plane of kernels such that ``start + basis @ u`` has the penalty |u|^2 and a constant.

    Then one eigendecomposition serves all strengths.
    """
    root = np.linalg.cholesky(basis.T @ unit @ basis)
    basis = np.linalg.solve(root, basis.T).T
    return start - basis @ (basis.T @ (unit @ start)), basis


def _path(
    total: NDArray[np.float64],
    start: NDArray[np.float64],
    basis: NDArray[np.float64],
    strengths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Give the coefficients for each strength, column by column, without the last digits."""
    taps = len(start)
    about_mean = centred(total)
    gram, cross = about_mean[:taps, :taps], about_mean[:taps, -1]
    values, vectors = np.linalg.eigh(basis.T @ gram @ basis)
    pulls = np.maximum(values, 0)[:, None] + strengths
    # What rounding alone could have made is left out, as `least_squares` does.
    pulls[pulls <= rounding_of(total) * np.square(np.linalg.norm(basis, axis=0)).max(initial=0)] = np.inf
    along = vectors.T @ (basis.T @ (cross - gram @ start))
    weights = start[:, None] + basis @ (vectors @ (along[:, None] / pulls))
    intercepts = (total[-1, -2] - total[:taps, -2] @ weights) / total[-2, -2]
    return np.vstack([-weights, -intercepts, np.ones(len(strengths))])
