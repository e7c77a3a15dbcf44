"""A bibliography by author and year, as the chapters cite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style as UnsrtStyle
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting.author_year_title import SortingStyle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from pybtex.database import Entry
    from sphinx.application import Sphinx


class AuthorYearLabels(BaseLabelStyle):
    """The first author's last name and the year, with a letter where two would be the same."""

    def format_labels(self, sorted_entries: list[Entry]) -> Iterator[str]:
        seen: dict[str, int] = {}
        for entry in sorted_entries:
            person = entry.persons["author"][0]
            label = f"{' '.join(person.last_names)} {entry.fields['year']}"
            seen[label] = seen.get(label, 0) + 1
            yield label if seen[label] == 1 else f"{label}{'abcdefgh'[seen[label] - 1]}"


class ShortStyle(UnsrtStyle):
    """Plain entries, sorted by author and year."""

    default_label_style = AuthorYearLabels
    default_sorting_style = SortingStyle


def _drop_roles(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take out roles that docutils writes and that ARIA has given up (doc-biblioentry)."""
    if "citation-list" in context.get("body", ""):
        body = context["body"].replace(' role="doc-biblioentry"', "")
        context["body"] = body.replace('<div role="list" class="citation-list">', "<div>")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", _drop_roles)
    register_plugin("pybtex.style.formatting", "short", ShortStyle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
