"""Executed chapters are kept for as long as what they ran on is the same.

jupyter-cache knows a chapter's code, but not the package that the code imports. So the path of
the cache has a fingerprint in it, of the package's source and of the libraries that decide what
a cell shows: change a rule in ``nndl`` and every chapter is executed again. Labs, grader and
command line are left out, as nothing in the chapters imports them.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("torch", "numpy", "matplotlib")
# Modules of ``nndl`` that no chapter imports; a test makes sure.
NOT_IN_CHAPTERS = ("_labs", "checking", "cli", "grading")


def package_fingerprint(root: Path = ROOT) -> str:
    """Hash what chapters run on: ``nndl`` below root, and the versions of libraries and Python.

    Not the modules of ``nndl`` alone: a cell's output holds the player's script and style too.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    for library in LIBRARIES:
        digest.update(f"{library}=={version(library)}\n".encode())
    package = root / "nndl"
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in sorted(files):
        module = path.relative_to(package).parts[0].removesuffix(".py")
        if module not in NOT_IN_CHAPTERS:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_path(root: Path = ROOT) -> Path:
    """Where chapters that ran on the present package are kept."""
    return root / "_build" / "jupyter-cache" / package_fingerprint(root)


def _set_cache_path(app: Sphinx, config: Config) -> None:
    config.nb_execution_cache_path = str(cache_path())


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", _set_cache_path)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
