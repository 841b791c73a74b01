"""The Python lines of README and docs do what they say."""

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent


def run_lines(page):
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(code, names)
    return names


def test_the_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = run_lines(ROOT / "README.md")
    np.testing.assert_array_equal(names["k"].weights, [[1, -1]])
    printed = capsys.readouterr().out
    assert printed.startswith("What turned `before` into `after` is a convolution. The kernel, 1 × 2, is")
    assert "Kernel 1 × 2\n  this is: forward difference in x\n  gain -1\n   1 ± 0   -1 ± 0\n" in printed
    assert printed.endswith("[[ 1. -1.]]\n")
    assert (tmp_path / "kernel.json").exists()


def test_the_lines_about_learning_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run_lines(ROOT / "docs" / "learning.md")  # they assert what they say
    assert "does not change from row to row" in capsys.readouterr().out
