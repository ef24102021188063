#!/usr/bin/env bash
# envs/install.sh PYTHON LOCK...: installs the packages in envs/LOCK.lock, then this one, into PYTHON's environment.
# A file whose hash is not in its lock is refused. torch and its CUDA packages are not locked, since their builds differ
# by platform: the last line lets pip choose them by the pin in pyproject.toml.
set -euo pipefail
python=$1
root=$(cd "$(dirname "$0")/.." && pwd)
# Wheels only, so that installing a package does not run its code; connection-pool has none, so the locked setuptools
# builds it.
install=("$python" -m pip install --quiet --no-build-isolation --only-binary :all: --no-binary connection-pool)
for lock in build "${@:2}"; do
    "${install[@]}" --require-hashes --no-deps --requirement "$root/envs/$lock.lock"
done
"${install[@]}" --editable "$root"
