"""Units against a loop over positions with autograd, and their weights against counting by hand."""

import argparse

import numpy as np
import pytest
import torch
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.probing import probe, units

VOCABULARY, BATCH, WINDOW = 23, 3, 5
SHAPE = Architecture(6, [5, 4], dropout=0.3)


@pytest.fixture
def found(tmp_path):
    """A checkpoint, its tokens, and a function that runs a probing command over them."""
    torch.manual_seed(0)
    model = LanguageModel(VOCABULARY, SHAPE)
    with torch.no_grad():
        model.recurrent[0].weight_hh_l0[2] = 0  # unit 2, input gate
        model.recurrent[0].weight_ih_l0[5 + 2, :4] = 0  # unit 2, forget gate
        model.recurrent[1].weight_ih_l0[:, 2] = 0  # what reads unit 2
        model.output.weight[:7, 3] = 0
        model.embedding.weight[:10, 1] = 0
    state = dict.fromkeys(checkpoint.FIELDS, 0) | {"epoch": 4, "seed": 9, "sparsify": {"family": "some"}}
    checkpoint.save(model, tmp_path / "4.safetensors", tmp_path / "4.json", state)
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=BATCH * 18).astype(np.uint8)
    files.write_array(tmp_path / "train.npy", tokens)

    def run(command, many, **settings):
        paths = {"parameters": tmp_path / "4.safetensors", "state": tmp_path / "4.json"} | {
            "output": tmp_path / f"{command.__name__}.parquet"
        }
        common = {"tokens": tmp_path / "train.npy", "condition": "mine", "device": "cpu", "threads": 1, "training": {}}
        common["probe"] = {"batch": BATCH, "window": WINDOW, **settings}
        given = {key: [path] if many else path for key, path in paths.items()}
        command.run(argparse.Namespace(**common, **given))
        columns = files.read_schema(paths["output"]).names
        return files.read_parquet(paths["output"], columns)

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


def test_sizes_and_parts_equal_a_loop_by_autograd(found):
    model, tokens, run = found
    table = run(units, many=False)
    for name, vectors in by_hand(model, tokens).items():
        mine = table[table["tensor"] == name]
        assert mine["unit"].tolist() == list(range(vectors.shape[1]))
        np.testing.assert_allclose(mine["size"], vectors.mean(0), rtol=1e-5)
        np.testing.assert_allclose(mine["part"], (vectors / vectors.sum(1, keepdim=True)).square().mean(0), rtol=1e-5)


def test_parts_add_up_to_the_mean_of_chi_squared_that_the_probe_finds(found):
    _, _, run = found
    table, words = run(units, many=False), run(probe, many=True)
    words = words[words["role"] == "target"]
    for name, part in table.groupby("tensor"):
        of_words = words[words["tensor"] == name]
        squares = of_words["chi_mean"] ** 2 + of_words["chi_variance"]
        expected = np.average(squares, weights=of_words["count"] - of_words["zeros"])
        assert part["part"].sum() == pytest.approx(expected, rel=1e-5)


def test_weights_are_counted_on_both_sides_of_a_unit(found):
    _, _, run = found
    table = run(units, many=False)
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


def test_gates_and_units_that_are_left_are_counted(found):
    """Unit 0 of the second layer loses all that leads into its output gate; unit 4 of the first is read by nobody."""
    model, _, run = found
    with torch.no_grad():
        model.recurrent[1].weight_ih_l0[3 * 4] = model.recurrent[1].weight_hh_l0[3 * 4] = 0
        model.recurrent[0].weight_hh_l0[:, 4] = model.recurrent[1].weight_ih_l0[:, 4] = 0
    left = units.weights_of(model).set_index(["layer", "unit"])
    assert left.loc["h_1", "gates"].tolist() == [4] * 5
    assert left.loc["h_1", "gates_kept"].tolist() == [4, 4, 4, 4, 0]
    assert left.loc["h_1", "neuron_kept"].tolist() == [1, 1, 1, 1, 0]
    assert left.loc["h_2", "gates_kept"].tolist() == [3, 4, 4, 4]
    assert left.loc["h_e", ["gates", "gates_kept"]].to_numpy().sum() == 0
    assert left.loc["h_e", "neuron_kept"].tolist() == [1] * 6
    other = units.weights_of(LanguageModel(VOCABULARY, Architecture(3, [4], cell="gru")))
    assert not other[["gates", "neuron"]].to_numpy().any()


def test_what_it_says_of_itself_and_what_it_refuses(found, tmp_path):
    _, _, run = found
    run(units, many=False)
    metadata = files.read_metadata(tmp_path / f"{units.__name__}.parquet")
    assert (metadata["epoch"], metadata["seed"], metadata["condition"]) == (4, 9, "mine")
    assert metadata["sparsify"] == {"family": "some"}
    with pytest.raises(UserError, match="units are told by the weights of a checkpoint; take weights: frozen"):
        argument = {"weights": "training"}
        units.run(argparse.Namespace(probe=argument, condition="during"))
