# make serve   builds the server and starts everything on ./data
# make test    everything that continuous integration runs
# make prove   the same promises, at length: thousands of simulated crashes, kill -9 under load, soak, benches

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# In order, one after the other: they share the machine and the build.
.NOTPARALLEL:
.ONESHELL:

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
VENV := $(abspath .venv)
PYTEST := AGENTTRACER_BIN=$(TARGET)/debug/agenttracer $(VENV)/bin/pytest
RUFF := $(VENV)/bin/ruff
MYPY := $(VENV)/bin/mypy
PYTHON_FILES := sdk compat deploy docker docs examples query benches conftest.py

.PHONY: help
help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: serve
serve: ui/dist/index.html ## build the dashboard and the server, start it on ./data: ports 8000, 8001 and 3000
	cargo build --release --locked --package agenttracer-tools
	exec $(TARGET)/release/agenttracer serve --data-dir data

# The order is that of the waiting: what fails fast comes first.
.PHONY: test
test: lint-python lint-shell lint-docker lint-ui test-ui lint-rust test-rust test-python journeys ## check and test everything
	@echo "make test: everything passed"

# ---- Rust ----------------------------------------------------------------------------------------------------------

# Binaries, tests and examples are built in one go with one set of features, so that nothing is built twice.
.PHONY: build
build: ui/dist/index.html ## build everything for the tests, the debug server included
	cargo build --locked --workspace --bins --tests --examples

.PHONY: lint-rust
lint-rust: ## format, lints and documentation of the Rust parts
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

.PHONY: test-rust
test-rust: build ## tests of the Rust parts
	if cargo nextest --version >/dev/null 2>&1; then
	  cargo nextest run --locked --workspace
	else
	  cargo test --locked --workspace --bins --tests
	fi
	cargo test --locked --workspace --doc

# ---- the dashboard -------------------------------------------------------------------------------------------------

UI_SOURCES := $(shell find ui/src ui/tools ui/index.html ui/vite.config.ts -type f) ui/package-lock.json

ui/node_modules/.made: ui/package-lock.json
	npm --prefix ui ci --no-audit --no-fund
	touch $@

ui/dist/index.html: ui/node_modules/.made $(UI_SOURCES)
	npm --prefix ui run build
	touch $@

.PHONY: lint-ui
lint-ui: ui/node_modules/.made ## lints and types of the dashboard, which must be those of the API's document
	npm --prefix ui run types -- --check
	npm --prefix ui run check

.PHONY: test-ui
test-ui: ui/node_modules/.made ## the dashboard's pure parts
	npm --prefix ui test

# Runs in the list of the journeys; 50,000 take a minute more.
UI_RUNS ?= 10000

.PHONY: journeys
journeys: build ## the dashboard in Chromium, on the real server with real runs
	AGENTTRACER_BIN=$(TARGET)/debug/agenttracer AGENTTRACER_UI_RUNS=$(UI_RUNS) npm --prefix ui run journeys

# ---- Python --------------------------------------------------------------------------------------------------------

$(VENV)/.made: .ci/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement .ci/requirements.txt
	touch $@

.PHONY: lint-python
lint-python: $(VENV)/.made ## format, lints and types of the Python parts
	$(RUFF) format --check $(PYTHON_FILES)
	$(RUFF) check $(PYTHON_FILES)
	MYPYPATH=sdk:sdk/tests $(MYPY) sdk/agenttrace sdk/tests sdk/generate_taxonomy.py
	$(VENV)/bin/pyright
	$(MYPY) compat deploy docker docs examples conftest.py

.PHONY: test-python
test-python: build $(VENV)/.made ## the SDK as pip installs it, the example, the contract, the image, the package: on the real server
	cargo run --quiet --locked --package agenttracer-model --example taxonomy_json \
	  | $(VENV)/bin/python sdk/generate_taxonomy.py --check
	rm -rf sdk/build sdk/agenttrace.egg-info
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps --no-build-isolation ./sdk
	rm -rf sdk/build sdk/agenttrace.egg-info
	$(PYTEST) sdk/tests compat deploy docker docs

# ---- shell and containers ------------------------------------------------------------------------------------------

.PHONY: lint-shell
lint-shell: $(VENV)/.made ## the shell scripts
	$(VENV)/bin/shellcheck .ci/run deploy/debian/build deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm server/tests/simulation/bugs/run

.PHONY: lint-docker
lint-docker: $(VENV)/.made ## the image and how it is run
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

# ---- at length -----------------------------------------------------------------------------------------------------

.PHONY: prove
prove: RUNS = 1000000
prove: test prove-rust prove-attack bugs lighthouse bench databases ## the promises at length: 20,000 simulated disks, 200 times kill -9, deliberate bugs, fuzzing, benches

.PHONY: prove-rust
prove-rust: build
	export AGENTTRACER_PROVE=1 AGENTTRACER_SIM_SEEDS=20000 AGENTTRACER_KILLS=200 AGENTTRACER_FUZZ_CASES=10000
	if cargo nextest --version >/dev/null 2>&1; then
	  cargo nextest run --locked --workspace --run-ignored all
	else
	  cargo test --locked --workspace --bins --tests -- --include-ignored
	fi

# A share of the speed, not a speed: but still a time that is measured.
.PHONY: prove-attack
prove-attack: build $(VENV)/.made ## what slow and idle connections cost those that send runs
	AGENTTRACER_PROVE=1 $(PYTEST) -s deploy/test_an_attack_stops_nobody.py

# It measures time, so it is not among the tests; counts of script and nodes are (`npm run gates`).
.PHONY: lighthouse
lighthouse: build ## what Lighthouse says of every page of the dashboard, on a desktop and on a phone
	AGENTTRACER_BIN=$(TARGET)/debug/agenttracer npm --prefix ui run lighthouse

# Each bug is a patch; the ordinary tests only see to it that every patch still applies.
.PHONY: bugs
bugs: ## each deliberate bug must make the simulator fail: which seed caught it, after how many steps
	server/tests/simulation/bugs/run

MINUTES ?= 60

.PHONY: simulate
simulate: ## other simulated disks than before, for MINUTES=60
	AGENTTRACER_SIM_MINUTES=$(MINUTES) cargo test --locked --package agenttracer-server --test simulation stories

CASES ?= 100000

.PHONY: fuzz
fuzz: ## bytes that nobody wrote, other ones than before, for everything that reads bytes: CASES=100000 of each kind
	AGENTTRACER_FUZZ_CASES=$(CASES) cargo test --locked --package agenttracer-server --test fuzz

# The disk that is measured is the one that this directory is on.
BENCH_DIR ?= $(TARGET)

.PHONY: bench
bench: ## questions about speed, each beside a bare loop: half an hour
	cargo build --release --locked --package agenttracer-tools --package agenttracer-benches
	ask() { $(TARGET)/release/benches --binary $(TARGET)/release/agenttracer --dir $(BENCH_DIR) "$$@"; }
	ask append
	ask ingest
	ask query
	ask offline
	cargo bench --locked --package agenttracer-benches

RUNS ?= 100000

# PostgreSQL is Debian's: apt-get install --no-install-recommends postgresql. It is started on a directory of its own, and ended.
.PHONY: databases
databases: $(VENV)/.made ## the same questions over RUNS=100000 runs here, in PostgreSQL and in DuckDB
	cargo build --release --locked --package agenttracer-tools --package agenttracer-benches
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement benches/compare_databases/requirements.txt
	$(VENV)/bin/python benches/compare_databases --runs $(RUNS) --release $(TARGET)/release --dir $(BENCH_DIR)

.PHONY: clean
clean: ## remove everything that was built; ./data stays
	cargo clean
	rm -rf ui/node_modules ui/dist ui/test-results ui/screenshots
	rm -rf $(VENV) sdk/build sdk/agenttrace.egg-info .mypy_cache .ruff_cache .pytest_cache
	find $(PYTHON_FILES) -name __pycache__ -type d -prune -exec rm -rf {} +
