import subprocess
import sys

import pytest

import corr2d


def modules_after(code):
    """The modules that a fresh interpreter has after `code`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_import_alone_does_not_import_numpy():
    modules = modules_after("import corr2d; corr2d.__version__; dir(corr2d)")
    assert "corr2d" in modules
    assert not modules & {"numpy", "corr2d._engine", "PIL", "tifffile"}


@pytest.mark.parametrize("name", corr2d.__all__)
def test_what_was_not_asked_for_is_not_imported(name):
    modules = modules_after(f"from corr2d import {name}")
    assert "numpy" in modules
    assert not modules & {"torch", "dask", "matplotlib", "scipy", "PIL", "tifffile", "click"}


def test_works_without_torch_and_dask_and_matplotlib():
    hide = "import sys\nfor name in ('torch', 'dask', 'matplotlib', 'scipy'): sys.modules[name] = None\n"
    modules_after(hide + "from corr2d import corr2d\nassert corr2d([[1.0]], [[2.0]]).tolist() == [[2.0]]")


def test_every_public_name_is_there():
    assert set(corr2d.__all__) <= set(dir(corr2d))
    for name in corr2d.__all__:
        assert getattr(corr2d, name).__name__ == name
        assert getattr(corr2d, name).__doc__


def test_dir_names_nothing_twice():
    names = corr2d.__dir__()
    assert len(names) == len(set(names))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'corr2d' has no attribute 'filter2D'$"):
        _ = corr2d.filter2D
    assert not hasattr(corr2d, "Moment")
