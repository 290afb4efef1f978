# Everything starts here: `make help` lists it.

PYTHON ?= python3
# How many tests run at once: a number, or "logical" for as many as there are cores.
WORKERS ?= logical
# How long the trials go on.
SEEDS ?= 10000
TIMES ?= 20
MINUTES ?= 30
FRACTION ?= 1.0

BIN := .venv/bin
CODE := libs services deploy tests bench conftest.py
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help run test check format generate bench lock clean setup setup-dev
.PHONY: sim crash faults soak bugs mutants fuzz audit sbom

help: ## Show this list
	@echo "make TARGET [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Run the whole suite on this machine (Ctrl-C stops it; its data stays in .data)
	@exec $(BIN)/tallystick up

test: check ## Run all checks and all tests, as CI does
	$(BIN)/pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal

check: setup-dev ## Check style, types, layers and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard $(CODE))
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.generated check
	$(BIN)/python -m services.ledger openapi check
	$(BIN)/python -m services.codes openapi check

format: setup-dev ## Put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: setup-dev ## Write the generated files anew (contracts, settings page)
	$(BIN)/python -m deploy.generated write
	$(BIN)/python -m services.ledger openapi write
	$(BIN)/python -m services.codes openapi write

bench: setup-dev ## Measure the speed and print it beside what it should be
	@exec $(BIN)/python -m bench

sim: setup-dev ## Simulate SEEDS runs (10000) of writer, relay and consumers under faults
	$(BIN)/python -m tests.sim --seeds $(SEEDS)

crash: setup-dev ## Kill the ledger TIMES times (20) at every crash point, under load
	$(BIN)/python -m tests.chaos.points --times $(TIMES)

faults: setup-dev ## Try links, brokers, disks, clocks and take-overs for longer than `make test` does
	$(BIN)/pytest -m campaign tests/chaos tests/tamper tests/upgrade libs services

soak: setup-dev ## Load with a fault every so often, for MINUTES (30)
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

bugs: setup-dev ## Put every seeded bug in and see whether a test notices
	$(BIN)/python -m tests.bugs

mutants: setup-dev ## Change the rules and the append at FRACTION (1.0) of all places and see whether a test notices
	$(BIN)/python -m tests.mutants --fraction $(FRACTION)

fuzz: setup-dev ## Send the ledger what nobody means, for longer than `make test` does
	$(BIN)/pytest -m campaign tests/fuzz

audit: setup-dev ## Ask the advisory service about every package of the runtime lock
	$(BIN)/python -m tests.security.audit

sbom: setup-dev ## Write the bill of materials to build/sbom.json
	$(BIN)/python -m tests.security.sbom

lock: setup-dev ## Resolve the dependencies anew and write both lock files
	$(COMPILE) --upgrade pyproject.toml --output-file requirements.lock
	$(COMPILE) --upgrade pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## Remove what make has made, except the data in .data
	rm -rf .venv .cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@$(PYTHON) deploy/setup_venv.py requirements.lock

setup-dev:
	@$(PYTHON) deploy/setup_venv.py requirements-dev.lock
