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
SIZES = (3, 5, 7, 9, 11, 15, 21, 31)
SECONDS = 3.0  # for each pair
LEARN_SIZES = (3, 9)

Call = Callable[[], np.ndarray]


@dataclass
class Row:
    """One comparison: milliseconds of ours, and ratios theirs / ours."""

    what: str
    peer: str
    ours_ms: float
    ratio: float
    low: float
    high: float
    runs: int
    note: str = ""


def peers(image: np.ndarray, kernel: np.ndarray) -> dict[str, Call]:
    tensor, weight = torch.from_numpy(image)[None, None], torch.from_numpy(kernel)[None, None]
    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    return {
        "cv2.filter2D": lambda: cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101),
        "scipy.ndimage.correlate": lambda: scipy.ndimage.correlate(image, kernel, mode="mirror"),
        "scipy.signal.fftconvolve": lambda: scipy.signal.fftconvolve(image, turned, mode="valid"),
        "torch.conv2d": lambda: torch.conv2d(tensor, weight)[0, 0].numpy(),
    }


def seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(what: str, peer: str, ours: Call, theirs: Call) -> Row:
    budget = time.perf_counter() + SECONDS
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(2)][1:]  # the first is a warm-up
    while len(pairs) < 5 or (time.perf_counter() < budget and len(pairs) < 101):
        pairs.append((seconds(ours), seconds(theirs)))
    mine, other = np.array(pairs).T
    low, ratio, high = np.quantile(other / mine, [0.25, 0.5, 0.75])
    return Row(what, peer, float(np.median(mine)) * 1e3, float(ratio), float(low), float(high), len(pairs))


def applying(rng: np.random.Generator) -> list[Row]:
    image = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    rows = []
    for k in SIZES:
        kernel = rng.standard_normal((k, k), dtype=np.float32)
        for peer, theirs in peers(image, kernel).items():
            answer = theirs()
            if answer.shape == image.shape:
                ours = lambda kernel=kernel: corr2d.corr2d(image, kernel, padding="same", mode="mirror")  # noqa: E731
            else:
                ours = lambda kernel=kernel: corr2d.corr2d(image, kernel)  # noqa: E731
            mine = ours()
            assert np.abs(mine - answer).max() <= 1e-4 * np.abs(answer).max(), peer
            rows.append(compare(f"{k} × {k}", peer, ours, theirs))
            print(
                f"{rows[-1].what:8} {peer:26} {rows[-1].ours_ms:8.2f} ms   {rows[-1].ratio:7.1f} ×",
                flush=True,
            )
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

        row = compare(f"{k} × {k}", "torch L-BFGS on nn.Conv2d", ours, theirs)
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
    names = list(dict.fromkeys(row.peer for row in applied))
    lines = [
        f"{machine}; `corr2d` of {SIDE} × {SIDE} float32, random kernel. "
        "Ratio: their time / ours, median (quartiles).",
        "",
        "| kernel | ours | " + " | ".join(f"`{name}`" for name in names) + " |",
        "| --- | " + "--- | " * (len(names) + 1),
    ]
    for what in dict.fromkeys(row.what for row in applied):
        of_size = [row for row in applied if row.what == what]
        cells = [f"{row.ratio:.1f} ({row.low:.1f}–{row.high:.1f})" for row in of_size]
        lines.append(
            f"| {what} | {np.median([row.ours_ms for row in of_size]):.1f} ms | " + " | ".join(cells) + " |"
        )
    lines += [
        "",
        f"`learn` of a noise-free 512 × 512 pair, beside {learned[0].peer}:",
        "",
        "| kernel | ours | ratio | |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.what} | {r.ours_ms:.0f} ms | {r.ratio:.0f} ({r.low:.0f}–{r.high:.0f}) | {r.note} |"
        for r in learned
    ]
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
