"""The README's Python lines do what they say."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parent.parent / "README.md"


def test_the_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    np.testing.assert_array_equal(names["k"].weights, [[1, -1]])
    printed = capsys.readouterr().out
    assert printed.startswith("Kernel 1 × 2\n   1 ± 0   -1 ± 0\n")
    assert printed.endswith("[[ 1. -1.]]\n")
    assert (tmp_path / "kernel.json").exists()
