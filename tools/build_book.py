"""Build the book: both languages from one execution, into _build/site.

The Chinese site is built first and executes the chapters; the English site finds every cell in
the cache. Nothing is done when nothing has changed. A build that fails or is interrupted leaves
neither a site nor the stamp that says "up to date".
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from execution_cache import cache_path, package_fingerprint  # noqa: E402

BOOK = ROOT / "book"
# The package is executed, and its docstrings are pages; the labs are pages too.
SOURCES = (BOOK, ROOT / "labs", ROOT / "nndl")
BUILD = ROOT / "_build"
SITE = BUILD / "site"
STAMP = SITE / ".stamp"
SUFFIX = {"zh": "", "en": ".en"}
TOOLS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme")


def inputs_fingerprint() -> str:
    """Hash everything that the sites are made from."""
    digest = hashlib.sha256(package_fingerprint().encode())
    for tool in TOOLS:
        digest.update(f"{tool}=={version(tool)}\n".encode())
    settings = [ROOT / f"_{kind}{end}.yml" for kind in ("config", "toc") for end in SUFFIX.values()]
    texts = (path for folder in SOURCES for path in folder.rglob("*") if path.suffix != ".pyc")
    for path in sorted([Path(__file__).resolve(), *settings, *filter(Path.is_file, texts)]):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def build_edition(lang: str) -> Path:
    """Build one language with Jupyter Book, every warning an error; return the folder of pages."""
    work = BUILD / "editions" / lang
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", str(BOOK), "--all", "-W", "-n", "--keep-going"]
    command += ["--config", str(ROOT / f"_config{SUFFIX[lang]}.yml")]
    command += ["--toc", str(ROOT / f"_toc{SUFFIX[lang]}.yml"), "--path-output", str(work)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return work / "_build" / "html"


def front_door() -> str:
    """Render the page that leads to the two editions."""
    folders = [BOOK / "_front", BOOK / "_templates"]
    pages = Environment(loader=FileSystemLoader(folders), autoescape=True)
    return pages.get_template("index.html").render()


def forget_old_caches() -> None:
    """Remove executions on earlier states of the package."""
    for folder in cache_path().parent.iterdir():
        if folder != cache_path():
            shutil.rmtree(folder)


def build() -> None:
    """Build both sites and put them in place together."""
    shutil.rmtree(SITE, ignore_errors=True)
    part = BUILD / "site.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / "index.html").write_text(front_door(), encoding="utf-8")
    fingerprint = inputs_fingerprint()
    for lang in SUFFIX:
        print(f"--- {lang}: building", flush=True)
        shutil.copytree(build_edition(lang), part / lang)
    (part / STAMP.name).write_text(fingerprint)
    part.rename(SITE)
    forget_old_caches()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--force", action="store_true", help="build even if nothing has changed")
    options = parser.parse_args()

    start = time.monotonic()
    if STAMP.exists() and STAMP.read_text() == inputs_fingerprint() and not options.force:
        print("The book is up to date.")
    else:
        try:
            build()
        except subprocess.CalledProcessError:
            print("The book was not built. The cause is above, with its page.", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Interrupted. What was executed so far is kept.", file=sys.stderr)
            return 130
        print(f"Built in {time.monotonic() - start:.0f} s.")
    print(f"Open {SITE / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
