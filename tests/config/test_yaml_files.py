"""A mistake in a configuration file is named with its file and line: in the YAML itself, and in what it says."""

import json

import pytest
import yaml

from natural_sparsity.cli import main
from natural_sparsity.config.yaml_files import Places, read_file
from natural_sparsity.errors import UserError

UP_TO_HERE = "; check indentation, quotes and brackets up to here"
# Ten lines that stand for a billion values.
LAUGHS = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10))
# What a file has, and the line of refusal after its name.
REFUSALS = {
    # Two equal keys.
    "runs:\n  - 1\nmodels: {}\nruns:\n  - 2\n": ", line 4: 'runs' is set twice, first on line 1; merge the two",
    "data:\n  mine:\n    shards: 1\n    min_count: 5\n    shards: 2\n": (
        ", line 5: 'shards' is set twice, first on line 3; remove one"
    ),
    "runs:\n  - {data: a, model: b}\n  - {data: a, seeds: [1], model: b, seeds: [2]}\n": (
        ", line 3: 'seeds' is set twice on this line; merge the two"
    ),
    "a: &all\n  b: 1\n  'b': 2\nc: {<<: *all}\n": ", line 3: 'b' is set twice, first on line 2; remove one",
    '{"name": "a",\n\t"data": {},\n\t"name": "b"}': ", line 3: 'name' is set twice, first on line 1; remove one",
    # No YAML.
    "data:\n\tmine: {}\n": ", line 2: a tab where YAML needs spaces; indent with spaces",
    "name: mine\n  device: cpu\n": (
        ", line 2: a colon where no key is allowed; check the indentation, or put the value in quotes"
    ),
    "name: a: b\n": ", line 1: a colon where no key is allowed; check the indentation, or put the value in quotes",
    "a:\n  b: [1, 2\nc: 3\n": (
        ", line 3: while parsing a flow sequence (from line 2), expected ',' or ']', but got ':'" + UP_TO_HERE
    ),
    "a: 'b\nc: d\n": ", line 3: while scanning a quoted scalar (from line 1), found unexpected end of stream"
    + UP_TO_HERE,
    "a: 1\nb: *c\n": ", line 2: found undefined alias 'c'" + UP_TO_HERE,
    "a: 1\n---\nb: 2\n": (
        ", line 2: expected a single document in the stream (from line 1), but found another document" + UP_TO_HERE
    ),
    "a: !!python/object/apply:os.system [ls]\n": (
        ", line 1: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system';"
        " write plain values, without !"
    ),
    "a: 1\n__use_yte__: true\n": ", line 2: __use_yte__ makes Snakemake run code in the file; delete it",
    # More than anybody would write.
    f"a: 1\nseed: {'9' * 5000}\n": ", line 2: a number of 5,000 digits; use at most 400",
    f"a: 0x{'f' * 5000}\n": ", line 1: a number of 5,002 digits; use at most 400",
    f'{{"a": {"9" * 5000}}}': ", line 1: a number of 5,000 digits; use at most 400",
    "[" * 5000: ": is nested hundreds of levels deep; flatten it",
    '{"a": ' * 100_000: ": is nested hundreds of levels deep; flatten it",
    LAUGHS: ": its aliases (*) expand to more than 1,000,000 values; use fewer",
    MERGES: ": its aliases (*) expand to more than 1,000,000 values; use fewer",
    "a: &a [1, *a]\n": ": its aliases (*) expand to more than 1,000,000 values; use fewer",
    "a: 1\nb: c\x07\n": ", line 2: a control character, U+0007; delete it",
    b"a: 1\nb: caf\xe9\n": ": byte 11 is not UTF-8; save the file as UTF-8",
    # Numbers that are not what they look like.
    "a:\n  seeds: [1, 010]\n": ", line 2: YAML reads 010 as 8; write the number that you mean",
    "a: 1:30\n": ", line 1: YAML reads 1:30 as 90; write the number that you mean",
}


@pytest.mark.parametrize("written", REFUSALS, ids=lambda text: repr(text[:60]))
def test_refusals(tmp_path, written):
    path = tmp_path / "mine.yaml"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    with pytest.raises(UserError) as refusal:
        read_file("mine.yaml", path)
    assert str(refusal.value) == "mine.yaml" + REFUSALS[written]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"^no\.yaml: cannot be read \(No such file or directory\); check the path$"):
        read_file("no.yaml", tmp_path / "no.yaml")
    with pytest.raises(UserError, match=r"^folder: cannot be read \(Is a directory\); check the path$"):
        read_file("folder", tmp_path)


@pytest.mark.parametrize(
    "written",
    [
        "a: &all {b: 1, c: 2}\nd: {<<: *all, b: 3}\ne:\n  <<: *all\n  <<: {f: 4}\n",
        "a: {x: 1}\nb: {x: 1}\n",
        '{\n\t"a": "\\u00e9\\/ \\ud83d",\n\t"b": [{"c":1}, {"c":2}],\n"d": 1e-3}',
        "1: a\n'1': b\n",
        "\ufeffa: 1\n",
        "n: [0, 10, 1_000, 0x10, 0.5, -1.5e-3, 1e-3, '010']\n",
        "a: &x [b]\nc: *x\n",
        "",
    ],
    ids=repr,
)
def test_what_is_right_is_read_as_yaml_reads_it(tmp_path, written):
    path = tmp_path / "mine.yaml"
    path.write_text(written, encoding="utf-8")
    expected = json.loads(written) if written.startswith("{") else yaml.safe_load(written)
    values = read_file("mine.yaml", path)[1]
    assert json.dumps(values).encode() == json.dumps(expected).encode()


@pytest.fixture
def places(tmp_path):
    """Where keys stand in two files and after --config."""
    (tmp_path / "below.yaml").write_text(
        """\
data:
  sample:
    min_count: 3
    source: {path: a}
models:
  lstm: &lstm
    training:
      clip: 1
runs:
  - {data: sample, model: lstm, epochs: 3}
  - {data: sample, model: lstm}
"""
    )
    (tmp_path / "above.yaml").write_text(
        """\
runs:
  - data: mine
    model: lstm
data:
  mine: {min_count: 5}
  sample:
    min_cuont: 4
models:
  lstm:
    training:
      decay: 2
  copy:
    <<: &shared
      architecture: {hidden: []}
      training: {clip: 1}
    training: {clip: 0}
device: gpu
"""
    )
    files = {name: tmp_path / name for name in ("below.yaml", "above.yaml")}
    return Places(files, {"device": "cuda:x", "data": {"mine": {"shards": "2"}}})


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("data.sample.min_count: 3 is …", "below.yaml, line 3"),
        ("models.lstm.training.clip: 1 is …", "below.yaml, line 8"),
        ("models.lstm.training.decay: 2 is …", "above.yaml, line 11"),
        # Of a block that is in both, the topmost.
        ("models.lstm.training: it is that of …", "above.yaml, line 10"),
        # Lists are replaced, and counted from 0.
        ("runs.0: there is …", "above.yaml, line 2"),
        ("runs.0.model: 'lstm' is …", "above.yaml, line 3"),
        ("runs: [] is …", "above.yaml, line 1"),
        # What is missing has the line of the block that lacks it.
        ("runs.0.epochs: missing; …", "above.yaml, line 2"),
        ("data.sample.source.url: missing; …", "below.yaml, line 4"),
        # A key that is quoted.
        ("data.sample: unknown key 'min_cuont'; did you mean 'min_count'?", "above.yaml, line 7"),
        ("unknown key 'models'; …", "above.yaml, line 8"),
        # What << merges in.
        ("models.copy.architecture.hidden: [] is …", "above.yaml, line 14"),
        ("models.copy.training.clip: 0 is …", "above.yaml, line 16"),
        # What --config sets is in no file, and neither is what nobody wrote.
        ("device: 'cuda:x' is …", "configuration"),
        ("data.mine.shards: '2' is …", "configuration"),
        ("data.mine.min_count: 5 is …", "above.yaml, line 5"),
        ("statistics.level: …", "configuration"),
        ("name: 'my experiment' cannot …", "configuration"),
        ("a/b is not among the runs", "configuration"),
    ],
)
def test_a_message_gets_the_line_of_its_key(places, message, place):
    assert places.explain(message) == f"{place}: {message}"


def check(*arguments):
    main(["check", *map(str, arguments)])


@pytest.fixture
def base(tmp_path):
    """A configuration that can be run, for --base."""
    (tmp_path / "text.txt").write_text("x")
    path = tmp_path / "base.yaml"
    source = {"path": str(tmp_path / "text.txt")}
    blocks = {"data": {"mine": {"source": source, "unit": "character"}}, "models": {"lstm": {}}}
    path.write_text(yaml.safe_dump({**blocks, "runs": [{"data": "mine", "model": "lstm"}]}))
    return path


def test_check_says_what_is_trained(tmp_path, base, capsys):
    above = tmp_path / "above.yaml"
    above.write_text("models: {small: {architecture: {hidden: [4]}}}\nruns: [{data: mine, model: small}]\n")
    check(above, "--base", base)
    assert capsys.readouterr().out == "above: no mistake found; it trains small on mine\n"


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (
            "models: {lstm: {training: {learning_rate: 1e-3}}}\n",
            "line 1: models.lstm.training.learning_rate: '1e-3' is…",
        ),
        (
            "runs:\n  - {data: mine, model: lstm}\n  - {data: mine, model: lstm}\n",
            "line 3: runs.1: mine/lstm is already…",
        ),
        (
            "models:\n  m: {sparsify: {method: qat, of: x}}\n",
            "line 2: models.m.sparsify.of: 'x' is no dense or pruned model; …",
        ),
        ("runs:\nruns:\n", "line 2: 'runs' is set twice, first on line 1; remove one"),
        ("a: [\n", "line 2: while parsing a flow node…"),
    ],
)
def test_check_names_the_line(tmp_path, base, written, line):
    path = tmp_path / "mine.yaml"
    path.write_text(written)
    with pytest.raises(SystemExit) as refusal:
        check(path, "--base", base)
    assert str(refusal.value).startswith(f"natural-sparsity check: {path}, {line.removesuffix('…')}")


@pytest.mark.parametrize("written", ["", "- a\n", "text\n"])
def test_check_wants_keys(tmp_path, base, written):
    path = tmp_path / "mine.yaml"
    path.write_text(written)
    with pytest.raises(SystemExit, match="mine.yaml: has no top-level keys; write data:, models: or runs:$"):
        check(path, "--base", base)


def test_check_finds_the_configuration_of_the_project(tmp_path, base, monkeypatch, capsys):
    experiments = tmp_path / "project/experiments"
    experiments.mkdir(parents=True)
    (tmp_path / "project/Snakefile").touch()
    base.rename(tmp_path / "project/config.yaml")
    path = experiments / "mine.yaml"
    path.write_text("models: {small: {architecture: {hidden: [4]}}}\nruns: [{data: mine, model: small}]\n")
    monkeypatch.chdir(experiments)
    check("mine.yaml")
    assert capsys.readouterr().out == "mine: no mistake found; it trains small on mine\n"


def test_check_asks_for_a_configuration_that_it_does_not_find(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("natural_sparsity.config.check.__file__", str(tmp_path / "check.py"))
    with pytest.raises(SystemExit, match=r"config\.yaml: not found here or above the files; name it with --base$"):
        check("mine.yaml")
