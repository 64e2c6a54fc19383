# Exactly three entry points. Each sets up what is missing in .venv and then does its work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_FLAGS ?=
STAMP := $(VENV)/.ready
VISION := $(VENV)/torchvision
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test check
.DEFAULT_GOAL := demo

# torch first: its CPU build satisfies everything that comes after it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,dev]"
	touch $@

# Apart from .venv, whose torchvision the demo and the other tests would take: nothing but some processors may need it.
$(VISION): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --target $@ torchvision num2words docopt \
	|| echo "torchvision could not be installed: tests of the processors that need it are skipped"

demo: $(STAMP) ## the main job on the built-in world; opens with any browser
	$(BIN)/boresight demo $(DEMO_FLAGS)

test: $(STAMP) $(VISION) ## every test, offline
	$(BIN)/python -m pytest -n 2 --dist loadfile
	PYTHONPATH=$(abspath $(VISION)) $(BIN)/python -m pytest -n 2 tests/models/test_processors.py

check: $(STAMP) ## format, lint, types, layers
	$(BIN)/ruff format --check src tests perf scripts
	$(BIN)/ruff check src tests perf scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
