"""Building the book, tried on a book of one page: what must fail fails, nothing is done twice."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from execution_cache import cache_path, package_fingerprint

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


@pytest.mark.parametrize("file", ["rules.py", "viz/style.py", "viz/animation/player.js"])
def test_the_cache_depends_on_the_package(tmp_path: Path, file: str) -> None:
    shutil.copytree(ROOT / "nndl", tmp_path / "nndl")
    before = package_fingerprint(tmp_path)
    assert before == package_fingerprint(ROOT)
    with (tmp_path / "nndl" / file).open("a") as source:
        source.write("\n")
    assert package_fingerprint(tmp_path) != before
    assert cache_path(tmp_path).name == package_fingerprint(tmp_path)
