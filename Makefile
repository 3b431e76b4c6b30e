# `make run` and `make test` are all a newcomer needs; python3.11 or newer, make and tmux are all that is assumed.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run web web-screenshots web-check test load rig-test api-test openapi lint format types ready ready-dev requirements

run: ready
	@$(PYTHON) -m devpocket.web_build --optional
	@exec $(BIN)/python manage.py develop

# The web client, in devpocket/web/dist. `make run` and `make test` do the same, and go on where it fails.
web: ready
	@$(PYTHON) -m devpocket.web_build

# Its format, lint, types, and the tests that need no browser.
web-check: ready
	@$(PYTHON) -m devpocket.web_build --check

# docs/screenshots, as the web client looks now. ARGS="sign-in machines" for some of them
web-screenshots: ready-dev web
	$(BIN)/python -m devpocket.tests.web.screenshots $(ARGS)

test: ready-dev
	@$(PYTHON) -m devpocket.web_build --optional
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# Terminals and requests on two server processes (docs/development.md). ARGS="--minutes 2 --terminals 100 --restart"
load: ready-dev
	$(BIN)/python -m terminals.tests.load $(ARGS)

# The product on real virtual machines (docs/development.md). RIG_TEMPLATES=ubuntu,python RIG_SUITE=trixie RIG_SHORT=1
rig-test: ready-dev
	$(BIN)/python -m environments.tests.rig

# schemathesis over the whole API (docs/development.md). ARGS='--phases fuzzing --max-examples 500'
api-test: ready-dev
	$(BIN)/python -m devpocket.testing.api_check $(ARGS)

# docs/openapi.yaml, as the code has it now.
openapi: ready-dev
	DEBUG=true SECRET_KEY=x JWT_SIGNING_KEY=0123456789abcdef0123456789abcdef FIELD_ENCRYPTION_KEYS=x DO_TOKEN=x \
		LEGACY_CAMELCASE_USER=true \
		$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

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
