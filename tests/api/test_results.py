"""Opening results: what a run wrote, as tables and models, and one line where something is missing."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import natural_sparsity as ns
from natural_sparsity import files

pytestmark = pytest.mark.integration  # the results take seconds to make
RUN = ["data", "model", "seed"]


def test_a_run_opens_from_its_folder_a_seed_its_data_or_the_experiment(results):
    both = [("d", "m", 3), ("d", "m", 4)]
    folders = {"": both, "runs": both, "runs/d": both, "runs/d/m": both, "runs/d/m/seed4": both[1:]}
    folders |= {"experiments/e": both, "experiments/e/d/m": both, "experiments/e/d/m/seed3": both[:1]}
    for folder, expected in folders.items():
        run = ns.open(str(results / folder))
        assert list(run.runs[RUN].itertuples(index=False, name=None)) == expected, folder
        assert run.correlations[RUN].drop_duplicates().values.tolist() == [list(row) for row in expected]
    assert repr(run) == "Results(d/m, seed 3)"


def test_tables_are_the_files_with_the_run_in_front(results):
    run = ns.open(results / "runs/d/m")
    place = results / "experiments/e/d/m"
    for table, name in ((run.correlations, "correlations"), (run.differences, "differences"), (run.claims, "claims")):
        written = [pd.read_parquet(place / f"seed{seed}/frozen/{name}.parquet") for seed in (3, 4)]
        pd.testing.assert_frame_equal(table[written[0].columns], pd.concat(written, ignore_index=True))
        assert list(table)[:4] == [*RUN, "condition"]
        assert table["seed"].value_counts(sort=False).tolist() == [len(frame) for frame in written]
    written = pd.read_parquet(place / "frozen/verdicts.parquet")
    pd.testing.assert_frame_equal(run.verdicts[written.columns], written)
    assert run.words["word"].tolist()[:3] == ["<unk>", "<eos>", "the"]
    assert run.checkpoints["checkpoint"].tolist() == ["init", "epoch1", "epoch2"] * 2
    assert run.checkpoints.loc[run.checkpoints["epoch"] > 0, "dev_loss"].between(2, 5).all()


def test_probes_come_with_words_and_training_counts(results):
    run = ns.open(results / "runs/d/m")
    table = run.probes("grad_h_2", "target", "epoch2")
    written = pd.read_parquet(results / "runs/d/m/seed4/epoch2/frozen.parquet")
    written = written[(written["role"] == "target") & (written["tensor"] == "grad_h_2")]
    mine = table[table["seed"] == 4]
    assert mine["chi_mean"].tolist() == written["chi_mean"].tolist()
    assert mine["positions"].tolist() == written["count"].tolist()
    words = run.words.set_index("id").loc[mine["id"]]
    for column in ("word", "count", "pos_class"):
        assert mine[column].fillna("").tolist() == words[column].fillna("").tolist()
    assert len(run.probes()) == sum(
        len(pd.read_parquet(path)) for path in (results / "runs").rglob("frozen.parquet")
    ), "all roles, tensors and checkpoints"


def test_a_model_is_loaded_in_eval_mode(results):
    run = ns.open(results / "runs/d/m")
    folder = results / "runs/d/m/seed4"
    for name, model in {
        "epoch2": run.model(seed=4),
        "epoch1": run.model(seed=4, epoch=1),
        "init": run.model(seed=4, checkpoint="init"),
    }.items():
        stored = load_file(folder / name / "parameters.safetensors")
        assert not any(part.training for part in model.modules())
        assert all(torch.equal(value, stored[key]) for key, value in model.state_dict().items())
    assert torch.equal(run.model(4, 0).output.weight, model.output.weight)
    features = model(torch.tensor([[2], [3]]), model.zero_state(1))[1]
    assert model.output(features).shape == (2, 1, 60)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda root: ns.open(root / "runs/d/n"), r"runs/d/n: no such folder; give one .* results/runs/sample/lstm"),
        (lambda root: ns.open(3), r"^3: no path; give a folder of results"),
        (lambda root: ns.open(root / "runs/d/m").probes(["h_1"]), r"no tensor \['h_1'\]; there are"),
        (lambda root: ns.open(root / "runs/d/m").read("claims.csv"), r"^claims.csv: not a Parquet file; give the name"),
        (
            lambda root: ns.open(root / "runs/d/m").read(root / "data/d/words.parquet"),
            r"words.parquet: no field 'data'",
        ),
        (lambda root: ns.open(root.parent), r"project\d*: not below results/runs or results/experiments"),
        (lambda root: ns.open(root / "experiments"), r"experiments: choose one of its experiments, e$"),
        (lambda root: ns.open(root / "runs/d/m").model(), r"runs/d/m: seeds 3, 4; choose one, such as seed=3"),
        (lambda root: ns.open(root / "runs/d/m").model(5), r"no seed 5; there are 3, 4"),
        (
            lambda root: ns.open(root / "runs/d/m").model(3, 7),
            r"no checkpoint 'epoch7'; there are init, epoch1, epoch2",
        ),
        (lambda root: ns.open(root / "runs/d/m").model(3, 1, "init"), r"epoch=1, checkpoint='init': give one of them"),
        (
            lambda root: ns.open(root / "runs/d/m").probes("grad_h_9"),
            r"frozen.parquet: no tensor 'grad_h_9'; there are",
        ),
        (
            lambda root: ns.open(root / "runs/d/m").acquisition,
            r"no experiment has d/m/seed3/frozen/acquisition.parquet",
        ),
        (
            lambda root: ns.open(root / "runs/d/m", "f").claims,
            r"no experiment 'f'; choose one of e, as in ns.open\(…, exp",
        ),
        (lambda root: ns.open(root / "runs/d/m", condition="dev").claims, r"no condition 'dev'; choose one of frozen"),
    ],
)
def test_what_is_missing_is_said_in_one_line(results, act, message):
    with pytest.raises(ns.UserError, match=message) as caught:
        act(results)
    assert "\n" not in str(caught.value)


def test_a_copy_of_a_checkpoint_is_refused(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    seed = tmp_path / "results/runs/d/m/seed3"
    assert ns.open(seed / "..").seeds == [3, 4]
    shutil.copytree(seed / "epoch1", seed / "old")
    with pytest.raises(ns.UserError, match=r"seed3/old: the same checkpoint as .*seed3/epoch1; move one of them out"):
        ns.open(seed)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("epoch", "two", "epoch is 'two', not an integer"),
        ("steps", None, "steps is None, not an integer"),
        ("dev_loss", "low", "dev_loss is 'low', not a number"),
        ("model", 3, "model is 3, not text"),
    ],
)
def test_a_state_of_other_types_is_refused(results, tmp_path, key, value, said):
    shutil.copytree(results, tmp_path / "results")
    state = tmp_path / "results/runs/d/m/seed3/epoch1/state.json"
    files.write_json(state, files.read_json(state) | {key: value})
    with pytest.raises(ns.UserError, match=rf"epoch1/state\.json: {said}; delete the checkpoint's folder") as caught:
        ns.open(tmp_path / "results/runs/d/m")
    assert "\n" not in str(caught.value)


def test_two_experiments_with_a_run_are_never_mixed(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    experiments = tmp_path / "results/experiments"
    shutil.copytree(experiments / "e", experiments / "f")
    run = ns.open(tmp_path / "results/runs/d/m")
    with pytest.raises(ns.UserError, match="several experiments; choose one of e, f"):
        _ = run.correlations
    assert len(ns.open(run.folder, experiment="f").correlations) == len(ns.open(experiments / "e/d/m").correlations)


def test_a_table_of_another_checkpoint_is_refused(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    seed = tmp_path / "results/runs/d/m/seed3"
    shutil.copy(seed / "epoch1/frozen.parquet", seed / "epoch2/frozen.parquet")
    with pytest.raises(ns.UserError, match=r"epoch2/frozen.parquet: its checkpoint is 'epoch1', expected 'epoch2'"):
        ns.open(seed).probes()
    experiment = tmp_path / "results/experiments/e/d/m"
    for name in ("correlations", "claims"):
        shutil.copy(experiment / f"seed4/frozen/{name}.parquet", experiment / f"seed3/frozen/{name}.parquet")
        with pytest.raises(ns.UserError, match=rf"seed3/frozen/{name}.parquet: its seed is 4, expected 3"):
            getattr(ns.open(seed), name)


def test_the_import_is_light_and_tables_need_no_torch(results):
    code = "import sys, natural_sparsity as ns; heavy = {'torch', 'pandas', 'numpy', 'matplotlib'}\n"
    code += (
        f"print(heavy & set(sys.modules)); ns.open({str(results / 'runs/d/m')!r}).claims; print('torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ["set()", "False"]


def test_the_stub_names_what_the_package_offers():
    [names] = re.findall(r"^__all__ = (.+)$", Path(ns.__path__[0], "__init__.pyi").read_text(), flags=re.MULTILINE)
    assert set(ast.literal_eval(names)) == set(ns.API)
    assert set(ns.API) <= set(dir(ns))
    assert all(getattr(ns, name).__doc__ for name in ns.API)
