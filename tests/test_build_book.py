"""Building the book, tried on a book of one page: what must fail fails, nothing is done twice."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import build_book
import pytest
from bilingual import read_cells
from execution_cache import NOT_IN_CHAPTERS, cache_path, package_fingerprint

ROOT = Path(__file__).resolve().parents[1]
PAGE = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

+++ {"lang": "zh"}

# 一页

学习率

+++ {"lang": "en"}

# One page

learning rate

```{code-cell} ipython3
assert 1 + 1 == 2
```
"""


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    """A copy of the book's machinery, with a single page in it."""
    for folder in ("nndl", "tools", "book/_ext", "book/_assets", "book/_front", "book/_templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("_config.yml", "_config.en.yml", "book/references.bib"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("_toc.yml", "_toc.en.yml"):
        (tmp_path / name).write_text("format: jb-book\nroot: index\n")
    (tmp_path / "book" / "index.md").write_text(PAGE, "utf-8")
    return tmp_path


def build(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "tools" / "build_book.py")]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=root)


def is_built(root: Path) -> bool:
    return (root / "_build" / "site" / ".stamp").exists()


def test_one_execution_two_sites_and_nothing_twice(small_book: Path) -> None:
    first = build(small_book)
    assert first.returncode == 0, first.stdout + first.stderr
    assert (first.stdout + first.stderr).count("Executed notebook in") == 1
    site = small_book / "_build" / "site"
    chinese, english = ((site / lang / "index.html").read_text("utf-8") for lang in ("zh", "en"))
    assert "学习率" in chinese
    assert "learning rate" not in chinese
    assert "learning rate" in english
    assert "学习率" not in english

    again = build(small_book)
    assert again.returncode == 0
    assert "up to date" in again.stdout

    rules = small_book / "nndl" / "rules.py"
    rules.write_text(rules.read_text("utf-8").replace("alpha=-lr", "alpha=lr"), "utf-8")
    changed = build(small_book)
    assert (changed.stdout + changed.stderr).count("Executed notebook in") == 1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("1 + 1 == 2", "1 + 1 == 3"),
        ("learning rate\n", "{ref}`nowhere`\n"),
        ("学习率\n", "{claim}`thirty-three`\n"),
    ],
    ids=["a false assertion", "a reference to nothing", "a claim without a number"],
)
def test_a_wrong_page_fails_the_build(small_book: Path, right: str, wrong: str) -> None:
    page = small_book / "book" / "index.md"
    page.write_text(PAGE.replace(right, wrong), "utf-8")
    assert build(small_book).returncode == 1
    assert not is_built(small_book)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of everything that the site is made from, which the builder takes for its own."""
    for folder in ("nndl", "labs", "book", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("_config.yml", "_config.en.yml", "_toc.yml", "_toc.en.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(build_book, "ROOT", tmp_path)
    monkeypatch.setattr(build_book, "SOURCES", [tmp_path / f.name for f in build_book.SOURCES])
    monkeypatch.setattr(build_book, "__file__", str(tmp_path / "tools" / "build_book.py"))
    return tmp_path


@pytest.mark.parametrize(
    "file",
    ["nndl/rules.py", "nndl/grading/grade.py", "labs/lab3/lab.md", "book/index.md", "_toc.yml"],
)
def test_a_site_is_out_of_date_when_something_changes(copied: Path, file: str) -> None:
    before = build_book.inputs_fingerprint()
    assert build_book.inputs_fingerprint() == before
    with (copied / file).open("a") as source:
        source.write("\n")
    assert build_book.inputs_fingerprint() != before


@pytest.mark.parametrize("file", ["rules.py", "viz/style.py", "viz/animation/player.js"])
def test_the_cache_depends_on_the_package(tmp_path: Path, file: str) -> None:
    shutil.copytree(ROOT / "nndl", tmp_path / "nndl")
    before = package_fingerprint(tmp_path)
    assert before == package_fingerprint(ROOT)
    with (tmp_path / "nndl" / file).open("a") as source:
        source.write("\n")
    assert package_fingerprint(tmp_path) != before
    assert cache_path(tmp_path).name == package_fingerprint(tmp_path)


def test_the_grader_is_changed_without_executing_the_chapters_again(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "nndl", tmp_path / "nndl")
    for name in ("cli.py", "cli/new.py", "grading/new.py"):
        (tmp_path / "nndl" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "nndl" / name).write_text("changed = True\n")
    assert package_fingerprint(tmp_path) == package_fingerprint(ROOT)


def imports(source: str) -> Iterator[str]:
    """The modules that Python code imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_chapter_imports_what_the_cache_leaves_out() -> None:
    """Nor does anything that a chapter may import."""
    package, left_out = ROOT / "nndl", tuple(f"nndl.{name}" for name in NOT_IN_CHAPTERS)
    code = {
        path: "\n".join(c.source for c in read_cells(path.read_text("utf-8")) if c.kind == "code")
        for path in (ROOT / "book").rglob("*.md")
    }
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0].removesuffix(".py") not in NOT_IN_CHAPTERS:
            code[path] = path.read_text("utf-8")
    found = {str(path): [*imports(source)] for path, source in code.items()}
    assert {"nndl.op.Op", "nndl.rules"} <= {name for names in found.values() for name in names}
    assert not {
        path: bad
        for path, names in found.items()
        if (bad := [n for n in names if n.startswith(left_out)])
    }
