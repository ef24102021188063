"""Bad configurations are refused with the key and the mend; defaults are the paper's."""

import copy
import importlib.util
import tomllib
from pathlib import Path

import pytest
import yaml

from natural_sparsity.config import validate
from natural_sparsity.errors import UserError

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_default_configuration_is_valid(config):
    assert validate(config, SCHEMA)["runs"][0]["corpus"] == "sample"


def test_defaults_are_the_papers(tmp_path):
    (tmp_path / "text").write_text("x")
    config = {
        "corpora": {"mine": {"source": {"path": str(tmp_path / "text")}}},
        "models": {"lstm": {}},
        "runs": [{"corpus": "mine", "model": "lstm"}],
    }
    filled = validate(config, SCHEMA)
    assert filled["models"]["lstm"] == {
        "architecture": {"embedding": 200, "hidden": [200, 200], "dropout": 0.2, "cell": "lstm"},
        "training": {
            "batch": 40,
            "window": 35,
            "learning_rate": 20,
            "clip": 0.25,
            "decay": 4,
            "evaluation_batch": 10,
            "optimiser": "sgd",
            "matmul_precision": "highest",
        },
        "sparsify": {},
        "parents": {},
        "rewind": 0,
    }
    corpus = filled["corpora"]["mine"]
    assert corpus["min_count"] == 100
    assert [corpus["split"][part] for part in ("train", "dev", "test")] == [0.7, 0.1, 0.2]
    assert corpus["tagging"]["min_tagged"] == 100
    assert corpus["tagging"]["matched_size"] == 120
    assert corpus["thresholds"] == {"fig2": 100_000, "fig5": 1000}
    assert filled["runs"][0]["epochs"] == 50
    assert filled["runs"][0]["probes"] == ["frozen"]
    assert filled["epochs_per_job"] == {"train_epoch": 1, "probe": 1}
    assert filled["probes"]["frozen"] == {
        "weights": "frozen",
        "measures": ["chi"],
        "epsilon": 0.1,
        "split": "train",
        "batch": 40,
        "window": 35,
        "dropout": False,
        "matmul_precision": "highest",
    }
    assert filled["statistics"] == {"resamples": 1000, "level": 0.95, "seed": 1}


def test_a_probe_during_training_has_no_settings_that_the_training_decides(tmp_path):
    (tmp_path / "text").mkdir()
    config = {
        "corpora": {"mine": {"source": {"path": str(tmp_path / "text")}}},
        "models": {"lstm": {}},
        "probes": {"during": {"weights": "training", "dropout": True, "measures": ["gini"]}},
        "runs": [{"corpus": "mine", "model": "lstm"}],
    }
    expected = {"weights": "training", "measures": ["gini"], "epsilon": 0.1, "split": "train"}
    assert validate(config, SCHEMA)["probes"]["during"] == expected


CASES = {
    "corpora.sample.min_cuont=5": r"^corpora\.sample: unknown key 'min_cuont'; did you mean 'min_count'\?$",
    "corpora.sample.min_count=-3": r"^corpora\.sample\.min_count: -3 is less than the minimum of 1$",
    "corpora.sample.min_count=many": r"^corpora\.sample\.min_count: 'many' is not of type 'integer' \(inside",
    "models.lstm.training.learning_rate=-1": r"^models\.lstm\.training\.learning_rate: -1 is less than or equal to",
    "models.lstm.training.clip=true": r"^models\.lstm\.training\.clip: True is not of type 'number'$",
    "models.lstm.architecture.hidden=[200]": r"^models\.lstm\.architecture\.hidden: \[200\] is too short$",
    "corpora.sample.split={train: 0.7, dev: 0.1, test: 0.1}": r"sample\.split: 0\.7 \+ 0\.1 \+ 0\.1 = 0\.9, not 1$",
    "corpora.sample.split={train: 0.9}": r"^corpora\.sample\.split: 0\.9 \+ 0\.1 \+ 0\.2 = 1\.2, not 1$",
    "corpora.sample.source={path: no/such/file}": r"^corpora\.sample\.source: no/such/file does not exist$",
    "corpora.sample.source={package: nosuchpackage, file: x}": r"is not installed; pip install nosuchpackage$",
    "corpora.sample.source={path: a, url: 'http://x/y'}": r"source: give url and checksum, or path",
    "corpora.sample.source={url: 'http://x/y'}": r"^corpora\.sample\.source: give url and checksum",
    "corpora.sample.source={url: 'http://x/y', checksum: 'md5:12'}": r"source\.checksum: 'md5:12' does not",
    "corpora.sample.tagging.model=xx_none": r"^corpora\.sample\.tagging\.model: .*python -m spacy download xx_none",
    "runs=[{corpus: sampel, model: lstm}]": r"^runs\.0\.corpus: 'sampel' is not among corpora \(sample\)$",
    "runs=[{corpus: sample, model: gru}]": r"^runs\.0\.model: 'gru' is not among models \(lstm\)$",
    "runs=[{corpus: sample, model: lstm}, {corpus: sample, model: lstm, seeds: [2]}]": (
        r"^runs\.1: sample/lstm is already runs\.0; list its seeds there$"
    ),
    "runs=[{corpus: sample, model: lstm, probes: [warm]}]": r"^runs\.0\.probes: 'warm' is not among probes \(frozen\)$",
    "probes.epoch3={}": r"^probes: 'epoch3' cannot name a block",
    "probes.frozen.measures=[]": r"^probes\.frozen\.measures: \[\] ",
    "probes.frozen.measures=[chi, hoyre]": (
        r"^probes\.frozen\.measures: 'hoyre' is not among chi, hoyer, gini, kurtosis, l0$"
    ),
    "probes.frozen.measures=[gini, gini]": r"^probes\.frozen\.measures: \['gini', 'gini'\] has non-unique elements$",
    "probes.during={weights: training, split: dev}": (
        r"^probes\.during\.split: dev contradicts weights: training, where it is the training's; leave it out$"
    ),
    "probes.during={weights: training, dropout: false}": r"^probes\.during\.dropout: false contradicts weights: tr",
    "probes.during={weights: training, batch: 40}": r"^probes\.during\.batch: 40 contradicts weights: training",
    "probes.frozen.weights=training": r"^probes\.frozen\.dropout: false contradicts weights: training",
    "probes.frozen.epsilon=1": r"^probes\.frozen\.epsilon: 1 is greater than or equal to the maximum of 1$",
    "epochs_per_job.probe=0": r"^epochs_per_job\.probe: 0 is less than the minimum of 1$",
    "corpora.sample.shards=2.0": r"^corpora\.sample\.shards: 2\.0 is not of type 'integer'$",
    "models.lstm.training.learning_rate=.nan": r"learning_rate: nan is not of type 'number'$",
    "corpora.sample.source={package: gensim.nosuch.sub, file: x}": r"gensim\.nosuch\.sub is not installed",
    "figures.all={colormap: nosuch}": r"^figures\.all: colormap 'nosuch' is unknown",
    "runs=[]": r"^runs: \[\] ",
    "statistics.resamples=10": r"^statistics\.resamples: 10 is less than the minimum of 100$",
    "statistics.level=95": r"^statistics\.level: 95 is greater than the maximum of 0\.999$",
    "figures.fig4={intervals: 1}": r"^figures\.fig4\.intervals: 1 is not of type 'boolean'$",
    "device=gpu": r"^device: 'gpu' does not match",
    "seeds=[1]": r"^configuration: unknown key 'seeds'; ",
    "figures.fig2.colour=red": r"^figures\.fig2: unknown key 'colour'; ",
    "figures.fig6={}": r"^figures: unknown key 'fig6'; the keys here are all, architecture, chi, ",
    "models.corpus={}": r"^models: 'corpus' cannot name a block",
    "models.a/b={}": r"^models: 'a/b' cannot name a block",
}


@pytest.mark.parametrize("change", CASES, ids=str)
def test_refusals(config, change):
    keys, value = change.split("=", 1)
    *path, last = keys.split(".")
    entry = config
    for key in path:
        entry = entry.setdefault(key, {})
    entry[last] = yaml.safe_load(value)
    with pytest.raises(UserError, match=CASES[change]) as refusal:
        validate(config, SCHEMA)
    assert "\n" not in str(refusal.value)


def test_validation_leaves_its_argument_alone(config):
    before = copy.deepcopy(config)
    validate(config, SCHEMA)
    assert config == before


def test_every_key_is_described():
    def undescribed(schema, path):
        for key, entry in schema.get("properties", {}).items():
            if "type" in entry and entry["type"] != "object" and "description" not in entry:
                yield f"{path}.{key}"
            yield from undescribed(entry, f"{path}.{key}")

    schema = yaml.safe_load(SCHEMA.read_text())
    missing = [
        *undescribed(schema, ""),
        *(m for name, part in schema["$defs"].items() for m in undescribed(part, name)),
    ]
    assert missing == []


def test_conda_environment_has_the_pins_of_the_package():
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    environment = yaml.safe_load((ROOT / "envs/natural-sparsity.yaml").read_text())
    assert environment["dependencies"][-1]["pip"] == pins
    assert environment["channels"][-1] == "nodefaults"


def test_the_embedded_excerpt_is_where_the_configuration_says(config):
    source = config["corpora"]["sample"]["source"]
    [folder] = importlib.util.find_spec(source["package"]).submodule_search_locations
    assert Path(folder, source["file"]).stat().st_size == 1_695_871
