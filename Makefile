# One virtual environment, made from requirements.lock; every target makes it first.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PLAN ?= crystal
STAMP := $(VENV)/.installed
# What failed beside others is run once more by itself: both runs are printed, and only what fails alone, too, is a failure.
passes = $(BIN)/python -m pytest $(1) || { [ $$? -eq 1 ] && $(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: setup demo up test test-slow lint format bench chaos systems kubernetes mutants clean help

help: ## what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python {v.major}.{v.minor} < 3.11; install 3.11 or newer, or name it: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

setup: $(STAMP) ## the virtual environment, and Prometheus
	@$(BIN)/python -m chrysalis.sandbox.install >/dev/null

demo: setup ## two rollouts on live traffic: one completes, one is taken back (KEEP=1 leaves all up)
	@$(BIN)/chrysalis demo --plan $(PLAN) $(if $(KEEP),--keep)

up: setup ## server, worker, watch and sandbox, until Ctrl-C
	@$(BIN)/chrysalis up

test: export HYPOTHESIS_PROFILE := repeatable
test: setup ## all tests
	-@$(BIN)/python -m chrysalis.local.browser >/dev/null
	$(call passes,-n 2 --dist loadfile -m "not slow and not stack")
	$(call passes,-m "stack and not slow")

test-slow: setup ## those that take minutes
	$(BIN)/python -m pytest -m slow

lint: setup ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## rewrite in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: setup ## kill everything everywhere; writes chaos.json (ONLY="forward/*" for some)
	$(BIN)/python -m tests.chaos $(foreach pattern,$(ONLY),--only '$(pattern)')

systems: setup ## every system forward and back, with its faults; writes systems.json (ONLY="spiralogic/*")
	$(BIN)/python -m tests.systems $(foreach pattern,$(ONLY),--only '$(pattern)')

kubernetes: setup ## its targets on a real API server, built from Debian's source (a quarter of an hour the first time)
	$(BIN)/python -m tests.kubernetes

mutants: setup ## mutation tests of gates/ (FILES="window trigger"); takes long
	$(BIN)/python -m benchmarks.mutants $(FILES)

bench: setup ## measure, and compare with the floor
	$(BIN)/python -m benchmarks

clean: ## what was generated
	rm -rf $(VENV) .chrysalis .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .mutants test-output
