"""Counting gates and neurons, and folding: what is called constant is, what is cut out changes nothing."""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from chains import Chain

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.figures import structure as figure
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.sparsify import fold, folding, sparse_vd, structure, structures
from natural_sparsity.sparsify.gates import CONSTANT, GATES, READING, REMOVED
from natural_sparsity.sparsify.structure import Masks

WORDS, EMBEDDING, HIDDEN = 12, 5, [6, 4]
SETTINGS = {"method": "sparse_vd", "groups": ["weights", "gates", "neurons", "vocabulary"], "threshold": 3}


def all_kept(words=WORDS, embedding=EMBEDDING, hidden=HIDDEN, classes=None):
    def ones(*shape):
        return torch.ones(*shape, dtype=torch.bool)

    widths = [embedding, *hidden]
    return Masks(
        ones(words, embedding),
        [ones(4 * n, m) for m, n in zip(widths, hidden, strict=False)],
        [ones(4 * n, n) for n in hidden],
        ones(classes or words, hidden[-1]),
        ones(words),
        ones(embedding),
        [ones(n) for n in hidden],
        [ones(4 * n) for n in hidden],
    )


def sparsified(seed=0, share=0.25, dtype=torch.float64):
    """A model with variables of which some are removed, and the same in its effective parameters."""
    torch.manual_seed(seed)
    model = LanguageModel(WORDS, Architecture(EMBEDDING, HIDDEN, 0.0)).to(dtype)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.uniform_(-2, 2) if "bias" in name else parameter.normal_()
    tensors = sparse_vd.begun(SETTINGS, model)
    for name in sparse_vd.groups_of(SETTINGS, model):
        tensors[sparse_vd.MEAN + name].mul_(torch.rand_like(tensors[sparse_vd.MEAN + name]) + 0.5)
    for name, tensor in tensors.items():
        if name.startswith(sparse_vd.LOG_SIGMA):
            tensor[torch.rand_like(tensor) < share] = 8.0
    with torch.no_grad():
        for name, value in sparse_vd.effective(tensors, 3).items():
            model.get_parameter(name).copy_(value)
    return model, tensors


def logits(model, tokens):
    with torch.no_grad():
        state = [tuple(part.to(model.output.weight) for part in layer) for layer in model.zero_state(tokens.shape[1])]
        return model.output(model.eval()(tokens, state)[1])


TOKENS = torch.randint(WORDS, (15, 4), generator=torch.Generator().manual_seed(1))


def test_compression_is_counted_as_the_authors_do():
    """Their log of IMDb, W+G+N: 304 + 6 + 20 + 7 weights left of those of embedding, LSTM and output."""
    masks = all_kept(20003, 300, [128], 1)
    for mask, kept in ((masks.embedding, 304), (masks.into[0], 6), (masks.again[0], 20), (masks.output, 7)):
        mask.flatten()[kept:] = False
    assert masks.total() == 6_220_164
    assert masks.total() / masks.kept() == pytest.approx(18457.5, abs=0.05)


def test_a_gate_that_reads_only_the_dead_is_constant_in_the_end_but_not_after_one_pass():
    """Neuron 5 is read by gate f of neuron 0 alone, and has been removed; that gate reads nothing else."""
    masks = all_kept()
    row = 1 * 6 + 0
    masks.into[0][row] = masks.again[0][row] = False
    masks.again[0][row, 5] = True
    masks.neurons[0][5] = False
    once = structure.reading(masks, structure.passed(masks).neurons)
    left = structure.settled(masks)
    gates = structure.reading(left, left.neurons)
    assert bool(once[0][row])
    assert not gates[0][row]
    assert int(once[0].sum()) == int(gates[0].sum()) + 1 == 20


def test_a_removed_neuron_can_take_others_with_it():
    """Unit 2 of the embedding is read by neuron 3 alone, neuron 3 by the layer above alone, there by a removed one."""
    masks = all_kept()
    masks.into[0][:, 2] = False
    masks.into[0][[3 + 6 * gate for gate in range(4)], 2] = True
    masks.again[0][:, 3] = False
    masks.into[1][:, 3] = False
    masks.into[1][1, 3] = True
    masks.neurons[1][1] = False
    left = structure.settled(masks)
    assert [int(n.sum()) for n in left.neurons] == [5, 3]
    assert int(left.units.sum()) == 4
    assert left.kept() == WORDS * 4 + 20 * 4 + 20 * 5 + 12 * 5 + 12 * 3 + WORDS * 3


@pytest.mark.parametrize("seed", range(6))
def test_what_is_left_gives_the_same_outputs_and_is_counted_within_bounds(seed):
    model, tensors = sparsified(seed, share=0.1 + 0.12 * seed)
    masks = structure.masks_of(model, tensors, SETTINGS)
    left, once = structure.settled(masks), structure.reading(masks, structure.passed(masks).neurons)
    for gates, again, neurons in zip(structure.reading(left, left.neurons), once, left.neurons, strict=True):
        assert int(gates.sum()) <= 4 * int(neurons.sum())
        assert int(gates.sum()) <= int(again.sum())
        assert not (gates & ~again).any()
    expected = logits(model, TOKENS)
    small = fold.folded(model, left)
    torch.testing.assert_close(logits(small, TOKENS), expected, atol=1e-10, rtol=1e-10)
    assert small.architecture.embedding == max(1, int(left.units.sum()))
    assert small.architecture.hidden == [max(1, int(kept.sum())) for kept in left.neurons]
    assert sum(int(p.count_nonzero()) for p in small.parameters() if p.dim() > 1) == left.kept()


def test_a_model_of_which_nothing_is_left_can_be_folded():
    model, tensors = sparsified(share=1.1)
    left = structure.settled(structure.masks_of(model, tensors, SETTINGS))
    assert left.kept() == 0
    small = fold.folded(model, left)
    assert (small.architecture.embedding, small.architecture.hidden) == (1, [1, 1])
    torch.testing.assert_close(logits(small, TOKENS), logits(model, TOKENS))


def test_without_variables_what_is_zero_is_removed():
    model, _ = sparsified()
    masks = structure.masks_of(model, {}, {})
    for mask, name in zip(masks.again, ("recurrent.0.weight_hh_l0", "recurrent.1.weight_hh_l0"), strict=True):
        assert torch.equal(mask, model.get_parameter(name) != 0)
    left = structure.settled(masks)
    torch.testing.assert_close(logits(fold.folded(model, left), TOKENS), logits(model, TOKENS))
    variables = structure.settled(structure.masks_of(*sparsified(), SETTINGS))
    assert left.kept() == variables.kept()


@pytest.fixture
def streams(tmp_path):
    tokens = np.random.default_rng(0).integers(0, WORDS, 400)
    files.write_array(tmp_path / "test.npy", tokens.astype(np.uint8))
    return Streams(tmp_path / "test.npy", 4, 7, WORDS)


def test_a_constant_gate_is_constant_on_data_and_another_is_not(streams):
    model, tensors = sparsified(2, dtype=torch.float32)
    state = {"epoch": 1, "seed": 1, "sha256": "", "sparsify": SETTINGS}
    found = structure.described(model, tensors, state, streams)
    seen = {REMOVED: 0, CONSTANT: 0, READING: 0}
    for layer, module in zip(found["layers"], model.recurrent, strict=True):
        biases = (module.bias_ih_l0 + module.bias_hh_l0).detach().chunk(4)
        for gate, bias in zip(GATES, biases, strict=True):
            value = torch.tanh(bias) if gate == "g" else torch.sigmoid(bias)
            for k, status in enumerate(layer["status"][gate]):
                seen[status] += 1
                low, high = layer["low"][gate][k], layer["high"][gate][k]
                assert (low == high) == (status == CONSTANT) or status == REMOVED
                if status == CONSTANT:
                    assert low == pytest.approx(float(value[k]), abs=1e-6)
        assert sum(layer["reading"].values()) + sum(layer["constant"].values()) == 4 * layer["neurons_left"]
    assert min(seen.values()) > 0


def test_the_ranges_are_those_of_an_lstm_written_out(streams):
    """h = o · tanh(c), c = f · c + i · g, word by word, where the command carries the state from window to window."""
    model, _ = sparsified(3, dtype=torch.float32)
    seen = [[], []]
    h = [torch.zeros(4, n) for n in HIDDEN]
    c = [torch.zeros(4, n) for n in HIDDEN]
    with torch.no_grad():
        for inputs, _ in streams.windows(torch.device("cpu")):
            for words in inputs:
                x = model.embedding(words)
                for k, layer in enumerate(model.recurrent):
                    p = x @ layer.weight_ih_l0.T + h[k] @ layer.weight_hh_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
                    i, f, g, o = p.chunk(4, 1)
                    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
                    c[k] = f * c[k] + i * g
                    x = h[k] = o * c[k].tanh()
                    seen[k].append(torch.cat([i, f, g, o], 1))
    for (low, high), values in zip(structure.gate_ranges(model, streams), seen, strict=True):
        torch.testing.assert_close(low, torch.cat(values).amin(0), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(high, torch.cat(values).amax(0), atol=1e-5, rtol=1e-5)


def test_a_gate_that_is_said_to_be_constant_and_moves_is_an_error(streams, monkeypatch):
    model, tensors = sparsified(2, dtype=torch.float32)
    masks = structure.masks_of(model, tensors, SETTINGS)
    left = structure.settled(masks)
    k = int(torch.nonzero(structure.reading(left, left.neurons)[0] & left.neurons[0].repeat(4))[0])
    masks.gates[0][k] = False
    monkeypatch.setattr(structure, "masks_of", lambda *_: masks)
    state = {"epoch": 1, "seed": 1, "sha256": "", "sparsify": SETTINGS}
    with pytest.raises(UserError, match=rf"layer 1, neuron {k % 6}: no weight leads into gate {GATES[k // 6]}, but"):
        structure.described(model, tensors, state, streams)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Chain:
    """A dense and a sparsified model, their structures and foldings, by the commands."""
    chain = Chain(tmp_path_factory.mktemp("structure"))
    chain.initialise()
    chain.train("dense0", "dense1")
    settings = {**SETTINGS, "learning_rate": 0.03, "clip": 10.0, "dropout": 0.0}
    chain.start("sparse1", "dense1", None, **settings)
    chain.train("sparse1", "sparse2", "sparse3", **settings)
    for name in ("dense1", "sparse3"):
        parameters, state = map(str, chain.paths(name))
        small = list(map(str, chain.paths(f"{name}-folded")))
        tokens = ["--tokens", f"{chain.folder}/dev.npy", "--parameters", parameters, "--state", state]
        main(["structure", *tokens, "--output", f"{chain.folder}/{name}-structure.json", "--device", "cpu"])
        main(["fold", "--from-parameters", parameters, "--from-state", state, "--parameters", small[0], "--state",
              small[1]])  # fmt: skip
        main(["folding", *tokens, "--folded-parameters", small[0], "--folded-state", small[1], "--timed-tokens", "5",
              "--output", f"{chain.folder}/{name}-folding.json"])  # fmt: skip
    return chain


def paths(run: Chain, kind: str) -> list[Path]:
    return [run.folder / f"{name}-{kind}.json" for name in ("dense1", "sparse3")]


def test_the_folded_checkpoint_is_a_smaller_model_with_the_same_outputs(run):
    tokens = torch.randint(60, (20, 3), generator=torch.Generator().manual_seed(0))
    from natural_sparsity.model import checkpoint

    cpu = torch.device("cpu")
    model, state = checkpoint.load(*run.paths("sparse3"), cpu)
    small, of = checkpoint.load(*run.paths("sparse3-folded"), cpu)
    assert (of["folded_from"], of["epoch"]) == (state["sha256"], 3)
    torch.testing.assert_close(logits(small, tokens), logits(model, tokens), atol=1e-5, rtol=0)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    dense, _ = checkpoint.load(*run.paths("dense1-folded"), cpu)
    assert dense.architecture == model.architecture


def test_the_table_has_a_row_a_layer_and_agrees_with_the_structures(run):
    csv, markdown = run.folder / "table.csv", run.folder / "table.md"
    given = ["--structures", *map(str, paths(run, "structure")), "--foldings", *map(str, paths(run, "folding"))]
    main(["structures", *given, "--runs", "a/dense", "a/sparse", "--csv", str(csv), "--markdown", str(markdown)])
    rows = pd.read_csv(csv, keep_default_na=False)
    assert rows[["run", "layer"]].values.tolist() == [["a/dense", 1], ["a/dense", 2], ["a/sparse", 1], ["a/sparse", 2]]
    dense, sparse = rows[rows["run"] == "a/dense"], rows[rows["run"] == "a/sparse"]
    assert dense["method"].unique().tolist() == ["dense"]
    assert sparse["groups"].unique().tolist() == ["weights+gates+neurons+vocabulary"]
    assert dense["compression"].unique().tolist() == [1]
    assert dense[[f"reading_{gate}" for gate in GATES]].values.tolist() == [[5] * 4, [7] * 4]
    assert (dense["folded_weights"] == dense["weights"]).all()
    parameters, _, state = run.load("sparse3")
    assert sparse["perplexity"].iloc[0] == pytest.approx(math.exp(state["dev_loss"]), rel=1e-4)
    nonzero = sum(int(value.count_nonzero()) for value in parameters.values() if value.dim() > 1)
    assert sparse["weights_left"].iloc[0] <= nonzero
    weights = sum(value.numel() for value in parameters.values() if value.dim() > 1)
    assert sparse["compression"].iloc[0] == pytest.approx(weights / sparse["weights_left"].iloc[0])
    text = markdown.read_text().splitlines()
    assert text[2].startswith("| a/dense | dense | 1 | ")
    assert f"| 5 of 5; 7 of 7 | 5 + 5 + 5 + 5; 7 + 7 + 7 + 7 | 48 | 48 | {weights:,} |" in text[2]
    assert len({line.count("|") for line in text[:4]}) == 1


def test_the_figure_draws_every_gate_of_the_structures(run):
    table = figure.table(paths(run, "structure"), ["a/dense", "a/sparse"])
    assert len(table) == 2 * 4 * (5 + 7)
    assert set(table[table["run"] == "a/dense"]["status"]) == {"reads its input"}
    found = files.read_json(paths(run, "structure")[1], [])["structures"][0]
    for row in table[table["run"] == "a/sparse"].itertuples():
        layer = found["layers"][row.layer - 1]
        assert figure.STATUS[layer["status"][row.gate][row.neuron]] == row.status
        assert (layer["low"][row.gate][row.neuron], layer["high"][row.gate][row.neuron]) == (row.low, row.high)
    stem = run.folder / "drawn"
    names = ["--runs", "a/dense", "a/sparse", "--output", str(stem)]
    main(["draw", "structure", "--structures", *map(str, paths(run, "structure")), *names])
    assert stem.with_suffix(".png").stat().st_size > 1000
    drawn = pd.read_csv(stem.with_suffix(".csv"))
    assert len(drawn) == len(table)


def namespace(run, **changes):
    parameters, state = run.paths("sparse3")
    small = run.paths("sparse3-folded")
    given = {"parameters": [parameters], "state": [state], "folded_parameters": [small[0]], "folded_state": [small[1]]}
    given |= {"tokens": run.folder / "dev.npy", "batch": 4, "window": 7, "timed_tokens": 2}
    return argparse.Namespace(**{**given, "output": run.folder / "out.json", **changes})


def test_what_does_not_belong_together_is_refused(run):
    other = run.paths("dense1-folded")
    with pytest.raises(UserError, match="not folded from"):
        folding.run(namespace(run, folded_parameters=[other[0]], folded_state=[other[1]]))
    with pytest.raises(UserError, match=r"1 \+ 1 \+ 0 \+ 1 files"):
        folding.run(namespace(run, folded_parameters=[]))
    with pytest.raises(UserError, match="1 structures, 2 foldings and 1 runs"):
        structures.table(paths(run, "structure")[:1], paths(run, "folding"), ["a/b"])
    with pytest.raises(UserError, match="2 structures and 1 runs"):
        figure.table(paths(run, "structure"), ["a/b"])


def test_a_folded_model_that_differs_is_refused(streams):
    model, tensors = sparsified(4, dtype=torch.float32)
    small = fold.folded(model, structure.settled(structure.masks_of(model, tensors, SETTINGS)))
    assert folding.measured(model, small, streams, 2)["difference"] < 1e-5
    with torch.no_grad():
        small.output.bias[3] += 0.01
    with pytest.raises(UserError, match="the folded model's logits differ by"):
        folding.measured(model, small, streams, 2)


def test_other_cells_are_refused(tmp_path):
    from natural_sparsity.model import checkpoint

    model = LanguageModel(WORDS, Architecture(3, [4], cell="gru"))
    state = {"epoch": 1, "seed": 1, "learning_rate_out": 1, "best_dev_loss": 1, "steps": 1, "tokens": 1}
    given = [tmp_path / "p.safetensors", tmp_path / "s.json"]
    checkpoint.save(model, *given, state)
    with pytest.raises(UserError, match="its cell is gru; only an LSTM can be folded"):
        fold.run(argparse.Namespace(from_parameters=given[0], from_state=given[1], parameters=None, state=None))
