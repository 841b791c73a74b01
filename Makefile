# Each target sets up what it needs, in .venv, from nothing but Python >= 3.11 and a C++ compiler.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml CMakeLists.txt $(wildcard engine/*)

.PHONY: demo test lint pictures simulate bench bench-learn bench-peers sanitize clean

demo: .venv/demo  ## find a filter from two pictures, and run it on a third
	$(BIN)/python examples/demo.py

test: .venv/test  ## run the tests
	$(BIN)/python -m pytest --cov=corr2d --cov-report=term

lint: .venv/lint  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

pictures: .venv/demo  ## draw the pictures of the pages again
	$(BIN)/python docs/pictures.py

simulate: .venv/simulate  ## simulate thousands of pairs, and write the tables of docs/trust.md
	$(BIN)/python -m simulations

bench: .venv/bench  ## measure against peers, and write the README's table
	$(BIN)/python benchmarks/bench.py

bench-learn: .venv/bench  ## measure `learn` against peers, and write the README's table
	$(BIN)/python benchmarks/bench_learn.py

bench-peers: .venv/bench-peers  ## install what bench-learn and peers_varying.py compare with, if it is there

# The engine with the address and undefined-behaviour sanitizers, under the tests that reach it. -S keeps the
# editable install from being found first; -s lets the sanitizers' reports through.
sanitize: .venv/test  ## run the engine's tests under sanitizers (GCC)
	$(BIN)/cmake -S . -B build/sanitize -DCORR2D_SANITIZE=ON -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	$(BIN)/cmake --build build/sanitize --parallel 2
	rm -rf build/sanitize/src && mkdir build/sanitize/src && cp -r src/corr2d build/sanitize/src
	cp build/sanitize/_engine*.so build/sanitize/src/corr2d
	for isa in $$($(BIN)/python -c "import corr2d._engine as e; print(*e.usable_isas)"); do \
	  CORR2D_ISA=$$isa LD_PRELOAD="$$(gcc -print-file-name=libasan.so):$$(gcc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  PYTHONPATH=build/sanitize/src:$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('platlib'))") \
	  $(BIN)/python -S -m pytest -s -q -p no:cacheprovider tests/test_correlate.py tests/test_dtypes.py tests/test_mixing.py tests/test_lags.py tests/test_windows.py tests/test_solve.py || exit 1; \
	done

clean:
	rm -rf .venv build out

.venv/pip:
	@echo "Setting up .venv, and building the engine: about a minute, longer for the tests."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "corr2d needs Python 3.11 or newer: make PYTHON=python3.x")'
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

.venv/simulate: .venv/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable . --group simulate
	touch $@

.venv/bench: .venv/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable . --group bench
	touch $@

# In an environment of their own, whose compilers and threads ours shall not have. The setup.py of ois imports NumPy
# without asking for it, so that pip must not build it apart; its one module in C builds with NumPy 1 and 2.
.venv/bench-peers: .venv/bench
	$(PYTHON) -m venv .venv/peers
	.venv/peers/bin/python -m pip install --quiet "pip>=25.1"
	.venv/peers/bin/pip install --quiet --group peers
	.venv/peers/bin/pip install --quiet --no-build-isolation --no-deps ois==0.2
	touch $@
