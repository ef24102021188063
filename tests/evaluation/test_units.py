"""Units against a loop over positions with autograd, and their weights against counting by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from chains import KINDS, Chain, call, language_model
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import units
from natural_sparsity.model import checkpoint
from natural_sparsity.probing import probe

VOCABULARY, BATCH, WINDOW = 23, 3, 5
SHAPE = {"embedding": 6, "hidden": [5, 4], "dropout": 0.3}


@pytest.fixture
def damaged(tmp_path):
    """A checkpoint with zeros, its tokens, and a function that runs a probing command over them."""
    torch.manual_seed(0)
    model = language_model(VOCABULARY, **SHAPE)
    with torch.no_grad():
        model.recurrent[0].weight_hh_l0[2] = 0  # unit 2, input gate
        model.recurrent[0].weight_ih_l0[5 + 2, :4] = 0  # unit 2, forget gate
        model.recurrent[1].weight_ih_l0[:, 2] = 0  # what reads unit 2
        model.output.weight[:7, 3] = 0
        model.embedding.weight[:10, 1] = 0
    state = {**dict.fromkeys(checkpoint.FIELDS, 0), "kind": "text", "data": "mine", "model": "small", "epoch": 4}
    checkpoint.save(tmp_path / "epoch4", model, {**state, "seed": 9, "block": {}, "sparsify": {"family": "some"}})
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=BATCH * 18).astype(np.uint8)
    files.write_array(tmp_path / "train.npy", tokens, {"split": "train", "vocabulary": 0})

    def run(command, **settings):
        output = tmp_path / f"{command.__name__}.parquet"
        given = {"tokens": tmp_path / "train.npy", "checkpoint": tmp_path / "epoch4", "output": output}
        block = {"batch": BATCH, "window": WINDOW, **settings}
        call(command, **given, probe=block, condition="mine", device="cpu")
        return files.read_parquet(output, files.read_schema(output).names)

    return model, tokens, run


def by_hand(model, tokens):
    """{tensor: (positions, units)}: the vectors, by autograd through the plain loss of each window."""
    model.eval()
    columns = torch.from_numpy(tokens.astype(np.int64)).view(BATCH, -1).T
    state, seen = model.zero_state(BATCH), {}
    for start in range(0, len(columns) - 1, WINDOW):
        window = columns[start : min(start + WINDOW, len(columns) - 1) + 1]
        outputs, features, state = model(window[:-1], state)
        for output in outputs:
            output.retain_grad()
        loss = functional.cross_entropy(model.output(features).flatten(0, 1), window[1:].flatten(), reduction="sum")
        direct = torch.autograd.grad(loss, outputs, retain_graph=True)
        for name, h, gradient in zip(("h_e", "h_1", "h_2"), outputs, direct, strict=True):
            seen.setdefault(name, []).append(h.detach().flatten(0, 1))
            seen.setdefault(f"grad_{name}", []).append(gradient.flatten(0, 1))
    return {name: torch.cat(parts).double().abs() for name, parts in seen.items()}


def test_sizes_and_parts_equal_a_loop_by_autograd(damaged):
    model, tokens, run = damaged
    table = run(units)
    for name, vectors in by_hand(model, tokens).items():
        mine = table[table["tensor"] == name]
        assert mine["unit"].tolist() == list(range(vectors.shape[1]))
        np.testing.assert_allclose(mine["size"], vectors.mean(0), rtol=1e-5)
        np.testing.assert_allclose(mine["part"], (vectors / vectors.sum(1, keepdim=True)).square().mean(0), rtol=1e-5)


def test_parts_add_up_to_the_mean_of_chi_squared_that_the_probe_finds(damaged):
    _, _, run = damaged
    table, words = run(units), run(probe)
    words = words[words["role"] == "target"]
    for name, part in table.groupby("tensor"):
        rows = words[words["tensor"] == name]
        squares = rows["chi_mean"] ** 2 + rows["chi_variance"]
        expected = np.average(squares, weights=rows["count"] - rows["zeros"])
        assert part["part"].sum() == pytest.approx(expected, rel=1e-5)


def test_weights_are_counted_on_both_sides_of_a_unit(damaged):
    _, _, run = damaged
    table = run(units)
    for prefix in ("", "grad_"):
        h1 = table[table["tensor"] == f"{prefix}h_1"].set_index("unit")
        # Four gates of six weights from the embedding and of five from the layer; they go to the layer and to the next.
        assert set(h1["incoming"]) == {4 * (6 + 5)}
        assert set(h1["outgoing"]) == {4 * 5 + 4 * 4}
        # Unit 2 lost the input gate's five and four of the forget gate's; the others the weight to that gate.
        assert h1["incoming_kept"].to_dict() == {0: 44, 1: 44, 2: 44 - 5 - 4, 3: 44, 4: 44}
        assert h1["outgoing_kept"].to_dict() == {u: 36 - 1 - (16 if u == 2 else 0) for u in range(5)}
    h2 = table[table["tensor"] == "h_2"].set_index("unit")
    assert h2["incoming_kept"].tolist() == [4 * (5 + 4) - 4] * 4  # each gate lost its weight from unit 2
    assert h2["outgoing"].tolist() == [4 * 4 + VOCABULARY] * 4
    assert h2["outgoing_kept"].tolist() == [39, 39, 39, 32]
    he = table[table["tensor"] == "h_e"].set_index("unit")
    assert he["incoming_kept"].tolist() == [23, 13, 23, 23, 23, 23]
    assert he["outgoing_kept"].tolist() == [19, 19, 19, 19, 20, 20]


def test_gates_and_units_that_are_left_are_counted(damaged):
    """Unit 0 of the second layer loses all that leads into its output gate; nothing reads unit 4 of the first."""
    model, _, _ = damaged
    with torch.no_grad():
        model.recurrent[1].weight_ih_l0[3 * 4] = model.recurrent[1].weight_hh_l0[3 * 4] = 0
        model.recurrent[0].weight_hh_l0[:, 4] = model.recurrent[1].weight_ih_l0[:, 4] = 0
    left = units.count_weights(model).set_index(["layer", "unit"])
    assert left.loc["h_1", "gates"].tolist() == [4] * 5
    assert left.loc["h_1", "gates_kept"].tolist() == [4, 4, 4, 4, 0]
    assert left.loc["h_1", "neuron_kept"].tolist() == [1, 1, 1, 1, 0]
    assert left.loc["h_2", "gates_kept"].tolist() == [3, 4, 4, 4]
    assert left.loc["h_e", ["gates", "gates_kept"]].to_numpy().sum() == 0
    assert left.loc["h_e", "neuron_kept"].tolist() == [1] * 6
    other = units.count_weights(language_model(VOCABULARY, embedding=3, hidden=[4], cell="gru"))
    assert not other[["gates", "neuron"]].to_numpy().any()


@pytest.mark.parametrize("hidden", [[5], [5, 4, 3]], ids=str)
def test_models_of_any_depth_have_units(tmp_path, hidden):
    chain = Chain(tmp_path, architecture={"hidden": hidden})
    chain.initialise()
    output = tmp_path / "units.parquet"
    given = {"tokens": chain.split_file("test"), "checkpoint": chain.path("dense0"), "output": output}
    call(units, **given, probe={"batch": 4, "split": "test"})
    table = files.read_parquet(output, ["tensor", "unit", "part"])
    widths = {"h_e": 6, **{f"h_{layer}": width for layer, width in enumerate(hidden, 1)}}
    assert table.groupby("tensor").size().to_dict() == widths | {f"grad_{name}": n for name, n in widths.items()}


def test_what_it_says_of_itself_and_what_it_refuses(damaged, tmp_path):
    _, _, run = damaged
    run(units)
    metadata = files.read_metadata(tmp_path / f"{units.__name__}.parquet")
    assert (metadata["data"], metadata["model"], metadata["epoch"], metadata["seed"]) == ("mine", "small", 4, 9)
    assert metadata["condition"] == "mine"
    assert metadata["sparsify"] == {"family": "some"}
    given = {"tokens": tmp_path / "train.npy", "checkpoint": tmp_path / "epoch4", "output": tmp_path / "none"}
    with pytest.raises(UserError, match="probe during: units need the weights of one checkpoint; give weights: frozen"):
        call(units, **given, probe={"weights": "training"}, condition="during")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "text"])
def test_data_that_are_not_running_text_are_refused(tmp_path, kind):
    chain = Chain(tmp_path, kind)
    chain.initialise()
    given = {"tokens": "t.npy", "checkpoint": chain.path("dense0"), "probe": {}, "output": tmp_path / "out"}
    for command in (units, probe):
        with pytest.raises(UserError, match=f"its data are of kind {kind}; only models of running text are probed"):
            call(command, **given)
