#!/usr/bin/env bash
# The package itself, from this checkout, into the environment whose dependencies natural-sparsity.yaml installed.
set -euo pipefail
python -m pip install --no-deps "$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
