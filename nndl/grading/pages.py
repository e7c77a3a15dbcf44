"""Pages that need nothing else: one file each, without scripts, and with no request to anywhere.

Whatever came from a student is escaped. Should anything slip through nevertheless, the page's own
security policy allows neither scripts nor images, nor any style but the one that it carries.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from nndl.grading.table import number, plain_text

__all__ = ["LANG", "render", "say"]

#: What browsers call the languages.
LANG = {"zh": "zh-CN", "en": "en"}
_TICKS = re.compile(r"`([^`\n]+)`")


def say(words: Mapping[str, str], key: str, n: int | None = None, **values: object) -> str:
    """Return words, filled in; those with "|" in them have a form for one and one for more.

    Examples
    --------
    >>> words = {"days": "{n} day|{n} days"}
    >>> say(words, "days", 1), say(words, "days", 3)
    ('1 day', '3 days')
    """
    one, _, more = words[key].partition("|")
    return (more if more and n != 1 else one).format(n=n, **values)


def _ticks(text: str) -> Markup:
    """Escape a text, then set what stands between backticks as code."""
    return Markup(_TICKS.sub(r"<code>\1</code>", str(escape(plain_text(text)))))


def _shown(value: Any) -> Any:
    """Make everything visible that a page prints; points have no needless decimals."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return plain_text(value)
    return number(value) if isinstance(value, float) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nndl.grading"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["ticks"] = _ticks
    # The style is allowed by what it is, so that no other one is.
    style = files("nndl.grading").joinpath("templates", "style.css").read_text("utf-8")
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals["style"] = Markup(style)
    environment.globals["policy"] = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return environment


def render(template: str, lang: str, words: Mapping[str, str], **values: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template
        The name of the file in ``templates``.
    lang
        The language of the page: ``"zh"`` or ``"en"``.
    words
        What the page says, in that language; the template asks for them with ``say(key, ...)``.
    values
        What it says them about.
    """

    def told(key: str, n: int | None = None, **more: object) -> str:
        return say(words, key, n, **more)

    page = _environment().get_template(template)
    return page.render(lang=LANG[lang], say=told, **values)
