"""Is it a convolution? Pairs that are one, with all that happens to pictures, and pairs that are none."""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from corr2d import Kernel, learn

from .pairs import Image2, crop, filtered, noisy, rounded, textured, through_jpeg
from .study import Cell, Table

DEFAULT = 70  # of each kind of convolution: 1,050 in all; fewer of others, whose tone curves take seconds
_SEED = 5
_SIDES = (128, 192, 256)

Kernel2 = NDArray[np.float64]
Maker = Callable[[np.random.Generator, Image2], "tuple[NDArray[np.generic], set[str]]"]

CONVOLUTION = "a convolution"
CURVED = "a convolution, then a tone curve"
VARIES = "a convolution that varies across the picture"
OTHER = "not a convolution"


def tables(pairs: int = DEFAULT) -> list[Table]:
    """Give what was said of each kind of pair, and how near estimated tone curves come."""
    return [verdicts(pairs), curves(-(-pairs // 8))]


# Pictures and filters


def picture(rng: np.random.Generator, side: int | None = None) -> Image2:
    """Give a picture of 8 bits: three in four a photograph, else noise with a photograph's spectrum."""
    side = int(rng.choice(_SIDES)) if side is None else side
    return (
        crop(rng, side) if rng.random() < 0.75 else rounded(textured(rng, side, rng.uniform(0.5, 1.5))) * 1.0
    )


def some_kernel(rng: np.random.Generator) -> Kernel2:
    """Give a random kernel, a blur, a sharpener or an edge filter, up to 11 x 11."""
    kind = rng.choice(("random", "gaussian", "box", "sharpen", "edge"))
    if kind == "random":
        return rng.standard_normal(rng.integers(1, 12, 2))
    if kind == "gaussian":
        return gaussian(rng.uniform(0.4, 2))
    if kind == "box":
        return np.full(rng.integers(1, 12, 2), 1.0)
    if kind == "sharpen":
        sharpener = -rng.uniform(0.2, 2) * gaussian(rng.uniform(0.6, 1.6))
        sharpener[sharpener.shape[0] // 2, sharpener.shape[1] // 2] += 1 - sharpener.sum()
        return sharpener
    edges = ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], [[0, 1, 0], [1, -4, 1], [0, 1, 0]], [[1, -1]])
    return np.array(edges[rng.integers(len(edges))], np.float64)


def gaussian(sigma: float) -> Kernel2:
    distance = np.arange(-round(2.5 * sigma + 0.5), round(2.5 * sigma + 0.5) + 1)
    taps = np.exp(-(distance**2) / (2 * sigma**2))
    return np.outer(taps, taps) / taps.sum() ** 2


def size_for(kernel: Kernel2) -> int:
    """Give the smallest odd square that holds it."""
    return max(kernel.shape) | 1


def through_some_filter(rng: np.random.Generator, before: Image2, contrast: float) -> Image2:
    """Filter; stretch the result to that contrast, about the mean of `before` or the middle of the range."""
    return stretched(filtered(before, some_kernel(rng)), rng, contrast)


def stretched(image: Image2, rng: np.random.Generator, contrast: float) -> Image2:
    spread = image.std()
    return rng.uniform(100, 156) + (image - image.mean()) * (contrast / spread if spread > 0 else 1)


# What is a convolution


def ordinary(
    rng: np.random.Generator,
    before: Image2,
    *,
    contrast: tuple[float, float] = (15, 60),
    decibels: float = np.inf,
    quality: int | None = None,
    floats: bool = False,
) -> tuple[NDArray[np.generic], set[str]]:
    """Give what a filter makes, and which words for what happened to it are right."""
    after = through_some_filter(rng, before, rng.uniform(*contrast))
    if decibels < np.inf:
        after = noisy(rng, after, decibels)
    if floats:
        return after, {CONVOLUTION}
    then = {CONVOLUTION, f"{CONVOLUTION}, then rounded"}
    if after.min() < -0.5 or after.max() > 255.5:
        then |= {f"{CONVOLUTION}, then clipped", f"{CONVOLUTION}, then clipped and rounded"}
    if quality is not None:
        return through_jpeg(after, quality), then - {f"{CONVOLUTION}, then rounded"}
    return rounded(after), then


CONVOLUTIONS: dict[str, Maker] = {
    "floats": partial(ordinary, floats=True),
    "floats, noise 20 dB": partial(ordinary, floats=True, decibels=20),
    "rounded": ordinary,
    "rounded, little contrast": partial(ordinary, contrast=(1, 5)),
    "much clipped": partial(ordinary, contrast=(80, 150)),
    "noise 40 dB": partial(ordinary, decibels=40),
    "noise 20 dB": partial(ordinary, decibels=20),
    "noise 10 dB": partial(ordinary, decibels=10),
    "noise 10 dB, much clipped": partial(ordinary, decibels=10, contrast=(80, 150)),
    "JPEG 90": partial(ordinary, quality=90),
    "JPEG 90, little contrast": partial(ordinary, quality=90, contrast=(4, 15)),
    "JPEG 90, much clipped": partial(ordinary, quality=90, contrast=(80, 150)),
    "JPEG 95": partial(ordinary, quality=95),
    "window too small": partial(ordinary, decibels=40),
    "JPEG 98, noise 30 dB": partial(ordinary, quality=98, decibels=30),
}

# What is none


def toned(
    rng: np.random.Generator,
    before: Image2,
    curve: Callable[[Image2], Image2],
    kernel: Kernel2 | None = None,
    decibels: float = np.inf,
) -> Image2:
    """Filter, cut off at 0 and 255, and give each grey level another."""
    image = filtered(before, curved_kernel(rng) if kernel is None else kernel)
    toned_image = 255 * curve(np.clip(image / 255, 0, 1))
    return noisy(rng, toned_image, decibels) if decibels < np.inf else toned_image


def curved_kernel(rng: np.random.Generator) -> Kernel2:
    """Give a filter that keeps the level, as one before a tone curve does."""
    kernel = some_kernel(rng)
    while abs(kernel.sum()) < 0.2 * np.abs(kernel).sum():
        kernel = some_kernel(rng)
    return kernel / kernel.sum()


def gamma(power: float) -> Callable[[Image2], Image2]:
    return lambda image: image**power


def s_curve(image: Image2) -> Image2:
    """More contrast in the middle: a third of the way from a straight line to 3 x² - 2 x³."""
    return image + (image**2 * (3 - 2 * image) - image) / 3


def bilateral(before: Image2, sigma: float, tones: float, radius: int = 4) -> Image2:
    """Average neighbours, those of like tone more (Tomasi & Manduchi 1998)."""
    total, weights = np.zeros_like(before), np.zeros_like(before)
    wide = np.pad(before, radius, mode="reflect")
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            there = wide[radius + y :, radius + x :][: before.shape[0], : before.shape[1]]
            weight = np.exp(-(y * y + x * x) / (2 * sigma**2) - np.square(there - before) / (2 * tones**2))
            total += weight * there
            weights += weight
    return total / weights


def normalised(before: Image2, sigma: float) -> Image2:
    """Take the local mean off and divide by the local deviation."""
    mean = scipy.ndimage.gaussian_filter(before, sigma)
    deviation = np.sqrt(np.maximum(scipy.ndimage.gaussian_filter(before**2, sigma) - mean**2, 0))
    return 128 + 40 * (before - mean) / (deviation + 5)


def equalised(before: Image2, parts: int = 8, limit: float = 2.0) -> Image2:
    """Equalise the histogram of each part, its peaks cut off (CLAHE, Zuiderveld 1994)."""
    edges = [np.linspace(0, n, parts + 1).astype(int) for n in before.shape]
    levels = before.astype(int)
    curves_of_parts = np.empty((parts, parts, 256))
    for i in range(parts):
        for j in range(parts):
            part = levels[edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]]
            counts = np.bincount(part.ravel(), minlength=256).astype(float)
            most = limit * part.size / 256
            counts = np.minimum(counts, most) + np.maximum(counts - most, 0).sum() / 256
            curves_of_parts[i, j] = 255 * np.cumsum(counts) / counts.sum()
    places = [np.clip((np.arange(n) + 0.5) * parts / n - 0.5, 0, parts - 1) for n in before.shape]
    first = [np.minimum(place.astype(int), parts - 2) for place in places]
    y, x = first[0][:, None], first[1]
    dy, dx = places[0][:, None] - y, places[1] - x
    return np.asarray(
        (1 - dy) * (1 - dx) * curves_of_parts[y, x, levels]
        + (1 - dy) * dx * curves_of_parts[y, x + 1, levels]
        + dy * (1 - dx) * curves_of_parts[y + 1, x, levels]
        + dy * dx * curves_of_parts[y + 1, x + 1, levels]
    )


def growing_blur(rng: np.random.Generator, before: Image2) -> Image2:
    """Blur with a deviation that grows from left to right, or from top to bottom."""
    sigmas = np.linspace(rng.uniform(0.3, 0.6), rng.uniform(1.5, 3), 16)
    blurred = np.stack([scipy.ndimage.gaussian_filter(before, sigma) for sigma in sigmas])
    axis = int(rng.integers(2))
    place = np.linspace(0, len(sigmas) - 1.001, before.shape[axis])
    which, share = place.astype(int), place % 1
    if axis == 0:
        rows = np.arange(before.shape[0])
        return blurred[which, rows] * (1 - share)[:, None] + blurred[which + 1, rows] * share[:, None]
    columns = np.arange(before.shape[1])
    return blurred[which, :, columns].T * (1 - share) + blurred[which + 1, :, columns].T * share


def shuffled(rng: np.random.Generator, before: Image2) -> Image2:
    return rng.permutation(before.ravel()).reshape(before.shape)


def unrelated(rng: np.random.Generator, before: Image2) -> Image2:
    """Give another photograph or other noise; another part of the same one is a shift, if not too far."""
    return picture(rng, len(before))


Changer = Callable[[np.random.Generator, Image2], Image2]

OTHERS: dict[str, tuple[str, Changer]] = {
    "filter, then gamma 1.2": (CURVED, partial(toned, curve=gamma(1.2))),
    "filter, then gamma 1 / 1.2": (CURVED, partial(toned, curve=gamma(1 / 1.2))),
    "filter, then gamma 2.2": (CURVED, partial(toned, curve=gamma(2.2))),
    "filter, then S-curve": (CURVED, partial(toned, curve=s_curve)),
    "blur that grows": (VARIES, growing_blur),
    "median 3 x 3": (OTHER, lambda _, before: scipy.ndimage.median_filter(before, 3)),
    "median 5 x 5": (OTHER, lambda _, before: scipy.ndimage.median_filter(before, 5)),
    "bilateral": (OTHER, lambda rng, before: bilateral(before, rng.uniform(1.5, 3), rng.uniform(15, 50))),
    "local contrast (CLAHE)": (OTHER, lambda _, before: equalised(before)),
    "local normalisation": (OTHER, lambda rng, before: normalised(before, rng.uniform(4, 12))),
    "pixels shuffled": (OTHER, shuffled),
    "unrelated pictures": (OTHER, unrelated),
}


# The tables


def verdicts(pairs: int) -> Table:
    rows = [_row(name, [convolution(name, i) for i in range(pairs)]) for name in CONVOLUTIONS]
    fewer = -(-pairs // 3)
    rows += [_row(name, [other(name, i) for i in range(fewer)]) for name in OTHERS]
    return Table(
        "verdict",
        f"What was said of {pairs} pairs of each kind of convolution, and {fewer} of each other kind, 128 to "
        "256 pixels wide, in per cent. Right: a convolution is called one, and rounded or clipped only if it "
        "was; others are called what they are.",
        _SEED,
        rows,
    )


def generator(name: str, index: int) -> np.random.Generator:
    return np.random.default_rng([_SEED, index, *name.encode()])


def convolution(name: str, index: int, side: int | None = None) -> tuple[Kernel, set[str]]:
    """Give what is learned of a pair that is a convolution, and the verdicts that are right."""
    rng = generator(name, index)
    while True:
        before = picture(rng, side)
        after, right = CONVOLUTIONS[name](rng, before)
        inside = (after > 0) & (after < 255) if after.dtype == np.uint8 else np.ones(after.shape, bool)
        if inside.mean() > 0.1:
            break
    given = before if after.dtype.kind == "f" else before.astype(np.uint8)
    sizes = (3, 5) if name == "window too small" else (11, 13)
    return learn(given, after, size=int(rng.choice(sizes))), right


def other(name: str, index: int, side: int | None = None) -> tuple[Kernel, set[str]]:
    """Give what is learned of a pair that is no convolution, or not only one, and the right verdict."""
    rng = generator(name, index)
    right, change = OTHERS[name]
    before = picture(rng, side)
    after = rounded(change(rng, before))
    return learn(before.astype(np.uint8), after, size=int(rng.choice((11, 13)))), {right}


def _row(name: str, found: list[tuple[Kernel, set[str]]]) -> dict[str, Cell]:
    said = [kernel.verdict or "" for kernel, _ in found]

    def share(fits: Callable[[str], bool]) -> float:
        return 100 * sum(map(fits, said)) / len(said)

    plain = {
        f"{CONVOLUTION}{then}"
        for then in ("", ", then rounded", ", then clipped", ", then clipped and rounded")
    }
    return {
        "pair": name,
        "right": 100 * sum(kernel.verdict in right for kernel, right in found) / len(found),
        "a convolution": share(lambda verdict: verdict in plain),
        "… rounded": share(lambda verdict: verdict.endswith("rounded")),
        "… clipped": share(lambda verdict: "clipped" in verdict),
        "… tone curve": share(lambda verdict: verdict == CURVED),
        "… varies": share(lambda verdict: verdict == VARIES),
        "not a convolution": share(lambda verdict: verdict == OTHER),
        "cannot tell": share(lambda verdict: verdict == "the pictures cannot tell"),
    }


CURVES: dict[str, tuple[Callable[[Image2], Image2], float]] = {
    "gamma 1.2": (gamma(1.2), np.inf),
    "gamma 1 / 1.2": (gamma(1 / 1.2), np.inf),
    "gamma 2.2": (gamma(2.2), np.inf),
    "gamma 1 / 2.2": (gamma(1 / 2.2), np.inf),
    "S-curve": (s_curve, np.inf),
    "gamma 2.2, noise 30 dB": (gamma(2.2), 30),
    "gamma 2.2, noise 20 dB": (gamma(2.2), 20),
}


def curves(pairs: int) -> Table:
    rows = []
    for name in CURVES:
        found = np.array([one for one in (curve_found(name, i) for i in range(pairs)) if one is not None])
        plain, under, of_kernel, of_curve = np.median(found, axis=0) if len(found) else 4 * [np.nan]
        rows.append(
            {
                "curve": name,
                "found": 100 * len(found) / pairs,
                "left by a straight line": float(plain),
                "left under the curve": float(under),
                "error of the kernel": float(of_kernel),
                "error of the curve": float(of_curve),
            }
        )
    return Table(
        "verdict-curves",
        f"Of {pairs} filters each that a tone curve followed, rounded to 8 bits: in how many per cent it was "
        f"found; and medians of those, in grey levels (root mean square over the pixels), but for the "
        f"kernel's, which is beside its norm.",
        _SEED,
        rows,
    )


def curve_found(name: str, index: int) -> tuple[float, float, float, float] | None:
    """Give what a straight line and the curve leave, and how far off kernel and curve are, if it is found."""
    rng = generator(name, index)
    curve, decibels = CURVES[name]
    before, kernel = picture(rng), curved_kernel(rng)
    after = rounded(toned(rng, before, curve, kernel, decibels))
    given, size = before.astype(np.uint8), size_for(kernel)
    found = learn(given, after, size=size)
    if found.curve is None:
        return None
    truth = np.zeros((size, size))
    top, left = (size // 2 - k // 2 for k in kernel.shape)
    truth[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
    gain = float((found.weights * truth).sum() / (truth**2).sum())
    off = np.linalg.norm(found.weights / gain - truth) / np.linalg.norm(truth)
    results = filtered(before, kernel)[size:-size, size:-size]
    results = results[(results > 0) & (results < 255)]
    estimated = np.interp(found.bias + gain * results, *found.curve.T)
    missed = estimated - 255 * curve(results / 255)
    return (
        learn(given, after, size=size, examine=False).rmse,
        found.rmse,
        float(off),
        float(np.sqrt(np.mean(missed**2))),
    )
