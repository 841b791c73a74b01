"""Error bars that mean it: of white noise, or of what blocks of the picture say, where noise is not white.

Each figure of a fit (a tap, the bias, the sum of the taps, ...) is off by ``sum_i h_i e_i``, with e_i the
noise of pixel i and ``h_i = g . z_i`` known. White noise makes of it the variance ``noise^2 sum h^2``. Noise
that is alike in neighbouring pixels, or stronger in some places, makes another one, which the folds tell: the
same sum over one block, with residuals in place of the noise, is its score, and the squares of the scores add
up to the variance, whatever the noise is like within a block (Liang & Zeger 1986). Residuals are smaller than
the noise by what the fit took of it: the squares are divided by the share that white noise would have kept,
and have the degrees of freedom that they would have had of it (Bell & McCaffrey 2002).

Of 16 scores those are 15 at most. But all taps know of the same noise: the variance of each is drawn towards
what others, told equally well, say, as far as no more than chance makes them differ (Smyth 2004). Standard
errors then are made so wide as Student's t asks for at 95 %, so that +- 1.96 of them is what it should be.
"""

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .background import Background
from .fit import EPS, Fit

_Array = NDArray[np.float64]

Assumed = Literal["auto", "white"]

_NORMAL = 1.959964  # 95 % of a normal variable lie within so many standard deviations
# Student's t of two-sided 5 % at so many degrees of freedom (as scipy.stats.t has it: test_errors.py).
_FREEDOMS = np.array([1, 1.2, 1.5, 2, 2.5, 3, 4, 6, 10, 20, 1e12])
_STUDENT = np.array([12.7062, 8.6488, 6.0167, 4.3027, 3.5747, 3.1824, 2.7764, 2.4469, 2.2281, 2.0860, 1.9600])
_FEW, _ASKED = 25, 6  # of more taps than few, so many of all kinds are asked how much each block tells
_NOTHING = 1e-9  # of a variance: what rounding leaves of none
_LEAST_SPREAD = 1e-3  # of logarithms: less is none
# Standard deviations below and above: 2 to 3 % of white noise are found to be something else. Error bars that
# are too narrow do most harm, and of the moments few scores must show that they are: the lowest bar is there.
_ALARM_OF_TAPS, _ALARM_OF_MOMENTS = (-2.75, 2.65), (-2.75, 2.2)
_FEWER = 6.0  # times fewer folds than expected make up what was found: a few spoilt pixels, and no evidence


@dataclass(frozen=True)
class ErrorBars:
    """Standard errors of taps, bias and further figures, which are linear in the taps."""

    taps: _Array
    bias: float
    covariance: _Array  # of the further figures, for white noise
    variance: float  # of the noise
    blocks: "Blocks | None" = None  # what they say of those figures, where the noise is not white

    @property
    def kind(self) -> str:
        """Say what they assume of the noise: "white" or "blocks"."""
        return "white" if self.blocks is None else "blocks"

    def of(self, factors: _Array) -> _Array:
        """Give those of combinations of the further figures, one for each row of `factors`."""
        if not isfinite(self.variance):
            return np.full(len(factors), inf)
        squares = np.einsum("ci,ij,cj->c", factors, self.covariance, factors)
        return np.asarray(np.sqrt(np.maximum(squares, 0)) * self.wider(factors))

    def wider(self, factors: _Array) -> _Array:
        """Give how many times those of white noise they are."""
        if self.blocks is None or len(factors) == 0:
            return np.ones(len(factors))
        return Ratios.of(self.blocks.combined(factors), self.variance).widening()


@dataclass(frozen=True)
class Noise:
    """What a fit leaves unexplained."""

    background: Background
    fit: Fit
    variance: float
    freedom: float

    def error_bars(self, mean: _Array, figures: _Array, sums: _Array | None) -> ErrorBars:
        """Give those of white noise, or those of blocks where the `sums` of the folds show other noise.

        `mean` is the mean window, in the middle of the picture; `figures` (k, taps) are what further figures
        make of the taps, the first four of them the moments of the kernel (`corr2d.solve.measures`).
        """
        white = self._white(mean, figures)
        if sums is None or not isfinite(self.variance) or self._is_rounding():
            return white
        if np.count_nonzero(sums[:, -2, -2]) < 2:
            return white
        return self._of_blocks(white, mean, figures, sums) or white

    def _white(self, mean: _Array, figures: _Array) -> ErrorBars:
        inverse = self.fit.inverse
        if not isfinite(self.variance):
            return ErrorBars(np.full(len(inverse), inf), inf, np.zeros((len(figures),) * 2), inf)
        of_mean = max(float(mean @ inverse @ mean), 0.0)
        of_level = 1 / self.background.left[-2, -2] + self.background.uncertainty
        return ErrorBars(
            taps=np.sqrt(np.diag(inverse)) * sqrt(self.variance),
            bias=sqrt(self.variance * (of_level + of_mean)),
            covariance=self.variance * (figures @ inverse @ figures.T),
            variance=self.variance,
        )

    def _is_rounding(self) -> bool:
        """Say whether what is left may be rounding of the sums, whose blocks say nothing."""
        sizes = np.abs(self.fit.coefficients) * np.sqrt(np.diag(self.background.left))
        return bool(self.fit.squared_error <= 64 * EPS * float(sizes.sum()) ** 2)

    def _of_blocks(self, white: ErrorBars, mean: _Array, figures: _Array, sums: _Array) -> ErrorBars | None:
        """Give those that rest on the folds: None if these see no other noise than white."""
        response = self.fit.response
        some = _some_of_all_kinds(self.fit)
        entries = _Entries.of(self.background, self.fit)
        columns = [
            entries.of_bias(mean)[None],
            entries.of_weights(figures @ response),
            entries.of_weights(response[some]),
        ]
        scores, blocks = entries.ask(sums, np.concatenate(columns))
        beside = 1 + len(figures)
        taps = _Taps.of(scores, blocks[beside:], some, self.fit, self.variance)
        tests = [(taps.together(), _ALARM_OF_TAPS), (_together(blocks[:5], self.variance), _ALARM_OF_MOMENTS)]
        if not any(test and test.finds_other_noise(self.freedom, *alarm) for test, alarm in tests):
            return None
        return ErrorBars(
            taps=white.taps * taps.drawn_together().widening(),
            bias=white.bias * float(Ratios.of(blocks[:1], self.variance).widening()[0]),
            covariance=white.covariance,
            variance=self.variance,
            blocks=blocks[1:beside],
        )


@dataclass(frozen=True)
class Blocks:
    """What each block of the picture says of some figures, each of which is linear in the noise."""

    scores: _Array  # (figures, folds): sum of h times the residual
    columns: _Array  # (figures, entries): the g of each figure, whose h is g . z
    products: _Array  # (figures, folds, entries): sum of h z
    hats: _Array  # (figures, folds, entries): those, times the inverse of sum z z^T

    def combined(self, factors: _Array) -> "Blocks":
        """Give the same of combinations of the figures, one for each row of `factors`."""
        return Blocks(*(np.tensordot(factors, part, 1) for part in vars(self).values()))

    def __getitem__(self, some: slice) -> "Blocks":
        return Blocks(*(part[some] for part in vars(self).values()))

    def covariance(self) -> _Array:
        """Give that of the figures, for white noise of variance 1."""
        return np.asarray(self.columns @ self.products.sum(axis=1).T)

    def of_scores(self) -> _Array:
        """Give the covariance (figures, folds, folds) of each figure's scores, for such noise."""
        shares = (self.products @ self.columns[:, :, None])[..., 0]
        taken = self.products @ np.moveaxis(self.hats, 2, 1)
        return np.asarray(shares[:, :, None] * np.eye(shares.shape[1]) - taken)

    def of_all_scores(self) -> _Array:
        """Give the covariance (figures * folds, figures * folds) of all scores, for such noise."""
        figures, folds, entries = self.products.shape
        shares = self.products @ self.columns.T
        every = shares[..., None] * np.eye(folds)[None, :, None]
        taken = self.products.reshape(-1, entries) @ self.hats.reshape(-1, entries).T
        return np.asarray(every.reshape(figures * folds, -1) - taken)


@dataclass(frozen=True)
class Ratios:
    """Variances of figures as blocks tell them, over those of white noise, and their degrees of freedom."""

    values: _Array
    freedom: _Array
    kept: _Array  # of white noise, by the scores

    @classmethod
    def of(cls, blocks: Blocks, variance: float) -> "Ratios":
        """Take them figure by figure: 1, and of no freedom, where a figure does not vary."""
        plain = blocks.covariance().diagonal()
        varies = plain > 0
        covariance = blocks.of_scores() / np.where(varies, plain, 1)[:, None, None]
        kept = np.where(varies, np.einsum("cff->c", covariance), 0)
        told = kept > _NOTHING
        scores = blocks.scores / np.sqrt(variance * np.where(varies, plain, 1))[:, None]
        values = np.square(scores).sum(axis=1) / np.where(told, kept, 1)
        squares = np.where(told, np.square(covariance).sum(axis=(1, 2)), 1)
        return cls(np.where(told, values, 1), np.where(told, kept**2 / squares, 0), np.where(told, kept, 0))

    def widening(self) -> _Array:
        """Give what standard errors of white noise are multiplied by."""
        wide = np.sqrt(self.values) * student(np.maximum(self.freedom, 1)) / _NORMAL
        return np.where(self.freedom > 0, wide, 1.0)


def student(freedom: _Array) -> _Array:
    """Give what 95 % of Student's t lie within, of one or more degrees of freedom: to 0.4 %."""
    return np.asarray(np.exp(np.interp(-1 / freedom, -1 / _FREEDOMS, np.log(_STUDENT))))


@dataclass(frozen=True)
class _Entries:
    """z about its mean, as (windows, 1, monomials): what monomials explain is taken out of the windows.

    So the inverse of its sum of products is made of that of the windows, the ones and the monomials.
    """

    fit: Fit
    background: Background
    mean: _Array  # of the windows
    of_z: _Array | None  # (entries, order): what makes them of z; None without monomials

    @classmethod
    def of(cls, background: Background, fit: Fit) -> "_Entries":
        """Take them about the means that the sums have."""
        left, monomials = background.left, len(background.mean)
        mean = left[:-2, -2] / left[-2, -2]
        if monomials == 0:
            return cls(fit, background, mean, None)
        change = background.change()
        of_z = np.concatenate([change[:-1], np.zeros((monomials, change.shape[1]))])
        of_z[: len(mean)] -= np.outer(mean, change[-2])
        of_z[len(mean) + 1 :, len(mean) : -2] = np.eye(monomials)
        of_z[len(mean) + 1 :, -2] = -background.mean
        return cls(fit, background, mean, of_z)

    def of_weights(self, rows: _Array) -> _Array:
        """Give the columns of figures that are ``rows @ sum (window - mean) * noise``."""
        return np.pad(rows, ((0, 0), (0, 1 + len(self.background.mean))))

    def of_bias(self, mean: _Array) -> _Array:
        """Give that of the bias: the level, less what weights and background make of the picture's middle."""
        level = [1 / self.background.left[-2, -2]]
        return np.concatenate(
            [-mean @ self.fit.response, level, -self.background.mean @ self.background.inverse]
        )

    def ask(self, sums: _Array, columns: _Array) -> tuple[_Array, Blocks]:
        """Give the scores (folds, entries) of the entries themselves, and what blocks say of the figures."""
        taps = len(self.mean)
        if self.of_z is None:
            of_one = columns[:, taps] - columns[:, :taps] @ self.mean
            of_z = np.column_stack([columns[:, :taps], of_one, np.zeros(len(columns))])
            found = _products(sums, np.vstack([self.fit.coefficients, of_z]))[..., :-1]
            found[..., :-1] -= found[..., -1:] * self.mean
        else:
            residual = self.fit.coefficients @ self.background.change()
            found = _products(sums, np.vstack([residual, columns @ self.of_z])) @ self.of_z.T
        scores, products = found[0], found[1:]
        shares = (products @ columns[:, :, None])[..., 0]
        own = _without_sum(columns @ scores.T, shares)
        return scores, Blocks(own, columns, products, self._by_inverse(products))

    def _by_inverse(self, products: _Array) -> _Array:
        """Multiply by the inverse of the sum of products."""
        taps = len(self.mean)
        hats = np.empty(products.shape)
        rows, by_inverse = products.reshape(-1, products.shape[-1]), hats.reshape(-1, products.shape[-1])
        np.matmul(rows[:, :taps], self.fit.response, out=by_inverse[:, :taps])
        by_inverse[:, taps] = rows[:, taps] / self.background.left[-2, -2]
        by_inverse[:, taps + 1 :] = rows[:, taps + 1 :] @ self.background.inverse
        return hats


def _products(sums: _Array, columns: _Array) -> _Array:
    """Give the product (columns, folds, order) of the sums of each fold with each column."""
    folds, order, _ = sums.shape
    products = columns @ sums.reshape(-1, order).T  # one product of matrices: the sums are symmetric
    return products.reshape(len(columns), folds, order)


def _without_sum(scores: _Array, shares: _Array) -> _Array:
    """Take out what the scores (figures, folds) sum to, by the share of each block.

    They do where a tap is held or pulled: that is no noise.
    """
    whole = shares.sum(axis=1, keepdims=True)
    return np.asarray(scores - scores.sum(axis=1, keepdims=True) * shares / np.where(whole > 0, whole, 1))


def _some_of_all_kinds(fit: Fit) -> NDArray[np.intp]:
    """Give taps that stand for all: from the one that is told best to the one that is told least."""
    order = np.argsort(np.diag(fit.inverse), kind="stable")
    order = order[_vary(fit)[order]]
    if len(order) <= _FEW:
        return order
    return order[np.linspace(0, len(order) - 1, _ASKED).round().astype(np.intp)]


def _vary(fit: Fit) -> NDArray[np.bool_]:
    """Say which taps vary with the noise, by more than rounding: not those that are fixed or held at zero."""
    spreads = np.diag(fit.inverse)
    return np.asarray((spreads > _NOTHING**2 * spreads.max()) & (np.diag(fit.response) > 0))


@dataclass(frozen=True)
class _Test:
    """A mean ratio of variances, one for white noise."""

    parts: _Array  # (folds,): what each adds to it
    expected: _Array  # and would of white noise
    freedom: float

    def finds_other_noise(self, of_white: float, low: float, high: float) -> bool:
        """Say whether the ratio is off by more than chance; `of_white` is the freedom of its denominator."""
        return not low < self._as_of_normal(of_white) < high and self._rests_on_many()

    def _as_of_normal(self, of_white: float) -> float:
        """Give how far it is off, in standard deviations of what normal noise makes of it.

        The cube root of such a ratio is about normal (Wilson & Hilferty 1931, Paulson 1942).
        """
        above, below = 2 / (9 * self.freedom), 2 / (9 * of_white)
        root = float(np.cbrt(self.parts.sum()))
        return ((1 - below) * root - (1 - above)) / sqrt(below * root**2 + above)

    def _rests_on_many(self) -> bool:
        """Say whether not just a few folds make the ratio what it is."""
        if not self.parts.any():
            return False
        found, of_white = (float(np.square(p).sum()) / p.sum() ** 2 for p in (self.parts, self.expected))
        return bool(found < _FEWER * of_white)


def _together(figures: Blocks, variance: float) -> _Test | None:
    """Test independent combinations of some figures together: None if they do not vary."""
    covariance = figures.covariance()
    sizes = np.sqrt(np.maximum(covariance.diagonal(), 0))
    some = np.flatnonzero(sizes > 0)
    values, vectors = np.linalg.eigh(covariance[np.ix_(some, some)] / np.outer(sizes[some], sizes[some]))
    told = values > _NOTHING
    factors = np.zeros((int(told.sum()), len(sizes)))
    factors[:, some] = (vectors[:, told] / np.sqrt(values[told])).T / sizes[some]
    independent = figures.combined(factors)
    of_scores = independent.of_all_scores()
    kept = np.diag(of_scores).reshape(len(factors), -1).sum(axis=0)
    whole = float(kept.sum())
    if whole <= _NOTHING * len(factors):
        return None
    parts = np.square(independent.scores / sqrt(variance)).sum(axis=0) / whole
    return _Test(parts, kept / whole, whole**2 / float(np.square(of_scores).sum()))


@dataclass(frozen=True)
class _Taps:
    """What blocks say of each tap that is told."""

    squares: _Array  # (told, folds): of the scores, over the share of the plain variance that they keep
    freedom: _Array
    expected: _Array  # (folds,): the share of each, of white noise
    spreads: _Array  # (told,): the variance of the tap, for white noise of variance 1
    alike: float  # how many taps know of the noise independently
    told: NDArray[np.bool_]

    @classmethod
    def of(cls, scores: _Array, some: Blocks, which: NDArray[np.intp], fit: Fit, variance: float) -> "_Taps":
        """Take the scores of all; what they keep of white noise is as in taps that are told about as well."""
        spreads = np.diag(fit.inverse)
        taps = len(spreads)
        asked = Ratios.of(some, variance)
        rank = np.empty(taps)
        rank[np.argsort(spreads, kind="stable")] = np.arange(taps)
        kept = np.interp(rank, rank[which], asked.kept) if len(which) else np.zeros(taps)
        told = (kept > _NOTHING) & _vary(fit)
        per_deviation = np.where(told, 1 / np.sqrt(np.where(told, spreads, 1)), 0)
        correlations = per_deviation[:, None] * fit.inverse
        correlations *= per_deviation
        by_fold = np.einsum("cff->f", some.of_scores())
        expected = by_fold / max(float(by_fold.sum()), np.finfo(float).tiny)
        own = (fit.response @ scores[:, :taps].T)[told]
        own -= np.outer(own.sum(axis=1), expected)
        return cls(
            squares=np.square(own / np.sqrt(variance * spreads[told])[:, None]) / kept[told][:, None],
            freedom=np.interp(rank[told], rank[which], asked.freedom) if len(which) else np.zeros(0),
            expected=expected,
            spreads=spreads[told],
            alike=np.count_nonzero(told) ** 2 / max(float(np.vdot(correlations, correlations)), 1.0),
            told=told,
        )

    def together(self) -> _Test | None:
        """Test all taps together: None if none is told."""
        if not self.told.any():
            return None
        return _Test(self.squares.mean(axis=0), self.expected, float(self.freedom.mean()) * self.alike)

    def drawn_together(self) -> Ratios:
        """Draw the variance of each tap towards that of taps told equally well.

        How far, their scatter says: as far as it is that of chance (Smyth 2004, section 6). Those told
        equally well are as far from the window's edges, of pictures that are alike everywhere; the logarithms
        of their ratios are taken to lie on a parabola over that of the plain variance.
        """
        n, own, found = len(self.spreads), self.freedom, self.squares.sum(axis=1)
        if n > 1:
            logs = np.log(np.maximum(found, 1e-300)) - _mean_log(own / 2)
            trend, bends = self._trend(logs)
            scatter = float(np.square(logs - trend).sum()) / max(n - bends, 1)
            beyond = scatter - float(_spread_of_log(own / 2).mean())
            like = 2 * _half_of_spread(beyond) if beyond > _LEAST_SPREAD else inf
            expected = np.exp(trend + (float(_mean_log(np.array(like / 2))) if like < inf else 0))
            like = min(like, float(own.mean()) * self.alike / bends)
            found = (like * expected + own * found) / (like + own)
            own = own + like
        values, freedom = np.ones(len(self.told)), np.zeros(len(self.told))
        values[self.told], freedom[self.told] = found, own
        return Ratios(values, freedom, np.ones(len(self.told)))

    def _trend(self, logs: _Array) -> tuple[_Array, int]:
        """Give the parabola, or less where there are few taps, and how many numbers make it."""
        places = np.log(self.spreads)
        wide = float(np.ptp(places))
        bends = 1 if wide < 0.05 else min(3, len(logs) // 4 + 1)
        powers = np.vander((places - places.mean()) / max(wide, 0.05), bends)
        return np.asarray(powers @ np.linalg.lstsq(powers, logs, rcond=None)[0]), bends


def _mean_log(half: _Array) -> _Array:
    """Give the mean logarithm of chi-squared over its degrees of freedom: psi(half) - log(half)."""
    x = half + 4
    psi = np.log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4)
    return np.asarray(psi - sum(1 / (half + i) for i in range(4)) - np.log(half))


def _spread_of_log(half: _Array) -> _Array:
    """Give the variance of that logarithm: psi'(half)."""
    x = half + 4
    slope = 1 / x + 1 / (2 * x**2) + 1 / (6 * x**3) - 1 / (30 * x**5)
    return np.asarray(slope + sum(1 / (half + i) ** 2 for i in range(4)))


def _half_of_spread(spread: float) -> float:
    """Give the half of which the logarithm has that variance, by bisection."""
    low, high = 1e-3, 1 / _LEAST_SPREAD + 1
    for _ in range(40):
        middle = sqrt(low * high)
        low, high = (middle, high) if _spread_of_log(np.array(middle)) > spread else (low, middle)
    return low
