"""The role ``{claim}`` marks a statement of the course notes that was tried on this page.

``{claim}`001-33``` becomes a small badge. Its first occurrence on a page is a link target,
``#claim-001-33``; where the book has a table of all statements (``claims_table``), every badge
leads to its row. The domain below knows which pages have which badges, and which has the rows.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from bilingual import edition_of
from docutils import nodes
from sphinx.domains import Domain
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.builders import Builder
    from sphinx.environment import BuildEnvironment
    from sphinx.writers.html5 import HTML5Translator

TITLES = {
    "zh": "课程讲义中的第 {number} 条说法，在此处检验",
    "en": "Statement {number} of the course notes, tried here",
}
NUMBER = re.compile(r"\d{3}-\d{2}")


class ClaimDomain(Domain):
    """Badges and rows: the pages on which the statements are tried, and the table of them all."""

    name = "claim"
    label = "claim"
    initial_data = {"badges": {}, "rows": {}}  # noqa: RUF012 (number -> pages; number -> page)
    data_version = 0
    dangling_warnings = {"badge": "the page of row %(target)s has no such badge"}  # noqa: RUF012

    @property
    def badges(self) -> dict[str, set[str]]:
        """The pages that have a badge with this number."""
        return self.data["badges"]

    @property
    def rows(self) -> dict[str, str]:
        """The page that has the row with this number."""
        return self.data["rows"]

    def clear_doc(self, docname: str) -> None:
        for pages in self.badges.values():
            pages.discard(docname)
        for number in [n for n, page in self.rows.items() if page == docname]:
            del self.rows[number]

    def merge_domaindata(self, docnames: Iterable[str], otherdata: dict[str, Any]) -> None:
        for number, pages in otherdata["badges"].items():
            self.badges.setdefault(number, set()).update(pages & set(docnames))
        for number, page in otherdata["rows"].items():
            if page in docnames:
                self.rows[number] = page

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: pending_xref,
        contnode: nodes.Element,
    ) -> nodes.reference | None:
        """Make the link from a row to its badge; the words are the title of the badge's page."""
        page = node["page"]
        if page not in self.badges.get(target, ()) or page not in env.titles:
            return None
        words = nodes.Text(env.titles[page].astext())
        return make_refnode(builder, fromdocname, page, f"claim-{target}", words)

    def resolve_any_xref(self, *args: object) -> list[tuple[str, nodes.Element]]:
        """Numbers mean statements only where a row says so."""
        return []


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
        badges = self.env.get_domain("claim").data["badges"]
        badges.setdefault(number, set()).add(self.env.docname)
        return [node], []


def _row_of(self: HTML5Translator, number: str) -> str | None:
    """Return the address of the statement's row, where there is a table with such a row."""
    page = self.builder.env.get_domain("claim").data["rows"].get(number)
    if page is None:
        return None
    return f"{self.builder.get_relative_uri(self.docnames[-1], page)}#row-{number}"


def visit_claim(self: HTML5Translator, node: claim) -> None:
    row = _row_of(self, node.astext())
    anchor = "".join(f' id="{escape(name)}"' for name in node["ids"])
    look = f'class="claim" title="{escape(node["title"])}"{anchor}'
    self.body.append(f'<a {look} href="{escape(row)}">' if row else f"<span {look}>")
    self.context.append("</a>" if row else "</span>")


def depart_claim(self: HTML5Translator, node: claim) -> None:
    self.body.append(self.context.pop())


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_domain(ClaimDomain)
    app.add_node(claim, html=(visit_claim, depart_claim))
    app.add_role("claim", ClaimRole())
    # The version is that of the data which Sphinx keeps of a page between two builds.
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
