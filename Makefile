# wslab: set up, run, test. Needs GNU make and Python 3.11 or newer; the rest installs itself.
#
# Every target below lives under $(VENV), a relative path, so that the project may stand in a folder
# with spaces in its name (which make could not express as a target).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:

# PYTHON=python3.12 chooses the interpreter, and then has an environment of its own.
PYTHON ?=
ifneq ($(strip $(PYTHON)),)
VENV ?= .venv-$(notdir $(firstword $(PYTHON)))
else
VENV ?= .venv
endif
ARGS ?=
# uv is used where it is on the PATH; `make test UV=` does without it.
UV ?= $(shell command -v uv 2>/dev/null)

ifneq ($(words $(VENV)),1)
$(error VENV must be one path without spaces, relative or absolute; it is '$(VENV)')
endif

BIN := $(VENV)/bin
LAB := $(VENV)/.ready-lab
TEST := $(VENV)/.ready-test

# An environment knows its own absolute path: after the folder was moved or copied, build it anew.
ifneq ($(wildcard $(VENV)/.ready-*),)
ifneq ($(shell cat "$(VENV)/.built-in" 2>/dev/null),$(CURDIR))
$(shell rm -f "$(LAB)" "$(TEST)")
endif
endif

.PHONY: help lab test check coverage bench docs clean setup-lab setup-test

help: ## Show this list
	@echo 'make <target>, each doing its own set-up in $(VENV):'
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: ARGS="..." is passed on; PYTHON=python3.12 chooses the interpreter;'
	@echo '           VENV=folder the environment; UV= does without uv.'
	@echo 'Examples:  make lab ARGS="--no-browser --port 8899"'
	@echo '           make test ARGS="-k frames"'

lab: $(LAB) ## Open JupyterLab on the course
	@"$(BIN)/wslab" lab $(ARGS)

test: $(TEST) ## Run the tests (with Chromium, where there is one)
	@"$(BIN)/python" -m pytest $(ARGS)

check: $(TEST) ## Check style (ruff) and types (mypy --strict)
	@status=0; \
	"$(BIN)/python" -m ruff check . || status=1; \
	"$(BIN)/python" -m ruff format --check . || status=1; \
	"$(BIN)/python" -m mypy --strict -p wslab -m pytest_wslab || status=1; \
	exit $$status

coverage: $(TEST) ## Say which lines and branches no test runs (without a browser)
	@"$(BIN)/python" -m pytest -q -n 2 --dist loadfile -m 'not browser and not slow' \
	  --cov=wslab --cov-branch --cov-report=term-missing:skip-covered $(ARGS)

bench: $(TEST) ## Measure: start, echo, throughput, beside plain websockets
	@for file in tests/benchmarks/bench_*.py; do \
	  name=$$(basename "$$file" .py); echo "== $$name"; \
	  "$(BIN)/python" -m "tests.benchmarks.$$name" $(ARGS) || exit 1; \
	done

docs: $(TEST) ## Write the API reference from the docstrings into build/docs
	@"$(BIN)/python" -m tests.reference build/docs

clean: ## Remove the environments and all that the tools left
	rm -rf .venv .venv-* .node build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +

setup-lab: $(LAB)
setup-test: $(TEST)

# --- set-up ------------------------------------------------------------------------------------

# Reads `python` (may be empty) and leaves in it one that runs and is new enough, or stops. A name
# on the PATH proves nothing (pyenv has shims for versions that are off): each candidate is run.
define find_python
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
if [ -n "$$python" ]; then \
  "$$python" -c "$$new_enough" 2>/dev/null || { \
    echo "wslab needs Python 3.11 or newer; PYTHON=$$python says:" \
         "$$("$$python" --version 2>&1 | head -n 1). Install a newer one or name another." >&2; \
    exit 1; }; \
else \
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do \
    if "$$candidate" -c "$$new_enough" 2>/dev/null; then python="$$candidate"; break; fi; \
  done; \
  if [ -z "$$python" ]; then \
    echo "wslab needs Python 3.11 or newer; python3 here says:" \
         "$$(python3 --version 2>&1 | head -n 1). Install one (Debian, Ubuntu: apt install python3" \
         "python3-venv), or say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
    exit 1; \
  fi; \
fi
endef

# Creates the environment unless it is there and runs. uv brings a Python of its own if need be.
define make_venv
if ! "$(BIN)/python" -c '' 2>/dev/null; then \
  rm -rf "$(VENV)"; \
  python='$(strip $(PYTHON))'; \
  if [ -n "$(UV)" ]; then \
    "$(UV)" venv --quiet --python "$${python:->=3.11}" "$(VENV)" || exit 1; \
  else \
    $(find_python); \
    "$$python" -m venv "$(VENV)" || { \
      rm -rf "$(VENV)"; \
      echo "$$python cannot make a virtual environment. On Debian and Ubuntu:" \
           "apt install python3-venv (or python3.12-venv, to match). Or install uv." >&2; \
      exit 1; }; \
  fi; \
  echo "wslab: made $(VENV) with $$("$(BIN)/python" --version)"; \
fi; \
if [ -n "$(UV)" ]; then \
  install() { "$(UV)" pip install --quiet --python "$(BIN)/python" "$$@"; }; \
else \
  "$(BIN)/python" -m pip --version >/dev/null 2>&1 || "$(BIN)/python" -m ensurepip >/dev/null || exit 1; \
  install() { "$(BIN)/python" -m pip install -qq --disable-pip-version-check "$$@"; }; \
fi
endef

# uvloop has no build for every Python and machine; without it all works, a little slower.
define add_fast
install --editable '.[fast]' 2>/dev/null \
  || echo 'wslab: no uvloop for this Python here; going on with the stock event loop'
endef

$(LAB): pyproject.toml
	@$(make_venv); \
	echo 'wslab: installing JupyterLab and what the course needs (once)'; \
	install --editable '.[lab]' || exit 1; \
	$(add_fast); \
	printf '%s\n' "$(CURDIR)" > "$(VENV)/.built-in"; \
	touch "$@"

$(TEST): pyproject.toml
	@$(make_venv); \
	echo 'wslab: installing what the tests need (once)'; \
	install --editable '.[test]' || exit 1; \
	$(add_fast); \
	printf '%s\n' "$(CURDIR)" > "$(VENV)/.built-in"; \
	touch "$(LAB)" "$@"
