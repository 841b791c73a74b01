"""A kernel in plain sentences: what it is, how sure, what was left out, what is not known, what next."""

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .describe import parameter_in_words, with_error
from .response import COLUMNS, ROWS, response

if TYPE_CHECKING:
    from .kernel import Kernel

_EXACT = 1e-9  # of the largest weight: what is printed of it does not change
_ROUGH = 0.1  # of the largest weight: an error bar as large asks for more pixels
_EVEN = 0.02  # of what the weights add up to without their signs: as good as nothing
_FINE = 0.35  # cycles per pixel: fine detail, of less than three pixels a wave
_GONE = 0.01  # of it
_CHANGED = 0.1  # of the share of fine detail, that is worth a word

# Verdicts under which no name was given; without one, it may be that none was looked for.
_UNNAMED = (
    "not a convolution",
    "the pictures cannot tell",
    "a convolution that varies across the picture",
)


def explain(kernel: "Kernel") -> str:
    """Say in sentences, a paragraph for each question, what is known of `kernel`."""
    paragraphs = (
        _what_it_is(kernel),
        _how_sure(kernel),
        _left_out(kernel),
        list(kernel.notes),
        _what_next(kernel),
    )
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs if sentences)


def _what_it_is(kernel: "Kernel") -> list[str]:
    kh, kw = kernel.size
    if kernel.weights.ndim == 4:
        c_out, c_in = kernel.weights.shape[:2]
        return [f"{c_out} × {c_in} kernels of {kh} × {kw}: from each colour of `before` to each of `after`."]
    if kernel.weights.ndim == 3:
        return [f"{len(kernel.weights)} kernels of {kh} × {kw}, one for each colour."]
    said = [_verdict(kernel)] if kernel.verdict else []
    known = kernel.name or kernel.family
    if known:
        measures = ", ".join(
            parameter_in_words(name, (value, error or None))
            for name, (value, error) in (kernel.parameters or {}).items()
        )
        said.append(
            f"The kernel, {kh} × {kw}, is this filter: {known}{f' ({measures})' if measures else ''}."
        )
    elif kernel.used is None:
        said.append(f"A kernel of {kh} × {kw}, made by hand.")
    elif kernel.stderr is None or np.isinf(kernel.stderr).any() or kernel.verdict in (None, *_UNNAMED):
        said.append(f"The kernel is {kh} × {kw}.")
    else:
        said.append(f"The kernel is {kh} × {kw}, and no filter with a name that corr2d knows.")
    if kernel.curve is not None:  # what it does to brightness depends on the curve
        return [*said, "What it did to brightness is in the tone curve."]
    return [*said, *_what_it_does(kernel)]


def _verdict(kernel: "Kernel") -> str:
    if kernel.verdict == "not a convolution":
        return "What turned `before` into `after` is not a convolution: no kernel does it."
    if kernel.verdict == "the pictures cannot tell":
        return "These pictures cannot tell whether a kernel turned `before` into `after`."
    return f"What turned `before` into `after` is {kernel.verdict}."


def _error_of(kernel: "Kernel", measure: str) -> Any:
    return kernel.measures[measure][1] if kernel.measures and measure in kernel.measures else None


def _what_it_does(kernel: "Kernel") -> list[str]:
    """Say what becomes of an even area, and of fine detail."""
    weights, bias, error = kernel.weights, kernel.bias, _error_of(kernel, "sum")
    total, gross = float(weights.sum()), float(np.abs(weights).sum())
    within = 2 * error if error is not None and isfinite(error) else 0.0
    if gross == 0:
        return [f"It makes the same of any picture: {bias:.4g}."]
    if abs(total) <= max(_EVEN * gross, within):
        return [f"It answers to changes alone: an even area becomes {bias:.4g}, whatever its brightness."]
    shown = with_error(total, error)
    said = f"It keeps the brightness (its weights add up to {shown})"
    if abs(total - 1) > max(_EVEN, within):
        said = f"It multiplies the brightness by {shown}"
    if abs(bias) > max(2 * (kernel.bias_stderr or 0.0), kernel.rmse or 0.0):
        said += f" and adds {bias:.4g}"
    return [f"{said}.", _fine_detail(weights, abs(total))]


def _fine_detail(weights: NDArray[np.float64], of_even: float) -> str:
    fine = np.hypot(ROWS[:, None], COLUMNS) >= _FINE
    strength = np.abs(response(weights, (0, 0), ROWS[:, None], COLUMNS))[fine]
    share = float(np.sqrt(np.mean(strength**2))) / of_even
    beside = "" if abs(of_even - 1) <= _EVEN else ", beside the brightness"
    if share < _GONE:
        return "Fine detail is all but gone."
    if share < 1 - _CHANGED:
        return f"Fine detail is weakened to {100 * share:.0f} %{beside}."
    if share > 1 + _CHANGED:
        return f"Fine detail is strengthened {share:.2g} times{beside}."
    return f"Fine detail stays as strong as it is{beside}."


def _how_sure(kernel: "Kernel") -> list[str]:
    said = []
    if kernel.r2 is not None and np.isfinite(kernel.r2).all():
        explained = f"It explains {_percent(kernel.r2)} of what varies in `after`"
        left = "" if kernel.rmse is None else f"; what it leaves is {_range(kernel.rmse)} (root mean square)"
        said = [f"{explained}{left}."]
    if kernel.stderr is None:
        return said
    stderr, largest = np.asarray(kernel.stderr), float(np.abs(kernel.weights).max())
    open_taps = int(np.isinf(stderr).sum())
    if open_taps == stderr.size:
        return [*said, "None of its weights is known: the pair leaves all of them open."]
    if open_taps:
        said.append(f"{open_taps} of its {stderr.size} weights are not known: the pair leaves them open.")
    error = float(stderr[np.isfinite(stderr)].max())
    if error <= _EXACT * largest:
        return [*said, "Its weights are exact, but for the last digits that a computer has."]
    of_largest = f", {100 * error / largest:.1g} % of the largest" if largest > 0 else ""
    said.append(
        f"Its weights are right to ± {error:.1g}{of_largest}: two times in three the truth is that near, "
        f"nineteen times in twenty within twice that."
    )
    return said


def _percent(r2: Any) -> str:
    """Give shares with as many nines as they have."""

    def one(share: float) -> str:
        missing = 1 - share
        if missing < 1e-12:
            return "100 %"
        decimals = min(max(0, 1 - int(np.floor(np.log10(missing * 100)))), 12) if missing > 0 else 0
        return f"{100 * share:.{decimals}f} %"

    low, high = one(float(np.min(r2))), one(float(np.max(r2)))
    return low if low == high else f"{low} to {high}"


def _range(figure: Any) -> str:
    low, high = f"{np.min(figure):.2g}", f"{np.max(figure):.2g}"
    return low if low == high else f"{low} to {high}"


def _left_out(kernel: "Kernel") -> list[str]:
    if kernel.used is None:
        return []
    left = sum(kernel.left_out.values())
    if not left:
        return [f"All {kernel.used:,} pixels away from the border count."]
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in kernel.left_out.items() if n)
    share = 100 * left / (left + kernel.used)
    return [f"{kernel.used:,} pixels count; {share:.2g} % were left out: {reasons}."]


def _what_next(kernel: "Kernel") -> list[str]:
    if kernel.used is None:
        return []
    if kernel.verdict == "not a convolution":
        return [
            "Do not take this kernel for what was done: it is only the nearest that a kernel comes to it."
        ]
    if kernel.verdict == "a convolution that varies across the picture":
        return ["`learn_varying` finds a kernel that changes with the place; this one is their mean."]
    if kernel.verdict == "the pictures cannot tell":
        return ["Take larger pictures, or such as have more detail and less noise."]
    said = []
    stderr = np.asarray(kernel.stderr if kernel.stderr is not None else 0.0)
    error = stderr.max() / (np.abs(kernel.weights).max() or 1.0)
    if np.isinf(error):
        said.append("A picture with more detail, in all directions, would tell the rest; pairs add up.")
    elif error > _ROUGH:
        said.append("More pixels would tell more: four times as many halve what is uncertain; pairs add up.")
    if kernel.curve is not None:
        said.append("To repeat what was done, run the kernel, then put its results through the tone curve.")
    else:
        said.append("Run it on other pictures with `corr2d apply`, or by calling it.")
    return said
