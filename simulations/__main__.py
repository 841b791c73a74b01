"""Make every figure of docs/trust.md again, with its seed.

``python -m simulations`` runs all studies, ``python -m simulations size names`` some of them. With
``--pairs 50`` there are fewer pairs in each case, and nothing is written.
"""

import argparse
import re
from importlib import import_module
from pathlib import Path

from .study import Table

STUDIES = ("errors", "censored", "size", "names", "verdict")
PAGE = Path(__file__).parents[1] / "docs" / "trust.md"


def write_table(table: Table) -> None:
    """Put the table between its two marks in the page, in place of the last one."""
    page = PAGE.read_text()
    marks = f"<!-- {table.name} -->", f"<!-- end of {table.name} -->"
    pattern = re.compile(re.escape(marks[0]) + ".*?" + re.escape(marks[1]), re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE} has no place for {table.name}: {marks[0]} and {marks[1]}.")
    PAGE.write_text(pattern.sub(lambda _: f"{marks[0]}\n{table.markdown()}\n{marks[1]}", page))


def main() -> None:
    parser = argparse.ArgumentParser(prog="simulations", description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", help="default: all")
    parser.add_argument("--pairs", type=int, help="for each case; nothing is written")
    options = parser.parse_args()
    if unknown := sorted(set(options.studies) - set(STUDIES)):
        parser.error(f"there is no study {unknown[0]!r}; the studies are {', '.join(STUDIES)}.")
    for name in options.studies or STUDIES:
        study = import_module(f"simulations.{name}")
        for table in study.tables() if options.pairs is None else study.tables(options.pairs):
            print(table.markdown(), end="\n\n", flush=True)
            if options.pairs is None:
                table.save()
                write_table(table)


if __name__ == "__main__":
    main()
