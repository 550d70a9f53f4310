# Everything runs in $(VENV); nothing outside this folder is changed, save that `make browser` (part of `make test`) installs
# Chromium where no browser is found.
#   make demo       install, then a whole run on the starter model
#   make test       install, then the fast tests
#   make test-all   the slow ones too
#   make check      lint and types
#   make bench      rivals into build/bench-venv, then all benchmarks (half a day); BENCH="--quick" and others: docs/benchmarks.md

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

.PHONY: install browser validators demo lint types check test test-all docs starter bench clean

install: $(INSTALLED)

# torch comes first and alone, so that a small CPU build that is already on this machine is taken.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(shell grep '^torch==' constraints.txt) -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train,dev,data,serve,otel,studio,qlora,search,preference,ship]"
	touch $@

demo: install
	$(BIN)/provetune demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

check: lint types

# Without one the tests that drive a browser fail and say how to get one; all others run.
browser: install
	-PYTHON=$(BIN)/python scripts/install_browser.sh

# Two processes, one thread each, a file's tests in one of them; PARALLEL= runs them one after the other.
PARALLEL ?= -n logical --maxprocesses 2 --dist loadfile

test: install browser
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-all: install browser validators
	$(BIN)/python -m pytest $(PARALLEL)

# The vendors' own rules for the jobs that `provetune launch` writes; what they need clashes with what this package needs.
LAUNCH_VENV := build/launch-venv

validators: $(LAUNCH_VENV)/.installed

$(LAUNCH_VENV)/.installed: scripts/validate_launches.txt
	test -x $(LAUNCH_VENV)/bin/python || $(PYTHON) -m venv $(LAUNCH_VENV)
	$(LAUNCH_VENV)/bin/python -m pip install --quiet -r scripts/validate_launches.txt
	touch $@

docs: install
	$(BIN)/python -m pytest tests/architecture/test_docs_commands.py

# Hours on two cores; continues where it was stopped.
starter: install
	$(BIN)/python scripts/train_starter.py --data "$(PROVETUNE_TEST_DATA)/t0_50k/t0_50k.jsonl.gz" --out build/starter

# LitGPT does not install beside the others; where it cannot be had, its rows of the table say so.
BENCH_VENV := build/bench-venv
BENCH_INSTALLED := $(BENCH_VENV)/.installed

$(BENCH_INSTALLED): benchmarks/requirements.txt benchmarks/requirements-litgpt.txt pyproject.toml constraints.txt
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet $(shell grep '^torch==' constraints.txt) -c constraints.txt
	$(BENCH_VENV)/bin/python -m pip install --quiet -c constraints.txt -r benchmarks/requirements.txt -e ".[train,qlora,search]"
	test -x $(BENCH_VENV)-litgpt/bin/python || $(PYTHON) -m venv $(BENCH_VENV)-litgpt
	-$(BENCH_VENV)-litgpt/bin/python -m pip install --quiet $(shell grep '^torch==' constraints.txt)
	-$(BENCH_VENV)-litgpt/bin/python -m pip install --quiet -r benchmarks/requirements-litgpt.txt
	touch $@

bench: $(BENCH_INSTALLED)
	$(BENCH_VENV)/bin/python -m benchmarks.run $(BENCH)

clean:
	rm -rf dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
