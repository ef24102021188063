"""What rules need besides the experiment."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from natural_sparsity.config.rules import (
    Subject,
    check_profile,
    end_in_a_line,
    expect_parents,
    folders,
    give,
    name_checkpoints,
    name_files,
    options,
    refuse_in_a_line,
)
from natural_sparsity.errors import UserError


def test_inputs_are_options_of_their_names_and_checkpoints_are_folders():
    files = [f"runs/epoch{k}/{name}" for k in (1, 2) for name in ("parameters.safetensors", "state.json")]
    assert options({"from_": files[:2], "train": "a.npy"}) == "--from runs/epoch1 --train a.npy"
    assert options({"checkpoint": files, "teacher": []}) == "--checkpoint runs/epoch1 runs/epoch2"
    assert (
        options({"checkpoints": [files[1], files[3]]}) == "--checkpoints runs/epoch1/state.json runs/epoch2/state.json"
    )
    assert options({"source": ["a b.txt"]}) == "--source 'a b.txt'"
    assert options({"control_probes": ["a.parquet"]}) == "--control-probes a.parquet"
    assert options({}) == ""
    assert folders(files) == ["runs/epoch1", "runs/epoch2"]


def test_settings_are_options_that_a_shell_leaves_alone():
    assert give({"min_count": 0, "tokenised": True, "title": "it's {a} $b"}) == (
        "--min-count 0 --tokenised --title 'it'\"'\"'s {a} $b'"
    )
    assert give({"tokenised": False, "max_documents": None}) == ""


class Parents:
    """Stands for the experiment: the parents of one model, by role."""

    def parent(self, data, model, role):
        return {"start": {"model": "dense", "checkpoint": "init", "epoch": 0}}.get(role, {})


def test_the_parents_of_a_model_are_told_by_role():
    wildcards = {"data": "d", "model": "it's", "seed": "3"}
    option, parents = shlex.split(expect_parents(Parents(), wildcards, "start", "masks"))
    assert option == "--parents"
    assert json.loads(parents) == {"start": {"data": "d", "model": "dense", "seed": 3, "epoch": 0, "folded": False}}
    assert expect_parents(Parents(), wildcards, "teacher") == ""


def test_files_are_called_as_from_the_folder_if_they_are_in_it():
    files = [Path("/a/b/mine.yaml"), Path("/a/c.yaml")]
    assert name_files(files, "/a/b") == {"mine.yaml": files[0], "/a/c.yaml": files[1]}


def test_a_block_that_is_refused_ends_in_the_line_that_explains_it():
    with pytest.raises(SystemExit, match="^line 3: no$"), end_in_a_line("line 3: {}".format):
        raise UserError("no")


def test_a_profile_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "project/profiles/slurm").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    project = tmp_path / "project"
    for name in ("slurm", "none", str(tmp_path / "mine")):
        check_profile(["--cores", "1", "--workflow-profile", name], [tmp_path], project)
    check_profile(["--workflow-profile=mine"], [tmp_path], project)
    check_profile(["--cores", "1"], [tmp_path], project)
    with pytest.raises(UserError, match="^--workflow-profile: slrum does not exist, .*; use one of profiles/slurm$"):
        check_profile(["--workflow-profile", "slrum"], [tmp_path], project)


def test_what_the_experiment_refuses_ends_in_one_line():
    @refuse_in_a_line
    def paths(wildcards):
        if wildcards:
            raise UserError("no such run")
        return ["a"]

    assert paths({}) == ["a"]
    with pytest.raises(SystemExit, match="^configuration: no such run$"):
        paths({"model": "b"})


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["epoch3"], "epoch 3 of 8"),
        (["epoch12"], "epoch 12"),
        (["init"], "untrained"),
        (["init", "epoch1", "epoch2"], "untrained, epochs 1 to 2 of 8"),
        (["step1", "step2", "step16"], "steps 1 to 16 of epoch 1"),
        ([], ""),
    ],
)
def test_checkpoints_are_named_for_readers(names, text):
    assert name_checkpoints(names, 8) == text


class Length:
    """Stands for the experiment: one run, of a model whose name ends in a letter that Snakemake's formats use."""

    runs = [SimpleNamespace(data=SimpleNamespace(name="d"), model=SimpleNamespace(name="gru"), epochs=8)]


def test_a_message_says_what_its_job_is_about():
    """Formatted as Snakemake formats it."""
    snakemake_utils = pytest.importorskip("snakemake.utils")
    subject, message = Subject(Length()), "train: {subject:{wildcards},}"

    def written(message, **wildcards):
        about = ",".join(f"{name}={value}" for name, value in wildcards.items())
        return snakemake_utils.format(message, subject=subject, wildcards=about)

    assert written(message, data="d", epoch="3", model="gru", seed="1") == "train: epoch 3 of 8, d/gru, seed 1"
    assert written(message, data="d", model="gru") == "train: d/gru"
    assert written(message, data="other", epoch="3", model="gru") == "train: epoch 3, other/gru"
    several = "train: {subject:{wildcards},checkpoints=epoch1 epoch2,}"
    assert written(several, data="d", model="gru") == "train: epochs 1 to 2 of 8, d/gru"
    assert written("tag: {subject:{wildcards},}", data="d", shard="0-of-2") == "tag: d, shard 0-of-2"
    figure = "figure: {subject:{wildcards},}"
    assert written(figure, figure="fig2", measure="chi", probe="frozen") == "figure: fig2, frozen, chi"
