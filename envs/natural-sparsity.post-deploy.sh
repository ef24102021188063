#!/usr/bin/env bash
# The package, from this checkout, and all that it imports, as locked, into the environment that natural-sparsity.yaml made.
# Snakemake runs a copy of this script from elsewhere; common.smk says where the checkout is. It makes the environment
# anew when this script changes, and so when `make lock` changes the next line:
# locks: 992743645 227655
set -euo pipefail
"$NATURAL_SPARSITY_ROOT/envs/install.sh" python run
