"""Where the window may stand, and what it sees beyond the edge of the picture."""

from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Literal, NamedTuple

Padding = Literal["valid", "same", "full"] | int | tuple[int, int, int, int]
Mode = Literal["constant", "reflect", "mirror", "nearest", "wrap"]

PADDINGS = ("valid", "same", "full")
MODES = ("constant", "reflect", "mirror", "nearest", "wrap")  # in the order of engine/job.hpp

# What others call them.
_ELSEWHERE = {
    "symmetric": ("reflect", "NumPy's"),
    "edge": ("nearest", "NumPy's"),
    "replicate": ("nearest", "OpenCV's and torch's"),
    "reflect101": ("mirror", "OpenCV's"),
    "reflect_101": ("mirror", "OpenCV's"),
    "circular": ("wrap", "torch's"),
    "zeros": ("constant", "torch's"),
    "grid-constant": ("constant", "SciPy's"),
    "grid-mirror": ("reflect", "SciPy's"),
    "grid-wrap": ("wrap", "SciPy's"),
    "periodic": ("wrap", "astropy's"),
}


class Pads(NamedTuple):
    """Rows and columns added around the picture, or taken from it where they are negative."""

    top: int
    bottom: int
    left: int
    right: int


class Steps(NamedTuple):
    """How many rows and columns further the next one is: a stride or a dilation."""

    rows: int
    columns: int


NO_STEPS = Steps(1, 1)


def _did_you_mean(value: object, names: Sequence[str]) -> str:
    if not isinstance(value, str):
        return ""
    name = value.lower().removeprefix("border_")
    if name in _ELSEWHERE and _ELSEWHERE[name][0] in names:
        ours, whose = _ELSEWHERE[name]
        return f" Did you mean {ours!r} ({whose} {value!r})?"
    close = get_close_matches(name, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def resolve_mode(mode: str, cval: float, padding: object) -> int:
    """Give the engine's number of `mode`, refusing what would be ignored in silence."""
    if mode not in MODES:
        names = ", ".join(map(repr, MODES))
        error = ValueError if isinstance(mode, str) else TypeError
        raise error(f"`mode` must be one of {names}, got {mode!r}.{_did_you_mean(mode, MODES)}")
    if type(cval) is not float and not isinstance(cval, Real):  # the former is quick
        raise TypeError(f"`cval` must be a number, got {cval!r}.")
    if isinstance(padding, str) and padding == "valid" and (mode != "constant" or cval != 0):
        given = f"mode={mode!r}" if mode != "constant" else f"cval={cval!r}"
        raise ValueError(
            f"{given} has no effect with padding='valid', which adds no border. Pass padding='same'."
        )
    if cval != 0 and mode != "constant":
        raise ValueError(
            f"cval={cval!r} has no effect with mode={mode!r}. Pass mode='constant', or leave cval out."
        )
    return MODES.index(mode)


def resolve_steps(steps: int | tuple[int, int], name: str) -> Steps:
    """Turn a stride or a dilation, as a user gives it, into rows and columns."""
    if steps == 1 and type(steps) is int:
        return NO_STEPS
    pair = (steps, steps) if isinstance(steps, Integral) else steps
    rule = f"`{name}` must be an int or (rows, columns), each at least 1, got {steps!r}."
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise TypeError(rule)
    if not all(isinstance(step, Integral) and not isinstance(step, bool) for step in pair):
        raise TypeError(rule)
    if min(pair) < 1:
        raise ValueError(rule)
    return Steps(int(pair[0]), int(pair[1]))


def reach(kernel_shape: tuple[int, int], dilation: Steps = NO_STEPS) -> tuple[int, int]:
    """Count the rows and columns from the first pixel that the kernel sees to the last."""
    kh, kw = kernel_shape
    return (kh - 1) * dilation.rows + 1, (kw - 1) * dilation.columns + 1


def result_shape(
    image_shape: tuple[int, int], kernel_shape: tuple[int, int], pads: Pads, stride: Steps, dilation: Steps
) -> tuple[int, int]:
    """Count the rows and columns of the result: 0 or less where the kernel does not fit."""
    (h, w), (rows, columns) = image_shape, reach(kernel_shape, dilation)
    return (
        (h + pads.top + pads.bottom - rows) // stride.rows + 1,
        (w + pads.left + pads.right - columns) // stride.columns + 1,
    )


def resolve_padding(padding: Padding, kernel_shape: tuple[int, int], dilation: Steps = NO_STEPS) -> Pads:
    """Turn any form of `padding` into rows and columns."""
    kh, kw = kernel_shape
    if isinstance(padding, Pads):  # resolved already: of a kernel whose origin may lie outside of it
        return padding
    if isinstance(padding, str):
        if padding == "valid":
            return Pads(0, 0, 0, 0)
        dy, dx = dilation
        if padding == "same":  # the window's centre is (kh // 2, kw // 2), as in scipy.ndimage
            return Pads(kh // 2 * dy, (kh - 1 - kh // 2) * dy, kw // 2 * dx, (kw - 1 - kw // 2) * dx)
        if padding == "full":
            return Pads((kh - 1) * dy, (kh - 1) * dy, (kw - 1) * dx, (kw - 1) * dx)
        names = ", ".join(map(repr, PADDINGS))
        hint = _did_you_mean(padding, PADDINGS)
        raise ValueError(
            f"`padding` must be {names}, an int or (top, bottom, left, right), got {padding!r}.{hint}"
        )
    pads = (padding,) * 4 if isinstance(padding, Integral) else padding
    if not isinstance(pads, Sequence) or not all(
        isinstance(p, Integral) and not isinstance(p, bool) for p in pads
    ):
        raise TypeError(
            f"`padding` must be 'valid', 'same', 'full', an int or (top, bottom, left, right), "
            f"got {padding!r}."
        )
    if len(pads) != 4 or min(pads) < 0:
        raise ValueError(
            f"`padding` must be one int or four, (top, bottom, left, right), none negative, got {padding!r}."
        )
    return Pads(*map(int, pads))
