# `make run` and `make test` are all a fresh machine needs (Python 3.11+ and make).
PORT ?= 8501
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint bench clean

run: $(VENV)/.runtime
	@echo "foam_viz: http://127.0.0.1:$(PORT)"
	$(BIN)/python -m streamlit run app.py --server.port $(PORT)

test: lint
	$(BIN)/python -m pytest -q

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("foam_viz needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.development: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) static .pytest_cache .ruff_cache .hypothesis
