#!/usr/bin/env bash
# envs/install.sh PYTHON LOCK...: installs what the locks beside this file list, then the package itself, into the
# environment of PYTHON. What has another hash than its lock says is refused. Left for the last line are torch and its
# CUDA packages, whose builds differ by platform: pip chooses them by the pin in pyproject.toml.
set -euo pipefail
python=$1
root=$(cd "$(dirname "$0")/.." && pwd)
# Built packages only, so that no package's own code runs while it is installed; connection-pool has a source alone, which
# the locked setuptools builds.
install=("$python" -m pip install --quiet --no-build-isolation --only-binary :all: --no-binary connection-pool)
for lock in build "${@:2}"; do
    "${install[@]}" --require-hashes --no-deps --requirement "$root/envs/$lock.lock"
done
"${install[@]}" --editable "$root"
