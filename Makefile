# `make demo` and `make test` are all that a fresh machine needs (python3 3.10-3.12, python3-venv, make, gcc).
PYTHON ?= python3
# Processes that run tests side by side.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
SERIES := $(shell $(PYTHON) -c 'import sys; print("py3%d" % sys.version_info[1])')
CONSTRAINTS := constraints/$(SERIES).txt
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: install demo test check unit test-gpu bench-scan bench-verdict bench-stage bench-engine bench-twin bench-focus-curves bench-witness bench-grades bench-stopping bench-focus bench-judge bench-host bench-overlap bench-pipeline bench-planes bench-install bench-services test-train train-afb train-afb-450 train-serous release clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@test -f $(CONSTRAINTS) || { echo "Python $(SERIES) is not supported: use 3.10, 3.11 or 3.12 (make PYTHON=python3.11 …)."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable '.[test,dev]'
	@touch $@

demo: install
	$(BIN)/cytoscan demo

test: $(VENV)/.installed-test
	tools/install-test-packages mosquitto chromium systemd-analyze
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory unit

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_structure.py tests/engines/tensorrt/test_real_api.py

unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q --numprocesses=$(WORKERS) --dist=loadscope tests

# What a machine with an NVIDIA GPU can prove; without one, that its kernels compile. Where a part is not to be had, the
# tests that need it are skipped and say so. A Jetson's TensorRT comes with JetPack.
GPU := $(wildcard /dev/nvidiactl /dev/nvmap)
GPU_PARTS := nvidia-cuda-nvrtc-cu12 $(if $(GPU),pycuda $(if $(filter x86_64,$(shell uname -m)),tensorrt-cu12))
test-gpu: $(VENV)/.installed-test
	@mkdir -p build/test-gpu
	@for part in $(GPU_PARTS); do \
		echo "installing $$part"; \
		$(PIP) install --quiet --constraint $(CONSTRAINTS) $$part >build/test-gpu/$$part.log 2>&1 || \
			echo "$$part cannot be installed here: see build/test-gpu/$$part.log"; \
	done
	$(BIN)/python -m pytest -v tests/gpu

bench-scan: install
	$(BIN)/cytoscan bench scan --slides 3 --fields 60 --seed 900 --json build/bench/scan.json

bench-verdict: install
	$(BIN)/cytoscan bench verdict --assay serous --slides 20 --seed 7000 --json build/bench/verdict-serous.json

bench-witness: install
	$(BIN)/cytoscan bench witness --slides 20 --json build/bench/witness.json

bench-grades: install
	$(BIN)/cytoscan bench grades --slides 200 --json build/bench/grades.json

bench-stopping: install
	$(BIN)/cytoscan bench stopping --slides 1000 --json build/bench/stopping.json

$(VENV)/.installed-bench: $(VENV)/.installed
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable '.[bench]'
	@touch $@

# Beside the methods that others ship; two of them are packages, which the extra brings. docs/focus.md says what came out.
NA ?= 0.50
FIELDS ?= 200
HARSH ?=
bench-focus: $(VENV)/.installed-bench
	$(BIN)/cytoscan bench focus --slides 1 --fields $(FIELDS) --seed 971 --na $(NA) $(HARSH) --curve build/bench/curve-$(NA)$(HARSH).npz --json build/bench/focus-$(NA)$(HARSH).json --plot build/bench/focus-$(NA)$(HARSH).svg

# Ways to judge one picture, side by side.
bench-judge: $(VENV)/.installed-test
	$(BIN)/python -m tests.appliance.scan.judge_candidates --na $(NA) --slides 3 --json build/bench/judge-$(NA).json

# The host's own share of a field, on one core.
bench-host: install
	OMP_NUM_THREADS=1 $(BIN)/cytoscan bench host --fields 100,1000,10000 --json build/bench/host.json

# How much of the network's time is hidden behind motion, on the cores of this machine.
bench-overlap: install
	$(BIN)/cytoscan bench overlap --curve build/bench/curve-0.50.npz --json build/bench/overlap.json

# Whether the host keeps up with a network on a GPU, which is not needed for it.
bench-pipeline: install
	$(BIN)/cytoscan bench pipeline --json build/bench/pipeline.json

# What a second plane through balls of cells costs and finds.
bench-planes: install
	$(BIN)/cytoscan bench planes --slides 4 --fields 30 --seed 7100 --malignant 0.1 --curve build/bench/curve-0.50.npz --json build/bench/planes.json

# The installation as far as it goes without a GPU, in a clean Debian root; needs root and debootstrap.
bench-install:
	tests/tools/install_in_clean_root

# The services under a running systemd, in a clean Debian root; needs root, debootstrap and systemd-nspawn.
bench-services: $(VENV)/.installed-test
	$(BIN)/python -m tests.tools.services_in_clean_root

bench-engine: install
	$(BIN)/cytoscan bench engine --json build/bench/engine.json

bench-stage: install
	$(BIN)/python -m drivers.stage.bench

bench-twin: install
	$(BIN)/python -m drivers.twin.imaging_bench

CURVES ?= ../shared/data/focus_curves

bench-focus-curves: $(VENV)/.installed-test
	$(BIN)/python -m tests.appliance.scan.real_curves $(CURVES) --json build/bench/focus-curves.json

$(VENV)/.installed-train: $(VENV)/.installed
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable '.[train]'
	@touch $@

CROPS ?= ../shared/data/zn_sputum_crops
TRAIN := $(BIN)/python -m engines.training

# A tiny network from data to findings, label-free training, and what measures a release; needs PyTorch.
test-train: $(VENV)/.installed-test $(VENV)/.installed-train
	$(BIN)/python -m pytest -q tests/engines/training

train-afb: $(VENV)/.installed-train
	$(TRAIN).afb --crops $(CROPS) --out build/train/afb-zn --fields 240 --steps 12000

train-afb-450: $(VENV)/.installed-train
	$(TRAIN).afb --crops $(CROPS) --out build/train/afb-zn-450 --magnification 450 --fields 240

train-serous: $(VENV)/.installed-train
	$(TRAIN).serous --out build/train/serous-cytology

# Measures a shipped package and writes its card, e.g. make release PACKAGE=afb-zn EXTRA='--crops DIR'
release: $(VENV)/.installed-train
	$(TRAIN).assess engines/zoo/$(PACKAGE) --fp32 build/train/$(PACKAGE)/float.onnx $(EXTRA)

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
