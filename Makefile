# Everything sets itself up in .venv; PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# The demo and the tests start many processes: each module is compiled once, not in each of them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo serve edge test test-all test-rest bench lint types matrix docs docs-serve dist clean

help:
	@echo "make demo      build, publish and fetch the example project, and say what happened"
	@echo "make serve     leave the example project up for a browser, with a button for the next deploy"
	@echo "make edge      an S3 server and a CDN on this machine, for a site of your own"
	@echo "make test      run the test suite"
	@echo "make test-all  run all of it: the deep tests, and those of radosgw, nginx, njs, node and chromium"
	@echo "make bench     compare with the peers: SIZE=small ROUNDS=3 ROWS=\"builds deploys\""
	@echo "make lint      ruff, mypy and the import rules"
	@echo "make docs      build the documentation into site/; a broken link fails"
	@echo "make docs-serve  show the documentation and follow changes"
	@echo "make dist      build the sdist and the wheel, and try the wheel in an empty environment"
	@echo "make matrix    the test suite on every Django and Python that is here"

# One stamp for each extra: a newer pyproject.toml installs again.
$(VENV)/.installed-%: pyproject.toml
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@if [ -t 1 ]; then quiet=; else quiet=--quiet; fi; \
	    $(RUN) -m pip install $$quiet --disable-pip-version-check -e ".[$*]"
	@touch $@

demo: $(VENV)/.installed-demo
	@$(RUN) example_project/demo.py

serve: $(VENV)/.installed-demo
	@$(RUN) example_project/demo.py --serve

edge: $(VENV)/.installed-demo
	@$(RUN) example_project/edge.py

# Two workers a core: the tests wait for servers and processes as long as they compute.
PYTEST = $(RUN) -m pytest -n $$($(RUN) -c 'import os; print(2 * os.cpu_count())') --dist loadfile

test: $(VENV)/.installed-test
	@$(PYTEST)

test-all: $(VENV)/.installed-test
	@TEST_ALL=1 $(PYTEST)

# What make test leaves out; with make test the same as make test-all.
test-rest: $(VENV)/.installed-test
	@TEST_ALL=1 $(PYTEST) -m "deep or system"

# The peers stay out of .venv: an environment and a corpus outside of the tree.
BENCH ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/django-versioned-storage-bench
SIZE ?= small
ROUNDS ?= 3

bench:
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	@$(BENCH)/bin/python -m benchmarks --cache $(BENCH)/corpus --size $(SIZE) --rounds $(ROUNDS) \
	    --json $(BENCH)/$(SIZE).json $(ROWS)

lint: $(VENV)/.installed-lint
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo --no-cache

# What is cached from an earlier build is not checked again.
docs: $(VENV)/.installed-docs
	@$(VENV)/bin/zensical build --clean --strict

docs-serve: $(VENV)/.installed-docs
	@$(VENV)/bin/zensical serve

dist: $(VENV)/.installed-dist
	@rm -rf dist
	@$(RUN) -m build --outdir dist .
	@$(RUN) -m twine check --strict dist/*
	@$(RUN) .ci/try_wheel.py

matrix: $(VENV)/.installed-matrix
	@$(RUN) -m nox $(SESSIONS)

clean:
	rm -rf $(VENV) site dist .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache
