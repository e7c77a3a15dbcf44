"""The directive ``{claims-table}`` shows every statement of the course notes, and what holds.

The data are the files ``claims/000.yml``, ``claims/001.yml``, ... beside the page, one for each
document of the notes. Out come a summary (how many of each verdict), the controls of the filter,
which ``claims.js`` puts to work, and one table, whose rows lead to the badges (``claim_role``) in
the chapters. A row whose page has no such badge is a warning, and so an error of the build.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from bilingual import LANGUAGES, edition_of
from claim_role import NUMBER
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

# The documents in the order of the book, each with the part that tries it and its subject.
DOCUMENTS = {
    "001": {"part": 1, "zh": "优化算法的比较", "en": "optimisers compared"},
    "000": {"part": 2, "zh": "PyTorch 的优化器", "en": "PyTorch's optimisers"},
    "002": {"part": 2, "zh": "优化器与调度器的用法", "en": "using optimisers and schedulers"},
    "003": {"part": 3, "zh": "自动微分", "en": "automatic differentiation"},
}
VERDICTS = {
    "holds": {"zh": "成立", "en": "holds"},
    "imprecise": {"zh": "不准确", "en": "imprecise"},
    "outdated": {"zh": "已过时", "en": "outdated"},
    "false": {"zh": "不成立", "en": "false"},
    "untested": {"zh": "未检验", "en": "untested"},
}
REASONS = {
    "history": {"zh": "历史", "en": "history"},
    "opinion": {"zh": "看法", "en": "opinion"},
}
WORDS = {
    "zh": {
        "parts": {1: "第一部分", 2: "第二部分", 3: "第三部分"},
        "summary": "各份讲义的说法，按结果计数",
        "verdict": "结果",
        "part": "部分",
        "together": "合计",
        "all": "全部",
        "count": "共 {all} 条，显示 {shown} 条",
        "caption": "全部 {all} 条说法",
        "number": "编号",
        "said": "讲义的说法",
        "is": "实际情况",
        "page": "检验之处",
        "reason": "（{}）",
        "about": "讲义 {document}：{subject}（{part}）",
    },
    "en": {
        "parts": {1: "Part I", 2: "Part II", 3: "Part III"},
        "summary": "The statements of each document, counted by verdict",
        "verdict": "Verdict",
        "part": "Part",
        "together": "together",
        "all": "all",
        "count": "{shown} of {all} statements",
        "caption": "All {all} statements",
        "number": "No.",
        "said": "The notes say",
        "is": "What holds",
        "page": "Tried in",
        "reason": " ({})",
        "about": "Document {document}: {subject} ({part})",
    },
}


@dataclass(frozen=True)
class Claim:
    """One statement of the notes.

    Attributes
    ----------
    number
        The document and the statement in it: ``"001-33"``.
    verdict
        One of `VERDICTS`.
    said, holds
        What the notes say and what holds, for each language.
    page
        The page that decides it: ``"part1/learning-rate"``.
    why
        For an untested one alone: one of `REASONS`.
    """

    number: str
    verdict: str
    said: dict[str, str]
    holds: dict[str, str]
    page: str
    why: str | None = None

    @property
    def document(self) -> str:
        """The document that makes the statement."""
        return self.number.partition("-")[0]


def read_claim(entry: dict[str, Any]) -> Claim:
    """Read one entry of the data, or say what is wrong with it.

    Examples
    --------
    >>> both = {"zh": "一", "en": "one"}
    >>> good = {"id": "001-33", "verdict": "holds", "said": both, "is": both, "page": "part1/x"}
    >>> read_claim(good).document
    '001'
    >>> read_claim(good | {"id": "33"})
    Traceback (most recent call last):
    ValueError: id must be a number like 001-33, got '33'
    """
    fields = dict(entry)
    number = fields.pop("id", None)
    if not isinstance(number, str) or not NUMBER.fullmatch(number):
        raise ValueError(f"id must be a number like 001-33, got {number!r}")
    if number.partition("-")[0] not in DOCUMENTS:
        raise ValueError(f"{number}: the documents are {', '.join(sorted(DOCUMENTS))}")
    # YAML reads a bare `false` as a truth value.
    verdict = "false" if fields.get("verdict") is False else fields.get("verdict")
    if verdict not in VERDICTS:
        raise ValueError(f"{number}: verdict must be one of {', '.join(VERDICTS)}, got {verdict!r}")
    for name in ("said", "is"):
        texts = fields.get(name)
        if not isinstance(texts, dict) or set(texts) != set(LANGUAGES):
            raise ValueError(f"{number}: {name} must have a text for each of {LANGUAGES}")
        if not all(isinstance(text, str) and text.strip() for text in texts.values()):
            raise ValueError(f"{number}: {name} must not be empty")
    if not isinstance(fields.get("page"), str) or not fields["page"]:
        raise ValueError(f"{number}: page must name the page that decides it")
    why = fields.get("why")
    if (verdict == "untested") != (why is not None) or (why and why not in REASONS):
        raise ValueError(
            f"{number}: an untested statement has a why, one of {', '.join(REASONS)}, "
            f"and no other has; got verdict {verdict!r} with why {why!r}"
        )
    unknown = set(fields) - {"verdict", "said", "is", "page", "why"}
    if unknown:
        raise ValueError(f"{number}: unknown fields {sorted(unknown)}")
    return Claim(number, verdict, fields["said"], fields["is"], fields["page"], why)


def read_claims(paths: Iterable[Path]) -> list[Claim]:
    """Read the statements of some documents, in the order of the book."""
    entries = [entry for path in paths for entry in yaml.safe_load(path.read_text("utf-8"))]
    claims = [read_claim(entry) for entry in entries]
    twice = [number for number, n in Counter(c.number for c in claims).items() if n > 1]
    if twice:
        raise ValueError(f"these statements have more than one row: {', '.join(twice)}")
    order = list(DOCUMENTS)
    return sorted(claims, key=lambda claim: (order.index(claim.document), claim.number))


class element(nodes.General, nodes.TextElement):  # noqa: N801 (docutils names nodes in lower case)
    """An element of HTML, under its own name and with its own attributes."""


VOID = {"input"}


def html(name: str, attributes: dict[str, str | bool], *children: nodes.Node | str) -> element:
    """Make an element; a string among its children is text."""
    node = element(name=name, attributes=attributes)
    node += [nodes.Text(child) if isinstance(child, str) else child for child in children]
    return node


def visit_element(self: HTML5Translator, node: element) -> None:
    attributes = "".join(
        f" {key}" if value is True else f' {key}="{escape(value)}"'
        for key, value in node["attributes"].items()
    )
    self.body.append(f"<{node['name']}{attributes}>")


def depart_element(self: HTML5Translator, node: element) -> None:
    if node["name"] not in VOID:
        self.body.append(f"</{node['name']}>")


class ClaimsTable(SphinxDirective):
    """Show all statements: the summary, the filter, the table."""

    def run(self) -> list[nodes.Node]:
        self.lang = edition_of(self.config.language)
        self.words = WORDS[self.lang]
        folder = Path(self.env.doc2path(self.env.docname)).with_suffix("")
        paths = sorted(folder.glob("*.yml"))
        try:
            self.claims = read_claims(paths)
        except (ValueError, yaml.YAMLError) as error:
            raise self.error(f"{folder.name}: {error}") from error
        if not self.claims:
            raise self.error(f"{folder.name}: there are no statements")
        for path in paths:
            self.env.note_dependency(str(path))
        rows = self.env.get_domain("claim").data["rows"]
        rows.update({claim.number: self.env.docname for claim in self.claims})
        self.documents = [d for d in DOCUMENTS if any(c.document == d for c in self.claims)]
        return [self.summary(), self.filter(), self.table()]

    def part(self, document: str) -> str:
        """Name the part of the book that tries the document."""
        return self.words["parts"][DOCUMENTS[document]["part"]]

    def badge(self, verdict: str) -> element:
        """Make the word of a verdict, which has a shape and a colour of its own."""
        look = {"class": f"verdict verdict-{verdict}"}
        return html("span", look, VERDICTS[verdict][self.lang])

    def summary(self) -> element:
        """Count how many statements of each document have each verdict."""
        count = Counter((claim.document, claim.verdict) for claim in self.claims)
        top = [html("th", {"scope": "col"}, self.words["verdict"])]
        for document in self.documents:
            part = html("small", {}, self.part(document))
            top.append(html("th", {"scope": "col"}, f"{document} ", part))
        top.append(html("th", {"scope": "col"}, self.words["together"]))

        def line(head: nodes.Node | str, verdicts: Iterable[str]) -> element:
            numbers = [sum(count[d, v] for v in verdicts) for d in self.documents]
            cells = [html("td", {}, str(n)) for n in [*numbers, sum(numbers)]]
            return html("tr", {}, html("th", {"scope": "row"}, head), *cells)

        body = [line(self.badge(verdict), [verdict]) for verdict in VERDICTS]
        body.append(line(self.words["together"], list(VERDICTS)))
        return html(
            "table",
            {"class": "claims-summary"},
            html("caption", {}, self.words["summary"]),
            html("thead", {}, html("tr", {}, *top)),
            html("tbody", {}, *body),
        )

    def filter(self) -> element:
        """Make the controls of the filter, which only the script shows."""
        parts = {str(DOCUMENTS[d]["part"]): self.part(d) for d in self.documents}
        verdicts = {name: texts[self.lang] for name, texts in VERDICTS.items()}
        groups = []
        for name, choices in (("part", parts), ("verdict", verdicts)):
            labels = []
            for value, text in ({"": self.words["all"]} | choices).items():
                radio = {"type": "radio", "name": f"claims-{name}", "value": value}
                chosen = {"checked": True} if not value else {}
                look = {"class": "claims-choice"}
                labels.append(html("label", look, html("input", radio | chosen), text))
            legend = html("legend", {}, self.words[name])
            groups.append(html("fieldset", {"data-group": name}, legend, *labels))
        total = str(len(self.claims))
        said = self.words["count"].format(shown=total, all=total)
        template = {"class": "claims-count", "role": "status"}
        template["data-template"] = self.words["count"].format(shown="{shown}", all=total)
        look = {"class": "claims-filter", "hidden": True}
        return html("div", look, *groups, html("p", template, said))

    def table(self) -> element:
        """Make the table; roles say what its elements are even where they are laid out as cards."""
        heads = [self.words[name] for name in ("number", "said", "verdict", "is", "page")]
        top = [html("th", {"scope": "col", "role": "columnheader"}, head) for head in heads]
        caption = self.words["caption"].format(all=len(self.claims))
        return html(
            "table",
            {"class": "claims", "role": "table"},
            html("caption", {}, caption),
            html("thead", {"role": "rowgroup"}, html("tr", {"role": "row"}, *top)),
            *(self.rows_of(document) for document in self.documents),
        )

    def rows_of(self, document: str) -> element:
        """Make the rows of one document, under a title."""
        about = self.words["about"].format(
            document=document, subject=DOCUMENTS[document][self.lang], part=self.part(document)
        )
        head = {"scope": "rowgroup", "role": "rowheader", "colspan": "5", "aria-colspan": "5"}
        title = html("tr", {"class": "claims-about", "role": "row"}, html("th", head, about))
        rows = [self.row(claim) for claim in self.claims if claim.document == document]
        return html("tbody", {"role": "rowgroup"}, title, *rows)

    def row(self, claim: Claim) -> element:
        """Make the row of one statement."""
        verdict = [self.badge(claim.verdict)]
        if claim.why is not None:
            reason = self.words["reason"].format(REASONS[claim.why][self.lang])
            verdict.append(html("small", {}, reason))
        link = pending_xref(
            "",
            nodes.inline("", claim.number),
            refdomain="claim",
            reftype="badge",
            reftarget=claim.number,
            refdoc=self.env.docname,
            refwarn=True,
            page=claim.page,
        )
        link.source, link.line = self.get_source_info()
        return html(
            "tr",
            {
                "id": f"row-{claim.number}",
                "role": "row",
                "data-document": claim.document,
                "data-part": str(DOCUMENTS[claim.document]["part"]),
                "data-verdict": claim.verdict,
            },
            html("th", {"scope": "row", "role": "rowheader"}, claim.number),
            self.cell("said", self.inline(claim.said[self.lang])),
            self.cell("verdict", verdict),
            self.cell("is", self.inline(claim.holds[self.lang])),
            self.cell("page", [link]),
        )

    def cell(self, name: str, children: Iterable[nodes.Node]) -> element:
        """Make a cell that knows the words of its column."""
        look = {"role": "cell", "class": f"claims-{name}", "data-label": self.words[name]}
        return html("td", look, *children)

    def inline(self, text: str) -> list[nodes.Node]:
        """Read code and formulas in a text of the data."""
        children, messages = self.parse_inline(text)
        return [*children, *messages]


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("claim_role")
    app.add_node(element, html=(visit_element, depart_element))
    app.add_directive("claims-table", ClaimsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
