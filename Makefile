# make demo   train, evaluate and draw on real images, from nothing, in one command
# make test   run the tests, in less than 15 minutes on two cores
# make test-slow   run the few that take half a minute or more
# make lint   check style and types
# make bench  run the benchmarks

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The lock was made with this Python; others take the newest versions that requirements.txt allows.
LOCK := $(shell $(PYTHON) -c "import sys; print('-c requirements.lock' if sys.version_info[:2] == (3, 11) else '')")

.PHONY: demo test test-slow lint bench clean

$(READY): requirements.txt requirements-dev.txt requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(LOCK) -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --no-deps -e .
	touch $(READY)

# make demo ENCODER=internvit_300m_448px_v2_5   probe released weights (from the hub, or a path) instead
# make demo DATA=path/to/folder                 use your own images/{train,test} and annotations/{train,test}
demo: $(READY)
	$(BIN)/python tools/demo.py $(if $(ENCODER),--encoder $(ENCODER)) $(if $(DATA),--data-root $(DATA))

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow'

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/model_zoo.py --check

bench: $(READY)
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/metric.py
	$(BIN)/python benchmarks/preflight.py
	$(BIN)/python benchmarks/probing.py
	$(BIN)/python benchmarks/quantization.py

clean:
	rm -rf $(VENV) work_dirs
