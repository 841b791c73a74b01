"""Kernel: the value that learning ends in, and that users print, save, edit, load and call."""

import os
import sys
from dataclasses import dataclass, field, fields, replace
from math import nan
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .borders import Mode, Padding, Pads, Steps, resolve_mode, resolve_padding, resolve_steps
from .correlate import corr2d, correlate
from .describe import describe
from .dtypes import as_image, as_real_array, as_weights, channels_first
from .explain import explain
from .kernel_json import load_values, save_values, with_header, without_header
from .planning import Algorithm
from .position import MOST, Frame, monomials, polynomial
from .response import COLUMNS, ROWS, response

_FORMAT = "corr2d kernel"
_FURTHEST = 10**9  # pixels: times any sensible dilation, it stays within what the engine counts with
_FIGURES = ("bias_stderr", "rmse", "noise", "r2", "condition", "rank")  # one, or one a channel


@dataclass(frozen=True, eq=False, repr=False)
class Kernel:
    """A kernel, its bias, and what is known of both.

    ``out[y, x] = bias + sum_v sum_u weights[v, u] * image[y + v - top, x + u - left]``

    Only `weights` is needed to make one by hand; the figures are those of `learn` and None without it.

    Attributes
    ----------
    weights : (kh, kw), (channels, kh, kw) or (channels out, channels in, kh, kw) array
        Never flipped: cross-correlation. With channels: one kernel for each colour, or one from each to each.
    bias : float or (channels,) array
        Added to every result.
    origin : (int, int)
        The weight that stands on the pixel it makes, where the padding is "same": there top, left in the
        formula are the origin. Default: (kh // 2, kw // 2). It may lie outside of the kernel, whose result is
        then shifted: further down and to the right, the larger it is.
    stderr : array of the shape of weights
        Standard error of each weight, infinite where the pair does not determine it.
    bias_stderr : float or (channels,) array
        Standard error of the bias.
    rmse : float or (channels,) array
        Root mean square of what the kernel does not explain, in units of `after`.
    noise : float or (channels,) array
        The same as an estimate of the pair's noise: over the degrees of freedom.
    r2 : float or (channels,) array
        Share of the variance of `after` that the kernel explains.
    used : int
        How many pixels of `after` the fit rests on.
    left_out : dict
        How many pixels were left out, by reason.
    condition : float or (channels,) array
        Ratio of the largest to the smallest singular value of the windows; infinite where `rank` is not full.
    rank : int or (channels,) array
        How many directions in kernel space the pair determines, at most kh * kw.
    errors : {"white", "blocks"}
        What the standard errors assume of the noise: "white", that it differs from pixel to pixel without any
        likeness; "blocks", only that far parts of the picture have nothing to do with each other. "Blocks"
        where the pair shows that it is not white; not tested with a robust loss, without noise, and for
        windows so large that their moments are kept in one block (more than 45 x 45 taps).
    measures : dict
        What the weights come to, each as (value, standard error): "sum"; "center_y" and "center_x", of mass,
        in pixels from the origin; "width", the root mean square distance from there, along one axis.
    family : str
        The shape that the weights were fitted as (`corr2d.families`), if they were.
    name : str
        The known filter that the weights are, as far as the pair can tell.
    parameters : dict
        Those of the family or the name, each as (value, standard error): floats, or (channels,) arrays.
        Lengths in pixels, angles in degrees.
    verdict : str
        What made `after` of `before`, as far as the pair can tell.
    evidence : dict
        The figures that the verdict rests on.
    curve : (n, 2) array
        The tone curve that followed the filter, if one did: what it made (second column) of the results of
        the filter (first column).
    notes : tuple of str
        What a reader should know, in words.
    provenance : dict
        Where the kernel comes from; text by text.
    background : (monomials,) or (channels, monomials) array
        Of y, x, yy, yx, xx, …, rows and columns of `after` running from -1 to 1: what was added to it beside
        the bias. It belongs to the pair, and is not added to results; `level` draws it.
    response_stderr : (11, 21) or (channels, 11, 21) array
        Standard error of the frequency response (`response`): rows at y = 0, 0.05, … 0.5, columns at x =
        -0.5, … 0.5 cycles per pixel. Infinite where the pair leaves it open.

    Raises
    ------
    TypeError, ValueError
        If weights, bias or origin are not finite numbers of fitting shapes, or a figure is not of its kind.

    Examples
    --------
    >>> edges = Kernel([[1, -1]])
    >>> edges([[1., 1., 0., 0.]])
    array([[0., 1., 0.]])
    """

    weights: NDArray[np.float64]
    bias: Any = 0.0
    origin: tuple[int, int] | None = None
    stderr: Any = None
    bias_stderr: Any = None
    rmse: Any = None
    noise: Any = None
    r2: Any = None
    used: int | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    condition: Any = None
    rank: Any = None
    errors: str | None = None
    measures: dict[str, tuple[Any, Any]] | None = None
    family: str | None = None
    name: str | None = None
    parameters: dict[str, tuple[Any, Any]] | None = None
    verdict: str | None = None
    evidence: dict[str, float] | None = None
    curve: Any = None
    notes: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)
    background: Any = None
    response_stderr: Any = None

    def __post_init__(self) -> None:
        channels: tuple[int, ...] = ()
        weights = as_real_array(self.weights, "weights")
        if weights.ndim in (3, 4) and weights.size:
            each = [as_weights(w, "weights") for w in weights.reshape(-1, *weights.shape[-2:])]
            weights = np.stack(each).reshape(weights.shape)
            channels = weights.shape[:1]
        else:
            weights = as_weights(weights, "weights").copy()
        kh, kw = weights.shape[-2:]
        bias = np.array(as_real_array(self.bias, "bias"), np.float64)
        if bias.shape != channels or not np.isfinite(bias).all():
            raise ValueError(
                f"`bias` must be finite and of shape {channels}, one for each kernel, got {self.bias!r}."
            )
        frozen: dict[str, Any] = {"weights": weights, "bias": bias if channels else float(bias)}
        frozen["origin"] = _origin(self.origin, kh, kw)
        frozen["stderr"] = _figures(self.stderr, weights.shape, "stderr")
        waves = (*channels, len(ROWS), len(COLUMNS))
        frozen["response_stderr"] = _figures(self.response_stderr, waves, "response_stderr")
        for name in _FIGURES:
            frozen[name] = _figures(getattr(self, name), channels, name)
        frozen["background"] = _background(self.background, channels)
        frozen["used"] = None if self.used is None else _count(self.used, "used")
        frozen["left_out"] = {
            _text(reason, "left_out"): _count(n, "left_out")
            for reason, n in _items(self.left_out, "left_out")
        }
        for name in ("errors", "family", "name", "verdict"):
            if getattr(self, name) is not None:
                _text(getattr(self, name), name)
        for name in ("measures", "parameters"):
            given = getattr(self, name)
            frozen[name] = None if given is None else _parameters(given, channels, name)
        frozen["evidence"] = None if self.evidence is None else _evidence(self.evidence)
        frozen["curve"] = _curve(self.curve)
        if not isinstance(self.notes, tuple | list):
            raise TypeError(f"`notes` must be texts, got {self.notes!r}.")
        frozen["notes"] = tuple(_text(note, "notes") for note in self.notes)
        frozen["provenance"] = {
            _text(key, "provenance"): _text(value, "provenance")
            for key, value in _items(self.provenance, "provenance")
        }
        for name, value in frozen.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def size(self) -> tuple[int, int]:
        """The kernel's (kh, kw)."""
        return self.weights.shape[-2], self.weights.shape[-1]

    def __call__(
        self,
        image: ArrayLike,
        *,
        padding: Padding = "valid",
        mode: Mode = "constant",
        cval: float = 0.0,
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
        channel_axis: int | None = None,
        dtype: DTypeLike | None = None,
        out: NDArray[Any] | None = None,
        threads: int | None = None,
        algorithm: Algorithm = "auto",
    ) -> Any:
        """Run the kernel over pictures: `corr2d` with these weights, plus the bias, with the same options.

        "same" puts the kernel's `origin` on each pixel, also where it lies outside of the kernel:
        ``out[y, x] = bias + sum_v sum_u weights[v, u] * image[y + v - origin[0], x + u - origin[1]]``. The
        bias is added before an integer `dtype` is rounded. A kernel with channels needs `channel_axis`, of as
        many channels as it takes.

        Raises
        ------
        TypeError, ValueError
            As `corr2d`, and if the channels do not fit.

        Examples
        --------
        >>> Kernel([[1 / 3, 1 / 3, 1 / 3]], bias=0.5)([[1, 2, 6]], padding="same", dtype="uint8")
        array([[2, 4, 3]], dtype=uint8)
        """
        border = resolve_mode(mode, cval, padding)
        steps, gaps = resolve_steps(stride, "stride"), resolve_steps(dilation, "dilation")
        pads = self._pads(padding, gaps)
        options: dict[str, Any] = {
            "stride": steps,
            "dilation": gaps,
            "border": border,
            "cval": cval,
            "dtype": dtype,
            "threads": threads,
            "algorithm": algorithm,
        }
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(image, torch.Tensor):
            if self.weights.ndim > 2 or dtype is not None or out is not None:
                raise ValueError(
                    "On a tensor, a kernel takes no `dtype` and no `out`, and has no channels. "
                    "Pass a NumPy array."
                )
            return corr2d(
                image, self.weights, padding=pads if padding == "same" else padding, mode=mode, cval=cval,
                stride=steps, dilation=gaps, channel_axis=channel_axis, threads=threads, algorithm=algorithm,
            ) + self.bias  # fmt: skip
        pixels = as_image(image)
        if self.weights.ndim == 2:
            return correlate(
                pixels, self.weights, pads, bias=self.bias, channel_axis=channel_axis, out=out, **options
            )
        return self._by_channel(pixels, pads, channel_axis, out, options)

    def _pads(self, padding: Padding, gaps: Steps) -> Pads:
        if isinstance(padding, str) and padding == "same":
            (kh, kw), (y, x), (down, along) = self.size, self.origin or (0, 0), gaps
            return Pads(y * down, (kh - 1 - y) * down, x * along, (kw - 1 - x) * along)
        return resolve_padding(padding, self.size, gaps)

    def _by_channel(
        self, image: NDArray[Any], pads: Pads, channel_axis: int | None, out: Any, options: dict[str, Any]
    ) -> NDArray[Any]:
        channels = self.weights.shape[-3]
        if channel_axis is None:
            raise ValueError(
                f"`channel_axis` must say where the colours are: this kernel has {channels} channels."
            )
        planes = channels_first(image, channel_axis, "image")
        if len(planes) != channels:
            raise ValueError(f"`image` must have {channels} channels, as the kernel has, got {len(planes)}.")
        if out is not None:
            raise ValueError("`out` is for kernels without channels. Leave it out.")
        if self.weights.ndim == 4:  # one channel of the result at a time: each has its own bias
            mixed = [
                correlate(image, weights[None], pads, bias=float(bias), channel_axis=channel_axis, **options)
                for weights, bias in zip(self.weights, self.bias, strict=True)
            ]
            return np.concatenate(mixed, axis=channel_axis)
        results = [
            correlate(plane, weights, pads, bias=float(bias), **options)
            for plane, weights, bias in zip(planes, self.weights, self.bias, strict=True)
        ]
        return np.moveaxis(np.stack(results), 0, channel_axis)

    def response(self, y: ArrayLike, x: ArrayLike) -> NDArray[np.complex128]:
        """Give the frequency response: what a wave is multiplied by.

        ``sum_v sum_u weights[v, u] exp(2 pi i (y (v - origin[0]) + x (u - origin[1])))``

        Parameters
        ----------
        y, x : arrays that broadcast
            Cycles per pixel, down the rows and along them: 1/2 for a wave that changes from pixel to pixel.

        Returns
        -------
        (...) or (channels, ...) complex array
            Its size says how much of the wave comes out, its angle by how much it is shifted.

        Examples
        --------
        >>> box = Kernel([[1 / 3, 1 / 3, 1 / 3]])
        >>> abs(box.response(0, [0, 1 / 4, 1 / 3, 1 / 2])).round(6)
        array([1.      , 0.333333, 0.      , 0.333333])
        """
        return response(self.weights, self.origin or (0, 0), y, x)

    def level(self, h: int, w: int) -> NDArray[np.float64]:
        """Give the bias and the background over a picture of (h, w) pixels, of each channel if there are any.

        >>> Kernel([[1.0]], bias=10, background=[0.0, 3.0]).level(1, 3)
        array([[ 8., 10., 12.]])
        """
        frame = Frame.over((h, w))
        y = (np.arange(h)[:, None] - frame.middle_row) * frame.per_row
        x = (np.arange(w) - frame.middle_column) * frame.per_column
        biases = np.atleast_1d(self.bias)
        beside = np.zeros((len(biases), 0)) if self.background is None else np.atleast_2d(self.background)
        levels = [polynomial([b, *more], y, x) for b, more in zip(biases, beside, strict=True)]
        return np.stack(levels) if self.weights.ndim > 2 else levels[0]

    def with_notes(self, *notes: str, **provenance: str) -> "Kernel":
        """Give the same kernel with more notes and provenance."""
        if not notes and not provenance:
            return self
        return replace(self, notes=self.notes + notes, provenance=self.provenance | provenance)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Kernel) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # values that compare by content and hold arrays, like ndarray

    def __repr__(self) -> str:
        return describe(self)

    def explain(self) -> str:
        """Say in plain sentences what it is, how sure, what was left out, what is not known, what to do next.

        >>> print(Kernel([[1 / 3, 1 / 3, 1 / 3]]).explain())
        A kernel of 1 × 3, made by hand. It keeps the brightness (its weights add up to 1). Fine detail is
        weakened to 46 %.
        """
        return explain(self)

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as numbers, texts, lists and dicts.

        A figure that is not finite becomes None; one that is not known is left out.
        """
        return with_header(
            {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}, _FORMAT
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file that a person can read and edit; an existing file is replaced in one step.

        Raises OSError if it cannot be written.
        """
        save_values(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Kernel":
        """Read the file that `save` wrote, or one written by hand.

        The keys format, version, convention and weights are needed; all others may be missing.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no kernel file of this version, too large, or holds a number that is not finite.
        """
        return load_values(path, cls.from_dict)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Kernel":
        """Make the kernel that `to_dict` described.

        Raises TypeError or ValueError if a key is missing, unknown or of the wrong kind.
        """
        values = without_header(values, _FORMAT, {f.name for f in fields(cls)})
        if values.get("weights") is None:
            raise ValueError('"weights" is missing.')
        for name in _FIGURES:
            if name in values and values[name] is None:
                values[name] = np.nan
        return cls(**{key: value for key, value in values.items() if value is not None})


def _origin(value: Any, kh: int, kw: int) -> tuple[int, int]:
    if value is None:
        return kh // 2, kw // 2
    rule = f"`origin` must be two integers (row, column) from -10**9 to 10**9, got {value!r}."
    if not isinstance(value, tuple | list | np.ndarray) or not all(isinstance(i, Integral) for i in value):
        raise TypeError(rule)
    if len(value) != 2 or max(abs(int(i)) for i in value) > _FURTHEST:
        raise ValueError(rule)
    return int(value[0]), int(value[1])


def _background(value: Any, channels: tuple[int, ...]) -> Any:
    if value is None:
        return None
    array = np.array(as_real_array(value, "background"), np.float64)
    counts = [len(monomials(degree)) - 1 for degree in range(1, MOST + 1)]
    if array.shape[:-1] != channels or array.shape[-1:] not in [(n,) for n in counts]:
        raise ValueError(
            f"`background` must have {', '.join(map(str, counts[:-1]))} or {counts[-1]} coefficients for "
            f"each kernel, got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"`background` must be finite, got {value!r}.")
    return array


def _figures(value: Any, shape: tuple[int, ...], name: str) -> Any:
    """Give a figure as a float, or as an array where there is one for each channel or tap.

    NaN, or None inside an array, stands for a figure that is not finite.
    """
    if value is None:
        return None
    if not shape and isinstance(value, float) and value >= 0 and name != "rank":  # most are
        return float(value)
    array = np.array(value) if isinstance(value, list | tuple) else np.array(as_real_array(value, name))
    if array.dtype == object and all(v is None or isinstance(v, int | float) for v in array.flat):
        array = array.astype(np.float64)  # None becomes NaN
    array = np.array(as_real_array(array, name), np.float64)
    if array.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, got {array.shape}.")
    if name in ("stderr", "bias_stderr", "response_stderr", "condition", "noise"):
        array[np.isnan(array)] = np.inf
    if name == "rank" and (array != np.floor(array)).any():  # NaN too
        raise ValueError(f"`rank` must be a whole number, got {value!r}.")
    if (array < 0).any() and name not in ("r2", "parameters"):
        raise ValueError(f"`{name}` must not be negative, got {value!r}.")
    if name == "rank":
        array = array.astype(np.int64)
    return array if shape else array.item()


def _parameters(value: Any, shape: tuple[int, ...], of: str) -> dict[str, tuple[Any, Any]]:
    """Give each with its standard error, infinite where that is None."""
    found = {}
    for name, pair in _items(value, of):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"`{of}` must hold (value, standard error) of {name!r}, got {pair!r}.")
        figure = _figures(pair[0], shape, "parameters")
        if figure is None or not np.isfinite(figure).all():
            raise ValueError(f"`{of}` must hold finite values, got {pair[0]!r} of {name!r}.")
        error = _figures(np.full(shape, np.inf) if pair[1] is None else pair[1], shape, "stderr")
        for array in (figure, error):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        found[_text(name, of)] = (figure, error)
    return found


def _evidence(value: Any) -> dict[str, float]:
    """Give figures by name, NaN where one is None."""
    found = {}
    for name, figure in _items(value, "evidence"):
        if figure is not None and (not isinstance(figure, Real) or isinstance(figure, bool)):
            raise TypeError(f"`evidence` must hold numbers, got {figure!r} of {name!r}.")
        found[_text(name, "evidence")] = nan if figure is None else float(figure)
    return found


def _curve(value: Any) -> Any:
    if value is None:
        return None
    array = np.array(as_real_array(value, "curve"), np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"`curve` must be finite and of shape (n, 2), n at least 2, got {array.shape}.")
    return array


def _count(value: Any, name: str) -> int:
    if not isinstance(value, Integral) or value < 0:
        raise TypeError(f"`{name}` must count pixels, got {value!r}.")
    return int(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must hold texts, got {value!r}.")
    return value


def _items(value: Any, name: str) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict):
        raise TypeError(f"`{name}` must be a dict, got {value!r}.")
    return list(value.items())
