"""The whole configuration: defaults are the paper's, and what cannot be run is refused with the key and the mend."""

import copy
import importlib.util
from pathlib import Path

import pytest
import yaml

from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError

ROOT = Path(__file__).parents[2]
ADAM = {"optimizer": "adam", "learning_rate": 0.001, "clip": 1}


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def test_the_default_configuration_is_valid(config):
    assert validate(config).runs[0].data == "sample"


def test_defaults_are_the_papers(tmp_path):
    (tmp_path / "text").write_text("x")
    written = {
        "data": {"mine": {"source": {"path": str(tmp_path / "text")}}},
        "models": {"lstm": {}},
        "runs": [{"data": "mine", "model": "lstm"}],
    }
    assert validate(written).model_dump() == {
        "name": None,
        "data": {
            "mine": {
                "kind": "text",
                "source": {"path": str(tmp_path / "text")},
                "format": "auto",
                "text_column": "text",
                "line_breaks": "auto",
                "tokenised": False,
                "unicode": "nfc",
                "unit": "word",
                "max_documents": None,
                "shards": 1,
                "min_count": 100,
                "split": {"train": 0.7, "dev": 0.1, "test": 0.2, "seed": 1},
                "tagging": {"model": "en_core_web_sm", "case": "original", "min_tagged": 100, "matched_size": 120},
                "thresholds": {"fig2": 100_000, "fig5": 1000},
            }
        },
        "models": {
            "lstm": {
                "architecture": {
                    "embedding": 200,
                    "hidden": [200, 200],
                    "dropout": 0.2,
                    "cell": "lstm",
                    "recurrent_start": "uniform",
                    "forget_bias": None,
                    "vectors": None,
                },
                "training": {
                    "optimizer": "sgd",
                    "learning_rate": 20,
                    "clip": 0.25,
                    "decay": 4,
                    "milestones": None,
                    "batch": 40,
                    "window": 35,
                    "steps": 100,
                    "evaluation_batch": 10,
                    "matmul_precision": "highest",
                },
                "sparsify": None,
            }
        },
        "runs": [
            {"data": "mine", "model": "lstm", "seeds": [1], "epochs": 50, "probes": ["frozen"]}
            | {"first_epoch_checkpoints": 0}
        ],
        "probes": {
            "frozen": {
                "weights": "frozen",
                "measures": ["chi"],
                "epsilon": 0.1,
                "split": "train",
                "batch": 40,
                "window": 35,
                "dropout": False,
                "matmul_precision": "highest",
            }
        },
        "epochs_per_job": {"train": 1, "probe": 1},
        "statistics": {"resamples": 1000, "level": 0.95, "seed": 1},
        "figures": {},
        "device": "auto",
        "save_interval_s": 600,
    }


def test_a_probe_during_training_has_no_settings_that_the_training_decides(config):
    config["probes"] = {"during": {"weights": "training", "dropout": True, "measures": ["gini"]}}
    probe = validate(config).model_dump()["probes"]["during"]
    assert probe == {"weights": "training", "measures": ["gini"], "epsilon": 0.1, "split": "train", "dropout": True}


def test_validation_leaves_its_argument_alone(config):
    before = copy.deepcopy(config)
    validate(config)
    assert config == before


# KEY=VALUE, where the value is YAML; and the whole line, of which … stands for the rest.
REFUSALS = {
    # Single keys.
    "data.sample.min_cuont=5": "data.sample: unknown key 'min_cuont'; did you mean 'min_count'?",
    "data.sample.min_count=-3": "data.sample.min_count: -3 is not an integer from 1 to 1000000000",
    "data.sample.min_count=many": "data.sample.min_count: 'many' is not an integer from 1 to 1000000000",
    "data.sample.min_count=1e2": (
        "data.sample.min_count: '1e2' is not an integer from 1 to 1000000000 (YAML reads it as text: write 100)"
    ),
    "data.sample.min_count=1.0e+2": "data.sample.min_count: 100.0 is not an integer from 1 to 1000000000 (write 100)",
    "data.sample.min_count=1e-2": "data.sample.min_count: '1e-2' is not an integer from 1 to 1000000000",
    "data.sample.min_count=1e999": "data.sample.min_count: '1e999' is not an integer from 1 to 1000000000",
    "models.lstm.architecture.hidden=64": (
        "models.lstm.architecture.hidden: 64 is not a list of at least one integer from 1 to 16384; write hidden: [64]"
    ),
    "probes.frozen.measures=chi": (
        "probes.frozen.measures: 'chi' is not a list with at least one of chi, hoyer, gini, kurtosis, l0, each once;"
        " write measures: [chi]"
    ),
    "data.sample.min_count='5'": (
        "data.sample.min_count: '5' is not an integer from 1 to 1000000000"
        " (it is text: write it without quotes; inside braces --config gives only text, so put it in a file)"
    ),
    "data.sample.shards=2.0": "data.sample.shards: 2.0 is not an integer from 1 to 10000 (write 2)",
    "data.sample.format=xml": (
        "data.sample.format: 'xml' is not one of auto, mediawiki, wikiextractor, text, lines, wikitext, json, parquet"
    ),
    "data.sample.unit=character": "data.sample.tagging: characters have no part of speech; leave it out",
    "data.sample=": "data.sample: null is not a block of keys",
    "models.lstm.training.learning_rate=-1": "models.lstm.training.learning_rate: -1 is not a number above 0 up to…",
    "models.lstm.training.learning_rate=.nan": "models.lstm.training.learning_rate: nan is not a number above 0 up to…",
    "models.lstm.training.learning_rate=1e-3": (
        "models.lstm.training.learning_rate: '1e-3' is not a number above 0 up to 1e+30"
        " (YAML reads it as text: write 1.0e-3)"
    ),
    "models.lstm.training.clip=true": "models.lstm.training.clip: true is not a number above 0 up to 1e+30, or null",
    "models.lstm.training.decay=1": "models.lstm.training.decay: 1 is not a number above 1 up to 1e+30, or null",
    "models.lstm.training.optimizer=adam": "models.lstm.training.learning_rate: 20 is a rate for SGD; give Adam…",
    "models.lstm.training={optimizer: adam, clip: 1}": (
        "models.lstm.training.learning_rate: missing; give it for Adam, since the default is for SGD"
    ),
    "models.lstm.training={optimizer: adam, learning_rate: 1}": "models.lstm.training.clip: missing; give it for Adam…",
    "models.lstm.architecture.hidden=[]": (
        "models.lstm.architecture.hidden: [] is not a list of at least one integer from 1 to 16384"
    ),
    "models.lstm.architecture.hidden=[200, true]": (
        "models.lstm.architecture.hidden.1: true is not an integer from 1 to 16384"
    ),
    "models.lstm.architecture.activation=tanh": (
        "models.lstm.architecture.activation: only cell rnn has one, and the cell is lstm; leave it out"
    ),
    "models.lstm.architecture={cell: gru, forget_bias: 1}": (
        "models.lstm.architecture.forget_bias: only cell lstm has forget gates, and the cell is gru; leave it out"
    ),
    "models.lstm.architecture.vectors={path: none.txt, format: glove}": (
        "models.lstm.architecture.vectors.path: none.txt does not exist; check the path"
    ),
    "models.lstm.architecture.vectors={path: none.txt}": (
        "models.lstm.architecture.vectors.format: missing; it has no default"
    ),
    "models.lstm.architecture.vectors=none.txt": (
        "models.lstm.architecture.vectors: 'none.txt' is not a block of keys, or null"
    ),
    "probes.frozen.measures=[]": (
        "probes.frozen.measures: [] is not a list with at least one of chi, hoyer, gini, kurtosis, l0, each once"
    ),
    "probes.frozen.measures=[chi, hoyre]": (
        "probes.frozen.measures.1: 'hoyre' is not one of chi, hoyer, gini, kurtosis, l0"
    ),
    "probes.frozen.measures=[gini, gini]": "probes.frozen.measures: 'gini' is listed twice; list it once",
    "probes.frozen.epsilon=1": "probes.frozen.epsilon: 1 is not a number above 0 and below 1",
    "probes.during={weights: training, split: dev}": (
        "probes.during.split: dev contradicts weights: training, where the training decides; leave it out"
    ),
    "probes.during={weights: training, dropout: false}": "probes.during.dropout: false contradicts weights: training…",
    "probes.during={weights: training, batch: 40}": "probes.during.batch: 40 contradicts weights: training…",
    "probes.frozen.weights=training": "probes.frozen.dropout: false contradicts weights: training…",
    "epochs_per_job.probe=0": "epochs_per_job.probe: 0 is not an integer from 1 to 10000",
    "statistics.resamples=10": "statistics.resamples: 10 is not an integer from 100 to 100000",
    "statistics.level=95": "statistics.level: 95 is not a number from 0.5 to 0.999",
    "device=gpu": "device: 'gpu' is not auto, cpu, cuda or cuda:N",
    "seeds=[1]": "unknown key 'seeds'; the keys here are name, data, …",
    "runs=[]": "runs: [] is not a list of at least one block of keys",
    # Styles.
    "figures.all={colormap: nosuch}": "figures.all.colormap: 'nosuch' is unknown to matplotlib; 'cividis' is one",
    "figures.all={palette: nosuch}": "figures.all.palette: 'nosuch' is unknown to seaborn; 'colorblind' is one",
    "figures.all={palette: [red, red, red, rde]}": "figures.all.palette: 'rde' is no colour; write a name, or…",
    "figures.all={palette: [red]}": "figures.all.palette: ['red'] is not a text or a list of at least 4 texts",
    "figures.fig4={intervals: 1}": "figures.fig4.intervals: 1 is not true, false, or null",
    "figures.fig2.colour=red": "figures.fig2: unknown key 'colour'; did you mean 'colormap'?",
    "figures.fig6={}": "figures: 'fig6' is not one of all, architecture, chi, …",
    # Names.
    "models.figures={}": "models: 'figures' cannot name a block, since results have files of that name; choose another",
    "models={1: {}}": "models: 1 cannot name a block; names are texts",
    "data={null: {}}": "data: null cannot name a block; names are texts",
    "data={}": "data: {} is not a block with at least one entry",
    "models.a/b={}": "models: 'a/b' cannot name a block; use up to 100 letters, digits, - and _…",
    "probes.epoch3={}": "probes: 'epoch3' cannot name a block, since results have files of that name; choose another",
    "name=a/b": "name: 'a/b' cannot name a block; use up to 100 letters, digits, - and _…",
    # Sources.
    "data.sample.source={path: a, url: 'http://x/y'}": (
        "data.sample.source: give url and checksum, or path, or package and file, or train, dev and test; here are"
        " path, url"
        " (files on top are merged in)"
    ),
    "data.sample.source={url: 'http://x/y'}": "data.sample.source: give url and checksum, or path, or package and…",
    "data.sample.source={}": (
        "data.sample.source: give url and checksum, or path, or package and file, or train, dev and test; here are none"
        " (files on top are merged in)"
    ),
    "data.sample.source=text.txt": (
        "data.sample.source: 'text.txt' is not a block of keys; write source: {path: text.txt}"
    ),
    "data.sample.source={url: 'http://x/y', checksum: 'md5:12'}": (
        "data.sample.source.checksum: 'md5:12' is not sha256:, sha1: or md5: and the hexadecimal digest"
    ),
    "data.sample.source={path: no/such/file}": "data.sample.source: no/such/file does not exist; check the path",
    "data.sample.source={path: []}": "data.sample.source.path: [] is not a text or a list of at least one text",
    "data.sample.source={package: nosuchpackage, file: x}": (
        "data.sample.source.package: nosuchpackage is not installed; pip install nosuchpackage, or use source.path"
    ),
    "data.sample.source={package: gensim.test, file: x}": (
        "data.sample.source.package: 'gensim.test' is not the name of a top-level package: letters, digits and _"
    ),
    "data.sample.source={package: gensim, file: ../spacy/util.py}": (
        "data.sample.source.file: '../spacy/util.py' points outside the package; give a path inside it, or use"
        " source.path"
    ),
    "data.sample.source={package: gensim, file: /etc/passwd}": (
        "data.sample.source.file: '/etc/passwd' points outside the package; give a path inside it, or use…"
    ),
    "data.mine={min_count: 5}": "data.mine.source: missing; it has no default",
    # What is in the files, and what is installed.
    "data.sample.split={train: 0.7, dev: 0.1, test: 0.1}": "data.sample.split: 0.7 + 0.1 + 0.1 = 0.9; the shares must…",
    "data.sample.split={train: 0.9}": "data.sample.split: 0.9 + 0.1 + 0.2 = 1.2; the shares must…",
    "data.sample.tagging.model=xx_none": (
        "data.sample.tagging.model: spaCy model 'xx_none': neither an installed model nor a folder with one;"
        " install it: python -m spacy download xx_none"
    ),
    # Kinds and methods.
    "data.sample.kind=texts": (
        "data.sample.kind: 'texts' is no kind; did you mean 'text'? the kinds are text, shuffled,"
        " classification, addition, navigation"
    ),
    "data.mixed={kind: shuffled}": "data.mixed.of: missing; it has no default",
    "data.mixed={kind: shuffled, of: sampel}": "data.mixed.of: 'sampel' is not among data; name one…",
    "data.mixed={kind: shuffled, of: mixed}": "data.mixed.of: 'mixed' is of kind shuffled; name…",
    "data.mixed={kind: shuffled, of: sample, min_count: 3}": "data.mixed: unknown key 'min_count'; the keys here…",
    "data.adding={kind: addition, step: 5}": "data.adding: unknown key 'step'; did you mean 'steps'?",
    "models.m={sparsify: {of: lstm}}": "models.m.sparsify.method: missing; the methods are iterative, one_shot, …",
    "models.m={sparsify: {method: iterativ}}": (
        "models.m.sparsify.method: 'iterativ' is no method; did you mean 'iterative'? the methods are iterative, …"
    ),
    "models.m={sparsify: {method: qat, of: lstm, bits: 9}}": "models.m.sparsify.bits: 9 is not an integer from 2 to 8",
    "models.m={sparsify: {method: qat, of: lstm, bit: 8}}": (
        "models.m.sparsify: unknown key 'bit'; did you mean 'bits'?"
    ),
    "models.m={sparsify: {method: gradual, of: lstm, levels: 2}}": "models.m.sparsify.end: missing; it has no default",
    "models.m={sparsify: {method: moduli, of: lstm, ramp: 2, space: cube}}": (
        "models.m.sparsify.space: 'cube' is not circle, klein, sphere, torus, sphereN or torusN with N dimensions,"
        " or a product: sphere-torus"
    ),
    # What is somebody else's.
    "models.m={training: {batch: 3}, sparsify: {method: qat, of: lstm}}": (
        "models.m.training: it is that of lstm (sparsify.of); leave it out here"
    ),
    "models.m={architecture: {cell: gru}, sparsify: {method: qat, of: lstm}}": (
        "models.m.architecture: it is that of lstm (sparsify.of); leave it out here"
    ),
    "models.m={sparsify: {method: distil, of: lstm}}": (
        "models.m.architecture: missing; give the student's, in which it differs from lstm"
    ),
    "models.m={training: {clip: 1}, sparsify: {method: sparse_vd}}": (
        "models.m.training.clip: sparse_vd has its own, sparsify.clip; leave it out here"
    ),
    "models.m={training: {decay: 2}, sparsify: {method: sparse_vd}}": (
        "models.m.training.decay: sparse_vd has its own, a constant rate; leave it out here"
    ),
    "models.m={architecture: {dropout: 0}, sparsify: {method: sparse_vd}}": (
        "models.m.architecture.dropout: sparse_vd has its own, sparsify.dropout; leave it out here"
    ),
    # Runs.
    "runs=[{data: sampel, model: lstm}]": "runs.0.data: 'sampel' is not among data (sample)",
    "runs=[{data: sample, model: gru}]": "runs.0.model: 'gru' is not among models (lstm)",
    "runs=[{data: sample, model: lstm-level1}]": (
        "runs.0.model: 'lstm-level1' is not among models (lstm); if it is one of the models that lstm stands for,"
        " give lstm"
    ),
    "runs=[{data: sample}]": "runs.0.model: missing; it has no default",
    "runs=[{data: sample, model: lstm, seeds: [1, 1]}]": "runs.0.seeds: 1 is listed twice; list it once",
    "runs=[{data: sample, model: lstm}, {data: sample, model: lstm, seeds: [2]}]": (
        "runs.1: sample/lstm is already runs.0; list its seeds there"
    ),
    "runs=[{data: sample, model: lstm, first_epoch_checkpoints: 31}]": (
        "runs.0.first_epoch_checkpoints: 31 is not an integer from 0 to 30"
    ),
    "runs=[{data: sample, model: lstm, probes: [warm]}]": "runs.0.probes: 'warm' is not among probes (frozen)",
    # Version 0.1.
    "corpora={}": "corpora: renamed to data in version 0.2; see CHANGELOG.md",
    "tasks={}": "tasks: renamed to data in version 0.2; see CHANGELOG.md",
    "task_models={}": "task_models: renamed to models in version 0.2; see CHANGELOG.md",
    "runs=[{corpus: sample, model: lstm}]": "runs.0.corpus: renamed to data in version 0.2; see CHANGELOG.md",
    "runs=[{task: sample, model: lstm}]": "runs.0.task: renamed to data in version 0.2; see CHANGELOG.md",
    "models.lstm.training.optimiser=adam": (
        "models.lstm.training.optimiser: renamed to optimizer in version 0.2; see CHANGELOG.md"
    ),
    "epochs_per_job.train_epoch=2": "epochs_per_job.train_epoch: renamed to train in version 0.2; see CHANGELOG.md",
    "data.r={kind: classification, min_count: 2}": (
        "data.r.min_count: renamed to min_occurrences in version 0.2; see CHANGELOG.md"
    ),
    "figures.overlap={}": "figures.overlap: renamed to units in version 0.2; see CHANGELOG.md",
}


def change(config, assignment):
    keys, value = assignment.split("=", 1)
    *path, last = keys.split(".")
    entry = config
    for key in path:
        entry = entry.setdefault(key, {})
    entry[last] = yaml.safe_load(value)


def refuse(config, line):
    with pytest.raises(UserError) as refusal:
        validate(config)
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith(line[:-1]) if line.endswith("…") else message == line


@pytest.mark.parametrize("assignment", REFUSALS, ids=str)
def test_refusals(config, assignment):
    change(config, assignment)
    refuse(config, REFUSALS[assignment])


def adding(config, **model):
    """The configuration with a run of a model on generated data as well."""
    config["data"]["adding"] = {"kind": "addition", "steps": 5}
    config["models"]["adder"] = {"training": ADAM, **model}
    config["runs"].append({"data": "adding", "model": "adder", "epochs": 2})
    return config


def test_data_without_words_are_not_probed(config):
    runs = validate(adding(config)).runs
    assert [run.probes for run in runs] == [["frozen"], []]
    config["runs"][1]["probes"] = ["frozen"]
    refuse(config, "runs.1.probes: probes need words, and addition has none; leave them out")


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ({"architecture": {"embedding": 3}}, "architecture.embedding"),
        ({"training": {**ADAM, "window": 3}}, "training.window"),
        ({"training": {**ADAM, "evaluation_batch": 3}}, "training.evaluation_batch"),
    ],
)
def test_a_key_that_no_data_use_is_refused(config, model, key):
    adding(config, **model)
    refuse(config, f"models.adder.{key}: none of the data that adder runs on uses it; leave it out")
    config["models"]["adder"] = {"training": {"window": 3}}
    config["runs"][1]["data"] = "sample"
    validate(config)


def test_steps_are_for_generated_data(config):
    config["models"]["lstm"]["training"]["steps"] = 5
    refuse(config, "models.lstm.training.steps: none of the data that lstm runs on uses it; leave it out")
    del config["runs"][0]
    validate(adding(config, training={**ADAM, "steps": 5}))  # what is not run may have what it likes


REVIEWS = {
    "kind": "classification",
    "source": {"sdist": "vaderSentiment", "version": "3.3.2", "checksum": f"md5:{'0' * 32}"},
    "format": "vader",
    "classes": 2,
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"classes": 3}, "data.reviews.classes: format vader has 2 classes; set that instead of 3"),
        ({"test_source": {"path": "x"}}, "data.reviews.test_source: give it for format ag_news, which has two files…"),
        ({"format": "ag_news", "classes": 4}, "data.reviews.test_source: give it for format ag_news, which has two…"),
        ({"split": {"dev": 0.9}}, "data.reviews.split: dev and test add up to 1.1, which leaves no texts to train…"),
        ({"source": {"path": "nosuch"}}, "data.reviews.source: nosuch does not exist; check the path"),
        ({"source": {"path": "."}}, "data.reviews.source: . is a folder, not a file; name a file"),
        (
            {"source": {"path": "a", "sdist": "b"}},
            "data.reviews.source: give url and checksum, or path, or sdist, version and checksum; here are path, sdist"
            " (files on top are merged in)",
        ),
        ({"source": {"package": "a", "file": "b"}}, "data.reviews.source: give url and checksum, or path, or sdist…"),
    ],
)
def test_refusals_of_labelled_texts(config, changes, line):
    config["data"]["reviews"] = REVIEWS
    config["models"]["reader"] = {"training": ADAM}
    config["runs"].append({"data": "reviews", "model": "reader"})
    validate(config)
    config["data"]["reviews"] = {**REVIEWS, **changes}
    refuse(config, line)


def test_files_of_data_that_no_run_uses_need_not_be_there(config):
    config["data"]["other"] = {"source": {"path": "no/such/file"}}
    validate(config)


def test_the_embedded_excerpt_is_where_the_configuration_says(config):
    source = config["data"]["sample"]["source"]
    [folder] = importlib.util.find_spec(source["package"]).submodule_search_locations
    assert Path(folder, source["file"]).stat().st_size == 1_695_871
