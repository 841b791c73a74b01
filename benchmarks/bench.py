"""Measure corr2d beside its peers, print the tables, and write them into the README.

Every figure is a ratio of two calls that follow each other, A B A B …, in one process with both at their
default number of threads; quoted are the median and the quartiles of the ratios. Fresh output arrays for
everyone, as users have them. A peer's answer is compared with ours before it is timed.
"""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import scipy.ndimage
import scipy.signal
import torch
from PIL import Image

import corr2d
from corr2d import _engine, learn
from corr2d.threads import usable_cpus

ROOT = Path(__file__).parent.parent
SIDE = 2048
SIZES = (3, 5, 7, 9, 11, 15, 21, 31, 63, 127)
SLOW_SIZES = SIZES[:8]  # for peers that make all products one by one
SECONDS = 2.0  # for each pair
LEARN_SIZES = (3, 9)

Call = Callable[[], np.ndarray]


@dataclass
class Row:
    """One comparison: milliseconds of ours, and ratios theirs / ours."""

    table: str
    what: str
    peer: str
    ours_ms: float
    ratio: float
    low: float
    high: float
    runs: int
    note: str = ""


def random_kernel(rng: np.random.Generator, k: int) -> np.ndarray:
    return rng.standard_normal((k, k)).astype(np.float32)


def gaussian_kernel(_: np.random.Generator, k: int) -> np.ndarray:
    line = cv2.getGaussianKernel(k, 0)
    return (line @ line.T).astype(np.float32)


def averaging_kernel(rng: np.random.Generator, k: int) -> np.ndarray:
    kernel = rng.random((k, k))
    return (kernel / kernel.sum()).astype(np.float32)


def peers(image: np.ndarray, kernel: np.ndarray) -> dict[str, Call]:
    tensor, weight = torch.from_numpy(image)[None, None], torch.from_numpy(kernel)[None, None]
    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    fast = {
        "cv2.filter2D": lambda: cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101),
        "scipy.signal.fftconvolve": lambda: scipy.signal.fftconvolve(image, turned, mode="valid"),
    }
    slow = {
        "scipy.ndimage.correlate": lambda: scipy.ndimage.correlate(image, kernel, mode="mirror"),
        "torch.conv2d": lambda: torch.conv2d(tensor, weight)[0, 0].numpy(),
    }
    return fast | slow if len(kernel) in SLOW_SIZES else fast


def opencv(image: np.ndarray, kernel: np.ndarray) -> dict[str, Call]:
    return {"cv2.filter2D": lambda: cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)}


def opencv_separable(image: np.ndarray, kernel: np.ndarray) -> dict[str, Call]:
    line = cv2.getGaussianKernel(len(kernel), 0)
    return {
        "cv2.sepFilter2D": lambda: cv2.sepFilter2D(image, -1, line, line, borderType=cv2.BORDER_REFLECT_101)
    }


# title: type of the pixels, kernels, peers, sizes
TABLES = {
    "float32, random kernel": (np.float32, random_kernel, peers, SIZES),
    "float32, Gaussian kernel, given whole to us and as two vectors to OpenCV": (
        np.float32, gaussian_kernel, opencv_separable, SIZES[:9],
    ),
    "uint8 to uint8, random kernel": (np.uint8, averaging_kernel, opencv, (3, 5, 9, 15, 31)),
    "float64, random kernel": (np.float64, random_kernel, opencv, (3, 5, 7, 9, 15, 31)),
}  # fmt: skip


def seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(table: str, what: str, peer: str, ours: Call, theirs: Call) -> Row:
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(2)][1:]  # the first is a warm-up
    budget = time.perf_counter() + SECONDS
    while len(pairs) < 5 or (time.perf_counter() < budget and len(pairs) < 101):
        pairs.append((seconds(ours), seconds(theirs)))
    mine, other = np.array(pairs).T
    low, ratio, high = np.quantile(other / mine, [0.25, 0.5, 0.75])
    row = Row(
        table, what, peer, float(np.median(mine)) * 1e3, float(ratio), float(low), float(high), len(pairs)
    )
    print(f"{what:10} {peer:26} {row.ours_ms:8.2f} ms   {row.ratio:7.1f} ×", flush=True)
    return row


def applying(rng: np.random.Generator) -> list[Row]:
    rows = []
    for title, (dtype, make, rivals, sizes) in TABLES.items():
        print(title)
        image = rng.standard_normal((SIDE, SIDE)).astype(dtype)
        if dtype == np.uint8:
            image = rng.integers(0, 256, (SIDE, SIDE), dtype)
        for k in sizes:
            kernel = make(rng, k)
            for peer, theirs in rivals(image, kernel).items():
                options = {"padding": "same", "mode": "mirror"} if theirs().shape == image.shape else {}
                ours = partial(corr2d.corr2d, image, kernel, dtype=dtype, **options)
                allowed = 1 if dtype == np.uint8 else 1e-4 * np.abs(theirs()).max()
                assert np.abs(ours().astype(float) - theirs()).max() <= allowed, peer
                rows.append(compare(title, f"{k} × {k}", peer, ours, theirs))
    return rows


def learning(rng: np.random.Generator) -> list[Row]:
    """Against the textbook's own tools: the same layer with a better optimiser."""
    with Image.open(ROOT / "examples/photos/camera.png") as photo:
        before = np.asarray(photo) / 255.0
    rows = []
    for k in LEARN_SIZES:
        kernel = rng.standard_normal((k, k))
        after = corr2d.corr2d(before, kernel)

        def ours(k: int = k, after: np.ndarray = after) -> np.ndarray:
            return learn(before, after, size=k).weights

        def theirs(k: int = k, after: np.ndarray = after) -> np.ndarray:
            layer = torch.nn.Conv2d(1, 1, k)
            x, y = (torch.from_numpy(a.astype(np.float32))[None, None] for a in (before, after))
            optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

            def loss() -> torch.Tensor:
                optimiser.zero_grad()
                error = ((layer(x) - y) ** 2).mean()
                error.backward()
                return error

            optimiser.step(loss)
            return layer.weight.detach().numpy()[0, 0]

        row = compare("learn", f"{k} × {k}", "torch L-BFGS on nn.Conv2d", ours, theirs)
        error = [float(np.linalg.norm(f() - kernel) / np.linalg.norm(kernel)) for f in (ours, theirs)]
        row.note = f"relative error of the kernel: ours {error[0]:.0e}, theirs {error[1]:.0e}"
        print(
            f"{row.what:8} {row.peer:26} {row.ours_ms:8.2f} ms   {row.ratio:7.1f} ×   {row.note}", flush=True
        )
        rows.append(row)
    return rows


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def tables(applied: list[Row], learned: list[Row], machine: str) -> str:
    lines = [
        f"{machine}. `corr2d` of {SIDE} × {SIDE} pixels: its time, and the ratio of each peer's to it, "
        "median (quartiles).",
    ]
    for title in TABLES:
        of_table = [row for row in applied if row.table == title]
        names = list(dict.fromkeys(row.peer for row in of_table))
        lines += ["", f"| {title} | ours | " + " | ".join(f"`{name}`" for name in names) + " |"]
        lines.append("| --- " * (len(names) + 2) + "|")
        for what in dict.fromkeys(row.what for row in of_table):
            of_size = {row.peer: row for row in of_table if row.what == what}
            cells = [
                f"{of_size[n].ratio:.1f} ({of_size[n].low:.1f}–{of_size[n].high:.1f})" if n in of_size else ""
                for n in names
            ]
            ours = np.median([row.ours_ms for row in of_size.values()])
            lines.append(f"| {what} | {ours:.1f} ms | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"| `learn`, 512 × 512, noise-free | ours | {learned[0].peer} | |",
        "| --- | --- | --- | --- |",
    ]
    for row in learned:
        ratio = f"{row.ratio:.0f} ({row.low:.0f}–{row.high:.0f})"
        lines.append(f"| {row.what} | {row.ours_ms:.0f} ms | {ratio} | {row.note} |")
    return "\n".join(lines)


def write_readme(text: str) -> None:
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split("<!-- bench -->\n", 1)
    after = rest.split("<!-- /bench -->", 1)[1]
    readme.write_text(f"{before}<!-- bench -->\n{text}\n<!-- /bench -->{after}")


def main() -> None:
    rng = np.random.default_rng(20261122)
    versions = f"OpenCV {cv2.__version__}, SciPy {scipy.__version__}, torch {torch.__version__}"
    machine = f"{cpu_name()}, {usable_cpus()} CPUs, {_engine.isa}; {versions}"
    print(machine)
    applied, learned = applying(rng), learning(rng)
    text = tables(applied, learned, machine)
    print("\n" + text)
    write_readme(text)
    results = (
        ROOT / "benchmarks" / "results" / (cpu_name().lower().replace(" ", "-") + f"-{_engine.isa}.json")
    )
    results.parent.mkdir(exist_ok=True)
    content = {"machine": machine, "rows": [asdict(row) for row in applied + learned]}
    results.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(f"\nwritten to README.md and {results.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
