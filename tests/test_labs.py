"""Every lab: its solution passes, nothing else does, and known mistakes are named."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import nbformat
import pytest
import torch
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


WRONG_SHAPE = torch.ones(7, 5, dtype=torch.float64)
# What a function returns by mistake: nothing, too few values or too many, something else.
STRANGE = {
    "nothing": None,
    "a number": 3.0,
    "a text": "text",
    "an empty tuple": (),
    "a tensor": WRONG_SHAPE,
    "two tensors": (WRONG_SHAPE, WRONG_SHAPE),
    "three things": (torch.ones(1), None, "text"),
    "four tensors": (WRONG_SHAPE,) * 4,
    "mixed": [1.0, "text"],
    "tensors of two shapes": [torch.ones(2), torch.ones(3)],
    "a dictionary": {"text": 1},
    "a set": {1, 2},
}
# Here the answer's other half, or torch itself, raises an error before anything can be compared.
RAISED_ELSEWHERE = {(6, "resume", "save_run"), (7, "softplus", "Softplus.backward")}


def strange_answers(
    lab: Lab, question: str
) -> Iterator[tuple[str, str, Callable[..., Any] | type]]:
    """The names that a question defines, or methods of these, with something strange returned."""
    for what, value in STRANGE.items():

        def returns(*args: Any, _value: Any = value, **kwargs: Any) -> Any:
            return _value

        for name in lab.question(question).defines:
            yield what, name, returns
            right = lab.solution[name]
            for method, known in vars(right).items() if inspect.isclass(right) else ():
                if method.startswith("_") or not isinstance(known, (Callable, staticmethod)):
                    continue
                wrong = staticmethod(returns) if isinstance(known, staticmethod) else returns
                yield what, f"{name}.{method}", type(name, (right,), {method: wrong})


@pytest.mark.parametrize(("number", "question"), QUESTIONS)
def test_a_strange_result_is_told_in_words(number: int, question: str) -> None:
    lab, key = read_lab(number), lab_key(number)
    tried = 0
    for what, name, strange in strange_answers(lab, question):
        answer = {**lab.solution, name.partition(".")[0]: strange}
        report = check_answer(key, question, answer, "zh")
        assert report.failure is not None, (name, what)
        if (number, question, name) not in RAISED_ELSEWHERE:
            assert report.failure.kind in ("unusable", "shape", "value"), (name, what, report)
        assert all(HAN.search(reason) for reason in report.reasons()), (name, what, report)
        english = replace(report, lang="en")
        assert not HAN.search(repr(english)), (name, what, english)
        tried += 1
    assert tried >= len(STRANGE)


class _Unstored:
    """An operator whose gradients are no dictionary."""

    def __init__(self, *args: Any) -> None:
        self.params, self.grads = {"x": torch.ones(2)}, torch.ones(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[0]

    def backward(self, *args: Any) -> None:
        """Store nothing."""


class _Emptying:
    """An optimiser that takes the parameters away."""

    def __init__(self, first: Any, second: Any, *args: Any) -> None:
        # RMSprop(params, lr, ...) in lab 2, SimpleBatchGD(init_lr, model) in lab 1
        self.params = first if isinstance(first, dict) else second.params

    def step(self, *args: Any) -> None:
        self.params.update(dict.fromkeys(self.params))


def _state_of_tensors(opt: Any) -> None:
    opt.state.update({p: torch.ones(9) for group in opt.param_groups for p in group["params"]})


def _wide_buffers(opt: Any, *args: Any) -> None:
    for group in opt.param_groups:
        for p in group["params"]:
            opt.state[p]["momentum_buffer"] = opt.state[p]["total"] = torch.ones(9)


def _without_groups(opt: Any, saved: Any) -> None:
    opt.param_groups = saved["param_groups"][:1]


def _without_rates(opt: Any, saved: Any) -> None:
    opt.param_groups = [{} for _ in opt.param_groups]


def _weights_gone(run: Any, saved: Any) -> None:
    run.w = None


def _list_of_gradients(result: Any) -> None:
    result.grad = [1.0, 2.0]


LEFT_BEHIND = [
    (1, "bowl", {"Bowl": _Unstored}),
    (1, "step", {"SimpleBatchGD": _Emptying}),
    (2, "own-state", {"RMSprop": _Emptying}),
    (5, "momentum-step", {"momentum_step": _state_of_tensors}),
    (5, "momentum-step", {"momentum_step": _wide_buffers}),
    (5, "load-state-dict", {"load_state_dict": _wide_buffers}),
    (5, "load-state-dict", {"load_state_dict": _without_groups}),
    (5, "load-state-dict", {"load_state_dict": _without_rates}),
    (6, "resume", {"load_run": _weights_gone}),
    (7, "backward", {"backward": _list_of_gradients}),
]


@pytest.mark.parametrize(("number", "question", "wrong"), LEFT_BEHIND)
def test_strange_things_left_behind_are_told_in_words(
    number: int, question: str, wrong: dict[str, Any]
) -> None:
    answer = {**read_lab(number).solution, **wrong}
    report = check_answer(lab_key(number), question, answer, "zh")
    assert report.failure is not None
    assert report.failure.kind == "unusable", report
    assert HAN.search(report.reasons()[0])
    assert not HAN.search(repr(replace(report, lang="en")))


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
