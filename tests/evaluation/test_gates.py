"""Counting what an LSTM has left: what is called constant is constant, and what is called removed is not read."""

import numpy as np
import pytest
import torch

from chains import CPU, KINDS, VOCABULARY, Chain, call, language_model
from natural_sparsity import files
from natural_sparsity.data.base import open_data
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import fold, structure
from natural_sparsity.evaluation.structure import Masks
from natural_sparsity.evaluation.subject import Subject
from natural_sparsity.methods import sparse_vd
from natural_sparsity.model import checkpoint
from natural_sparsity.model.gates import CONSTANT, GATES, READING, REMOVED
from natural_sparsity.model.recurrent import Interface

WORDS, EMBEDDING, HIDDEN = 12, 5, [6, 4]
LSTM = {"hidden": [5, 7], "cell": "lstm", "dropout": 0.0}
SETTINGS = {"method": "sparse_vd", "groups": ["weights", "gates", "neurons", "vocabulary"], "threshold": 3}
SPARSE = {**SETTINGS, "learning_rate": 0.03, "clip": 10.0, "dropout": 0.0}


def new_state(**fields):
    """A state with every field that a checkpoint must have."""
    return {**dict.fromkeys(checkpoint.FIELDS, 0), "kind": "text", "block": {}, "sparsify": {}, **fields}


def all_kept(words=WORDS, embedding=EMBEDDING, hidden=HIDDEN, classes=None):
    def ones(*shape):
        return torch.ones(*shape, dtype=torch.bool)

    widths = [embedding, *hidden]
    return Masks(
        ones(words, embedding),
        ones(hidden[0], 0),
        [ones(4 * n, m) for m, n in zip(widths, hidden, strict=False)],
        [ones(4 * n, n) for n in hidden],
        ones(classes or words, hidden[-1]),
        ones(words),
        ones(embedding),
        [ones(n) for n in hidden],
        [ones(4 * n) for n in hidden],
    )


def sparsified(seed=0, share=0.25, dtype=torch.float64, hidden=HIDDEN):
    """A model with variables of which some are removed, and the same in its effective parameters."""
    torch.manual_seed(seed)
    model = language_model(WORDS, embedding=EMBEDDING, hidden=hidden, dropout=0.0).to(dtype)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.uniform_(-2, 2) if "bias" in name else parameter.normal_()
    tensors = sparse_vd.begin(SETTINGS, model)
    for name in sparse_vd.count_groups(SETTINGS, model):
        tensors[sparse_vd.MEAN + name].mul_(torch.rand_like(tensors[sparse_vd.MEAN + name]) + 0.5)
    for name, tensor in tensors.items():
        if name.startswith(sparse_vd.LOG_SIGMA):
            tensor[torch.rand_like(tensor) < share] = 8.0
    with torch.no_grad():
        for name, value in sparse_vd.effective(tensors, 3).items():
            model.get_parameter(name).copy_(value)
    return model, tensors


def subject_of(tmp_path, model, tensors):
    """The model with its variables, as if read from a checkpoint."""
    state = new_state(sparsify=SETTINGS)
    return Subject(tmp_path, model, state, tensors, open_data("text", {}))


def logits(model, tokens):
    with torch.no_grad():
        state = [tuple(part.to(model.output.weight) for part in layer) for layer in model.zero_state(tokens.shape[1])]
        return model.output(model.eval()(tokens, state)[1])


TOKENS = torch.randint(WORDS, (15, 4), generator=torch.Generator().manual_seed(1))


def test_compression_is_counted_as_the_authors_do():
    """Their log of IMDb, W+G+N: 304 + 6 + 20 + 7 weights left of those of embedding, LSTM and output."""
    masks = all_kept(20003, 300, [128], 1)
    for mask, kept in ((masks.embedding, 304), (masks.input[0], 6), (masks.recurrent[0], 20), (masks.output, 7)):
        mask.flatten()[kept:] = False
    assert masks.count_all() == 6_220_164
    assert masks.count_all() / masks.count_kept() == pytest.approx(18457.5, abs=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_compression_of_a_single_pass_is_that_of_the_authors_rules(seed, split, tmp_path):
    """Written out for one layer with numpy: a gate's own variable removes none of the weights that lead into it."""
    model, tensors = sparsified(seed, hidden=[6])
    with torch.no_grad():
        subject = subject_of(tmp_path, model.float(), {name: tensor.float() for name, tensor in tensors.items()})
    measured = structure.measure_structure(subject, split)
    kept = {name: mask.numpy() for name, mask in sparse_vd.kept(subject.tensors, 3).items()}
    words, inputs = kept["embedding.weight"], kept["recurrent.0.weight_ih_l0"]
    recurrent, outputs = kept["recurrent.0.weight_hh_l0"], kept["output.weight"]
    voc = kept["vocabulary"]
    units = words.any(0) & inputs.any(0) & kept["neurons.embedding"]
    neurons = (recurrent.any(0) | outputs.any(0)) & kept["neurons.0"]
    rows = np.tile(neurons, 4)
    left = (words[voc][:, units], inputs[rows][:, units], recurrent[rows][:, neurons], outputs[:, neurons])
    total = sum(matrix.size for matrix in (words, inputs, recurrent, outputs))
    assert measured["compression_single_pass"] == pytest.approx(total / sum(part.sum() for part in left))
    # A gate is dropped whose weights are kept: ours leaves them out, so our compression is higher.
    assert (~kept["gates.0"] & inputs.any(1)).any()
    assert measured["compression"] > measured["compression_single_pass"]


def test_a_gate_that_reads_only_the_dead_is_constant_in_the_end_but_not_after_one_pass():
    """Neuron 5 is read by gate f of neuron 0 alone, and has been removed; that gate reads nothing else."""
    masks = all_kept()
    row = 1 * 6 + 0
    masks.input[0][row] = masks.recurrent[0][row] = False
    masks.recurrent[0][row, 5] = True
    masks.neurons[0][5] = False
    once = structure.find_reading_gates(masks, structure.remove_dead_once(masks).neurons)
    left = structure.remove_dead(masks)
    gates = structure.find_reading_gates(left, left.neurons)
    assert bool(once[0][row])
    assert not gates[0][row]
    assert int(once[0].sum()) == int(gates[0].sum()) + 1 == 20


def test_a_removed_neuron_can_take_others_with_it():
    """Unit 2 of the embedding is read by neuron 3 alone, neuron 3 by the layer above alone, there by a removed one."""
    masks = all_kept()
    masks.input[0][:, 2] = False
    masks.input[0][[3 + 6 * gate for gate in range(4)], 2] = True
    masks.recurrent[0][:, 3] = False
    masks.input[1][:, 3] = False
    masks.input[1][1, 3] = True
    masks.neurons[1][1] = False
    left = structure.remove_dead(masks)
    assert [int(n.sum()) for n in left.neurons] == [5, 3]
    assert int(left.units.sum()) == 4
    assert left.count_kept() == WORDS * 4 + 20 * 4 + 20 * 5 + 12 * 5 + 12 * 3 + WORDS * 3


@pytest.mark.parametrize("seed", range(6))
def test_what_is_left_gives_the_same_outputs_and_is_counted_within_bounds(seed):
    model, tensors = sparsified(seed, share=0.1 + 0.12 * seed)
    masks = structure.read_masks(model, tensors, SETTINGS)
    left = structure.remove_dead(masks)
    single_pass = structure.find_reading_gates(masks, structure.remove_dead_once(masks).neurons)
    for gates, once, neurons in zip(
        structure.find_reading_gates(left, left.neurons), single_pass, left.neurons, strict=True
    ):
        assert int(gates.sum()) <= 4 * int(neurons.sum())
        assert int(gates.sum()) <= int(once.sum())
        assert not (gates & ~once).any()
    expected = logits(model, TOKENS)
    small = fold.fold(model, left)
    torch.testing.assert_close(logits(small, TOKENS), expected, atol=1e-10, rtol=1e-10)
    assert small.architecture.embedding == max(1, int(left.units.sum()))
    assert small.architecture.hidden == [max(1, int(kept.sum())) for kept in left.neurons]
    assert sum(int(p.count_nonzero()) for p in small.parameters() if p.dim() > 1) == left.count_kept()


@pytest.mark.parametrize("hidden", [[6], [6, 4, 5]], ids=str)
def test_any_number_of_layers_is_counted_and_folded(hidden):
    model, tensors = sparsified(1, hidden=hidden)
    left = structure.remove_dead(structure.read_masks(model, tensors, SETTINGS))
    assert left.count_kept() < left.count_all()
    torch.testing.assert_close(logits(fold.fold(model, left), TOKENS), logits(model, TOKENS), atol=1e-10, rtol=1e-10)


def test_a_model_of_which_nothing_is_left_can_be_folded():
    model, tensors = sparsified(share=1.1)
    left = structure.remove_dead(structure.read_masks(model, tensors, SETTINGS))
    assert left.count_kept() == 0
    small = fold.fold(model, left)
    assert (small.architecture.embedding, small.architecture.hidden) == (1, [1, 1])
    torch.testing.assert_close(logits(small, TOKENS), logits(model, TOKENS))


def test_without_variables_what_is_zero_is_removed():
    model, _ = sparsified()
    masks = structure.read_masks(model, {}, {})
    names = ("recurrent.0.weight_hh_l0", "recurrent.1.weight_hh_l0")
    for mask, name in zip(masks.recurrent, names, strict=True):
        assert torch.equal(mask, model.get_parameter(name) != 0)
    left = structure.remove_dead(masks)
    torch.testing.assert_close(logits(fold.fold(model, left), TOKENS), logits(model, TOKENS))
    variables = structure.remove_dead(structure.read_masks(*sparsified(), SETTINGS))
    assert left.count_kept() == variables.count_kept()


@pytest.fixture
def split(tmp_path):
    tokens = np.random.default_rng(0).integers(0, WORDS, 400)
    files.write_array(tmp_path / "test.npy", tokens.astype(np.uint8))
    interface = Interface(outputs=WORDS, vocabulary=WORDS)
    return open_data("text", {}).split("test", tmp_path / "test.npy", 4, 7, interface)


def test_a_constant_gate_is_constant_on_data_and_another_is_not(split, tmp_path):
    model, tensors = sparsified(2, dtype=torch.float32)
    described = structure.measure_structure(subject_of(tmp_path, model, tensors), split)
    seen = {REMOVED: 0, CONSTANT: 0, READING: 0}
    for layer, module in zip(described["layers"], model.recurrent, strict=True):
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


def test_the_ranges_are_those_of_an_lstm_written_out(split):
    """h = o · tanh(c), c = f · c + i · g, word by word, where the command carries the state from window to window."""
    model, _ = sparsified(3, dtype=torch.float32)
    seen = [[], []]
    h = [torch.zeros(4, n) for n in HIDDEN]
    c = [torch.zeros(4, n) for n in HIDDEN]
    with torch.no_grad():
        for batch in split.batches(CPU):
            for words in batch.inputs:
                x = model.embedding(words)
                for k, layer in enumerate(model.recurrent):
                    p = x @ layer.weight_ih_l0.T + h[k] @ layer.weight_hh_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
                    i, f, g, o = p.chunk(4, 1)
                    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
                    c[k] = f * c[k] + i * g
                    x = h[k] = o * c[k].tanh()
                    seen[k].append(torch.cat([i, f, g, o], 1))
    ranges = structure.measure_gate_ranges(model, open_data("text", {}), split)
    for (low, high), values in zip(ranges, seen, strict=True):
        torch.testing.assert_close(low, torch.cat(values).amin(0), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(high, torch.cat(values).amax(0), atol=1e-5, rtol=1e-5)


def test_a_gate_that_is_said_to_be_constant_and_moves_is_an_error(split, tmp_path, monkeypatch):
    model, tensors = sparsified(2, dtype=torch.float32)
    masks = structure.read_masks(model, tensors, SETTINGS)
    left = structure.remove_dead(masks)
    k = int(torch.nonzero(structure.find_reading_gates(left, left.neurons)[0] & left.neurons[0].repeat(4))[0])
    masks.gates[0][k] = False
    monkeypatch.setattr(structure, "read_masks", lambda *_: masks)
    with pytest.raises(UserError, match=rf"layer 1, neuron {k % 6}: no weight leads into gate {GATES[k // 6]}, but"):
        structure.measure_structure(subject_of(tmp_path, model, tensors), split)


def test_other_cells_are_refused(tmp_path):
    model = language_model(WORDS, embedding=3, hidden=[4], cell="gru")
    checkpoint.save(tmp_path / "gru", model, new_state())
    with pytest.raises(UserError, match="its cell is gru; only an LSTM has gates to count"):
        call(structure, checkpoint=tmp_path / "gru", output=tmp_path / "structure.json")
    with pytest.raises(UserError, match="its cell is gru; only an LSTM can be folded"):
        call(fold, **{"from": tmp_path / "gru"}, checkpoint=tmp_path / "folded")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_has_its_structure(tmp_path, kind):
    """After sparse variational dropout: which word, unit, neuron and weight is left, and the ranges of the gates."""
    chain = Chain(tmp_path, kind, architecture=LSTM)
    settings = SPARSE if chain.has_files else {**SPARSE, "groups": ["weights", "gates", "neurons"]}
    chain.initialise()
    chain.start("sparse0", "dense0", None, **settings)
    chain.train("sparse0", "sparse1", "sparse2", **settings)
    output = tmp_path / "structure.json"
    call(structure, checkpoint=chain.path("sparse2"), test=chain.split_file("test"), output=output)
    described = files.read_json(output)
    evaluation = chain.evaluate("sparse2")
    for key in ("data", "model", "seed", "epoch", "kind", "cell", "sparsify", "measure", "digits", "checkpoint"):
        assert described[key] == evaluation[key]
    for key in ("loss", "score", "weights"):
        assert described[key] == pytest.approx(evaluation[key])
    assert described["weights_left"] <= evaluation["nonzero"]
    counted = [layer["weights_left"][side] for layer in described["layers"] for side in ("input", "recurrent")]
    assert described["weights_left"] == sum(counted) + described["embedding_left"] + described["output_left"]
    assert described["words"] == (VOCABULARY if chain.has_files else 0)
    assert described["units"] == (6 if chain.has_files else 2)
    if not chain.has_files:
        assert described["units_left"] == 2, "the data's inputs are given"
    assert [layer["neurons"] for layer in described["layers"]] == [5, 7]


def test_gates_of_texts_are_watched_on_words_alone(tmp_path):
    """Behind a text's last word, where nothing reads, they would still move."""
    chain = Chain(tmp_path, "classification")
    chain.initialise()
    chain.train("dense0", "dense1")
    (model, _), data = chain.open("dense1"), chain.open_data()
    seen = []
    for row in files.read_array(chain.split_file("test"), ndim=2):
        words = torch.from_numpy(row[1:][row[1:] != 0].astype(np.int64))[:, None]
        outputs, _, _ = model.eval()(words, model.zero_state(1))
        gates = structure.compute_gates(model.recurrent[0], outputs[0], outputs[1], torch.zeros(1, 1, 5))
        seen.append(gates[:, 0].detach())
    split = data.split("test", chain.split_file("test"), 10, 1, model.interface)
    low, high = structure.measure_gate_ranges(model, data, split)[0]
    torch.testing.assert_close(low, torch.cat(seen).amin(0))
    torch.testing.assert_close(high, torch.cat(seen).amax(0))
