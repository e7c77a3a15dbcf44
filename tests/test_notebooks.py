"""Every chapter and every solved lab runs from top to bottom: each cell's error is a failure.

nbval executes them. It reads ``.ipynb`` alone, so a chapter is converted into a temporary folder
first. Its code is there once for both languages, and so it runs once.
"""

import inspect
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
import pytest
from bilingual import LANGUAGES, read_cells
from make_lab import make_lab, pages

from nndl import rules
from nndl.checking import lab_numbers, read_lab, release

BOOK = Path(__file__).resolve().parents[1] / "book"
CHAPTERS = [
    page
    for page in pages("zh")
    if any(cell.kind == "code" for cell in read_cells((BOOK / f"{page}.md").read_text("utf-8")))
]


def run_with_nbval(notebook: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook in a pytest of its own, apart from this project's settings."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(notebook.parent), str(notebook)]
    return subprocess.run(command, capture_output=True, text=True, cwd=notebook.parent)


@pytest.mark.parametrize("page", CHAPTERS)
def test_chapter_runs(
    page: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    notebook = tmp_path / f"{Path(page).name}.ipynb"
    jupytext.write(jupytext.read(BOOK / f"{page}.md", fmt="md:myst"), notebook)
    start = time.monotonic()
    result = run_with_nbval(notebook)
    record_property(page, f"{time.monotonic() - start:.1f} s")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("number", lab_numbers())
def test_solved_lab_runs_and_passes_its_checks(
    number: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    lab = read_lab(number)
    notebook = nbformat.from_dict(release(lab, "en", solved=True))
    checks = [c for c in notebook.cells if c.metadata.get("nndl") == {"role": "check"}]
    assert len(checks) == len(lab.questions)
    for check in checks:
        check.source = f"report = (\n{check.source}\n)\nassert report.passed, report"
    nbformat.write(notebook, tmp_path / f"lab{number}.ipynb")
    start = time.monotonic()
    result = run_with_nbval(tmp_path / f"lab{number}.ipynb")
    record_property(f"labs/lab{number}, solved", f"{time.monotonic() - start:.1f} s")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_cell_that_fails_is_noticed(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in ("x = 1", "assert x == 2")]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    result = run_with_nbval(tmp_path / "wrong.ipynb")
    assert result.returncode == 1
    assert "assert x == 2" in result.stdout


@pytest.mark.parametrize("lang", LANGUAGES)
def test_lab_notebooks_are_in_one_language_and_lead_to_each_other(
    lang: str, tmp_path: Path
) -> None:
    notebooks = make_lab(lang, tmp_path)
    assert len(notebooks) == len(pages(lang))
    for page, path in zip(pages(lang), notebooks, strict=True):
        notebook = nbformat.read(path, as_version=4)
        lab = re.fullmatch(r"labs/lab(\d+)", page)
        assert not lab or notebook == nbformat.from_dict(release(read_lab(int(lab[1])), lang))
        nbformat.validate(notebook)
        prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        for site_only in (
            "{glue:figure}",
            "{literalinclude}",
            "{claim}",
            "{doc}",
            "{ref}",
            "{numref}",
            "{cite",
        ):
            assert site_only not in prose, f"{path.name} still has {site_only}"
        for link in (part.split(")")[0] for part in prose.split("](")[1:]):
            if link.endswith(".ipynb"):
                assert (path.parent / link).exists(), f"{path.name} links to {link}"


def test_lab_notebooks_show_the_packages_own_listings(tmp_path: Path) -> None:
    make_lab("en", tmp_path)
    notebook = nbformat.read(tmp_path / "part1" / "learning-rate.ipynb", as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for rule in (rules.adagrad, rules.rmsprop):
        assert inspect.getsource(rule).rstrip() in prose


def test_a_notebook_that_its_reader_changed_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, damaged, run_only, *_ = make_lab("en", tmp_path)
    notebook = nbformat.read(changed, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("my_own_experiment = 1"))
    nbformat.write(notebook, changed)
    damaged.write_text("{", encoding="utf-8")
    executed = nbformat.read(run_only, as_version=4)
    code = next((cell for cell in executed.cells if cell.cell_type == "code"), executed.cells[0])
    code.metadata["executed"] = True
    nbformat.write(executed, run_only)

    capsys.readouterr()
    make_lab("en", tmp_path)
    kept = [line for line in capsys.readouterr().out.splitlines() if "  kept: " in line]
    assert [line.split()[0] for line in kept] == [str(changed), str(damaged)]
    assert "my_own_experiment" in changed.read_text("utf-8")


@pytest.mark.parametrize("page", CHAPTERS)
def test_both_lab_editions_have_the_code_of_the_chapter(page: str, tmp_path: Path) -> None:
    cells = read_cells((BOOK / f"{page}.md").read_text("utf-8"))
    code = [cell.source for cell in cells if cell.kind == "code"]
    for lang in LANGUAGES:
        make_lab(lang, tmp_path / lang)
        notebook = nbformat.read(tmp_path / lang / f"{page}.ipynb", as_version=4)
        assert [cell.source for cell in notebook.cells if cell.cell_type == "code"] == code
