"""The probe against brute-force autograd through the whole model, position by position and word by word."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from chains import Chain, call, language_model
from natural_sparsity import files
from natural_sparsity.config.probe import Probe
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.probing import probe
from natural_sparsity.probing.gathering import Gathering, WordSums, tensor_names, to_terms
from natural_sparsity.probing.measures import choose, measure
from natural_sparsity.probing.static import STATIC, measure_static
from natural_sparsity.probing.windows import probe_window
from natural_sparsity.registry import MEASURES

VOCABULARY, STEPS, BATCH = 31, 7, 4
RUN = {"data": "mine", "model": "small"}


def small_model(dtype, hidden=(6, 5), seed=4, cell="lstm"):
    torch.manual_seed(seed)
    model = language_model(VOCABULARY, embedding=8, hidden=list(hidden), dropout=0.2, cell=cell).to(dtype)
    with torch.no_grad():  # away from the initial values, where p is nearly uniform
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return model.eval()


def brute_force(model, inputs, targets, state):
    """Every tensor at every position, by autograd through embedding, LSTM, LSTM, linear and softmax."""
    with torch.enable_grad():
        e = model.embedding(inputs)
        tensors, layer_input, states = [e], e, []
        for layer, layer_state in zip(model.recurrent, state, strict=True):
            of_lstm = model.architecture.cell == "lstm"
            layer_input, last = layer(layer_input, layer_state if of_lstm else layer_state[0])
            tensors.append(layer_input)
            states.append(tuple(part.detach() for part in (last if of_lstm else (last,))))
        logits = model.output(layer_input)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        gradients = torch.autograd.grad(loss, [*tensors, logits])
    return [*tensors, torch.softmax(logits, -1), *gradients], states


CHOSEN = choose(MEASURES, Probe())


class Record(Gathering):
    """Keeps the values of the last window."""

    def add(self, seen):
        self.values = seen

    def see_window(self, observation):
        return self.measure_window(observation)


def by_definition(vectors):
    """ℓ1, ℓ2 and every measure of each row; test_measures.py shows that the measures are what they should be."""
    return measure(torch.as_tensor(vectors, dtype=torch.float64), CHOSEN).numpy()


@pytest.mark.parametrize(("hidden", "cell"), [((6, 5), "lstm"), ((6,), "rnn"), ((6, 5, 4), "gru"), ((5, 6), "rnn")])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["f64", "f32"])
def test_every_tensor_position_by_position(dtype, tolerance, hidden, cell):
    model = small_model(dtype, hidden, cell=cell)
    exact = small_model(dtype, hidden, cell=cell).double()
    output, record = OutputLayer(model.output), Record(model, CHOSEN)
    state, exact_state = model.zero_state(BATCH), exact.zero_state(BATCH)
    torch.manual_seed(2)
    for _ in range(2):  # the second window starts from a carried state
        inputs, targets = torch.randint(VOCABULARY, (2, STEPS, BATCH))
        with torch.no_grad():
            state = probe_window(model, output, record, inputs, targets, state)
        expected, exact_state = brute_force(exact, inputs, targets, exact_state)
        measured = record.values
        assert measured.shape == (STEPS * BATCH, len(tensor_names(len(hidden))), 2 + len(CHOSEN))
        for i, (name, tensor) in enumerate(zip(tensor_names(len(hidden)), expected, strict=True)):
            exact_values = by_definition(tensor.detach().flatten(0, 1))
            for column, one in enumerate(["l1", "l2", *CHOSEN]):
                np.testing.assert_allclose(
                    measured[:, i, column], exact_values[:, column], rtol=tolerance * 10, err_msg=f"{one} of {name}"
                )


@pytest.fixture
def run_probe(tmp_path):
    """Run the command on a stream of 83 tokens and checkpoints of epochs; return the tables and the stream."""

    def run(settings, *epochs):
        tokens = np.random.default_rng(3).integers(VOCABULARY, size=83).astype(np.uint8)
        files.write_array(tmp_path / "train.npy", tokens, {"split": "train", "vocabulary": 0})
        for epoch in epochs:
            state = dict.fromkeys(checkpoint.FIELDS, 0) | {"kind": "text", "epoch": epoch, "seed": 9, **RUN}
            checkpoint.save(tmp_path / f"epoch{epoch}", small_model(torch.float32, seed=epoch), state)
        outputs = [tmp_path / f"{epoch}.parquet" for epoch in epochs]
        given = {"tokens": tmp_path / "train.npy", "checkpoint": [tmp_path / f"epoch{epoch}" for epoch in epochs]}
        block = {"batch": BATCH, "window": STEPS, **settings}
        call(probe, **given, probe=block, condition="mine", device="cpu", output=outputs)
        return [pd.read_parquet(path) for path in outputs], tokens

    return run


def test_table_equals_a_loop_over_positions(run_probe, tmp_path):
    (table,), tokens = run_probe({"dropout": False, "measures": list(MEASURES)}, 4)
    table = table[table["tensor"] != STATIC]
    model = small_model(torch.float32).double()
    values = defaultdict(list)
    length = len(tokens) // BATCH
    columns = torch.from_numpy(tokens[: length * BATCH].astype(np.int64)).view(BATCH, length).T
    state = model.zero_state(BATCH)
    for start in range(0, length - 1, STEPS):
        inputs, targets = columns[start : start + STEPS + 1][:-1], columns[start : start + STEPS + 1][1:]
        tensors, state = brute_force(model, inputs, targets, state)
        for name, tensor in zip(tensor_names(2), tensors, strict=True):
            for step in range(len(inputs)):
                for stream in range(BATCH):
                    vector = tensor[step, stream].detach().numpy()
                    values["target", int(targets[step, stream]), name].append(vector)
                    values["input", int(inputs[step, stream]), name].append(vector)
    assert len(table) == len(values)
    for row in table.itertuples():
        vectors = np.array(values[row.role, row.id, row.tensor])
        l1, l2, *measured = by_definition(vectors).T
        assert row.count == len(vectors)
        assert row.zeros == 0
        assert row.l1_mean == pytest.approx(l1.mean(), rel=1e-4)
        assert row.l2_mean == pytest.approx(l2.mean(), rel=1e-4)
        for name, one in zip(CHOSEN, measured, strict=True):
            assert getattr(row, f"{name}_mean") == pytest.approx(one.mean(), rel=1e-4), name
            assert getattr(row, f"{name}_variance") == pytest.approx(one.var(), rel=1e-3, abs=1e-6), name
    metadata = files.read_metadata(tmp_path / "4.parquet")
    assert (metadata["epoch"], metadata["seed"], metadata["condition"]) == (4, 9, "mine")
    assert {key: metadata[key] for key in RUN} == RUN
    assert metadata["measures"] == list(MEASURES)
    assert metadata["positions"] == (length - 1) * BATCH


@torch.no_grad()
def losses_by_position(model, tokens, batch):
    """The loss at each position and its two words, from one pass over whole streams: ``target, input, loss``."""
    length = len(tokens) // batch
    columns = torch.from_numpy(tokens[: length * batch].astype(np.int64)).view(batch, length).T
    hidden = model.embedding(columns[:-1])
    for layer in model.recurrent:
        hidden, _ = layer(hidden)
    predicted = torch.log_softmax(model.output(hidden), -1)
    losses = -predicted.gather(2, columns[1:, :, None]).flatten()
    return pd.DataFrame({"target": columns[1:].flatten(), "input": columns[:-1].flatten(), "loss": losses})


def test_surprisal_is_the_mean_loss_at_the_words_positions(run_probe):
    (table,), tokens = run_probe({}, 4)
    positions = losses_by_position(small_model(torch.float32).double(), tokens, BATCH)
    for role in ("target", "input"):
        expected = positions.groupby(role)["loss"].mean()
        for tensor, rows in table[table["role"] == role].groupby("tensor", observed=True):
            assert rows["id"].tolist() == expected.index.tolist(), tensor
            np.testing.assert_allclose(rows["surprisal_mean"], expected, rtol=1e-5, err_msg=f"{role} {tensor}")


def test_the_static_gradient_is_that_of_the_stream_as_a_bag_of_words(run_probe):
    (table,), tokens = run_probe({"measures": list(MEASURES)}, 4)
    weight = small_model(torch.float32).output.weight.detach().double().numpy()
    length = len(tokens) // BATCH
    targets = tokens[: length * BATCH].reshape(BATCH, length)[:, 1:].ravel().tolist()
    mean = sum(weight[target] for target in targets) / len(targets)
    rows = table[table["tensor"] == STATIC]
    assert rows["id"].tolist() == sorted(set(targets))
    assert set(rows["role"]) == {"target"}
    for row in rows.itertuples():
        vector = mean - weight[row.id]
        l1, l2 = np.abs(vector).sum(), np.sqrt((vector**2).sum())
        assert (row.count, row.zeros) == (targets.count(row.id), 0)
        assert (row.l1_mean, row.l2_mean, row.chi_mean) == pytest.approx((l1, l2, l2 / l1), rel=1e-12)
        assert [getattr(row, f"{name}_variance") for name in MEASURES] == [0] * len(MEASURES)
        (exact,) = by_definition(vector[None])
        assert [getattr(row, f"{name}_mean") for name in MEASURES] == pytest.approx(exact[2:].tolist(), rel=1e-12)


def test_the_static_gradient_in_blocks_is_that_of_one(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    weight, counts = torch.randn(50, 9, generator=generator), torch.randint(3, (50,), generator=generator)
    words = counts.nonzero().flatten()
    whole = measure_static(weight, counts, words, CHOSEN)
    monkeypatch.setattr("natural_sparsity.probing.static.BLOCK_ROWS", 7)
    torch.testing.assert_close(measure_static(weight, counts, words, CHOSEN), whole, rtol=1e-12, atol=0)


def test_a_static_gradient_of_zero_has_no_measures(run_probe, monkeypatch):
    """As where a method removed every weight of the output layer."""
    model = small_model(torch.float32)
    monkeypatch.setattr("test_probe.small_model", lambda *_, **__: model)
    with torch.no_grad():
        model.output.weight.zero_()
    (table,), _ = run_probe({}, 4)
    rows = table[table["tensor"] == STATIC]
    assert rows["zeros"].equals(rows["count"])
    assert rows[["chi_mean", "chi_variance"]].isna().all(axis=None)
    assert (rows["l1_mean"] == 0).all()


def test_dropout_is_off_unless_asked_for_and_then_depends_on_the_seed_alone(run_probe):
    frozen = run_probe({"dropout": False}, 4)[0][0]
    dropped = run_probe({"dropout": True}, 4)[0][0]
    pd.testing.assert_frame_equal(dropped, run_probe({"dropout": True}, 4)[0][0])
    assert not frozen["chi_mean"].equals(dropped["chi_mean"])
    pd.testing.assert_frame_equal(frozen, run_probe({}, 4)[0][0])


def test_checkpoints_in_one_process_equal_one_each_byte_for_byte(run_probe, tmp_path):
    together = [frame["chi_mean"] for frame in run_probe({"dropout": True}, 1, 2, 3)[0]]
    written = [(tmp_path / f"{epoch}.parquet").read_bytes() for epoch in (1, 2, 3)]
    assert not together[0].equals(together[1])
    for epoch in (3, 1, 2):
        run_probe({"dropout": True}, epoch)
        assert (tmp_path / f"{epoch}.parquet").read_bytes() == written[epoch - 1]


@pytest.mark.parametrize("hidden", [[5], [5, 7], [5, 4, 6]], ids=str)
def test_the_untrained_model_is_probed_at_any_depth(tmp_path, hidden):
    """Its softmax is nearly uniform, so that χ of x̂ is near its least value, 1/√vocabulary."""
    chain = Chain(tmp_path, architecture={"hidden": hidden})
    chain.initialise()
    output = tmp_path / "probe.parquet"
    given = {"tokens": chain.split_file("dev"), "checkpoint": chain.path("dense0"), "output": output}
    with pytest.raises(UserError, match=r"dev\.npy: its split is 'dev', expected 'train'"):
        call(probe, **given, probe={"batch": 4})
    call(probe, **given, probe={"batch": 4, "split": "dev"})
    table, metadata = pd.read_parquet(output), files.read_metadata(output)
    assert (metadata["data"], metadata["model"], metadata["seed"], metadata["epoch"]) == ("d", "m", 3, 0)
    assert list(table["tensor"].cat.categories) == [*tensor_names(len(hidden)), STATIC]
    assert metadata["loss"] == pytest.approx(np.log(60), abs=0.1)
    chi = table[(table["tensor"] == "x") & (table["role"] == "target")]["chi_mean"]
    assert chi.between(60**-0.5, 1.05 * 60**-0.5).all()


def test_every_checkpoint_needs_its_output_and_its_name():
    with pytest.raises(UserError, match=r"2 --checkpoint, 1 --output: give one of each for every checkpoint"):
        call(probe, tokens="t", probe={}, checkpoint=["a", "b"], output=["a"])
    with pytest.raises(UserError, match=r"2 --checkpoint, 2 --output, 1 --named: give one of each"):
        call(probe, tokens="t", probe={}, checkpoint=["a", "b"], output=["a", "b"], named=["init"])
    with pytest.raises(UserError, match="--output: .*/a is given twice; give each output a path of its own"):
        call(probe, tokens="t", probe={}, checkpoint=["a", "b"], output=["a", "b/../a"])


@pytest.fixture
def probe_at(tmp_path):
    """Probe a checkpoint that says this of its time, under a name; return the metadata."""

    def run(epoch, steps, named=None):
        tokens = np.random.default_rng(3).integers(VOCABULARY, size=83).astype(np.uint8)
        files.write_array(tmp_path / "train.npy", tokens, {"split": "train", "vocabulary": 0})
        state = dict.fromkeys(checkpoint.FIELDS, 0) | {"kind": "text", "epoch": epoch, "steps": steps, **RUN}
        checkpoint.save(tmp_path / "it", small_model(torch.float32), {**state, "examples": 140 * steps})
        given = {"tokens": tmp_path / "train.npy", "checkpoint": tmp_path / "it", "output": tmp_path / "it.parquet"}
        call(probe, **given, probe={"batch": BATCH, "window": STEPS}, device="cpu", named=named)
        return files.read_metadata(tmp_path / "it.parquet")

    return run


@pytest.mark.parametrize(("epoch", "steps", "name"), [(0, 0, "init"), (0, 64, "step64"), (3, 300, "epoch3")])
def test_a_probe_says_when_in_training_its_checkpoint_was_saved(probe_at, tmp_path, epoch, steps, name):
    about = probe_at(epoch, steps, name)
    assert [about[key] for key in ("checkpoint", "epoch", "steps", "examples")] == [name, epoch, steps, 140 * steps]
    assert about["checkpoints"] == {name: checkpoint.read_state(tmp_path / "it")["parameters"]}


@pytest.mark.parametrize(
    ("epoch", "steps", "named", "line"),
    [
        (0, 0, "step1", "it: its checkpoint is 'init', expected 'step1'"),
        (0, 64, "init", "it: its checkpoint is 'step64', expected 'init'"),
        (0, 64, "step32", "it: its checkpoint is 'step64', expected 'step32'"),
        (3, 300, "epoch4", "it: its checkpoint is 'epoch3', expected 'epoch4'"),
    ],
    ids=str,
)
def test_a_checkpoint_by_another_name_is_refused(probe_at, tmp_path, epoch, steps, named, line):
    with pytest.raises(UserError, match=line):
        probe_at(epoch, steps, named)
    assert not (tmp_path / "it.parquet").exists()


def test_only_what_is_chosen_is_written_and_other_measures_change_nothing(run_probe):
    alone = run_probe({}, 4)[0][0]
    assert [column for column in alone if column.endswith(("mean", "variance"))] == [
        "surprisal_mean",
        "chi_mean",
        "chi_variance",
        "l1_mean",
        "l2_mean",
    ]
    pd.testing.assert_frame_equal(run_probe({"measures": ["gini", "l0", "chi"]}, 4)[0][0][alone.columns], alone)


def test_zero_vectors_are_counted_and_left_out():
    sums = WordSums(3, ["h_e"], ["chi"], torch.device("cpu"))
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    values = measure(vectors, choose(["chi"], None))
    sums.add(torch.tensor([1, 1, 1, 2]), to_terms(values[:, None]), torch.zeros(4, dtype=torch.float64))
    table = sums.table("target").set_index("id")
    assert table.loc[1, ["count", "zeros"]].tolist() == [3, 1]
    assert table.loc[1, "chi_mean"] == pytest.approx((5 / 7 + 1) / 2)
    assert table.loc[1, "l1_mean"] == pytest.approx((7 + 0 + 1) / 3)
    assert np.isnan(table.loc[2, "chi_mean"])
    assert table.loc[2, "zeros"] == 1
