# make run: the default experiment. make test: the tests. Each installs what it needs into .venv first.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: run report docs check test test-slow test-faults test-gpu test-slurm golden lint unit format bench install install-test lock

run: install
	$(BIN)/snakemake --cores $(CORES)

# Every figure, table and caption in one file, results/report.html.
report: run
	$(BIN)/snakemake --cores 1 --report results/report.html

# The documentation site, results/docs/index.html. A warning is an error.
docs: install-test
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs results/docs

# Before each commit: under a minute on two cores, three the first time.
check: lint unit

lint: install-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# xdist gives whole files to CORES processes. For one process, call .venv/bin/python -m pytest yourself.
unit: install-test
	$(PYTEST) -m unit --quiet --numprocesses $(CORES) --dist loadfile

# What a newcomer runs: about a quarter of an hour on two cores.
test: install-test
	$(PYTEST) -m "not slow" --numprocesses $(CORES) --dist loadfile

# What takes minutes: whole experiments, runs that are killed, long series. .ci/run runs them after make test.
test-slow: install-test
	$(PYTEST) -m slow --numprocesses $(CORES) --dist loadfile

# Jobs killed at many moments, disks that fill, power cuts, inputs of great size; part of test-slow.
test-faults: install-test
	$(PYTEST) tests/workflow/test_faults.py tests/workflow/test_kills.py tests/workflow/test_power_cuts.py tests/test_size.py \
		--numprocesses $(CORES) --dist loadfile

test-gpu: install-test
	$(PYTEST) -m gpu -s

# Ten to twenty minutes. As root on Debian 12: installs SLURM, starts it on 127.0.0.1 and takes it down again.
# .venv-slurm adds the plugin to what .venv has; pyproject.toml says why it is separate.
test-slurm: .venv-slurm/installed
	tests/slurm/cluster.sh install
	.venv-slurm/bin/python -m pytest tests/slurm

.venv-slurm/installed: .venv/test-installed envs/slurm.lock
	$(BIN)/python -m venv .venv-slurm
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-slurm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	envs/install.sh .venv-slurm/bin/python slurm
	touch $@

# Does this commit compute what BASE computed? Runs the same experiments with both and compares every field; an hour.
BASE ?= HEAD~1
golden: install-test
	rm -rf results/golden && mkdir -p results/golden
	git worktree prune && git worktree add --detach results/golden/base $(BASE)
	$(MAKE) -C results/golden/base install
	$(BIN)/python tests/golden/manifest.py record --project results/golden/base --folder results/golden/runs-before --output results/golden/before.json
	$(BIN)/python tests/golden/manifest.py record --project . --folder results/golden/runs-after --output results/golden/after.json
	$(BIN)/python tests/golden/manifest.py compare results/golden/before.json results/golden/after.json

# Fixes what lint finds, where a tool can.
format: install-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

# What a run needs; `install-test` adds what tests and lint need.
install: .venv/installed

.venv/installed: pyproject.toml envs/build.lock envs/run.lock
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "natural-sparsity needs Python 3.11, 3.12 or 3.13; make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	envs/install.sh $(BIN)/python run
	touch $@

install-test: .venv/test-installed

.venv/test-installed: .venv/installed envs/test.lock
	envs/install.sh $(BIN)/python test
	touch $@

# Run after changing a pin in pyproject.toml; needs uv (pip install uv). Other versions stay if they still fit.
UV ?= uv
lock:
	$(UV) pip compile --quiet --group build --output-file envs/build.lock
	$(UV) pip compile --quiet pyproject.toml --constraint envs/build.lock --output-file envs/run.lock
	$(UV) pip compile --quiet --group test --constraint envs/run.lock --output-file envs/test.lock
	$(UV) pip compile --quiet --group slurm --constraint envs/run.lock --output-file envs/slurm.lock
	sed "s/^# locks: .*/# locks: $$(cat envs/build.lock envs/run.lock | cksum)/" envs/natural-sparsity.post-deploy.sh > envs/new
	mv envs/new envs/natural-sparsity.post-deploy.sh

# Each measures this code and a reference in turn, in one process, and writes results/benchmarks/NAME.json. A table of
# all comes at the end. For some alone: .venv/bin/python benchmarks/run.py --only text peer
bench: install-test
	$(BIN)/python benchmarks/run.py
