"""Join the lines of Chinese prose.

The source breaks lines after a sentence. HTML shows a line break as a space, which English wants
and Chinese does not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bilingual import edition_of
from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Han characters, CJK punctuation, full-width forms, and the quotation marks that Chinese shares.
_WIDE = re.compile("[\u2014\u2018\u2019\u201c\u201d\u2026\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")


def _is_wide(character: str) -> bool:
    return _WIDE.fullmatch(character) is not None


def join_lines(text: str) -> str:
    r"""Remove the line breaks that stand between two wide characters.

    Examples
    --------
    >>> join_lines("先猜。\n再看。\nAdam 也是。")
    '先猜。再看。\nAdam 也是。'
    """
    wide = _WIDE.pattern
    return re.sub(f"(?<={wide})\n(?={wide})", "", text)


def _join_lines_of_doctree(app: Sphinx, doctree: nodes.document) -> None:
    if edition_of(app.config.language) != "zh":
        return
    for line_break in [text for text in doctree.findall(nodes.Text) if text == "\n"]:
        siblings = line_break.parent.children
        # index() compares by value, and every line break is equal to every other.
        place = next(i for i, node in enumerate(siblings) if node is line_break)
        left = "".join(node.astext() for node in siblings[:place])
        right = "".join(node.astext() for node in siblings[place + 1 :])
        if left and right and _is_wide(left[-1]) and _is_wide(right[0]):
            del siblings[place]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", _join_lines_of_doctree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
