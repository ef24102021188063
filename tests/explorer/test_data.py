"""What the explorer's scripts hold is what the probes hold."""

import base64
import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from small_run import EPOCHS, LOWERED, NEVER, PROBE, TENSORS, UNDEFINED, WORDS, make_probes, pack, write_inputs

from example_products import describe_depth, write_probe, write_state, write_words
from natural_sparsity import cli, files
from natural_sparsity.explorer.page import ASSETS, embed


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
    ("measure", "role", "tensor"),
    [("chi", "target", "grad_h_2"), ("chi", "input", "x"), ("l1", "input", "h_e"), ("chi", "target", "static")]
    + [("surprisal", "target", "x"), ("surprisal", "input", "x")],
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


def test_norms_of_a_run_that_diverged_are_packed_as_numbers(inputs, probes, tmp_path):
    huge = probes[5].assign(l1_mean=1e39)
    write_probe(tmp_path / "huge.parquet", huge, data="small", epoch=5, positions=1, probe=PROBE)
    pack(inputs | {"--probes": [*inputs["--probes"][1:], f"{tmp_path}/huge.parquet"]}, tmp_path / "out")
    means, _ = decoded(tmp_path / "out/l1.target.h_1.js")
    assert means[EPOCHS.index(5), 5] == pytest.approx(3.4028e38, rel=1e-4)


def test_the_data_say_what_they_are(explorer):
    about = files.read_json(explorer / "small/lstm/seed2/training/data.json")
    assert [about[key] for key in ("data", "model", "seed", "condition")] == ["small", "lstm", 2, "training"]
    assert about["words"] == len(WORDS)
    everywhere = {"target": [*TENSORS, "static"], "input": TENSORS}
    once = {"target": ["x"], "input": ["x"]}  # the same at every tensor
    wanted = {"chi": everywhere, "l1": everywhere, "l2": everywhere, "surprisal": once}
    assert list(about["series"].items()) == list(wanted.items()), "the page opens with the first"
    given = {path.stem for path in (explorer / "small/lstm/seed2/training").glob("*.js")}
    assert given == {f"{m}.{r}.{t}" for m, roles in about["series"].items() for r in roles for t in roles[r]}
    assert [state["epoch"] for state in about["epochs"]] == EPOCHS, "given in another order"
    lowered = [s["epoch"] for s in about["epochs"] if s["learning_rate_out"] < s["learning_rate_in"]]
    assert lowered == LOWERED


def test_the_same_data_are_written_as_the_same_bytes(explorer, inputs, tmp_path):
    pack(inputs, tmp_path / "again")
    for path in (explorer / "small/lstm/seed1/frozen").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(id=t["id"] + 1), "has ids that are not among the"),
        (lambda t: pd.concat([t, t.head(1)]), "a word repeats"),
        (lambda t: t.drop(columns="l2_mean"), "other measures or tensors"),
        (lambda t: t[t["tensor"] != "x"], "other measures or tensors"),
        (lambda t: t[(t["tensor"] != "x") | (t["role"] == "target")], "other measures or tensors"),
        (lambda t: t.assign(role="both"), "a role other than"),
    ],
)
def test_a_probe_that_does_not_fit_is_refused(inputs, probes, tmp_path, capsys, change, said):
    facts = {"data": "small", "epoch": 5, "positions": 1, "probe": PROBE}
    write_probe(tmp_path / "odd.parquet", change(probes[5]), **facts)
    odd = inputs | {"--probes": [*inputs["--probes"][1:], str(tmp_path / "odd.parquet")]}
    with pytest.raises(SystemExit, match=said) as stopped:
        pack(odd, tmp_path / "out")
    assert "odd.parquet" in str(stopped.value)


@pytest.mark.parametrize(
    ("change", "facts", "said"),
    [
        (lambda t: t.assign(tensor=t["tensor"].astype(str).replace("x", "/../../x")), {}, "unknown tensor '/../../x'"),
        (lambda t: t.assign(tensor=t["tensor"].astype(str).replace("x", "h_1\n")), {}, r"unknown tensor 'h_1\\n'"),
        (lambda t: t.rename(columns={"l2_mean": "/../../x_mean"}), {}, "unknown measure '/../../x'"),
        (lambda t: t, {"data": "../../x"}, "data is '../../x'"),
        (lambda t: t, {"model": ".."}, "model is '..'"),
        (lambda t: t, {"condition": "/x"}, "condition is '/x'"),
    ],
)
def test_no_name_in_a_probe_leads_out_of_the_folder(words_file, probes, tmp_path, change, facts, said):
    run = {"data": "small", "model": "lstm", "seed": 1, "condition": "frozen"} | facts
    write_probe(tmp_path / "odd.parquet", change(probes[1]), **run, epoch=1, positions=1, probe=PROBE)
    write_state(tmp_path / "odd.json", **{key: run[key] for key in ("data", "model", "seed")}, epoch=1)
    inputs = {"--probes": [f"{tmp_path}/odd.parquet"], "--checkpoints": [f"{tmp_path}/odd.json"]}
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match=f"odd\\.parquet: .*{said}"):
        pack(inputs | {"--words": [str(words_file)]}, tmp_path / "a/b/out")
    assert set(tmp_path.rglob("*")) == before, "nothing was written"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": "../../x"}, "data is '../../x'"),
        ({"series": {"chi": {"target": ["x"], "input": ["../../x"]}}}, "unknown tensor '../../x'"),
        ({"series": {"__proto__": {"target": ["x"], "input": ["x"]}}}, "unknown measure '__proto__'"),
        ({"series": {"chi": {"../../x": ["x"]}}}, r"'chi' has the roles \.\./\.\./x"),
    ],
)
def test_no_name_in_packed_data_leads_out_of_the_folder(explorer, words_file, tmp_path, changed, said):
    packed = tmp_path / "page/data"
    files.write_json(packed / "data.json", files.read_json(explorer / "small/lstm/seed1/frozen/data.json") | changed)
    with pytest.raises(SystemExit, match=rf"data\.json: .*{said}"):
        explore(tmp_path / "page", [packed], "--words", words_file, "--units", "word")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["data.json"]


def test_epochs_and_checkpoints_must_match(inputs, probes, tmp_path):
    with pytest.raises(SystemExit, match="a second probe of checkpoint epoch5"):
        pack(inputs | {"--probes": inputs["--probes"] + inputs["--probes"][:1]}, tmp_path / "out")
    write_probe(tmp_path / "nameless.parquet", pd.DataFrame({"id": [0]}))
    with pytest.raises(SystemExit, match=r"nameless\.parquet: its metadata has no 'positions'; give a file"):
        pack(inputs | {"--probes": [str(tmp_path / "nameless.parquet")]}, tmp_path / "out")
    with pytest.raises(SystemExit, match="its checkpoint epoch3 was not given"):
        pack(inputs | {"--checkpoints": inputs["--checkpoints"][:3] + inputs["--checkpoints"][4:]}, tmp_path / "out")
    write_state(tmp_path / "other.json", data="small", seed=2)
    with pytest.raises(SystemExit, match=r"other\.json: is of small/lstm, seed 2, but the probes are of"):
        pack(inputs | {"--checkpoints": [str(tmp_path / "other.json")]}, tmp_path / "out")
    write_probe(tmp_path / "odd.parquet", probes[1], data="small", positions=1, probe=PROBE | {"batch": 7})
    with pytest.raises(SystemExit, match=r"odd\.parquet: probe is .*'batch': 7.*give files of one probe"):
        pack(inputs | {"--probes": [*inputs["--probes"], str(tmp_path / "odd.parquet")]}, tmp_path / "out")
    write_probe(tmp_path / "dev.parquet", probes[1], data="small", condition="dev", positions=1, probe=PROBE)
    with pytest.raises(SystemExit, match=r"dev\.parquet: condition is 'dev', but in .* it is 'frozen'"):
        pack(inputs | {"--probes": [*inputs["--probes"][:4], str(tmp_path / "dev.parquet")]}, tmp_path / "out")


@pytest.mark.parametrize("layers", [1, 3])
def test_models_of_any_depth_are_packed_with_all_their_tensors(words, words_file, tmp_path, layers):
    tensors = describe_depth(layers)
    pack(write_inputs(tmp_path, words_file, make_probes(words, tensors)), tmp_path / "out")
    about = files.read_json(tmp_path / "out/data.json")
    assert about["series"]["chi"] == {"target": [*tensors, "static"], "input": tensors}
    assert {path.name for path in (tmp_path / "out").glob("chi.input.*")} == {
        f"chi.input.{name}.js" for name in tensors
    }


def explore(folder, data, *more):
    cli.main(["explore", "--data", *map(str, data), *map(str, more), "--output", f"{folder}/index.html"])


def test_words_are_matched_with_data_by_their_content(explorer, words, words_file, tmp_path):
    """In any order; words of other data next to them do not matter, words that are not there do."""
    data = explorer / "small/lstm/seed1/frozen"
    write_words(tmp_path / "other.parquet", words.assign(count=words["count"] + 1))
    before = (explorer / "words/small.js").read_bytes()
    both = ["--words", tmp_path / "other.parquet", words_file, "--units", "character", "word"]
    explore(explorer, sorted(explorer.glob("small/lstm/seed*/*")), *both)
    assert (explorer / "words/small.js").read_bytes() == before
    with pytest.raises(SystemExit, match="seed1/frozen: was packed with other words than those given; add its words"):
        explore(explorer, [data], "--words", tmp_path / "other.parquet", "--units", "word")
    with pytest.raises(SystemExit, match="1 --words, 2 --units: give one unit for each file of words"):
        explore(explorer, [data], "--words", words_file, "--units", "word", "word")
    with pytest.raises(SystemExit, match="small/lstm/seed1/frozen is given twice"):
        explore(explorer, [data, data], "--words", words_file, "--units", "word")


def test_the_page_names_its_scripts_and_has_them(explorer):
    page = (explorer / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'<script src="([^"]+)"></script>', page)
    assert scripts == ["plotly.min.js", *(name for name in ASSETS if name.endswith(".js"))]
    assert all((explorer / name).is_file() for name in (*scripts, *ASSETS))
    assert "SCRIPTS" not in page and "MANIFEST" not in page


def test_the_page_links_to_nothing_outside_its_folder(explorer):
    page = (explorer / "index.html").read_text(encoding="utf-8")
    links = set(re.findall(r'(?:href|src)="([^"]+)"', page)) - {"data:,"}
    assert links and all((explorer / link).resolve().is_relative_to(explorer.resolve()) for link in links)
    assert all((explorer / link).is_file() for link in links)


def test_nothing_within_the_page_can_end_its_script():
    text = embed({"a": "</script><!--"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--"}


def test_checkpoints_inside_the_first_epoch_have_their_time(words_file, probes, tmp_path):
    arguments = {"--probes": [], "--checkpoints": [], "--words": [str(words_file)]}
    for epoch, steps in ((1, 8), (0, 2), (0, 0)):
        run = {"data": "small", "epoch": epoch, "steps": steps}
        write_probe(tmp_path / f"{epoch}-{steps}.parquet", probes[epoch], **run, positions=1, probe=PROBE)
        write_state(tmp_path / f"{epoch}-{steps}.json", **run)
        arguments["--probes"].append(f"{tmp_path}/{epoch}-{steps}.parquet")
        arguments["--checkpoints"].append(f"{tmp_path}/{epoch}-{steps}.json")
    pack(arguments, tmp_path / "out")
    epochs = files.read_json(tmp_path / "out/data.json")["epochs"]
    assert [(e["checkpoint"], e["time"]) for e in epochs] == [("init", 0), ("step2", 0.25), ("epoch1", 1)]
    arguments = {"--probes": arguments["--probes"][1:], "--checkpoints": arguments["--checkpoints"][1:]}
    with pytest.raises(SystemExit, match=r"0-2\.parquet: is inside epoch 1; give the state\.json of epoch 1 too"):
        pack(arguments | {"--words": [str(words_file)]}, tmp_path / "out")
