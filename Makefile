# Two commands do all set-up: `make demo` shows outlast at work, `make test` checks everything.
# Both need only make and Python 3.11 or later; what else they need goes into .venv.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
VENV_BENCH := .venv-bench
PIP = $(firstword $(subst /, ,$@))/bin/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 3
HOURS ?= 8
SEED ?= 1

.PHONY: demo test lint pytest trainings test-apps soak bench steps tools clean help

help:
	@echo "make demo    a real training run, killed and resumed before your eyes (under a minute)"
	@echo "make test    lint, types, layers and all tests"
	@echo "make lint    lint, types and layers only"
	@echo "make test-apps  the real GROMACS, LAMMPS, pw.x, CP2K, Snakemake, by their recipes (installs them on Debian, as root)"
	@echo "make trainings  the frameworks' examples, each wounded 20 times, with 0 and 4 loader workers, and drilled"
	@echo "make soak    every fault at every place, for HOURS=8; CASE='...' runs one case again"
	@echo "make bench   speed, side by side with every peer and the machine's limits; QUICK=1 to see that it works"
	@echo "make steps   what the frameworks' adapters add to a training step"
	@echo "make clean   remove what these made"

demo: $(VENV)/.demo
	$(BIN)/outlast demo

test: lint pytest

lint: $(VENV)/.test
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tests start thousands of Pythons: half of what a small program costs is reading sources that are compiled already.
# They fork as often, and a fork copies the page tables of a gigabyte where a framework is loaded: those come apart.
FRAMEWORKS := $(addprefix tests/,capture frameworks integrations run drill/test_bundles.py supervise/test_wholeness.py)
pytest: export PYTHONDONTWRITEBYTECODE =
pytest: $(VENV)/.test tools
	@status=0; \
	$(BIN)/python -m pytest -n $(WORKERS) $(addprefix --ignore=,$(FRAMEWORKS)) || status=1; \
	$(BIN)/python -m pytest -n $(WORKERS) $(FRAMEWORKS) || status=1; \
	exit $$status

test-apps: $(VENV)/.test
	tests/apps/install
	OUTLAST_TEST_APPS=1 $(BIN)/python -m pytest -o timeout=3000 tests/apps

trainings: $(VENV)/.test
	OUTLAST_TEST_KILLS=20 $(BIN)/python -m pytest -o timeout=3000 \
	  tests/integrations/test_trainings.py tests/integrations/test_torch_exact.py tests/frameworks \
	  tests/drill/test_frameworks_drilled.py

tools:
	@tests/tools $(TOOLS)

soak: TOOLS = soak
soak: $(VENV)/.test tools
	cd tests && ../$(BIN)/python -m proof --hours $(HOURS) --workers $(WORKERS) --seed $(SEED) $(if $(CASE),--case '$(CASE)')

# `make bench ROUNDS=3 STATES="S M" PEERS="outlast pickle" LOOPS= FOLDER=/scratch/me WRITE=1`: each may be left out.
bench: TOOLS = bench
bench: $(VENV_BENCH)/.done tools
	PYTHONPATH=src $(VENV_BENCH)/bin/python -m bench $(strip \
	  $(call option,ROUNDS,rounds) $(call option,STATES,states) $(call option,PEERS,peers) $(call option,LOOPS,loops) \
	  $(call option,SCALE,scale) $(call option,FOLDER,folder) $(if $(QUICK),--quick) $(if $(WRITE),--write))

steps: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.steps

option = $(if $(filter undefined,$(origin $(1))),,--$(2) $($(1)))

# The peers stay out of .venv: they ask for versions of their own. One that does not install is reported as missing.
$(VENV_BENCH)/.done: $(VENV_BENCH)/bin/python pyproject.toml bench/requirements.txt bench/optional.txt
	$(PIP) --editable .
	@sed '/^#/d' bench/requirements.txt bench/optional.txt | while read -r peer; do \
	  $(PIP) --constraint bench/requirements.txt "$$peer" || echo "not installed: $$peer"; done
	@touch $@

%/bin/python:
	@test -n "$(PYTHON)" || \
	  { echo "outlast needs Python 3.11 or later. If you have one elsewhere: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $*
	$(PIP) --upgrade 'pip>=25.1'

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(PIP) --editable . --group test --group lint
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) $(VENV_BENCH) bench/results .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
