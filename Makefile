# make run: the whole experiment on the embedded sample. make test: the tests. All install what they need.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin

.PHONY: run report test test-faults test-slurm golden lint bench install

run: install
	$(BIN)/snakemake --cores $(CORES)

# All of it as one file to look at and to send: results/report.html.
report: run
	$(BIN)/snakemake --cores 1 --report results/report.html

# A file of tests at a time goes to each of CORES processes; by hand, .venv/bin/python -m pytest runs them in one.
test: install
	$(BIN)/python -m pytest -m "not faults" --numprocesses $(CORES) --dist loadfile

# Whole runs, killed at many moments and on a disk that is too small: some ten minutes, therefore not in .ci/run.
test-faults: install
	$(BIN)/python -m pytest -m faults

# On a real SLURM, which is installed (Debian 12, as root), started on 127.0.0.1 and taken down again. Ten to twenty minutes,
# therefore not in .ci/run. In an environment of its own on top of .venv: see pyproject.toml.
test-slurm: .venv-slurm/installed
	tests/slurm/cluster.sh install
	.venv-slurm/bin/python -m pytest tests/slurm

.venv-slurm/installed: .venv/installed
	$(BIN)/python -m venv .venv-slurm
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-slurm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	.venv-slurm/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[slurm]'
	touch $@

# Whether this commit computes what BASE does: the same experiments with both, compared field by field; an hour.
BASE ?= HEAD~1
golden: install
	rm -rf results/golden && mkdir -p results/golden
	git worktree prune && git worktree add --detach results/golden/base $(BASE)
	$(MAKE) -C results/golden/base install
	$(BIN)/python tests/golden/manifest.py record --project results/golden/base --output results/golden/before.json
	$(BIN)/python tests/golden/manifest.py record --project . --output results/golden/after.json
	$(BIN)/python tests/golden/manifest.py compare results/golden/before.json results/golden/after.json

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "natural-sparsity needs Python 3.11 or later; make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

# Each against a reference or the machine's limit, in turn in one process; results/benchmarks/NAME.json.
bench: install
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/probe.py
	$(BIN)/python benchmarks/probe.py --vocabulary 4000
	$(BIN)/python benchmarks/measures.py
	$(BIN)/python benchmarks/measures.py --vocabulary 4000
	$(BIN)/python benchmarks/passes.py
	$(BIN)/python benchmarks/folding.py
	$(BIN)/python benchmarks/text.py
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/snakemake --cores $(CORES)
	$(BIN)/python benchmarks/overhead.py
