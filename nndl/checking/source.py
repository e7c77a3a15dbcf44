"""A lab as it is written: one text with both languages, the solutions and the checks.

``labs/lab3/lab.md`` is a MyST notebook like a chapter. A code cell with ``:question: adam`` is the
answer to a question; what stands between ``# BEGIN SOLUTION`` and ``# END SOLUTION`` is what the
student writes. Beside it, ``questions.py`` holds the questions (``QUESTIONS``), ``mistakes.py`` the
known mistakes (``MISTAKES``, lists by the name of their question).
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from nndl._labs import labs_folder, require_lab
from nndl.checking.question import Question

__all__ = ["Cell", "Lab", "load_module", "read_lab"]

_SOLUTION = re.compile(
    r"^(?P<indent>[ \t]*)# BEGIN SOLUTION\n.*?^[ \t]*# END SOLUTION[^\n]*\n?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Cell:
    """One cell of a lab.

    Attributes
    ----------
    kind
        ``"markdown"`` or ``"code"``.
    source
        Its text.
    metadata
        ``lang`` of prose; ``question`` of an answer; ``written`` of a question that a person marks;
        ``tags``.

    Examples
    --------
    >>> Cell("code", "x = 1", {"tags": ["setup"]}).question is None
    True
    """

    kind: str
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str | None:
        """The question that this cell answers."""
        return self.metadata.get("question")

    def stub(self) -> str:
        r"""Return the source with an error in place of each solution.

        Examples
        --------
        >>> source = "def f(x):\n    # BEGIN SOLUTION\n    return 2 * x\n    # END SOLUTION"
        >>> print(Cell("code", source, {"question": "f"}).stub())
        def f(x):
            raise NotImplementedError("your answer to f")
        """
        error = f'raise NotImplementedError("your answer to {self.question}")'
        return _SOLUTION.sub(lambda m: f"{m['indent']}{error}\n", self.source + "\n").rstrip("\n")


@dataclass(frozen=True)
class Lab:
    """A lab: its cells, and its questions with the known mistakes.

    Examples
    --------
    >>> lab = read_lab(3)
    >>> lab.number, lab.question("adam").points
    (3, 20)
    """

    number: int
    cells: tuple[Cell, ...]
    questions: tuple[Question, ...]

    @cached_property
    def solution(self) -> Mapping[str, Any]:
        """Everything that the cells with solutions define."""
        namespace: dict[str, Any] = {"__name__": f"lab{self.number}"}
        for cell in self.cells:
            if cell.question is not None or "setup" in cell.metadata.get("tags", ()):
                exec(compile(cell.source, f"lab{self.number}.md", "exec"), namespace)
        return namespace

    def title(self, lang: str) -> str:
        """Return what the lab is called.

        Examples
        --------
        >>> read_lab(3).title("en")
        'Lab 3: momentum, Nesterov and Adam'
        """
        prose = (cell.source for cell in self.cells if cell.metadata.get("lang") == lang)
        return next(text for text in prose).splitlines()[0].removeprefix("# ")

    def question(self, name: str) -> Question:
        """Return the question of that name.

        Raises
        ------
        ValueError
            If there is none.
        """
        for question in self.questions:
            if question.name == name:
                return question
        names = ", ".join(question.name for question in self.questions)
        raise ValueError(f"lab {self.number} has no question {name!r}; it has {names}")


@cache
def read_lab(number: int) -> Lab:
    """Read the source of a lab.

    Raises
    ------
    ValueError
        If there is no such lab.

    Examples
    --------
    >>> read_lab(3).title("zh")
    '实验三　动量法、Nesterov 与 Adam'
    """
    import jupytext

    require_lab(number)
    folder = labs_folder() / f"lab{number}"
    notebook = jupytext.read(folder / "lab.md", fmt="md:myst")
    cells = tuple(Cell(cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells)
    mistakes = load_module(folder / "mistakes.py").MISTAKES
    questions = tuple(
        replace(question, mistakes=tuple(mistakes.get(question.name, ())))
        for question in load_module(folder / "questions.py").QUESTIONS
    )
    return Lab(number, cells, questions)


def load_module(path: Path) -> ModuleType:
    """Import a file of a lab under a name of its own.

    Examples
    --------
    >>> load_module(labs_folder() / "lab3" / "questions.py").__name__
    'nndl_lab3_questions'
    """
    name = f"nndl_{path.parent.name}_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
