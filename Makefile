# The commands of the book. Each sets up what it needs; `make` alone lists them.

PYTHON ?= python3
EDITION ?= zh

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Other graders, for comparison: an environment on top of the first.
GRADERS := $(VENV)/graders
GRADERS_INSTALLED := $(GRADERS)/.installed
# JupyterLab asks for this word where there is no other user, as in a container.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help book test lab bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(INSTALLED) ## execute the chapters and build both sites into _build/site
	@$(BIN)/python tools/build_book.py

test: book $(GRADERS_INSTALLED) ## check style and types, then run every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto

lab: $(INSTALLED) ## open chapters and labs in JupyterLab; EDITION=zh or EDITION=en
	@$(BIN)/python tools/make_lab.py --edition $(EDITION) --out _build/lab/$(EDITION)
	$(BIN)/jupyter lab --notebook-dir _build/lab/$(EDITION) $(AS_ROOT)

bench: $(INSTALLED) $(GRADERS_INSTALLED) ## print this machine's timings, as ratios
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

clean: ## remove what was built (the environment in .venv stays)
	rm -rf _build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, found " + sys.version.split()[0] + ": name another with PYTHON=...")'
	@echo "Setting up $(VENV): some minutes and 2 GB, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[book,labs,grading,test]'
	@touch $@

# The .pth file shows it what the first environment has, so that only what is missing is installed.
$(GRADERS_INSTALLED): $(INSTALLED) benchmarks/graders.txt
	rm -rf $(GRADERS)
	$(BIN)/python -m venv --without-pip $(GRADERS)
	@$(BIN)/python -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' > "$$($(GRADERS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/base.pth"
	$(BIN)/python -m pip --python $(GRADERS)/bin/python install --disable-pip-version-check --constraint constraints.txt --requirement benchmarks/graders.txt
	@touch $@
