# Everything runs in $(VENV); nothing outside this folder is changed.
#   make demo       install, then a whole run on the starter model
#   make test       install, then the fast tests
#   make test-all   the slow ones too
#   make check      lint and types

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The public data sets that some tests read; tests that need them skip when the folder is missing.
PUBLIC_DATA := $(wildcard ../shared/data)
ifneq ($(PUBLIC_DATA),)
PROVETUNE_TEST_DATA ?= $(abspath $(PUBLIC_DATA))
endif
export PROVETUNE_TEST_DATA

.PHONY: install demo lint types check test test-all docs starter clean

install: $(INSTALLED)

# torch comes first and alone, so that a small CPU build that is already on this machine is taken.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(shell grep '^torch==' constraints.txt) -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train,dev]"
	touch $@

demo: install
	$(BIN)/provetune demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

check: lint types

test: install
	$(BIN)/python -m pytest -m "not slow"

test-all: install
	$(BIN)/python -m pytest

docs: install
	$(BIN)/python -m pytest tests/architecture/test_docs_commands.py

# Hours on two cores; continues where it was stopped.
starter: install
	$(BIN)/python scripts/train_starter.py --data "$(PROVETUNE_TEST_DATA)/t0_50k/t0_50k.jsonl.gz" --out build/starter

clean:
	rm -rf dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
