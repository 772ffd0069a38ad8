# `make help` lists the tasks. Each brings its own set-up: .venv with requirements.txt, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := layers functions cli local ops models bench docs tests

# Empty means the default, see `.venv/bin/python -m local --help`.
export PORT AWS_PORT WORKERS MODEL

# What `make deploy` deploys: a section of samconfig.toml. Without the real caption model: ALLOW_DEMO_MODEL=1.
ENV ?= default
export ALLOW_DEMO_MODEL

.DEFAULT_GOAL := help
.PHONY: help run sam-local test test-containers screenshots fuzz simulate check check-security deploy preflight format lock docs model model-check bench demo-model clean

help:  ## List the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: $(VENV)/installed  ## Start the whole pipeline on this machine (PORT=8000 AWS_PORT=4566 WORKERS=2 MODEL=auto)
	@exec $(BIN)/python -m local

sam-local: $(VENV)/installed  ## The same in Lambda's containers (Docker, Python 3.13 on PATH; PORT=8000 AWS_PORT=4566)
	SAM_CLI_TELEMETRY=0 $(BIN)/sam build
	@exec $(BIN)/python -m local --sam

# tests/conftest.py says what stays together, and in which order.
IN_PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder
test: $(VENV)/installed  ## Run the tests
	$(BIN)/pytest $(IN_PARALLEL) $(PYTEST)

test-containers: $(VENV)/installed  ## Run what takes minutes: Lambda containers (Docker, Python 3.13 on PATH), large models
	$(BIN)/pytest -m 'slow or containers' -rP $(IN_PARALLEL) $(PYTEST)

screenshots: $(VENV)/installed  ## Photograph the gallery in each state into .screenshots (Chromium), two of them for the README
	$(BIN)/python -m tests.browser.screenshots

fuzz: $(VENV)/installed  ## Feed mutated files to the picture stage (MINUTES=20); keeps what goes wrong in .fuzz
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),20) $(FUZZ)

simulate: $(VENV)/installed  ## Run the simulator of failures (MINUTES=10) on every core
	$(BIN)/python -m tests.simulation --minutes $(or $(MINUTES),10)

check: $(VENV)/installed  ## Format, lint, types, template
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	SAM_CLI_TELEMETRY=0 $(BIN)/sam validate --lint --region eu-west-1

CHECKOV := .venv-checkov
check-security: $(VENV)/installed $(CHECKOV)/installed  ## Look for insecure settings in what would be deployed (checkov)
	@mkdir -p .local
	$(BIN)/python -m local.template > .local/template.json
	$(CHECKOV)/bin/checkov --file .local/template.json --framework cloudformation --skip-download --compact --quiet

preflight: $(VENV)/installed  ## What would be wrong with a deployment (ENV=default, dev or prod)
	$(BIN)/python -m ops.preflight $(ENV)

deploy: $(VENV)/installed $(if $(filter 1,$(ALLOW_DEMO_MODEL)),,models/exported/model.json) preflight  ## Deploy to AWS (ENV=default, dev or prod)
	ARCHITECTURE=$$($(BIN)/python -m ops.preflight $(ENV) --show Architecture) $(BIN)/sam build --config-env $(ENV)
	$(BIN)/sam deploy --config-env $(ENV)

models/exported/model.json: | $(VENV)/installed
	$(BIN)/python -m models.export

format: $(VENV)/installed  ## Put the code into its format
	$(BIN)/ruff check --fix --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# Hashes of every file of a release, for any platform; versions move with UPGRADE=--upgrade alone.
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --custom-compile-command 'make lock' \
	--python-version 3.13 --python-platform x86_64-manylinux_2_28 $(UPGRADE)

lock: $(VENV)/installed  ## Pin what is deployed, with hashes: requirements.in → requirements.txt (UPGRADE=--upgrade)
	$(LOCK) layers/core/requirements.in -o layers/core/requirements.txt
	$(LOCK) functions/api/requirements.in -o functions/api/requirements.txt -c layers/core/requirements.txt \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' layers/core/requirements.txt)
	$(LOCK) functions/processor/requirements.in -o functions/processor/requirements.txt \
		--overrides functions/processor/overrides.txt -c layers/core/requirements.txt

docs: $(VENV)/installed  ## Write docs/api.md from the OpenAPI schema, and the reference in docs/cli.md
	$(BIN)/python -m docs.api
	$(BIN)/python -m docs.cli

model: $(VENV)/installed  ## Fetch BLIP and export it into models/exported (FROM=folder: another checkpoint)
	$(BIN)/python -m models.export $(if $(FROM),--from $(FROM))

model-check: $(VENV)/installed  ## Compare the model folders with their checksums
	$(BIN)/python -m models.check

bench: $(VENV)/installed  ## Measure pictures, captions, cold starts, the API and the local stack under load; wants a quiet machine
	$(BIN)/python -m bench.images
	$(BIN)/python -m bench.captions
	$(BIN)/python -m bench.cold_start
	$(BIN)/python -m bench.api
	$(BIN)/python -m bench.api_load
	$(BIN)/python -m bench.local_stack

demo-model: $(VENV)/installed  ## Train the demo caption model (about 30 minutes on two cores)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m models.demo.train

clean:  ## Remove what was installed, built and cached
	rm -rf $(VENV) $(CHECKOV) .aws-sam .bench .fuzz .local .screenshots .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

# A venv of its own: checkov pins older versions of what sam pins, too.
$(CHECKOV)/installed: requirements-checkov.txt
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install --quiet --requirement requirements-checkov.txt
	@touch $@
