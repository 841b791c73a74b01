"""The file that moments are kept in: safetensors, numbers and text that no program runs to be read."""

import json
import os
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .borders import Steps
from .files import replace_file, stat_regular
from .position import MOST, monomials

if TYPE_CHECKING:
    from .moments import Moments

_FORMAT, _VERSION = "corr2d moments", "1"
_FILE_BYTES = 8 << 30
_FURTHEST = 10**6  # rows and columns, beyond any picture


def save_moments(moments: "Moments", path: str | os.PathLike[str]) -> None:
    """Write all of it; an existing file is replaced in one step."""
    from safetensors.numpy import save

    said = {
        "size": moments.size,
        "center": moments.center,
        "count": moments.count,
        "left_out": moments.left_out,
        "notes": moments.notes,
        "stride": moments.stride,
        "dilation": moments.dilation,
        "channels": moments.channels,
        "background": moments.background,
        "varying": moments.varying,
        "shape": moments.shape,
        "shift": moments.shift,
    }
    with replace_file(path) as file:
        file.write(
            save({"sums": moments.sums}, {"format": _FORMAT, "version": _VERSION, "said": json.dumps(said)})
        )


def load_moments(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the parts of what `save_moments` wrote.

    Raises OSError if the file cannot be read, ValueError if it is none of ours.
    """
    from safetensors import SafetensorError, safe_open

    if stat_regular(path).st_size > _FILE_BYTES:
        raise ValueError(f"{os.fspath(path)!r} must be at most {_FILE_BYTES >> 30} GB.")
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            if (about.get("format"), about.get("version")) != (_FORMAT, _VERSION):
                raise ValueError(f'"format" must be "{_FORMAT}" and "version" "{_VERSION}".')
            parts = _checked(json.loads(about["said"]))
            parts["sums"] = file.get_tensor("sums")
            _check_sums(parts["sums"], parts)
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is not a file of moments that corr2d can read: {error}"
        ) from error
    return parts


def _check_sums(sums: NDArray[Any], parts: dict[str, Any]) -> None:
    kh, kw = parts["size"]
    planes = len(monomials(parts["varying"])) * parts["channels"]
    order = planes * kh * kw + len(monomials(parts["background"])) + 1
    if sums.dtype != np.float64 or sums.ndim != 3 or sums.shape[1:] != (order, order):
        raise ValueError(
            f"the sums of a {kh} x {kw} window must be float64 of shape (folds, {order}, {order}), got "
            f"{sums.dtype} {sums.shape}."
        )
    if not np.isfinite(sums).all():
        raise ValueError("the sums must be finite.")


def _checked(said: Any) -> dict[str, Any]:
    size, stride, dilation, shape = (said[key] for key in ("size", "stride", "dilation", "shape"))
    pairs = {
        "size": size,
        "stride": stride,
        "dilation": dilation,
        "shape": [1, 1] if shape is None else shape,
    }
    for name, pair in pairs.items():
        if [type(k) for k in pair] != [int, int] or min(pair) < 1:
            raise ValueError(f"`{name}` must be two positive integers, got {pair!r}.")
    shift = said.get("shift", [0, 0])  # files of before windows could stand beside the middle have none
    if [type(n) for n in shift] != [int, int] or max(map(abs, shift)) > _FURTHEST:
        raise ValueError(f"`shift` must be two integers up to {_FURTHEST}, got {shift!r}.")
    counts = {name: said[name] for name in ("count", "channels", "background", "varying")}
    least = {"count": 0, "channels": 1, "background": said["varying"], "varying": 0}
    for name, n in counts.items():
        if type(n) is not int or n < least[name]:
            raise ValueError(f"`{name}` must be an integer of at least {least[name]}, got {n!r}.")
    if (shape is None) != (counts["background"] == 0) or counts["background"] > MOST:
        raise ValueError(f"`shape` must go with a background of degree 1 to {MOST}, got {shape!r}.")
    center, left_out, notes = (said[key] for key in ("center", "left_out", "notes"))
    if len(center) != counts["channels"] + 1 or not all(
        type(c) in (int, float) and isfinite(c) for c in center
    ):
        raise ValueError(f"`center` must be a finite number for each channel and one more, got {center!r}.")
    if type(left_out) is not dict or not all(type(n) is int and n >= 0 for n in left_out.values()):
        raise ValueError(f"`left_out` must be counts by reason, got {left_out!r}.")
    if type(notes) is not list or not all(type(note) is str for note in notes):
        raise ValueError(f"`notes` must be texts, got {notes!r}.")
    return {
        "size": tuple(size),
        "center": tuple(map(float, center)),
        **counts,
        "left_out": left_out,
        "notes": tuple(notes),
        "stride": Steps(*stride),
        "dilation": Steps(*dilation),
        "shape": None if shape is None else tuple(shape),
        "shift": tuple(shift),
    }
