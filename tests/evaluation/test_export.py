"""Exported models: what the files hold, that they load again, and that ONNX runs without this package."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import safetensors.torch
import torch
from test_gates import SPARSE

import natural_sparsity
import natural_sparsity as ns
from chains import KINDS, VOCABULARY, Chain, call
from natural_sparsity import cli, files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import export, fold
from natural_sparsity.methods import qat
from natural_sparsity.methods.masks import prunable
from natural_sparsity.model import checkpoint, exported

QAT = {"method": "qat", "bits": 3, "scope": "channel", "family": "three", "role": "qat"}
# Runs a model on inputs and prints the outputs, in a process that has neither torch nor this package.
RUNNER = """
import json, sys
import numpy as np, onnxruntime
path, feed = sys.argv[1], json.load(sys.stdin)
session = onnxruntime.InferenceSession(path)
types = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
feed = {value.name: np.array(feed[value.name], types[value.type]) for value in session.get_inputs()}
names = [value.name for value in session.get_outputs()]
assert not {"torch", "natural_sparsity"} & set(sys.modules)
print(json.dumps({name: value.tolist() for name, value in zip(names, session.run(None, feed))}))
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A dense model, one trained in three bits, and one from which units and words are removed."""
    chain = Chain(tmp_path_factory.mktemp("export"))
    chain.initialise()
    chain.train("dense0", "dense1")
    chain.start("three0", "dense1", None, **QAT)
    chain.train("three0", "three1", **QAT)
    chain.start("sparse0", "dense1", None, **SPARSE)
    chain.train("sparse0", "sparse1", "sparse2", **SPARSE)
    # As if training had removed units and words: nothing reads the units, and the words have no weights.
    model, state = chain.open("dense1")
    with torch.no_grad():
        model.recurrent[0].weight_hh_l0[:, 1:3] = model.recurrent[1].weight_ih_l0[:, 1:3] = 0
        model.embedding.weight[5:50] = 0
    checkpoint.save(chain.path("pruned"), model, state)
    return chain


def write(chain, name, **options):
    """Export a checkpoint; the folder."""
    folder = chain.folder / f"{name}-{'-'.join(map(str, [*options, *options.values()]))}"
    call(export, checkpoint=chain.path(name), output=folder, **options)
    return folder


def compute(model, words, state):
    """The logits of a checkpoint's model."""
    with torch.no_grad():
        return model.output(model.eval()(words, state)[1])


def draw_words():
    return torch.randint(VOCABULARY, (9, 4), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("options", "folded", "rounded"),
    [
        ({}, False, None),
        ({"fold": True}, True, None),
        ({"int8": True}, False, "int8"),
        ({"fold": True, "bits": 4}, True, {"bits": 4, "scope": "channel"}),
        ({"bits": 3, "scope": "tensor"}, False, {"bits": 3, "scope": "tensor"}),
    ],
)
def test_the_header_says_what_the_export_changed(chain, options, folded, rounded):
    about = ns.load(write(chain, "dense1", **options)).about
    assert (about["folded"], about["rounded"]) == (folded, rounded)


def test_the_header_of_a_checkpoint_that_was_folded_before_says_so(chain):
    call(fold, **{"from": chain.path("pruned")}, checkpoint=chain.path("pruned-folded"))
    assert ns.load(write(chain, "pruned-folded")).about["folded"]


def test_weights_of_three_bits_take_three_and_load_as_they_were_trained(chain):
    folder, words = write(chain, "three1"), draw_words()
    header, stored = exported.read(folder / exported.FILE)
    model, _ = chain.open("three1")
    matrices = prunable(model, ["embedding", "input", "recurrent", "output"])
    for name, weight in matrices.items():
        assert header["layouts"][name]["bits"] == 3
        assert len(stored[name]) <= -(-3 * weight.numel() // 8)
    with torch.no_grad():  # as in compute; on some processors, torch's LSTM has other bits when it records
        logits, _ = ns.load(folder)(words)
    assert torch.equal(logits, compute(model, words, model.zero_state(4)))
    numbers = qat.integers(model, chain.load("three1")[1])
    int8 = ns.load(folder, int8=True)
    assert torch.equal(int8.output.weight().int_repr(), numbers["output.weight"][0])


def test_a_text_can_be_read_in_parts(chain):
    words, model = draw_words(), ns.load(write(chain, "dense1"))
    whole, last = model(words)
    first, state = model(words[:4])
    second, after = model(words[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(after, last)


def test_a_loaded_model_is_used_in_double_precision_like_any_module(chain):
    words, model = draw_words(), ns.load(write(chain, "dense1"))
    single, _ = model(words)
    double, _ = model.double()(words)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single)


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 0.02), (5, 0.2), (3, 0.8)])
@pytest.mark.parametrize("scope", export.SCOPES)
def test_rounded_weights_change_the_outputs_by_their_bits(chain, bits, scope, tolerance):
    words, (model, _) = draw_words(), chain.open("dense1")
    with torch.no_grad():
        logits, _ = ns.load(write(chain, "dense1", bits=bits, scope=scope))(words)
    exact = compute(model, words, model.zero_state(4))
    assert 0 < float((logits - exact).norm() / exact.norm()) < tolerance


def test_a_scope_without_rounding_is_refused(chain):
    for options in ({}, {"int8": True}):
        with pytest.raises(UserError, match="^--scope: says how --bits rounds; give --bits, or leave it out$"):
            write(chain, "dense1", scope="tensor", **options)


@pytest.mark.parametrize(("name", "option"), [(export.WORDS, "--vocabulary"), (export.ONNX, "--onnx")])
def test_a_file_of_another_export_does_not_stay_beside_a_new_model(chain, tmp_path, name, option):
    (tmp_path / name).write_text("of another model")
    with pytest.raises(UserError, match=f"{name}: would stay beside the new model; delete it, or give {option}$"):
        call(export, checkpoint=chain.path("dense1"), output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_int8_computes_as_torch_does_with_the_weights_of_the_file(chain):
    words, folder = draw_words(), write(chain, "dense1", int8=True)
    by_file, _ = ns.load(folder, int8=True)(words)
    by_torch, _ = ns.load(write(chain, "dense1"), int8=True)(words)
    assert torch.equal(by_file, by_torch)
    assert set(exported.read(folder / exported.FILE)[0]["layouts"]) == {
        "output.weight",
        *(f"recurrent.{i}.weight_{kind}_l0" for i in (0, 1) for kind in ("ih", "hh")),
    }


def test_a_folded_model_is_smaller_and_gives_the_same_outputs(chain):
    words, (model, _) = draw_words(), chain.open("pruned")
    whole, folded = (write(chain, "pruned", **options) for options in ({}, {"fold": True}))
    small = ns.load(folded)
    assert small.architecture.hidden == [3, 7]
    assert len(small.embedding.weight) == 16 and small.embedding.rows[5:50].unique().tolist() == [0]
    torch.testing.assert_close(small(words)[0], compute(model, words, model.zero_state(4)), atol=1e-5, rtol=1e-5)
    sizes = [(folder / exported.FILE).stat().st_size for folder in (whole, folded)]
    assert sizes[1] < sizes[0]


def test_a_model_that_training_made_sparse_is_folded(chain):
    words, (model, _) = draw_words(), chain.open("sparse2")
    small = ns.load(write(chain, "sparse2", fold=True))
    assert sum(small.architecture.hidden) < sum(model.architecture.hidden)
    torch.testing.assert_close(small(words)[0], compute(model, words, model.zero_state(4)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["dense1", "three1"])
def test_a_loaded_model_is_probed_as_the_checkpoint(chain, name):
    folder, ids = write(chain, name), draw_words().flatten()
    model, _ = chain.open(name)
    loaded = ns.load(folder)
    pd.testing.assert_frame_equal(ns.probe(loaded, ids), ns.probe(model, ids))
    with pytest.raises(ns.UserError, match="^model: its weights are torch.float64; give it in torch.float32"):
        ns.probe(loaded.double(), ids)
    with pytest.raises(ns.UserError, match="^model: computes in eight bits, .* without int8"):
        ns.probe(ns.load(folder, int8=True), ids)


def test_a_folded_model_is_probed_on_the_units_that_are_left(chain):
    ids = draw_words().flatten()
    whole, folded = (ns.probe(ns.load(write(chain, "pruned", **options)), ids) for options in ({}, {"fold": True}))
    pd.testing.assert_series_equal(folded["surprisal_mean"], whole["surprisal_mean"], rtol=1e-4)
    assert (folded["l1_mean"] <= whole["l1_mean"] * (1 + 1e-4)).all()


def test_what_is_no_path_is_refused_in_one_line(chain, capsys):
    with pytest.raises(ns.UserError, match="^None: no path; give an exported file"):
        ns.load(None)
    with pytest.raises(SystemExit):
        cli.main(["export", "--checkpoint", str(chain.path("dense1")), "--output", ""])
    assert "--output: an empty path; give one, or . for the current folder" in capsys.readouterr().err


def test_the_words_are_in_the_order_of_their_ids(tmp_path):
    chain = Chain(tmp_path)
    words = [f"w{i}" for i in range(VOCABULARY - 1)] + ["caf\u00e9"]
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": range(VOCABULARY), "word": words}))
    chain.initialise()
    folder = write(chain, "dense0", vocabulary=tmp_path / "vocabulary.parquet")
    assert (folder / export.WORDS).read_text(encoding="utf-8").splitlines() == words
    files.write_parquet(tmp_path / "other.parquet", pd.DataFrame({"id": range(VOCABULARY), "word": words[::-1]}))
    with pytest.raises(UserError, match="other.parquet: does not belong to .*dense0"):
        write(chain, "dense0", vocabulary=tmp_path / "other.parquet")


@pytest.mark.parametrize("options", [{"fold": True}, {"int8": True}, {"bits": 4}])
def test_weights_of_few_bits_are_neither_rounded_nor_folded(chain, options):
    with pytest.raises(UserError, match="three1: its weights were trained in few bits"):
        write(chain, "three1", **options)


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_only_an_lstm_is_folded(tmp_path, cell):
    chain = Chain(tmp_path, architecture={"cell": cell})
    chain.initialise()
    with pytest.raises(UserError, match=f"its cell is {cell}; only an LSTM can be folded"):
        write(chain, "dense0", fold=True)


def test_a_folded_checkpoint_is_not_folded_again(chain):
    model, state = chain.open("dense1")
    checkpoint.save(chain.path("folded"), model, {**state, "folded": True})
    with pytest.raises(UserError, match="folded: is folded already"):
        write(chain, "folded", fold=True)


def damage_value(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_header(path):
    path.write_bytes(path.read_bytes().replace(b'\\"epoch\\": 1', b'\\"epoch\\": 2'))


def use_another_version(path):
    header, stored = exported.read(path)
    header["version"] = 99
    path.write_bytes(safetensors.torch.save(stored, {exported.KEY: json.dumps(header)}))


def use_another_architecture(path, **keys):
    header, stored = exported.read(path)
    header["architecture"] |= keys or {"hidden": [5, 6]}
    header["digest"] = exported.compute_digest(header, stored)
    path.write_bytes(safetensors.torch.save(stored, {exported.KEY: json.dumps(header)}))


def use_another_type(path):
    header, stored = exported.read(path)
    stored["output.bias"] = stored["output.bias"].bfloat16()
    path.write_bytes(safetensors.torch.save(stored, {exported.KEY: json.dumps(header)}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage_value, "changed since it was written"),
        (damage_header, "changed since it was written"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "not a readable model"),
        (lambda path: path.write_bytes(b""), "not a readable model"),
        (lambda path: path.unlink(), "not a readable model"),
        (lambda path: path.write_bytes(safetensors.torch.save({"a": torch.ones(2)})), "not an exported model"),
        (use_another_version, "version 99"),
        (use_another_architecture, "not those of its architecture"),
        (
            lambda path: use_another_architecture(path, gates=4),
            "architecture: unknown key 'gates'; .* export the model",
        ),
        (use_another_type, "changed since it was written"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(chain, change, message):
    path = write(chain, "dense1") / exported.FILE
    change(path)
    with pytest.raises(UserError, match=message) as error:
        ns.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_checkpoint_is_no_exported_model(chain):
    with pytest.raises(UserError, match=r"parameters\.safetensors: not an exported model; write one"):
        ns.load(chain.path("dense1") / checkpoint.PARAMETERS)


def test_a_missing_package_for_onnx_is_named(chain, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="--onnx needs the package onnx; install it"):
        write(chain, "dense1", onnx=True)


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_onnx_gives_the_same_outputs_without_this_package(tmp_path, kind, cell):
    chain = Chain(tmp_path, kind, architecture={"cell": cell, "hidden": [5, 7]})
    chain.initialise()
    compare_onnx(chain, write(chain, "dense0", **require_onnx()))


@pytest.mark.integration
def test_a_folded_model_in_onnx_gives_the_same_outputs(chain):
    compare_onnx(chain, write(chain, "pruned", fold=True, **require_onnx()))


def require_onnx():
    """The option, where the packages are installed."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    return {"onnx": True}


def compare_onnx(chain, folder):
    """Compare the file's outputs and states with those of the loaded model, over steps and batch of two sizes."""
    model = ns.load(folder)
    batch = chain.first_batch(model.interface)
    for steps, streams in ((5, 3), (2, 1)):
        inputs, start = batch.inputs[:steps, :streams], None if batch.start is None else batch.start[:streams]
        generator = torch.Generator().manual_seed(0)
        zeros = model.zero_state(streams)
        state = [tuple(torch.randn(part.shape, generator=generator) for part in layer) for layer in zeros]
        with torch.no_grad():
            outputs, after = model(inputs, state, start)
        named = {"inputs": inputs} | ({} if start is None else {"start": start})
        named |= name_state("", state)
        feed = json.dumps({name: value.tolist() for name, value in named.items()})
        command = [sys.executable, "-c", RUNNER, str(folder / export.ONNX)]
        given = json.loads(subprocess.run(command, input=feed, capture_output=True, text=True, check=True).stdout)
        expected = {"outputs": outputs} | name_state("next_", after)
        assert set(given) == set(expected) and next(iter(given)) == "outputs"
        for name, value in expected.items():
            torch.testing.assert_close(torch.tensor(given[name]), value, atol=1e-5, rtol=1e-5)


def name_state(prefix, state):
    """The parts of a state by their names in the file."""
    pairs = [(i, pair) for i, layer in enumerate(state) for pair in zip("hc", layer, strict=False)]
    return {f"{prefix}{part}{i}": value for i, (part, value) in pairs}


def test_load_is_found_in_the_package_without_importing_torch_first():
    code = "import sys, natural_sparsity; assert 'torch' not in sys.modules; print(natural_sparsity.load.__module__)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "natural_sparsity.model.exported"
    assert "load" in dir(natural_sparsity)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        natural_sparsity.laod  # noqa: B018
