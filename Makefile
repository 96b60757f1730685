# One command each, on a fresh machine with Python 3.11 and no root rights.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CUTS ?= 5000
FRAMES ?= 200000
SESSIONS ?= 1000
ROUNDS ?= 5
JOBS ?= 2

.PHONY: help env run cluster-demo test check format docs simulate bugs branches powercuts fuzz faults mutants bench bench-peers enumeration sbom clean

help:  ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(VENV)/.ready  ## Make the virtual environment

$(VENV)/.ready: setup.cfg
	@command -v $(PYTHON) >/dev/null || { echo "wirechat needs Python 3.11: set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Preparing $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,dev,docs,cluster,loadgen,peers]'
	@touch $@

run: env  ## Run a server on this machine with two demo accounts and a short replay
	@$(BIN)/wirechat demo

cluster-demo: env  ## Run PostgreSQL, NATS and three servers on this machine, to try a cluster: NODES=3, ONCE=1
	@$(BIN)/wirechat cluster demo $(if $(NODES),--nodes $(NODES)) $(if $(ONCE),--once)

test: env  ## The full suite, with a real PostgreSQL and NATS from their wheels
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

check: env docs  ## Format, lint, types, import contracts, freshness of generated files, vulnerabilities, the site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.protocol check
	$(BIN)/python -m tools.protocol evolution
	$(BIN)/python -m tools.docs check
	$(BIN)/python -m tools.audit

format: env  ## Format the code and generate what is generated
	$(BIN)/python -m tools.protocol generate
	$(BIN)/python -m tools.docs generate
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: env  ## The site, into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -n -q docs docs/_build/html
	@echo "The site is in docs/_build/html; open docs/_build/html/index.html."

simulate: env  ## Simulate: SEEDS=N seeds, or SEED=s for one with a trace; JSON=1 for machines
	$(BIN)/python -m tools.simulate $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200) --jobs $(JOBS)) $(if $(JSON),--json)

bugs: env  ## Prove that the simulation finds every planted bug
	$(BIN)/python -m tools.simulate bugs

branches: env  ## Which branches of server and store SEEDS=N seeds do not take
	$(BIN)/python -m tools.simulate branches $(if $(SEEDS),--seeds $(SEEDS))

powercuts: env  ## Cut the power of the embedded store: CUTS=N times, or SEED=s for one seed with a trace
	$(BIN)/python -m tools.powercuts $(if $(SEED),--seed $(SEED),--cuts $(CUTS) --jobs $(JOBS)) $(if $(JSON),--json)

fuzz: env  ## Fuzz the codec and sessions: FRAMES=N and SESSIONS=N, SEED=s; KEEP=1 keeps what reached something new in tests/fuzz/corpus
	$(BIN)/python -m tools.fuzz codec --frames $(FRAMES) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)
	$(BIN)/python -m tools.fuzz sessions --sessions $(SESSIONS) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)

faults: env  ## Hurt a real server: ONLY=kill for one fault, SECONDS=s, JSON=1; REQUIRE_ALL=1: what is skipped is an error
	$(BIN)/python -m tools.faults $(if $(ONLY),--only $(ONLY)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JSON),--json)

mutants: env  ## Prove that the conformance runner catches every mutant of the server and of the client
	$(BIN)/python -m tools.mutants

bench: env  ## Run all benchmarks, into bench/results
	$(BIN)/python -m bench --save bench/results

bench-peers: env  ## Measure our server beside every rival that is installed: ROUNDS=N, SAVE=FOLDER
	$(BIN)/python -m bench peers --rounds $(ROUNDS) $(if $(SAVE),--save $(SAVE))

enumeration: env  ## Measure whether the time of a failed login tells who exists
	$(BIN)/python -m bench enumeration --samples 2000

sbom:  ## A bill of materials of all that a server installs (CycloneDX), into dist/sbom.json
	@echo "Installing a server into dist/.server ..."
	@$(PYTHON) -m venv --clear dist/.server dist/.release
	@dist/.server/bin/pip install --quiet --disable-pip-version-check .
	@dist/.release/bin/pip install --quiet --disable-pip-version-check '.[release]'
	@dist/.release/bin/cyclonedx-py environment dist/.server/bin/python --output-file dist/sbom.json
	@echo "The bill of materials is in dist/sbom.json."

clean:  ## Remove the environment and what was built
	rm -rf $(VENV) build dist docs/_build *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis .run
