"""What ``inspect`` prints of a text is true, suits the text, and can be pasted into an experiment and run."""

import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread

import pytest
import yaml
from snakemake.utils import update_config

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.config.validation import validate
from natural_sparsity.corpus.inspection.inspect import cut
from natural_sparsity.corpus.inspection.look import look
from natural_sparsity.corpus.inspection.suggestion import round_down, suggest
from natural_sparsity.corpus.readers.base import Options
from natural_sparsity.corpus.split import split_of

ROOT = Path(__file__).parents[2]
SHARES = [0.7, 0.1, 0.2]
NUMBER = r"[\d,]+"
COMMON = "the of and to a in that is was he for it with as his on be at by i".split()  # noqa: SIM905


@pytest.fixture
def inspect(capsys):
    """Run the command and return what it prints."""

    def run(*arguments):
        main(["inspect", *map(str, arguments)])
        return capsys.readouterr().out

    return run


def write_documents(path, documents):
    """Write documents, lists of sentences of words, with a line per sentence and blank lines between documents."""
    path.write_text("\n\n".join("\n".join(" ".join(words) for words in sentences) for sentences in documents) + "\n")
    return path


def draw_documents(n_documents, sentences=8, length=7, types=400, seed=1):
    """Documents in which some words are common and most are rare."""
    draw = random.Random(seed)
    words = [f"w{i}" for i in range(types)]
    weights = [1 / (i + 1) for i in range(types)]
    return [[draw.choices(words, weights, k=length) for _ in range(sentences)] for _ in range(n_documents)]


def filter_plainly(documents, min_count):
    """What the filter leaves, by loops: the documents, and the words of the vocabulary."""
    counts = Counter(word for sentences in documents for words in sentences for word in words)
    kept = [[words for words in s if min(counts[word] for word in words) >= min_count] for s in documents]
    recount = Counter(word for sentences in kept for words in sentences for word in words)
    return kept, {word for word, count in recount.items() if count >= min_count}


def count_tokens(documents):
    return sum(len(words) for sentences in documents for words in sentences)


def read_block(output):
    """The experiment that is printed."""
    return yaml.safe_load(output.partition(".yaml\n\n")[2].partition("\n\n")[0])


def read_rows(output):
    """The table that is printed: {min_count: the other columns}, and the min_count that is marked."""
    rows = re.findall(rf"^  ([→ ]) +({NUMBER})  (.*?)(?: +█*)?$", output, re.MULTILINE)
    table = {int(number.replace(",", "")): re.split(r"  +", rest.strip()) for _, number, rest in rows}
    [marked] = [int(number.replace(",", "")) for mark, number, _ in rows if mark == "→"]
    return table, marked


def read_number(output, name):
    return int(re.search(rf"^  {name} +({NUMBER})", output, re.MULTILINE)[1].replace(",", ""))


def test_the_counts_and_the_table_are_those_of_plain_python(inspect, tmp_path):
    documents = draw_documents(120)
    output = inspect(write_documents(tmp_path / "a.txt", documents), "--format", "lines", "--tokenised")
    words = [word for sentences in documents for sentence in sentences for word in sentence]
    assert read_number(output, "documents") == 120
    assert read_number(output, "sentences") == 120 * 8
    assert read_number(output, "tokens") == len(words)
    assert read_number(output, "types") == len(set(words))
    table, marked = read_rows(output)
    for min_count, (sentences, tokens, vocabulary, unknown) in table.items():
        kept, known = filter_plainly(documents, min_count)
        n_tokens = count_tokens(kept)
        n_unknown = sum(word not in known for s in kept for sentence in s for word in sentence)
        assert float(sentences[:-2]) == pytest.approx(100 * sum(map(len, kept)) / 960, rel=0.06)
        assert float(tokens[:-2]) == pytest.approx(100 * n_tokens / len(words), rel=0.06)
        assert vocabulary == f"{len(known):,}"
        assert float(unknown[:-2]) == pytest.approx(100 * n_unknown / n_tokens, rel=0.06)
    assert len(table) > 4
    assert marked == read_block(output)["data"]["mine"]["min_count"]


def test_a_min_count_that_loses_most_of_the_text_is_seen_before_any_run(inspect, tmp_path):
    """Of a corpus of 185,566 tokens, a min_count of 20 dropped 84 % without a word."""
    common = [[["of", "the", "sea", "and", "land"]] for _ in range(160)]
    rare = [[["of", "the", "sea", "and", f"isle{i % 120}"]] for i in range(840)]  # each seven times
    output = inspect(write_documents(tmp_path / "a.txt", common + rare), "--format", "lines", "--tokenised")
    table, marked = read_rows(output)
    assert table[20][:3] == ["16 %", "16 %", "5"]
    assert table[5][:3] == ["100 %", "100 %", "125"]
    assert marked == 5
    assert "drops" not in table
    block = read_block(output)["data"]["mine"]
    assert block["min_count"] == 5
    assert "keeps 100 % of the tokens; 125 words" in output


def test_the_thresholds_count_in_training_alone(inspect, tmp_path):
    documents = draw_documents(400, types=2000)
    path = write_documents(tmp_path / "a.txt", documents)
    output = inspect(path, "--format", "lines", "--tokenised")
    block = read_block(output)["data"]["mine"]
    text = look([path], "lines", Options(tokenised=True), "word", "nfc", 0)
    kept, known = filter_plainly(documents, block["min_count"])
    training = Counter(
        word
        for id_, sentences in zip(text.ids, kept, strict=True)
        for words in sentences
        for word in words
        if split_of(id_, SHARES, 1) == 1 and word in known
    )
    fig2, fig5 = (sum(n > block["thresholds"][name] for n in training.values()) for name in ("fig2", "fig5"))
    assert f"{fig2:,} and {fig5:,} words in training" in output
    assert len(known) / 50 <= fig2 <= 100 <= fig5
    assert f"{sum(training.values()) + count_rest(kept, known, text.ids):,} tokens for train" in " ".join(
        output.split()
    )


def count_rest(kept, known, ids):
    """The tokens in training that are ``<unk>``."""
    pairs = [(id_, word) for id_, s in zip(ids, kept, strict=True) for words in s for word in words]
    return sum(split_of(id_, SHARES, 1) == 1 and word not in known for id_, word in pairs)


@pytest.mark.integration
def test_the_text_of_the_default_run_gets_the_values_of_the_default_run(dump):
    default = yaml.safe_load((ROOT / "config.yaml").read_text())["data"]["sample"]
    suggestion = suggest(look([dump], "auto", Options(), "word", "nfc", 0), "word", default["min_count"])
    assert suggestion.tagging == default["tagging"]
    assert suggestion.thresholds == default["thresholds"]
    assert suggestion.shards == default["shards"]


@pytest.mark.parametrize(("number", "rounded"), [(0, 0), (1, 1), (4, 2), (19, 10), (104, 100), (99_999, 50_000)])
def test_thresholds_are_rounded_down(number, rounded):
    assert round_down(number) == rounded


def validate_block(block):
    """Check an experiment on top of the default configuration, as Snakemake merges it."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(config, block)
    return validate(config)


PROSE = [[["The", "cat", "of", "the", "house", "sat", "on", "a", "mat", f"n{i % 9}", "."]] * 4 for i in range(300)]


@pytest.mark.parametrize(
    ("name", "content", "options", "keys"),
    [
        ("a: b #1.txt", None, [], {"format": "text"}),
        ("x, [y].txt", None, ["--line-breaks", "join"], {"format": "text", "line_breaks": "join"}),
        ("a.txt", None, ["--unit", "character", "--unicode", "none"], {"unit": "character", "unicode": "none"}),
        ("a.txt", None, ["--format", "lines", "--lines-per-document", "20"], {"lines_per_document": 20}),
        ("a.txt", None, ["--format", "lines", "--tokenised"], {"tokenised": True}),
        ("a.txt", None, ["--max-tokens", "3000", "--name", "it-is_1"], {"format": "text"}),
        ("a.jsonl", '{"body": "The cat of the house sat on a mat."}\n' * 900, ["--text-column", "body"],
         {"format": "json", "text_column": "body"}),
    ],
)  # fmt: skip
def test_the_block_is_valid_as_it_stands(inspect, tmp_path, name, content, options, keys):
    path = tmp_path / name
    if content:
        path.write_text(content)
    else:
        write_documents(path, PROSE)
    block = read_block(inspect(path, *options))
    [(called, data)] = block["data"].items()
    assert data.items() >= keys.items()
    assert data["source"] == {"path": str(path)}
    assert validate_block(block).runs[0].data == called


def test_the_block_names_all_that_was_given(inspect, tmp_path):
    (tmp_path / "folder").mkdir()
    paths = [write_documents(tmp_path / name, PROSE) for name in ("a.txt", "folder/b.txt")]
    output = inspect(paths[0], tmp_path / "folder")
    block = read_block(output)
    assert block["data"]["mine"]["source"] == {"path": [str(paths[0]), str(tmp_path / "folder")]}
    assert "2 × text: " in output
    validate_block(block)


def test_files_of_several_formats_are_read_by_auto(inspect, tmp_path):
    write_documents(tmp_path / "a.txt", PROSE)
    (tmp_path / "b.jsonl").write_text('{"text": "The cat of the house sat."}\n' * 9)
    output = inspect(tmp_path)
    assert "text: a.txt" in output
    assert "json: b.jsonl" in output
    assert read_block(output)["data"]["mine"]["format"] == "auto"


def write_all(descriptor, content):
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def test_a_pipe_is_read_and_the_block_says_what_to_do(inspect, tmp_path):
    read, write = os.pipe()
    writer = Thread(target=write_all, args=(write, write_documents(tmp_path / "a.txt", PROSE[:100]).read_bytes()))
    writer.start()
    output = inspect(f"/dev/fd/{read}")
    writer.join()
    assert read_number(output, "documents") == 100
    assert re.search(r"source: \{path: mine\.txt\} +# /dev/fd/\d+ is a pipe .*; save it to a file", output)


def test_a_bounded_look_says_so_and_the_block_asks_for_no_more(inspect, tmp_path):
    path = write_documents(tmp_path / "a.txt", draw_documents(1200))
    output = inspect(path, "--max-tokens", "20000")
    block = read_block(output)["data"]["mine"]
    assert "not the whole text: stopped at about --max-tokens 20,000" in " ".join(output.split())
    assert 20_000 <= read_number(output, "tokens") < 20_100
    assert block["max_documents"] == read_number(output, "documents") < 1200
    whole = inspect(path, "--max-tokens", "0")
    assert read_number(whole, "documents") == 1200
    assert "max_documents" not in read_block(whole)["data"]["mine"]
    exactly = inspect(path, "--max-tokens", read_number(whole, "tokens"))
    assert exactly == whole, "nothing was left"


def test_sentences_are_shown_as_the_model_sees_them(inspect, tmp_path):
    """In lowercase, with <unk> for what is rare in the kept sentences, and marked if they are dropped."""
    often = [["The", "cat", "sat"]] * 20
    half = [["A", "dog", "sat"]] * 3 + [["A", "dog", f"x{i}"] for i in range(2)]
    documents = [often, half] * 4
    path = write_documents(tmp_path / "a.txt", documents)
    output = inspect(path, "--format", "lines", "--tokenised", "--min-count", "20")
    shown = re.findall(r"^  ([ x]) (\S.*)$", output.partition("will see them\n")[2].partition("\n\n")[0], re.MULTILINE)
    kept, known = filter_plainly([[[w.lower() for w in words] for words in s] for s in documents], 20)
    seen = {" ".join(word if word in known else "<unk>" for word in words) for s in kept for words in s}
    assert seen == {line for mark, line in shown if mark == " "} == {"the cat sat", "<unk> <unk> sat"}
    assert {line for mark, line in shown if mark == "x"} <= {"a dog x0", "a dog x1"}


@pytest.mark.parametrize("columns", [80, 100])
def test_nothing_is_wider_than_the_terminal(inspect, tmp_path, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    words = [["The", "people", "of", "東京都庁舎", "were", "not", "in", "the", "house"] * 6 + ["."]]
    output = inspect(write_documents(tmp_path / "a.txt", [words] * 60))
    report = output.partition("Paste into")[0].replace(str(tmp_path), "")
    wide = {len(line) + sum(character > "⺀" and character != "…" for character in line) for line in report.split("\n")}
    assert columns - 2 <= max(wide) <= columns


def test_a_cut_counts_columns():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 5) == "abcd…"
    assert cut("東京都庁舎", 6) == "東京…"
    assert cut("e\u0301e\u0301e\u0301", 3) == "e\u0301e\u0301e\u0301"


def hints(output):
    """The text under ``Warnings``."""
    return " ".join(output.partition("Warnings\n")[2].partition("\n\n")[0].split())


TOKENISED = [[["it", "is", "n't", ",", "he", "said", ",", "the", "end", "."]] * 5 for _ in range(60)]
SHORT_AND_LONG = [[["Cats", "sleep", f"at{i}", "."]] for i in range(30)] + [
    [["It", "was", "the", "end", "of", "it", "."]] * 200
]
GERMAN = "Der Hund und die Katze saßen vor dem großen Haus, weil es regnete.".split()  # noqa: SIM905


@pytest.mark.parametrize(
    ("documents", "options", "hint"),
    [
        (TOKENISED, [], "seems to be tokenised already: 100 % of its commas, full stops and n't come after a space"),
        ([[words for s in PROSE for words in s]], [], "all 1,200 lines are in one document"),
        (SHORT_AND_LONG, ["--line-breaks", "join"], "of the tokens are in one document"),
        ([[GERMAN] * 3] * 50, [], "does not look like English: 0 % of its words"),
        ([[["the", "<unk>", "of", "it"]] * 3] * 50, [], "25 % of the tokens in the text are <unk>"),
        ([[["THE", "CAT", "OF", "THE", "HOUSE", "."]] * 3] * 50, [], "in capital letters"),
        (PROSE[:3], [], "A run would stop with this error: "),
        (PROSE[:50], [], "The text is small: a model would train on only"),
    ],
)  # fmt: skip
def test_what_looks_wrong_is_said(inspect, tmp_path, documents, options, hint):
    assert hint in hints(inspect(write_documents(tmp_path / "a.txt", documents), *options))


def test_a_text_in_capitals_is_tagged_in_lowercase(inspect, tmp_path):
    block = read_block(inspect(write_documents(tmp_path / "a.txt", [[["THE", "CAT", "SAT", "."]] * 9] * 50)))
    assert block["data"]["mine"]["tagging"]["case"] == "lower"
    validate_block(block)


def test_ordinary_prose_gets_no_hint(inspect, tmp_path):
    draw = random.Random(1)
    words = [*COMMON * 6, *(f"word{i}" for i in range(150))]
    documents = [[["The", *draw.choices(words, k=30), "."] for _ in range(9)] for _ in range(300)]
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(" ".join(" ".join(w) for w in s).replace(" .", ".") for s in documents))
    assert "Warnings" not in inspect(path)


def test_given_splits_are_recognised_by_the_names_of_files(inspect, tmp_path):
    for name in ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"):
        write_documents(tmp_path / name, PROSE[:90])
    output = inspect(tmp_path)
    assert "look like train, dev and test splits" in hints(output)
    block = read_block(output)
    validate_block(block)
    data = block["data"]["mine"]
    assert not {"split", "max_documents"} & data.keys()
    assert {split: Path(part["path"]).name for split, part in data["source"].items()} == {
        "train": "ptb.train.txt",
        "dev": "ptb.valid.txt",
        "test": "ptb.test.txt",
    }


def test_few_documents_get_a_seed_that_gives_every_split_its_share(inspect, tmp_path):
    for i in range(9):
        write_documents(tmp_path / f"book{i}.txt", PROSE[30 * i : 30 * i + 30])
    output = inspect(tmp_path)
    seed = read_block(output)["data"]["mine"]["split"]["seed"]
    sizes = Counter(split_of(f"book{i}.txt", SHARES, seed) for i in range(9))
    assert Counter(split_of(f"book{i}.txt", SHARES, 1) for i in range(9)).keys() != {1, 2, 3}
    assert (sizes[1], sizes[2], sizes[3]) == (6, 1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch.txt"], "nosuch.txt"),
        (["--name", "null"], "YAML does not read null as a text"),
        (["--name", "0x1F"], "YAML does not read 0x1F as a text"),
        (["--name", "1"], "YAML does not read 1 as a text"),
        (["-"], "give /dev/stdin"),
        (["--name", "figures"], "name: 'figures' is reserved"),
        (["--max-tokens", "-1"], "give 0 to read the whole text"),
        (["--min-count", "0"], "give at least 1"),
        ([], "no sentence with a letter or digit"),
    ],
)
def test_a_mistake_is_one_line(inspect, tmp_path, arguments, message):
    (tmp_path / "a.txt").write_text("...\n\n!!\n")
    with pytest.raises(SystemExit) as exit:
        inspect(tmp_path / "a.txt", *arguments)
    assert message in str(exit.value)
    assert "\n" not in str(exit.value)


@pytest.mark.integration
def test_a_reader_that_stops_early_is_no_mistake(tmp_path):
    path = write_documents(tmp_path / "a.txt", PROSE)
    command = [sys.executable, "-m", "natural_sparsity", "inspect", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


@pytest.mark.slow
def test_the_block_runs_and_keeps_what_was_said(inspect, tmp_path):
    """News articles that gensim ships, through Snakemake: the text, and the figure of the filter."""
    import gensim

    news = Path(gensim.__file__).parent / "test/test_data/lee_background.cor"
    (tmp_path / "news.txt").write_text("\n\n".join(news.read_text().splitlines()))
    output = inspect(tmp_path / "news.txt", "--name", "news")
    (tmp_path / "news.yaml").write_text(output.partition(".yaml\n\n")[2].partition("\n\n")[0])
    command = [str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]
    command += ["--directory", str(tmp_path), "--configfile", str(tmp_path / "news.yaml")]
    targets = ["results/data/news/words.parquet", "results/data/news/summary.json"]
    targets.append("results/experiments/news/news/figures/retention.png")
    process = subprocess.run([*command, "--", *targets], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-3000:]
    account = files.read_json(tmp_path / "results/data/news/accounts/filter.json", ["before", "after"])
    assert account["before"]["tokens"] == read_number(output, "tokens")
    assert f"{account['after']['types']:,} words" in output
    words = files.read_parquet(tmp_path / "results/data/news/words.parquet", ["word", "count", "matched"])[2:]
    block = read_block(output)["data"]["news"]
    drawn = [f"{(words['count'] > block['thresholds'][name]).sum():,}" for name in ("fig2", "fig5")]
    assert f"{drawn[0]} and {drawn[1]} words in training" in output
    assert words["matched"].sum() == 2 * block["tagging"]["matched_size"], "each class has enough words"
