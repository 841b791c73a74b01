"""Which colours of a pair make one kernel: all alike, each its own, or all of them each one of the result."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dtypes import as_image, channels_first
from .kernel import Kernel
from .moments import Moments, measure
from .pair import Resolved, resolve_pair, resolve_weights, resolve_where

_FIGURES = ("bias", "stderr", "bias_stderr", "rmse", "noise", "r2", "condition", "rank")
_ARRAYS = {"background": 1, "response_stderr": 2}  # figures with axes of their own


@dataclass(frozen=True)
class Part:
    """What one kernel is made of."""

    before: ArrayLike
    after: ArrayLike
    channel_axis: int | None
    mix: bool
    where: Any
    weights: Any

    def resolved(self, **options: Any) -> Resolved:
        """Check it, and the options of `Moments.of`."""
        return resolve_pair(
            self.before, self.after, channel_axis=self.channel_axis, mix=self.mix, where=self.where,
            weights=self.weights, **options,
        )  # fmt: skip

    def moments(self, **options: Any) -> Moments:
        """Measure it."""
        return measure(self.resolved(**options))


@dataclass(frozen=True)
class Colours:
    """How a pair's channels are taken."""

    axis: int | None
    way: Literal["alike", "each", "mix"]

    @classmethod
    def resolve(cls, channel_axis: int | None, *, per_channel: bool, mix: bool) -> "Colours":
        """Check what the user gave."""
        if per_channel and mix:
            raise ValueError("`per_channel` and `mix` exclude each other. Leave one out.")
        name = "per_channel" if per_channel else "mix"
        if (per_channel or mix) and channel_axis is None:
            raise ValueError(f"`{name}` needs `channel_axis`, to know where the colours are.")
        return cls(channel_axis, "each" if per_channel else "mix" if mix else "alike")

    def shapes(self, before: NDArray[Any], after: NDArray[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give the shapes that must fit each other, rows and columns last."""
        x = channels_first(before, self.axis, "before").shape
        y = channels_first(after, self.axis, "after").shape
        return (x[1:], y[1:]) if self.way == "mix" else (x, y)

    def parts(self, before: ArrayLike, after: ArrayLike, where: Any, weights: Any) -> list[Part]:
        """Give what each kernel is made of."""
        if self.way == "alike":
            return [Part(before, after, self.axis, False, where, weights)]
        x = channels_first(as_image(before, "before"), self.axis, "before")
        y = channels_first(as_image(after, "after"), self.axis, "after")
        masks, factors = [None] * len(y), [None] * len(y)
        if where is not None:
            masks = list(resolve_where(where, np.shape(after), self.axis))
        if weights is not None:
            factors = list(resolve_weights(weights, np.shape(after), self.axis))
        mix = self.way == "mix"
        if min(len(x), len(y)) == 0 or (len(x) != len(y) and not mix):
            which = "channels" if mix else "the same channels, at least one"
            raise ValueError(f"`before` and `after` must have {which}, got {len(x)} and {len(y)}.")
        of_each = zip(y, masks, factors, strict=True)
        if mix:
            return [Part(x, channel, 0, True, *rest) for channel, *rest in of_each]
        return [Part(a, b, None, False, *rest) for a, (b, *rest) in zip(x, of_each, strict=True)]

    def stacked(self, kernels: list[Kernel], notes: Iterable[str] = ()) -> Kernel:
        """Make one kernel with channels of those of the parts; one of all colours alike stays as it is."""
        if len(kernels) == 1 and self.way != "mix":
            return kernels[0].with_notes(*notes)
        kh, kw = kernels[0].size
        taps = (-1, kh, kw) if self.way == "mix" else (kh, kw)
        figures: dict[str, Any] = {"weights": np.stack([k.weights.reshape(taps) for k in kernels])}
        for name in (*_FIGURES, *_ARRAYS):
            each = [getattr(kernel, name) for kernel in kernels]
            if any(value is None for value in each):
                continue
            if name == "stderr":
                figures[name] = np.stack([np.reshape(value, taps) for value in each])
            else:
                ndim = _ARRAYS.get(name, 0)
                figures[name] = np.stack([np.reshape(v, np.shape(v)[np.ndim(v) - ndim :]) for v in each])
        left_out = {
            reason: sum(k.left_out.get(reason, 0) for k in kernels)
            for reason in dict.fromkeys(reason for k in kernels for reason in k.left_out)
        }
        words = [f"channel {c}: {note}" for c, kernel in enumerate(kernels) for note in kernel.notes]
        used = sum(kernel.used or 0 for kernel in kernels)
        origins = {
            f"{key}, channel {c}": text for c, k in enumerate(kernels) for key, text in k.provenance.items()
        }
        names = {kernel.name for kernel in kernels}
        alike = len(names) == 1
        return Kernel(
            **figures, errors=_errors(kernels), measures=_together("measures", kernels),
            family=kernels[0].family, name=kernels[0].name if alike else None,
            parameters=_together("parameters", kernels) if alike else None, used=used, left_out=left_out,
            notes=(*words, *notes), provenance=origins, origin=kernels[0].origin,
        )  # fmt: skip


def _errors(kernels: list[Kernel]) -> str | None:
    """Say what all error bars assume of the noise: "blocks" if those of any channel rest on them."""
    kinds = {kernel.errors for kernel in kernels}
    return "blocks" if "blocks" in kinds else kernels[0].errors


def _flat(figures: Iterable[Any]) -> NDArray[np.float64]:
    return np.array([np.reshape(figure, ()) for figure in figures])


def _together(name: str, kernels: list[Kernel]) -> dict[str, tuple[Any, Any]] | None:
    """Give the measures or parameters of each channel together, those that all of them have."""
    each = [figures for kernel in kernels if (figures := getattr(kernel, name)) is not None]
    if not each:
        return None
    return {
        key: (_flat(one[key][0] for one in each), _flat(one[key][1] for one in each))
        for key in each[0]
        if all(key in one for one in each)
    }
