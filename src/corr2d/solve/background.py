"""A bias that is a polynomial of the position, taken out of the sums before the kernel is fitted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fit import EPS


@dataclass(frozen=True)
class Background:
    """What the monomials of the position explain of the windows and of the pixel.

    Least squares on what they leave gives the same kernel as least squares on everything (Frisch & Waugh
    1933). The monomials are taken about their mean, so that the constant stays what it is.
    """

    left: NDArray[np.float64]  # the sums of z z^T, z = (windows, 1, pixel), less what the monomials explain
    slopes: NDArray[np.float64]  # (monomials, windows + 1): what they explain of each window and the pixel
    mean: NDArray[np.float64]  # of each monomial
    inverse: NDArray[np.float64]  # (monomials, monomials): of their sums of products about the mean

    @classmethod
    def of(cls, total: NDArray[np.float64], monomials: int) -> "Background":
        """Take so many monomials, but for the constant, out of the sums of (windows, monomials, 1, pixel)."""
        n, taps = total[-2, -2], len(total) - 2 - monomials
        if monomials == 0:
            return cls(total, np.zeros((0, taps + 1)), np.zeros(0), np.zeros((0, 0)))
        mean = total[taps:-2, -2] / n
        about_mean = total - np.outer(total[:, -2], total[-2]) / n
        of_monomials = about_mean[taps:-2, taps:-2]
        rest = np.r_[:taps, len(total) - 2, len(total) - 1]
        with_rest = about_mean[taps:-2][:, rest]
        # Where the pixels that count lie in a line, monomials are alike: the smallest polynomial is taken.
        values, vectors = np.linalg.eigh(of_monomials)
        told = values > 8 * monomials * EPS * n
        inverse = (vectors[:, told] / values[told]) @ vectors[:, told].T
        slopes = inverse @ with_rest
        slopes[:, taps] = 0  # of the 1
        left = total[np.ix_(rest, rest)] - with_rest.T @ slopes
        return cls(left, np.delete(slopes, taps, axis=1), mean, inverse)

    @property
    def uncertainty(self) -> float:
        """Give the variance of the constant at (0, 0), beside that at the mean, over the noise's."""
        return float(self.mean @ self.inverse @ self.mean)

    def without(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take the same out of the sums of the folds."""
        if len(self.mean) == 0:
            return sums
        change = self.change()
        return np.asarray(change @ sums @ change.T)

    def change(self) -> NDArray[np.float64]:
        """Give what makes z without the monomials of z: their slope times (monomials - mean * 1) less."""
        monomials, taps = len(self.mean), self.slopes.shape[1] - 1
        change = np.zeros((taps + 2, taps + monomials + 2))
        rest = np.r_[:taps, taps + monomials, taps + monomials + 1]
        change[np.arange(taps + 2), rest] = 1
        explained = np.r_[:taps, taps + 1]
        change[explained, taps:-2] -= self.slopes.T
        change[explained, -2] += self.slopes.T @ self.mean
        return change

    def coefficients(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the background, one coefficient for each monomial, that goes with the weights of a kernel."""
        return np.asarray(self.slopes[:, -1] - self.slopes[:, :-1] @ weights)
