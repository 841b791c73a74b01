"""The picture of a pair: before, after, predicted, residual and kernel side by side. Needs matplotlib."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .files import replace_file
from .kernel import Kernel

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("Drawing needs matplotlib: pip install matplotlib") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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

    worst = float(np.nanmax(np.abs(residual), initial=0))
    h, w = before.shape[:2]
    figure = Figure(figsize=(20, 1.1 + 4 * min(2.0, max(0.5, h / w))), layout="constrained")
    axes = figure.subplots(1, 5)
    _show(axes[0], before, "before")
    _show(axes[1], after, "after")
    _show(axes[2], predicted, "predicted: kernel over before")
    limit = worst or 1.0
    drawn = axes[3].imshow(residual, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes[3].set_title(f"residual: after − predicted, at most {worst:.3g}")
    if worst > 0:
        figure.colorbar(drawn, ax=axes[3], location="bottom", shrink=0.8)
    _show_kernel(axes[4], kernel)
    for axis in axes:
        axis.set_anchor("N")  # titles on one line
        axis.set_xticks([])
        axis.set_yticks([])
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


def _show_kernel(axis: "Axes", kernel: Kernel) -> None:
    weights = kernel.weights
    title = "kernel {} × {}".format(*kernel.size)
    if weights.ndim == 3:
        weights, title = weights.mean(axis=0), f"{title}, mean of the channels"
    elif weights.ndim == 4:  # a row of kernels for each channel of the result
        c_out, c_in, kh, kw = weights.shape
        weights = weights.swapaxes(1, 2).reshape(c_out * kh, c_in * kw)
        title = f"{title}, channels of before →, of after ↓"
    limit = float(np.abs(weights).max()) or 1.0
    axis.imshow(weights, cmap="PuOr_r", vmin=-limit, vmax=limit)
    kh, kw = weights.shape
    if max(kh, kw) <= _NUMBERED:
        for (v, u), weight in np.ndenumerate(weights):
            dark = abs(weight) > 0.6 * limit
            axis.text(
                u, v, f"{weight:.3g}" if max(kh, kw) <= 3 else f"{weight:.2g}", ha="center", va="center",
                color="white" if dark else "black", fontsize=10 if max(kh, kw) <= 3 else 7,
            )  # fmt: skip
    axis.set_title(title)
