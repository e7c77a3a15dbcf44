"""The directive ``{lab}`` puts a lab on its page: as students get it, without solutions.

A page holds the title of its lab and what to read before it; everything else comes from
``labs/lab3/lab.md``. The directive becomes a box (what to read, how to begin, points, minutes) and
the text of the released notebook. As a lab has headings, which stand in no directive, it is put in
place as text when Sphinx reads the page. Nothing of it is executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bilingual import edition_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from nndl.checking import Lab

STUDENTS = "course/students"  # the chapter on how to work, check and hand in
DIRECTIVE = re.compile(
    r"^```\{lab\} (?P<number>\d+)\n(?P<reading>.*?)^```$", re.MULTILINE | re.DOTALL
)
_TITLE = re.compile(r"\A# (?P<title>.+)\n+")
_MINUTES = {
    "zh": re.compile(r"(\d+)(?: 到 (\d+))? 分钟"),
    "en": re.compile(r"(\d+)(?: to (\d+))? minutes"),
}
BOX = {
    "zh": """\
```{{admonition}} 怎样开始
:class: tip

- **先读**：{reading}
- **笔记本**：运行 `nndl lab start {number}`，当前文件夹里就有了 `lab{number}.ipynb`，并在 JupyterLab 里打开。
- **分数**：{coded} 道编程题，{coded_points} 分，由程序评分；{written} 道书面题，{written_points} 分，由老师评阅。
- **时间**：大约 {minutes} 分钟。
{students}```
""",  # noqa: E501 (prose)
    "en": """\
```{{admonition}} How to begin
:class: tip

- **Read first**: {reading}
- **The notebook**: `nndl lab start {number}` puts `lab{number}.ipynb` into the present folder, and opens it in JupyterLab.
- **Points**: {coded_points} for questions in code ({coded}), marked by program; {written_points} for questions in words ({written}), marked by your teacher.
- **Time**: about {minutes} minutes.
{students}```
""",  # noqa: E501 (prose)
}
MORE = {
    "zh": f"- 怎样做、怎样检查、怎样交，见{{doc}}`/{STUDENTS}`。\n",
    "en": f"- How to work, check and hand in: {{doc}}`/{STUDENTS}`.\n",
}


@dataclass(frozen=True)
class Facts:
    """What a student asks first: how many questions, for how many points, in how many minutes."""

    title: str
    coded: int
    coded_points: int
    written: int
    written_points: int
    minutes: tuple[int, ...]


def read_facts(lab: Lab, lang: str) -> Facts:
    """Read these out of a lab's source.

    Examples
    --------
    >>> from nndl.checking import read_lab
    >>> facts = read_facts(read_lab(3), "en")
    >>> facts.title, facts.coded_points + facts.written_points, facts.minutes
    ('Lab 3: momentum, Nesterov and Adam', 100, (75,))
    """
    prose = [cell for cell in lab.cells if cell.metadata.get("lang") == lang]
    title, minutes = _TITLE.match(prose[0].source), _MINUTES[lang].search(prose[0].source)
    if title is None or minutes is None:
        raise ValueError(f"lab {lab.number} must begin with its title and its minutes in {lang!r}")
    points = [cell.metadata["points"] for cell in prose if "written" in cell.metadata]
    return Facts(
        title=title["title"],
        coded=len(lab.questions),
        coded_points=sum(question.points for question in lab.questions),
        written=len(points),
        written_points=sum(points),
        minutes=tuple(int(number) for number in minutes.groups() if number),
    )


def lab_text(lab: Lab, lang: str) -> str:
    """Return what students get, without the title, as the text of a page."""
    from nndl.checking import release

    blocks = []
    for cell in release(lab, lang)["cells"]:
        if cell["cell_type"] == "code":
            blocks.append(f"```{{code-cell}} ipython3\n{cell['source']}\n```")
        elif "written" not in cell["metadata"].get("nndl", {}):  # that is the place for an answer
            blocks.append(cell["source"])
    return _TITLE.sub("", "\n\n".join(blocks))


def expand(text: str, lang: str, *, students: bool = False) -> str:
    """Put box and lab in the place of the directive ``{lab}``, in a text of one language.

    Parameters
    ----------
    text
        The source of the page.
    lang
        Its language.
    students
        Whether there is a chapter for students, for the box to lead to.
    """

    def box_and_lab(match: re.Match[str]) -> str:
        # Only a page with a lab needs the package, which takes seconds to import.
        from nndl.checking import read_lab

        lab = read_lab(int(match["number"]))
        facts = read_facts(lab, lang)
        box = BOX[lang].format(
            reading=match["reading"].strip(),
            number=lab.number,
            coded=facts.coded,
            coded_points=facts.coded_points,
            written=facts.written,
            written_points=facts.written_points,
            minutes="–".join(map(str, facts.minutes)),
            students=MORE[lang] if students else "",
        )
        return f"{box}\n{lab_text(lab, lang)}"

    return DIRECTIVE.sub(box_and_lab, text)


def _expand_page(app: Sphinx, docname: str, content: list[str]) -> None:
    students = STUDENTS in app.env.found_docs
    content[0] = expand(content[0], edition_of(app.config.language), students=students)


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("bilingual")  # which leaves one language, and so one directive, on a page
    app.connect("source-read", _expand_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
