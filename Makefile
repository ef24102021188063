# `make help` lists the targets. Each installs what it needs into .venv first.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: run help report experiments docs check test test-slow test-faults test-gpu test-slurm test-pythons golden lint unit format bench install install-test lock

run: install  ## the default experiment: from a text to every figure, on CORES=2
	@$(BIN)/snakemake --cores $(CORES)

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@if [ -x $(BIN)/snakemake ]; then \
		echo && echo "Parts of an experiment, with .venv active: snakemake --cores $(CORES) TARGET [--configfile FILE]" && \
		$(BIN)/snakemake --list-target-rules 2> /dev/null | awk -F ' [(]' '{ sub(/[)]$$/, ""); printf "  %-14s %s\n", $$1, $$2 }'; \
	else echo "After make install, this also lists the parts of an experiment."; fi

report: run  ## the run, then all figures, tables and captions in one file, results/report.html
	$(BIN)/snakemake --cores 1 --report results/report.html

experiments: install  ## all experiments side by side, and the runs that none of them uses
	$(BIN)/natural-sparsity experiments results --page results/experiments/index.html

docs: install-test  ## the documentation site, results/docs/index.html; a warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs results/docs

check: lint unit  ## before each commit: lint, types, unit tests; under a minute on two cores, three the first time

lint: install-test .venv/typescript/installed  ## formatters, linters, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/oxlint --deny-warnings src/natural_sparsity/explorer
	@if [ -x $(TSC) ]; then echo $(TSC) --project src/natural_sparsity/explorer/jsconfig.json; $(TSC) --project src/natural_sparsity/explorer/jsconfig.json; \
	else echo "Types in the explorer's JavaScript were not checked: TypeScript is not installed. It needs npm and a network."; fi

# TypeScript is an npm package. Who has no npm, or no network, lints without it; make lint says so.
TSC := .venv/typescript/node_modules/.bin/tsc
.venv/typescript/installed: envs/typescript/package-lock.json
	@mkdir -p $(@D) && cp envs/typescript/package*.json $(@D)
	@if command -v npm > /dev/null; then npm ci --prefix $(@D) --no-audit --no-fund --loglevel error && touch $@ || true; fi

# xdist gives whole files to CORES processes, in the order of tests/conftest.py. For one process, call
# .venv/bin/python -m pytest yourself.
PARALLEL := --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

unit: install-test  ## the unit tests
	$(PYTEST) -m unit --quiet $(PARALLEL)

test: install-test  ## what a newcomer runs: about twenty minutes on two cores
	$(PYTEST) -m "not slow" $(PARALLEL)

# What takes minutes: whole experiments, runs that are killed, long series. .ci/run runs them after make test.
test-slow: install-test  ## the tests that take minutes
	$(PYTEST) -m slow $(PARALLEL)

# Jobs killed at many moments, disks that fill, power cuts, inputs of great size; part of test-slow.
test-faults: install-test  ## killed jobs, full disks, power cuts
	$(PYTEST) tests/workflow/test_faults.py tests/workflow/test_kills.py tests/workflow/test_power_cuts.py tests/test_size.py $(PARALLEL)

# On the oldest and the newest Python that pyproject.toml allows, each in a clone of the last commit. One that is missing is skipped.
test-pythons:  ## the unit tests on the oldest and the newest Python
	@for python in python3.11 python3.13; do \
		if ! $$python --version > /dev/null 2>&1; then echo "$$python is not installed: skipped"; continue; fi; \
		rm -rf results/pythons/$$python && git clone --quiet . results/pythons/$$python && \
		$(MAKE) -C results/pythons/$$python unit PYTHON=$$python || exit 1; \
	done

test-gpu: install-test  ## what needs CUDA
	$(PYTEST) -m gpu -s

# Ten to twenty minutes. As root on Debian 12: installs SLURM, starts it on 127.0.0.1 and takes it down again.
# .venv-slurm adds the plugin to what .venv has; pyproject.toml says why it is separate.
test-slurm: .venv-slurm/installed  ## a real SLURM on this machine
	tests/slurm/cluster.sh install
	.venv-slurm/bin/python -m pytest tests/slurm

.venv-slurm/installed: .venv/test-installed envs/slurm.lock
	$(BIN)/python -m venv .venv-slurm
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-slurm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	envs/install.sh .venv-slurm/bin/python slurm
	touch $@

# Does this commit compute what BASE computed? Runs the same experiments with both and compares every field; an hour.
BASE ?= HEAD~1
golden: install-test  ## whether this commit computes what BASE computed
	rm -rf results/golden && mkdir -p results/golden
	git worktree prune && git worktree add --detach results/golden/base $(BASE)
	$(MAKE) -C results/golden/base install
	$(BIN)/python tests/golden/manifest.py record --project results/golden/base --folder results/golden/runs-before --output results/golden/before.json
	$(BIN)/python tests/golden/manifest.py record --project . --folder results/golden/runs-after --output results/golden/after.json
	$(BIN)/python tests/golden/manifest.py compare results/golden/before.json results/golden/after.json

format: install-test  ## fix what lint finds, where a tool can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

install: .venv/installed  ## what a run needs, into .venv

# An environment that is there and fits stays, with its Python: you may have made it with uv.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "natural-sparsity needs Python 3.11, 3.12 or 3.13; make PYTHON=python3.11")
.venv/installed: pyproject.toml envs/build.lock envs/run.lock
	@if ! { $(BIN)/python -c '$(SUPPORTED)' && $(BIN)/python -m pip --version; } > /dev/null 2>&1; then \
		$(PYTHON) -c '$(SUPPORTED)' && $(PYTHON) -m venv --clear .venv; fi
	@envs/install.sh $(BIN)/python run
	@touch $@

install-test: .venv/test-installed  ## what tests and lint need

.venv/test-installed: .venv/installed envs/test.lock
	@envs/install.sh $(BIN)/python test
	@touch $@

# Run after changing a pin in pyproject.toml; needs uv (pip install uv). Other versions stay if they still fit.
UV ?= uv
lock:  ## the locks in envs/, after a pin was changed
	$(UV) pip compile --quiet --group build --output-file envs/build.lock
	$(UV) pip compile --quiet pyproject.toml --constraint envs/build.lock --output-file envs/run.lock
	$(UV) pip compile --quiet --group test --constraint envs/run.lock --output-file envs/test.lock
	$(UV) pip compile --quiet --group onnx --constraint envs/run.lock --output-file envs/onnx.lock
	$(UV) pip compile --quiet --group slurm --constraint envs/run.lock --output-file envs/slurm.lock
	sed "s/^# locks: .*/# locks: $$(cat envs/build.lock envs/run.lock | cksum)/" envs/natural-sparsity.post-deploy.sh > envs/new
	mv envs/new envs/natural-sparsity.post-deploy.sh

# Each measures this code and a reference in turn, in one process, and writes results/benchmarks/NAME.json. A table of
# all comes at the end. For some alone: .venv/bin/python benchmarks/run.py --only text peer
bench: install-test  ## speed and memory beside references
	$(BIN)/python benchmarks/run.py
