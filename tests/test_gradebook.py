"""Gradebooks, late days and marks that a person gives."""

import csv
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from nndl._labs import lab_numbers
from nndl.checking.source import read_lab
from nndl.grading import table as table_module
from nndl.grading.gradebook import Row, lab_items, make_row, write_gradebooks
from nndl.grading.handins import HandIn
from nndl.grading.late import Lateness, LatePolicy, parse_time
from nndl.grading.result import Mark, Result
from nndl.grading.table import MAX_CELL, harmless, plain_text, write_table, write_text
from nndl.grading.words import FLAGS, PROBLEMS
from nndl.grading.written import read_written, write_written, written_marks, written_questions

LAB = read_lab(3)
WRITTEN = "why-correct"
# Any characters at all, halves of others and those that begin formulas among them.
ANY = st.characters(exclude_categories=()) | st.sampled_from("=+-@＝\t\r\n '\ud8000")
ANY_TEXT = st.text(ANY)
DUE = datetime(2026, 11, 20, 18, tzinfo=UTC)
FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1+1", "'=1")


def result(lost: tuple[str, ...] = (), **about: object) -> Result:
    """A hand-in in English that has lost these questions."""
    marks = tuple(
        Mark(q.name, 0, q.points, "value", "", ("It differs.",))
        if q.name in lost
        else Mark(q.name, q.points, q.points)
        for q in LAB.questions
    )
    plain = {"lab": 3, "lang": "en", "level": "bubblewrap", "marks": marks, **about}
    return Result(**plain)  # type: ignore[arg-type]


def row(student: str = "Li", handin: dict[str, object] | None = None, **about: object) -> Row:
    made = HandIn(student, None, **(handin or {}))  # type: ignore[arg-type]
    return make_row(made, result(**about), LAB, LatePolicy(), {})  # type: ignore[arg-type]


def read(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    return list(csv.reader(StringIO(path.read_bytes().decode(encoding), newline="")))


# Late days


@settings(deadline=None)
@drawn(
    seconds=st.integers(1, 20 * 86400),
    percent=st.floats(0, 100, allow_nan=False),
    points=st.floats(0, 200, allow_nan=False),
)
def test_late_days_and_what_they_cost(seconds: int, percent: float, points: float) -> None:
    policy = LatePolicy(DUE, percent)
    late = policy.lateness(HandIn("a", None, handed_in=DUE + timedelta(seconds=seconds)))
    assert late.days == math.ceil(seconds / 86400)
    off = late.off(points)
    assert 0 <= off <= round(points, 2)
    assert off == pytest.approx(points * min(1, late.days * percent / 100), abs=0.005)


@settings(deadline=None)
@drawn(seconds=st.integers(0, 10**7))
def test_in_time_costs_nothing(seconds: int) -> None:
    early = HandIn("a", None, handed_in=DUE - timedelta(seconds=seconds))
    assert LatePolicy(DUE, 50).lateness(early) == Lateness()


def test_lateness_compares_times_of_different_zones() -> None:
    shanghai = datetime(2026, 11, 21, 2, 0, tzinfo=timezone(timedelta(hours=8)))
    assert LatePolicy(DUE).lateness(HandIn("a", None, handed_in=shanghai)).days == 0
    later = shanghai + timedelta(seconds=1)
    assert LatePolicy(DUE).lateness(HandIn("a", None, handed_in=later)).days == 1


def test_the_mark_of_canvas_counts_and_not_the_time_of_the_file() -> None:
    """The files in Canvas's archive carry the time of the download."""
    downloaded = DUE + timedelta(days=9)
    policy = LatePolicy(DUE, 10)
    punctual = HandIn("a", None, handed_in=downloaded, canvas_id="7")
    assert policy.lateness(punctual) == Lateness()
    late = policy.lateness(replace(punctual, marked_late=True))
    assert late == Lateness(1, 10.0, untimed=True)
    assert LatePolicy(None, 10).lateness(replace(punctual, marked_late=True)).untimed


@pytest.mark.parametrize("percent", [-1, 101, math.nan])
def test_a_policy_refuses_impossible_percents(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        LatePolicy(DUE, percent)


def test_a_policy_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(ValueError, match="must have a time zone"):
        LatePolicy(datetime(2026, 11, 20))


def test_times_on_the_command_line() -> None:
    assert parse_time("2026-11-20T18:00Z") == DUE
    assert parse_time(" 2026-11-20 18:00+00:00 ") == DUE
    local = datetime(2026, 11, 20, 18).astimezone()
    assert parse_time("2026-11-20 18:00") == local
    assert parse_time("2026-11-20 00:00") == datetime(2026, 11, 20).astimezone()
    assert parse_time("2026-11-20") == datetime(2026, 11, 21).astimezone()
    for text in ("", "20.11.2026", "2026-13-01", "tomorrow", "9999-12-31"):
        with pytest.raises(ValueError, match="is no time; write it like"):
            parse_time(text)


# Cells


@settings(deadline=None)
@drawn(ANY_TEXT)
def test_no_cell_is_a_formula(text: str) -> None:
    cell = harmless(text)
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
    assert len(cell) <= MAX_CELL + 3
    cell.encode("utf-8")


@settings(deadline=None)
@drawn(st.lists(ANY_TEXT, max_size=2, unique=True))
def test_different_names_stay_different(names: list[str]) -> None:
    plain = {plain_text(name) for name in names}
    assert len({harmless(name) for name in names}) == len(plain)


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_made_text(text: str) -> None:
    assert harmless(text).startswith("'")


@pytest.mark.parametrize("text", ["007", "202300130001", "1e5", "3-4", "1/2"])
def test_names_that_look_like_numbers_stay_names(text: str) -> None:
    """Excel would read these as numbers or dates, and save something else."""
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["Zhang Wei", "王小明", "O'Brien", "2023010101", "a=b"])
def test_usual_names_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


def test_no_cell_is_longer_than_excel_takes() -> None:
    assert len(harmless("=" + "x" * 100_000)) < 32_767


def test_everything_in_a_text_can_be_seen() -> None:
    assert plain_text("a\x1b[31mb\x1b[0m\x07\u202ec\udcff\td\n") == "ab\\x07\\u202ec\\udcff\td\n"


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grades.csv"
    write_text(path, "old")

    def fail(*args: object) -> None:
        raise PermissionError("a spreadsheet has it open")

    monkeypatch.setattr(table_module.os, "replace", fail)
    with pytest.raises(PermissionError):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_can_be_read_by_others_as_any_file(tmp_path: Path) -> None:
    (tmp_path / "any").write_text("")
    write_table(tmp_path / "table.csv", [["a", 1.5, None, 2.0]], excel=True)
    assert (tmp_path / "table.csv").read_bytes() == "\ufeffa,1.5,,2\r\n".encode()
    assert (tmp_path / "table.csv").stat().st_mode == (tmp_path / "any").stat().st_mode


# Marks that a person gives


@pytest.mark.parametrize("number", lab_numbers())
def test_every_lab_has_100_points_a_title_and_rubrics(number: int) -> None:
    lab = read_lab(number)
    items = lab_items(lab)
    assert sum(item.of for item in items) == 100
    assert [item.number for item in items] == list(range(1, len(items) + 1))
    for lang in ("zh", "en"):
        assert not lab.title(lang).startswith("Lab 3") or number == 3
        titles = [item.title[lang] for item in items]
        assert all(titles)
        assert not any("$" in title or "#" in title or "points)" in title for title in titles)
        assert all(question.rubric[lang] for question in written_questions(lab))
        # The number of a written question is that of its heading.
        for cell in lab.cells:
            if cell.metadata.get("lang") == lang and "written" in cell.metadata:
                (item,) = (i for i in items if i.name == cell.metadata["written"])
                assert cell.source.startswith(f"## {item.number}")


NAMES = st.text(ANY, min_size=1, max_size=12).filter(lambda name: name.strip())


@settings(deadline=None)
@drawn(
    answers=st.dictionaries(NAMES, st.text(max_size=40), min_size=1, max_size=4),
    points=st.one_of(st.none(), st.integers(0, 20).map(lambda n: n / 2)),
    comment=st.text(max_size=40),
)
def test_what_a_person_filled_in_is_kept(
    tmp_path_factory: pytest.TempPathFactory,
    answers: dict[str, str],
    points: float | None,
    comment: str,
) -> None:
    if len({harmless(name).strip() for name in answers}) < len(answers):
        return
    path = tmp_path_factory.mktemp("written") / "written.csv"
    given = {(name, WRITTEN): (points, plain_text(comment).strip()) for name in answers}
    for _ in range(2):
        marks = [
            (name, mark)
            for name, answer in answers.items()
            for mark in written_marks(LAB, name, {WRITTEN: answer, "unknown": "x"}, given)
        ]
        write_written(path, marks)
        assert read_written(path, LAB, answers) == given


def test_written_marks_over_two_runs(tmp_path: Path) -> None:
    path = tmp_path / "written.csv"
    students = ["李娜", "007"]
    assert read_written(path, LAB, students) == {}
    write_written(path, [(s, written_marks(LAB, s, {WRITTEN: "因为"}, {})[0]) for s in students])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    lines = (
        path.read_bytes()
        .decode("utf-8-sig")
        .replace("李娜,why-correct,10,,,", "李娜,why-correct,10,7.5,好,")
    )
    path.write_bytes(lines.encode("utf-8-sig"))
    given = read_written(path, LAB, students)
    assert given == {("李娜", WRITTEN): (7.5, "好"), ("007", WRITTEN): (None, "")}
    made = make_row(
        HandIn("李娜", None), result(written={WRITTEN: "因为"}), LAB, LatePolicy(), given
    )
    assert (made.written_points, made.waiting, made.total, made.of) == (7.5, False, 97.5, 100)
    other = make_row(
        HandIn("007", None), result(written={WRITTEN: "因为"}), LAB, LatePolicy(), given
    )
    assert (other.written_points, other.waiting, other.total) == (0, True, 90)


@pytest.mark.parametrize(
    "answer", ["", "  \n", "*Write your answer here.*", "*把你的回答写在这里。*"]
)
def test_no_answer_waits_for_nobody(answer: str) -> None:
    (mark,) = written_marks(LAB, "Li", {WRITTEN: answer}, {})
    assert not mark.waiting
    assert mark.answer == ""


HEAD = "student,question,of,points,comment,answer\n"
BAD = {
    f"{HEAD}Li,{WRITTEN},10,many,,\n": r"line 2 .*points must be a number from 0 to 10, got 'many'",
    f"{HEAD}Li,{WRITTEN},10,nan,,\n": r"line 2 .*points must be a number",
    f"{HEAD}Li,{WRITTEN},10,inf,,\n": r"line 2 .*points must be a number",
    f"{HEAD}Li,{WRITTEN},99,10.5,,\n": r"line 2 .*from 0 to 10, got '10.5'",
    f"{HEAD}Li,{WRITTEN},10,-1,,\n": r"line 2 .*from 0 to 10, got '-1'",
    f'{HEAD}Li,{WRITTEN},10,1,"a\nb\nc",\nNobody,{WRITTEN},10,,,\n': (
        r"line 5 \(row 3 of the spreadsheet\): 'Nobody' has handed nothing in"
    ),
    f"{HEAD}Li,adam,10,1,,\n": r"line 2 .*no written question 'adam'; there is why-correct",
    f"{HEAD}Li,{WRITTEN},10,1,,\nLi,{WRITTEN},10,2,,\n": r"line 3 .*a second row for 'Li'",
    "student,points\nLi,3\n": r"line 1 .*no column question, of, comment",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_table_is_named_by_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "written.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=BAD[text]):
        read_written(path, LAB, ["Li"])
    assert path.read_text(encoding="utf-8") == text


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "written.csv"
    path.write_bytes(f"{HEAD}李娜,{WRITTEN},10,5,,\n".encode("gbk"))
    with pytest.raises(ValueError, match="save it in the spreadsheet as 'CSV UTF-8'"):
        read_written(path, LAB, ["李娜"])


def test_a_table_with_semicolons_and_decimal_commas_is_read(tmp_path: Path) -> None:
    path = tmp_path / "written.csv"
    path.write_text(f"{HEAD.replace(',', ';')}Li;{WRITTEN};10;7,5;a, b;\n;;;;;\n")
    assert read_written(path, LAB, ["Li"]) == {("Li", WRITTEN): (7.5, "a, b")}


# Gradebooks


def test_every_handin_has_a_row_with_a_reason(tmp_path: Path) -> None:
    problems = [
        make_row(HandIn(p, None), Result(3, "en", "none", (), problem=p), LAB, LatePolicy(), {})
        for p in PROBLEMS
    ]
    rows = [row(lost=("adam",), flags=("files", "several")), *problems]
    paths = write_gradebooks(tmp_path, rows, LAB, "zh")
    assert [path.name for path in paths] == ["grades.csv"]
    head, first, *others = read(tmp_path / "grades.csv", "utf-8-sig")
    assert head[:9] == ["student", *(q.name for q in LAB.questions[:8])]
    found = dict(zip(head, first, strict=True))
    assert (found["adam"], found["machine"], found["total"], found["of"]) == (
        "0",
        "70",
        "70",
        "100",
    )
    assert found["flags"] == f"{FLAGS['files']['zh']}; {FLAGS['several']['zh']}"
    assert found["feedback"] == "Not yet: 6 One step of Adam (20 points). It differs."
    assert len(others) == len(PROBLEMS)
    for cells in others:
        found = dict(zip(head, cells, strict=True))
        assert found["problem"] == PROBLEMS[found["student"]]["zh"]
        assert found["total"] == ("" if found["student"] == "grader" else "0")
        assert found["of"] == "100"


def test_flags_of_the_files_and_of_the_code_come_together() -> None:
    assert row("Li", {"flags": ("several",)}, flags=("files", "several")).flags == (
        "several",
        "files",
    )


def test_lateness_comes_off_all_points() -> None:
    policy = LatePolicy(DUE, 10)
    late = HandIn("Li", None, handed_in=DUE + timedelta(hours=30))
    made = make_row(late, result(), LAB, policy, {("Li", WRITTEN): (5.0, "")})
    assert (made.earned, made.off, made.total) == (95, 19, 76)


def test_canvas_takes_the_table(tmp_path: Path) -> None:
    """As its importer reads it: header, then "Points Possible", then students by their ID."""
    rows = [
        row("zhangwei", {"canvas_id": "12345"}),
        row("    Points Possible", {"canvas_id": "666"}, lost=("adam",)),
        row("failed", {"canvas_id": "9"}, problem="grader"),
        row("Moodle's", {"moodle_id": "5"}),
    ]
    write_gradebooks(tmp_path, rows, LAB, "en")
    assert not (tmp_path / "canvas.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    head, points, *students = read(tmp_path / "canvas.csv")
    assert head[:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert head[5:] == ["Lab 3: momentum, Nesterov and Adam"]
    assert "Points Possible" in points[0]
    assert points[5] == "100"
    assert not any("Points Possible" in cells[0] for cells in students)
    assert [(cells[1], cells[5]) for cells in students] == [
        ("12345", "90"),
        ("666", "70"),
        ("9", ""),
    ]


def test_moodle_takes_the_table(tmp_path: Path) -> None:
    rows = [
        row("王小明", {"moodle_id": "12345"}, lang="zh", lost=("adam",)),
        row("<b>", {"moodle_id": "12346"}, lost=("adam",)),
    ]
    hostile = replace(rows[1].result.marks[5], reasons=("<script>alert(1)</script>",))
    marks = tuple(hostile if m.question == "adam" else m for m in rows[1].result.marks)
    rows[1] = replace(rows[1], result=replace(rows[1].result, marks=marks))
    write_gradebooks(tmp_path, rows, LAB, "en")
    head, *students = read(tmp_path / "moodle.csv")
    # Without these three columns Moodle refuses the file.
    assert {"Identifier", "Grade", "Last modified (grade)"} <= set(head)
    first, second = (dict(zip(head, cells, strict=True)) for cells in students)
    assert first["Identifier"] == "Participant 12345"
    assert (first["Full name"], first["Grade"], first["Maximum Grade"]) == ("王小明", "70", "100")
    assert first["Feedback comments"] == "没有通过：6 Adam 的一步（20 分）。It differs."
    assert "&lt;script&gt;" in second["Feedback comments"]
    assert "<script" not in second["Feedback comments"]


def test_a_table_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    write_gradebooks(tmp_path, [row("a", {"canvas_id": "1"})], LAB, "en")
    assert (tmp_path / "canvas.csv").exists()
    write_gradebooks(tmp_path, [row("a")], LAB, "en")
    assert not (tmp_path / "canvas.csv").exists()


@pytest.mark.parametrize("name", FORMULAS)
def test_nothing_in_any_table_is_a_formula(tmp_path: Path, name: str) -> None:
    ids = {"canvas_id": "1", "moodle_id": "2"}
    given = {(name, WRITTEN): (1.0, name)}
    made = make_row(
        HandIn(name, None, **ids), result(written={WRITTEN: name}), LAB, LatePolicy(), given
    )
    write_gradebooks(tmp_path, [made], LAB, "en")
    write_written(tmp_path / "written.csv", [(name, mark) for mark in made.written])
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [
        "canvas.csv",
        "grades.csv",
        "moodle.csv",
        "written.csv",
    ]
    for path in paths:
        for cells in read(path, "utf-8-sig"):
            for cell in cells:
                harmful = cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
                assert not harmful or cell == "-", (path.name, cell)
    assert read_written(tmp_path / "written.csv", LAB, [name]) == {
        (name, WRITTEN): (1.0, plain_text(name).strip())
    }
