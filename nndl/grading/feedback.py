"""The feedback page of a student: one file that needs nothing else."""

import hashlib
import re
import unicodedata
from typing import Any

from nndl.checking.source import Lab
from nndl.grading.gradebook import Item, Row, lab_items
from nndl.grading.handins import HandIn
from nndl.grading.pages import render, say
from nndl.grading.result import Mark
from nndl.grading.table import number
from nndl.grading.words import CELLS, LEVELS, PROBLEMS
from nndl.grading.written import WrittenMark

__all__ = ["feedback_name", "feedback_page"]

MAX_CODE = 20_000  # characters shown of an answer, and of what was printed
MAX_CELLS = 20  # cells shown that raised errors

WORDS = {
    "zh": {
        "problem": "这份作业没有评分",
        "again": "请改好以后再交一次，或者与老师联系。",
        "ours": "这不是你的错，你的作业已经收到。",
        "points": "得分",
        "unit": " 分",
        "machine": "编程题",
        "written": "书面题",
        "pending": "等老师评分",
        "late": "迟交",
        "late days": "迟交 {n} 天，扣去得分的 {percent}%（{off} 分）。",
        "late unknown": "Canvas 标明这份作业迟交，没有说明时间，按 {n} 天算：扣去得分的 "
        "{percent}%（{off} 分）。",
        "all right": "编程题全部通过。",
        "some right": "{count} 道编程题通过了 {n} 道。没有通过的在下面，有原因，有的还有提示。",
        "overview": "各题得分",
        "passed": "通过",
        "failed": "没有通过",
        "full": "已评分",
        "part": "已评分",
        "none": "已评分",
        "blank": "没有作答",
        "waiting": "等老师评分",
        "look again": "再看看这几题",
        "unknown": "没有通过。",
        "numbers": "你的数和正确的数",
        "code": "你的代码",
        "in words": "书面题",
        "person": "这一题由老师评分，现在还没有评。",
        "no answer": "作业里没有这一题的回答。",
        "comment": "老师的话：",
        "answer": "你的回答",
        "cells": "出错的单元格",
        "cells about": "只数代码单元格。",
        "more cells": "还有 {n} 个。",
        "output": "笔记本打印的内容（开头部分）",
        "cut": "……（后面的 {n} 个字符没有显示）",
        "level": "运行环境：{level}。",
    },
    "en": {
        "problem": "This hand-in has no marks",
        "again": "Put it right and hand it in again, or talk to your teacher.",
        "ours": "This is not your fault, and your work has arrived.",
        "points": "Points",
        "unit": " points",
        "machine": "Code",
        "written": "In words",
        "pending": "not marked yet",
        "late": "Late",
        "late days": "{n} day late, which takes off {percent}% of the points earned ({off})."
        "|{n} days late, which takes off {percent}% of the points earned ({off}).",
        "late unknown": "Canvas marked this hand-in as late, but not when it came. It counts as "
        "{n} day, which takes off {percent}% of the points earned ({off}).",
        "all right": "All questions of code passed.",
        "some right": "{n} of {count} questions of code passed. The others are below, with the "
        "reason, and with a hint where the mistake is known.",
        "overview": "All questions",
        "passed": "passed",
        "failed": "not yet",
        "full": "marked",
        "part": "marked",
        "none": "marked",
        "blank": "no answer",
        "waiting": "not marked yet",
        "look again": "Look at these again",
        "unknown": "It did not pass.",
        "numbers": "Your numbers and the right ones",
        "code": "Your code",
        "in words": "Answers in words",
        "person": "A person marks this question, and has not done so yet.",
        "no answer": "There is no answer to this question in the notebook.",
        "comment": "Your teacher says:",
        "answer": "Your answer",
        "cells": "Cells that raised errors",
        "cells about": "Only code cells are counted.",
        "more cells": "There is {n} more.|There are {n} more.",
        "output": "What your notebook printed (the beginning)",
        "cut": "… ({n} more characters are not shown)",
        "level": "Run behind these walls: {level}.",
    },
}


def feedback_name(handin: HandIn) -> str:
    """Return the name of a student's feedback page: safe as a file name, and the student's own.

    Examples
    --------
    >>> feedback_name(HandIn("Zhang Wei", None))
    'Zhang-Wei-5d5f4c71.html'
    >>> feedback_name(HandIn("../../etc/passwd", None))
    'etc-passwd-3754d6cb.html'
    """
    # Two names may differ in what is left out, or in capitals alone; some disks take them for one.
    own = hashlib.sha256(handin.student.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", handin.student)).strip("-")
    return f"{name[:40].strip('-')}-{own}.html".lstrip("-")


def feedback_page(row: Row, lab: Lab) -> str:
    """Return a student's feedback page, in the language of the hand-in.

    Parameters
    ----------
    row
        The hand-in and everything that became of it. Flags are for a person alone.
    lab
        The lab.
    """
    result = row.result
    lang, words = result.lang, WORDS[result.lang]
    titles = {item.name: item for item in lab_items(lab)}
    code = [_code(mark, titles[mark.question], row) for mark in result.marks]
    written = [_written(mark, titles[mark.question], lang) for mark in row.written]
    failed = [item for item in code if item["state"] == "failed"]
    passed = len(code) - len(failed)
    lead = say(words, "some right", passed, count=len(code)) if failed else words["all right"]
    return render(
        "feedback.html",
        lang,
        words,
        title=lab.title(lang),
        student=row.student,
        problem=PROBLEMS[row.problem][lang] if row.problem else "",
        ours=not row.graded,
        total=row.total,
        of=row.of,
        machine=result.points,
        machine_of=result.of,
        written=written,
        written_points=row.written_points,
        written_of=sum(mark.of for mark in row.written),
        waiting=row.waiting,
        off=row.off,
        late=_late(row),
        lead=lead,
        items=[*code, *written],
        failed=failed,
        cells=_cells(row),
        output=_bounded(result.output.strip("\n"), words),
        level=LEVELS[result.level][lang] if result.level in LEVELS else result.level,
    )


def _code(mark: Mark, item: Item, row: Row) -> dict[str, Any]:
    words = WORDS[row.result.lang]
    passed = mark.points == mark.of
    reason, *hints = mark.reasons or (words["unknown"],)
    return {
        "number": item.number,
        "title": item.title[row.result.lang],
        "points": mark.points,
        "of": mark.of,
        "state": "passed" if passed else "failed",
        "link": not passed,
        "reason": reason,
        "hints": hints,
        **_table(mark),
        "code": _bounded(row.result.answers.get(mark.question, "").strip("\n"), words),
        # What is not written yet is nothing to look at.
        "open": mark.kind not in ("empty", "undefined"),
    }


def _table(mark: Mark) -> dict[str, Any]:
    """Leave out the column of steps where there are none."""
    first = 0 if any(row[0] for row in mark.rows) else 1
    return {"head": mark.head[first:], "rows": [row[first:] for row in mark.rows]}


def _written(mark: WrittenMark, item: Item, lang: str) -> dict[str, Any]:
    if mark.points is None:
        state = "waiting" if mark.answer else "blank"
    else:
        state = "full" if mark.points == mark.of else "part" if mark.points else "none"
    return {
        "number": item.number,
        "title": item.title[lang],
        "points": mark.points,
        "of": mark.of,
        "state": state,
        "link": True,
        "comment": mark.comment,
        "answer": _bounded(mark.answer, WORDS[lang]),
    }


def _late(row: Row) -> str:
    late = row.late
    if not late.days:
        return ""
    key = "late unknown" if late.untimed else "late days"
    words = WORDS[row.result.lang]
    return say(words, key, late.days, percent=number(late.percent), off=number(row.off))


def _cells(row: Row) -> list[str]:
    lang = row.result.lang
    cells = [CELLS[cell.kind][lang].format(**vars(cell)) for cell in row.result.cells[:MAX_CELLS]]
    more = len(row.result.cells) - MAX_CELLS
    return [*cells, say(WORDS[lang], "more cells", more)] if more > 0 else cells


def _bounded(text: str, words: dict[str, str]) -> str:
    more = len(text) - MAX_CODE
    return f"{text[:MAX_CODE]}\n{say(words, 'cut', more)}" if more > 0 else text
