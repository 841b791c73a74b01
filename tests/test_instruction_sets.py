"""Each instruction set has functions of its own; all other tests run this machine's best."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from corr2d import _engine

TESTS = Path(__file__).parent


def python(isa, *arguments):
    environment = {**os.environ, "CORR2D_ISA": isa}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_best_is_taken_unless_asked_otherwise():
    assert _engine.isa == os.environ.get("CORR2D_ISA", _engine.usable_isas[0])
    assert _engine.usable_isas[-1] == "baseline"
    assert python("", "-c", "from corr2d import _engine; print(_engine.isa)").stdout.split() == [
        _engine.usable_isas[0]
    ]


@pytest.mark.parametrize("isa", [isa for isa in _engine.usable_isas if isa != _engine.isa])
def test_every_other_instruction_set_gives_right_answers(isa):
    assert python(isa, "-c", "from corr2d import _engine; print(_engine.isa)").stdout.split() == [isa]
    names = ("test_correlate.py", "test_dtypes.py", "test_threads.py", "test_algorithms.py", "test_lags.py")
    files = [TESTS / name for name in names]
    chosen = (
        "tile or width or matches_reference or scratch or every_type or bits or ndimage or exact or saturates"
        " or seam or few_terms or block or overflow or layout"
    )
    done = python(
        isa, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", chosen, "--no-header", *files
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 300


def test_an_unknown_instruction_set_is_refused():
    done = python("sse9", "-c", "import corr2d._engine")
    names = ", ".join(f"'{name}'" for name in _engine.usable_isas)
    message = f"CORR2D_ISA must be one of {names} on this machine, got 'sse9'. Unset it to take the first."
    assert done.stderr.splitlines()[-1] == f"ImportError: {message}"
