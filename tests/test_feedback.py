"""The pages of students and instructors: safe, whole and readable by anybody."""

import hashlib
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from absent import not_here
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from nndl.checking.check import check_answer, lab_key
from nndl.checking.question import Question
from nndl.checking.report import WORDS as CHECK_WORDS
from nndl.checking.source import read_lab
from nndl.grading import feedback as feedback_module
from nndl.grading import summary as summary_module
from nndl.grading.feedback import MAX_CODE, feedback_name, feedback_page
from nndl.grading.gradebook import Row, make_row
from nndl.grading.handins import HandIn
from nndl.grading.late import LatePolicy
from nndl.grading.result import CellError, Mark, Result
from nndl.grading.summary import KINDS, summary_page
from nndl.grading.words import CELLS, FLAGS, LEVELS, PROBLEMS

LAB = read_lab(3)
WRITTEN = "why-correct"
DUE = datetime(2026, 11, 20, 18, tzinfo=UTC)
WHEN = datetime(2026, 11, 21, 12, tzinfo=UTC)
LANGUAGES = ("zh", "en")
ATTACK = (
    "</pre></style><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}\"'>"
    "<a href=//evil.example>`<i>`"
)
# Any characters at all, halves of others and those that cannot be seen among them.
ANY_TEXT = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\x00\x1b\x85\u202e\ud800<&`")
)
VOID = {"meta", "link", "br", "img", "hr", "input", "rect"}


class Page(HTMLParser):
    """Collects elements, and asserts that each is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        assert page.startswith("<!doctype html>")
        self.feed(page)
        self.close()
        assert self.open == []
        ids = [about["id"] for _, about in self.elements if "id" in about]
        assert len(ids) == len(set(ids))
        for _, about in self.elements:
            for place in about.get("aria-labelledby", "").split():
                assert place in ids

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def mistaken(question: Question, lang: str, which: int = 0) -> Mark:
    """What the grader says of someone who has made a typical mistake."""
    answer = question.mistakes[which].answer
    report = check_answer(lab_key(3), question.name, answer, lang)
    assert report.failure is not None
    name = report.failure.mistake.name if report.failure.mistake else ""
    rows = tuple(report.rows())
    kind, reasons = report.failure.kind, tuple(report.reasons())
    return Mark(question.name, 0, question.points, kind, name, reasons, report.head(), rows)


def made(
    student: str = "Zhang Wei", lang: str = "en", points: float | None = None, **about: object
) -> Row:
    marks = tuple(
        mistaken(q, lang) if q.name in ("adam", "momentum") else Mark(q.name, q.points, q.points)
        for q in LAB.questions
    )
    plain = {"lab": 3, "lang": lang, "level": "bubblewrap", "marks": marks, **about}
    result = Result(**{"written": {WRITTEN: "Because."}, **plain})  # type: ignore[arg-type]
    given = {} if points is None else {(student, WRITTEN): (points, "Well argued.")}
    return make_row(HandIn(student, None), result, LAB, LatePolicy(DUE, 10), given)


def hostile(lang: str) -> Row:
    """A hand-in that has the attack wherever a student has a say."""
    mark = Mark(
        "adam", 0, 20, "raised", ATTACK, (ATTACK, ATTACK), (ATTACK,) * 3, ((ATTACK,) * 3,) * 2
    )
    return made(
        ATTACK,
        lang,
        marks=(mark,),
        answers={q.name: ATTACK for q in LAB.questions},
        written={WRITTEN: ATTACK},
        cells=(CellError(1, "raised", ATTACK, ATTACK),),
        output=ATTACK,
    )


def check_harmless(page: str) -> Page:
    """No page asks for anything, or has anything of a student's in it but text."""
    found = Page(page)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "i"}
    for tag, about in found.elements:
        assert not [name for name in about if name.startswith("on") or name in ("src", "style")]
        if "href" in about:
            assert tag == "a"
            assert re.fullmatch(r"#q\d+|feedback/[\w.%-]+\.html", about["href"])
    assert len([tag for tag, _ in found.elements if tag == "style"]) == 1
    assert "//" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S).replace("//evil.ex", "")
    return found


def pages(rows: list[Row], lang: str) -> list[str]:
    return [*(feedback_page(row, LAB) for row in rows), summary_page(rows, LAB, lang, WHEN)]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_student_writes_is_text(lang: str) -> None:
    for page in pages([hostile(lang)], lang):
        found = check_harmless(page)
        assert ATTACK.split("`")[0] in found.text
        assert "7*7" in found.text
        assert "49" not in found.text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_words_of_a_teacher_are_text_too(lang: str) -> None:
    row = made(lang=lang)
    row = replace(row, written=(replace(row.written[0], points=3.0, comment=ATTACK),))
    assert "onerror" in check_harmless(feedback_page(row, LAB)).text


@settings(deadline=None)
@drawn(ANY_TEXT)
def test_any_text_makes_a_page(text: str) -> None:
    row = made(text, output=text, cells=(CellError(1, "time", text, text),))
    for page in pages([row], "zh"):
        check_harmless(page)
        page.encode("utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", page)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_policy_allows_the_one_style_and_nothing_else(lang: str) -> None:
    for page in pages([made(lang=lang)], lang):
        (style,) = re.findall("<style>(.*?)</style>", page, re.S)
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', page)
        assert policy.replace("&#39;", "'") == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )
        assert "url(" not in style
        assert "@import" not in style


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_feedback_page_says_what_failed(lang: str) -> None:
    row = made("王小明", lang, 7.5, answers={"adam": "def adam_step(): pass"})
    found = check_harmless(feedback_page(row, LAB))
    assert found.elements[0] == ("html", {"lang": {"zh": "zh-CN", "en": "en"}[lang]})
    assert "王小明" in found.text
    assert row.total == 62.5
    adam = next(mark for mark in row.result.marks if mark.question == "adam")
    plain = found.text.replace("`", "")
    for reason in adam.reasons:
        assert reason.replace("`", "") in plain
    for cells in adam.rows:
        assert all(cell in found.text for cell in cells)
    for text in (
        "62.5",
        "55 / 90",
        "7.5 / 10",
        "Well argued.",
        "Because.",
        "def adam_step(): pass",
    ):
        assert text in found.text
    assert LEVELS["bubblewrap"][lang] in found.text
    for question in LAB.questions:
        assert question.title[lang] in found.text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_students_do_not_see_flags(lang: str) -> None:
    row = made(lang=lang, flags=tuple(FLAGS))
    page = feedback_page(row, LAB)
    assert page == feedback_page(made(lang=lang), LAB)
    shown = Page(summary_page([row], LAB, lang, WHEN)).text
    assert all(words[lang] in shown for words in FLAGS.values())


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_handin_without_marks_says_why(problem: str, lang: str) -> None:
    row = made(lang=lang, problem=problem, marks=())
    found = check_harmless(feedback_page(row, LAB))
    assert PROBLEMS[problem][lang] in found.text
    assert "/ 100" not in found.text
    summary = check_harmless(summary_page([row, made(lang=lang)], LAB, lang, WHEN))
    assert PROBLEMS[problem][lang] in summary.text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", CELLS)
def test_errors_of_cells_are_told(kind: str, lang: str) -> None:
    cells = (CellError(7, kind, "NameError: x", "y = x"),) * 30
    text = Page(feedback_page(made(lang=lang, cells=cells), LAB)).text
    assert text.count("y = x") == feedback_module.MAX_CELLS


def test_what_is_long_is_cut() -> None:
    row = made(output="x" * (MAX_CODE + 7), answers={"adam": "y" * (MAX_CODE + 8)})
    text = Page(feedback_page(row, LAB)).text
    assert text.count("x" * MAX_CODE) == 1
    assert "x" * (MAX_CODE + 1) not in text
    assert "… (7 more characters are not shown)" in text
    assert "… (8 more characters are not shown)" in text


def test_the_blanks_and_empty_lines_of_a_box_stay() -> None:
    page = feedback_page(made(output="\n    a\n\n    b\n"), LAB)
    assert ">\n    a\n\n    b</pre>" in page


def test_lateness_is_told() -> None:
    late = made()
    handin = HandIn("Li", None, handed_in=datetime(2026, 11, 22, tzinfo=UTC))
    row = make_row(handin, late.result, LAB, LatePolicy(DUE, 10), {})
    text = Page(feedback_page(row, LAB)).text
    assert "2 days late, which takes off 20% of the points earned (11)." in text
    assert "−11" in text
    canvas = HandIn("Li", None, marked_late=True, canvas_id="3")
    row = make_row(canvas, late.result, LAB, LatePolicy(DUE, 10), {})
    text = Page(feedback_page(row, LAB)).text
    assert "It counts as 1 day, which takes off 10% of the points earned (5.5)." in text
    assert "Late" not in Page(feedback_page(made(), LAB)).text


def test_every_kind_of_failure_is_counted_by_the_summary() -> None:
    others = {"passed", "failed", "hint", "step", "index", "yours", "right", "line"}
    kinds = {
        kind for kind in CHECK_WORDS["en"] if kind not in others and not kind.startswith("at ")
    }
    assert set(KINDS) == kinds


@pytest.mark.parametrize("module", [feedback_module, summary_module])
def test_both_languages_say_the_same_things(module: object) -> None:
    words = module.WORDS  # type: ignore[attr-defined]
    fields = {
        lang: {key: set(re.findall(r"{\w+}", text)) for key, text in words[lang].items()}
        for lang in words
    }
    assert fields["zh"] == fields["en"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_summary_counts(lang: str) -> None:
    names = [f"student {n}" for n in range(12)]
    rows = [made(name, lang, 10 if n < 4 else None) for n, name in enumerate(names)]
    rows.append(made("grader", lang, problem="grader", marks=()))
    found = check_harmless(summary_page(rows, LAB, lang, WHEN))
    adam = LAB.question("adam")
    hint = adam.mistakes[0].hint[lang].replace("`", "")
    assert hint[1:] in found.text
    said = {"zh": "0 / 12（0%）", "en": "0 of 12 (0%)"}
    assert found.text.count(said[lang]) == 2  # momentum and adam, which all 12 have wrong
    said = {"zh": "12 / 12（100%）", "en": "12 of 12 (100%)"}
    assert found.text.count(said[lang]) == len(LAB.questions) - 2
    assert {"zh": "50 到 60 分：8 份", "en": "50 to 60 points: 8 hand-ins"}[lang] in found.text
    assert {"zh": "60 到 70 分：4 份", "en": "60 to 70 points: 4 hand-ins"}[lang] in found.text
    assert "58.3" in found.text  # (4 × 65 + 8 × 55) / 12
    for row in rows:
        assert f'href="feedback/{feedback_name(row.handin)}"' in summary_page(rows, LAB, lang, WHEN)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_summary_of_nobodys_marks(lang: str) -> None:
    check_harmless(summary_page([made(lang=lang, problem="missing", marks=())], LAB, lang, WHEN))


def test_the_summary_names_every_level() -> None:
    rows = [made("a"), made("b", level="rlimits"), made("c")]
    text = Page(summary_page(rows, LAB, "en", WHEN)).text
    assert f"2 were run behind these walls: {LEVELS['bubblewrap']['en']}." in text
    assert f"1 was run behind these walls: {LEVELS['rlimits']['en']}." in text


@settings(deadline=None)
@drawn(st.lists(ANY_TEXT, min_size=2, max_size=2, unique=True))
def test_names_of_pages_are_safe_and_unique(names: list[str]) -> None:
    files = [feedback_name(HandIn(name, None)) for name in names]
    assert files[0].lower() != files[1].lower()
    for file in files:
        assert re.fullmatch(r"(\w[\w-]*-)?[0-9a-f]{8}\.html", file)
        assert len(file.encode()) < 255


@pytest.mark.parametrize("name", ["../../x", "CON", "a" * 400, "王" * 400, "\udcff", ".", "A\0B"])
def test_odd_names_make_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / feedback_name(HandIn(name, None))
    path.write_text("x")
    assert list(tmp_path.iterdir()) == [path]


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    executable = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if executable is None:
        not_here("Chromium is not installed, so the pages are not tried in a browser")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_pages_in_a_browser(browser, tmp_path: Path, lang: str) -> None:  # type: ignore[no-untyped-def]
    """Accessible on screens and in print, no wider than a phone, and asking for nothing else."""
    from axe_playwright_python.sync_playwright import Axe

    rows = [
        hostile(lang),
        made("李娜" * 30, lang, 3.5, output="x" * 5000, answers={"adam": "def f(): pass"}),
        made("missing", lang, problem="missing", marks=()),
    ]
    folder = tmp_path / "feedback"
    folder.mkdir()
    for row in rows:
        (folder / feedback_name(row.handin)).write_text(feedback_page(row, LAB), "utf-8")
    (tmp_path / "summary.html").write_text(summary_page(rows, LAB, lang, WHEN), "utf-8")
    context = browser.new_context(viewport={"width": 390, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: troubles.append(message.text))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    files = [*folder.iterdir(), tmp_path / "summary.html"]
    for file in files:
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
            page.emulate_media(media=media, color_scheme=scheme)
            found = Axe().run(page, options={"resultTypes": ["violations"]})
            assert found.violations_count == 0, found.generate_report()
    assert asked == [file.as_uri() for file in files]
    assert troubles == []
    # Every name on the summary leads to a page.
    for link in page.locator("a[href]").evaluate_all("all => all.map((one) => one.href)"):
        assert link in {file.as_uri() for file in folder.iterdir()}
    context.close()


def test_the_policy_stops_what_slips_through(browser, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """With the escaping taken away, the browser still runs and fetches nothing."""
    slipped = (
        "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x'>"
        "<style>body { display: none }</style>"
    )
    page = feedback_page(made(), LAB).replace("</main>", f"{slipped}</main>")
    file = tmp_path / "page.html"
    file.write_text(page, "utf-8")
    context = browser.new_context()
    tab = context.new_page()
    asked: list[str] = []
    tab.on("requestfinished", lambda request: asked.append(request.url))
    tab.goto(file.as_uri())
    assert tab.title() == "Zhang Wei · Lab 3: momentum, Nesterov and Adam"
    assert tab.locator("main").is_visible()
    assert asked == [file.as_uri()]
    # The same without the policy does run: the test can fail.
    file.write_text(re.sub("<meta http-equiv.*?>", "", page), "utf-8")
    tab.goto(file.as_uri())
    assert tab.title() == "run"
    context.close()
