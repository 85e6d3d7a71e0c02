# Needs Python 3.11 or newer, make and a package index; all else goes into .venv.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v "$$p"; break; }; done)
BIN := .venv/bin

.PHONY: help venv demo kind test e2e controlplane fidelity lint bench lock format

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## set up .venv: packages as locked, this project, kubectl and helm
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 with venv and ensurepip found; name one: make venv PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" tests/tools/make_venv.py

demo: venv ## play a capacity crisis and the return to spot on loopback: no account, no Docker
	@$(BIN)/autoscaler demo $(ARGS)

kind: ## a kind cluster with image, chart and an emulated AWS; needs Docker and kind
	@deploy/kind/up.sh

WORKERS ?= 2
test: venv ## all tests (ARGS go to pytest; WORKERS=0: one after the other, in one process)
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) $(ARGS)

e2e: venv ## the end-to-end tests on the real control plane, under the chart's rights; 4 minutes
	@$(BIN)/python -m pytest tests/e2e --stage=controlplane $(ARGS)

controlplane: venv ## build a real etcd and Kubernetes for `make test` and `make e2e`, once; needs Go
	@$(BIN)/python tests/controlplane/build.py

N ?= 300
fidelity: controlplane ## compare N random worlds with the real kube-scheduler (FIRST=number of the first)
	@$(BIN)/python -m tests.controlplane.fidelity $(N) $(FIRST)

lint: venv ## style, formatting, types, import rules
	@failed=0; for check in "ruff check" "ruff format --check" "mypy --strict autoscaler bench" "lint-imports --no-logo"; do \
		echo "-- $$check"; $(BIN)/$$check || failed=1; done; exit $$failed

bench: venv ## the quick benches, each against its floor
	@$(BIN)/python -m bench quick

format: venv ## let ruff mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: venv ## resolve all dependencies in one go, keeping what still fits (ARGS=--upgrade: the newest)
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-header $(ARGS) -o requirements.lock pyproject.toml
