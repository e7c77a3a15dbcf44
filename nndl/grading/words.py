"""What the grader says, in both languages."""

from nndl.checking.question import Text

__all__ = ["CELLS", "FLAGS", "LEVELS", "PROBLEMS"]

#: Why a hand-in cannot be graded at all.
PROBLEMS: dict[str, Text] = {
    "missing": {
        "zh": "没有找到笔记本（.ipynb 文件）。",
        "en": "There is no notebook (.ipynb file).",
    },
    "link": {
        "zh": "交来的是一个链接，不是文件。",
        "en": "What was handed in is a link, not a file.",
    },
    "unreadable": {
        "zh": "文件打不开。",
        "en": "The file cannot be opened.",
    },
    "too large": {
        "zh": "文件超过 20 MB。清除输出后再交一次。",
        "en": "The file is larger than 20 MB. Clear its outputs and hand it in again.",
    },
    "not a notebook": {
        "zh": "文件不是笔记本：无法按 JSON 读出单元格。",
        "en": "The file is not a notebook: no cells can be read from it as JSON.",
    },
    "another lab": {
        "zh": "这是另一个实验的笔记本。",
        "en": "This is the notebook of another lab.",
    },
    "grader": {
        "zh": "评分程序出错，这份作业没有评分。请教师再运行一次。",
        "en": "The grader failed, and this hand-in has no marks yet. It needs another run.",
    },
}

#: What a person should look at. None of these is a proof, so none costs points.
FLAGS: dict[str, Text] = {
    "optimiser": {
        "zh": "用了现成的优化器，而不是自己写",
        "en": "uses an optimiser instead of writing one",
    },
    "imports": {"zh": "导入的方式不寻常", "en": "imports in unusual ways"},
    "system": {"zh": "调用系统功能", "en": "reaches for the system"},
    "inspection": {
        "zh": "查看运行它的程序",
        "en": "looks at the program that runs it",
    },
    "files": {"zh": "打开文件", "en": "opens files"},
    "replacement": {
        "zh": "替换检查所用的函数",
        "en": "replaces what could check it",
    },
    "many cells": {
        "zh": "单元格太多，只读了前 1000 个",
        "en": "only its first 1,000 cells were read",
    },
    "long cell": {
        "zh": "有一个太长的单元格没有运行",
        "en": "a cell too long to be run was left out",
    },
    "no lab": {
        "zh": "没有说明是哪个实验",
        "en": "does not say which lab it belongs to",
    },
    "several": {
        "zh": "交了几个笔记本，评的是最后一个",
        "en": "several notebooks were handed in: the last was graded",
    },
    "ended": {
        "zh": "使运行它的程序中断",
        "en": "ended the program that ran it",
    },
    "damaged": {
        "zh": "送回的数据不合规定",
        "en": "sent back data that are no answer",
    },
}

#: Why a cell didn't run to its end.
CELLS: dict[str, Text] = {
    "raised": {
        "zh": "第 {cell} 个代码单元格（`{begins}`）出错：{error}",
        "en": "Code cell {cell} (`{begins}`) raised an error: {error}",
    },
    "stopped": {
        "zh": "停在第 {cell} 个代码单元格：`{begins}`",
        "en": "Stopped in code cell {cell}: `{begins}`",
    },
    "time": {
        "zh": "第 {cell} 个代码单元格（`{begins}`）没有在时限内运行完，已跳过。",
        "en": "Code cell {cell} (`{begins}`) was not done in time and was left out.",
    },
    "used up": {
        "zh": "到第 {cell} 个代码单元格（`{begins}`）时，这份作业的时间已经用完。",
        "en": "By code cell {cell} (`{begins}`) the hand-in had used up its time.",
    },
    "ended": {
        "zh": "第 {cell} 个代码单元格（`{begins}`）使运行它的程序中断，已跳过。",
        "en": "Code cell {cell} (`{begins}`) ended the program that ran it and was left out.",
    },
    "damaged": {
        "zh": "第 {cell} 个代码单元格（`{begins}`）送回的数据不合规定，已跳过。",
        "en": "Code cell {cell} (`{begins}`) sent back data that are no answer and was left out.",
    },
}

#: What each level of the walls is.
LEVELS: dict[str, Text] = {
    "bubblewrap": {
        "zh": "bubblewrap：独立的文件系统、进程和网络，并限制内存和时间",
        "en": "bubblewrap: files, processes and network of its own, limits on memory and time",
    },
    "rlimits": {
        "zh": "rlimits：限制内存和时间，不能开网络连接和新进程；文件可读",
        "en": "rlimits: limits on memory and time, no network, no processes; files can be read",
    },
    "none": {"zh": "none：没有隔离", "en": "none: no walls"},
}
