"""What `make demo` runs, from the top of the repository.

An editor's filter is found again from two files, and run on another photograph.
"""

import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageFilter

PHOTOS = Path("examples/photos")
OUT = Path("out")


def corr2d(*words: str) -> None:
    """Show a command line and run it."""
    print(f"\n$ {shlex.join(['corr2d', *words])}", flush=True)
    subprocess.run([sys.executable, "-m", "corr2d", *words], check=True)


OUT.mkdir(exist_ok=True)
with Image.open(PHOTOS / "coffee.png") as photo:
    photo.save(OUT / "before.png")
    photo.filter(ImageFilter.FIND_EDGES).save(OUT / "after.png")
print(
    f"{OUT / 'before.png'} is a photograph; {OUT / 'after.png'} is what Pillow's FIND_EDGES made of it, "
    "cut off at 0 and 255."
)

corr2d("learn", "out/before.png", "out/after.png", "-o", "out/kernel.json", "--picture", "out/demo.png")
corr2d("apply", "out/kernel.json", str(PHOTOS / "chelsea.png"), "-o", "out/chelsea-edges.png")
print(f"\nOpen {(OUT / 'demo.png').resolve()}")
