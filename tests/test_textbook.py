"""The chapter as a notebook: it runs from top to bottom, and every cell says what the chapter says.

``python tests/test_textbook.py`` runs it and rewrites the outputs that are stored in it.
"""

import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import nbformat
import numpy as np
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "textbook.ipynb"
NUMBER = re.compile(r"[-+]?(?:nan|inf|\d+(?:,\d{3})*\.?\d*(?:e[-+]?\d+)?)")


class ThisPython(AsyncKernelManager):
    """Starts this interpreter: without folders of kernels to choose from, only ipykernel's own is left."""

    def _kernel_spec_manager_default(self):
        return KernelSpecManager(kernel_dirs=[])

    def format_kernel_cmd(self, extra_arguments=None):
        command = super().format_kernel_cmd(extra_arguments)
        assert command[0] == sys.executable
        return command


def execute(notebook):
    """Run the cells in place, apart from what the user has set up for Jupyter."""
    folders = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
    with TemporaryDirectory() as folder, mock.patch.dict(os.environ, dict.fromkeys(folders, folder)):
        client = NotebookClient(
            notebook,
            kernel_manager_class=ThisPython,
            timeout=60,
            record_timing=False,  # no dates in the file
            coalesce_streams=True,
            resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        )
        client.execute()


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def fresh():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    execute(notebook)
    return notebook


def code_cells(notebook):
    return {cell.metadata.tags[0]: cell for cell in notebook.cells if cell.cell_type == "code"}


def texts(notebook, tag):
    """Give what the cell printed and then what it showed."""
    return [
        o["text"] if o.output_type == "stream" else o["data"]["text/plain"]
        for o in code_cells(notebook)[tag].outputs
    ]


def numbers(text):
    return np.array([float(n.replace(",", "")) for n in NUMBER.findall(text)])


def array(text):
    """Read one printed tensor or array, or the rows printed by NumPy."""
    assert text.startswith(("tensor([[", "array([[", "[["))
    rows = [numbers(row) for row in re.findall(r"\[([^\[\]]+)\]", text)]
    return np.stack(rows)


def losses(text):
    return dict(re.findall(r"step (\d+), loss (\S+)", text))


# The file


def test_file_is_ready_to_commit(stored):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    assert stored.metadata.language_info == {"name": "python"}
    counts = []
    for cell in stored.cells:
        assert "execution" not in cell.metadata  # dates
        if cell.cell_type == "code":
            assert cell.metadata.tags == [cell.id]
            counts.append(cell.execution_count)
            assert all(output.output_type in ("stream", "execute_result") for output in cell.outputs)
            assert all(output.get("name") != "stderr" for output in cell.outputs)
    assert counts == list(range(1, len(counts) + 1))


def test_stored_outputs_are_those_of_a_run(stored, fresh):
    for tag in code_cells(stored):
        old, new = (" ".join(texts(notebook, tag)) for notebook in (stored, fresh))
        advice = f"Cell {tag!r} says\n{new}\nnow. If that is right, run `python tests/test_textbook.py`."
        assert NUMBER.sub("0", old).split() == NUMBER.sub("0", new).split(), advice
        # Machines differ in how they round, which grows in ten steps that diverge, and in whether an overflow
        # ends in inf or in inf - inf.
        old, new = (np.where(np.isfinite(n), n, np.nan) for n in (numbers(old), numbers(new)))
        assert np.allclose(old, new, rtol=1e-3, atol=1e-6, equal_nan=True), advice


# 1. The operation


def test_operation(fresh):
    assert texts(fresh, "operation") == ["tensor([[19., 25.],\n        [37., 43.]])"]
    assert texts(fresh, "operation-numpy") == ["array([[19., 25.],\n       [37., 43.]])"]


# 2. The layer


def test_layer_is_used_and_equals_corr2d_plus_bias(fresh):
    printed, shown = texts(fresh, "layer")
    assert printed.splitlines() == ["Conv2D(kernel_size=(2, 2))", "weight (2, 2)", "bias (1,)"]
    assert "grad_fn" in shown
    assert texts(fresh, "layer-equals") == ["True"]


# 3. Edges


def test_bar_has_an_edge_on_either_side(fresh):
    image, edges = array(*texts(fresh, "image")), array(*texts(fresh, "edges"))
    assert image.tolist() == [[1, 1, 0, 0, 0, 0, 1, 1]] * 6
    assert edges.tolist() == [[0, 1, 0, 0, 0, -1, 0]] * 6


def test_transposed_bar_gives_nothing(fresh):
    assert array(*texts(fresh, "edges-transposed")).tolist() == np.zeros((8, 5)).tolist()


def test_diagonal_edge(fresh):
    across, down = (array("[[" + part) for part in texts(fresh, "diagonal")[0].split("tensor([[")[1:])
    assert across.tolist() == np.eye(6, 5).tolist()
    assert down.tolist() == (-np.eye(5, 6, k=1)).tolist()
    transposed, equal = texts(fresh, "diagonal-transposed")
    assert array(transposed).tolist() == (-np.eye(6, 5, k=-1)).tolist()
    assert equal == "True"


def test_second_derivative_is_found(fresh):
    kernel, of_parabola = map(array, texts(fresh, "second-derivative"))
    assert kernel.tolist() == [[1, -2, 1]]
    assert of_parabola.tolist() == [[2] * 6]


def test_matrix_product_is_the_correlation(fresh):
    windows, product = map(array, texts(fresh, "matrix"))
    assert windows.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    assert product.tolist() == [[19, 25], [37, 43]]


# 4. Learning, step by step


def test_ten_steps_come_near(fresh):
    (printed,) = texts(fresh, "descent")
    seen = losses(printed)
    assert list(seen) == ["2", "4", "6", "8", "10"]
    values = [float(loss) for loss in seen.values()]
    # The chapter's run: 11.046, 2.169, 0.493, 0.136, 0.044, and then [1.0036, -0.9640].
    assert values == pytest.approx([11.046, 2.169, 0.493, 0.136, 0.044], rel=0.1)
    weights = array(*texts(fresh, "descent-weights"))
    assert weights == pytest.approx(np.array([[1.0036, -0.9640]]), abs=2e-3)


def test_our_layer_learns_the_same(fresh):
    printed, shown = texts(fresh, "descent-ours")
    values = [float(loss) for loss in losses(printed).values()]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.05 * values[0]
    assert array(shown) == pytest.approx(np.array([[1.0, -1.0]]), abs=0.1)


# 5. Learning, exactly


def test_learn_is_exact(fresh):
    assert texts(fresh, "learn")[0].startswith("Kernel 1 × 2\n")
    printed, equal = texts(fresh, "learn-weights")
    assert printed == "[[ 1. -1.]] 0.0\n"
    assert equal == "True"


# 6. A photograph


def test_recipe_diverges_on_a_photograph(fresh):
    printed, shown = texts(fresh, "photo-descent")
    seen = losses(printed)
    assert len(seen) == 10
    assert np.isfinite(float(seen["1"]))
    assert not np.isfinite(float(seen["10"]))
    assert not np.isfinite(array(shown)).any()


def test_tamed_recipe_is_still_far_away_after_100_steps(fresh):
    weights = array(*texts(fresh, "photo-mean"))
    assert weights.shape == (3, 3)
    assert -2 < weights[1, 1] < 0  # sought: -8


def test_learn_finds_the_kernel_of_the_photograph(fresh):
    assert texts(fresh, "photo") == ["((512, 512), (510, 510))"]
    printed, close = texts(fresh, "photo-error")
    assert numbers(printed)[0] < 1e-10
    assert close == "True"
    assert texts(fresh, "photo-again") == ["True"]


def main():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    execute(notebook)
    notebook.metadata.language_info = {"name": "python"}
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
