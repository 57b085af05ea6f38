# `make repro` and `make test` do everything from a fresh clone: environment, one-time set-up, then the work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
SHELL := /bin/bash

.PHONY: repro test slow lint gate figures team-demo clean env init

repro: init  ## run the pipeline; only what changed runs again
	dvc repro
	@# Only when something ran or waits: the store's client alone takes seconds to load. A store that is down stops nothing.
	@if [ dvc.lock -nt .cache/synced ] || [ -n "$$(ls .cache/runs/*/*/pending.json 2>/dev/null)" ]; then \
		if poseline sync; then touch .cache/synced; fi; fi

test: env  ## linters, types, import contracts, tests
	$(MAKE) lint
	pytest -n auto

slow: env  ## the tests that take minutes; CI runs them once a week
	pytest -n auto -m 'slow and not gpu'

lint: env  ## style, types, import contracts, dead code
	ruff check .
	mypy
	lint-imports
	vulture

gate: init  ## refuse a significant drop of COCO AP against the committed baseline
	poseline gate $(GATE_OPTIONS)

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

init: env .cache/initialised

.cache/initialised: $(VENV)/.installed
	poseline init
	mkdir -p .cache && touch $@

team-demo: env  ## PostgreSQL, S3, MLflow and two clones on this machine: what a team does, shown (docs/team.md names what it needs)
	python tools/team_demo.py

figures: env  ## write the figures that README and docs quote, from reports/
	python benchmarks/write_figures.py

clean:  ## remove the environment and every computed file
	rm -rf $(VENV) .cache mlflow.db mlartifacts
	rm -rf data reports/validation reports/per_person reports/index.html
