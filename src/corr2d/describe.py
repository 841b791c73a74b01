"""A kernel in words and numbers, as it is printed."""

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .families import COMMON, UNITS
from .position import degree_of, monomials

if TYPE_CHECKING:
    from .kernel import Kernel

_SHOWN = 9  # rows and columns; larger kernels are shown in part


def describe(kernel: "Kernel", *, notes: bool = True) -> str:
    """Describe `kernel` to a person: weights ± error bars, bias, figures, what was left out, notes."""
    kh, kw = kernel.size
    mixes = kernel.weights.ndim == 4
    channels = len(kernel.weights) if kernel.weights.ndim > 2 else 0
    of_channels = f", one for each of {channels} channels" if channels else ""
    if mixes:
        of_channels = f", from each of {kernel.weights.shape[1]} channels to each of {channels}"
    lines = [f"Kernel {kh} × {kw}{of_channels}"]
    for c in range(max(channels, 1)):

        def pick(figure: Any, c: int = c) -> Any:
            return figure if figure is None or not channels else figure[c]

        if channels:
            lines.append(f"channel {c}")
        lines += _parameters(kernel, None if not channels else c)
        weights, stderr = pick(kernel.weights), pick(kernel.stderr)
        for i in range(len(weights) if mixes else 0):
            lines += [f"  from channel {i}", *_table(weights[i], None if stderr is None else stderr[i])]
        lines += [] if mixes else _table(weights, stderr)
        lines.append("  bias " + with_error(pick(kernel.bias), pick(kernel.bias_stderr)))
        lines += _measures(kernel, None if not channels else c)
        if kernel.background is not None:
            lines.append("  background " + _polynomial(pick(kernel.background)))
        figures = []
        if kernel.noise is not None:
            figures.append(f"noise {pick(kernel.noise):.3g}")
        if kernel.r2 is not None:
            figures.append(f"R² {_share(pick(kernel.r2))}")
        if kernel.condition is not None:
            figures.append(f"condition {pick(kernel.condition):.3g}")
        lines += ["  " + ", ".join(figures)] if figures else []
    lines += _shifted(kernel)
    if kernel.used is not None:
        lines.append(f"from {kernel.used:,} pixels" + left_out_in_words(kernel.left_out, kernel.used))
    return "\n".join(lines + [f"note: {note}" for note in kernel.notes if notes])


def _shifted(kernel: "Kernel") -> list[str]:
    """Say where the result lies, if the origin is not the centre; an even size has two in the middle."""
    origin = kernel.origin or (0, 0)
    if all(place in (k // 2, (k - 1) // 2) for place, k in zip(origin, kernel.size, strict=True)):
        return [] if origin == tuple(k // 2 for k in kernel.size) else [f"origin {origin}"]
    down, right = (place - k // 2 for place, k in zip(origin, kernel.size, strict=True))
    parts = [
        f"{abs(n)} {noun}{'s' if abs(n) > 1 else ''} {ways[n < 0]}"
        for n, noun, ways in ((down, "row", ("down", "up")), (right, "column", ("right", "left")))
        if n
    ]
    return [f"shifted: {', '.join(parts)}; origin {origin}"]


def _parameters(kernel: "Kernel", channel: int | None) -> list[str]:
    """Name the shape and its parameters; gain and centre, which all shapes have, on a line of their own."""
    named = f"this is: {kernel.name}" if kernel.name else None
    if not kernel.parameters:
        return [f"  {named}"] if named else []

    def shown(name: str, pair: tuple[Any, Any]) -> str:
        value, error = pair if channel is None else (pair[0][channel], pair[1][channel])
        return parameter_in_words(name, (value, None if kernel.name and error == 0 else error))

    own = [shown(*item) for item in kernel.parameters.items() if item[0] not in COMMON]
    common = [shown(*item) for item in kernel.parameters.items() if item[0] in COMMON]
    lines = ["  " + ", ".join(some) for some in (own, common) if some]
    if named and not own:
        return [f"  {named}", *lines]
    head = f"{named}," if named else f"{kernel.family or 'parameters'}:"
    return [f"  {head} {lines[0].strip()}", *lines[1:]]


def _measures(kernel: "Kernel", channel: int | None) -> list[str]:
    """Give what the weights come to in one line; not beside parameters, which say it better."""
    if not kernel.measures or kernel.parameters:
        return []

    figures = {
        name: with_error(*(pair if channel is None else (part[channel] for part in pair)))
        for name, pair in kernel.measures.items()
    }
    center = [figures.pop(name, None) for name in ("center_y", "center_x")]
    if None not in center:
        figures["centre"] = f"({', '.join(map(str, center))})"
    order = [name for name in ("sum", "centre", "width") if name in figures]
    return ["  " + ", ".join(f"{name} {figures[name]}" for name in order)] if order else []


def parameter_in_words(name: str, pair: tuple[float, float | None]) -> str:
    """Give a parameter with its standard error, if it is not one that goes with a name, and its unit."""
    unit = UNITS.get(name, "")
    return f"{name} {with_error(*pair)}" + (f" {unit}" if unit else "")


def with_error(value: float, error: float | None) -> str:
    """Give a figure to the digits that its standard error leaves."""
    if error is None:
        return f"{value:.6g}"
    if not isfinite(error):
        return f"{_rounded(value, 0.0)} ± ∞"
    return f"{_rounded(value, error)} ± {error:.1g}"


def _rounded(value: float, error: float) -> str:
    """Round to the digits that the error leaves meaningful, to six decimals if it is tiny."""
    decimals = min(6, max(0, 1 - int(np.floor(np.log10(error))))) if error > 0 else 6
    if abs(value) > 1e15 or (abs(value) < 1e-3 and abs(value) > 3 * error > 0):
        digits = int(np.floor(np.log10(abs(value)))) + 2 - int(np.floor(np.log10(error))) if error > 0 else 6
        return f"{value:.{min(max(digits, 1), 6)}g}"
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _table(weights: NDArray[np.float64], stderr: NDArray[np.float64] | None) -> list[str]:
    kh, kw = weights.shape
    rows, columns = min(kh, _SHOWN), min(kw, _SHOWN)
    top, left = (kh - rows) // 2, (kw - columns) // 2
    wide = stderr is None or columns > 5  # error bars beside each tap only where a line holds them
    cells = [
        [
            f"{weights[v, u]:.4g}" if wide or stderr is None else with_error(weights[v, u], stderr[v, u])
            for u in range(left, left + columns)
        ]
        for v in range(top, top + rows)
    ]
    width = max(len(cell) for row in cells for cell in row)
    lines = ["  " + "   ".join(cell.rjust(width) for cell in row) for row in cells]
    if (rows, columns) != (kh, kw):
        lines.append(f"  (the {rows} × {columns} weights in the middle)")
    if wide and stderr is not None:
        lines.append(
            f"  each ± {stderr.min():.1g} to {stderr.max():.1g}"
            if np.isfinite(stderr).all()
            else "  some ± ∞"
        )
    return lines


def _polynomial(coefficients: NDArray[np.float64]) -> str:
    powers = monomials(degree_of(len(coefficients) + 1))[1:]
    terms = zip(coefficients, powers, strict=True)
    return " ".join(f"{c:+.4g} {'y' * i}{'x' * j}" for c, (i, j) in terms) + ", y and x from -1 to 1"


def _share(r2: float) -> str:
    """Give R² with as many nines as it has."""
    if not isfinite(r2):
        return "unknown"
    missing = 1 - r2
    if missing < 1e-15:
        return "1"
    nines = -int(np.floor(np.log10(missing)))
    return f"{r2:.{min(15, max(4, nines + 2))}f}"


def left_out_in_words(left_out: dict[str, int], used: int) -> str:
    """Say how many pixels were left out, and why."""
    total = used + sum(left_out.values())
    parts = [f"{n:,} {reason} ({100 * n / total:.1f} %)" for reason, n in left_out.items() if n]
    return "; left out: " + ", ".join(parts) if parts else "; none left out"
