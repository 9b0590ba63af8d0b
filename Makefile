# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
PARALLEL := $(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder
LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache
TYPES := $(BIN)/pyright
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo check test types unit tests docs blueapi-env clean

demo: .venv/demo
	$(BIN)/xtag demo $(DEMO)

# What an edit is checked with: linters, types, contracts and the unit tests, which need no TensorFlow, Tiled or processes.
check: .venv/test
	$(LINT)
	@$(MAKE) --no-print-directory --jobs=2 types unit

# The types are checked next to the tests, which often wait; a failure of either fails the whole.
# Where blueapi cannot be installed, its tests are skipped and say so.
test: .venv/test
	$(MAKE) --no-print-directory blueapi-env || true
	$(LINT)
	@$(MAKE) --no-print-directory --jobs=2 types tests

types: .venv/test
	$(TYPES)

unit: .venv/test
	$(PARALLEL) tests/unit $(PYTEST)

tests: .venv/test
	$(PARALLEL) $(PYTEST)

docs: .venv/test
	$(BIN)/python docs/from_code.py
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

# blueapi pins another version of Tiled, so it gets an environment of its own (100 MB) on top of ours.
blueapi-env: .venv/blueapi-env/stamp

.venv/blueapi-env/stamp: constraints.txt | .venv/test
	@echo "Installing blueapi into .venv/blueapi-env, for its tests ..."
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
		> $$($(@D)/bin/python -c "import site; print(site.getsitepackages()[0])")/base.pth
	grep -vE '^(tiled|bluesky-tiled-plugins)==' constraints.txt > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(@D)/constraints.txt \
		'blueapi==1.21.1' bluesky-tiled-plugins
	@touch $@

clean:
	rm -rf .venv xtag-demo docs/_build .pytest_cache .ruff_cache
