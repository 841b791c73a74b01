"""How often 95 % intervals hold the true tap, bias, sum, centre and width, whatever the noise."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from corr2d import Moments
from corr2d.families import gaussian
from corr2d.kernel import Kernel

from .pairs import Image2, crop, filtered, rounded, through_jpeg
from .study import Cell, Table

DEFAULT = 1000
SEED = 20261122

_NORMAL = 1.959964
_GAIN, _LIFT = 0.6, 50.0  # what goes to 8 bits is squeezed first: nothing is cut off unless that is studied

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """A simulated pair, and what made it."""

    before: ArrayLike
    after: ArrayLike
    weights: _Array
    bias: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)  # of `Moments.of`


_Spoil = Callable[[np.random.Generator, Image2], ArrayLike]


def white(rng: np.random.Generator, after: Image2, deviation: float = 4.0) -> Image2:
    return after + deviation * rng.standard_normal(after.shape)


def blurred(rng: np.random.Generator, after: Image2, width: float) -> Image2:
    """Add noise that is alike in neighbouring pixels."""
    noise = gaussian_filter(rng.standard_normal(after.shape), width, mode="wrap")
    return after + noise * (4 / noise.std())


def of_jpeg(rng: np.random.Generator, after: Image2, quality: int) -> Image2:
    """Add what JPEG did to another picture: it knows nothing of this one."""
    other = rounded(crop(rng, len(after))).astype(float)
    return after + (through_jpeg(other, quality) - other)


def shot(rng: np.random.Generator, after: Image2) -> Image2:
    """Add noise whose variance grows with the light."""
    return after + np.sqrt(np.maximum(after, 0) / 8) * rng.standard_normal(after.shape)


def spikes(rng: np.random.Generator, after: Image2) -> Image2:
    """Add white noise of which a hundredth is ten times as strong."""
    strong = white(rng, np.zeros(after.shape), 40)
    return white(rng, after) + np.where(rng.random(after.shape) < 0.01, strong, 0)


def eight_bits(_: np.random.Generator, after: Image2) -> NDArray[np.uint8]:
    return rounded(after)


def jpeg(_: np.random.Generator, after: Image2, quality: int) -> NDArray[np.uint8]:
    return through_jpeg(after, quality)


NOISES: dict[str, tuple[_Spoil, bool]] = {  # and whether `after` is squeezed
    "white": (white, False),
    "white, 1 % ten times as strong": (spikes, False),
    "stronger where it is bright": (shot, False),
    "rounding to 8 bits": (eight_bits, True),
    "blurred by 0.5 pixels": (partial(blurred, width=0.5), False),
    "blurred by 1 pixel": (partial(blurred, width=1.0), False),
    "that of JPEG 90, from another picture": (partial(of_jpeg, quality=90), False),
    "that of JPEG 75, from another picture": (partial(of_jpeg, quality=75), False),
    "JPEG 90 itself": (partial(jpeg, quality=90), True),
}


def random_filter(rng: np.random.Generator, size: int) -> _Array:
    """Give a blur that is a little irregular and off the centre, or what sharpens by it."""
    place = rng.uniform(-0.2, 0.2, 2)
    blur = gaussian((size, size), *(size / 6 * rng.uniform(0.8, 1.4, 2)), rng.uniform(0, 90), *place)
    blur *= rng.uniform(0.8, 1.2, blur.shape)
    if rng.random() < 0.5:
        return blur
    identity = np.zeros_like(blur)
    identity[size // 2, size // 2] = 1 + blur.sum()
    return identity - blur


def camera(rng: np.random.Generator, side: int) -> Image2:
    """Give a photograph with grain, 3 levels strong: no part of it is flat."""
    return white(rng, crop(rng, side), 3.0)


def pair(rng: np.random.Generator, noise: str, size: int, side: int) -> Pair:
    spoil, squeezed = NOISES[noise]
    before, weights = camera(rng, side), random_filter(rng, size)
    bias = 0.0
    if squeezed:
        weights, bias = weights * _GAIN, _LIFT
    return Pair(before, spoil(rng, filtered(before, weights) + bias), weights, bias)


def clipped(rng: np.random.Generator, noise: float, size: int, side: int) -> Pair:
    """Give a rounded pair with so much light that 3 % are cut off at 255."""
    before, weights = camera(rng, side), random_filter(rng, size)
    weights *= 255 / np.quantile(filtered(before, weights), 0.97)
    return Pair(before, rounded(white(rng, filtered(before, weights), noise)), weights)


def flat(rng: np.random.Generator, size: int, side: int) -> Pair:
    """Give a rounded pair whose `before` is one too: where it is flat, all pixels are rounded alike."""
    before, weights = crop(rng, side), random_filter(rng, size) * _GAIN
    return Pair(before, rounded(filtered(before, weights) + _LIFT), weights, _LIFT)


def true_measures(weights: _Array) -> dict[str, float]:
    """Give them by their definition."""
    y, x = np.indices(weights.shape) - np.array(weights.shape)[:, None, None] // 2
    total = weights.sum()
    center_y, center_x = (weights * y).sum() / total, (weights * x).sum() / total
    square = (weights * ((y - center_y) ** 2 + (x - center_x) ** 2)).sum() / total / 2
    return {"sum": total, "center_y": center_y, "center_x": center_x, "width": np.sqrt(max(square, 0))}


def coverage(pairs: Iterator[Pair], solved: Callable[[Moments], Kernel] = Moments.solve) -> dict[str, Cell]:
    """Give in how many percent of the pairs 95 % intervals hold the truth."""
    taps, plain, beside, blocks = [], [], {}, []

    def note(name: str, value: float, error: float, truth: float) -> None:
        beside.setdefault(name, []).append(abs(value - truth) <= _NORMAL * error)

    for one in pairs:
        moments = Moments.of(one.before, one.after, size=one.weights.shape, **one.options)
        kernel = solved(moments)
        off = np.abs(kernel.weights - one.weights)
        taps.append(off <= _NORMAL * kernel.stderr)
        plain.append(off <= _NORMAL * solved(moments, errors="white").stderr)
        blocks.append(kernel.errors == "blocks")
        note("bias", kernel.bias, kernel.bias_stderr, one.bias)
        for name, truth in true_measures(one.weights).items():
            if name in kernel.measures:
                note(name, *kernel.measures[name], truth)
    of_each = np.mean(taps, axis=0)
    return {
        "blocks": percent(np.mean(blocks)),
        "plain taps": percent(np.mean(plain)),
        "taps": percent(of_each.mean()),
        "least": percent(of_each.min()),
        "most": percent(of_each.max()),
        **{name: percent(np.mean(beside[name])) for name in ("bias", "sum", "center_y", "center_x", "width")},
    }


def percent(share: Any) -> float:
    return round(100 * float(share), 1)


def drawn(make: Callable[[np.random.Generator], Pair], count: int, seed: int) -> Iterator[Pair]:
    return (make(np.random.default_rng([SEED, seed, i])) for i in range(count))


def of_noises(pairs: int) -> Table:
    rows: list[dict[str, Cell]] = []
    for size, side in ((3, 96), (9, 96)):
        cases = {name: partial(pair, noise=name, size=size, side=side) for name in NOISES}
        cases["rounding to 8 bits, parts flat"] = partial(flat, size=size, side=side)
        cases["rounding, 3 % clipped"] = partial(clipped, noise=0.0, size=size, side=side)
        cases["white of 2 and rounding, 3 % clipped"] = partial(clipped, noise=2.0, size=size, side=side)
        for number, (name, make) in enumerate(cases.items()):
            found = coverage(drawn(make, pairs, 100 * size + number))
            rows.append({"noise": name, "kernel": f"{size} × {size}", "pixels": f"{side}²", **found})
    about = (
        f"How many per cent of 95 % intervals hold the truth, over {pairs} pairs each: all taps, the one "
        f"that is held least and most often, the bias and the measures. Blocks: in how many per cent of the "
        f"pairs error bars rest on blocks; plain taps: what those of white noise would hold."
    )
    return Table("errors", about, SEED, rows)


def fits(side: int) -> dict[str, tuple[Callable[..., Kernel], dict[str, Any]]]:
    """Give ways to fit a symmetric blur that sums to one, and the options of its moments."""

    def solved(**options: Any) -> Callable[..., Kernel]:
        return lambda moments, **more: moments.solve(**options, **more)

    half = np.arange(side) < side // 2
    return {
        "free": (solved(), {}),
        "sum=1": (solved(sum=1), {}),
        "symmetric='4-fold'": (solved(symmetric="4-fold"), {}),
        "nonnegative": (solved(nonnegative=True), {}),
        "ridge=1e-5": (solved(ridge=1e-5), {}),
        "rank=1": (solved(rank=1), {}),
        "half of it left out": (solved(), {"where": half}),
        "background=2": (solved(), {"background": 2}),
        "weights from 1 to 2": (solved(), {"weights": np.linspace(1, 2, side)}),
    }


def of_fits(pairs: int) -> Table:
    size, side = 5, 96
    rows: list[dict[str, Cell]] = []
    shape = gaussian((size, size), 1.0, 1.0)

    def make(rng: np.random.Generator, noise: str, options: dict[str, Any]) -> Pair:
        before = camera(rng, side)
        return Pair(before, NOISES[noise][0](rng, filtered(before, shape)), shape, 0.0, options)

    for noise in ("white", "that of JPEG 90, from another picture"):
        for number, (name, (solved, options)) in enumerate(fits(side).items()):
            some = drawn(partial(make, noise=noise, options=options), pairs, 2000 + number)
            rows.append({"noise": noise, "fit": name, **coverage(some, solved)})
    about = (
        f"The same for ways to fit a Gaussian of 1 pixel in {size} × {size} taps to {side}² pixels, over "
        f"{pairs} pairs each."
    )
    return Table("errors-2", about, SEED, rows)


def tables(pairs: int = DEFAULT) -> list[Table]:
    return [of_noises(pairs), of_fits(max(pairs // 4, 1))]
