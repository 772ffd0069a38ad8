# `make help` lists the tasks. Each brings its own set-up: .venv with requirements.txt, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := layers functions cli local models bench docs tests

# Empty means the default, see `.venv/bin/python -m local --help`.
export PORT AWS_PORT WORKERS MODEL

.DEFAULT_GOAL := help
.PHONY: help run test test-containers check format docs model model-check bench demo-model clean

help:  ## List the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: $(VENV)/installed  ## Start the whole pipeline on this machine (PORT=8000 AWS_PORT=4566 WORKERS=2 MODEL=auto)
	@exec $(BIN)/python -m local

test: $(VENV)/installed  ## Run the tests
	$(BIN)/pytest $(PYTEST)

test-containers: $(VENV)/installed  ## Run what takes minutes: Lambda containers (Docker, Python 3.13 on PATH), large models
	$(BIN)/pytest -m 'slow or containers' -s $(PYTEST)

check: $(VENV)/installed  ## Format, lint, types, template
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	SAM_CLI_TELEMETRY=0 $(BIN)/sam validate --lint --region eu-west-1

format: $(VENV)/installed  ## Put the code into its format
	$(BIN)/ruff check --fix --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: $(VENV)/installed  ## Write docs/api.md from the OpenAPI schema, and the reference in docs/cli.md
	$(BIN)/python -m docs.api
	$(BIN)/python -m docs.cli

model: $(VENV)/installed  ## Fetch BLIP and export it into models/exported (FROM=folder: another checkpoint)
	$(BIN)/python -m models.export $(if $(FROM),--from $(FROM))

model-check: $(VENV)/installed  ## Compare the model folders with their checksums
	$(BIN)/python -m models.check

bench: $(VENV)/installed  ## Measure captions, cold starts, the API under load; wants a quiet machine
	$(BIN)/python -m bench.captions
	$(BIN)/python -m bench.cold_start
	$(BIN)/python -m bench.api_load

demo-model: $(VENV)/installed  ## Train the demo caption model (about 30 minutes on two cores)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m models.demo.train

clean:  ## Remove what was installed, built and cached
	rm -rf $(VENV) .aws-sam .local .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@
