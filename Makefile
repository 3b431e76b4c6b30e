# `make run` and `make test` are all a newcomer needs; python3.11 or newer, make and tmux are all that is assumed.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test load rig-test lint format types ready ready-dev requirements

run: ready
	@exec $(BIN)/python manage.py develop

test: ready-dev
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# Terminals and requests on two server processes (docs/development.md). ARGS="--minutes 2 --terminals 100 --restart"
load: ready-dev
	$(BIN)/python -m terminals.tests.load $(ARGS)

# The product on real virtual machines (docs/development.md). RIG_TEMPLATES=ubuntu,python RIG_SUITE=trixie RIG_SHORT=1
rig-test: ready-dev
	$(BIN)/python -m environments.tests.rig

lint: ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: ready-dev
	$(BIN)/mypy

ready:
	@$(PYTHON) -m devpocket.bootstrap

ready-dev:
	@$(PYTHON) -m devpocket.bootstrap --dev

# Pin anew what requirements*.in name.
requirements: ready-dev
	$(BIN)/pip-compile -q --upgrade --strip-extras --no-annotate --no-header --no-emit-options -o requirements.txt requirements.in
	$(BIN)/pip-compile -q --upgrade --strip-extras --no-annotate --no-header --no-emit-options -o requirements-dev.txt requirements-dev.in
