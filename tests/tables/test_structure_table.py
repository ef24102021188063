"""The table of structures agrees with what was measured, and matches structures with speed-ups by their run."""

import pandas as pd
import pytest
from scipy import stats

from chains import Chain, call
from example_products import grid_lines, tabulate
from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import fold, speedup
from natural_sparsity.evaluation import structure as evaluation
from natural_sparsity.model.gates import GATES
from natural_sparsity.tables import structure

SETTINGS = {"method": "sparse_vd", "groups": ["weights", "gates", "neurons", "vocabulary"], "threshold": 3}


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Chain:
    """A dense and a sparsified model, their structures and speed-ups, by the commands."""
    chain = Chain(tmp_path_factory.mktemp("structure"))
    chain.initialise()
    chain.train("dense0", "dense1")
    settings = {**SETTINGS, "learning_rate": 0.03, "clip": 10.0, "dropout": 0.0}
    chain.start("sparse1", "dense1", None, **settings)
    chain.train("sparse1", "sparse2", "sparse3", **settings)
    for name in ("dense1", "sparse3"):
        given = {"checkpoint": chain.path(name), "test": chain.split_file("test")}
        call(evaluation, **given, output=chain.folder / f"{name}-structure.json")
        call(fold, **{"from": chain.path(name)}, checkpoint=chain.path(f"{name}-folded"))
        folded = {"folded": chain.path(f"{name}-folded"), "timed_tokens": 5}
        call(speedup, **given, **folded, output=chain.folder / f"{name}-speedup.json")
    return chain


def paths(chain: Chain, kind: str) -> list:
    return [chain.folder / f"{name}-{kind}.json" for name in ("dense1", "sparse3")]


def states(chain: Chain) -> list:
    """Of every epoch that the two models trained."""
    return [chain.path(name) / "state.json" for name in ("dense1", "sparse2", "sparse3")]


def change(path, to, **fields):
    """Write a copy of a product with other ``fields``."""
    value = files.read_json(path) | fields
    files.write_json(to, {key: value for key, value in value.items() if key not in ("digest", "format")})


def test_a_row_per_layer_agrees_with_the_structures(chain):
    given = {"structures": paths(chain, "structure"), "speedups": paths(chain, "speedup")[::-1]}
    given |= {"checkpoints": states(chain)}
    table = tabulate(structure, **given)
    rows = table.frame
    assert rows[["data", "model", "layer"]].values.tolist() == [["d", m, n] for m in ("m", "s") for n in (1, 2)]
    dense, sparse = rows[rows["model"] == "m"], rows[rows["model"] == "s"]
    assert dense["method"].unique().tolist() == ["dense"]
    assert sparse["groups"].unique().tolist() == ["weights+gates+neurons+vocabulary"]
    assert dense["compression"].unique().tolist() == dense["compression_single_pass"].unique().tolist() == [1]
    assert dense[[f"reading_{gate}" for gate in GATES]].values.tolist() == [[5] * 4, [7] * 4]
    assert (dense["folded_weights"] == dense["weights"]).all()
    parameters = chain.load("sparse3")[0]
    assert (sparse["measure"] == "perplexity").all()
    assert sparse["score"].iloc[0] == pytest.approx(chain.evaluate("sparse3")["score"], rel=1e-4)
    nonzero = sum(int(value.count_nonzero()) for value in parameters.values() if value.dim() > 1)
    assert sparse["weights_left"].iloc[0] <= nonzero
    weights = sum(value.numel() for value in parameters.values() if value.dim() > 1)
    assert sparse["compression"].iloc[0] == pytest.approx(weights / sparse["weights_left"].iloc[0])
    lines = grid_lines(table)
    assert "| Perplexity |" in lines[0]
    assert lines[1].startswith("d/m | dense | 1 | 20 | 1 | ")
    assert f"| 5 of 5; 7 of 7 | 5 + 5 + 5 + 5; 7 + 7 + 7 + 7 | 48 | 48 | {weights:,} |" in lines[1]
    assert len({line.count("|") for line in lines}) == 1


def test_losses_are_compared_with_the_dense_model_seed_by_seed(chain, tmp_path):
    """By scipy's interval of the differences; only after as many epochs, and if there is one dense model."""
    losses = {"m": [3.0, 3.2, 3.1], "s": [3.1, 3.28, 3.25]}
    given: dict[str, list] = {"structures": [], "speedups": [], "checkpoints": []}
    for name, model in (("dense1", "m"), ("sparse3", "s")):
        for seed, loss in enumerate(losses[model], 1):
            files_of = {
                kind: tmp_path / f"{model}{seed}-{kind}.json" for kind in ("structures", "speedups", "checkpoints")
            }
            change(chain.folder / f"{name}-structure.json", files_of["structures"], seed=seed, epoch=3, loss=loss)
            change(chain.folder / f"{name}-speedup.json", files_of["speedups"], seed=seed, epoch=3)
            change(chain.path(name) / "state.json", files_of["checkpoints"], seed=seed)
            for kind, path in files_of.items():
                given[kind].append(path)
    table = tabulate(structure, **given)
    rows = table.frame.set_index("model")
    assert rows.loc["m", "above_dense"].isna().all()
    names = ["above_dense", "above_dense_low", "above_dense_high", "above_dense_pairs", "above_dense_lower"]
    differences = [0.1, 0.08, 0.15]
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert rows.loc["s", names].to_numpy().tolist() == [pytest.approx([0.11, *interval, 3, 0])] * 6  # seeds, layers
    assert "| +0.110 (+0.020 to +0.200), lower in 0 of 3 |" in grid_lines(table)[2]
    both = pd.concat([table.frame, table.frame[table.frame["model"] == "m"].assign(model="wide")])
    longer = table.frame.assign(epoch=[3] * 6 + [4] * 6)
    for frame in (both, longer):
        assert pd.isna(structure.find_excess(frame[frame["model"] == "s"], frame)["above_dense"])


def test_the_command_writes_all_three_files(chain):
    stem = chain.folder / "structure"
    given = ["--structures", *paths(chain, "structure"), "--speedups", *paths(chain, "speedup")]
    given += ["--checkpoints", *states(chain)]
    main(["tabulate", "structure", *map(str, given), "--title", "What is left", "--output", str(stem)])
    assert len(pd.read_csv(f"{stem}.csv")) == 4
    assert (stem.with_suffix(".md")).read_text().startswith("# What is left\n")
    page = stem.with_suffix(".html").read_text()
    assert "<h1>What is left</h1>" in page and page.count("<tr>") == 3  # means over seeds


def test_classifiers_have_their_accuracy(chain, tmp_path):
    """One table holds both, each by its own measure."""
    scored = {"measure": "accuracy", "digits": 3, "higher_is_better": True, "score": 0.75}
    change(chain.folder / "dense1-structure.json", tmp_path / "s.json", data="reviews", **scored)
    change(chain.folder / "dense1-speedup.json", tmp_path / "g.json", data="reviews")
    change(chain.path("dense1") / "state.json", tmp_path / "state.json", data="reviews")
    given = {"structures": [*paths(chain, "structure"), tmp_path / "s.json"]}
    given |= {"speedups": [*paths(chain, "speedup"), tmp_path / "g.json"]}
    table = tabulate(structure, **given, checkpoints=[*states(chain), tmp_path / "state.json"])
    lines = grid_lines(table)
    assert "| Perplexity or accuracy |" in lines[0]
    assert lines[3].startswith("reviews/m | dense | 1 | 20 | 1 | 0.750 |")


def test_what_does_not_belong_together_is_refused(chain):
    structures, speedups = paths(chain, "structure"), paths(chain, "speedup")
    with pytest.raises(UserError, match=r"sparse3-structure\.json: no --speedups file is of d/s, seed 3; give one"):
        structure.join(structures, speedups[:1])
    with pytest.raises(UserError, match=r"dense1-structure\.json: a second structure of d/m, seed 3"):
        structure.join([*structures, structures[0]], speedups)
    with pytest.raises(UserError, match=r"dense1-speedup\.json: a second speed-up of d/m, seed 3"):
        structure.join(structures, [*speedups, speedups[0]])


def test_a_structure_and_a_speedup_of_different_checkpoints_are_refused(chain, tmp_path):
    structures, speedups = paths(chain, "structure"), paths(chain, "speedup")
    changed = tmp_path / "changed.json"
    for field, value in (("epoch", 2), ("checkpoint", "0" * 32)):
        change(structures[1], changed, **{field: value})
        with pytest.raises(
            UserError,
            match=rf"changed\.json: {field} is .*, but in .*sparse3-speedup\.json it is .*; give files of one",
        ):
            structure.join([structures[0], changed], speedups)
    change(structures[1], changed, seed=4, epoch=2)
    with pytest.raises(UserError, match=r"changed\.json: epoch is 2, but in .*sparse3-structure\.json it is 3"):
        structure.join([*structures, changed], speedups)
