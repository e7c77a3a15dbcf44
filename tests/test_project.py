"""The project itself: its commands, its metadata, its wheel."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from nndl._labs import lab_numbers, labs_folder

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
IMPORTS_OF_THE_COURSE = (
    "from nndl.op import Op, SimpleBatchGD, Linear, OptimizedFunction, OptimizedFunction3D; "
    "from nndl.optimizer import Adagrad, RMSprop, Momentum, Adam; "
    "from nndl.training import train_f, train"
)


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def pins() -> dict[str, str]:
    lines = (line for line in read("constraints.txt").splitlines() if not line.startswith("#"))
    return dict(line.split("==") for line in lines)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def python(*arguments: str, executable: str = sys.executable) -> str:
    result = subprocess.run(
        [executable, *arguments], capture_output=True, text=True, check=False, cwd="/"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_readme_names_the_two_commands_and_only_targets_that_exist(readme: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = re.findall(r"(?:^    |`)make ([a-z]+)", read(readme), re.MULTILINE)
    assert named[:2] == ["book", "test"]
    assert set(named) <= targets
    assert "tools/draw_overview.py" in read(readme)


def test_the_two_readmes_are_in_step() -> None:
    """Same headings, commands, code, table rows and links, in the same order."""

    def skeleton(text: str) -> list[str]:
        kept = []
        for line in text.splitlines():
            if line.startswith("#"):
                kept.append("#" * (len(line) - len(line.lstrip("#"))))
            elif line.startswith("|"):
                kept.append(line.split("|")[1].strip())
            elif line.startswith("    "):
                kept.append(line)
        code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        links = sorted(re.findall(r"\]\((\w[\w.]*)\)", text))
        return [*code, *(link for link in links if not link.startswith("README")), *kept[1:]]

    english, chinese = skeleton(read("README.md")), skeleton(read("README.zh.md"))
    translated = {"command": "命令", "module": "模块"}
    swapped = {"make lab EDITION=en": "make lab EDITION=zh", "--lang en": "--lang zh"}
    for a, b in zip(english, chinese, strict=True):
        expected = translated.get(a, a)
        for ours, theirs in swapped.items():
            expected = expected.replace(ours, theirs)
        assert b == expected


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_readmes_example_runs(readme: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", read(readme), re.DOTALL)
    assert "tensor(" in python("-c", code)


def test_ci_calls_the_readmes_two_commands() -> None:
    lines = [line.strip() for line in read(".ci/run").splitlines()]
    assert lines[-2:] == ["make book", "make test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("tool", ["chromium", "ffmpeg", "bwrap", "g++"])
def test_optional_tools_are_there_where_everything_is_tested(tool: str) -> None:
    executable = shutil.which(tool)
    if executable is None and os.environ.get("CI") != "true":
        pytest.skip(f"{tool} is not installed; what needs it is not tested here")
    assert executable is not None, f"{tool} must be installed where CI=true"


def test_make_lists_its_commands() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("book", "test", "lab", "bench", "clean"):
        assert f"make {target}" in listed


def test_conda_asks_for_the_same_as_make() -> None:
    environment = yaml.safe_load(read("environment.yml"))
    *conda, pip = environment["dependencies"]
    assert conda == ["python=3.11", "pip"]
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"
    (extras,) = re.findall(r"--editable '\.\[(.*?)\]'", read("Makefile"))
    assert pip["pip"] == ["-c constraints.txt", f"-e .[{extras}]"]
    assert set(extras.split(",")) == set(PYPROJECT["project"]["optional-dependencies"])


def test_every_dependency_is_pinned_within_its_range_and_has_its_reason() -> None:
    from packaging.requirements import Requirement

    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    pinned = {normal(name): number for name, number in pins().items()}
    reasons = read("CONTRIBUTING.md").split("## Why each dependency")[1]
    for requirement in (Requirement(line) for group in groups for line in group):
        assert pinned[normal(requirement.name)] in requirement.specifier
        assert re.search(rf"\b{re.escape(requirement.name)}\b", reasons, re.IGNORECASE)
    assert pinned["torch"] == "2.13.0"


def test_versions_agree() -> None:
    number = PYPROJECT["project"]["version"]
    assert yaml.safe_load(read("CITATION.cff"))["version"] == number
    assert version("nndl") == number
    module = ast.parse(read("nndl/__init__.py"))
    assigned = [node for node in module.body if isinstance(node, ast.Assign)]
    assert [ast.literal_eval(node.value) for node in assigned] == [number]


def test_no_notebook_output_or_picture_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    kinds = {".ipynb", ".png", ".svg", ".gif", ".mp4", ".pdf", ".jpg", ".webp"}
    assert [name for name in listed if Path(name).suffix in kinds] == ["overview.svg"]
    assert (ROOT / "overview.svg").stat().st_size < 150_000


def test_the_readmes_picture_is_what_its_command_draws(tmp_path: Path) -> None:
    import draw_overview

    draw_overview.draw(tmp_path / "overview.svg")
    assert (tmp_path / "overview.svg").read_bytes() == (ROOT / "overview.svg").read_bytes()


def test_imports_of_the_course_work() -> None:
    python("-c", IMPORTS_OF_THE_COURSE)


def test_importing_the_package_pulls_in_nothing_of_the_book_or_the_grader() -> None:
    loaded = python(
        "-c",
        f"import nndl; {IMPORTS_OF_THE_COURSE}; import sys; "
        "print(*{name.partition('.')[0] for name in sys.modules})",
    ).split()
    unwanted = {"matplotlib", "IPython", "sphinx", "myst_nb", "jupyter_book", "nbformat", "PIL"}
    assert not unwanted & set(loaded)


def test_wheel_installs_into_an_empty_environment(tmp_path: Path) -> None:
    python("-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    empty = str(tmp_path / "empty" / "bin" / "python")
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    python(*pip, "--constraint", str(ROOT / "constraints.txt"), str(wheel), executable=empty)
    python("-c", f"import nndl, nndl.viz; {IMPORTS_OF_THE_COURSE}", executable=empty)
    installed = python("-m", "pip", "list", "--format=freeze", executable=empty).lower()
    for name in ("jupyter", "sphinx", "nbformat", "pytest"):
        assert name not in installed

    # The labs are inside, and are read with what the extra "labs" has for it.
    python(*pip, "--constraint", str(ROOT / "constraints.txt"), "jupytext", executable=empty)
    code = "from nndl.checking import *; print(*lab_numbers()); print(*release(read_lab(3), 'en'))"
    numbers, keys = python("-c", code, executable=empty).splitlines()
    assert numbers == " ".join(map(str, lab_numbers()))
    assert "cells" in keys.split()
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("nndl/labs/")]
    files = ("lab.md", "mistakes.py", "questions.py")
    assert sorted(names) == [f"nndl/labs/lab{n}/{file}" for n in lab_numbers() for file in files]


def test_a_checkout_has_its_own_labs() -> None:
    assert labs_folder() == ROOT / "labs"
