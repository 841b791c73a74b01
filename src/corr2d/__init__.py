"""Find the kernel that turned one picture into another, and run kernels over pictures.

>>> from corr2d import corr2d, learn
>>> corr2d([[0., 1., 2.], [3., 4., 5.], [6., 7., 8.]], [[0., 1.], [2., 3.]])
array([[19., 25.],
       [37., 43.]])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .correlate import corr2d
    from .kernel import Kernel
    from .learning import learn
    from .moments import Moments
    from .planning import Plan, plan
    from .varying import VaryingKernel, learn_varying

__all__ = ["Kernel", "Moments", "Plan", "VaryingKernel", "corr2d", "learn", "learn_varying", "plan"]
__version__ = "0.1.0"

# Imported at first use: `corr2d --help` would otherwise wait 0.2 s for NumPy
# (test_help_does_not_import_numpy).
_HOME = {
    "Kernel": "kernel",
    "Moments": "moments",
    "corr2d": "correlate",
    "learn": "learning",
    "Plan": "planning",
    "plan": "planning",
    "VaryingKernel": "varying",
    "learn_varying": "varying",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'corr2d' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
