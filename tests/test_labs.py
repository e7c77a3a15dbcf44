"""Every lab: its solution passes, nothing else does, and known mistakes are named."""

import ast
import inspect
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
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


@pytest.mark.parametrize("number", NUMBERS)
def test_questions_stand_alone(number: int) -> None:
    """A question uses the names that it asks for, and no two ask for the same."""
    lab, key = read_lab(number), lab_key(number)
    defined = [name for question in lab.questions for name in question.defines]
    assert len(set(defined)) == len(defined)
    for question in lab.questions:
        own = {name: lab.solution[name] for name in question.defines}
        cases = key.questions[question.name].cases
        for i, case in enumerate(cases):
            trace = question.trace(own, deepcopy(case))
            assert key.questions[question.name].difference(i, trace) is None


@pytest.mark.parametrize(("number", "question", "mistake"), MISTAKES)
def test_a_mistake_costs_its_question_and_is_named(
    number: int, question: str, mistake: str
) -> None:
    lab = read_lab(number)
    (wrong,) = [m for m in lab.question(question).mistakes if m.name == mistake]
    # No other question sees these names, so that no other is lost.
    assert set(wrong.answer) <= set(lab.question(question).defines)
    answer = {**lab.solution, **wrong.answer}
    for seed in SEEDS:
        report = check_answer(lab_key(number, seed), question, answer, "zh")
        assert report.points == 0
        assert report.failure is not None
        assert report.failure.mistake is wrong, (seed, report)
        assert wrong.hint["zh"] in repr(report)
    assert HAN.search(wrong.hint["zh"])
    assert not HAN.search(wrong.hint["en"])


def test_mistakes_are_counted(record_property: Callable[[str, object], None]) -> None:
    record_property("labs", f"{len(MISTAKES)} typical mistakes tried in {len(NUMBERS)} labs")
    assert len(set(MISTAKES)) == len(MISTAKES) >= 60


@pytest.mark.parametrize("number", NUMBERS)
def test_other_right_answers_pass(
    number: int, record_property: Callable[[str, object], None]
) -> None:
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
    count = sum(map(len, load_module(path).VARIANTS.values()))
    assert count >= 3
    record_property("labs", f"lab {number}: {count} right answers written otherwise, all passed")


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


@cache
def run_through(number: int) -> dict[str, Any]:
    """Run every code cell of the solved lab; return what it defines."""
    namespace: dict[str, Any] = {"__name__": f"lab{number}"}
    for cell in read_lab(number).cells:
        if cell.kind == "code":
            exec(compile(cell.source, f"<lab {number}>", "exec"), namespace)
    plt.close("all")
    return namespace


def tensor(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


# What the texts of the labs, their model answers and their pictures' captions say.


def test_what_lab_1_says_is_so() -> None:
    lab = run_through(1)
    limit, best = lab["learning_rates"](torch.diag(tensor(1, 1000)))
    assert math.isclose(limit, 0.002)
    assert math.isclose(best, 2 / 1001)
    factors = 1 - best * tensor(1, 1000)
    assert torch.allclose(factors, tensor(999, -999) / 1001)
    assert round(math.log(0.1) / math.log(999 / 1001)) == 1151
    # With half the rate: twice the steps for one coordinate, a single one for the other.
    halved = 1 - best / 2 * tensor(1, 1000)
    assert torch.allclose(halved, tensor(1000, 1) / 1001)
    assert 2250 < math.log(0.1) / math.log(1000 / 1001) < 2350
    # The second experiment finds the true weights.
    assert torch.allclose(lab["line"].params["W"].flatten(), tensor(0.5, 0.8), atol=0.02)
    # A column minus a row is a table.
    assert (torch.ones(3, 1) - torch.ones(3)).shape == (3, 3)


def test_what_lab_2_says_is_so() -> None:
    lab = run_through(2)
    # RMSprop ends up as far from the minimum as was worked out, and jumps to and fro.
    distance = lab["settled"](lab["curvature"], 0.1)[0]
    assert torch.allclose(lab["x"].abs(), distance, atol=1e-4)
    following, _ = lab["rmsprop_step"](lab["x"], lab["curvature"] * lab["x"], lab["s"], 0.1, 0.9, 0)
    assert torch.allclose(following, -lab["x"], atol=1e-4)
    # Three parameters, each off by α/2.
    assert math.isclose(3 * distance[0].item() ** 2, 0.0075)
    # AdaGrad's rates never rise, RMSprop's do.
    adagrad, rmsprop = lab["effective_rates"](lab["gradients"], 0.1, 0.9, 1e-7)
    assert (adagrad.diff(dim=0) <= 0).all()
    assert rmsprop[-1] > 50 * rmsprop[49]
    # A distance D takes AdaGrad about (D / 2α)² steps, and half the rate four times as many.
    begin, rates = lab["begin"], (0.4, 0.2, 0.1)
    counts = [lab["steps_to_reach"](lab["adagrad_path"](lr), begin, 0.1, 5000) for lr in rates]
    assert all(3 < slow / fast < 5 for fast, slow in pairwise(counts))


def test_what_lab_3_says_is_so() -> None:
    lab = run_through(3)
    grad, settings = tensor(7.0), (0.1, 0.8, 0.99, 0.0)
    (wrong,) = [m for m in read_lab(3).question("adam").mistakes if "correction f" in m.name]
    uncorrected = wrong.answer["adam_step"](torch.zeros_like(grad), grad, {}, *settings)
    assert torch.allclose(uncorrected, -2 * tensor(0.1))
    corrected = lab["adam_step"](torch.zeros_like(grad), grad, {}, *settings)
    assert torch.allclose(corrected, -tensor(0.1))
    # The factor on the first steps is above 1 and fades.
    factors = [(1 - 0.8**t) / math.sqrt(1 - 0.99**t) for t in range(1, 501)]
    assert min(factors) > 1
    assert factors[299] < 1.03
    assert round(0.99**300, 2) == 0.05
    # Adam's first step moves both coordinates equally far.
    first, second, *_ = lab["points"]
    assert torch.allclose((second - first).abs(), torch.full((2,), 0.2))
    # With rho = 0 the velocity is the latest gradient.
    grads = torch.randn(5, 3, dtype=torch.float64)
    assert torch.equal(lab["unrolled_velocity"](grads, 0.0), grads[-1])


def test_what_lab_4_says_is_so() -> None:
    lab = run_through(4)
    kinds = {
        place: lab["classify"](lab["hessian_of_f"](tensor(*place)), 1e-9)
        for place in ((0.0, 0.0), (0.25, -0.5))
    }
    assert kinds == {(0.0, 0.0): "minimum", (0.25, -0.5): "saddle"}
    assert math.isclose(lab["largest_rate"](lab["valley_hessian"], 0.0), 1.0)
    assert lab["escape"](1e-5, -1.0, 0.05, 0.0, 1000)[1] == 236
    assert lab["escape"](1e-5, -1.0, 0.05, 0.9, 1000)[1] == 66
    assert math.isclose(lab["escape"](1e-5, -1.0, 0.05, 0.9, 1)[0], 1.2, abs_tol=0.01)

    def names(steps: int) -> list[str]:
        goal = torch.zeros(2, dtype=torch.float64)
        start = tensor(*lab["valley"].start)
        ranking = lab["race"](lab["valley"].gradient, lab["rules"], start, steps, goal)
        return [name for name, _ in ranking]

    assert names(30)[-1] == "Momentum"
    assert names(25)[1] == "Momentum"
    assert names(60)[-1] == "Adam"
    # Along the valley: α = 0.1, ρ = 0.9, λ = 0.1. Complex roots turn by this angle at each step.
    b = 1 + 0.9 - 0.1 * 0.1
    angle = math.acos(b / (2 * math.sqrt(0.9)))
    assert math.isclose(math.pi / angle, 35.6, abs_tol=0.1)
    # RMSprop's first step, with β = 0.9.
    assert round(1 / math.sqrt(1 - 0.9), 2) == 3.16


def test_what_lab_5_says_is_so() -> None:
    lab = run_through(5)
    assert lab["same"]
    assert lab["behind"]
    a, b = torch.ones(1), torch.ones(1)
    assert b in [a]
    assert b not in {a}


def test_what_lab_6_says_is_so() -> None:
    step, w, zero = run_through(6)["adam_step"], tensor(1.5), tensor(0.0)
    moved = {
        (decoupled, decay): (w - step(w, zero, {}, 0.1, 0.9, 0.999, 1e-8, decay, decoupled)).item()
        for decoupled in (False, True)
        for decay in (0.2, 0.1)
    }
    assert math.isclose(moved[False, 0.2], moved[False, 0.1], rel_tol=1e-6)
    assert math.isclose(moved[False, 0.1], 0.1, rel_tol=1e-6)
    assert math.isclose(moved[True, 0.2], 2 * moved[True, 0.1])
    # Without a gradient AdamW shrinks by the product of all (1 - α λ), about exp(-λ Σ α).
    rates, shrunk, state = [0.1 / t for t in range(1, 50)], w, {}
    for rate in rates:
        shrunk = step(shrunk, zero, state, rate, 0.9, 0.999, 1e-8, 0.1, True)
    assert torch.allclose(shrunk, w * math.prod(1 - 0.1 * rate for rate in rates))
    assert torch.allclose(shrunk, w * math.exp(-0.1 * sum(rates)), rtol=1e-3)


def test_what_lab_7_says_is_so() -> None:
    lab = run_through(7)
    assert lab["x"].grad == 216
    # One graph, two passes: nothing is built anew, and the gradient doubles.
    w = torch.tensor(1.0, requires_grad=True)
    y = 2 * w
    y.backward(retain_graph=True)
    y.backward()
    assert w.grad == 4
    # New graphs, and no gradient left behind.
    v = torch.tensor(1.0, requires_grad=True)
    assert [torch.autograd.grad(3 * v, v)[0].item() for _ in range(2)] == [3, 3]
    assert v.grad is None
    # The error of a difference has its least value between rounding and the formula.
    assert min(lab["errors"]) < min(lab["errors"][0], lab["errors"][-1]) / 100
