"""What is installed is locked: every file but those of torch and its CUDA packages, by version and hash."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# The lock of each list of pins in pyproject.toml.
PINS = {"run": PROJECT["project"]["dependencies"], **PROJECT["dependency-groups"]}
NOT_LOCKED = re.compile("torch|triton|nvidia-.*|cuda-.*")


def read_lock(name):
    """Each requirement of a lock, with its hashes."""
    text = (ROOT / f"envs/{name}.lock").read_text(encoding="utf-8")
    lines = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    found = [line.split(" --hash=") for line in lines if line]
    return {Requirement(first): {value.strip() for value in hashes} for first, *hashes in found}


LOCKS = {name: read_lock(name) for name in PINS}


def names(requirements):
    return {canonicalize_name(requirement.name) for requirement in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_version_and_hashes_of_each_package_and_no_address(name):
    text = (ROOT / f"envs/{name}.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--(?!hash=)\w|@", text)
    for requirement, hashes in LOCKS[name].items():
        assert re.fullmatch("==[0-9][0-9a-z.]*", str(requirement.specifier)), requirement
        assert hashes and all(re.fullmatch("sha256:[0-9a-f]{64}", value) for value in hashes), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_pins_of_pyproject(name):
    """After a change of a pin: make lock."""
    locked = {canonicalize_name(each.name): each.specifier for each in LOCKS[name]}
    for pin in map(Requirement, PINS[name]):
        assert pin.name == "torch" or locked[canonicalize_name(pin.name)] == pin.specifier, pin
    assert not list(filter(NOT_LOCKED.fullmatch, locked))


def test_build_requirements_are_locked():
    assert PROJECT["build-system"]["requires"] == PINS["build"]


def test_locks_agree():
    together = {}
    for lock in LOCKS.values():
        for requirement, hashes in lock.items():
            name, pinned = (requirement.name, str(requirement.marker)), (requirement.specifier, hashes)
            assert together.setdefault(name, pinned) == pinned


@pytest.mark.parametrize("name", ["run", "test"])
def test_the_locked_versions_are_installed(name):
    for requirement in LOCKS[name]:
        if not requirement.marker or requirement.marker.evaluate():
            assert version(requirement.name) in requirement.specifier, requirement
    (torch,) = (pin for pin in map(Requirement, PINS["run"]) if pin.name == "torch")
    assert version("torch") in torch.specifier


def test_every_dependency_is_locked():
    """envs/install.sh leaves torch, which has no hash, to a call of pip that would fetch anything missing."""
    locked = names(LOCKS["run"])
    waiting, seen = list(map(Requirement, PINS["run"])), set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        applies = not requirement.marker or requirement.marker.evaluate({"extra": ""})
        if applies and name not in seen and (name == "torch" or not NOT_LOCKED.fullmatch(name)):
            assert name == "torch" or name in locked
            seen.add(name)
            waiting += map(Requirement, distribution(name).requires or [])
    assert len(seen) > 80


def test_snakemake_recreates_the_conda_environment_when_a_lock_changes():
    """Snakemake compares the two files of the environment alone: make lock writes the checksum into one of them."""
    environment = yaml.safe_load((ROOT / "envs/natural-sparsity.yaml").read_text(encoding="utf-8"))
    assert environment["channels"][-1] == "nodefaults"
    assert all(re.fullmatch(r"(python|pip)=[0-9]+\.[0-9]+(\.[0-9]+)?", each) for each in environment["dependencies"])
    script = (ROOT / "envs/natural-sparsity.post-deploy.sh").read_text(encoding="utf-8")
    locks = b"".join((ROOT / f"envs/{name}.lock").read_bytes() for name in ("build", "run"))
    checksum = subprocess.run(["cksum"], input=locks, capture_output=True, check=True).stdout.decode().strip()
    assert f"\n# locks: {checksum}\n" in script


def make_wheel(folder):
    """A package of one empty module, as pip installs it."""
    path = folder / "locked_thing-1.0-py3-none-any.whl"
    about = "locked_thing-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("locked_thing.py", "")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: locked-thing\nVersion: 1.0\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return path


def test_a_file_with_another_hash_is_not_installed(tmp_path):
    envs = tmp_path / "envs"
    envs.mkdir()
    (envs / "install.sh").write_bytes((ROOT / "envs/install.sh").read_bytes())
    right = hashlib.sha256(make_wheel(tmp_path).read_bytes()).hexdigest()
    nowhere_else = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}

    def install(line):
        """Return whether the script installs a lock's package; it then fails, since there is no project to install."""
        (envs / "a.lock").write_text(f"{line}\n")
        (envs / "build.lock").write_text("")
        environment = os.environ | nowhere_else | {"PIP_TARGET": str(tmp_path / "installed")}
        command = ["bash", envs / "install.sh", sys.executable, "a"]
        assert subprocess.run(command, env=environment, capture_output=True).returncode
        return (tmp_path / "installed/locked_thing.py").exists()

    assert not install("locked-thing==1.0")
    assert not install(f"locked-thing==1.0 --hash=sha256:{'0' * 64}")
    assert install(f"locked-thing==1.0 --hash=sha256:{right}")


def make_install(folder, environments_python, python):
    """Run ``make install`` with scripts as ``.venv/bin/python`` and as PYTHON; nothing is installed."""
    write_script(folder / ".venv/bin/python", environments_python)
    write_script(folder / "python", python)
    write_script(folder / "envs/install.sh", "exit 0")
    for name in ["Makefile", "pyproject.toml", "envs/build.lock", "envs/run.lock"]:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return subprocess.run(["make", "install", "PYTHON=./python"], cwd=folder, capture_output=True, text=True)


def write_script(path, line):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


SUPPORTED, OLD = f'exec "{sys.executable}" "$@"', "exit 1"


def test_make_keeps_an_environment_whose_python_fits(tmp_path):
    done = make_install(tmp_path, SUPPORTED, OLD)
    assert not done.returncode, done.stderr
    assert SUPPORTED in (tmp_path / ".venv/bin/python").read_text()


def test_make_replaces_an_environment_whose_python_is_too_old(tmp_path):
    done = make_install(tmp_path, OLD, 'case "$*" in *venv*) echo "$*" > asked; mkdir -p .venv;; esac')
    assert not done.returncode, done.stderr
    assert (tmp_path / "asked").read_text() == "-m venv --clear .venv\n"


def test_make_leaves_an_environment_alone_if_it_cannot_replace_it(tmp_path):
    assert make_install(tmp_path, OLD, OLD).returncode
    assert OLD in (tmp_path / ".venv/bin/python").read_text()
