"""Search for Chinese: a run of Han characters is indexed and asked for as its bigrams.

A dictionary segments 自适应学习率 in one way and a reader's 学习率 in another, and finds nothing.
Bigrams need no dictionary: 学习率 is 学习 + 习率, and both are among the bigrams of 自适应学习率.
Single characters are indexed too, for queries of one character. The rest is English search.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# CJK Unified Ideographs and extension A; the script beside this file has the same range.
_TOKEN = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")


def bigrams(run: str) -> list[str]:
    """Return the overlapping pairs of characters in a run.

    Examples
    --------
    >>> bigrams("学习率")
    ['学习', '习率']
    """
    return [run[i : i + 2] for i in range(len(run) - 1)]


def index_terms(text: str) -> list[str]:
    """Return the terms under which a text is found.

    Examples
    --------
    >>> index_terms("Adam 的学习率")
    ['Adam', '的', '学', '习', '率', '的学', '学习', '习率']
    """
    terms: list[str] = []
    for token in _TOKEN.findall(text):
        if "\u3400" <= token[0] <= "\u9fff":
            terms += list(token) + bigrams(token)
        else:
            terms.append(token)
    return terms


class SearchChinese(SearchEnglish):
    """Han runs by bigrams, everything else as in English."""

    lang = "zh"
    language_name = "Chinese"
    js_splitter_code = (Path(__file__).parent / "chinese_search.js").read_text("utf-8")

    def split(self, input: str) -> list[str]:
        return index_terms(input)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(SearchChinese)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
