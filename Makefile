# Everything a person does here by name. Each target sets up what it needs: a fresh clone and `make demo` are enough.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
NODE_TOOLS := tests/kafka/kafkajs tests/house/asyncapi
NODE_INSTALLED := $(NODE_TOOLS:%=%/node_modules/.package-lock.json)
# What `docker compose config` itself reads the file with, for machines without Docker.
COMPOSE_GO := github.com/compose-spec/compose-go/v2/cmd@v2.16.2
ARGS ?=
HISTORIES ?= 1000
REQUESTS ?= 200
# Checks and tests decide by themselves what they run against; a developer's shell must not.
PRODUCTION := env -u DJANGO_SETTINGS_MODULE $$(grep -v '^\#' deploy/placeholder.env) $(PYTHON)

.PHONY: help setup tools demo test histories chaos bench check up down lock clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)$$/make \1\t\2/' | expand -t 16

setup: $(INSTALLED)  ## Make .venv with everything in requirements-dev.lock

$(INSTALLED): requirements-dev.lock
	@echo "setup: .venv with what requirements-dev.lock names, a minute or two"
	@bash .ci/virtualenv
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $(INSTALLED)

demo: setup  ## Tell the whole story on a fresh stack, without Docker; ARGS=--kafka=apache takes real Kafka
	@echo "demo: a fresh stack, then the story, then everything is stopped"
	@$(PYTHON) -m devstack demo $(ARGS)

tools: setup  ## Fetch the tools that some tests use: Apache Kafka's jars, Toxiproxy, Caddy, a Kafka client in another language
	@if command -v java >/dev/null && command -v mvn >/dev/null; then \
		echo "tools: Apache Kafka's jars"; $(PYTHON) -m devstack.kafka_jars; \
	else \
		echo "tools: no java and mvn (17 or newer; Debian: apt install maven): the tests on Apache Kafka will be skipped"; \
	fi
	@if command -v go >/dev/null; then \
		echo "tools: Toxiproxy"; $(PYTHON) -m devstack.toxiproxy; \
		echo "tools: Caddy"; $(PYTHON) -m devstack.caddy; \
	else \
		echo "tools: no go (1.23 or newer: https://go.dev/dl): the tests with a bad network or slow clients will be skipped"; \
	fi
	@if command -v npm >/dev/null; then \
		$(MAKE) --silent --no-print-directory $(NODE_INSTALLED); \
	else \
		echo "tools: no npm (Debian: apt install npm): the tests with Node.js will be skipped"; \
	fi

%/node_modules/.package-lock.json: %/package-lock.json
	@echo "tools: $*"
	@npm ci --prefix $* --silent --no-audit --no-fund
	@touch $@

test: tools  ## Run the tests on every core; ARGS are pytest's
	@echo "test: the whole suite, in random order"
	@.venv/bin/pytest -n auto --dist loadgroup -rs $(ARGS)

histories: setup  ## Draw random histories of bus and money, and REQUESTS to each route, all night; HISTORIES=100 for fewer
	@echo "histories: each night its own; what fails is told as a short story"
	@PROOF_HISTORIES=$(HISTORIES) MONEY_HISTORIES=$(HISTORIES) SUBSCRIPTION_HISTORIES=$(HISTORIES) \
		BILLING_HISTORIES=$(HISTORIES) FUZZ_EXAMPLES=$(REQUESTS) .venv/bin/pytest -n auto --dist loadgroup \
		tests/proof/test_model.py tests/payments/test_money_model.py tests/subscriptions/test_invariants.py \
		tests/flows/test_billing.py tests/api/test_fuzz.py $(ARGS)

chaos: tools  ## Break everything at random under load, then count the effects; ARGS="--minutes=30 --seed=1"
	@echo "chaos: three real brokers, a bad network, kill -9; then every effect must be there once and in order"
	@$(PYTHON) -m tests.chaos $(ARGS)

bench: tools  ## Measure the event bus; ARGS=relay for one, ARGS=--quick only to see that all still work
	@echo "bench: ratios within one run; the machine should have nothing else to do"
	@$(PYTHON) -m benchmarks $(ARGS)

check: setup  ## Lint, types, import rules, migrations, API schema, events, production settings, compose file
	@echo "check: lint"
	@.venv/bin/ruff check .
	@echo "check: format"
	@.venv/bin/ruff format --check .
	@echo "check: types"
	@.venv/bin/mypy .
	@echo "check: import rules"
	@.venv/bin/lint-imports
	@echo "check: every change of a model has its migration"
	@$(PRODUCTION) -W "ignore:Got an error checking a consistent migration history" manage.py makemigrations --check --dry-run
	@echo "check: the API's schema is complete and valid"
	@$(PRODUCTION) manage.py spectacular --fail-on-warn --validate --file /dev/null
	@echo "check: events against their schemas, samples and documents"
	@$(PRODUCTION) manage.py check_events
	@echo "check: production settings"
	@$(PRODUCTION) manage.py check --deploy --fail-level WARNING
	@echo "check: docker-compose.yml"
	@if docker compose version >/dev/null 2>&1; then \
		docker compose config --quiet; \
	elif command -v go >/dev/null; then \
		go run $(COMPOSE_GO) docker-compose.yml >/dev/null; \
	else \
		echo "check: neither docker compose nor go is here, so docker-compose.yml is not checked"; \
	fi

up:  ## Start everything in containers and wait until it is healthy
	@docker compose version >/dev/null 2>&1 || { \
		echo "up: needs Docker with its Compose plugin, 2.24 or newer; without Docker: make setup, then $(PYTHON) -m devstack up"; exit 1; }
	@echo "up: build, start, wait until healthy; then http://localhost:8000/api/docs"
	@docker compose up --build --detach --wait

down:  ## Stop the containers; their data stays
	@docker compose down

lock: setup  ## Write the lock files anew from the requirements
	@echo "lock: requirements.lock"
	@CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock requirements.txt
	@echo "lock: requirements-dev.lock"
	@CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --constraint requirements.lock \
		--output-file requirements-dev.lock requirements-dev.txt
	@echo "lock: benchmarks/requirements-peers.lock"
	@CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file benchmarks/requirements-peers.lock benchmarks/requirements-peers.txt

clean:  ## Remove what the targets above made: .venv, caches, var/
	@echo "clean: .venv, caches, staticfiles, var"
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles var
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
