# Each target installs what it needs and says so; a second run costs nothing.
PYTEST = .venv/bin/python -m pytest -q
PARALLEL = -n auto --dist worksteal
UNPRIVILEGED = not kernel and not system and not soak

# Without the cache of compiled files each worker compiles all tests anew: a third of the time of `make check`.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-down lint check test bench soak conformance generate format setup setup-runtime

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup-runtime ## a routed, policed network of three hosts on this machine
	@.venv/bin/python -m tortie.lab.demo up

demo-down: setup-runtime ## remove every trace of the demo
	@.venv/bin/python -m tortie.lab.demo down

lint: setup ## format, lint, types, import contracts
	.venv/bin/ruff format --check -q .
	.venv/bin/ruff check -q .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

check: lint ## lint, and the tests that need no root, one etcd, each property with few examples
	HYPOTHESIS_PROFILE=quick $(PYTEST) $(PARALLEL) -m '$(UNPRIVILEGED) and not thorough'

test: lint ## everything: lint, every property with many examples, and the tests on the real kernel
	$(PYTEST) $(PARALLEL) -m '$(UNPRIVILEGED)'
	@cat tests/not_everywhere.txt
	$(PYTEST) -m '(kernel or system) and not soak'

soak: setup ## the long tests; random policies for an hour, or as long as SOAK_SECONDS=300 SOAK_SEED=1 say
	$(PYTEST) -m soak --timeout 7200

bench: setup ## measure; ratios in one run
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; .venv/bin/python $$benchmark || exit 1; done

conformance: setup ## run case files: make conformance DIR=tests/conformance/data
	@.venv/bin/python tests/conformance/run.py $(or $(DIR),tests/conformance/data)

generate: setup ## write schemas, definitions for Kubernetes and reference pages anew from the API's tables
	@.venv/bin/python tools/generate.py

format: setup ## rewrite the sources in the house's format
	.venv/bin/ruff check -q --fix . ; .venv/bin/ruff format -q .

setup:
	@tools/setup.sh dev

setup-runtime:
	@tools/setup.sh runtime
