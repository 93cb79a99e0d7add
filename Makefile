# Every target sets up what it needs in .venv; nothing outside this folder is changed.

# Called without "make PYTHON=...": the first of these that runs and is not too new or too old.
PYTHON ?= $(shell for python in python3.12 python3.11 python3 python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
JOBS ?= 2
READY := .venv/ready

# Where Python may not keep what it has compiled, each command compiles all it imports: seconds, many times over.
unexport PYTHONDONTWRITEBYTECODE

# The example's home is below this folder. As root PostgreSQL runs under another account: if that account cannot
# come in here, the home is where Tutti puts it for root.
CLOSED = $(shell folder="$(CURDIR)"; while [ "$$folder" != / ]; do \
	find "$$folder" -maxdepth 0 ! -perm -001; folder=$$(dirname "$$folder"); done)
ROOT_SHUT_OUT = $(and $(filter 0,$(shell id -u)),$(CLOSED))
demo down: export TUTTI_HOME ?= $(if $(ROOT_SHUT_OUT),/var/lib/tutti,$(CURDIR)/.tutti)

.PHONY: help demo test setup lint format typecheck bench down clean

help:  ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 18

demo: $(READY)  ## Set up, and make the example catalogue of score drafts
	$(BIN)/tutti generate docs/examples/score-drafts.yaml
	@echo
	@echo "To go on with this catalogue in a shell:"
	@echo "    export TUTTI_HOME='$(TUTTI_HOME)'; . $(BIN)/activate; tutti list"
	@echo "Its database and its Prefect server keep running until: make down"

test: $(READY)  ## Set up, and run the tests, in JOBS processes (2)
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

setup: $(READY)  ## Make .venv with everything in it, in the versions of constraints.txt

$(READY): pyproject.toml constraints.txt models/engine/native/step.cpp
	@test -n "$(PYTHON)" || { echo "Tutti needs Python 3.11 or 3.12 with its venv module" \
		"(on Debian: apt-get install python3 python3-venv); or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@echo "Installing; PyTorch alone is some 4.6 GB, which takes a minute or a few"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev,evaluate,train]' || { \
		echo "uv could not install; once more with pip, which knows pip.conf and takes longer" >&2; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,evaluate,train]'; }
	@touch $(READY)

lint: $(READY)  ## Check style, format and the directions of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

format: $(READY)  ## Put the sources into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

typecheck: $(READY)  ## Check the types
	$(BIN)/mypy

bench: $(READY)  ## Measure planning, throughput, overhead, cold start and the engine (some minutes)
	$(BIN)/python -m bench.planning
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.overhead
	$(BIN)/python -m bench.cold_start
	$(BIN)/python bench/engine.py --quick

down: $(READY)  ## Stop the database and the Prefect server of the example
	$(BIN)/tutti down

clean:  ## Stop the example's servers, and remove .venv, the example's catalogue and all caches
	@if [ -x $(BIN)/tutti ] && [ -d .tutti ]; then TUTTI_HOME="$(CURDIR)/.tutti" $(BIN)/tutti down; fi
	rm -rf .tutti .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
