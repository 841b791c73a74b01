"""Programs that need an environment of their own, timed in turn with ours: each is a process that waits."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROGRAMS = Path(__file__).with_name("astronomers.py")
PYTHON = Path(__file__).parent.parent / ".venv" / "peers" / "bin" / "python"
INSTALL = "make bench-peers"


@dataclass(frozen=True)
class Answer:
    """Who found what: the kernel (in the middle, if it varies), and `after` less what it predicts."""

    version: str
    kernel: np.ndarray
    difference: np.ndarray


class PeerProcess:
    """A program that has solved once, and solves again when asked."""

    def __init__(self, process: subprocess.Popen, said: Path, answer: Path) -> None:
        self._process, self._said = process, said
        version = json.loads(self._reply())["version"]  # once it has written its answer
        with np.load(answer) as found:
            self.answer = Answer(version, found["kernel"], found["difference"])

    def seconds(self, _: int) -> float:
        """Solve again: a `timing.Timer`. The time is taken there, without what is said between the two."""
        print(file=self._process.stdin, flush=True)
        return float(self._reply())

    def _reply(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{PROGRAMS.name} ended: {self._said.read_text(errors='replace')}")
        return line


def installed(name: str) -> bool:
    if not PYTHON.exists():
        return False
    done = subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def started(
    name: str, before: np.ndarray, after: np.ndarray, k: int, *, order: int = 0, difference: bool = False
) -> Iterator[PeerProcess]:
    """Start a program on a pair, and let it solve once: all that it compiles and plans is then kept."""
    with tempfile.TemporaryDirectory() as folder:
        pair, answer, said = (Path(folder, file) for file in ("pair.npz", "answer.npz", "stderr"))
        np.savez(pair, before=before, after=after, k=k, order=order, difference=difference)
        with said.open("wb") as stderr:  # a pipe that nobody reads would stop it once it is full
            process = subprocess.Popen(
                [PYTHON, PROGRAMS, name, pair, answer], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                env=os.environ | {"NUMBA_CACHE_DIR": str(PYTHON.parent.parent / "numba")},
            )  # fmt: skip
        try:
            yield PeerProcess(process, said, answer)
        finally:
            process.kill()
            process.communicate()
