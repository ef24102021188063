"""Levels of pruning as nodes of the graph."""

import json
import re

import pandas as pd
import pytest
import torch

import natural_sparsity
from natural_sparsity.model import checkpoint

IMP = {"method": "iterative", "of": "small", "levels": 2, "fraction": 0.5}
SHOWN = {"tabulate_lottery": 1, "draw_lottery": 1}


def changes(seeds=(1,), epochs=2, **sparsify):
    runs = [{"data": "tiny", "model": model, "seeds": list(seeds), "epochs": epochs} for model in ("small", "imp")]
    return {"models": {"imp": {"sparsify": {**IMP, **sparsify}}}, "runs": runs}


def test_every_level_and_control_is_trained_epoch_by_epoch(finished):
    planned = finished.planned("lottery", changes=changes(controls=["random_mask", "random_init"]))
    assert planned == {"sparsify": 6, "train": 12, "evaluate": 7, **SHOWN}


def test_the_footprint_table_needs_no_controls(finished):
    planned = finished.planned("footprint", changes=changes(controls=["random_mask"]))
    assert planned == {"sparsify": 2, "train": 4, "measure_footprint": 3, "tabulate_footprint": 1}


def test_models_are_exported_and_load(copied):
    assert copied.planned("exports", changes=changes()) == {"sparsify": 2, "train": 4, "export": 3}
    copied.run("exports")
    folder = copied.folder / "results/runs/tiny/small/seed1/epoch2/export"
    model, words = natural_sparsity.load(folder), (folder / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    assert model.about["epoch"] == 2 and len(words) == model.interface.vocabulary
    assert copied.planned("exports") == {}


def test_rewinding_trains_only_the_epochs_after_it(finished):
    planned = finished.planned("lottery", changes=changes(rewind=1))
    assert planned == {"sparsify": 2, "train": 2, "evaluate": 3, **SHOWN}


def test_rewinding_to_a_step_trains_the_first_epoch_of_the_dense_model_again(finished):
    """Once, whatever the number of levels; and what training starts from is not probed as untrained."""
    given = changes(rewind="step4", controls=["random_mask"])
    planned = finished.planned("lottery", changes=given)
    assert planned == {"rewind": 1, "sparsify": 4, "train": 8, "evaluate": 5, **SHOWN}
    untrained = [f"results/runs/tiny/imp-level1/seed1/{name}/frozen.parquet" for name in ("init", "epoch1")]
    probed = finished.snakemake("--dry-run", changes=given).stdout
    assert [path in probed for path in untrained] == [False, True]


def with_twin(given):
    """The changes with a twin of the dense model from step 4 on."""
    given["models"]["twin"] = {"sparsify": {"method": "twin", "of": "small", "rewind": "step4"}}
    given["runs"].append({"data": "tiny", "model": "twin", "seeds": [1], "epochs": 2})
    return given


def test_a_twin_is_made_for_its_own_table_alone(finished):
    given = with_twin(changes(levels=1))
    stability = {"draw_stability": 1, "tabulate_stability": 1}
    planned = finished.planned("stability", changes=given)
    assert planned == {"rewind": 1, "sparsify": 1, "train": 2, "interpolate": 1, **stability}
    footprint = finished.planned("footprint", changes=given)
    assert (footprint["train"], footprint["measure_footprint"]) == (2, 2), "the ticket's"
    assert finished.planned(changes=given)["draw_stability"] == 1


@pytest.mark.slow
def test_a_ticket_of_a_step_that_keeps_everything_ends_as_the_dense_model_and_a_twin_does_not(copied):
    """Real jobs: a density of 1 to within a weight, so that only the smallest weights of all can differ."""
    given = with_twin(changes(rewind="step4", levels=1, fraction=1e-9))
    path = "results/runs/tiny/{}/seed1/epoch2"
    copied.run("lottery", "stability", path.format("imp-level1") + "/state.json", changes=given)
    models = [
        checkpoint.load(copied.folder / path.format(name), torch.device("cpu")) for name in ("small", "imp-level1")
    ]
    (dense, of_dense), (ticket, state) = models
    assert (state["epoch"], state["steps"]) == (of_dense["epoch"], of_dense["steps"])
    assert all(torch.equal(ticket.get_parameter(name), value) for name, value in dense.named_parameters())
    table = pd.read_csv(copied.folder / "results/experiments/tiny/tiny/small/lottery.csv", keep_default_na=False)
    assert table["loss"].nunique() == 1 and table["shared_schedule"].all()
    twin, of_twin = checkpoint.load(copied.folder / path.format("twin"), torch.device("cpu"))
    assert of_twin["steps"] == of_dense["steps"]
    assert not torch.equal(twin.output.weight, dense.output.weight)
    [row] = pd.read_csv(copied.folder / "results/experiments/tiny/tiny/small/stability.csv").to_dict("records")
    assert (row["rewind"], row["stable"], row["shared_schedule"]) == ("step4", "not testable: one seed", True)
    assert (row["loss_original"], row["loss_twin"]) == (of_dense["dev_loss"], of_twin["dev_loss"])
    assert row["barrier"] >= abs(row["loss_original"] - row["loss_twin"]) / 2
    assert (copied.folder / "results/experiments/tiny/tiny/small/figures/stability.png").exists()
    assert copied.planned("lottery", "stability", changes=given) == {}


def test_levels_are_probed_and_drawn_by_the_rules_that_there_are(finished):
    planned = finished.planned(changes=changes())
    assert (planned["train"], planned["probe"], planned["correlate"], planned["draw_fig2"]) == (4, 6, 2, 2)
    # Trained on this machine's CPU, they are measured there too; where a GPU trains, only when asked for.
    assert planned["measure_footprint"] == 3
    assert "measure_footprint" not in finished.planned(changes={**changes(), "device": "cuda"})


def test_epochs_of_a_level_can_share_a_job(fresh):
    planned = fresh.planned("lottery", changes={**changes(epochs=5, rewind=2), "epochs_per_job": {"train": 2}})
    trained = {name: count for name, count in planned.items() if name.startswith("train_")}
    assert trained == {f"train_tiny_small_{first}_to_{min(first + 1, 5)}": 1 for first in (1, 3, 5)} | {
        f"train_tiny_imp_level{level}_{span}": 1 for level in (1, 2) for span in ("3_to_4", "5_to_5")
    }


def test_a_student_is_trained_after_the_last_epoch_of_its_teacher(fresh):
    student = {"architecture": {"embedding": 4, "hidden": [4, 4]}, "sparsify": {"method": "distil", "of": "small"}}
    runs = [{"data": "tiny", "model": model, "epochs": epochs} for model, epochs in (("small", 3), ("student", 2))]
    options = {"changes": {"models": {"student": student}, "runs": runs}}
    planned = fresh.planned("results/runs/tiny/student/seed1/epoch2/state.json", **options)
    assert {rule: planned[rule] for rule in ("initialise", "train")} == {"initialise": 2, "train": 5}
    assert "sparsify" not in planned


def test_each_command_is_told_its_parents(fresh):
    """Others of the same data and seed are refused."""
    given = changes(levels=1, rewind=1, controls=["random_mask"])
    given["models"]["student"] = {
        "architecture": {"embedding": 4, "hidden": [4, 4]},
        "sparsify": {"method": "distil", "of": "small"},
    }
    given["runs"].append({"data": "tiny", "model": "student", "epochs": 2})
    targets = [f"results/runs/tiny/{name}/seed1/epoch2/state.json" for name in ("imp-level1-random_mask", "student")]
    process = fresh.snakemake("--dry-run", "--printshellcmds", *targets, changes=given)
    lines = re.findall(r"natural-sparsity (\w+) .*--parents '(.*?)'", process.stdout + process.stderr)
    told = [(command, json.loads(parents)) for command, parents in lines]
    same = {"data": "tiny", "seed": 1, "folded": False}
    dense, trained = ({**same, "model": "small", "epoch": epoch} for epoch in (1, 2))
    ticket = {**same, "model": "imp-level1", "epoch": 1}
    assert len(told) == 4, process.stderr
    for expected in (
        ("sparsify", {"start": dense, "masks": trained}),
        ("sparsify", {"start": dense, "masks": ticket}),
        ("train", {"teacher": trained}),
    ):
        assert expected in told


def test_methods_in_a_row_wait_for_the_ticket(fresh):
    """One starts at a ticket's epoch and one where the ticket starts; each has its masks."""
    given = changes(levels=1, rewind=1)
    given["models"]["two"] = {"sparsify": {"method": "qat", "of": "imp-level1", "bits": 2, "rewind": 2}}
    given["models"]["taught"] = {"sparsify": {"method": "distil", "of": "small", "student": "imp-level1"}}
    given["runs"] += [{"data": "tiny", "model": model, "epochs": n} for model, n in (("two", 3), ("taught", 2))]
    targets = [f"results/runs/tiny/{name}/state.json" for name in ("two/seed1/epoch3", "taught/seed1/epoch2")]
    process = fresh.snakemake("--dry-run", "--printshellcmds", *targets, changes=given)
    lines = re.findall(r"natural-sparsity (\w+) .*--parents '(.*?)' --", process.stdout + process.stderr)
    told = [(command, json.loads(parents)) for command, parents in lines]
    same = {"data": "tiny", "seed": 1, "folded": False}
    dense, last, begun, ticket = (
        {**same, "model": model, "epoch": epoch}
        for model, epoch in (("small", 1), ("small", 2), ("imp-level1", 1), ("imp-level1", 2))
    )
    expected = [
        ("sparsify", {"start": dense, "masks": last}),
        ("sparsify", {"start": ticket, "masks": ticket}),
        ("sparsify", {"start": begun, "masks": begun}),
        ("train", {"teacher": last}),
    ]
    key = json.dumps
    assert sorted(told, key=key) == sorted(expected, key=key), process.stderr


def test_a_run_without_its_dense_model_is_refused(fresh):
    process = fresh.snakemake("--dry-run", changes={**changes(), "runs": [{"data": "tiny", "model": "imp"}]})
    assert process.returncode != 0
    assert (
        "changes.yaml, line 9: runs.0: imp starts from small: give small a run on tiny with seeds: [1]"
        in process.stderr
    )


@pytest.mark.slow
def test_a_level_runs_to_its_table_and_its_probe(copied):
    """Real jobs, which add a ticket to the finished run, and the same ticket in two bits."""
    rewound = changes(rewind=1, levels=1)
    rewound["models"]["two"] = {"sparsify": {"method": "qat", "of": "imp-level1", "bits": 2}}
    rewound["runs"].append({"data": "tiny", "model": "two", "seeds": [1], "epochs": 2})
    probe = "results/runs/tiny/imp-level1/seed1/epoch2/frozen.parquet"
    copied.run("lottery", "natural", "footprint", probe, changes=rewound)
    folder = copied.folder / "results/experiments/tiny/tiny"
    table = pd.read_csv(folder / "small/lottery.csv", keep_default_na=False)
    assert table["role"].tolist() == ["dense", "ticket"]
    assert table["density"].tolist() == pytest.approx([1.0, 0.5], abs=1e-4)
    assert (folder / "small/figures/lottery.png").exists()
    units = pd.read_csv(folder / "small/frozen/units.csv", keep_default_na=False)
    assert set(units["model"]) == {"imp-level1"} and set(units["units"]) == {8}
    [kept] = units[(units["layer"] == "h_e") & (units["side"] == "incoming")]["kept"].unique()
    assert 0.2 < kept < 0.8
    natural = pd.read_csv(folder / "small/frozen/natural.csv", keep_default_na=False)
    assert set(natural["model"]) == {"small", "imp-level1", "two"}
    for figure in ("units", "chi/natural"):
        assert (folder / f"small/frozen/figures/{figure}.png").exists()
    epoch = (copied.folder / probe).parent
    model, state = checkpoint.load(epoch, torch.device("cpu"))
    masks = checkpoint.load_tensors(epoch, torch.device("cpu"))
    assert state["epoch"] == 2
    two, _ = checkpoint.load(copied.folder / "results/runs/tiny/two/seed1/epoch2", torch.device("cpu"))
    for name, mask in masks.items():
        for each in (model, two):
            assert bool((each.get_parameter(name)[~mask] == 0).all())
    costs = pd.read_csv(folder / "small/footprint.csv", keep_default_na=False).set_index(["family", "precision"])
    forms = ["float32", "int8", "int2, rounded"]
    assert [*costs.index] == [
        ("", "float32"),
        ("", "int8"),
        *(("imp", form) for form in sorted(forms)),
        ("two", "int2, trained"),
    ]
    assert costs.loc[("two", "int2, trained"), "bytes"] < 0.5 * costs.loc[("imp", "float32"), "bytes"]
    assert costs.loc[("two", "int2, trained"), "nonzero"] < costs.loc[("imp", "float32"), "nonzero"]
    assert copied.planned("lottery", "natural", "footprint", probe, changes=rewound) == {}


def by_group(**sparsify):
    """A model of sparse variational dropout that starts at the dense model's last epoch."""
    runs = [
        {"data": "tiny", "model": model, "seeds": [1], "epochs": epochs} for model, epochs in (("small", 2), ("g", 4))
    ]
    return {
        "models": {"g": {"sparsify": {"method": "sparse_vd", "of": "small", "rewind": 2, **sparsify}}},
        "runs": runs,
    }


SHOWN_STRUCTURE = {"draw_structure": 1, "tabulate_structure": 1}


def test_a_run_without_methods_for_groups_has_no_structure(finished):
    process = finished.snakemake("--dry-run", "structure", changes=changes())
    assert process.returncode == 1
    assert "structure: no run in this experiment has it; " in process.stderr
    assert not {"measure_structure", "tabulate_structure"} & set(finished.planned(changes=changes()))


@pytest.mark.slow
def test_structures_to_the_end(copied):
    """Real jobs on top of the finished run: trained on from the dense model, counted, folded, drawn."""
    planned = {"sparsify": 1, "train": 2, "measure_structure": 2, "fold": 2, "measure_speedup": 2, **SHOWN_STRUCTURE}
    given = by_group(learning_rate=0.03)
    assert copied.planned("structure", changes=given) == planned
    probe = "results/runs/tiny/g/seed1/epoch4/frozen.parquet"
    copied.run("structure", probe, changes=given)
    folder = copied.folder / "results/experiments/tiny"
    table = pd.read_csv(folder / "structure.csv")
    assert table["model"].tolist() == ["small"] * 2 + ["g"] * 2
    assert table["compression"].iloc[-1] > 1.2
    assert (folder / "figures/structure.png").exists()
    assert (folder / "structure.html").exists()
    assert copied.planned("structure", probe, changes=given) == {}
    other = by_group(learning_rate=0.03, groups=["weights", "neurons"])
    assert copied.planned("structure", changes=other)["train"] == 2
