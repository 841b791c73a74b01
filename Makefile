# Each target sets up what it needs, in .venv, from nothing but Python >= 3.11 and a C++ compiler.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml CMakeLists.txt $(wildcard engine/*)

.PHONY: demo test lint bench sanitize clean

demo: .venv/demo  ## find a filter from two pictures, and run it on a third
	$(BIN)/python examples/demo.py

test: .venv/test  ## run the tests
	$(BIN)/python -m pytest --cov=corr2d --cov-report=term

lint: .venv/lint  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/bench  ## measure against peers, and write the README's table
	$(BIN)/python benchmarks/bench.py

clean:
	rm -rf .venv build out

.venv/pip:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "pip>=25.1"  # reads dependency groups
	touch $@

# Editable: Python files are used where they lie, the engine is built again when its sources change.
.venv/demo: .venv/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable ".[plot]"
	touch $@

.venv/test: .venv/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable ".[plot]" --group test
	touch $@

.venv/lint: .venv/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable . --group lint
	touch $@

.venv/bench: .venv/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable . --group bench
	touch $@
