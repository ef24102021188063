"""What the workflow asks: runs, paths, parents, families, and what an experiment has to show."""

import json
import re

import pytest

from natural_sparsity.config.experiment import RUN, Experiment, to_json
from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError

CHECKPOINT = f"{RUN}/{{checkpoint}}"
LAST = f"{RUN}/{{checkpoint}}/state.json"
MODELS = {
    "dense": {},
    "imp": {"sparsify": {"method": "iterative", "of": "dense", "levels": 2, "rewind": 1, "controls": ["random_mask"]}},
    "four": {"sparsify": {"method": "qat", "of": "dense", "bits": 4, "rewind": 2}},
    "vd": {"sparsify": {"method": "sparse_vd", "of": "dense"}},
    "student": {"architecture": {"hidden": [3]}, "sparsify": {"method": "distil", "of": "dense"}},
    "torus": {"sparsify": {"method": "moduli", "of": "dense", "ramp": 2, "retrain": True}},
    "twin": {"sparsify": {"method": "twin", "of": "dense", "rewind": 1, "margin": 0.1}},
}


@pytest.fixture
def config(tmp_path):
    """A text, unused labelled texts, and generated sequences."""
    (tmp_path / "text").write_text("x")
    source = {"path": str(tmp_path / "text")}
    adam = {"optimizer": "adam", "learning_rate": 0.001, "clip": 1}
    return {
        "name": "mine",
        "data": {
            "chars": {"source": source, "unit": "character", "shards": 2},
            "reviews": {"kind": "classification", "source": source, "format": "vader", "classes": 2},
            "adding": {"kind": "addition", "steps": 7},
        },
        "models": {"dense": {}, "adder": {"training": adam}},
        "probes": {"frozen": {"measures": ["chi", "gini"]}, "moving": {"weights": "training", "measures": ["gini"]}},
        "runs": [
            {"data": "chars", "model": "dense", "seeds": [1, 2], "epochs": 4},
            {"data": "adding", "model": "adder", "epochs": 3},
        ],
    }


def add(config, *names, **changes):
    """The configuration with more models, each with a run."""
    config["models"] |= {name: MODELS[name] for name in names}
    config["runs"] += [{"data": "chars", "model": name, "seeds": [1, 2], "epochs": 4, **changes} for name in names]
    return config


def make(config) -> Experiment:
    return Experiment(validate(config))


def names(runs):
    return [f"{run.data.name}/{run.model.name}" for run in runs]


def test_fields_take_the_values_of_the_run(config):
    run = make(config).run("chars", "dense")
    epochs = [f"results/runs/chars/dense/seed2/epoch{k}/x" for k in (1, 2, 3, 4)]
    assert run.paths(f"{CHECKPOINT}/x", seed="2", at="epochs") == epochs
    assert run.paths(LAST) == [f"results/runs/chars/dense/seed{seed}/epoch4/state.json" for seed in (1, 2)]
    assert run.paths("{probe}/{measure}") == ["frozen/chi", "frozen/gini", "moving/gini"]
    assert run.paths("{measure}") == ["chi", "gini"]
    assert run.paths("{probe}", measure="chi") == ["frozen"], "those that have the measure"
    assert run.paths("{checkpoint}", checkpoint="init") == ["init"]
    assert run.paths("{model}/{any}", model="other", any="1") == ["dense/1"], "a run has one model"
    assert run.paths("whole") == ["whole"]


def test_paths_of_several_runs_are_listed_once(config):
    experiment = make(add(config, "four"))
    assert experiment.paths("{data}", experiment.runs) == ["chars", "adding"]
    assert experiment.paths("{model}{probe}", experiment.runs) == [
        "densefrozen",
        "densemoving",
        "fourfrozen",
        "fourmoving",
    ]


def test_a_rewound_model_starts_after_an_epoch_of_its_dense_model(config):
    experiment = make(add(config, "imp"))
    run = experiment.run("chars", "imp-level2")
    assert list(run.trained) == [2, 3, 4]
    assert [run.before(epoch) for epoch in ("epoch2", "epoch3")] == ["init", "epoch2"]
    assert experiment.run("chars", "dense").before("epoch1") == "init"
    for name in ("init", "step4"):
        with pytest.raises(UserError, match=f"^{name}: no epoch ended there"):
            run.before(name)
    with pytest.raises(UserError, match="chars/imp is not among the runs"):
        experiment.run("chars", "imp")


def test_parents(config):
    add(config, "imp", "torus")
    experiment = make(add(config, "student", epochs=3))

    def parent(model, role):
        return tuple(experiment.parent("chars", model, role).values())

    assert list(experiment.parent("chars", "imp-level1", "start")) == ["model", "checkpoint", "epoch"]
    assert parent("imp-level1", "start") == ("dense", "epoch1", 1)
    assert parent("imp-level2", "masks") == ("imp-level1", "epoch4", 4)
    # What a rewound model starts from is a trained checkpoint.
    assert parent("imp-level2-random_mask", "masks") == ("imp-level2", "init", 1)
    assert parent("torus-retrained", "start") == ("dense", "init", 0)
    # A teacher is fully trained, however long its student is.
    assert parent("student", "teacher") == ("dense", "epoch4", 4)
    assert experiment.parent("chars", "dense", "start") == experiment.parent("chars", "student", "start") == {}


def test_what_is_pruned_is_compared_with_the_dense_model_at_the_same_epoch(config):
    config["runs"][0]["epochs"] = 6
    experiment = make(add(config, "imp", "four"))
    assert names(experiment.subjects("lottery")) == ["chars/dense"]
    runs = experiment.members("lottery", data="chars", model="dense")
    levels = ["imp-level1", "imp-level1-random_mask", "imp-level2", "imp-level2-random_mask"]
    assert names(runs) == [f"chars/{name}" for name in ("dense", *levels)]
    assert {run.epochs for run in runs} == {4}
    with pytest.raises(UserError, match="no model pruned from adder runs on adding"):
        experiment.members("lottery", data="adding", model="adder")


def test_pruned_models_of_different_lengths_are_not_compared(config):
    config["models"]["once"] = {"sparsify": {"method": "one_shot", "of": "dense", "levels": 1}}
    config["runs"].append({"data": "chars", "model": "once", "epochs": 3})
    experiment = make(add(config, "imp"))
    with pytest.raises(UserError, match=r"^runs: of the models pruned from dense on chars, \S+ runs for \d epochs"):
        experiment.members("lottery", data="chars", model="dense")


def test_a_twin_is_compared_with_its_original_and_in_no_other_table(config):
    config["runs"][0]["epochs"] = 6
    experiment = make(add(config, "imp", "twin"))
    wildcards = {"data": "chars", "model": "dense", "probe": "frozen"}
    assert names(experiment.subjects("stability")) == ["chars/dense"]
    runs = experiment.members("stability", **wildcards)
    assert (names(runs), {run.epochs for run in runs}) == (["chars/dense", "chars/twin"], {4})
    assert names(experiment.members("twins", **wildcards)) == ["chars/twin"]
    original = {"model": "dense", "checkpoint": "epoch4", "epoch": 4}
    assert experiment.parent("chars", "twin", "original") == original
    for product in ("lottery", "footprint", "natural", "units"):
        assert "chars/twin" not in names(experiment.members(product, **wildcards)), product
    assert experiment.margins("chars", "dense") == '{"twin": 0.1}'
    assert "margin" not in experiment.models["twin"].sparsify, "changing it trains nothing again"


def test_a_twin_of_a_ticket_is_compared_with_the_ticket(config):
    config["models"]["again"] = {"sparsify": {"method": "twin", "of": "imp-level1", "rewind": 2}}
    config["runs"].append({"data": "chars", "model": "again", "seeds": [1, 2], "epochs": 4})
    experiment = make(add(config, "imp", "twin"))
    assert names(experiment.subjects("stability")) == ["chars/dense", "chars/imp-level1"]
    of_ticket, of_dense = (
        names(experiment.members("stability", data="chars", model=model)) for model in ("imp-level1", "dense")
    )
    assert of_ticket == ["chars/imp-level1", "chars/again"] and of_dense == ["chars/dense", "chars/twin"]
    assert experiment.parent("chars", "again", "masks")["checkpoint"] == "epoch2"
    assert "chars/again" not in names(experiment.members("footprint", data="chars", model="dense"))


def test_twins_of_different_lengths_are_not_compared(config):
    config["models"]["late"] = {"sparsify": {"method": "twin", "of": "dense", "rewind": 2}}
    config["runs"].append({"data": "chars", "model": "late", "seeds": [1, 2], "epochs": 3})
    experiment = make(add(config, "twin"))
    line = (
        "^runs: of the twins of dense on chars, late runs for 3 epochs and twin for 4; give all the same number, since"
    )
    with pytest.raises(UserError, match=line):
        experiment.members("stability", data="chars", model="dense")
    with pytest.raises(UserError, match="^no twin of adder runs on adding"):
        experiment.members("stability", data="adding", model="adder")


def test_families(config):
    experiment = make(add(config, "imp", "four", "student", "torus"))
    wildcards = {"data": "chars", "model": "dense", "probe": "frozen"}
    made = ["dense", "imp-level1", "imp-level1-random_mask", "imp-level2", "imp-level2-random_mask"]
    made += ["four", "student", "torus", "torus-retrained"]
    assert names(experiment.members("natural", **wildcards)) == [f"chars/{name}" for name in made]
    of_units = [name for name in made if name not in ("four", "student")]
    assert names(experiment.members("units", **wildcards)) == [f"chars/{name}" for name in of_units]
    worth = [name for name in made if "random" not in name]
    assert names(experiment.members("footprint", **wildcards)) == [f"chars/{name}" for name in worth]
    assert names(experiment.members("moduli", data="chars")) == ["chars/dense", "chars/torus", "chars/torus-retrained"]
    assert names(experiment.members("network", data="chars")) == ["chars/torus"]
    assert experiment.roundings("dense") == ['{"bits": 4, "scope": "channel"}']
    assert experiment.roundings("four") == []


def test_the_control_of_a_quantised_model_is_rounded_as_that_is(config):
    four = {"sparsify": {**MODELS["four"]["sparsify"], "scope": "tensor", "controls": ["rounded"]}}
    add(config, "four")["models"]["four"] = four
    experiment = make(config)
    wildcards = {"data": "chars", "model": "dense"}
    compared = ["chars/dense", "chars/four", "chars/four-rounded"]
    assert names(experiment.members("footprint", **wildcards)) == compared
    bits = ['{"bits": 4, "scope": "tensor"}']
    assert [experiment.roundings(name) for name in ("dense", "four", "four-rounded")] == [bits, [], bits]


def test_methods_in_a_row_belong_to_the_dense_model_and_round_what_they_start_from(config):
    """A ticket that goes back to epoch 1, quantised and taught; the dense model itself is rounded to no bits."""
    add(config, "imp")
    config["models"] |= {
        "two": {"sparsify": {"method": "qat", "of": "imp-level2", "bits": 2, "rewind": 3, "controls": ["rounded"]}},
        "taught": {"sparsify": {"method": "distil", "of": "dense", "student": "imp-level1"}},
    }
    config["runs"] += [{"data": "chars", "model": name, "seeds": [1, 2], "epochs": 4} for name in ("two", "taught")]
    experiment = make(config)
    worth = ["dense", "imp-level1", "imp-level2", "two", "two-rounded", "taught"]
    compared = names(experiment.members("footprint", data="chars", model="dense"))
    assert compared == [f"chars/{name}" for name in worth]
    bits = ['{"bits": 2, "scope": "channel"}']
    assert [experiment.roundings(name) for name in worth] == [[], [], bits, [], bits, []]
    for model, role, parent in (
        ("two", "start", ("imp-level2", "epoch3", 3)),
        ("two-rounded", "masks", ("imp-level2", "epoch3", 3)),
        ("taught", "start", ("imp-level1", "init", 1)),
        ("taught", "masks", ("imp-level1", "init", 1)),
        ("taught", "teacher", ("dense", "epoch4", 4)),
    ):
        assert tuple(experiment.parent("chars", model, role).values()) == parent
    assert [list(experiment.run("chars", name).trained) for name in ("two", "taught")] == [[4], [2, 3, 4]]


def test_a_small_dense_model_is_worth_its_cost_but_has_other_units(config):
    experiment = make(add(config, "imp"))
    experiment.configuration.models["imp"].sparsify.controls[:] = ["random_mask", "random_mask_global", "equal_size"]
    experiment = Experiment(experiment.configuration)
    wildcards = {"data": "chars", "model": "dense", "probe": "frozen"}
    ticket = "chars/imp-level1"
    compared = {
        product: names(experiment.members(product, **wildcards)) for product in ("lottery", "footprint", "units")
    }
    assert {f"{ticket}-{name}" for name in ("random_mask", "random_mask_global", "equal_size")} < set(
        compared["lottery"]
    )
    assert f"{ticket}-equal_size" in compared["footprint"]
    assert not any("random" in name for name in compared["footprint"])
    # Their null is the mask shuffled within each tensor.
    assert {name for name in compared["units"] if "level1" in name} == {ticket, f"{ticket}-random_mask"}


@pytest.mark.parametrize(
    ("more", "products"),
    [
        ((), set()),
        (("imp",), {"lottery", "footprint", "natural", "units"}),
        (("four",), {"footprint", "natural"}),
        (("student",), {"footprint", "natural"}),
        (("vd",), {"footprint", "natural", "units", "structure"}),
        (("torus",), {"footprint", "natural", "units", "moduli", "connectivity", "network"}),
        (("twin",), {"stability"}),
    ],
)
def test_which_tables_and_figures_an_experiment_has(config, more, products):
    experiment = make(add(config, *more))
    asked = ["lottery", "footprint", "natural", "units", "structure", "moduli", "connectivity", "network", "stability"]
    assert {name for name in asked if experiment.subjects(name)} == products
    for name in ("architecture", "chi"):
        assert experiment.targets(name, f"{name}.pdf") == [f"{name}.pdf"]
    assert experiment.targets("training", "{data}/{model}")[0] == "chars/dense", "generated data have no such figure"
    assert experiment.targets("fig2", "{data}/{probe}/{measure}") == [
        "chars/frozen/chi",
        "chars/frozen/gini",
        "chars/moving/gini",
    ]
    assert experiment.targets("fig4", "{data}") == [], "characters have no part of speech"


def test_units_are_compared_where_weights_stand_still(config):
    experiment = make(add(config, "imp"))
    assert experiment.targets("units", "{model}/{probe}") == ["dense/frozen"]
    assert experiment.targets("natural", "{model}/{probe}") == ["dense/frozen", "dense/moving"]


def test_structures_are_those_of_group_methods_and_of_their_dense_models(config):
    experiment = make(add(config, "vd", "four"))
    assert names(experiment.members("structure")) == ["chars/dense", "chars/vd"]
    assert experiment.targets("structure", "one") == ["one"]


def test_generated_data_have_tables_of_their_own(config):
    config["models"]["half"] = {"sparsify": {"method": "one_shot", "of": "adder", "levels": 1, "fraction": 0.5}}
    config["runs"].append({"data": "adding", "model": "half", "epochs": 3})
    experiment = make(config)
    assert names(experiment.subjects("lottery")) == ["adding/adder"]
    assert experiment.subjects("footprint") == experiment.subjects("natural") == []


def test_which_checkpoints_there_are(config):
    config["runs"][0]["first_epoch_checkpoints"] = 3
    experiment = make(add(config, "imp"))
    run, rewound = (experiment.run("chars", name) for name in ("dense", "imp-level1"))
    epochs = ["epoch1", "epoch2", "epoch3", "epoch4"]
    expected = {
        "last": ["epoch4"],
        "epochs": epochs,
        "course": ["init", *epochs],
        "steps": ["init", "step1", "step2", "step4", "epoch1"],
        "all": ["init", "step1", "step2", "step4", *epochs],
    }
    assert {at: run.checkpoints(at) for at in expected} == expected
    assert {at: run.paths("{checkpoint}", at=at, probe="frozen") for at in expected} == expected
    # What is measured while an epoch trains has no checkpoint before or inside one, nor has a trained model's heir.
    moving = {"last": ["epoch4"], "steps": [], **dict.fromkeys(("epochs", "course", "all"), epochs)}
    assert {at: run.checkpoints(at, "moving") for at in expected} == moving
    for at, names in moving.items():
        assert rewound.checkpoints(at) == [name for name in names if name != "epoch1"]
    assert run.paths("{checkpoint}/{probe}", at="course") == [
        *(f"{name}/frozen" for name in expected["course"]),
        *(f"{name}/moving" for name in epochs),
    ]


def test_a_run_without_checkpoints_inside_the_first_epoch_has_nothing_to_show_of_it(config):
    run = make(config).run("chars", "dense")
    assert run.checkpoints("steps") == []
    assert list(make(config).jobs("retrace")) == []


def test_jobs_take_groups_of_checkpoints(config):
    assert list(make(config).jobs("train")) == [("train", ["epoch{epoch}"], None, ())]
    assert list(make(config).jobs("probe")) == [("probe", ["{checkpoint}"], None, ())]
    config["epochs_per_job"] = {"train": 2, "probe": 3}
    config["runs"][0]["first_epoch_checkpoints"] = 4
    experiment = make(add(config, "imp"))
    jobs = {job.name: job.checkpoints for job in experiment.jobs("train")}
    assert jobs["train_chars_dense_1_to_2"] == ["epoch1", "epoch2"]
    assert jobs["train_chars_imp_level2_random_mask_4_to_4"] == ["epoch4"], "what is left"
    assert jobs["train_adding_adder_3_to_3"] == ["epoch3"]
    [again] = experiment.jobs("retrace")
    assert (again.name, again.checkpoints) == (
        "retrace_chars_dense_step1_to_step8",
        ["step1", "step2", "step4", "step8"],
    )
    probes = {job.name: job for job in experiment.jobs("probe")}
    assert not any("adding" in name for name in probes)
    own = "results/runs/{data,chars}/{model,dense}/seed{seed}"
    for name, probe, checkpoints in (
        ("init_to_3", "frozen", ["init", "epoch1", "epoch2", "epoch3"]),
        ("4_to_4", "frozen", ["epoch4"]),
        ("step1_to_step4", "frozen", ["step1", "step2", "step4"]),
        ("step8_to_step8", "frozen", ["step8"]),
        ("1_to_3", "moving", ["epoch1", "epoch2", "epoch3"]),
        ("4_to_4_2", "moving", ["epoch4"]),
    ):
        paths = probes[f"probe_chars_dense_{name}"].each(f"{CHECKPOINT}/{{probe}}")
        assert paths == [f"{own}/{checkpoint}/{{probe,{probe}}}" for checkpoint in checkpoints]
    assert "probe_chars_imp_level1_2_to_4" in probes, "a rewound model starts from a trained one"


def test_jobs_of_names_that_differ_in_signs_alone_differ(config):
    config["epochs_per_job"] = {"train": 4}
    config["models"] |= {"a-b": {}, "a_b": {}}
    config["runs"] += [{"data": "chars", "model": name, "epochs": 4} for name in ("a-b", "a_b")]
    jobs = [job.name for job in make(config).jobs("train")]
    assert len(set(jobs)) == len(jobs)


def test_data_as_training_needs_them(config):
    experiment = make(config)
    assert experiment.data["chars"].files("tokens/train.npy") == ["results/data/chars/tokens/train.npy"]
    assert experiment.data["adding"].files("tokens/train.npy") == []
    assert experiment.data["chars"].block() == {}
    assert experiment.data["reviews"].block() == {"classes": 2}
    assert experiment.data["adding"].block() == {"kind": "addition", "steps": 7, "seed": 1, "held_out": 1000}
    assert experiment.data["chars"].shards == ["0-of-2", "1-of-2"]
    assert (experiment.unit("chars"), experiment.unit()) == ("character", "character")
    assert [data.name for data in experiment.probed_data] == ["chars"]


def test_words_and_characters_together_are_tokens(config):
    config["data"]["text"] = {"source": config["data"]["chars"]["source"]}
    config["runs"].append({"data": "text", "model": "dense", "epochs": 1})
    experiment = make(config)
    assert (experiment.unit("text"), experiment.unit()) == ("word", "token")
    assert experiment.targets("fig4", "{data}") == ["text"]


def test_sources_are_downloaded_or_taken_file_by_file(config, tmp_path):
    (tmp_path / "texts/deep").mkdir(parents=True)
    for name in ("texts/b.txt", "texts/deep/a.txt"):
        (tmp_path / name).touch()
    config["data"]["chars"]["source"] = {"path": [str(tmp_path / "texts"), str(tmp_path / "text")]}
    checksum = f"md5:{'0' * 32}"
    config["data"]["web"] = {"source": {"url": "https://x.org/a b.gz?c", "checksum": checksum}}
    config["data"]["reviews"] |= {"source": {"sdist": "vader", "version": "1.0", "checksum": checksum}}
    experiment = make(config)
    chars = experiment.data["chars"]
    assert chars.options("input") == f"--input {tmp_path / 'texts'} {tmp_path / 'text'}"
    assert chars.inputs() == [str(tmp_path / name) for name in ("texts/b.txt", "texts/deep/a.txt", "text")]
    web, reviews = experiment.data["web"], experiment.data["reviews"]
    assert web.inputs() == ["results/data/web/download/source/a_b.gz"]
    assert web.download("source") == f"obtain --url 'https://x.org/a b.gz?c' --checksum {checksum}"
    assert reviews.inputs() == ["results/data/reviews/download/source/vader.tar.gz"]
    assert reviews.download("source") == f"sdist --package vader==1.0 --checksum {checksum}"
    assert experiment.named("text") == ["chars", "web"]


def with_controls(config, within=("stream",), **changes):
    """The configuration with the text in random order, and runs of the first model on it like that on the text."""
    for name in within:
        config["data"][name] = {"kind": "shuffled", "of": "chars", "within": name}
        config["runs"].append({"data": name, "model": "dense", "seeds": [1, 2], "epochs": 4, **changes})
    return config


def test_a_control_is_the_same_model_on_the_text_in_random_order(config):
    experiment = make(with_controls(config, ("document", "stream"), epochs=6, seeds=[3, 2, 1]))
    run = experiment.run("chars", "dense")
    assert names(experiment.controls(run)) == ["stream/dense", "document/dense"]
    [control] = experiment.members("control", data="chars", model="dense", probe="frozen")
    assert control.paths("{data}/{seed}", seed="2") == ["stream/2"]
    # As long as the run that it is compared with, and its seeds.
    assert control.paths("{data}/{seed}/{checkpoint}") == ["stream/1/epoch4", "stream/2/epoch4"]
    for data in ("stream", "document"):
        assert experiment.controls(experiment.run(data, "dense")) == []
    assert experiment.members("control", data="adding", model="adder") == []
    config["models"]["other"] = {}
    config["runs"].append({"data": "chars", "model": "other", "epochs": 4})
    assert make(config).members("control", data="chars", model="other") == [], "that of another model is none"


@pytest.mark.parametrize("change", [{"epochs": 3}, {"seeds": [1, 3]}, {"probes": ["moving"]}])
def test_a_control_that_lacks_something_is_refused(config, change):
    line = (
        "runs.2: stream/dense is the control of chars/dense and must cover all of it;"
        " give it epochs: 4, seeds: [1, 2], probes: [frozen, moving]"
    )
    with pytest.raises(UserError, match=re.escape(line)):
        validate(with_controls(config, **change))
    validate(with_controls(config | {"runs": config["runs"][:2]}, epochs=9, seeds=[5, 1, 2]))


def test_the_first_epoch_is_shown_of_runs_that_keep_checkpoints_in_it(config):
    config["runs"][0]["first_epoch_checkpoints"] = 3
    experiment = make(with_controls(config))

    def members(product, probe="frozen"):
        return names(experiment.members(product, data="chars", model="dense", probe=probe))

    assert members("first_epoch") == ["chars/dense"]
    assert members("first_epoch", "moving") == members("control_first_epoch") == []
    assert members("control") == members("control", "moving") == ["stream/dense"]
    config["runs"][-1]["first_epoch_checkpoints"] = 1
    experiment = make(config)
    assert members("control_first_epoch") == ["stream/dense"]


def test_words_are_learnt_from_an_untrained_model_on(config):
    experiment = make(add(config, "imp"))
    assert experiment.targets("acquisition", "{model}/{probe}") == ["dense/frozen"]
    assert experiment.targets("emergence", "{model}/{probe}")[:3] == [
        "dense/frozen",
        "dense/moving",
        "imp-level1/frozen",
    ]


@pytest.mark.parametrize(
    ("data", "model", "probes", "line"),
    [
        (
            "chars",
            "other",
            ["moving"],
            "no probe of the run reads them; add one with weights: frozen, or leave this out",
        ),
        ("adding", "other", None, "no probe of the run reads them; add one with weights: frozen, or leave this out"),
        ("chars", "vd", None, "models of sparse_vd exist only at the end of an epoch; leave it out"),
        ("chars", "imp", None, "imp starts from a trained model and has no first epoch; leave it out"),
    ],
)
def test_first_epochs_without_checkpoints_are_refused(config, data, model, probes, line):
    add(config, "imp", "vd")["models"]["other"] = config["models"]["adder"]
    config["runs"] = config["runs"][:2]
    config["runs"].append({"data": data, "model": model, "epochs": 4, "probes": probes, "first_epoch_checkpoints": 2})
    with pytest.raises(UserError, match=f"^runs.2.first_epoch_checkpoints: {line}$"):
        validate(config)


def test_a_style_is_its_own_block_over_the_one_for_all(config):
    config["figures"] = {"all": {"font_size": 9, "dpi": 100}, "fig2": {"dpi": 200}}
    experiment = make(config)
    assert json.loads(experiment.style("fig2")) == {"font_size": 9, "dpi": 200}
    assert json.loads(experiment.style("chi")) == {"font_size": 9, "dpi": 100}


def test_json_does_not_depend_on_the_order_of_keys(config):
    dense = config["models"]["dense"]["training"] = {"batch": 3, "clip": 1}
    one = make(config)
    config["models"]["dense"]["training"] = dict(reversed(dense.items()))
    assert to_json(make(config).models["dense"].training) == to_json(one.models["dense"].training)
    assert to_json({"b": 1, "a": {"d": 2, "c": 3}}) == '{"a": {"c": 3, "d": 2}, "b": 1}'


def test_as_a_dictionary_families_are_written_out(config):
    about = make(add(config, "imp")).as_dict()
    assert about["name"] == "mine"
    assert about["models"]["imp-level1"]["sparsify"]["density"] == 0.8
    assert about["models"]["dense"]["training"]["clip"] == 0.25
    run = {"data": "chars", "model": "imp-level1", "seeds": [1, 2], "epochs": 4, "probes": ["frozen", "moving"]}
    assert about["runs"][2] == run
    json.dumps(about)


def test_shuffled_data_are_counted_and_drawn_as_their_text_is(config):
    """Characters are fine; the text's settings decide, and its files are needed though nothing runs on it."""
    config["data"]["chars"] |= {"thresholds": {"fig2": 7}}
    config["data"]["mixed"] = {"kind": "shuffled", "of": "chars"}
    config["runs"] = [{"data": "mixed", "model": "dense", "epochs": 2}]
    experiment = make(config)
    mixed = experiment.data["mixed"]
    assert (mixed.unit, mixed.tagged, mixed.text.thresholds.fig2) == ("character", False, 7)
    assert mixed.block() == {} and mixed.sources() == {}
    assert experiment.named("shuffled") == ["mixed"]
    assert experiment.targets("fig2", "{data}") == ["mixed"]
    assert experiment.targets("retention", "{data}") == [], "nothing was filtered for it"
    config["data"]["chars"]["source"] = {"path": "no/such/file"}
    with pytest.raises(UserError, match="data.chars.source: no/such/file does not exist"):
        validate(config)
