# Exactly three entry points. Each sets up what is missing in .venv and then does its work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_FLAGS ?=
STAMP := $(VENV)/.ready
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test check
.DEFAULT_GOAL := demo

# torch first: its CPU build satisfies everything that comes after it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,dev]"
	touch $@

demo: $(STAMP) ## the main job on the built-in world; opens with any browser
	$(BIN)/boresight demo $(DEMO_FLAGS)

test: $(STAMP) ## every test, offline
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP) ## format, lint, types, layers
	$(BIN)/ruff format --check src tests perf scripts
	$(BIN)/ruff check src tests perf scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
