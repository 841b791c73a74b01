"""Which known filter a kernel is, as far as its pair can tell.

A name is judged by how much worse its filter explains the pair than the kernel does, ``(w - named)^T G (w -
named)`` with G the centred Gram matrix: noise alone makes of it, in units of its variance, a sum of as many
squares of standard normal numbers as the name removes unknowns (a likelihood ratio test: Wilks 1938). Filters
of few numbers come first, and the first that chance allows is taken; of those with as many, the best.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..kernel import Kernel
from .between import moved_between
from .evidence import Evidence, Named
from .fitted import fitted_filters
from .fixed import fixed_filters
from .symmetric import Groups, Symmetric, Symmetry, middles

__all__ = ["Evidence", "Named", "moved_name", "named_filter"]

# How alike to itself, turned by half a turn, a kernel must be to be looked at as symmetric: of G the same
# everywhere all of those that are have 1, and of that of a picture a little less.
_HALF_TURNED = 0.9

# Of the cost: of those that are the same kernel, the first that is given is taken.
_AS_GOOD = 0.1


def named_filter(evidence: Evidence) -> Named | None:
    """Give the filter that the kernel is, or None."""
    if not evidence.tells:
        return None
    for filters in _by_unknowns(evidence):
        accepted = [named for named in filters if evidence.accepts(named)]
        if accepted:
            least = min(map(evidence.cost, accepted))
            return _placed(evidence, next(n for n in accepted if evidence.cost(n) <= least + _AS_GOOD))
    return None


def _by_unknowns(evidence: Evidence) -> Iterator[list[Named]]:
    yield fixed_filters(evidence)
    centres, turned = middles(evidence)
    symmetries: tuple[Symmetry, ...] = ()
    if turned > _HALF_TURNED:
        symmetries = ("square", "rectangle", "half turn")
    elif turned < -_HALF_TURNED:
        symmetries = ("odd in x", "odd in y")
    for centre in centres:
        is_there = False
        for symmetry in symmetries:
            groups = Groups.of(evidence.size, centre, symmetry)
            if not groups.count or (symmetry == "square" and centre[0] % 1 != centre[1] % 1):
                continue
            symmetric = Symmetric.of(evidence, groups)
            is_there = is_there or evidence.allows(symmetric.excess, symmetric.freedom)
            if symmetric.excess <= evidence.most(symmetric.freedom):
                yield fitted_filters(evidence, symmetric)
        if is_there:  # about no other place, then
            break
    yield list(moved_between(evidence))


def _placed(evidence: Evidence, named: Named) -> Named:
    """Say by how much the picture is moved, if it is moved by more than cannot be helped."""
    moves = [
        k // 2 + shift + apart - middle
        for k, shift, apart, middle in zip(
            evidence.size, evidence.shift, named.apart, named.middle, strict=True
        )
    ]
    parameters = dict(named.parameters)
    if named.name.startswith("shift"):
        return named
    if any(abs(move) > 0.5 for move in moves):
        gain = parameters.pop("gain", None)
        parameters |= {way: (move, 0.0) for way, move in zip(("down", "right"), moves, strict=True)}
        parameters |= {} if gain is None else {"gain": gain}
    name = "shift" if named.name == "identity" and "down" in parameters else named.name
    if name == "box" and min(parameters[side][0] for side in ("height", "width")) == 1:
        name, parameters = _as_motion(parameters)
    return replace(named, name=name, parameters=parameters)


def moved_name(kernel: Kernel, shift: tuple[int, int]) -> dict[str, Any]:
    """Give the name and the parameters of a kernel whose result is moved by so many rows and columns more."""
    if kernel.name is None or shift == (0, 0):
        return {}
    parameters = dict(kernel.parameters or {})
    zero = np.zeros(np.shape(kernel.bias))
    for way, further in zip(("down", "right"), shift, strict=True):
        move, error = parameters.get(way, (zero, zero))
        parameters[way] = (move + further, error)
    if all(not np.any(parameters[way]) for way in ("down", "right")):
        parameters = {name: pair for name, pair in parameters.items() if name not in ("down", "right")}
    name = "shift" if kernel.name == "identity" else kernel.name
    return {"name": name, "parameters": parameters}


def _as_motion(parameters: dict[str, tuple[float, float]]) -> tuple[str, dict[str, tuple[float, float]]]:
    """Call a box that is one pixel wide, and three or more long, what photographers call it."""
    height, width = parameters["height"], parameters["width"]
    length, angle = (width, 0.0) if width[0] > height[0] else (height, 90.0)
    if length[0] < 3:
        return "box", parameters
    rest = {name: pair for name, pair in parameters.items() if name not in ("height", "width")}
    return "motion", {"length": length, "angle": (angle, 0.0), **rest}
