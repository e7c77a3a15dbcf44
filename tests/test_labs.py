"""Every lab: its solution passes, nothing else does, and known mistakes are named."""

import ast
import re
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from test_languages import HAN, differences

from nndl._labs import LANGUAGES, labs_folder
from nndl.checking import Lab, check_answer, lab_key, lab_numbers, read_lab, release
from nndl.checking.source import load_module

pytestmark = pytest.mark.usefixtures("one_thread")

NUMBERS = lab_numbers()
QUESTIONS = [(number, q.name) for number in NUMBERS for q in read_lab(number).questions]
MISTAKES = [
    (number, q.name, m.name)
    for number in NUMBERS
    for q in read_lab(number).questions
    for m in q.mistakes
]
# The hidden inputs of a course are drawn from its secret: any seed must do.
SEEDS = (0, 1, 20_261_121)
SECRETS = ("nndl.rules", "nndl.optim", "nndl.optimizer", "torch.optim")


def marked(lab: Lab, answer: dict[str, Any], seed: int = 0) -> dict[str, int]:
    """The points of each question."""
    key = lab_key(lab.number, seed)
    return {q.name: check_answer(key, q.name, answer, "en").points for q in lab.questions}


@pytest.mark.parametrize("number", NUMBERS)
def test_a_lab_has_100_points(number: int) -> None:
    lab = read_lab(number)
    written = [c for c in lab.cells if "written" in c.metadata and c.metadata["lang"] == "en"]
    total = sum(q.points for q in lab.questions) + sum(c.metadata["points"] for c in written)
    assert total == 100
    # The text says the same.
    for lang, pattern in (("zh", r"（(\d+) 分）"), ("en", r"\((\d+) points\)")):
        prose = [c.source for c in lab.cells if c.metadata.get("lang") == lang]
        headings = re.findall(rf"^## .*{pattern}$", "\n".join(prose), re.MULTILINE)
        assert sum(map(int, headings)) == 100, lang


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_solution_has_all_points(number: int, seed: int) -> None:
    lab = read_lab(number)
    assert marked(lab, dict(lab.solution), seed) == {q.name: q.points for q in lab.questions}


def stubs(lab: Lab) -> dict[str, Any]:
    """What a student has who has not begun."""
    namespace: dict[str, Any] = {}
    for cell in lab.cells:
        if "setup" in cell.metadata.get("tags", ()):
            exec(cell.source, namespace)
        elif cell.question is not None:
            assert "SOLUTION" not in cell.stub()
            exec(cell.stub(), namespace)
    return namespace


@pytest.mark.parametrize("number", NUMBERS)
def test_the_empty_lab_has_no_points_and_says_so(number: int) -> None:
    lab = read_lab(number)
    answer = stubs(lab)
    for question in lab.questions:
        report = check_answer(lab_key(number), question.name, answer, "en")
        assert not report.passed
        assert report.failure is not None
        assert report.failure.kind == "empty", (question.name, report)


@pytest.mark.parametrize(("number", "question", "mistake"), MISTAKES)
def test_a_mistake_costs_its_question_and_is_named(
    number: int, question: str, mistake: str
) -> None:
    lab = read_lab(number)
    (wrong,) = [m for m in lab.question(question).mistakes if m.name == mistake]
    answer = {**lab.solution, **wrong.answer}
    lost = {name for name, points in marked(lab, answer).items() if points == 0}
    assert lost == {question}
    for seed in SEEDS:
        report = check_answer(lab_key(number, seed), question, answer, "zh")
        assert report.failure is not None
        assert report.failure.mistake is wrong, (seed, report)
        assert wrong.hint["zh"] in repr(report)
    assert HAN.search(wrong.hint["zh"])
    assert not HAN.search(wrong.hint["en"])


def test_mistakes_are_counted(record_property: Callable[[str, object], None]) -> None:
    record_property("labs", f"{len(MISTAKES)} typical mistakes tried in {len(NUMBERS)} labs")
    assert len(set(MISTAKES)) == len(MISTAKES)


@pytest.mark.parametrize("number", NUMBERS)
def test_other_right_answers_pass(number: int) -> None:
    path = labs_folder() / f"lab{number}" / "variants.py"
    lab = read_lab(number)
    for name, variants in load_module(path).VARIANTS.items():
        question = lab.question(name)
        for variant in variants:
            given = variant if isinstance(variant, dict) else {question.defines[0]: variant}
            for seed in SEEDS:
                answer = {**lab.solution, **given}
                report = check_answer(lab_key(number, seed), name, answer, "en")
                assert report.passed, (name, report)


@pytest.mark.parametrize("number", NUMBERS)
def test_both_languages_of_a_lab_say_the_same(number: int) -> None:
    prose = [cell for cell in read_lab(number).cells if cell.kind == "markdown"]
    assert [c.metadata["lang"] for c in prose] == list(LANGUAGES) * (len(prose) // 2)
    for zh, en in zip(prose[::2], prose[1::2], strict=True):
        assert not differences(zh.source, en.source), en.source[:80]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("file", ["lab.md", "questions.py"])
def test_a_lab_gives_no_answer_away(number: int, file: str) -> None:
    """Neither the cells that students get nor the drivers in the sandbox import the answers."""
    lab = read_lab(number)
    text = (labs_folder() / f"lab{number}" / file).read_text("utf-8")
    if file == "lab.md":
        text = "\n".join(cell.stub() for cell in lab.cells if cell.kind == "code")
    imported = {
        name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
        )
    }
    assert not [name for name in imported if name and name.startswith(SECRETS)]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_released_lab_is_a_notebook_without_solutions(number: int, lang: str) -> None:
    lab = read_lab(number)
    notebook = release(lab, lang)
    nbformat.validate(nbformat.from_dict(notebook))
    text = "\n".join(cell["source"] for cell in notebook["cells"])
    assert "SOLUTION" not in text
    answers = [
        c["source"] for c in notebook["cells"] if "question" in c["metadata"].get("nndl", {})
    ]
    assert len(answers) == len(lab.questions)
    assert all("raise NotImplementedError" in answer for answer in answers)
    assert f'check = check({number}, lang="{lang}")' in text
    prose = "\n".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown")
    assert bool(HAN.search(prose)) == (lang == "zh")
    answered = [c["metadata"].get("nndl", {}).get("question") for c in notebook["cells"]]
    assert [name for name in answered if name] == [q.name for q in lab.questions]
    rubrics = [c.source for c in lab.cells if "rubric" in c.metadata]
    assert rubrics
    assert not any(rubric in text for rubric in rubrics)
