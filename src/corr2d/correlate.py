"""corr2d: slide a kernel over pictures and sum the products."""

import sys
from collections.abc import Hashable, Sequence
from functools import lru_cache
from math import prod
from types import EllipsisType
from typing import Any, NamedTuple
from warnings import warn

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _engine
from .borders import (
    NO_STEPS,
    Mode,
    Padding,
    Pads,
    Steps,
    reach,
    resolve_mode,
    resolve_padding,
    resolve_steps,
    result_shape,
)
from .dtypes import (
    DOUBLE,
    as_image,
    as_real_array,
    as_weights,
    exceeds_float64,
    planes_and_batch,
    result_dtype,
)
from .phases import phases
from .planning import ALGORITHMS, Algorithm, choose
from .threads import resolve_threads

# Multiply-adds of a band: short enough for Ctrl-C (2e8 take 2 to 10 ms), and worth handing out.
_BAND_WORK = 200_000_000
_SMALLEST_BAND = 1_000_000
_TILE_ROWS = 6  # of engine/vec.hpp: bands of whole register tiles
_LEAST_STRIP = 64  # columns: the widest register tile
# Correlations kept prepared, of kernels up to so many weights: some megabytes at most.
_KEPT, _MOST_KEPT = 64, 4096
# Bytes of a result whose memory is kept for the next: malloc keeps less; more would be much to hold unasked.
_LEAST_REUSED, _MOST_REUSED = 32 << 20, 48 << 20
_TOO_WIDE = "`image` has integers beyond 2**53, which are rounded to float64."


def corr2d(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    padding: Padding = "valid",
    mode: Mode = "constant",
    cval: float = 0.0,
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    channel_axis: int | None = None,
    dtype: DTypeLike | None = None,
    out: Any = None,
    threads: int | None = None,
    algorithm: Algorithm = "auto",
) -> Any:
    """Slide `kernel` over `image` and sum the products, without flipping it.

    ``out[y, x] = sum_v sum_u kernel[v, u] * image[y * s + v * d - top, x * s + u * d - left]``,
    with a stride s and a dilation d of 1 unless given.

    Parameters
    ----------
    image : (..., h, w) array
        Any real dtype, any unit. Leading axes are a batch. A torch tensor gives a torch tensor, with
        gradients.
    kernel : (kh, kw) or (c_out, c_in, kh, kw) array
        Even and odd sizes both work; finite. With four axes it mixes channels:
        ``out[o] = sum_i corr2d(image[i], kernel[o, i])``.
    padding : {"valid", "same", "full"}, int or (top, bottom, left, right)
        "valid": only where the kernel lies inside the image. "same": as large as the image; the kernel's
        centre is (kh // 2, kw // 2), scipy.ndimage's rule. "full": wherever the two touch.
    mode : {"constant", "reflect", "mirror", "nearest", "wrap"}
        What lies beyond the border, by SciPy's names: "reflect" repeats the edge pixel (NumPy's "symmetric"),
        "mirror" does not (NumPy's, OpenCV's and torch's "reflect").
    cval : float
        The value beyond the border where `mode` is "constant".
    stride : int or (rows, columns)
        From one result to the next: every so many-th of those that 1 gives, and only those are computed.
    dilation : int or (rows, columns)
        From one pixel that the kernel sees to the next.
    channel_axis : int, optional
        The axis of the colours, which stays where it is. A (kh, kw) kernel filters each on its own. A kernel
        that mixes channels takes axis -3 unless told otherwise.
    dtype : dtype, optional
        Of the result. An integer type rounds half to even and saturates.
    out : (..., h', w') array, optional
        Where to write. It gives the dtype unless `dtype` is given, and may overlap `image`.
    threads : int, optional
        At most so many. The result has the same bits for any number. Default: the CPUs this process may use.
    algorithm : {"auto", "direct", "separable", "fft"}
        How: `corr2d.plan` shows what "auto" chooses, and why. "separable" finds the factors by itself.

    Returns
    -------
    (..., h', w') array
        ``h' = (h + top + bottom - (kh - 1) * d - 1) // s + 1``. float32 for bool, 8- and 16-bit integers,
        float16 and float32; float64 for 32- and 64-bit integers and float64. Unit: image unit x kernel
        unit. A NaN or infinity reaches exactly the results whose window holds it. Rounding: at most 1e-6
        (float32; 3e-6 over a flat picture) or 1e-12 (float64) of ``abs(kernel).sum() * abs(image).max()``;
        integer results are the sum to float64's precision, rounded, and by FFT at most one level off.

    Warns
    -----
    UserWarning
        If a 64-bit integer image holds values beyond 2**53, which are rounded to float64.

    Raises
    ------
    TypeError
        If an array is masked or does not hold real numbers.
    ValueError
        If an option is unknown or would be ignored, a shape does not fit (the kernel is larger than the
        image and `padding` is "valid"), the kernel is not finite, a colour picture comes without
        `channel_axis`, or a NaN meets an integer `dtype`.

    Examples
    --------
    >>> corr2d([[0., 1., 2.], [3., 4., 5.], [6., 7., 8.]], [[0., 1.], [2., 3.]])
    array([[19., 25.],
           [37., 43.]])
    """
    torch = sys.modules.get("torch")
    if torch is not None and (isinstance(image, torch.Tensor) or isinstance(kernel, torch.Tensor)):
        from .nn import corr2d_tensor

        return corr2d_tensor(
            image, kernel, padding=padding, mode=mode, cval=cval, stride=stride, dilation=dilation,
            channel_axis=channel_axis, dtype=dtype, out=out, threads=threads, algorithm=algorithm,
        )  # fmt: skip
    pixels, weights = as_image(image), as_real_array(kernel, "kernel")
    asked: tuple[Any, ...] = (
        pixels.shape, pixels.dtype, dtype if out is None else _out_dtype(out, dtype),
        padding, mode, cval, stride, dilation, channel_axis, algorithm,
    )  # fmt: skip
    job = None
    # (1, 1) and (True, 1) would be the same to a dictionary, and one of them is refused.
    by_itself = type(padding) is not tuple and type(stride) is int and type(dilation) is int
    if by_itself and 0 < weights.size <= _MOST_KEPT:
        try:
            job = _kept(weights.tobytes(), weights.dtype, weights.shape, *asked)
        except TypeError:  # what is wrong, or cannot be kept
            job = None
    if job is None:
        job = _resolve(weights, *asked)
    if job.is_wide and exceeds_float64(pixels):
        warn(_TOO_WIDE, stacklevel=2)
    return _fill(job, pixels, weights, channel_axis, out, threads)


def correlate(
    image: NDArray[np.generic],
    weights: NDArray[np.float64],
    pads: Pads,
    *,
    stride: Steps = NO_STEPS,
    dilation: Steps = NO_STEPS,
    bias: float = 0.0,
    border: int = 0,
    cval: float = 0.0,
    channel_axis: int | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    algorithm: str = "auto",
) -> NDArray[Any]:
    """Do what `corr2d` promises, and add `bias`, on arrays and options already resolved."""
    out_dtype = result_dtype(image.dtype, dtype) if out is None else _out_dtype(out, dtype)
    job = _prepared(
        weights, image.shape, image.dtype, out_dtype,
        pads, stride, dilation, border, cval, bias, channel_axis, algorithm,
    )  # fmt: skip
    if job.is_wide and exceeds_float64(image):
        warn(_TOO_WIDE, stacklevel=3)
    return _fill(job, image, weights, channel_axis, out, threads)


class _Prepared(NamedTuple):
    """All of a correlation but the pixels."""

    shape: tuple[int, ...]  # of the result
    dtype: np.dtype[Any]
    axes: tuple[int, int]  # where the result has its colours, and where the engine has them
    is_reused: bool  # its memory, by the next, once it is let go
    is_wide: bool  # pixels may not fit float64
    work: int  # multiply-adds, about
    least: int  # units of a band of rows
    parts: Sequence[tuple[tuple[EllipsisType | slice, ...], _engine.Correlation]]  # results, what fills them

    def empty(self) -> NDArray[Any]:
        """Give memory for the result."""
        if not self.is_reused:
            return np.empty(self.shape, self.dtype)
        block = _engine.Block(prod(self.shape) * self.dtype.itemsize)
        return np.ndarray(self.shape, self.dtype, memoryview(block))

    def fill(self, out: NDArray[Any], image: NDArray[Any], threads: int | None) -> bool:
        """Fill `out`, and say whether a NaN met an integer pixel."""
        threads = resolve_threads(threads, self.work)
        bands = 1
        if threads > 1 or self.work > _BAND_WORK:
            # Some for each thread, so that they end together; but each begins anew at its edges.
            bands = max(threads * min(max(self.work // _SMALLEST_BAND, 1), 8), self.work // _BAND_WORK)
            bands = -(-bands // max(len(self.parts), 1))
        met_nan = False
        for results, correlation in self.parts:
            part = out[results] if len(self.parts) > 1 else out
            met_nan |= correlation.run(image, part, threads, bands, self.least)
        return met_nan


def _fill(
    job: _Prepared,
    image: NDArray[np.generic],
    weights: NDArray[np.generic],
    channel_axis: int | None,
    out: NDArray[Any] | None,
    threads: int | None,
) -> NDArray[Any]:
    result = job.empty() if out is None else out
    if out is not None:
        _check_out(out, job.shape, job.dtype)
        if np.may_share_memory(out, image) or np.may_share_memory(out, weights):
            result = job.empty()
    planes, target = image, result
    if channel_axis is not None:
        planes, _ = planes_and_batch(image, weights, channel_axis)
        target = np.moveaxis(result, *job.axes)
    if job.fill(target, planes, threads):
        raise ValueError(
            f"`image` leads to NaN, which dtype={job.dtype.name} cannot hold. "
            f"Replace the NaN first, or ask for a float dtype."
        )
    if out is not None and result is not out:
        out[...] = result
        return out
    return result


def _resolve(
    given: NDArray[Any],
    image_shape: tuple[int, ...],
    image_dtype: np.dtype[Any],
    dtype: DTypeLike | None,
    padding: Padding,
    mode: Mode,
    cval: float,
    stride: int | tuple[int, int],
    dilation: int | tuple[int, int],
    channel_axis: int | None,
    algorithm: str,
) -> _Prepared:
    """Check what `corr2d` is asked for, and prepare it."""
    weights, gaps = as_weights(given, mixing=True), resolve_steps(dilation, "dilation")
    return _prepared(
        weights, image_shape, image_dtype, result_dtype(image_dtype, dtype),
        resolve_padding(padding, weights.shape[-2:], gaps), resolve_steps(stride, "stride"), gaps,
        resolve_mode(mode, cval, padding), cval, 0.0, channel_axis, algorithm,
    )  # fmt: skip


# Prepared ones are kept: pictures come in series, and a small one takes less than this. So are those that
# have only been asked for, since to check takes as long.
@lru_cache(_KEPT, typed=True)  # 1 is a stride, and True is none
def _kept(weight_bytes: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], *asked: Any) -> _Prepared:
    return _resolve(np.frombuffer(weight_bytes, dtype).reshape(shape), *asked)


def _prepared(
    weights: NDArray[np.float64],
    image_shape: tuple[int, ...],
    image_dtype: np.dtype[Any],
    out_dtype: np.dtype[Any],
    *options: Any,
) -> _Prepared:
    """Prepare, or find what was prepared before. A list, which no option may be, is refused further down."""
    keeps = weights.size <= _MOST_KEPT and all(isinstance(option, Hashable) for option in options)
    prepare = _prepare if keeps else _prepare.__wrapped__
    return prepare(weights.tobytes(), weights.shape, image_shape, image_dtype, out_dtype, *options)


@lru_cache(_KEPT)
def _prepare(
    weight_bytes: bytes,
    weights_shape: tuple[int, ...],
    image_shape: tuple[int, ...],
    image_dtype: np.dtype[Any],
    out_dtype: np.dtype[Any],
    pads: Pads,
    stride: Steps,
    dilation: Steps,
    border: int,
    cval: float,
    bias: float,
    channel_axis: int | None,
    algorithm: str,
) -> _Prepared:
    """Plan and prepare."""
    weights = np.frombuffer(weight_bytes).reshape(weights_shape)
    picture = np.broadcast_to(np.empty((), image_dtype), image_shape)  # its shape alone counts
    planes, batch = planes_and_batch(picture, weights, channel_axis)
    h, w = planes.shape[-2:]
    kh, kw = weights_shape[-2:]
    rows, columns = result_shape((h, w), (kh, kw), pads, stride, dilation)
    _check_fit(image_shape, (h, w), reach((kh, kw), dilation), (rows, columns), stride)
    shape = (*batch, rows, columns)
    plan = choose(
        shape, image_dtype, weights, out_dtype,
        stride=stride, dilation=dilation, cval=cval, bias=bias, algorithm=algorithm,
    )  # fmt: skip
    taps = weights[0].size if weights.ndim == 4 else weights.size
    pixel_work = taps + 8 if plan.algorithm == "direct" else 40 * taps // (kh * kw)
    # Whole register tiles, or whole columns of row sums, which reach kh - 1 rows further.
    least = {"direct": _TILE_ROWS, "separable": max(_TILE_ROWS, min(4 * kh, 192)), "fft": 1}[plan.algorithm]
    # Rows so wide that one row of register tiles is more than a band are cut into strips of columns.
    strip = max(_LEAST_STRIP, _BAND_WORK // (_TILE_ROWS * pixel_work))
    strips = [
        (phase, phase.results[1].step, x)
        for phase in phases((kh, kw), pads, stride, dilation)
        for x in range(phase.results[1].start, columns, strip * phase.results[1].step)
    ]
    parts = [
        (
            (..., phase.results[0], slice(x, min(x + strip * every, columns), every)),
            _engine.Correlation(
                phase.terms(weights, plan.factors, x // every), *phase.steps, border, cval, bias,
                plan.near_tie, ALGORITHMS.index(plan.algorithm), plan.sums == DOUBLE, plan.tile,
            ),
        )
        for phase, every, x in strips
    ]  # fmt: skip
    # The result has its colours where the image has them; `planes` in front, or before rows and columns.
    front = 0 if weights.ndim == 2 else len(batch) - 1
    axis = front if channel_axis is None else channel_axis % len(image_shape)
    of_result = list(shape)
    of_result.insert(axis, of_result.pop(front))
    is_reused = _LEAST_REUSED <= prod(shape) * out_dtype.itemsize <= _MOST_REUSED
    is_wide = image_dtype.kind in "iu" and image_dtype.itemsize == 8
    return _Prepared(
        tuple(of_result), out_dtype, (axis, front), is_reused, is_wide, prod(shape) * pixel_work, least, parts
    )


def _check_fit(
    shape: tuple[int, ...],
    image: tuple[int, int],
    kernel: tuple[int, int],
    result: tuple[int, int],
    stride: Steps,
) -> None:
    as_large = (-(-image[0] // stride.rows), -(-image[1] // stride.columns))
    if min(image) < 1 and result != as_large:
        raise ValueError(f"`image` has no pixels (shape {shape}): only padding='same' has an answer.")
    if min(image) > 0 and min(result) < 1:
        raise ValueError(
            f"`kernel` must fit into the padded image, got a kernel of {kernel} over an image of {image}. "
            f"Pass padding='same' or 'full'."
        )


def _out_dtype(out: object, asked: DTypeLike | None) -> np.dtype[np.generic]:
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"`out` must be a plain NumPy array, got {type(out).__name__}.")
    if asked is None:
        return result_dtype(out.dtype, out.dtype, "out.dtype")
    return result_dtype(out.dtype, asked)


def _check_out(out: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"`out` must have shape {shape} and dtype {dtype}, got {out.shape} and {out.dtype}.")
    if not out.flags.writeable:
        raise ValueError("`out` must be writable, got a read-only array.")
