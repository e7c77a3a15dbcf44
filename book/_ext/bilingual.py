"""Keep one language of a bilingual MyST notebook.

A chapter holds its prose twice, in markdown cells that carry ``{"lang": "zh"}`` or
``{"lang": "en"}``, and its code once. The site's hook, the maker of the lab notebooks and the
tests all read chapters through this module, so that "one language" means the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LANGUAGES = ("zh", "en")

# The block syntax of the chapters; a cell break inside a fence is text, so the parser decides.
_PARSER_CONFIG = MdParserConfig(
    enable_extensions={"amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"}
)


@dataclass(frozen=True)
class Cell:
    """One cell of a chapter.

    Attributes
    ----------
    kind
        ``"markdown"``, ``"code"`` or ``"raw"``.
    source
        The text of the cell.
    first_line, end_line
        The lines of the file that hold the text, 0-based, the end exclusive.
    metadata
        The metadata of the cell, such as ``{"lang": "zh"}`` or ``{"tags": [...]}``.
    """

    kind: str
    source: str
    first_line: int
    end_line: int
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def lang(self) -> str | None:
        """The language of the cell, or None where it belongs to both (code)."""
        return self.metadata.get("lang")


def read_cells(text: str) -> list[Cell]:
    """Split the text of a chapter into its cells, in order."""
    notebook = read_myst_markdown_notebook(text, config=_PARSER_CONFIG, add_source_map=True)
    starts = notebook.metadata["source_map"]
    # The line before a cell's first one opens it: a cell break, or the fence of a code cell.
    ends = [start - 1 for start in starts[1:]] + [len(text.splitlines())]
    return [
        Cell(cell.cell_type, cell.source, start, end, dict(cell.metadata))
        for cell, start, end in zip(notebook.cells, starts, ends, strict=True)
    ]


def keep_language(text: str, lang: str) -> str:
    r"""Blank every cell of another language, and move no line.

    Examples
    --------
    >>> text = '+++ {"lang": "zh"}\n你好\n+++ {"lang": "en"}\nHello\n'
    >>> keep_language(text, "en").splitlines()
    ['+++ {"lang": "zh"}', '', '+++ {"lang": "en"}', 'Hello']
    """
    if lang not in LANGUAGES:
        raise ValueError(f"lang must be one of {LANGUAGES}, got {lang!r}")
    lines = text.splitlines()
    for cell in read_cells(text):
        if cell.lang not in (None, lang):
            lines[cell.first_line : cell.end_line] = [""] * (cell.end_line - cell.first_line)
    return "\n".join(lines) + "\n"


def edition_of(language: str) -> str:
    """Return the edition that a Sphinx language tag names: ``zh_CN`` -> ``zh``.

    Examples
    --------
    >>> edition_of("zh_CN"), edition_of("en")
    ('zh', 'en')
    """
    return language.split("_")[0]


def _keep_the_sites_language(app: Sphinx, docname: str, content: list[str]) -> None:
    if PurePosixPath(app.env.doc2path(docname)).suffix == ".md":
        content[0] = keep_language(content[0], edition_of(app.config.language))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _keep_the_sites_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
