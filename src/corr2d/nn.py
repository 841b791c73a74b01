"""`corr2d` for torch: tensors in, tensors out, with gradients; and the layer made of it.

The only module that imports torch. With y for the result, g for its gradient, I for the image with its border
and K for the kernel, ``sum(g * y)`` is linear in each of g, I and K. Its derivative by one is made of the
other two: by g it is the correlation, by I what the kernel spreads over the image, by K sums of products.
Each of these, multiplied by a gradient of its own and summed, is ``sum(g * y)`` again. So three `Function`s
that name each other give gradients of any order, whatever the stride, the dilation and the channels.
"""

from functools import partial
from itertools import product
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _engine
from .borders import MODES, Mode, Padding, Pads, Steps, reach, resolve_mode, resolve_padding, resolve_steps
from .correlate import corr2d, correlate
from .dtypes import as_image, as_weights, result_dtype
from .phases import phases
from .planning import DIRECT, Algorithm
from .threads import resolve_threads, run_all

try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError(
        "corr2d.nn needs torch, which is not installed. Install it with `pip install torch`; "
        "the rest of corr2d works without it."
    ) from error

__all__ = ["Conv2D", "corr2d_tensor"]


def corr2d_tensor(
    image: Any,
    kernel: Any,
    *,
    padding: Padding = "valid",
    mode: Mode = "constant",
    cval: float = 0.0,
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    channel_axis: int | None = None,
    dtype: Any = None,
    out: torch.Tensor | None = None,
    threads: int | None = None,
    algorithm: Algorithm = "auto",
) -> torch.Tensor:
    """Do what `corr2d` promises where `image` or `kernel` is a torch tensor: `corr2d` calls this by itself.

    Without gradients the tensors' memory is used as it is. With gradients, of `image`, of `kernel` or of
    both, the result has the same values, and gradients of any order go through the engine. The gradient of
    `kernel` is summed in float64 whatever the dtypes are: a float32 sum over a whole picture loses digits.

    Parameters
    ----------
    image : (..., h, w) tensor or array
        On the CPU, any real dtype; bfloat16 is read as float32.
    kernel : (kh, kw) or (c_out, c_in, kh, kw) tensor or array
        On the CPU; finite.
    padding, mode, cval, stride, dilation, channel_axis, threads, algorithm
        As in `corr2d`. Gradients choose their own algorithm.
    dtype : torch or NumPy dtype, optional
        As in `corr2d`; not where gradients are wanted.
    out : (..., h', w') tensor, optional
        As in `corr2d`; not where gradients are wanted.

    Returns
    -------
    (..., h', w') tensor
        The dtype follows the rule of `corr2d`, by the dtype of `image` alone.

    Raises
    ------
    TypeError
        If a tensor is masked, sparse, quantized or complex, or `out` is not a tensor.
    ValueError
        If a tensor is not on the CPU, `dtype` or `out` is given where gradients are wanted, or for
        any reason that `corr2d` has.

    Examples
    --------
    >>> image = torch.arange(9.0).reshape(3, 3)
    >>> kernel = torch.tensor([[0.0, 1.0], [2.0, 3.0]], requires_grad=True)
    >>> corr2d(image, kernel).sum().backward()
    >>> kernel.grad
    tensor([[ 8., 12.],
            [20., 24.]])
    """
    pixels, weights = _as_array(image, "image"), _as_array(kernel, "kernel")
    if not _wants_gradient(image, kernel, out):
        return _without_gradient(
            pixels, weights, out, padding=padding, mode=mode, cval=cval, stride=stride, dilation=dilation,
            channel_axis=channel_axis, dtype=_numpy_dtype(dtype), threads=threads, algorithm=algorithm,
        )  # fmt: skip
    for name, value in (("dtype", dtype), ("out", out)):
        if value is not None:
            raise ValueError(
                f"`{name}` cannot be given where gradients are wanted. "
                f"Convert the result with .to(dtype), or pass image.detach() and kernel.detach()."
            )
    pixels, weights = as_image(pixels), as_weights(weights, mixing=True)
    gaps = resolve_steps(dilation, "dilation")
    pads = resolve_padding(padding, weights.shape[-2:], gaps)
    way = _Way(resolve_steps(stride, "stride"), gaps, threads)
    border = _Border(pads, resolve_mode(mode, cval, padding), cval)
    taps = kernel.to(torch.float64) if isinstance(kernel, torch.Tensor) else torch.from_numpy(weights.copy())
    return _correlate(_as_float_tensor(image, pixels), taps, border, way, channel_axis, algorithm)


class Conv2D(torch.nn.Module):
    """The textbook's layer: ``corr2d(x, weight) + bias``, one kernel and one scalar, both learned.

    Unlike torch.nn.Conv2d it takes a bare picture as well as a batch, and the leading axes are nothing but a
    batch: the channels of a (n, c, h, w) tensor are filtered one by one by the one kernel, not mixed.

    Parameters
    ----------
    kernel_size : (kh, kw) or int
        An int means a square.

    Attributes
    ----------
    weight : (kh, kw) Parameter
        At first uniform in [0, 1), from torch's own generator.
    bias : (1,) Parameter
        At first 0.

    Raises
    ------
    TypeError
        If `kernel_size` is neither an int nor two.
    ValueError
        If a size is below 1. In a forward pass: whatever `corr2d` refuses, which includes weights that are
        NaN or infinite because the training has diverged.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> layer = Conv2D((1, 2))
    >>> layer
    Conv2D(kernel_size=(1, 2))
    >>> layer(torch.ones(6, 8)).shape, layer(torch.ones(10, 1, 6, 8)).shape
    (torch.Size([6, 7]), torch.Size([10, 1, 6, 7]))
    """

    def __init__(self, kernel_size: int | tuple[int, int]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(_resolve_kernel_size(kernel_size)))
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give ``corr2d(x, weight) + bias``.

        Parameters
        ----------
        x : (..., h, w) tensor
            Leading axes are a batch: (n, 1, h, w), as torch.nn.Conv2d takes it, works.

        Returns
        -------
        (..., h - kh + 1, w - kw + 1) tensor
        """
        return corr2d_tensor(x, self.weight) + self.bias

    def extra_repr(self) -> str:
        """Give what stands between the brackets of the layer's repr."""
        return f"kernel_size={tuple(self.weight.shape)}"


def _resolve_kernel_size(kernel_size: object) -> tuple[int, int]:
    sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if (
        not isinstance(sizes, tuple | list)
        or len(sizes) != 2
        or not all(isinstance(size, int) for size in sizes)
    ):
        raise TypeError(f"`kernel_size` must be an int or (kh, kw), got {kernel_size!r}.")
    if min(sizes) < 1:
        raise ValueError(f"`kernel_size` must be at least 1 each way, got {kernel_size!r}.")
    return sizes[0], sizes[1]


# Tensors and arrays


def _as_array(value: Any, name: str) -> Any:
    """Give the memory of a tensor as an array; leave anything else to `corr2d`'s own checks."""
    if not isinstance(value, torch.Tensor):
        return value
    if isinstance(value, torch.masked.MaskedTensor):
        raise TypeError(
            f"`{name}` is a MaskedTensor, whose mask would be ignored. Fill it first: {name}.to_tensor(nan)."
        )
    if value.layout != torch.strided or value.is_quantized:
        kind, way_out = ("quantized", "dequantize") if value.is_quantized else (f"{value.layout}", "to_dense")
        raise TypeError(
            f"`{name}` must be an ordinary dense tensor, got a {kind} one. Pass {name}.{way_out}()."
        )
    if value.device.type != "cpu":
        raise ValueError(f"`{name}` must be on the CPU, got device {value.device}. Pass {name}.cpu().")
    value = value.detach()
    if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
        value = value.float()  # NumPy has no bfloat16
    return value.resolve_conj().resolve_neg().numpy()


def _as_float_tensor(image: Any, pixels: NDArray[Any]) -> torch.Tensor:
    """Give `image` in the dtype of the result: a copy unless it is a tensor of that dtype already."""
    dtype = result_dtype(pixels.dtype, None)
    if not isinstance(image, torch.Tensor):
        return torch.from_numpy(np.array(pixels, dtype))
    return image.to(torch.float64 if dtype == np.float64 else torch.float32)


def _numpy_dtype(dtype: Any) -> Any:
    return torch.empty(0, dtype=dtype).numpy().dtype if isinstance(dtype, torch.dtype) else dtype


def _wants_gradient(*values: Any) -> bool:
    return torch.is_grad_enabled() and any(isinstance(v, torch.Tensor) and v.requires_grad for v in values)


def _without_gradient(image: Any, kernel: Any, out: torch.Tensor | None, **options: Any) -> torch.Tensor:
    if out is None:
        return torch.from_numpy(corr2d(image, kernel, **options))
    if not isinstance(out, torch.Tensor):
        raise TypeError(f"`out` must be a torch tensor, as `image` or `kernel` is, got {type(out).__name__}.")
    corr2d(image, kernel, out=_as_array(out, "out"), **options)
    # What autograd has saved of `out` is no longer there: without this it would go on with wrong numbers.
    torch.autograd.graph.increment_version(out)
    return out


# Borders


class _Border(NamedTuple):
    pads: Pads
    mode: int
    cval: float


_NO_BORDER = _Border(Pads(0, 0, 0, 0), MODES.index("constant"), 0.0)


def _positions(before: int, size: int, after: int, mode: str) -> torch.Tensor:
    """Say which of `size` pixels stands at each place of a padded row."""
    places = torch.arange(-before, size + after)
    if mode == "nearest":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    mirror = mode == "mirror"
    period = max(2 * size - 2, 1) if mirror else 2 * size
    places = places % period
    return torch.where(places < size, places, period - places if mirror else period - 1 - places)


class _Kept(NamedTuple):
    """What a border of a constant, which may be negative, keeps of a row, and how much it adds to that."""

    first: int
    stop: int
    before: int
    after: int

    @classmethod
    def of(cls, before: int, size: int, after: int) -> "_Kept":
        first = min(max(-before, 0), size)
        stop = max(size + min(after, 0), first)
        padded = before + size + after
        before = min(max(before, 0), padded)
        return cls(first, stop, before, padded - before - (stop - first))


def _kept(border: _Border, shape: torch.Size) -> tuple[_Kept, _Kept]:
    top, bottom, left, right = border.pads
    return _Kept.of(top, shape[-2], bottom), _Kept.of(left, shape[-1], right)


def _add_border(image: torch.Tensor, border: _Border) -> torch.Tensor:
    pads, mode = border.pads, MODES[border.mode]
    if not any(pads):
        return image
    if mode == "constant":
        kept_rows, kept_columns = _kept(border, image.shape)
        seen = image[..., kept_rows.first : kept_rows.stop, kept_columns.first : kept_columns.stop]
        sides = (kept_columns.before, kept_columns.after, kept_rows.before, kept_rows.after)
        return torch.nn.functional.pad(seen, sides, value=border.cval)
    rows = _positions(pads.top, image.shape[-2], pads.bottom, mode)
    columns = _positions(pads.left, image.shape[-1], pads.right, mode)
    return image.index_select(-2, rows).index_select(-1, columns)


def _fold_border(padded: torch.Tensor, border: _Border, shape: torch.Size) -> torch.Tensor:
    """Give each pixel of a `shape` image the sum of its copies: the transpose of `_add_border`."""
    pads, mode = border.pads, MODES[border.mode]
    h, w = shape[-2:]
    if not any(pads):
        return padded
    if mode == "constant":
        kept_rows, kept_columns = _kept(border, shape)
        seen = padded[..., kept_rows.before :, kept_columns.before :]
        seen = seen[..., : kept_rows.stop - kept_rows.first, : kept_columns.stop - kept_columns.first]
        sides = (kept_columns.first, w - kept_columns.stop, kept_rows.first, h - kept_rows.stop)
        return torch.nn.functional.pad(seen, sides)
    rows = _positions(pads.top, h, pads.bottom, mode)
    columns = _positions(pads.left, w, pads.right, mode)
    folded = padded.new_zeros((*padded.shape[:-1], w)).index_add(-1, columns, padded)
    return folded.new_zeros(shape).index_add(-2, rows, folded)


# Gradients


class _Way(NamedTuple):
    """How the kernel goes over the image."""

    stride: Steps
    dilation: Steps
    threads: int | None


def _correlate(
    image: torch.Tensor,
    weights: torch.Tensor,
    border: _Border,
    way: _Way,
    channel_axis: int | None,
    algorithm: Algorithm = "auto",
) -> torch.Tensor:
    result: torch.Tensor = _Correlate.apply(image, weights, border, way, channel_axis, algorithm)  # type: ignore[no-untyped-call]  # torch gives it no types
    return result


class _Correlate(torch.autograd.Function):
    """The derivative by g: the correlation of float planes with float64 weights, which need not be finite.

    The weights are (kh, kw), or (c_out, c_in, kh, kw) for planes with c_in channels on `channel_axis`. The
    other two Functions have the channels that weights mix before rows and columns.
    """

    @staticmethod
    def forward(
        ctx: Any,
        image: torch.Tensor,
        weights: torch.Tensor,
        border: _Border,
        way: _Way,
        channel_axis: int | None,
        algorithm: Algorithm,
    ) -> torch.Tensor:
        ctx.save_for_backward(image, weights)
        ctx.border, ctx.way, ctx.channel_axis = border, way, channel_axis
        taps = np.ascontiguousarray(weights.numpy(force=True))
        result = correlate(
            image.numpy(force=True),
            taps,
            border.pads,
            stride=way.stride,
            dilation=way.dilation,
            border=border.mode,
            cval=border.cval,
            channel_axis=channel_axis,
            threads=way.threads,
            algorithm=_able(algorithm, taps),
        )
        return torch.from_numpy(result)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        image, weights = ctx.saved_tensors
        axis, front = ctx.channel_axis, 0 if weights.ndim == 2 else -3
        if axis is not None:
            image, gradient = image.movedim(axis, front), gradient.movedim(axis, front)
        of_image = of_weights = None
        if ctx.needs_input_grad[0]:
            of_image = _image_gradient(gradient, weights, image.shape, ctx.border, ctx.way)
            if axis is not None:
                of_image = of_image.movedim(front, axis)
        if ctx.needs_input_grad[1]:
            of_weights = _weights_gradient(image, gradient, weights.shape, ctx.border, ctx.way)
        return of_image, of_weights, None, None, None, None


def _image_gradient(
    gradient: torch.Tensor, weights: torch.Tensor, shape: torch.Size, border: _Border, way: _Way
) -> torch.Tensor:
    if gradient.numel() == 0:
        return gradient.new_zeros(shape)
    pads = border.pads
    size = shape[-2] + pads.top + pads.bottom, shape[-1] + pads.left + pads.right
    padded: torch.Tensor = _Spread.apply(gradient, weights, size, way)  # type: ignore[no-untyped-call]  # torch gives it no types
    return _fold_border(padded, border, shape)


def _weights_gradient(
    image: torch.Tensor, gradient: torch.Tensor, shape: torch.Size, border: _Border, way: _Way
) -> torch.Tensor:
    if gradient.numel() == 0:
        return gradient.new_zeros(shape, dtype=torch.float64)
    padded = _add_border(image, border)
    sums: torch.Tensor = _ProductSums.apply(padded, gradient, shape, way)  # type: ignore[no-untyped-call]  # torch gives it no types
    return sums


class _Spread(torch.autograd.Function):
    """The derivative by I, which has `size` rows and columns: 0 where no window lies."""

    @staticmethod
    def forward(
        ctx: Any, gradient: torch.Tensor, weights: torch.Tensor, size: tuple[int, int], way: _Way
    ) -> torch.Tensor:
        ctx.save_for_backward(gradient, weights)
        ctx.way = way
        return torch.from_numpy(_spread(gradient.numpy(force=True), weights.numpy(force=True), size, way))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (image,) = gradients
        gradient, weights = ctx.saved_tensors
        of_gradient = of_weights = None
        if ctx.needs_input_grad[0]:
            of_gradient = _correlate(image, weights, _NO_BORDER, ctx.way, _channel_axis(image, weights))
        if ctx.needs_input_grad[1]:
            of_weights = _weights_gradient(image, gradient, weights.shape, _NO_BORDER, ctx.way)
        return of_gradient, of_weights, None, None


class _ProductSums(torch.autograd.Function):
    """The derivative by K: over the batch, the float64 sums of `gradient` times the pixels a weight meets."""

    @staticmethod
    def forward(
        ctx: Any, image: torch.Tensor, gradient: torch.Tensor, shape: torch.Size, way: _Way
    ) -> torch.Tensor:
        ctx.save_for_backward(image, gradient)
        ctx.way = way
        planes = [values.numpy(force=True) for values in (image, gradient)]
        if len(shape) == 2:
            planes = [values[..., None, :, :] for values in planes]
        images, factors = (values.reshape(-1, *values.shape[-3:]) for values in planes)
        sums = _product_sums(images, factors, (shape[-2], shape[-1]), way)
        return torch.from_numpy(sums.reshape(shape))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weights,) = gradients
        image, gradient = ctx.saved_tensors
        of_image = of_gradient = None
        if ctx.needs_input_grad[0]:
            of_image = _image_gradient(gradient, weights, image.shape, _NO_BORDER, ctx.way)
        if ctx.needs_input_grad[1]:
            of_gradient = _correlate(image, weights, _NO_BORDER, ctx.way, _channel_axis(image, weights))
        return of_image, of_gradient, None, None


def _channel_axis(planes: Any, weights: Any) -> int | None:
    """Say where the channels are once they are in front, or before rows and columns if `weights` mix them."""
    # Not None: a batch of gradients may look like a colour picture (test_batch_of_narrow_gradients).
    return 0 if weights.ndim == 2 and planes.ndim > 2 else None


def _able(algorithm: Algorithm, weights: NDArray[np.float64]) -> Algorithm:
    # The other two would make NaN of an infinite weight (test_infinite_weights_of_a_gradient_stay_infinite).
    return algorithm if np.isfinite(weights).all() else "direct"


def _spread(
    gradient: NDArray[Any], weights: NDArray[np.float64], size: tuple[int, int], way: _Way
) -> NDArray[Any]:
    """Give each pixel the sum of ``weights[v, u] * gradient[y, x]`` over the windows that it lies in.

    Along one axis ``weights[v] * gradient[y]`` goes to pixel ``y * s + v * d``. With ``g = gcd(s, d)`` write
    ``v = v' * s/g + q``. Then that is pixel ``q * d + (y + v' * d/g) * s``: every s-th pixel from ``q * d``
    on has the full correlation of the gradient with every s/g-th weight, flipped, at dilation d/g. Those of
    different q do not meet, and no zeros need to stand between the pixels of the gradient.

    Beyond its edge they do, as in padding="full": there a NaN or infinite weight, which only a gradient can
    be, makes NaN of pixels that it would not reach in exact arithmetic.
    """
    stride, dilation, threads = way
    if weights.ndim == 4:
        weights = weights.swapaxes(0, 1)
    terms_y, terms_x = (s // gcd(s, d) for s, d in zip(stride, dilation, strict=True))
    gaps = Steps(*(d // gcd(s, d) for s, d in zip(stride, dilation, strict=True)))
    front = (*gradient.shape[:-3], len(weights)) if weights.ndim == 4 else gradient.shape[:-2]
    image = np.zeros((*front, *size), gradient.dtype)
    for v, u in product(range(min(terms_y, weights.shape[-2])), range(min(terms_x, weights.shape[-1]))):
        taps = np.ascontiguousarray(weights[..., v::terms_y, u::terms_x][..., ::-1, ::-1])
        full = resolve_padding("full", (taps.shape[-2], taps.shape[-1]), gaps)
        rows, columns = gradient.shape[-2] + full.top, gradient.shape[-1] + full.left
        top, left = v * dilation.rows, u * dilation.columns
        correlate(
            gradient,
            taps,
            full,
            dilation=gaps,
            channel_axis=_channel_axis(gradient, taps),
            out=image[
                ...,
                top : top + rows * stride.rows : stride.rows,
                left : left + columns * stride.columns : stride.columns,
            ],
            threads=threads,
            algorithm=_able("auto", taps),
        )
    return image


# Rows x columns of the gradient that are one kernel for the engine: their window fits an L2 cache. Of smaller
# pictures, so many as have as many pixels.
_BLOCK = (64, 512)
# At least so many sums, each over every so many-th block, added in order. The shapes alone say how many: the
# same bits for any number of threads (test_threads_do_not_change_the_bits).
_SUMS = 64


def _product_sums(
    images: NDArray[Any], gradients: NDArray[Any], kernel: tuple[int, int], way: _Way
) -> NDArray[np.float64]:
    """Sum (n, c_out, h', w') gradients times the pixels of (n, c_in, h, w) images that each weight meets."""
    (n, c_out, h, w), c_in = gradients.shape, images.shape[1]
    (sy, sx), (below, beside) = way.stride, reach(kernel, way.dilation)
    together = max(1, _BLOCK[0] * _BLOCK[1] // (h * w))
    blocks = list(product(range(0, n, together), range(0, h, _BLOCK[0]), range(0, w, _BLOCK[1])))
    each = min(len(blocks), -(-_SUMS // c_out))

    def add(channel: int, first: int) -> NDArray[np.float64]:
        sums, block_sums = np.zeros((c_in, *kernel)), np.empty((c_in, *kernel))
        for plane, y, x in blocks[first::each]:
            some = slice(plane, plane + together)
            block = gradients[some, channel, y : y + _BLOCK[0], x : x + _BLOCK[1]]
            shape = (block.shape[1], block.shape[2])
            rows, columns = reach(shape, way.stride)
            top, left = y * sy, x * sx
            window = images[some, :, top : top + rows + below - 1, left : left + columns + beside - 1]
            # One kernel that mixes the pictures of the batch; our stride is its dilation, and the other way.
            factors = np.ascontiguousarray(block[None], np.float64)
            for phase in phases(shape, _NO_BORDER.pads, way.dilation, way.stride):
                # Not corr2d: a NaN in the gradient belongs in the sums, where corr2d refuses it in a kernel.
                correlation = _engine.Correlation(
                    phase.terms(factors, None, 0), *phase.steps, 0, 0.0, 0.0, 0.0, DIRECT, True, 0
                )
                correlation.run(window.swapaxes(0, 1), block_sums[..., *phase.results], 1, 1, 1)
            sums += block_sums
        return sums

    tasks = [partial(add, channel, first) for channel in range(c_out) for first in range(each)]
    parts = run_all(tasks, resolve_threads(way.threads, gradients.size * c_in * kernel[0] * kernel[1]))
    return np.array([sum(parts[i : i + each], np.zeros((c_in, *kernel))) for i in range(0, len(parts), each)])
