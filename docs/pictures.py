"""Draw the pictures of README.md and docs/learning.md, from the top of the repository: `make pictures`."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from corr2d import Kernel, corr2d, learn, learn_varying
from corr2d.families import gaussian, motion
from corr2d.plot import draw_pair

DOCS, PHOTOS = Path("docs"), Path("examples/photos")
WIDTH = 1200  # pixels


def photo(name: str, mode: str = "L") -> Image.Image:
    with Image.open(PHOTOS / name) as image:
        return image.convert(mode)


def draw(name: str, before: Any, after: Any, kernel: Kernel) -> None:
    """Draw a pair, smaller than `learn --picture` does."""
    path = DOCS / f"{name}.png"
    draw_pair(np.asarray(before), np.asarray(after), kernel, path)
    with Image.open(path) as drawing:
        size = WIDTH, round(drawing.height * WIDTH / drawing.width)
        drawing.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path, optimize=True)


def draw_edges() -> None:
    before = photo("coffee.png", "RGB")
    after = before.filter(ImageFilter.FIND_EDGES)
    draw("demo", before, after, learn(np.asarray(before), np.asarray(after), channel_axis=-1))


def draw_shifted() -> None:
    before = photo("camera.png")
    after = np.roll(np.asarray(before.filter(ImageFilter.BoxBlur(2))), (31, -57), axis=(0, 1))
    draw("shifted", before, after, learn(np.asarray(before), after, shift="auto"))


def draw_mixed() -> None:
    before = np.asarray(photo("chelsea.png", "RGB"))
    sepia = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
    after = corr2d(before, sepia[:, :, None, None], channel_axis=-1, dtype=np.uint8)
    draw("mixed", before, after, learn(before, after, channel_axis=-1, mix=True))


def draw_motion() -> None:
    before = np.asarray(photo("camera.png"))
    shaken = corr2d(before, motion((15, 15), length=11, angle=30), padding="same", mode="reflect")
    after = np.clip(np.rint(shaken + np.random.default_rng(0).normal(0, 3, shaken.shape)), 0, 255)
    draw("motion", before, after.astype(np.uint8), learn(before, after, size=15, family="motion"))


def draw_varying() -> None:
    # The kernel found at the left, in the middle and at the right of a blur that grows to the right.
    before = np.asarray(photo("coffee.png")).astype(float)
    h, w = before.shape
    share, wide = np.linspace(0, 1, w), np.outer(*[np.hanning(9)[1:-1] / 4] * 2)
    soft = corr2d(before, wide, padding="same", mode="reflect")
    kernel = learn_varying(before, before * (1 - share) + soft * share, size=7)
    rows = [kernel.at(h / 2, x).weights for x in (0, w / 2, w - 1)]
    drawn = np.concatenate([np.pad(np.clip(k / k.max(), 0, 1), 1) for k in rows], axis=1)
    image = Image.fromarray(np.rint(255 * (1 - drawn)).astype(np.uint8))
    image.resize((image.width * 16, image.height * 16), Image.Resampling.NEAREST).save(DOCS / "varying.png")


def draw_restored() -> None:
    # The photograph, blurred, and restored where there was little noise and where there was much.
    before = np.asarray(photo("camera.png")).astype(float)
    blurred = corr2d(before, gaussian((13, 13), 1.5, 1.5), padding="same", mode="reflect")
    shown = [before, blurred]
    for noise in (0.3, 5):
        after = blurred + np.random.default_rng(0).normal(0, noise, before.shape)
        shown.append(learn(after, before, size=15)(after, padding="same", mode="reflect"))
    parts = [np.pad(part[60:310, 130:380], 2, constant_values=255) for part in shown]
    image = Image.fromarray(np.clip(np.rint(np.concatenate(parts, axis=1)), 0, 255).astype(np.uint8))
    image.resize((WIDTH, WIDTH * image.height // image.width), Image.Resampling.LANCZOS).save(
        DOCS / "restored.png"
    )


if __name__ == "__main__":
    for picture in (draw_edges, draw_shifted, draw_mixed, draw_motion, draw_varying, draw_restored):
        picture()
