"""What every study is: a table of figures with its seed, printed, kept, and quoted by docs/trust.md."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """Rows of named figures."""

    name: str  # of its file
    about: str  # one sentence: what was simulated, how often
    seed: int
    rows: list[dict[str, Cell]]

    def markdown(self) -> str:
        heads = list(self.rows[0])
        lines = [heads, ["---"] * len(heads), *([_shown(row[head]) for head in heads] for row in self.rows)]
        return "\n".join([self.about, "", *(f"| {' | '.join(line)} |" for line in lines)])

    def save(self) -> None:
        path = RESULTS / f"simulate-{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def _shown(cell: Cell) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
