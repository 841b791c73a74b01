"""Fits that outliers do not spoil: pixels far off count less, or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from math import sqrt
from operator import add
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .borders import Pads
from .colours import Part
from .correlate import correlate
from .dtypes import as_image, channels_first
from .kernel import Kernel
from .moments import Moments
from .pair import Clip, resolve_clip, resolve_weights, resolve_where
from .solve.fit import centred
from .windows import Windows

Loss = Literal["squared", "huber", "tukey"]

LOSSES = ("squared", "huber", "tukey")

# In standard deviations: each costs 5 % of precision where there are no outliers.
_HUBER, _TUKEY = 1.345, 4.685
_MOST_PASSES = 50
_SETTLED = 1e-4  # standard deviations that predictions still move by
_LEAST_SCALE = 1e-9  # of the spread of `after`: without noise, rounding is not taken for it


def robust(
    size: int | tuple[int, int],
    parts: Sequence[Part],
    loss: Loss,
    fit: Callable[..., Kernel],
    *,
    clip: Clip,
    shift: tuple[int, int] = (0, 0),
    **options: Any,
) -> Kernel:
    """Fit what `parts` show, in passes over the pixels, each weighted by how far off it was in the last.

    Minimises ``sum_i rho(r_i / s)``, with s 1.4826 times the median of |r|, by iterated re-weighting from the
    least-squares fit. "huber" (Huber 1964): rho grows like |r| beyond 1.345 s. "tukey" (Beaton & Tukey 1974):
    rho does not grow beyond 4.685 s; begun from Huber's answer, since there may be several. Error bars are
    those of such estimates in white noise (Huber & Ronchetti 2009, equation 7.81). `shift` is where the
    window stands, as in `Moments`; `options` are those of `Moments.of`.
    """
    options = {**options, "size": size, "clip": clip, "shift": shift}
    moments = reduce(add, (part.moments(**options) for part in parts))
    windows = Windows(moments.size, moments.stride, moments.dilation)
    fit = partial(fit, errors="white")  # what weights do to blocks, the factor below does not know
    quick = partial(fit, named=False)
    kernel = quick(moments)
    for kind in ("huber", "tukey")[: 1 + (loss == "tukey")]:
        for _ in range(_MOST_PASSES):
            residuals = [_residual(part, kernel, windows, clip, shift) for part in parts]
            scale = _scale(residuals, moments)
            weights = [_weight(r / scale, kind) for r in residuals]
            weighted = (
                replace(part, weights=w * _given(part)).moments(**options)
                for part, w in zip(parts, weights, strict=True)
            )
            total = reduce(add, weighted)
            last, kernel = kernel, quick(total)
            if _moved(last, kernel, moments) <= _SETTLED * scale:
                break
    kernel = fit(total)
    u = np.concatenate([r[np.isfinite(r)] for r in residuals]) / scale
    far = int(np.count_nonzero(np.abs(u) > 3))
    widened = _widened(u, loss)
    return replace(
        kernel,
        stderr=kernel.stderr * widened,
        bias_stderr=np.multiply(kernel.bias_stderr, widened),
        measures=_wider(kernel.measures, widened),
        parameters=_wider(kernel.parameters, widened),
        noise=np.full(np.shape(kernel.noise), scale),
        used=moments.count,
        left_out=moments.left_out,
    ).with_notes(_far_off(far, len(u)))


def _wider(figures: dict[str, tuple[Any, Any]] | None, times: float) -> dict[str, tuple[Any, Any]] | None:
    if figures is None:
        return None
    return {name: (value, np.multiply(error, times)) for name, (value, error) in figures.items()}


def _far_off(far: int, count: int) -> str:
    which = "1 pixel is" if far == 1 else f"{far} pixels ({100 * far / count:.2g} %) are"
    return f"{which} more than 3 standard deviations off."


def resolve_loss(loss: Any) -> None:
    """Check what the user gave."""
    if not isinstance(loss, str) or loss not in LOSSES:
        error = ValueError if isinstance(loss, str) else TypeError
        raise error(f"`loss` must be one of {', '.join(map(repr, LOSSES))}, got {loss!r}.")


def _residual(
    part: Part, kernel: Kernel, windows: Windows, clip: Clip, shift: tuple[int, int]
) -> NDArray[np.float64]:
    """Give after - predicted, in noises of one weight: NaN where a pixel does not count."""
    x = channels_first(as_image(part.before, "before"), part.channel_axis, "before")
    y = as_image(part.after, "after")
    of_after = None if part.mix else part.channel_axis
    planes = channels_first(y, of_after, "after")
    of_x, of_y = windows.inside(x.shape[part.mix :], planes.shape, shift)
    options: dict[str, Any] = {"stride": windows.stride, "dilation": windows.dilation, "dtype": np.float64}
    inside, weights = x[..., *of_x], kernel.weights
    if weights.ndim == 4:
        predicted = correlate(inside, weights, Pads(0, 0, 0, 0), channel_axis=0, **options)[0]
    else:
        predicted = correlate(inside[0] if part.mix else inside, weights, Pads(0, 0, 0, 0), **options)
    level = kernel.level(*planes.shape[-2:])[..., *of_y]
    result = np.full(planes.shape, np.nan)
    result[..., *of_y] = planes[..., *of_y] - predicted - level.reshape(level.shape[-2:])
    result[~np.isfinite(result)] = np.nan
    ends = resolve_clip(clip, y.dtype)
    if ends is not None:
        result[(planes <= ends[0]) | (planes >= ends[1])] = np.nan
    if part.where is not None:
        result[~resolve_where(part.where, y.shape, of_after)] = np.nan
    if part.weights is not None:
        factors = resolve_weights(part.weights, y.shape, of_after)
        result *= np.where(factors > 0, np.sqrt(factors), np.nan)
    return result if of_after is None else np.asarray(np.moveaxis(result, 0, of_after))


def _given(part: Part) -> Any:
    return 1.0 if part.weights is None else np.asarray(part.weights, np.float64)


def _scale(residuals: list[NDArray[np.float64]], moments: Moments) -> float:
    sizes = np.abs(np.concatenate([r[np.isfinite(r)] for r in residuals]))
    spread = sqrt(max(centred(moments.total)[-1, -1], 0.0) / moments.total[-2, -2])
    return max(1.4826 * float(np.median(sizes)), _LEAST_SCALE * spread, np.finfo(np.float64).tiny)


def _weight(u: NDArray[np.float64], loss: str) -> NDArray[np.float64]:
    """Give psi(u) / u, the weight of a pixel that is u standard deviations off; 1 where that is not known."""
    u = np.abs(np.nan_to_num(u, nan=0.0))
    if loss == "huber":
        return _HUBER / np.maximum(u, _HUBER)
    return np.asarray(np.square(np.maximum(1 - np.square(u / _TUKEY), 0)))


def _widened(u: NDArray[np.float64], loss: str) -> float:
    """Give the error bars of such a fit, in those of least squares with its last weights."""
    weight = _weight(u, loss)
    if loss == "huber":
        slope = np.abs(u) < _HUBER
    else:
        slope = np.sqrt(weight) * np.where(np.abs(u) < _TUKEY, 1 - 5 * np.square(u / _TUKEY), 0)
    right = np.square(weight * u).mean() / np.square(slope.mean())
    taken = (weight * np.square(u)).mean() / weight.mean()
    return sqrt(right / taken) if taken > 0 else 1.0


def _moved(old: Kernel, new: Kernel, moments: Moments) -> float:
    """Give the root mean square by which the predictions differ."""
    step = (new.weights - old.weights).ravel()
    gram = centred(moments.total)[: len(step), : len(step)]
    return sqrt(max(float(step @ gram @ step), 0.0) / moments.total[-2, -2])
