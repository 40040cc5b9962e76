# Two commands do all set-up: `make demo` shows outlast at work, `make test` checks everything.
# Both need only make and Python 3.11 or later; what else they need goes into .venv.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 2

.PHONY: demo test lint pytest clean help

help:
	@echo "make demo    a real training run, killed and resumed before your eyes (under a minute)"
	@echo "make test    lint, types, layers and all tests"
	@echo "make lint    lint, types and layers only"
	@echo "make clean   remove what these made"

demo: $(VENV)/.demo
	$(BIN)/outlast demo

test: lint pytest

lint: $(VENV)/.test
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

pytest: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS)

$(BIN)/python:
	@test -n "$(PYTHON)" || \
	  { echo "outlast needs Python 3.11 or later. If you have one elsewhere: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(PIP) --editable . --group test --group lint
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
