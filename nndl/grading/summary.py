"""The instructor's page about a lab: how it went, where it was hard, whom to look at."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import mean, median
from typing import Any
from urllib.parse import quote

from nndl.checking.source import Lab
from nndl.grading.feedback import feedback_name
from nndl.grading.gradebook import Item, Row, lab_items
from nndl.grading.pages import render, say
from nndl.grading.table import number
from nndl.grading.words import FLAGS, LEVELS, PROBLEMS
from nndl.grading.written import written_questions

__all__ = ["summary_page"]

BINS = 10
HEIGHT = 120  # pixels of the highest bar

WORDS = {
    "zh": {
        "title": "{title}：评分小结",
        "when": "评于 {when}",
        "numbers": "概况",
        "handins": "份作业",
        "mean": "平均分",
        "median": "中位数",
        "late": "迟交",
        "problems": "没有评分",
        "flagged": "请人过目",
        "waiting": "等人评分",
        "totals": "总分分布",
        "totals about": "总分（满分 {of}），每格一段，数字是份数。不含没有评分的作业。",
        "bin": "{low} 到 {high} 分：{n} 份",
        "pending": "书面题还没有评完：分数写进 <code>written.csv</code> 后再运行一次，就会计入。",
        "questions": "各题难度",
        "questions about": "得到分数的份数和比例，不含没有评分的作业。",
        "share": "{n} / {count}（{percent}%）",
        "mean points": "已评 {n} / {count}，平均 {points} / {of}",
        "rubric": "评分要点",
        "kinds": "没有通过的：{kinds}",
        "empty": "没有写 {n}",
        "undefined": "没有定义 {n}",
        "raised": "运行出错 {n}",
        "numbers differ": "数不对 {n}",
        "stopped": "超时或中断 {n}",
        "mistakes": "常见错误",
        "mistakes about": "按次数排列；数与已知的一种错误完全相同，才算在内。",
        "no mistakes": "没有认出常见错误。",
        "times": "{n} 份",
        "flags": "请人过目",
        "flags about": "这些都不是证据，也没有扣分；请打开作业看一看。",
        "no flags": "没有需要过目的作业。",
        "why not": "没有评分的作业",
        "late days": "{n} 天，扣 {off} 分",
        "late unknown": "Canvas 标明迟交，时间不详，按 {n} 天算，扣 {off} 分",
        "everybody": "全部作业",
        "student": "学生",
        "code": "编程题",
        "written": "书面题",
        "off": "迟交",
        "total": "总分",
        "notes": "备注",
        "people": "{n} 人",
        "comma": "、",
        "semicolon": "；",
        "level": "运行环境：{level}。",
        "levels": "{n} 份在此运行：{level}。",
        "about": "表格见 <code>grades.csv</code>，每人的反馈在 <code>feedback</code> 文件夹。",
        "none": "无",
    },
    "en": {
        "title": "{title}: summary",
        "when": "Graded on {when}",
        "numbers": "In numbers",
        "handins": "hand-ins",
        "mean": "mean",
        "median": "median",
        "late": "late",
        "problems": "without marks",
        "flagged": "to look at",
        "waiting": "waiting for marks",
        "totals": "Totals",
        "totals about": "Points, of {of}; each bar is one range, with the number of hand-ins on "
        "it. Hand-ins without marks are left out.",
        "bin": "{low} to {high} points: {n} hand-in|{low} to {high} points: {n} hand-ins",
        "pending": "Not all answers in words are marked: fill in <code>written.csv</code> and run "
        "it again, and they count.",
        "questions": "Which questions were hard",
        "questions about": "How many got the points. Hand-ins without marks are left out.",
        "share": "{n} of {count} ({percent}%)",
        "mean points": "{n} of {count} marked, mean {points} of {of}",
        "rubric": "Rubric",
        "kinds": "Not yet: {kinds}",
        "empty": "{n} not written",
        "undefined": "{n} not defined",
        "raised": "{n} raised an error|{n} raised errors",
        "numbers differ": "{n} with other numbers",
        "stopped": "{n} out of time or ended",
        "mistakes": "Typical mistakes",
        "mistakes about": "By frequency. One counts where the numbers are exactly those of a known "
        "mistake.",
        "no mistakes": "No known mistake was recognised.",
        "times": "{n} hand-in|{n} hand-ins",
        "flags": "For a person to look at",
        "flags about": "None of these is a proof, and none has cost points: open the notebook and "
        "have a look.",
        "no flags": "Nothing to look at.",
        "why not": "Hand-ins without marks",
        "late days": "{n} day, {off} points off|{n} days, {off} points off",
        "late unknown": "marked late by Canvas without a time, so {n} day, {off} points off",
        "everybody": "All hand-ins",
        "student": "Student",
        "code": "Code",
        "written": "In words",
        "off": "Late",
        "total": "Total",
        "notes": "Notes",
        "people": "{n} people",
        "comma": ", ",
        "semicolon": "; ",
        "level": "Run behind these walls: {level}.",
        "levels": "{n} was run behind these walls: {level}."
        "|{n} were run behind these walls: {level}.",
        "about": "The table is <code>grades.csv</code>; each student's page is in the folder "
        "<code>feedback</code>.",
        "none": "none",
    },
}
#: What can go wrong with an answer (``Mark.kind``), in fewer kinds.
KINDS = {
    "empty": "empty",
    "undefined": "undefined",
    "raised": "raised",
    "unusable": "raised",
    "missing": "numbers differ",
    "shape": "numbers differ",
    "not finite": "numbers differ",
    "value": "numbers differ",
    "time": "stopped",
    "used up": "stopped",
    "ended": "stopped",
    "damaged": "stopped",
}


def summary_page(rows: Sequence[Row], lab: Lab, lang: str, when: datetime) -> str:
    """Return the instructor's page, which lies beside the folder ``feedback``.

    Parameters
    ----------
    rows
        The hand-ins, in the order in which they are listed.
    lab
        The lab.
    lang
        The language of the page: ``"zh"`` or ``"en"``.
    when
        When they were graded.
    """
    words = WORDS[lang]
    marked = [row for row in rows if not row.problem]
    totals = [row.total for row in marked]
    return render(
        "summary.html",
        lang,
        words,
        title=say(words, "title", title=lab.title(lang)),
        when=say(words, "when", when=when.astimezone().strftime("%Y-%m-%d %H:%M")),
        tiles=[
            ("handins", len(rows)),
            ("mean", f"{mean(totals):.1f}" if totals else "–"),
            ("median", f"{median(totals):.1f}" if totals else "–"),
            ("problems", len(rows) - len(marked)),
            ("flagged", sum(bool(row.flags) for row in rows)),
            ("late", sum(row.late.days > 0 for row in rows)),
            ("waiting", sum(row.waiting for row in rows)),
        ],
        of=_of(lab),
        bins=_bins(totals, _of(lab), lang),
        questions=[_question(item, marked, lab, lang) for item in lab_items(lab)],
        mistakes=_mistakes(marked, lab, lang),
        flagged=[
            {**_who(row), "why": [FLAGS[flag][lang] for flag in row.flags]}
            for row in rows
            if row.flags
        ],
        problems=[{**_who(row), "why": PROBLEMS[row.problem][lang]} for row in rows if row.problem],
        everybody=[_everybody(row, lang) for row in rows],
        levels=_levels(rows, lang),
        pending=any(row.waiting for row in rows),
    )


def _of(lab: Lab) -> int:
    return sum(item.of for item in lab_items(lab))


def _who(row: Row) -> dict[str, Any]:
    return {"student": row.student, "page": f"feedback/{quote(feedback_name(row.handin))}"}


def _bins(totals: Iterable[float], of: int, lang: str) -> list[dict[str, Any]]:
    """Count the totals in ten ranges; the last has its upper end in it."""
    count = Counter(min(BINS - 1, int(BINS * total / of)) for total in totals)
    highest = max(count.values(), default=1)
    width = of / BINS
    return [
        {
            "n": count[place],
            "height": round(HEIGHT * count[place] / highest),
            "from": number(width * place),
            "said": say(
                WORDS[lang],
                "bin",
                count[place],
                low=number(width * place),
                high=number(width * (place + 1)),
            ),
        }
        for place in range(BINS)
    ]


def _question(item: Item, rows: Sequence[Row], lab: Lab, lang: str) -> dict[str, Any]:
    words = WORDS[lang]
    about: dict[str, Any] = {"number": item.number, "title": item.title[lang]}
    if item.written:
        every = [mark for row in rows for mark in row.written if mark.question == item.name]
        given = [mark.points for mark in every if mark.points is not None]
        points = mean(given) if given else 0.0
        rubric = next(q.rubric[lang] for q in written_questions(lab) if q.name == item.name)
        counts = {"count": len(every), "points": number(points) if given else "–", "of": item.of}
        said = say(words, "mean points", len(given), **counts)
        return {**about, "share": points / item.of, "said": said, "kinds": "", "rubric": rubric}
    marks = [mark for row in rows for mark in row.result.marks if mark.question == item.name]
    right = sum(mark.points == mark.of for mark in marks)
    share = right / len(marks) if marks else 0.0
    kinds = Counter(KINDS.get(mark.kind, "stopped") for mark in marks if mark.points < mark.of)
    return {
        **about,
        "share": share,
        "said": say(words, "share", right, count=len(marks), percent=f"{100 * share:.0f}"),
        "kinds": words["comma"].join(say(words, kind, n) for kind, n in kinds.most_common()),
        "rubric": "",
    }


def _mistakes(rows: Iterable[Row], lab: Lab, lang: str) -> list[dict[str, Any]]:
    made: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        for mark in row.result.marks:
            if mark.mistake:
                made[mark.question, mark.mistake].append(row)
    items = {item.name: item for item in lab_items(lab)}
    hints = {(q.name, m.name): m.hint[lang] for q in lab.questions for m in q.mistakes}
    return [
        {
            "number": items[question].number,
            "title": items[question].title[lang],
            "hint": _sentence(hints.get((question, mistake), mistake)),
            "times": say(WORDS[lang], "times", len(who)),
            "who": [_who(row) for row in who],
        }
        for (question, mistake), who in sorted(
            made.items(), key=lambda found: (-len(found[1]), items[found[0][0]].number)
        )
    ]


def _sentence(hint: str) -> str:
    """Begin a hint with a capital, unless it begins with the name of a variable."""
    first = hint.split(" ", 1)[0]
    return hint[:1].upper() + hint[1:] if len(first) > 1 and first.isalpha() else hint


def _everybody(row: Row, lang: str) -> dict[str, Any]:
    words = WORDS[lang]
    notes = []
    if row.problem:
        notes.append(words["problems"])
    if row.late.days:
        key = "late unknown" if row.late.untimed else "late days"
        notes.append(f"{words['off']}: {say(words, key, row.late.days, off=number(row.off))}")
    if row.flags:
        notes.append(words["flagged"])
    if row.waiting:
        notes.append(words["waiting"])
    return {
        **_who(row),
        "code": row.result.points,
        "written": "–" if row.waiting else row.written_points,
        "off": row.off,
        "total": row.total if row.graded else "–",
        "notes": words["semicolon"].join(notes),
    }


def _levels(rows: Iterable[Row], lang: str) -> list[str]:
    """Say at which level the hand-ins ran; a run that was resumed may have had several."""
    count = Counter(row.result.level for row in rows)
    said = {level: LEVELS[level][lang] if level in LEVELS else level for level in count}
    if len(count) == 1:
        return [say(WORDS[lang], "level", level=said[next(iter(count))])]
    return [say(WORDS[lang], "levels", n, level=said[level]) for level, n in count.most_common()]
