"""How a run is shown: as tables in the README, and as a file that programs can read."""

import json
import platform
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from cells import DTYPES, LARGE, MIDDLE, SMALL, TINY, Memory, Row
from limits import COPY, MULTIPLY_ADD, UNITS, work
from peers import LBFGS, PEERS
from timing import CALM, ROUNDS

from corr2d import _engine
from corr2d.threads import usable_cpus

Said = TypeVar("Said", Row, Memory)


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> str:
    """Name everything that the figures depend on."""
    names = {"OpenCV": "opencv-python-headless", "SciPy": "scipy", "NumPy": "numpy", "torch": "torch"}
    versions = ", ".join(f"{name} {version(package)}" for name, package in names.items())
    return f"{cpu_name()}, {usable_cpus()} CPUs, {_engine.isa}; {versions}"


def limits_of(rows: Iterable[Row]) -> dict[str, float]:
    """Give the fastest that each limit was seen: operations or bytes a second."""
    best: dict[str, float] = {}
    for row in rows:
        if row.peer in (COPY, MULTIPLY_ADD):
            pixels = row.shape[0] * row.shape[1]
            rate = work(row.peer, pixels, row.k) / (row.theirs_ms / 1e3)
            best[row.peer] = max(best.get(row.peer, 0.0), rate)
    return best


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def ratio(row: Row) -> str:
    return f"{'≈ ' * row.noisy}{number(row.ratio)} ({number(row.low)}–{number(row.high)})"


def share(row: Row) -> str:
    of = "copying" if row.peer == COPY else "multiply-adds"
    return f"{'≈ ' * row.noisy}{row.ratio:.0%} of {of} ({row.low:.0%}–{row.high:.0%})"


def our_time(row: Row) -> str:
    small = row.ours_ms < 0.1
    return f"{number(row.ours_ms * 1e3)} µs" if small else f"{number(row.ours_ms)} ms"


def time_and_way(row: Row) -> str:
    return f"{our_time(row)}, {row.algorithm}"


def time_and_ratio(row: Row) -> str:
    return f"{our_time(row)}: {ratio(row)}"


def progress(row: Row) -> str:
    """Give one line, while the rest is being measured."""
    what = f"{row.dtype} {row.shape[0]} × {row.shape[1]}, {row.kernel} {row.k} × {row.k}"
    return f"{what:40} {row.peer:26} {our_time(row):>9}   {ratio(row)}"


def megabytes(used: Memory) -> str:
    return f"{number(used.megabytes)} MB"


def column(found: Iterable[Said], say: Callable[[Said], str], **wanted: object) -> dict[int, str]:
    """Say something of what is as wanted, by the size of the kernel."""
    return {
        one.k: say(one) for one in found if all(getattr(one, name) == value for name, value in wanted.items())
    }


def table(title: str, columns: dict[str, dict[int, str]]) -> list[str]:
    """Lay out what was measured; a column without anything is left out, and so is a table without columns."""
    filled = {head: cells for head, cells in columns.items() if cells}
    if not filled:
        return []
    sizes = sorted({k for cells in filled.values() for k in cells})
    return [
        "",
        f"| {title} | {' | '.join(filled)} |",
        "| --- " * (len(filled) + 1) + "|",
        *(f"| {k} × {k} | {' | '.join(cells.get(k, '') for cells in filled.values())} |" for k in sizes),
    ]


def beside_all(rows: list[Row]) -> list[str]:
    floats = [row for row in rows if (row.shape, row.dtype, row.kernel) == (MIDDLE, "float32", "random")]
    native = [row for row in floats if row.isa == _engine.isa]
    slower = [row for row in floats if row.isa != _engine.isa]
    columns = {
        "ours": column(native, time_and_way, peer="cv2.filter2D"),
        "of the chip's limit": column(native, share, peer=COPY) | column(native, share, peer=MULTIPLY_ADD),
        "`cv2.filter2D`": column(native, ratio, peer="cv2.filter2D"),
        "`cv2.filter2D`, ours with `CORR2D_ISA=avx2`": column(slower, ratio, peer="cv2.filter2D"),
    }
    others = [peer for peer in PEERS if peer != "cv2.filter2D"]
    columns |= {f"`{peer}`": column(native, ratio, peer=peer) for peer in others}
    return table("float32, random kernel, 2048 × 2048", columns)


def beside_opencv(rows: list[Row]) -> list[str]:
    def by_dtype(kernel: str, dtypes: Sequence[str]) -> dict[str, dict[int, str]]:
        wanted = {"shape": MIDDLE, "kernel": kernel, "isa": _engine.isa}
        found = [row for row in rows if row.peer in ("cv2.filter2D", "cv2.sepFilter2D")]
        return {dtype: column(found, time_and_ratio, dtype=dtype, **wanted) for dtype in dtypes}

    return [
        *table("random kernel, 2048 × 2048, beside `cv2.filter2D`", by_dtype("random", DTYPES[1:])),
        *table(
            "Gaussian kernel, 2048 × 2048, whole; beside `cv2.sepFilter2D`, which is given its line",
            by_dtype("Gaussian", DTYPES),
        ),
    ]


def other_sizes(rows: list[Row], memory: list[Memory]) -> list[str]:
    pictures = {
        f"{shape[0]} × {shape[1]}": column(rows, time_and_ratio, shape=shape, peer="cv2.filter2D")
        for shape in (SMALL, LARGE)
    }
    used = {
        "memory": column(memory, megabytes, peer="corr2d", algorithm="auto"),
        "as rows and columns": column(memory, megabytes, peer="corr2d", algorithm="separable"),
        "OpenCV's": column(memory, megabytes, peer="cv2.filter2D"),
    }
    calls = {f"`{peer}`": column(rows, time_and_ratio, shape=TINY, peer=peer) for peer in PEERS}
    return [
        *table("float32, random kernel, beside `cv2.filter2D`", pictures | used),
        *table("float32, random kernel, 6 × 8", calls),
    ]


def learned(rows: list[Row]) -> list[str]:
    found = [row for row in rows if row.peer == LBFGS]
    columns = {
        "ours": column(found, our_time),
        LBFGS: column(found, ratio),
        "relative error of the kernel": column(found, lambda row: row.note),
    }
    return table("`learn`, 512 × 512, noise-free", columns)


def tables(rows: list[Row], memory: list[Memory]) -> str:
    limits = limits_of(rows)
    adds, copied = limits[MULTIPLY_ADD] / 1e9, limits[COPY] / 1e9
    head = (
        f"{machine()}. Each figure is a peer's time divided by ours: the median (quartiles) over calls that "
        f"follow each other. ≈: disturbed in all {ROUNDS} attempts (quartiles more than {CALM:.0%} of the "
        "median apart, or another program on the processors). The chip's limits, the fastest seen: "
        f"{adds:.0f} GFLOP/s of multiply-adds (a k × k kernel counts as k² a pixel, even where an FFT makes "
        f"fewer), {copied:.0f} GB/s of copying (read and written). Memory: the peak of a call at 8192 × "
        "8192, beyond image and output."
    )
    return "\n".join(
        [head, *beside_all(rows), *beside_opencv(rows), *other_sizes(rows, memory), *learned(rows)]
    )


def write_section(readme: Path, name: str, text: str) -> None:
    """Put `text` between the marks of that name."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, rest = readme.read_text().split(start, 1)
    readme.write_text(f"{before}{start}{text}\n{end}{rest.split(end, 1)[1]}")


def write_results(folder: Path, rows: list[Row], memory: list[Memory]) -> Path:
    name = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
    path = folder / f"{name}-{_engine.isa}.json"
    limits = {f"{name}, {UNITS[name]}": rate for name, rate in limits_of(rows).items()}
    parts = [
        f'"machine": {json.dumps(machine())}',
        f'"limits": {json.dumps(limits)}',
        f'"rows": [\n{_lines(rows)}\n]',
        f'"memory": [\n{_lines(memory)}\n]',
    ]
    folder.mkdir(exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    return path


def _lines(found: Iterable[Said]) -> str:
    """Put each on a line of its own: two runs can then be compared by `diff`."""
    return ",\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in found)
