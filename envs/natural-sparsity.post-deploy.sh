#!/usr/bin/env bash
# The package itself, from this checkout, into the environment whose dependencies natural-sparsity.yaml installed.
# Snakemake runs a copy of this script from elsewhere; common.smk says where the checkout is.
set -euo pipefail
python -m pip install --no-deps --editable "$NATURAL_SPARSITY_ROOT"
