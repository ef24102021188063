"""What the explorer's scripts hold is what the probes hold."""

import base64
import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from small_run import DROPS, EPOCHS, NEVER, PROBE, TENSORS, UNDEFINED, WORDS, write_data

from natural_sparsity import files
from natural_sparsity.explorer.page import embedded, symbol


def decoded(path):
    """(epochs, words) of the means and of the numbers of positions, byte by byte as the page reads them."""
    (packed,) = re.fullmatch(r'explorer\.receive\("[^"]+", "([A-Za-z0-9+/=]+)"\);\n', path.read_text()).groups()
    data = zlib.decompress(base64.b64decode(packed))
    size = len(EPOCHS) * len(WORDS)
    assert len(data) == 7 * size
    means, counts = [], []
    for i in range(size):
        upper = sum(data[plane * size + i] << 8 * plane for plane in range(3))
        count = sum(data[(3 + plane) * size + i] << 8 * plane for plane in range(4))
        if i >= len(WORDS):
            upper, count = upper + means[i - len(WORDS)], count + counts[i - len(WORDS)]
        means.append(upper % 2**24)
        counts.append(count % 2**32)
    floats = (np.array(means, np.uint32) << 8).view(np.float32)
    return floats.reshape(len(EPOCHS), -1), np.array(counts).reshape(len(EPOCHS), -1)


@pytest.mark.parametrize(
    ("measure", "role", "tensor"), [("chi", "target", "grad_h_2"), ("chi", "input", "x"), ("l1", "input", "h_e")]
)
def test_a_script_holds_the_means_and_counts_of_its_probes(explorer, probes, measure, role, tensor):
    means, counts = decoded(explorer / f"small/lstm/seed1/frozen/{measure}.{role}.{tensor}.js")
    for e, epoch in enumerate(EPOCHS):
        table = probes[epoch].query("role == @role and tensor == @tensor").set_index("id").reindex(range(len(WORDS)))
        np.testing.assert_allclose(means[e], table[f"{measure}_mean"], rtol=2**-16)
        n = table["count"] - (table["zeros"] if measure == "chi" else 0)
        np.testing.assert_array_equal(counts[e], n.fillna(0))
    assert np.isnan(means[:, NEVER]).all(), "a word that never has the role has no mean, not a mean of zero"
    assert np.isnan(means[:, UNDEFINED]).all() == (measure == "chi")


def test_the_data_say_what_they_are(explorer):
    about = files.read_json(explorer / "small/lstm/seed2/training/data.json")
    assert (about["run"], about["condition"], about["words"]) == ("small/lstm/seed2", "training", len(WORDS))
    assert (about["measures"], about["tensors"]) == (["chi", "l1", "l2"], TENSORS)
    assert [state["epoch"] for state in about["epochs"]] == EPOCHS, "given in another order"
    lowered = [s["epoch"] for s in about["epochs"] if s["learning_rate_out"] < s["learning_rate_in"]]
    assert lowered == DROPS


def test_the_same_data_are_written_as_the_same_bytes(explorer, inputs, tmp_path):
    write_data(inputs, "--run", "small/lstm/seed1", "--condition", "frozen", "--output", str(tmp_path / "again"))
    for path in (explorer / "small/lstm/seed1/frozen").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(id=t["id"] + 1), "an id that the words lack"),
        (lambda t: pd.concat([t, t.head(1)]), "a word repeats"),
        (lambda t: t.drop(columns="l2_mean"), "other measures or tensors"),
        (lambda t: t[t["tensor"] != "x"], "other measures or tensors"),
        (lambda t: t.assign(role="both"), "a role other than"),
    ],
)
def test_a_probe_that_does_not_fit_is_refused(inputs, probes, tmp_path, capsys, change, said):
    files.write_parquet(tmp_path / "odd.parquet", change(probes[5]), {"epoch": 5, "positions": 1, "probe": PROBE})
    odd = inputs | {"--probes": [*inputs["--probes"][1:], str(tmp_path / "odd.parquet")]}
    with pytest.raises(SystemExit, match=said) as stopped:
        write_data(odd, "--run", "small/lstm/seed1", "--condition", "frozen", "--output", str(tmp_path / "out"))
    assert "odd.parquet" in str(stopped.value)


def test_epochs_and_checkpoints_must_match(inputs, tmp_path):
    arguments = ["--run", "small/lstm/seed1", "--condition", "frozen", "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="a second probe of epoch 5"):
        write_data(inputs | {"--probes": inputs["--probes"] + inputs["--probes"][:1]}, *arguments)
    files.write_parquet(tmp_path / "nameless.parquet", pd.DataFrame({"id": [0]}), {"seed": 1})
    with pytest.raises(SystemExit, match=r"nameless\.parquet: its metadata name no epoch"):
        write_data(inputs | {"--probes": [str(tmp_path / "nameless.parquet")]}, *arguments)
    with pytest.raises(SystemExit, match="no checkpoint of its epoch 3"):
        write_data(inputs | {"--checkpoints": inputs["--checkpoints"][:2] + inputs["--checkpoints"][3:]}, *arguments)


def test_nothing_within_the_page_can_end_its_script():
    text = embedded({"a": "</script><!--"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--"}


def test_tensors_are_written_as_in_the_paper():
    assert [symbol(name) for name in TENSORS] == ["hᵉ", "h¹", "h²", "x̂", "∇hᵉ", "∇h¹", "∇h²", "∇x"]
    assert symbol("grad_h_12") == "∇h¹²"
