"""What the chip can do, as limits.cpp finds it: to hold `corr2d` against, and to see others use it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corr2d.threads import usable_cpus

SOURCE = Path(__file__).with_name("limits.cpp")
MULTIPLY_ADD, COPY = "multiply-add peak", "copy bandwidth"
FIRST_BURSTS = 50  # half a second, before anything is held against the fastest of them
NEAR = 0.8  # of the limit; another program on one of two processors leaves half
UNITS = {MULTIPLY_ADD: "operations/s", COPY: "bytes/s"}
NATIVE = ("-march=native", "-mcpu=native")  # Clang on ARM knows the second alone


def work(limit: str, pixels: int, k: int) -> int:
    """Count what a k x k kernel over float32 pixels cannot do without: operations, or bytes."""
    return 2 * k * k * pixels if limit == MULTIPLY_ADD else 2 * 4 * pixels


class Limits:
    """The running program, and the fastest it has seen: whatever disturbs a limit makes it slower."""

    def __init__(self, program: subprocess.Popen) -> None:
        self._program = program
        self._best = {limit: max(self._ask(limit) for _ in range(FIRST_BURSTS)) for limit in UNITS}

    def seconds(self, limit: str, pixels: int, k: int) -> float:
        """Give the least time that `limit` leaves for a k x k kernel."""
        self._burst(limit)
        return work(limit, pixels, k) / self._best[limit]

    def reached(self) -> bool:
        """Say whether all processors are ours at this moment: one of a few bursts comes near the limit."""
        return any(self._burst(MULTIPLY_ADD) > NEAR * self._best[MULTIPLY_ADD] for _ in range(3))

    def _burst(self, limit: str) -> float:
        rate = self._ask(limit)
        self._best[limit] = max(self._best[limit], rate)
        return rate

    def _ask(self, limit: str) -> float:
        self._program.stdin.write(limit + "\n")
        self._program.stdin.flush()
        return float(self._program.stdout.readline()) * 1e9


@contextmanager
def running_limits() -> Iterator[Limits]:
    """Compile and start the program."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "limits")
        _compile(path)
        command = [path, str(usable_cpus())]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            yield Limits(program)  # whose input is closed after this, which ends it


def _compile(path: Path) -> None:
    compiler = next(filter(shutil.which, ("c++", "g++", "clang++")), "c++")
    for native in NATIVE:
        flags = ["-std=c++17", "-O3", native, "-ffp-contract=fast", "-pthread"]
        done = subprocess.run([compiler, *flags, SOURCE, "-o", path], capture_output=True, text=True)
        if done.returncode == 0:
            return
    raise RuntimeError(f"{SOURCE.name} does not compile:\n{done.stderr}")
