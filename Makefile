# `make run` and `make test` are all a fresh machine needs (Python 3.11+ and make).
PORT ?= 8501
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: run test lint coverage bench screenshots docs clean

run: $(VENV)/.runtime
	@echo "foam_viz: http://127.0.0.1:$(PORT)"
	$(BIN)/python -m streamlit run app.py --server.port $(PORT)

# Whole files go to a worker, whose fixtures they share. A browser is timed by what it shows, so its tests run alone.
# One thread a process: small matrices gain nothing from more, and workers would compete for the cores.
# A browser test that fails is tried once more, and named: a busy machine may be too slow for one. Look at those that are named.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=25 --ignore tests/browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --reruns 1 -r R --durations=10 tests/browser

# Not part of `make test`: tracing lines slows the tests by more than a twentieth before Python 3.12.
coverage: $(VENV)/.development
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore tests/browser \
		--cov foam_viz --cov-report term:skip-covered

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks

# Of README and documentation, in both themes. FOAM_VIZ_REQUIRE_SCREENSHOTS=1 makes tests fail that find one older than its page.
screenshots: $(VENV)/.development
	$(BIN)/python docs/screenshots.py

docs: $(VENV)/.documentation
	$(BIN)/python -m mkdocs build --quiet
	@echo "site/index.html"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("foam_viz needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

$(VENV)/.documentation: requirements-docs.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --requirement requirements-docs.txt
	@touch $@

clean:
	rm -rf $(VENV) static site .pytest_cache .ruff_cache .hypothesis
