# Everything here works on a machine with git, make and Python 3.11 or newer; each target does its own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test lint figures bench mutate format clean help

help:           ## show this
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

demo: $(READY)  ## see it work: five incidents against simulated platforms, in about a minute
	$(BIN)/statecore demo

test: $(READY)  ## run every test
	$(BIN)/python -m pytest -n 3 --dist worksteal

lint: $(READY)  ## ruff, mypy (strict) and the arrows between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

figures: $(READY)  ## measure what the project promises; ONLY=gateway for one part of it
	$(BIN)/python tests/figures $(if $(ONLY),--only $(ONLY))

bench: $(READY)  ## the same work done by us, by others, and by hand, side by side
	$(BIN)/python tests/bench

mutate: $(READY)  ## break the machines and policies one row at a time; ONLY=delivery for one table
	$(BIN)/python -m tests.mutation $(if $(ONLY),--machine $(ONLY))

format: $(READY)  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:          ## remove what the targets made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml
	@echo "setting up $(VENV) (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --editable ".[simulator]" --group dev
	@touch $(READY)
