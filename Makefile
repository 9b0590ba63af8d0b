# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
PARALLEL := $(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder
LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright && $(BIN)/lint-imports --no-cache
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo check test docs clean

demo: .venv/demo
	$(BIN)/xtag demo $(DEMO)

# What an edit is checked with: linters, types, contracts and the unit tests, which need no TensorFlow, Tiled or processes.
check: .venv/test
	$(LINT)
	$(PARALLEL) tests/unit $(PYTEST)

test: .venv/test
	$(LINT)
	$(PARALLEL) $(PYTEST)

docs: .venv/test
	$(BIN)/sphinx-build -W -b html docs docs/_build/html

.venv/bin/python:
	$(PYTHON) -m venv .venv

# The stamps hold the moment of the installation: a newer pyproject.toml installs again.
.venv/demo: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing bluesky_xtag and its demo into .venv (a few minutes the first time) ..."
	$(PIP) --editable '.[demo]'
	@touch $@

.venv/test: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing bluesky_xtag and its test extras into .venv (a few minutes the first time) ..."
	$(PIP) --editable '.[test]'
	@touch $@ .venv/demo

clean:
	rm -rf .venv xtag-demo docs/_build .pytest_cache .ruff_cache
