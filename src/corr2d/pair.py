"""A pair of pictures as it is to be measured: checked, cut to what counts, and what is asked about it."""

from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .borders import resolve_steps
from .dtypes import as_image, as_real_array, channels_first
from .position import Frame, monomials, resolve_degree
from .windows import Windows

Clip = Literal["auto"] | tuple[float, float] | None


class Model(NamedTuple):
    """What z is made of."""

    windows: Windows
    channels: int
    varying: int
    background: int
    frames: tuple[Frame, Frame]  # of `before` and of `after`
    shape: tuple[int, int]  # of `after`, with its border
    shift: tuple[int, int] = (0, 0)  # of the windows: how much further up and left than centred they stand

    @classmethod
    def plain(cls, windows: Windows, shape: tuple[int, int]) -> "Model":
        """Give that of one window and a bias."""
        return cls(windows, 1, 0, 0, (Frame.over(shape), Frame.over(shape)), shape)

    @property
    def order(self) -> int:
        """How long z is."""
        (kh, kw), planes = self.windows.size, len(monomials(self.varying)) * self.channels
        return planes * kh * kw + len(monomials(self.background)) + 1


class Resolved(NamedTuple):
    """A pair as `Moments.of` takes it, checked: the pixels that windows inside reach and lead to."""

    before: NDArray[Any]  # (channels that are mixed, ..., rows, columns)
    after: NDArray[Any]  # (..., rows, columns)
    model: Model
    where: NDArray[np.bool_] | None = None
    weights: NDArray[np.float64] | None = None
    clip: tuple[float, float] | None = None


def resolve_pair(
    before: ArrayLike,
    after: ArrayLike,
    *,
    size: int | tuple[int, int] | None,
    stride: int | tuple[int, int],
    dilation: int | tuple[int, int],
    channel_axis: int | None,
    mix: bool,
    where: ArrayLike | None,
    weights: ArrayLike | None,
    clip: Clip,
    background: int,
    varying: int = 0,
    shift: tuple[int, int] = (0, 0),
) -> Resolved:
    """Check what `Moments.of` was given, all but the scale of the pixels."""
    of_after = None if mix else channel_axis
    x = channels_first(as_image(before, "before"), channel_axis, "before")
    y = channels_first(as_image(after, "after"), of_after, "after")
    if not mix:
        x = x[None]
    elif channel_axis is None:
        raise ValueError("`mix` needs `channel_axis`, to know where the colours are.")
    degrees = resolve_degree(varying, "varying"), resolve_degree(background, "background")
    steps, gaps = resolve_steps(stride, "stride"), resolve_steps(dilation, "dilation")
    windows = Windows.resolve(x.shape[1:], y.shape, size, steps, gaps)
    of_x, of_y = windows.inside(x.shape[1:], y.shape, shift)
    counts = factors = None
    if where is not None:
        counts = resolve_where(where, np.shape(after), of_after)[..., *of_y]
    if weights is not None:
        factors = resolve_weights(weights, np.shape(after), of_after)[..., *of_y]
    frames = windows.frames(x.shape[1:], y.shape, shift)
    model = Model(windows, len(x), degrees[0], max(degrees), frames, y.shape[-2:], shift)
    return Resolved(x[..., *of_x], y[..., *of_y], model, counts, factors, resolve_clip(clip, y.dtype))


def resolve_where(where: ArrayLike, after: tuple[int, ...], channel_axis: int | None) -> NDArray[np.bool_]:
    """Give `where` in the shape of `after`, colours in front."""
    counts = as_real_array(where, "where")
    if counts.dtype != np.bool_:
        raise TypeError(f"`where` must be a bool array, True where a pixel counts, got dtype {counts.dtype}.")
    return _as_large_as_after(counts, after, channel_axis, "where")


def resolve_weights(
    weights: ArrayLike, after: tuple[int, ...], channel_axis: int | None
) -> NDArray[np.float64]:
    """Give `weights` in the shape of `after`, colours in front."""
    factors = as_real_array(weights, "weights").astype(np.float64)
    if not (np.isfinite(factors).all() and (factors >= 0).all()):
        raise ValueError("`weights` must be finite and not negative. Leave pixels out by a weight of 0.")
    return _as_large_as_after(factors, after, channel_axis, "weights")


def _as_large_as_after(
    array: NDArray[Any], after: tuple[int, ...], channel_axis: int | None, name: str
) -> NDArray[Any]:
    try:
        array = np.broadcast_to(array, after)
    except ValueError:
        raise ValueError(
            f"`{name}` must broadcast to the shape of `after`, {after}, got {array.shape}."
        ) from None
    return channels_first(array, channel_axis, name)


def resolve_clip(clip: Clip, dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Give the values at and beyond which pixels of that type were cut off, if there are any."""
    if clip is None:
        return None
    rule = "`clip` must be 'auto', (low, high) or None"
    if isinstance(clip, str):
        if clip != "auto":
            raise ValueError(f"{rule}, got {clip!r}.")
        return (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else None
    if not isinstance(clip, tuple | list | np.ndarray) or not all(isinstance(end, Real) for end in clip):
        raise TypeError(f"{rule}, got {clip!r}.")
    if len(clip) != 2 or not clip[0] < clip[1]:
        raise ValueError(f"`clip` must be (low, high) with low < high, got {clip!r}.")
    return clip[0], clip[1]
