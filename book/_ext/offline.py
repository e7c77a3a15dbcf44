"""Everything that a page needs comes with the site: it asks nothing from outside.

MathJax is copied from the package sphinx-mathjax-offline, the component that is loaded and its
fonts alone (1.6 MB instead of the whole distribution). Thebe, which Jupyter Book switches on for
every book, would load a script from a content network; its hooks are taken out.
"""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.util.fileutil import copy_asset

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

COMPONENT = "tex-mml-chtml.js"
FONTS = "output/chtml/fonts/woff-v2"


def mathjax_folder() -> Path:
    """Find the folder of MathJax 3 in the installed package."""
    for file in files("sphinx-mathjax-offline") or []:
        if file.name == COMPONENT:
            return Path(str(file.locate())).parent
    raise FileNotFoundError(f"sphinx-mathjax-offline has no {COMPONENT}")


def _use_local_mathjax(app: Sphinx, config: Config) -> None:
    config.mathjax_path = f"mathjax/{COMPONENT}"
    # The menu's speech and explorer modules are not shipped, so the menu stays closed.
    config.mathjax3_config = {"options": {"enableMenu": False}}


def _copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        source, target = mathjax_folder(), Path(app.outdir) / "_static" / "mathjax"
        copy_asset(str(source / COMPONENT), str(target))
        copy_asset(str(source / FONTS), str(target / FONTS))


def _unhook_thebe(app: Sphinx, config: Config) -> None:
    for name, listeners in app.events.listeners.items():
        app.events.listeners[name] = [
            listener for listener in listeners if listener.handler.__module__ != "sphinx_thebe"
        ]
    app.registry.css_files = [
        (name, options) for name, options in app.registry.css_files if "thebe" not in name
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", _use_local_mathjax)
    app.connect("config-inited", _unhook_thebe)
    app.connect("build-finished", _copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
