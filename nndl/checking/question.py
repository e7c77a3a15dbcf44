"""What a lab asks: the inputs of a question, how an answer is run on them, and known mistakes.

A question never compares by itself. It *runs* an answer (the student's functions) on a case (plain
data) and returns a trace (plain data): what came out, step by step. The same question runs the
solution, the student's answer and every recorded mistake, here or in a sandbox; whoever has two
traces compares them. So an expected value need never be where a student's code is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

__all__ = ["Case", "Mistake", "Question", "Text", "Trace", "Unusable", "as_trace"]

#: Words in both languages, ``{"zh": ..., "en": ...}``.
Text: TypeAlias = Mapping[str, str]
#: The input of a question, made of numbers, texts, lists of these, and arrays.
Case: TypeAlias = Mapping[str, Any]
#: What an answer gave, as arrays by name. The first dimension of an array counts steps.
Trace: TypeAlias = Mapping[str, np.ndarray[Any, Any]]

MAX_NUMBERS = 1_000_000


class Unusable(TypeError):
    """What an answer returned cannot be compared: two values instead of one, a text, nothing.

    Parameters
    ----------
    zh, en
        What was returned and what should be, in both languages.

    Examples
    --------
    >>> raise Unusable("step 应返回一个张量。", "step must return a tensor.")
    Traceback (most recent call last):
    ...
    nndl.checking.question.Unusable: step must return a tensor.
    """

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text: Text = {"zh": zh, "en": en}


@dataclass(frozen=True)
class Mistake:
    """A mistake that people make, as a wrong answer that can be run.

    Attributes
    ----------
    name
        A short name, such as ``"epsilon inside the root"``.
    hint
        What to say to someone whose numbers are those of this answer.
    answer
        The wrong functions by name, in place of the right ones.

    Examples
    --------
    >>> hint = {"zh": "忘了除以 2。", "en": "The division by 2 is missing."}
    >>> Mistake("not halved", hint, {"half": lambda x: x}).answer["half"](3.0)
    3.0
    """

    name: str
    hint: Text
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """One question of a lab.

    Attributes
    ----------
    name
        Unique in the lab, such as ``"adam"``.
    points
        What it is worth.
    title
        A few words in both languages.
    defines
        The names that an answer must define.
    cases
        Draws the inputs from a random generator: the published ones from a fixed seed, the hidden
        ones from the course's secret.
    run
        Runs an answer, a mapping of names to what the student defined, on one case.
    tolerance
        By how much numbers may differ, relative to the largest of the trace.
    counts
        What the first dimension of its arrays counts: ``"step"``, or ``"index"`` of anything else.
    mistakes
        The known ones.

    Examples
    --------
    >>> halve = Question(
    ...     "half", 10, {"zh": "一半", "en": "A half"}, ("half",),
    ...     cases=lambda rng: [{"x": rng.standard_normal(3)}],
    ...     run=lambda answer, case: {"y": answer["half"](torch.as_tensor(case["x"]))},
    ... )
    >>> case = halve.draw(0)[0]
    >>> trace = halve.trace({"half": lambda x: x / 2}, case)
    >>> bool(np.allclose(trace["y"], case["x"] / 2))
    True
    """

    name: str
    points: int
    title: Text
    defines: Sequence[str]
    cases: Callable[[np.random.Generator], Sequence[Case]]
    run: Callable[[Mapping[str, Any], Case], Mapping[str, Any]]
    tolerance: float = 1e-6
    counts: str = "step"
    mistakes: Sequence[Mistake] = field(default=())

    def draw(self, seed: int) -> Sequence[Case]:
        """Draw the inputs that belong to a seed."""
        return self.cases(np.random.default_rng(seed))

    def trace(self, answer: Mapping[str, Any], case: Case) -> Trace:
        """Run an answer on one case, and return what came out as plain data.

        Raises
        ------
        Unusable
            If something else than numbers came out.
        """
        for name in self.defines:
            if not callable(answer[name]):
                kind = type(answer[name]).__name__
                raise Unusable(
                    f"{name} 应是一个函数或类，得到的是 {kind} 类型的值。",
                    f"{name} must be a function or a class, got a value of type {kind}.",
                )
        return as_trace(self.run(answer, case))


def as_trace(results: Mapping[str, Any]) -> Trace:
    """Turn what an answer returned into arrays, or say what cannot be turned.

    Raises
    ------
    Unusable
        If a value is no tensor, array, number or list of these, or has more than a million numbers.

    Examples
    --------
    >>> as_trace({"x": torch.tensor([1.0, 2.0]), "steps": 3})
    {'x': array([1., 2.], dtype=float32), 'steps': array(3)}
    >>> as_trace({"x": None})
    Traceback (most recent call last):
    ...
    nndl.checking.question.Unusable: x must be a tensor, an array or numbers, got NoneType.
    """
    return {name: _as_array(name, value) for name, value in results.items()}


def _as_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, torch.Tensor):
        array = value.detach().to("cpu").numpy(force=True)
    elif isinstance(value, (list, tuple)):
        items = [_as_array(name, item) for item in value]
        shapes = sorted({item.shape for item in items})
        if len(shapes) > 1:
            raise Unusable(
                f"{name} 里的形状不一致：{shapes[0]} 和 {shapes[1]}。",
                f"{name} holds different shapes: {shapes[0]} and {shapes[1]}.",
            )
        array = np.stack(items) if items else np.zeros(0)
    elif isinstance(value, (bool, int, float, np.ndarray, np.number)):
        array = np.asarray(value)
    else:
        kind = type(value).__name__
        raise Unusable(
            f"{name} 应是张量、数组或数，得到的是 {kind}。",
            f"{name} must be a tensor, an array or numbers, got {kind}.",
        )
    if array.dtype.kind not in "bif":
        raise Unusable(
            f"{name} 应由实数组成，得到的类型是 {array.dtype}。",
            f"{name} must hold real numbers, got the type {array.dtype}.",
        )
    if array.size > MAX_NUMBERS:
        raise Unusable(
            f"{name} 有 {array.size} 个数，最多 {MAX_NUMBERS} 个。",
            f"{name} has {array.size} numbers; at most {MAX_NUMBERS} are taken.",
        )
    return array
