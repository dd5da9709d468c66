# Every command of this repository as one word. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INTEROP := tests/interop/node_modules/.installed
NODE := $(shell command -v node 2>/dev/null)
CHROMIUM ?= $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name) 2>/dev/null)))
# In CI the foreign clients and the tests in a browser must run: a missing Node or Chromium is a failure there, not a skip.
NODE_NEEDED := $(if $(or $(NODE),$(CI)),$(INTEROP))
CHROMIUM_NEEDED := $(if $(or $(and $(NODE),$(CHROMIUM)),$(CI)),tests/browser/node_modules/.installed clients/browser/node_modules/.installed)
JAVA_NEEDED := $(if $(or $(and $(shell command -v javac 2>/dev/null),$(shell command -v mvn 2>/dev/null)),$(CI)),tests/interop/java/target/.built)
BROWSER_NEEDED := $(if $(or $(NODE),$(CI)),browser pagecheck)

.DEFAULT_GOAL := help
.PHONY: help setup serve test conformance lint types protos fmt check smoke bench hostile soak lock clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.run ## make .venv with the `tidings` command in it
	@echo "Ready: $(BIN)/tidings is installed; start the service with: make serve"

serve: $(VENV)/.run ## start the service for development, data under ./data
	@$(BIN)/tidings serve --dev $(ARGS)

test: $(VENV)/.dev $(NODE_NEEDED) $(CHROMIUM_NEEDED) $(JAVA_NEEDED) ## set up what the tests need and pass every one of them
	$(BIN)/python -m pytest -n 2 $(ARGS)

conformance: $(VENV)/.dev ## the numbered RSocket checklist, item by item, pass or fail
	$(BIN)/python tests/conformance_report.py

lint: $(VENV)/.dev ## ruff, the import rules, the protos' lint and breaking-change check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=service:clients/python $(BIN)/lint-imports
	$(BIN)/python tools/protos.py check

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

protos: $(VENV)/.dev ## generate the code of protos/ anew
	$(BIN)/python tools/protos.py generate

fmt: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .
	$(BIN)/python tools/protos.py format

check: lint types test $(BROWSER_NEEDED) smoke ## everything that must be green before a change lands

smoke: $(VENV)/.dev $(NODE_NEEDED) ## every row of the benchmark, small: does it run, is its data right?
	@$(BIN)/python -m bench --quick

bench: $(VENV)/.dev $(NODE_NEEDED) ## measure beside the peers (ROW=fanout: one row; QUICK=1: does it run?)
	@$(BIN)/python -m bench $(if $(ROW),--row $(ROW)) $(if $(QUICK),--quick) $(ARGS)

hostile: $(VENV)/.dev ## attack it beside honest clients (ATTACK=pongs,json-*; SECONDS=8; CONNECTIONS=4; ARGS=--list)
	@$(BIN)/python -m bench.hostile $(if $(ATTACK),--attack '$(ATTACK)') $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CONNECTIONS),--connections $(CONNECTIONS)) $(ARGS)

soak: $(VENV)/.dev ## hours of people who come and go: does memory grow? (MINUTES=12, and about 2 more; ARGS=--help)
	@$(BIN)/python -m bench.soak $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

lock: $(VENV)/.dev ## pin the newest versions that requirements/*.in allow, with hashes
	$(PIP) install -q uv
	for f in run dev; do $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade requirements/$$f.in -o requirements/$$f.txt; done

clean: ## remove what the other commands made, except ./data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .tmp dist build tests/interop/node_modules tests/interop/*/node_modules tests/interop/java/target tests/browser/node_modules clients/*/node_modules clients/browser/dist clients/*/build
	find service clients tests tools -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tidings needs Python 3.11 or later; say which with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the service needs (pinned in requirements/run.txt)"
	@$(PIP) install -q --require-hashes -r requirements/run.txt
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "Installing what the tests and checks need (pinned in requirements/dev.txt)"
	@$(PIP) install -q --require-hashes -r requirements/dev.txt
	@touch $@

$(INTEROP): tests/interop/package-lock.json
	@command -v npm >/dev/null || { echo "The interop tests need Node and npm on the PATH."; exit 1; }
	cd tests/interop && npm ci --no-audit --no-fund
	@touch $@

tests/interop/java/target/.built: $(shell find tests/interop/java/src tests/interop/java/pom.xml protos -name '*.java' -o -name '*.xml' -o -name '*.proto')
	@command -v mvn >/dev/null || { echo "The tests of Java clients need a JDK 17 and Maven on the PATH."; exit 1; }
	@echo "Compiling the Java clients of the tests"
	mvn -q -B -f tests/interop/java/pom.xml package
	@touch $@

tests/browser/node_modules/.installed: tests/browser/package-lock.json
	@command -v npm >/dev/null || { echo "The tests in a browser need Node and npm on the PATH."; exit 1; }
	cd tests/browser && npm ci --no-audit --no-fund
	@touch $@

include clients/browser/Makefile
include clients/demo/Makefile
