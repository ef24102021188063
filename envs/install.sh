#!/usr/bin/env bash
# envs/install.sh PYTHON LOCK...: installs the packages in envs/LOCK.lock, then this one, into PYTHON's environment.
# A file whose hash is not in its lock is refused. torch and its CUDA packages are not locked, since their builds differ
# by platform: the last line lets pip choose them by the pin in pyproject.toml.
set -euo pipefail
python=$1
root=$(cd "$(dirname "$0")/.." && pwd)
# pip is quiet while it downloads, so this says what it does. The sizes are those of docs/downloads.md.
announce() {
    case $1 in build) size="1 MB" ;; run) size="287 MB" ;; test) size="110 MB" ;; onnx) size="36 MB" ;; *) size="under 1 MB" ;; esac
    echo "Installing envs/$1.lock (packages: $(grep -cE '^[a-zA-Z0-9].*==' "$root/envs/$1.lock")), $size to download ..." >&2
}
# Wheels only, so that installing a package does not run its code; connection-pool has none, so the locked setuptools
# builds it.
install=("$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore
    --no-build-isolation --only-binary :all: --no-binary connection-pool)
for lock in build "${@:2}"; do
    announce "$lock"
    "${install[@]}" --require-hashes --no-deps --requirement "$root/envs/$lock.lock"
done
if ! "$python" -m pip show --quiet torch 2> /dev/null; then
    echo "Installing torch, 183 MB to download for the CPU, gigabytes if pip finds a build with CUDA ..." >&2
fi
"${install[@]}" --editable "$root"
