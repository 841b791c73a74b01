"""Simulated pairs: photographs, filters, and what cameras and files do to the result."""

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corr2d import corr2d

PHOTOS = Path(__file__).parents[1] / "examples" / "photos"

_MORE = ("astronaut", "brick", "cell", "coins", "grass", "gravel", "hubble_deep_field", "moon", "rocket")

Image2 = NDArray[np.float64]


@cache
def photographs() -> tuple[Image2, ...]:
    """Give grey photographs, 0 to 255: ours, and those that scikit-image brings if it is there."""
    paths = sorted(PHOTOS.glob("*.png"))
    try:
        from skimage import data
    except ImportError:
        pass
    else:
        folder = Path(data.__file__).parent
        paths += [path for name in _MORE for path in sorted(folder.glob(f"{name}.*"))]
    photos = [np.asarray(Image.open(path).convert("L"), np.float64) for path in paths]
    for photo in photos:
        photo.flags.writeable = False
    return tuple(photos)


def crop(rng: np.random.Generator, side: int) -> Image2:
    """Give a square of a photograph, as its 8 bits are; turned and mirrored, so that few are ever the same.

    Flat ones, such as sky, are passed over: they would be studies of noise.
    """
    while True:
        photo = photographs()[rng.integers(len(photographs()))]
        if min(photo.shape) < side:
            continue
        y, x = (rng.integers(n - side + 1) for n in photo.shape)
        part = np.rot90(photo[y : y + side, x : x + side], rng.integers(4))
        part = part[:, :: rng.choice((-1, 1))]
        if part.std() > 12:
            return np.ascontiguousarray(part)


def textured(rng: np.random.Generator, side: int, slope: float = 1.0) -> Image2:
    """Give noise whose amplitudes fall like a photograph's, 1 / frequency**slope; mean 128, deviation 30."""
    spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    image = np.fft.irfft2(spectrum / (frequency + 1 / side) ** slope, (side, side))
    return 128 + 30 * (image - image.mean()) / image.std()


def filtered(before: Image2, kernel: NDArray[np.float64], mode: str = "reflect") -> Image2:
    """Run a filter as an editor does: the same size, some rule at the border."""
    return np.asarray(corr2d(before, kernel, padding="same", mode=mode, dtype=np.float64))


def noisy(rng: np.random.Generator, image: Image2, decibels: float) -> Image2:
    """Add white noise, so much below the contrast of the picture: 20 dB is a tenth of its deviation."""
    return image + rng.standard_normal(image.shape) * image.std() * 10 ** (-decibels / 20)


def rounded(image: Image2) -> NDArray[np.uint8]:
    """Round to 8 bits, and cut off at 0 and 255."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def through_jpeg(image: Image2, quality: int) -> NDArray[np.uint8]:
    file = BytesIO()
    Image.fromarray(rounded(image)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
