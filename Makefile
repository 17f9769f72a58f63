# `make demo` and `make test` are all a newcomer types; every target makes its own .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCHES := $(filter-out %_vllm %_scaling %_lmms %_mergekit %_fresh,$(patsubst jobs/benchmarks/%.py,%,$(wildcard jobs/benchmarks/bench_*.py)))
VLLM := .venv-vllm
VLLM_STAMP := $(VLLM)/.installed
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
LMMS := .venv-lmms
LMMS_STAMP := $(LMMS)/.installed
MERGEKIT := .venv-mergekit
MERGEKIT_STAMP := $(MERGEKIT)/.installed
export OMP_NUM_THREADS := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: setup setup-vllm demo test test-chaos test-vllm test-gpu test-browser test-slow test-peers test-mergekit soak bench bench-vllm bench-lmms bench-merge lint format clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip==26.3'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

setup-vllm: $(VLLM_STAMP)

$(VLLM_STAMP): pyproject.toml constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --upgrade 'pip==26.3'
	$(VLLM)/bin/python -m pip install --quiet --no-deps --requirement constraints-vllm.txt
	$(VLLM)/bin/python -m pip install --quiet --no-deps --editable .
	$(VLLM)/bin/python tests/vllm/torchvision_shim/install.py
	touch $(VLLM_STAMP)

demo: setup
	$(BIN)/lens-ray run jobs/quickstart.yaml --store lens-store
	$(BIN)/lens-ray report --store lens-store --out lens-report.html

test: setup
	$(BIN)/python -m pytest -q

test-chaos: setup
	$(BIN)/python -m pytest -q -m chaos tests/chaos tests/cluster

test-vllm: setup setup-vllm
	$(VLLM)/bin/python -m pytest -q -m vllm tests/vllm
	LENS_RAY_VLLM_PYTHON=$(CURDIR)/$(VLLM)/bin/python $(BIN)/python -m pytest -q -m vllm tests/sweep

test-gpu: setup
	$(BIN)/python -m pytest -q -m gpu tests/gpu

test-browser: setup
	command -v chromium >/dev/null || (apt-get update -q && apt-get install -y -q --no-install-recommends chromium)
	$(BIN)/python -m pytest -q -m browser tests/browser

test-slow: setup
	$(BIN)/python -m pytest -q -m slow --timeout 1800 -n 2 tests

# Marks and prompts against lmms-eval and VLMEvalKit, in an environment of their own; lmms-eval 0.3.0,
# from whose time the reference is, lies beside the present release.
test-peers: setup $(PEERS_STAMP)
	$(BIN)/python -m pytest -q -m peers -rP tests/peers

$(PEERS_STAMP): tests/peers/requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade 'pip==26.3'
	$(PEERS)/bin/python -m pip install --quiet --no-deps --requirement tests/peers/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps --target $(PEERS)/reference --upgrade lmms_eval==0.3.0
	touch $(PEERS_STAMP)

# The methods against mergekit's, in an environment of its own.
test-mergekit: setup $(MERGEKIT_STAMP)
	$(BIN)/python -m pytest -q -m peers -rP tests/merging/mergekit

$(MERGEKIT_STAMP): constraints.txt jobs/benchmarks/mergekit-requirements.txt
	test -x $(MERGEKIT)/bin/python || $(PYTHON) -m venv $(MERGEKIT)
	$(MERGEKIT)/bin/python -m pip install --quiet --upgrade 'pip==26.3'
	$(MERGEKIT)/bin/python -m pip install --quiet --constraint constraints.txt --requirement jobs/benchmarks/mergekit-requirements.txt
	touch $(MERGEKIT_STAMP)

soak: setup
	$(BIN)/python -m tests.chaos.soak --faults 300

bench: setup
	mkdir -p bench-out
	for f in $(BENCHES); do $(BIN)/python -m jobs.benchmarks.$$f --out bench-out/$$f.json || exit 1; done

bench-vllm: setup setup-vllm
	mkdir -p bench-out
	$(VLLM)/bin/python -m jobs.benchmarks.bench_vllm --out bench-out/bench_vllm.json

# lmms-eval in an environment of its own; some minutes, and no part of CI.
bench-lmms: setup-vllm $(LMMS_STAMP)
	mkdir -p bench-out
	$(VLLM)/bin/python -m jobs.benchmarks.bench_sweep_lmms --lmms-python $(LMMS)/bin/python --out bench-out/bench_sweep_lmms.json

# Speed, memory and the families that survive, against mergekit; a quarter of an hour, 10 GB of disk.
bench-merge: setup $(MERGEKIT_STAMP)
	mkdir -p bench-out
	$(BIN)/python -m jobs.benchmarks.bench_merge_mergekit --mergekit-python $(MERGEKIT)/bin/python --out bench-out/bench_merge_mergekit.json --markdown bench-out/bench_merge_mergekit.md

$(LMMS_STAMP): pyproject.toml constraints-vllm.txt jobs/benchmarks/lmms-requirements.txt
	test -x $(LMMS)/bin/python || $(PYTHON) -m venv $(LMMS)
	$(LMMS)/bin/python -m pip install --quiet --upgrade 'pip==26.3'
	$(LMMS)/bin/python -m pip install --quiet --no-deps --requirement constraints-vllm.txt
	$(LMMS)/bin/python -m pip install --quiet --no-deps --requirement jobs/benchmarks/lmms-requirements.txt
	$(LMMS)/bin/python -m pip install --quiet --no-deps --editable .
	$(LMMS)/bin/python tests/vllm/torchvision_shim/install.py
	touch $(LMMS_STAMP)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(VLLM) $(LMMS) $(PEERS) $(MERGEKIT) build dist bench-out .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
