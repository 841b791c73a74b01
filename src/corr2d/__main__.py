"""``python -m corr2d`` is the command line."""

from .cli import main

main()
