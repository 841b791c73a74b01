"""Which filter is it? Known filters of all kinds on photographs under noise, and kernels that are none."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from corr2d import Kernel, learn
from corr2d.families import disk, gaussian, motion
from corr2d.operators import operators
from corr2d.resampling import bicubic, bilinear, lanczos, profile_at, reductions

from .pairs import crop, filtered, noisy
from .study import Cell, Table

DEFAULT = 100  # pairs of each kind of filter; half as many again of each kind of random kernel
SEED, RANDOM_SEED = 5006, 5007
SIDE, DECIBELS = 192, 30
REDUCED_SIDE = 288  # of pictures that are made smaller

Taps = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One pair: a filter, the window it is sought in, and what is right to say of it."""

    taps: Taps
    size: int
    names: frozenset[str]  # that begin so are right
    figures: dict[str, float]  # and these parameters, to be held against their error bars
    stride: int = 1
    grey: float = 0.0  # that is added


def named(k: Kernel, case: Case) -> bool:
    return k.name is not None and any(k.name.startswith(name) for name in case.names)


def learned(rng: np.random.Generator, case: Case) -> Kernel:
    before = crop(rng, SIDE if case.stride == 1 else REDUCED_SIDE)
    after = noisy(rng, filtered(before, case.taps)[:: case.stride, :: case.stride], DECIBELS) + case.grey
    return learn(before, after, size=case.size, stride=case.stride)


def _window(rng: np.random.Generator, least: int) -> int:
    """Give a window that holds the filter and up to 4 rows more; odd or even."""
    return int(min(least + rng.integers(0, 5), 15))


def _in_window(taps: Taps, size: int) -> Taps:
    """Put a filter into the middle of a window of zeros; one of even size up and left of it."""
    result = np.zeros((size, size))
    top, left = (size // 2 - k // 2 for k in taps.shape)
    result[top : top + taps.shape[0], left : left + taps.shape[1]] = taps
    return result


def _case(taps: Taps, size: int, *names: str, **figures: float) -> Case:
    return Case(_in_window(np.asarray(taps, np.float64), size), size, frozenset(names), figures)


def _odd(size: int) -> int:
    return size - 1 + size % 2


def identity(rng: np.random.Generator) -> Case:
    return _case(np.ones((1, 1)), _window(rng, 1), "identity")


def whole_shift(rng: np.random.Generator) -> Case:
    size = int(rng.integers(5, 12))
    taps = np.zeros((size, size))
    y, x = rng.choice([at for at in range(size) if at != size // 2], 2)
    taps[y, x] = 1
    return Case(taps, size, frozenset(["shift"]), {"down": size // 2 - y, "right": size // 2 - x})


def part_shift(rng: np.random.Generator) -> Case:
    size = int(rng.choice((9, 11)))
    profile = (bilinear, bicubic, partial(bicubic, a=-0.75), lanczos)[rng.integers(4)]
    down, right = rng.uniform(0.1, 0.9, 2) + rng.integers(-1, 1, 2)
    taps = np.outer(*(profile_at(profile, size, size // 2 - move) for move in (down, right)))
    return Case(taps, size, frozenset(["shift"]), {"down": down, "right": right})


def some_box(rng: np.random.Generator) -> Case:
    height, width = rng.integers(2, 8, 2)
    size = _window(rng, max(height, width))
    return _case(np.full((height, width), 1 / (height * width)), size, "box", height=height, width=width)


def some_gaussian(rng: np.random.Generator) -> Case:
    """Give one as SciPy makes it, cut off at 2 to 4 sigma."""
    sigma, truncate = rng.uniform(0.5, 2.2), rng.uniform(2.5, 4)
    size = _odd(_window(rng, 2 * int(truncate * sigma + 0.5) + 1))
    return _case(
        _impulse(partial(ndimage.gaussian_filter, sigma=sigma, truncate=truncate), size), size, "gaussian"
    )


def _impulse(run: Callable[[Taps], Taps], size: int) -> Taps:
    taps = np.zeros((size, size))
    taps[size // 2, size // 2] = 1
    return np.asarray(run(taps))[::-1, ::-1]


def binomial(rng: np.random.Generator) -> Case:
    """Give one in integers, or one of few taps for its sigma, as OpenCV makes it."""
    taps = int(rng.choice((3, 5, 7)))
    if rng.random() < 0.5:
        profile = np.array([1.0])
        for _ in range(taps - 1):
            profile = np.convolve(profile, [0.5, 0.5])
    else:
        sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8
        profile = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * sigma**2))
    return _case(np.outer(profile, profile) / profile.sum() ** 2, _odd(_window(rng, taps)), "gaussian")


def oval(rng: np.random.Generator) -> Case:
    long, angle = rng.uniform(1.4, 2.2), rng.uniform(-90, 90)
    short = long / rng.uniform(1.5, 2.2)
    figures = {"sigma_long": long, "sigma_short": short, "angle": angle}
    return _case(gaussian((15, 15), long, short, angle), 15, "gaussian", **figures)


def some_disk(rng: np.random.Generator) -> Case:
    radius = rng.uniform(1.2, 6)
    size = _odd(_window(rng, 2 * int(radius + 0.5) + 1))
    return _case(disk((size, size), radius), size, "disk", radius=radius)


def some_motion(rng: np.random.Generator) -> Case:
    length, angle = rng.uniform(3, 13), float(rng.choice((0, 45, 90, *rng.uniform(-90, 90, 3))))
    if angle in (0, 90):
        length = float(2 * (int(length) // 2) + 1)
    size = _odd(_window(rng, int(length) + 2))
    return _case(motion((size, size), length, angle), size, "motion", length=length, angle=angle)


def operator(rng: np.random.Generator, kinds: tuple[str, ...], grey: float = 0.0) -> Case:
    """Give an operator of some kinds, times a common factor."""
    fitting = [one for one in operators() if one.name.startswith(kinds) and not one.parameters]
    one = fitting[rng.integers(len(fitting))]
    factor = 1.0 if grey else rng.choice((1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, -1 / 4))
    same = (other for other in operators() if any(_is_alike(other.taps, w * one.taps) for w in (1, -1)))
    names = {other.name for other in same if other.name.startswith("emboss") or not grey}
    case = _case(factor * one.taps, _window(rng, max(3, *one.taps.shape)), *names)
    return replace(case, grey=grey)


def _is_alike(some: Taps, other: Taps) -> bool:
    """Say whether they are the same, but for a factor and zeros around."""
    trimmed = [_trimmed(taps) / np.abs(taps).max() for taps in (some, other)]
    return trimmed[0].shape == trimmed[1].shape and bool(np.abs(trimmed[0] - trimmed[1]).max() < 1e-9)


def _trimmed(taps: Taps) -> Taps:
    rows, columns = np.flatnonzero(taps.any(axis=1)), np.flatnonzero(taps.any(axis=0))
    return taps[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def laplacian_of_gaussian(rng: np.random.Generator) -> Case:
    sigma = rng.uniform(0.8, 1.6)
    size = _odd(_window(rng, 2 * int(4 * sigma + 0.5) + 1))
    taps = _impulse(partial(ndimage.gaussian_laplace, sigma=sigma), size)
    return _case(taps, size, "laplacian of gaussian", sigma=sigma)


def gaussian_slope(rng: np.random.Generator) -> Case:
    sigma, order = rng.uniform(0.8, 1.6), [(0, 1), (1, 0), (0, 2), (2, 0)][rng.integers(4)]
    size = _odd(_window(rng, 2 * int(4 * sigma + 0.5) + 1))
    taps = _impulse(partial(ndimage.gaussian_filter, sigma=sigma, order=order), size)
    axis = "y" if order[0] else "x"
    return _case(taps, size, f"derivative of a gaussian, order {max(order)} in {axis}", sigma=sigma)


def unsharp(rng: np.random.Generator) -> Case:
    sigma, amount = rng.uniform(0.7, 1.9), rng.uniform(0.3, 2)
    size = _odd(_window(rng, 2 * int(3 * sigma + 0.5) + 1))
    blur = _impulse(partial(ndimage.gaussian_filter, sigma=sigma, truncate=3), size)
    middle = _in_window(np.ones((1, 1)), size)
    return _case(middle + amount * (middle - blur), size, "unsharp mask", sigma=sigma, amount=amount)


def sharpening(rng: np.random.Generator) -> Case:
    which, name = [("4 neighbours", "4"), ("8 neighbours", "8")][rng.integers(2)]
    edges = next(one.taps for one in operators() if one.name == f"laplacian, {which}")
    amount = float(rng.choice((1, 1 / 2, 1 / 8)))
    taps = -amount * edges
    taps[1, 1] += 1
    return _case(taps, _odd(_window(rng, 3)), f"sharpen, {name}", amount=amount)


def reduction(rng: np.random.Generator) -> Case:
    """Give one as Pillow or OpenCV makes a picture smaller by 2 or 3."""
    step = int(rng.integers(2, 4))
    fitting = [(name, taps) for name, taps in reductions((step, step)) if 1 < len(taps) <= 13]
    _, taps = fitting[rng.integers(len(fitting))]
    names = {name for name, other in fitting if _is_alike(other, taps)}
    size = len(taps) + 2
    # Its middle is (step - 1) / 2 pixels down and right of the one that stands at size // 2.
    top = size // 2 + (step - len(taps)) // 2
    wide = np.zeros((size, size))
    wide[top : top + len(taps), top : top + len(taps)] = taps
    return Case(wide, size, frozenset(names), {}, stride=step)


_EDGES = ("sobel", "prewitt", "scharr", "roberts", "farid", "frei", "kirsch")

KINDS: dict[str, Callable[[np.random.Generator], Case]] = {
    "identity": identity,
    "shift, whole": whole_shift,
    "shift, between pixels": part_shift,
    "box": some_box,
    "gaussian": some_gaussian,
    "gaussian of few taps": binomial,
    "gaussian, long": oval,
    "disk": some_disk,
    "motion": some_motion,
    "smoothing of Pillow": partial(operator, kinds=("smooth", "blur")),
    "edges: sobel and others": partial(operator, kinds=_EDGES),
    "derivative of order 1 to 4": partial(operator, kinds=("derivative", "forward", "central")),
    "laplacian": partial(operator, kinds=("laplacian",)),
    "laplacian of gaussian": laplacian_of_gaussian,
    "derivative of a gaussian": gaussian_slope,
    "unsharp mask": unsharp,
    "sharpen": sharpening,
    "emboss": partial(operator, kinds=("emboss",), grey=128.0),
    "reduction by 2 or 3": reduction,
}


def _independent(rng: np.random.Generator, size: int) -> Taps:
    return rng.standard_normal((size, size))


def _positive(rng: np.random.Generator, size: int) -> Taps:
    return rng.random((size, size)) / size**2


def _few(rng: np.random.Generator, size: int) -> Taps:
    """Give positive taps at a third of the places."""
    return np.where(rng.random((size, size)) < 1 / 3, rng.random((size, size)), 0) + 1e-3


def _smooth(rng: np.random.Generator, size: int) -> Taps:
    wide = ndimage.gaussian_filter(rng.standard_normal((size + 8, size + 8)), 1)
    return np.asarray(wide[4:-4, 4:-4])


def _smooth_positive(rng: np.random.Generator, size: int) -> Taps:
    wide = ndimage.gaussian_filter(rng.exponential(size=(size + 8, size + 8)), 0.7)
    return np.asarray(wide[4:-4, 4:-4]) / size**2


def _turned_alike(rng: np.random.Generator, size: int) -> Taps:
    taps = rng.standard_normal((size, size))
    return taps + taps[::-1, ::-1]


def _mirrored(rng: np.random.Generator, size: int) -> Taps:
    taps = rng.random((size, size))
    return (taps + taps[:, ::-1]) / size**2


def _square(rng: np.random.Generator, size: int) -> Taps:
    """Give one alike under all mirrors of a square; 3 x 3 has three numbers, of which some are a filter."""
    size = max(size, 5)
    half = rng.standard_normal((size, size))
    y, x = np.sort(np.abs(np.indices((size, size)) * 2 - (size - 1)), axis=0)
    return half[y // 2, x // 2]


RANDOM: dict[str, Callable[[np.random.Generator, int], Taps]] = {
    "independent": _independent,
    "positive": _positive,
    "positive, few": _few,
    "smooth": _smooth,
    "smooth, positive": _smooth_positive,
    "alike under half a turn": _turned_alike,
    "alike from left and right": _mirrored,
    "alike as a square is": _square,
}


def random_kernel(rng: np.random.Generator, kind: str) -> Case:
    size = int(rng.integers(3, 16))
    taps = RANDOM[kind](rng, size)
    return Case(taps, len(taps), frozenset(), {})


def of_kind(kind: str, pairs: int, seed: int = SEED) -> tuple[dict[str, Cell], Counter[str]]:
    """Simulate one kind: how many are right and wrong, how far parameters are off, and what is said."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    said: Counter[str] = Counter()
    right, deviations = 0, []
    for _ in range(pairs):
        case = KINDS[kind](rng)
        k = learned(rng, case)
        is_right = named(k, case)
        right += is_right
        said[k.name or "no name"] += 1
        if is_right:
            deviations += _deviations(k, case)
    row: dict[str, Cell] = {
        "filter": kind,
        "right, %": 100 * right / pairs,
        "another name, %": 100 * (pairs - right - said["no name"]) / pairs,
        "no name, %": 100 * said["no name"] / pairs,
        "parameters within 2 standard errors, %": _share_within(deviations),
    }
    return row, said


def _deviations(k: Kernel, case: Case) -> list[float]:
    """Give how many standard errors each parameter is off, but of those that have none."""
    found = []
    for name, expected in case.figures.items():
        value, error = (k.parameters or {}).get(name, (np.nan, 0.0))
        if error > 0:
            away = value - expected
            found.append(((away + 90) % 180 - 90 if name == "angle" else away) / error)
    return found


def _share_within(deviations: list[float]) -> Cell:
    return 100 * float(np.mean(np.abs(deviations) < 2)) if deviations else "-"


def random_names(kind: str, count: int, seed: int = RANDOM_SEED) -> dict[str, Cell]:
    """Give how many random kernels of a kind have a name, and which."""
    rng = np.random.default_rng([seed, list(RANDOM).index(kind)])
    names = [name for _ in range(count) if (name := learned(rng, random_kernel(rng, kind)).name)]
    return {
        "random kernel": kind,
        "kernels": count,
        "with a name": len(names),
        "names": ", ".join(names) or "-",
    }


def tables(pairs: int = DEFAULT) -> list[Table]:
    rows, confusion = [], []
    for kind in KINDS:
        row, said = of_kind(kind, pairs)
        rows.append(row)
        confusion.append(_said(kind, said, pairs))
    about = (
        f"{pairs} pairs of each filter, {SIDE} x {SIDE} pixels of photographs ({REDUCED_SIDE} where they are "
        f"reduced), noise {DECIBELS} dB below."
    )
    count = pairs + pairs // 2
    return [
        Table("names", about, SEED, rows),
        Table("names-confusion", "What was said of them.", SEED, confusion),
        Table(
            "names-random",
            f"{count} random kernels of each kind, 3 x 3 to 15 x 15, on the same photographs and noise.",
            RANDOM_SEED,
            [random_names(kind, count) for kind in RANDOM],
        ),
    ]


def _said(kind: str, said: Counter[str], pairs: int) -> dict[str, Cell]:
    words = (f"{name} {100 * n / pairs:.0f} %" for name, n in said.most_common(6))
    rest = len(said) - 6
    return {"filter": kind, "said": "; ".join(words) + (f"; {rest} more" if rest > 0 else "")}
