"""The picture of a pair and its kernel. Needs matplotlib.

Above: before, after, predicted and residual. Below: the kernel, its error bars, both along its middle row and
column, and its frequency response, hatched where the pair does not tell it.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .files import replace_file
from .kernel import Kernel
from .response import COLUMNS, ROWS, hidden_waves, response

try:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise ImportError("Drawing needs matplotlib: pip install matplotlib") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOWER = 4.8  # inches, of the figures below the pictures
_WAVES = 101  # along each axis of the frequency response
_PLANE = (-0.505, 0.505, 0.505, -0.505)  # cycles per pixel, of its pixels' edges
_NUMBERED = 5  # weights are written into kernels of at most so many rows and columns


def draw_pair(
    before: NDArray[Any],
    after: NDArray[Any],
    kernel: Kernel,
    path: str | os.PathLike[str],
    *,
    stride: int = 1,
    dilation: int = 1,
) -> None:
    """Draw what `kernel` makes of `before` beside `after`.

    Parameters
    ----------
    before, after : (h, w) or (h, w, channels) array
        The pair, as given to `learn`.
    kernel : Kernel
        Learned from it.
    path : path
        Of the drawing: .png, .pdf or .svg.
    stride, dilation : int
        As given to `learn`.

    Raises
    ------
    ValueError
        If matplotlib cannot write that kind of file.
    """
    predicted, target = _predict(before, after, kernel, stride, dilation)
    residual = target.astype(np.float64) - predicted
    if residual.ndim == 3:  # of the channel that is furthest off
        furthest = np.abs(residual).argmax(axis=-1)[..., None]
        residual = np.take_along_axis(residual, furthest, axis=-1)[..., 0]

    h, w = before.shape[:2]
    height = 0.6 + 5 * min(2.0, max(0.5, h / w))
    figure = Figure(figsize=(20, height + _LOWER), layout="constrained")
    pictures, figures = figure.subplots(2, 4, height_ratios=(height, _LOWER))
    _show(pictures[0], before, "before")
    _show(pictures[1], after, "after")
    _show(pictures[2], predicted, "predicted: kernel over before")
    _show_residual(pictures[3], residual)
    for axis in pictures:
        axis.set_anchor("N")  # titles on one line
        _without_ticks(axis)
    weights, stderr = _in_one(kernel)
    _show_kernel(figures[0], weights, _title(kernel))
    _show_errors(figures[1], stderr)
    _show_profiles(figures[2], kernel, weights, stderr)
    _show_response(figures[3], kernel, weights)
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"{os.fspath(path)!r} must end in .png, .pdf or .svg to be drawn.")
    with replace_file(path) as file:
        figure.savefig(file, format=kind, dpi=100)


def _predict(
    before: NDArray[Any], after: NDArray[Any], kernel: Kernel, stride: int, dilation: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the prediction, rounded and cut off as `after` was, and the part of `after` that it predicts."""
    channel_axis = -1 if before.ndim == 3 else None
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "channel_axis": channel_axis}
    if after.dtype.kind in "iu" and kernel.background is None:
        options["dtype"] = after.dtype
    inside: tuple[slice, ...] = (slice(None), slice(None))
    if after.shape[:2] == tuple(-(-n // stride) for n in before.shape[:2]):
        options |= {"padding": "same", "mode": "nearest"}
        # Where the kernel, its origin on a pixel, lies inside.
        inside = tuple(
            slice(
                max(-(-origin * dilation // stride), 0),
                max((n - 1 - (k - 1 - origin) * dilation) // stride + 1, 0),
            )
            for n, k, origin in zip(before.shape, kernel.size, kernel.origin or (0, 0), strict=False)
        )
    predicted = kernel(before, **options)
    if kernel.background is not None:
        predicted = predicted + _beside(kernel, after.shape)
        if after.dtype.kind in "iu":
            ends = np.iinfo(after.dtype)
            predicted = np.clip(np.rint(predicted), ends.min, ends.max).astype(after.dtype)
    return predicted[inside], after[inside]


def _beside(kernel: Kernel, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the background over a picture of rows, columns and perhaps colours, without the bias."""
    level = kernel.level(shape[0], shape[1])
    if kernel.weights.ndim > 2:
        return np.asarray(np.moveaxis(level, 0, -1) - kernel.bias)
    return np.asarray(level - kernel.bias).reshape(shape[:2] + (1,) * (len(shape) - 2))


def _top(image: NDArray[Any]) -> float:
    return (
        float(np.iinfo(image.dtype).max)
        if image.dtype.kind in "iu"
        else float(np.nanmax(np.abs(image), initial=0)) or 1.0
    )


def _show(axis: "Axes", image: NDArray[Any], title: str) -> None:
    if image.dtype.kind in "iu":
        axis.imshow(image / _top(image), cmap="gray", vmin=0, vmax=1)
    else:
        low, high = np.nanmin(image), np.nanmax(image)
        axis.imshow((image - low) / ((high - low) or 1), cmap="gray")
    axis.set_title(title)


def _show_residual(axis: "Axes", residual: NDArray[np.float64]) -> None:
    worst = float(np.nanmax(np.abs(residual), initial=0))
    drawn = axis.imshow(residual, cmap="RdBu_r", vmin=-(worst or 1.0), vmax=worst or 1.0)
    axis.set_title(f"residual: after − predicted, at most {worst:.3g}")
    if worst > 0:
        axis.figure.colorbar(drawn, ax=axis, location="bottom", shrink=0.8)


def _title(kernel: Kernel) -> str:
    title = kernel.name or "kernel {} × {}".format(*kernel.size)
    if kernel.weights.ndim == 3:
        return f"{title}, mean of the channels"
    return title if kernel.weights.ndim == 2 else f"{title}, channels of before →, of after ↓"


def _in_one(kernel: Kernel) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Give weights and error bars to draw: means of channels, or all kernels that mix them in a grid."""
    weights, stderr = kernel.weights, kernel.stderr
    if weights.ndim == 3:
        of_mean = None if stderr is None else np.sqrt((stderr**2).sum(axis=0)) / len(stderr)
        return weights.mean(axis=0), of_mean
    if weights.ndim == 4:  # a row of kernels for each channel of the result
        c_out, c_in, kh, kw = weights.shape

        def grid(taps: NDArray[np.float64]) -> NDArray[np.float64]:
            return taps.swapaxes(1, 2).reshape(c_out * kh, c_in * kw)

        return grid(weights), None if stderr is None else grid(stderr)
    return weights, stderr


def _show_kernel(axis: "Axes", weights: NDArray[np.float64], title: str) -> None:
    limit = float(np.abs(weights).max()) or 1.0
    axis.imshow(weights, cmap="PuOr_r", vmin=-limit, vmax=limit)
    kh, kw = weights.shape
    if max(kh, kw) <= _NUMBERED:
        for (v, u), weight in np.ndenumerate(weights):
            dark = abs(weight) > 0.6 * limit
            axis.text(
                u, v, f"{weight:.3g}" if max(kh, kw) <= 3 else f"{weight:.2g}", ha="center", va="center",
                color="white" if dark else "black", fontsize=12,
            )  # fmt: skip
    axis.set_title(title)
    _without_ticks(axis)


def _show_errors(axis: "Axes", stderr: NDArray[np.float64] | None) -> None:
    """Draw one standard error of each weight; crosses stand where the pair leaves a weight open."""
    _without_ticks(axis)
    if stderr is None:
        axis.set_axis_off()
        return
    known = np.isfinite(stderr)
    largest = float(stderr[known].max(initial=0))
    axis.set_title(f"error bars, up to {largest:.2g}" if known.all() else "error bars; × where open")
    drawn = axis.imshow(np.where(known, stderr, 0), cmap="Greys", vmin=0, vmax=largest or 1.0)
    rows, columns = np.nonzero(~known)
    axis.plot(columns, rows, "kx")
    if largest > 0:
        axis.figure.colorbar(drawn, ax=axis, location="bottom", shrink=0.8, ticks=MaxNLocator(3))


def _show_profiles(
    axis: "Axes", kernel: Kernel, weights: NDArray[np.float64], stderr: NDArray[np.float64] | None
) -> None:
    """Draw the weights along the row and the column that cross on the pixel, with twice their error bars."""
    if kernel.weights.ndim == 4:
        axis.set_axis_off()
        return
    y, x = (
        min(max(place, 0), k - 1) for place, k in zip(kernel.origin or (0, 0), weights.shape, strict=True)
    )
    error = np.zeros(weights.shape) if stderr is None else np.where(np.isfinite(stderr), stderr, 0)
    lines = (
        ("middle row", np.arange(weights.shape[1]) - x, weights[y], error[y], "o-"),
        ("middle column", np.arange(weights.shape[0]) - y, weights[:, x], error[:, x], "s--"),
    )
    for label, place, line, bars, style in lines:
        axis.errorbar(place, line, 2 * bars, fmt=style, capsize=3, label=label, markersize=4)
    axis.axhline(0, color="black", linewidth=0.5)
    axis.set_title("weights ± 2 error bars")
    axis.set_xlabel("pixels from the origin")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend()


def _show_response(axis: "Axes", kernel: Kernel, weights: NDArray[np.float64]) -> None:
    """Draw how strongly each wave comes out; all frequencies, of which half are the others' opposites."""
    if kernel.weights.ndim == 4:
        axis.set_axis_off()
        return
    waves = np.linspace(-0.5, 0.5, _WAVES)
    strength = np.abs(response(weights, (0, 0), waves[:, None], waves))
    axis.set_title("frequency response")
    drawn = axis.imshow(strength, extent=_PLANE, cmap="viridis", vmin=0, vmax=strength.max() or 1.0)
    axis.set_xlabel("cycles per pixel, x")
    axis.set_ylabel("y")
    axis.figure.colorbar(drawn, ax=axis, location="bottom", shrink=0.8)
    hidden = _hidden(kernel)
    if hidden.any():
        axis.set_title("frequency response; hatched: not told by the pair")
        y = np.concatenate([-ROWS[:0:-1], ROWS])
        whole = np.concatenate([hidden[:0:-1, ::-1], hidden])  # opposite waves are one
        with rc_context({"hatch.color": "white"}):
            axis.contourf(COLUMNS, y, whole, levels=(0.5, 1.5), colors="none", hatches=["///"])


def _hidden(kernel: Kernel) -> NDArray[np.bool_]:
    """Say where one channel or another is not told."""
    if kernel.response_stderr is None or not kernel.weights.any():
        return np.zeros((len(ROWS), len(COLUMNS)), np.bool_)
    shape = (-1, len(ROWS), len(COLUMNS))
    each = zip(
        kernel.weights.reshape(-1, *kernel.size), np.reshape(kernel.response_stderr, shape), strict=True
    )
    return np.asarray(np.any([hidden_waves(weights, stderr) for weights, stderr in each], axis=0))


def _without_ticks(axis: "Axes") -> None:
    axis.set_xticks([])
    axis.set_yticks([])
