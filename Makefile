# The few commands worth remembering. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# what is imported is compiled once, not by each command that the tests start
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast soak-orders check docs bench lock clean

help:  ## list these commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Renkei needs Python 3.11 or newer; this is %d.%d. Name another with: make PYTHON=python3.12 …" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --require-hashes -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY)  ## make the virtual environment and fetch the engines
	$(BIN)/renkei local fetch

# make takes --keep for its own --keep-going: say what was meant, before anything is fetched.
ifneq (,$(filter demo,$(MAKECMDGOALS)))
ifneq (,$(findstring k,$(firstword -$(MAKEFLAGS))))
$(error to keep the demo running: make demo KEEP=1)
endif
endif

demo: setup  ## the main job: a change entered once is in every system that must have it; KEEP=1 keeps it running
	$(BIN)/renkei demo $(if $(KEEP),--keep)

# engines and processes are waited for half of the time, so more workers than cores
test: setup  ## all tests, on the real engines
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

test-fast: $(READY)  ## the tests that need no engine, without the long runs of seeds: a minute and a half
	$(BIN)/python -m pytest -m "not service and not slow"

soak-orders: $(READY)  ## ten thousand seeded orders of protections and addresses: ten minutes of one core
	$(BIN)/python -m tests.orders

check: $(READY)  ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## write docs/reference anew from the schemas and subscriptions
	$(BIN)/renkei docs build

bench: setup  ## speed on this machine, with its ceilings
	$(BIN)/renkei bench all

lock:  ## write the lock file anew (needs uv)
	requirements/lock.sh

clean:  ## remove the virtual environment and caches (not the engines or their data)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
