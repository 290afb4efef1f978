# Everything starts here: `make help` lists it.

PYTHON ?= python3
# How many tests run at once: a number, or "logical" for as many as there are cores.
WORKERS ?= logical

BIN := .venv/bin
CODE := libs services deploy tests bench conftest.py
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help run test campaign check format generate bench lock clean setup setup-dev

help: ## Show this list
	@echo "make TARGET [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Run the whole suite on this machine (Ctrl-C stops it; its data stays in .data)
	@exec $(BIN)/tallystick up

test: check ## Run all checks and all tests, as CI does
	$(BIN)/pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal

campaign: setup-dev ## Run the longer trials that `make test` leaves out
	$(BIN)/pytest -m campaign

check: setup-dev ## Check style, types, layers and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(wildcard $(CODE))
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.generated check
	$(BIN)/python -m services.ledger openapi check

format: setup-dev ## Put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: setup-dev ## Write the generated files anew (contracts, settings page)
	$(BIN)/python -m deploy.generated write
	$(BIN)/python -m services.ledger openapi write

bench: setup-dev ## Measure the speed and print it beside what it should be
	@exec $(BIN)/python -m bench

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
