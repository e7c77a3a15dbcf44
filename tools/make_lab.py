"""Make the chapters and the labs into notebooks of one language, to be run in JupyterLab.

A notebook shows the output of its cells, so a figure is already there when its caption comes: the
caption stays, the directive goes. References to other chapters become links to their notebooks, and
listings of the package are copied in. A lab is the notebook that students get, without solutions.
A notebook that its reader has changed is never overwritten.
What JupyterLab renders itself with jupyterlab-myst (admonitions, dropdowns, cards, equations) is
left as it is.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import nbformat
import yaml
from pybtex.database import Entry, parse_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from bilingual import LANGUAGES, read_cells  # noqa: E402
from chinese_lines import join_lines  # noqa: E402

from nndl.checking import read_lab, release  # noqa: E402

BOOK = ROOT / "book"
TOC = {"zh": ROOT / "_toc.yml", "en": ROOT / "_toc.en.yml"}
FIGURE = {"zh": "图 {}", "en": "Fig. {}"}
# Pages that are made by the site's own directives; a notebook of them would be empty.
SITE_ONLY = (
    *("api", "api-optim", "api-autograd", "api-viz", "api-course"),
    *("claims", "glossary", "references"),
)

_LAB = re.compile(r"labs/lab(?P<number>\d+)")
_DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}(?P<argument>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_LABEL = re.compile(r"^\((?P<label>[^()\s]+)\)=\n+(?P<hashes>#+) (?P<title>.+)$", re.MULTILINE)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_OPTION = re.compile(r"^:(?P<key>[\w-]+):[ ]*(?P<value>[^\n]*)\n", re.MULTILINE)
_ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`")
_LINK = re.compile(r"\]\((?P<target>[^()\s:]+?)(?:\.md)?(?P<anchor>#[^()\s]+)?\)")
_CARD_LINK = re.compile(r"^:link: (?P<doc>\S+)\n:link-type: doc$", re.MULTILINE)


@dataclass
class Target:
    """What a label names: its page, the words for it, and its number if it is a figure."""

    doc: str
    words: str


@dataclass
class Edition:
    """The book in one language: the text of its cells, and everything that can be referred to."""

    lang: str
    titles: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Target] = field(default_factory=dict)
    citations: dict[str, Entry] = field(default_factory=dict)


def pages(lang: str) -> list[str]:
    """List the names of the pages in the order of the table of contents."""
    toc = yaml.safe_load(TOC[lang].read_text("utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [page for page in [toc["root"], *files] if page not in SITE_ONLY]


def prose(page: str, lang: str) -> str:
    """Join everything that a page says in one language."""
    cells = read_cells((BOOK / f"{page}.md").read_text("utf-8"))
    return "\n\n".join(
        cell.source for cell in cells if cell.kind == "markdown" and cell.lang == lang
    )


def read_edition(lang: str) -> Edition:
    """Collect titles, labels and figure numbers; figures count through the book, as on the site."""
    edition = Edition(lang, citations=dict(parse_file(BOOK / "references.bib").entries))
    figures = 0
    for page in [*pages(lang), *SITE_ONLY]:
        text = prose(page, lang)
        title = _TITLE.search(text)
        if title is None:
            raise ValueError(f"book/{page}.md has no title in language {lang!r}")
        edition.titles[page] = title[1]
        for match in _LABEL.finditer(text):
            edition.labels[match["label"]] = Target(page, match["title"])
        for match in _DIRECTIVE.finditer(text):
            if match["name"] in ("glue:figure", "figure"):
                figures += 1
                name = options(match["body"]).get("name", "").strip('"')
                edition.labels[name] = Target(page, FIGURE[lang].format(figures))
    return edition


def options(body: str) -> dict[str, str]:
    """Read the ``:key: value`` lines at the head of a directive's body."""
    head = re.match(r"(?::[\w-]+:[^\n]*\n)*", body)
    return {match["key"]: match["value"] for match in _OPTION.finditer(head[0] if head else "")}


def citation(entry: Entry, *, textual: bool) -> str:
    """Write an author-year citation, linked to the work where it has an address."""
    names = [" ".join(person.last_names) for person in entry.persons["author"]]
    authors = names[0] if len(names) == 1 else f"{names[0]} et al."
    if len(names) == 2:
        authors = f"{names[0]} and {names[1]}"
    year = entry.fields["year"]
    words = f"{authors} ({year})" if textual else f"{authors}, {year}"
    doi = entry.fields.get("doi")
    address = f"https://doi.org/{doi}" if doi else entry.fields.get("url")
    return f"[{words}]({address})" if address else words


def definition(source: str, name: str) -> str:
    r"""Return the lines that define a function, a class, or a method (``Class.method``).

    Examples
    --------
    >>> definition("x = 1\n\ndef f():\n    return 2", "f").splitlines()
    ['def f():', '    return 2']
    """
    scope: list[ast.stmt] = ast.parse(source).body
    for part in name.split("."):
        found = next(node for node in scope if getattr(node, "name", None) == part)
        scope = getattr(found, "body", [])
    first = min([found.lineno, *(d.lineno for d in getattr(found, "decorator_list", []))])
    lines = source.splitlines()[first - 1 : found.end_lineno]
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines)


class PageRewriter:
    """Rewrite the prose of one page for JupyterLab."""

    def __init__(self, edition: Edition, page: str) -> None:
        self.edition = edition
        self.page = page

    def rewrite(self, text: str) -> str:
        """Return the text of a markdown cell as JupyterLab should show it."""
        text = _DIRECTIVE.sub(self._directive, text)
        text = _CARD_LINK.sub(lambda match: f":link: {self._notebook(match['doc'])}", text)
        text = _ROLE.sub(self._role, text)
        text = _LINK.sub(self._link, text)
        return join_lines(text) if self.edition.lang == "zh" else text

    def _directive(self, match: re.Match[str]) -> str:
        if match["name"] == "literalinclude":
            return self._listing(match["argument"], options(match["body"]))
        if match["name"] != "glue:figure":
            return match[0]
        chosen = options(match["body"])
        caption = _OPTION.sub("", match["body"], count=len(chosen)).strip()
        first, *more = re.split(r"\n{2,}", caption)
        number = self.edition.labels[chosen.get("name", "").strip('"')].words
        return "\n\n".join([f"**{number}** *{first}*", *more])

    def _listing(self, file: str, chosen: dict[str, str]) -> str:
        """Copy the definition that ``:pyobject:`` names out of a file of the package."""
        source = (BOOK / PurePosixPath(self.page).parent / file.strip()).read_text("utf-8")
        return f"```python\n{definition(source, chosen['pyobject'])}\n```"

    def _role(self, match: re.Match[str]) -> str:
        name, text = match["name"], match["text"]
        rewriters: dict[str, Callable[[str], str]] = {
            "claim": lambda number: f"[{number}]",
            "term": lambda text: _explicit(text)[0] or text,
            "doc": self._doc_role,
            "ref": self._ref_role,
            "numref": self._ref_role,
            "cite": self._cite_role,
            "cite:p": self._cite_role,
            "cite:t": lambda keys: self._cite_role(keys, textual=True),
        }
        if name.startswith("py:"):
            return f"`{text.lstrip('~').rpartition('.')[2] if text.startswith('~') else text}`"
        return rewriters.get(name, lambda _: match[0])(text)

    def _doc_role(self, text: str) -> str:
        words, doc = _explicit(text)
        doc = self._resolve(doc)
        words = words or self.edition.titles[doc]
        return words if doc in SITE_ONLY else f"[{words}]({self._notebook('/' + doc)})"

    def _ref_role(self, text: str) -> str:
        words, label = _explicit(text)
        target = self.edition.labels[label]
        if words is None or "%s" in words or "{number}" in words:
            words = target.words
        if target.doc in SITE_ONLY:
            return words
        if target.doc == self.page:
            return f"[{words}](#{label})"
        return f"[{words}]({self._notebook('/' + target.doc)})"

    def _cite_role(self, keys: str, *, textual: bool = False) -> str:
        entries = [self.edition.citations[key.strip()] for key in keys.split(",")]
        cited = "; ".join(citation(entry, textual=textual) for entry in entries)
        return cited if textual else f"({cited})"

    def _link(self, match: re.Match[str]) -> str:
        doc = self._resolve(match["target"])
        if doc not in self.edition.titles or doc in SITE_ONLY:
            return match[0]
        return f"]({self._notebook('/' + doc)})"

    def _resolve(self, doc: str) -> str:
        """Find the page that a relative or absolute document name means here."""
        if doc.startswith("/"):
            return doc[1:]
        return os.path.normpath(PurePosixPath(self.page).parent / doc)

    def _notebook(self, doc: str) -> str:
        """Return the path from this page's notebook to another's."""
        here = PurePosixPath(self.page).parent
        return os.path.relpath(self._resolve(doc), here) + ".ipynb"


def _explicit(text: str) -> tuple[str | None, str]:
    """Split ``words <target>``; without words, the text is the target."""
    match = re.fullmatch(r"(.+?)\s*<(.+)>", text, re.DOTALL)
    return (match[1], match[2]) if match else (None, text)


def make_notebook(edition: Edition, page: str) -> nbformat.NotebookNode:
    """One page as a notebook without outputs."""
    lab = _LAB.fullmatch(page)
    if lab:
        return nbformat.from_dict(release(read_lab(int(lab["number"])), edition.lang))
    rewriter = PageRewriter(edition, page)
    cells = []
    for cell in read_cells((BOOK / f"{page}.md").read_text("utf-8")):
        if cell.kind == "code":
            cells.append(nbformat.v4.new_code_cell(cell.source, metadata=_tags_only(cell.metadata)))
        elif cell.lang in (None, edition.lang):
            cells.append(nbformat.v4.new_markdown_cell(rewriter.rewrite(cell.source)))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _tags_only(metadata: dict[str, object]) -> dict[str, object]:
    return {"tags": metadata["tags"]} if "tags" in metadata else {}


def make_lab(lang: str, folder: Path) -> list[Path]:
    """Write every chapter and lab in one language below a folder; return them in reading order.

    What was written is remembered by its hash. A notebook that differs from that has been changed
    by its reader: it stays as it is, and a line says so.
    """
    edition = read_edition(lang)
    ledger = folder / ".written.json"
    written = json.loads(ledger.read_text("utf-8")) if ledger.exists() else {}
    notebooks = []
    for page in pages(lang):
        target = folder / f"{page}.ipynb"
        notebooks.append(target)
        if target.exists() and written.get(page) != fingerprint(target):
            print(f"{target}  kept: you have changed it (delete it to get it anew)", flush=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(make_notebook(edition, page), target)
        written[page] = fingerprint(target)
        print(f"{target}  {edition.titles[page]}", flush=True)
    ledger.write_text(json.dumps(written, indent=1), encoding="utf-8")
    return notebooks


def fingerprint(notebook: Path) -> str:
    """Hash what a reader can change in a notebook: the text of its cells, not their outputs."""
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except nbformat.reader.NotJSONError:
        return "damaged"
    texts = [[cell.cell_type, cell.source] for cell in cells if cell.source]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edition", choices=LANGUAGES, required=True, help="language of the prose")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the notebooks to")
    chosen = parser.parse_args()
    first = make_lab(chosen.edition, chosen.out)[0]
    print(f"Start with: jupyter lab {first}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
