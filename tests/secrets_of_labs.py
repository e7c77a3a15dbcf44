"""What students must not see of a lab: the lines of its solutions, and the words of its rubrics."""

import re
from dataclasses import dataclass

from nndl.checking import Lab, release

SOLUTION = re.compile(r"# BEGIN SOLUTION\n(.*?)# END SOLUTION", re.DOTALL)
MARKUP = re.compile(r"\$[^$]*\$|`[^`]*`|[*_|#\n]+")
LONG = 8  # characters; what is shorter may stand anywhere


@dataclass(frozen=True)
class Secrets:
    """Lines of code, and pieces of prose between formulas and markup."""

    code: list[str]
    words: list[str]


def secrets(lab: Lab, lang: str) -> Secrets:
    """Collect what the solutions and the rubrics say and the students' notebook does not."""
    public = "\n".join(cell["source"] for cell in release(lab, lang)["cells"])
    solutions = "\n".join("\n".join(SOLUTION.findall(cell.source)) for cell in lab.cells)
    rubrics = "\n".join(
        cell.source
        for cell in lab.cells
        if "rubric" in cell.metadata and cell.metadata["lang"] == lang
    )

    def hidden(pieces: list[str]) -> list[str]:
        stripped = (piece.strip() for piece in pieces)
        return [piece for piece in stripped if len(piece) >= LONG and piece not in public]

    return Secrets(hidden(solutions.splitlines()), hidden(MARKUP.split(rubrics)))
