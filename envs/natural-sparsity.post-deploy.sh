#!/usr/bin/env bash
# Installs this checkout's package and its locked dependencies into the environment that natural-sparsity.yaml made.
# Snakemake runs a copy of this script from elsewhere; common.smk says where the checkout is. Snakemake recreates the
# environment when this script changes, so `make lock` updates the next line:
# locks: 992743645 227655
set -euo pipefail
"$NATURAL_SPARSITY_ROOT/envs/install.sh" python run
