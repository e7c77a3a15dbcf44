"""What the pages for students and instructors tell people to type, typed.

The ``bash`` blocks of a page are run in order, in a folder of their own. A ``text`` block after one
is what must come out of it; a ``python`` block is what the student writes. A ``sh`` block needs the
network, another machine or somebody else's program, and is not run.
"""

import argparse
import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from bilingual import LANGUAGES, read_cells
from hostile import BROKEN, DISHONEST, HARMLESS
from test_grading import FULL, LAB, solved

import nndl.cli.lab
from nndl.checking.check import lab_key
from nndl.cli import main, parser
from nndl.grading import grade
from nndl.grading.handins import MAX_BYTES
from nndl.grading.isolate import Limits
from nndl.grading.journal import Journal
from nndl.grading.sandbox import LEVELS
from nndl.grading.words import FLAGS

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("students", "instructors")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
HOSTILE = (
    *("os._exit", "a fork bomb", "signals to everyone", "a connection out"),
    "files written outside",
)
CHEATING = ("torch's optimiser by import", "an answer forged on the wire")

Capture = pytest.CaptureFixture[str]
Marks = dict[str, dict[str, str]]


class Block(NamedTuple):
    """A block of code on a page."""

    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its commands, without comments."""
        whole = self.text.replace("\\\n", " ")
        return [" ".join(line.split("#")[0].split()) for line in whole.splitlines()]


def prose(page: str, lang: str) -> str:
    """A page in one language."""
    cells = read_cells((ROOT / "book" / "course" / f"{page}.md").read_text("utf-8"))
    return "\n".join(cell.source for cell in cells if cell.lang == lang)


def blocks(page: str, lang: str) -> list[Block]:
    """The blocks of code on a page, in order."""
    return [Block(*match) for match in FENCE.findall(prose(page, lang))]


def inline(page: str, lang: str) -> set[str]:
    """What stands as code in the text."""
    return set(CODE.findall(FENCE.sub("", prose(page, lang))))


def run(command: str) -> int:
    """Run a line of a page in the present folder; return its exit code."""
    words = shlex.split(command)
    if words[0] == "cd":
        os.chdir(words[1])
        return 0
    if words[0] == "nndl":  # in this process, which has imported torch already
        return main(words[1:])
    return subprocess.run(words, check=False).returncode


def together(text: str) -> str:
    """A text without white space: the pages break long lines."""
    return re.sub(r"\s+", "", text)


# ---- both pages


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_commands(page: str) -> None:
    zh, en = ([(b.kind, b.commands) for b in blocks(page, lang)] for lang in LANGUAGES)
    assert [kind for kind, _ in zh] == [kind for kind, _ in en]
    commands = [
        [re.sub(r"--lang \w+", "--lang", line) for kind, lines in found for line in lines]
        for found in (
            [(kind, lines) for kind, lines in each if kind in ("bash", "sh")] for each in (zh, en)
        )
    ]
    assert commands[0] == commands[1]
    assert [b.text for b in blocks(page, "zh") if b.kind == "python"] == [
        b.text for b in blocks(page, "en") if b.kind == "python"
    ]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_few_blocks_are_not_run(page: str, lang: str) -> None:
    found = blocks(page, lang)
    assert {block.kind for block in found} <= {"bash", "sh", "text", "python"}
    left_out = [line for block in found if block.kind == "sh" for line in block.commands]
    ours = [line for line in left_out if line.startswith("nndl ")]
    assert all("--scheduler" in line for line in ours), ours
    run_ones = [block for block in found if block.kind == "bash"]
    assert len(run_ones) >= 5
    for line in (*ours, *(line for block in run_ones for line in block.commands)):
        if line.startswith("nndl "):
            parser().parse_args(shlex.split(line)[1:])  # or it would exit
        assert f"--lang {lang}" in line or "--lang" not in line


def every_option(of: argparse.ArgumentParser) -> set[str]:
    """The options of a command and of those below it."""
    found = set(of._option_string_actions)
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*(every_option(below) for below in action.choices.values()))
    return found


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_option_exists(page: str, lang: str) -> None:
    named = {word.split("=")[0] for code in inline(page, lang) for word in code.split()}
    named = {word for word in named if word.startswith("--")}
    assert named
    assert named <= every_option(parser())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_limits_and_sizes_are_those_of_the_grader(lang: str) -> None:
    limits = f"{grade.CELL:g} {grade.CASE:g} {grade.TOTAL:g} {Limits().memory >> 30}".split()
    words = {
        "zh": ("{} 秒", "{} 秒", "{} 秒", "{} GB"),
        "en": (
            "{} seconds",
            "{} for a case|case may take {} seconds",
            "and {} |notebook {}",
            "{} GB",
        ),
    }[lang]
    for page in PAGES:
        text = prose(page, lang)
        for number, forms in zip(limits, words, strict=True):
            assert any(form.format(number) in text for form in forms.split("|")), (page, forms)
    assert f"{MAX_BYTES >> 20} MB" in prose("students", lang)
    # 1,000 hand-ins that hang, on two processors: twelve and a half hours
    assert 1000 * grade.TOTAL / 2 == 12.5 * 3600


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_flag_and_every_level_is_explained(lang: str) -> None:
    text = prose("instructors", lang)
    rows = {row.split("|")[1].strip() for row in text.splitlines() if row.startswith("|")}
    assert {flag[lang] for flag in FLAGS.values()} <= rows
    assert all(f"`{level}`" in text for level in LEVELS)
    assert len(HARMLESS) + len(DISHONEST) + len(BROKEN) > 40  # as the page says


# ---- a student


def cell_of(notebook: dict[str, Any], code: str) -> dict[str, Any]:
    """The cell of the question whose function the code defines."""
    name = re.search(r"def (\w+)", code)[1]  # type: ignore[index]
    (question,) = [question for question in LAB.questions if name in question.defines]
    (cell,) = [
        cell
        for cell in notebook["cells"]
        if cell["metadata"].get("nndl", {}).get("question") == question.name
    ]
    return cell


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_student_does_what_the_page_says(
    lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []

    def open_it(command: list[str], **_: Any) -> SimpleNamespace:
        opened.append(command[-1])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(nndl.cli.lab, "subprocess", SimpleNamespace(run=open_it))
    path = tmp_path / "lab3.ipynb"
    codes, said = [], ""
    for block in blocks("students", lang):
        if block.kind == "bash":
            capsys.readouterr()
            codes += [run(command) for command in block.commands]
            said = capsys.readouterr().out
        elif block.kind == "text":
            assert together(block.text) in together(said)
        elif block.kind == "python":
            notebook = json.loads(path.read_text("utf-8"))
            if "NotImplementedError" in block.text:
                assert cell_of(notebook, block.text)["source"] == block.text.rstrip()
            cell_of(notebook, block.text)["source"] = block.text
            path.write_text(json.dumps(notebook), "utf-8")
    # the list, the start, a wrong answer, a right one, and a lab that is not finished
    assert codes == [0, 0, 1, 0, 1]
    assert opened == ["lab3.ipynb"]


def test_the_first_step_is_too_short_by_the_factor_that_the_page_names() -> None:
    question = lab_key(3).questions["momentum"]
    right = question.expected(0)["x"].reshape(-1)
    (mistake,) = [m for m in question.question.mistakes if m.name == "gradient scaled by 1 - rho"]
    wrong = question.question.trace({**LAB.solution, **mistake.answer}, question.cases[0])["x"]
    rho = question.cases[0]["rho"]
    moved = (wrong.reshape(-1)[1] - wrong.reshape(-1)[0]) / (right[1] - right[0])
    assert moved == pytest.approx(1 - rho)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_else_the_page_says_of_the_check(lang: str, tmp_path: Path, capsys: Capture) -> None:
    """What the first cell imports is there; what a picture's cell imports is not."""
    notebook = solved()
    for cell in notebook["cells"]:
        about = cell["metadata"].get("nndl", {})
        if about.get("role") == "setup":
            cell["source"] += "\nimport math as mine"
        elif about.get("role") == "play":
            cell["source"] += "\nimport math as theirs"
        elif about.get("question") == "nesterov":
            cell["source"] = f"mine.pi\n{cell['source']}"
        elif about.get("question") == "memory":
            cell["source"] = "def memory(rho, share):\n    return theirs.ceil(rho), 1"
        elif about.get("question") == "adam":
            cell["source"] = cell["source"].replace("adam_step", "my_step")
    notebook["metadata"]["nndl"]["lang"] = lang
    path = tmp_path / "lab3.ipynb"
    path.write_text(json.dumps(notebook), "utf-8")
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert "NameError: name 'theirs' is not defined" in said
    assert {"zh": "没有找到", "en": "is not defined"}[lang] in said
    assert f"{FULL - LAB.question('memory').points - LAB.question('adam').points}" in said


# ---- an instructor


@pytest.fixture
def utc() -> Iterator[None]:
    """A time zone in which the page's dates are known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def collect(named: list[str]) -> None:
    """Twelve hand-ins: right ones under the names that the page shows, and hostile ones."""
    contents = {name: json.dumps(solved()).encode() for name in named}
    for kinds, names in ((HARMLESS, HOSTILE), (DISHONEST, CHEATING)):
        contents |= {f"handins/{name}.ipynb": kinds[name](solved()) for name in names}
    contents["handins/broken.ipynb"] = BROKEN["no JSON"]
    assert len(contents) == 12
    for name, content in contents.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))  # long before the page's date
    Path("handins/wangfang/timestamp.txt").write_text("2026-12-02 12:00:00 UTC")


def marks() -> Marks:
    """The rows of the gradebook by student."""
    with open("handins-graded/grades.csv", encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def mark_the_written(points: str, comment: str) -> None:
    """Fill in the table as a person would."""
    path = Path("handins-graded/written.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["points"], row["comment"] = points, comment
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def machine(rows: Marks) -> dict[str, float]:
    """The points of the questions of code."""
    return {student: float(row["machine"]) for student, row in rows.items()}


@pytest.mark.usefixtures("walls", "utc")
def test_an_instructor_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    lang = "en"  # the commands in the other language are the same
    codes_in_text = inline("instructors", lang)
    named = sorted(code for code in codes_in_text if re.match(r"handins/.+\.ipynb$", code))
    seen: list[tuple[str, Marks]] = []
    count = 0
    for command in (
        line
        for block in blocks("instructors", lang)
        if block.kind == "bash"
        for line in block.commands
    ):
        if command.startswith("nndl grade"):
            if not seen:
                collect(named)
            elif len(seen) == 1:
                mark_the_written("7", "Well said.")
            journal = Journal(Path("handins-graded/journal.jsonl")).entries
        assert run(command) == 0, command
        count += 1
        if command.startswith("nndl grade"):
            seen.append((command, marks()))
    first, written, late, only, again, other_secret = (rows for _, rows in seen)

    # Nobody gained by misbehaving, or lost by what others did.
    points = machine(first)
    honest = {"zhangwei", "Li Na", "wangfang", "liuyang"}
    assert set(points) == honest | {*HOSTILE, *CHEATING, "broken"}
    assert all(points[student] == FULL for student in honest | {*HOSTILE})
    assert all(points[student] <= FULL - LAB.question("adam").points for student in CHEATING)
    assert points["broken"] == 0
    assert first["broken"]["problem"]
    assert {row["level"] for row in first.values()} == {"bubblewrap"}
    # Marks in words count from the next run on.
    assert float(written["liuyang"]["total"]) == FULL + 7
    # Canvas says late, which is one day; nbgrader says when, which is two.
    assert {s: row["late days"] for s, row in late.items() if row["late days"] != "0"} == {
        "zhangwei": "1",
        "wangfang": "2",
    }
    assert float(late["wangfang"]["taken off"]) == pytest.approx(0.2 * (FULL + 7))
    # Without the options nobody is late; grading again, and with other inputs, gives the same.
    for rows in (only, again, other_secret):
        assert rows == written
    new = Journal(Path("handins-graded/journal.jsonl")).entries
    assert all(new[student].task != journal[student].task for student in journal)
    # The page names files; all of them are there.
    files = {code for code in codes_in_text if re.search(r"\.\w{2,5}$|/$", code)}
    files = {name for name in files if not re.match(r"--|torch\.|kernel\.|os\.|\w+://", name)}
    places = (Path(), Path("handins-graded"), Path("handins/wangfang"), ROOT)
    missing = [name for name in files if not any((place / name).exists() for place in places)]
    assert not missing
    assert {Path(name).name for name in files} >= {
        path.name for path in Path("handins-graded").iterdir()
    }
    pages = list(Path("handins-graded/feedback").iterdir())
    assert len(pages) == len(first)
    assert any("zhangwei" in page.name for page in pages)
    assert "Well said." in next(p for p in pages if "liuyang" in p.name).read_text("utf-8")
    assert Path().resolve().stat().st_mode & 0o077 == 0
    # What a student's data take, as the page says: some 20 KB.
    size = sum(path.stat().st_size for path in Path("handins-graded").rglob("*") if path.is_file())
    assert size < 12 * 60_000
    shutil.rmtree("handins")
    shutil.rmtree("handins-graded")
    record_property("course pages", f"{count} commands for instructors run, 12 hand-ins graded")
