"""The role ``{claim}`` marks a statement of the course notes that was tried on this page.

``{claim}`001-33``` becomes a small badge. Its first occurrence on a page is a link target,
``#claim-001-33``.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from bilingual import edition_of
from docutils import nodes
from sphinx.util.docutils import SphinxRole

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

TITLES = {
    "zh": "课程讲义中的第 {number} 条说法，在此处检验",
    "en": "Statement {number} of the course notes, tried here",
}
NUMBER = re.compile(r"\d{3}-\d{2}")


class claim(nodes.Inline, nodes.TextElement):  # noqa: N801 (docutils names nodes in lower case)
    """A numbered statement, tried on this page."""


class ClaimRole(SphinxRole):
    """Turn a number into a badge, and give the first one of a page its id."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        number = self.text.strip()
        if not NUMBER.fullmatch(number):
            message = self.inliner.reporter.error(
                f"claim must be a number like 001-33, got {number!r}", line=self.lineno
            )
            return [], [message]
        title = TITLES[edition_of(self.config.language)].format(number=number)
        node = claim(self.rawtext, number, title=title)
        seen = self.env.temp_data.setdefault("claims", set())
        if number not in seen:
            seen.add(number)
            node["ids"].append(f"claim-{number}")
        return [node], []


def visit_claim(self: HTML5Translator, node: claim) -> None:
    anchor = "".join(f' id="{escape(name)}"' for name in node["ids"])
    self.body.append(f'<span class="claim" title="{escape(node["title"])}"{anchor}>')


def depart_claim(self: HTML5Translator, node: claim) -> None:
    self.body.append("</span>")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(claim, html=(visit_claim, depart_claim))
    app.add_role("claim", ClaimRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
