# What a checkout needs. Every target first sets up .venv if it is missing or out of date.
.DEFAULT_GOAL := help
.PHONY: help setup run run-mission run-flow up test walk lint audit format clean reset

# Choose the interpreter of a fresh .venv with PYTHON=/path/to/python (3.11, 3.12 or 3.13).
export PYTHON
# Byte code is kept, whatever the environment says: the services and the tests of each process would compile it again.
unexport PYTHONDONTWRITEBYTECODE
# What runs ends when make is killed, in whatever way: see pressroom_dev/local/guard.py.
export PRESSROOM_ENDS_WITH_PARENT := 1
BIN := .venv/bin
# MODEL=better or MODEL=small: which model this machine serves. A MODEL of the environment that is neither is
# somebody else's.
WITH_MODEL := $(addprefix --model ,$(if $(filter command,$(origin MODEL)),$(MODEL),$(filter better small,$(MODEL))))

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS="	" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: ## Make or update .venv (Python 3.11 to 3.13)
	@scripts/setup

run: setup ## Run the example from a keyword list to articles that wait for review, then stop
	@exec $(BIN)/python -m pressroom_dev demo $(WITH_MODEL)

run-mission: setup ## Run two weekly cycles of the example mission against the simulator, then stop
	@exec $(BIN)/python -m pressroom_dev demo-mission $(WITH_MODEL)

run-flow: setup ## Run the example flow over a stored feed, with its gate answered, then stop
	@exec $(BIN)/python -m pressroom_dev demo-flow $(WITH_MODEL)

up: setup ## Start everything, print address, user and password, stay until Ctrl-C
	@exec $(BIN)/python -m pressroom_dev up $(WITH_MODEL)

test: setup ## Run all tests, three at a time
	@exec $(BIN)/python -m pytest -q -n 3

walk: setup ## Press every button of docs/any-button.md in a real Airflow (about ten minutes)
	@exec env PRESSROOM_WALK=$${PRESSROOM_WALK:-all} $(BIN)/python -m pytest -q tests/acceptance/test_any_button.py -o log_cli=true --log-cli-level=INFO

lint: setup ## Check style, layering and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

audit: setup ## Look up known vulnerabilities of all locked packages (3: the database cannot be reached)
	@scripts/audit

format: setup ## Format the code and fix what can be fixed safely
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

clean: ## Remove .venv and caches; databases, media and logs stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build dist include/*.egg-info
	@find . -name __pycache__ -type d -not -path './.pressroom/*' -prune -exec rm -rf {} +

reset: ## Remove the local databases, media and logs
	@if [ -e .pressroom/local.json ]; then echo "Pressroom runs, or was killed: end it, remove .pressroom/local.json." >&2; exit 1; fi
	@if [ -L .pressroom/postgres ]; then rm -rf "$$(readlink -f .pressroom/postgres)"; fi
	@rm -rf .pressroom
