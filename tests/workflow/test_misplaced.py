"""Misplaced files are refused by name, and nothing is written."""

import re
import shutil

import pytest
from harness import Workflow

RUN = "results/runs/tiny/small"
pytestmark = pytest.mark.slow

# Snakemake must not rebuild the misplaced files: the commands must detect them.
AS_THEY_ARE = ("--rerun-triggers", "mtime")


def copy_over(source, target):
    """Copy a file or folder over another, with its modification time."""
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def three(finished, tmp_path_factory) -> Workflow:
    """The tiny run with a third epoch and a second model, which differs by its learning rate; not to be changed."""
    folder = tmp_path_factory.mktemp("three") / "copy"
    shutil.copytree(finished.folder, folder)
    workflow = Workflow(folder)
    workflow.run("figures", changes=CHANGES)
    return workflow


@pytest.fixture
def moved(three, tmp_path) -> Workflow:
    folder = tmp_path / "copy"
    shutil.copytree(three.folder, folder)
    return Workflow(folder)


BLOCKS = {"architecture": {"embedding": 8, "hidden": [8, 8], "dropout": 0.2}, "training": {"batch": 10}}
CHANGES = {
    "models": {"other": {**BLOCKS, "training": {"batch": 10, "learning_rate": 2}}},
    "runs": [{"data": "tiny", "model": model, "seeds": [1], "epochs": 3} for model in ("small", "other")],
}
EPOCH = RUN + "/seed1/epoch{}"
OTHERS = EPOCH.replace("small", "other")
OF_SEED = "results/experiments/tiny/tiny/{}/seed1/frozen"


@pytest.mark.parametrize(
    ("source", "place", "rule", "target", "said"),
    [
        pytest.param(
            EPOCH.format(3),
            EPOCH.format(2),
            "train",
            EPOCH.format(3) + "/state.json",
            r"epoch2: its epoch is 3, expected 2; put it back if it was moved or renamed",
            id="a later checkpoint trains on",
        ),
        pytest.param(
            OTHERS.format(2),
            EPOCH.format(2),
            "train",
            EPOCH.format(3) + "/state.json",
            r"epoch2: its model is 'other', expected 'small'",
            id="another model's checkpoint trains on",
        ),
        pytest.param(
            OTHERS.format(2),
            EPOCH.format(2),
            "probe",
            EPOCH.format(2) + "/frozen.parquet",
            r"epoch2: its model is 'other', expected 'small'",
            id="another model's checkpoint is probed",
        ),
        *(
            pytest.param(
                OTHERS.format(2) + "/frozen.parquet",
                EPOCH.format(2) + "/frozen.parquet",
                rule,
                target,
                r"epoch2/frozen\.parquet: model is 'other', but in .*init/frozen\.parquet it is 'small'",
                id=f"one probe of another model, {rule}",
            )
            for rule, target in (
                ("correlate", OF_SEED.format("small") + "/correlations.parquet"),
                ("tabulate_claims", OF_SEED.format("small") + "/claims.parquet"),
                ("acquire", OF_SEED.format("small") + "/acquisition.parquet"),
                ("pack", "results/experiments/tiny/explorer/data/tiny/small/seed1/frozen"),
            )
        ),
        pytest.param(
            OF_SEED.format("other") + "/claims.parquet",
            OF_SEED.format("small") + "/claims.parquet",
            "tabulate_comparison",
            "results/experiments/tiny/comparison.parquet",
            r"claims\.parquet: its model is 'other', expected 'small'",
            id="another model's claims are compared",
        ),
        pytest.param(
            "results/data/tiny/tokens/dev.npy",
            "results/data/tiny/tokens/train.npy",
            "train",
            EPOCH.format(3) + "/state.json",
            r"train\.npy: its split is 'dev', expected 'train'",
            id="another split's tokens",
        ),
    ],
)
def test_a_misplaced_file_is_refused(moved, source, place, rule, target, said):
    copy_over(moved.folder / source, moved.folder / place)
    log = refuse(moved, rule, target)
    assert re.search(said, log), log[-3000:]


def refuse(workflow, rule, target) -> str:
    """Run one rule, which must fail in one line and write nothing; return Snakemake's output."""
    path = workflow.folder / target
    if path.name == "state.json":
        shutil.rmtree(path.parent)
    elif path.exists():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = written(workflow)
    process = workflow.snakemake(target, *AS_THEY_ARE, "--allowed-rules", rule, changes=CHANGES)
    assert process.returncode != 0, process.stderr[-3000:]
    assert "Traceback" not in process.stderr
    assert {path for path in written(workflow).items() if path not in before.items()} == set()
    return process.stderr


def written(workflow):
    """Return the modification time of each result."""
    paths = [path for path in (workflow.folder / "results").rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in paths if path.suffix not in (".log", ".tsv")}


def test_all_probes_and_checkpoints_of_another_model_are_refused(moved):
    """As `mv results/runs/tiny/other results/runs/tiny/small` leaves them: they agree with each other."""
    copy_over(moved.folder / "results/runs/tiny/other", moved.folder / RUN)
    for rule, target in (
        ("correlate", OF_SEED.format("small") + "/correlations.parquet"),
        ("pack", "results/experiments/tiny/explorer/data/tiny/small/seed1/frozen"),
        ("evaluate", EPOCH.format(3) + "/evaluation.json"),
    ):
        assert "its model is 'other', expected 'small'" in refuse(moved, rule, target)
