"""A block of the configuration becomes models with parents; what contradicts itself is refused in one line."""

import copy
from pathlib import Path

import pytest

from natural_sparsity.config import validate
from natural_sparsity.errors import UserError

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/config.schema.yaml"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "text").write_text("x")
    imp = {"method": "iterative", "of": "lstm", "levels": 2, "fraction": 0.5, "rewind": 1, "controls": ["random_mask"]}
    return {
        "corpora": {"mine": {"source": {"path": str(tmp_path / "text")}}},
        "models": {"lstm": {"training": {"batch": 7}}, "imp": {"sparsify": imp}},
        "runs": [
            {"corpus": "mine", "model": "lstm", "seeds": [1, 2], "epochs": 5},
            {"corpus": "mine", "model": "imp", "seeds": [1, 2], "epochs": 4},
        ],
    }


def test_a_level_is_a_model_with_parents(config):
    filled = validate(config, SCHEMA)
    names = ["imp-level1", "imp-level1-random_mask", "imp-level2", "imp-level2-random_mask"]
    assert [run["model"] for run in filled["runs"]] == ["lstm", *names]
    models = filled["models"]
    assert models["lstm"]["parents"] == {}
    assert models["imp-level1"]["parents"] == {"start": ("lstm", 1), "masks": ("lstm", "last")}
    assert models["imp-level2"]["parents"] == {"start": ("lstm", 1), "masks": ("imp-level1", "last")}
    assert models["imp-level2-random_mask"]["parents"] == {"start": ("lstm", 1), "masks": ("imp-level2", 0)}
    assert [models[name]["sparsify"]["density"] for name in names] == [0.5, 0.5, 0.25, 0.25]
    assert models["imp-level2"]["training"] == models["lstm"]["training"]
    assert models["imp-level2"]["rewind"] == 1
    assert models["imp-level2"]["sparsify"]["scope"] == "global"


def test_new_weights_are_trained_from_the_first_epoch_on(config):
    """Else a ticket that goes back to epoch 1 would have trained for an epoch more than its control."""
    config["models"]["imp"]["sparsify"]["controls"] = ["random_init"]
    models = validate(config, SCHEMA)["models"]
    control = models["imp-level2-random_init"]
    assert control["parents"] == {"start": ("lstm", 0), "masks": ("imp-level2", 0)}
    assert (control["rewind"], control["sparsify"]["rewind"]) == (0, 0)
    assert (models["imp-level2"]["rewind"], models["imp-level2"]["sparsify"]["rewind"]) == (1, 1)


@pytest.mark.parametrize(("given", "inverted"), [({}, True), ({"inhibitor": "diffusion"}, False)])
def test_each_inhibitor_is_taken_as_its_authors_mean_it(config, given, inverted):
    config["models"]["imp"]["sparsify"] = {"method": "moduli", "of": "lstm", "ramp": 2, **given}
    assert validate(config, SCHEMA)["models"]["imp"]["sparsify"]["inverted"] is inverted
    config["models"]["imp"]["sparsify"]["inverted"] = not inverted
    assert validate(config, SCHEMA)["models"]["imp"]["sparsify"]["inverted"] is not inverted


def test_one_shot_levels_all_come_from_the_dense_model(config):
    config["models"]["imp"]["sparsify"]["method"] = "one_shot"
    assert validate(config, SCHEMA)["models"]["imp-level2"]["parents"]["masks"] == ("lstm", "last")


def test_groups_pruned_gradually_have_levels_that_start_at_the_dense_model(config):
    gradual = {"method": "gradual_groups", "of": "lstm", "levels": 2, "fraction": 0.5, "groups": "gates", "end": 3}
    config["models"]["imp"]["sparsify"] = gradual
    models = validate(config, SCHEMA)["models"]
    assert [models[f"imp-level{n}"]["sparsify"]["density"] for n in (1, 2)] == [0.5, 0.25]
    assert models["imp-level2"]["parents"] == {"start": ("lstm", 0)}
    assert models["imp-level2"]["sparsify"]["role"] == "gradual", "it goes back to no early weights: no ticket"


def test_strengths_not_given_are_zero(config):
    config["models"]["imp"]["sparsify"] = {"method": "group_lasso", "of": "lstm", "strengths": {"gates": 1}}
    filled = validate(config, SCHEMA)["models"]["imp"]["sparsify"]
    assert filled["strengths"] == {"weights": 0, "gates": 1, "neurons": 0}
    assert (filled["threshold"], filled["freeze"]) == (0.0001, False)


def test_sparse_vd_needs_no_dense_run_beyond_the_epoch_that_it_starts_at(config):
    alone(of="lstm", rewind=2)(config)
    run(0, epochs=2)(config)
    filled = validate(config, SCHEMA)["models"]["imp"]
    assert (filled["parents"], filled["rewind"]) == ({"start": ("lstm", 2)}, 2)
    assert filled["training"]["batch"] == 7
    alone(architecture={"hidden": [3, 4]})(config)
    config["runs"] = config["runs"][1:]
    filled = validate(config, SCHEMA)["models"]["imp"]
    assert (filled["parents"], filled["architecture"]["hidden"]) == ({}, [3, 4])
    assert filled["sparsify"]["groups"] == ["weights", "gates", "neurons"]


def test_a_student_has_an_architecture_of_its_own_and_a_teacher_that_is_fully_trained(config):
    little = {
        "architecture": {"embedding": 9},
        "sparsify": {"method": "distil", "of": "lstm", "controls": ["no_teacher"]},
    }
    config["models"]["little"] = little
    config["runs"][1]["model"] = "little"
    models = validate(config, SCHEMA)["models"]
    assert models["little"]["parents"] == {"teacher": ("lstm", "last")}
    assert models["little-no_teacher"]["parents"] == {}
    for name, role in (("little", "student"), ("little-no_teacher", "no_teacher")):
        assert models[name]["architecture"] == {"embedding": 9, "hidden": [200, 200], "cell": "lstm", "dropout": 0.2}
        assert models[name]["training"] == models["lstm"]["training"]
        settings = {"method": "distil", "weight": 0.5, "temperature": 1, "family": "little", "role": role}
        assert models[name]["sparsify"] == settings


def test_what_goes_on_from_a_dense_epoch_has_a_role_of_its_own(config):
    config["models"]["imp"]["sparsify"] = {"method": "qat", "of": "lstm", "rewind": 2}
    model = validate(config, SCHEMA)["models"]["imp"]
    assert (model["parents"], model["rewind"]) == ({"start": ("lstm", 2)}, 2)
    assert model["sparsify"] == {"method": "qat", "bits": 8, "scope": "channel", "rewind": 2} | {
        "family": "imp",
        "role": "qat",
    }


def block(**changes):
    def change(config):
        sparsify = config["models"]["imp"]["sparsify"]
        sparsify.update(changes)
        for key in [key for key, value in sparsify.items() if value is None]:
            del sparsify[key]

    return change


def model(**changes):
    return lambda config: config["models"]["imp"].update(changes)


def alone(**changes):
    """A model of sparse variational dropout, without a dense one unless ``of`` is given."""
    parts = ("training", "architecture")

    def change(config):
        sparsify = {key: value for key, value in changes.items() if key not in parts}
        config["models"]["imp"] = {"sparsify": {"method": "sparse_vd", **sparsify}}
        config["models"]["imp"] |= {key: value for key, value in changes.items() if key in parts}

    return change


def gru(config):
    config["models"]["lstm"]["architecture"] = {"cell": "gru"}
    alone(of="lstm")(config)


def run(i, **changes):
    return lambda config: config["runs"][i].update(changes)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            block(method="lottery"),
            "models.imp.sparsify.method: 'lottery' is no method; the methods are iterative, one_shot",
        ),
        (block(method=None), "models.imp.sparsify.method: None is no method"),
        (block(level=3), "models.imp.sparsify: unknown key 'level'; did you mean 'levels'?"),
        (block(levels=None), "models.imp.sparsify: 'levels' is a required property"),
        (block(fraction=1), "models.imp.sparsify.fraction: 1 is greater than or equal to the maximum of 1"),
        (block(tensors=["bias"]), "models.imp.sparsify.tensors.0: 'bias' is not one of"),
        (block(method="gradual"), "models.imp.sparsify: unknown key 'controls'"),
        (block(method="gradual", controls=None, end=2), "models.imp.sparsify: unknown key 'rewind'"),
        (block(method="gradual", controls=None, rewind=None), "models.imp.sparsify: 'end' is a required property"),
        (
            block(method="gradual", controls=None, rewind=None, begin=3, end=2),
            "models.imp.sparsify: begin is 3 and end is 2; pruning ends after it begins",
        ),
        (
            block(method="gradual", controls=None, rewind=None, end=6),
            "runs.1: imp is not at its density before epoch 6, but its run has 4 epochs",
        ),
        (
            block(method="moduli", levels=None, fraction=None, rewind=None, controls=None, ramp=5),
            "runs.1: imp is not at its density before epoch 5, but its run has 4 epochs",
        ),
        (
            block(method="moduli", levels=None, fraction=None, rewind=None, controls=None, ramp=2, space="torus0"),
            "models.imp.sparsify.space: 'torus0' does not match",
        ),
        (gru, "models.imp.sparsify: sparse_vd is for LSTMs, and the model's cell is gru"),
        (
            alone(rewind=1),
            "models.imp.sparsify.rewind: to start from a trained model, name it: of",
        ),
        (
            alone(training={"clip": 1}),
            "models.imp.training.clip: sparse_vd has its own, sparsify.clip; leave it out here",
        ),
        (
            alone(architecture={"dropout": 0.2}),
            "models.imp.architecture.dropout: sparse_vd has its own, sparsify.dropout; leave it out here",
        ),
        (alone(groups=["rows"]), "models.imp.sparsify.groups.0: 'rows' is not one of ['weights', 'gates', 'neurons',"),
        (
            lambda config: (alone(of="lstm", rewind=3)(config), run(0, epochs=2)(config)),
            "runs.1: imp starts from lstm: give lstm a run on mine with seeds 1, 2 and 3 epochs or more",
        ),
        (
            lambda config: config["models"].update(imp={"sparsify": {"method": "distil", "of": "lstm"}}),
            "models.imp.architecture: missing; give the student's, in which it differs from lstm",
        ),
        (
            lambda config: config["models"].update(
                imp={"architecture": {}, "training": {}, "sparsify": {"method": "distil", "of": "lstm"}}
            ),
            "models.imp.training: it is that of lstm (sparsify.of); leave it out here",
        ),
        (
            lambda config: config["models"].update(
                imp={"architecture": {}, "sparsify": {"method": "distil", "of": "lstm", "weight": 0}}
            ),
            "models.imp.sparsify.weight: 0 is less than or equal to the minimum of 0",
        ),
        (
            block(method="qat", levels=None, fraction=None, controls=None, bits=9),
            "models.imp.sparsify.bits: 9 is greater than the maximum of 8",
        ),
        (
            model(sparsify={"method": "group_lasso", "of": "lstm", "strengths": {"gates": 0}}),
            "models.imp.sparsify.strengths: all are 0; give one",
        ),
        (
            model(sparsify={"method": "moduli", "of": "lstm", "ramp": 2, "strength": 0, "control": "matched"}),
            "models.imp.sparsify.control: matched controls a penalty, and strength is 0",
        ),
        (alone(threshold=8), "models.imp.sparsify.threshold: 8 is greater than or equal to the maximum of 8"),
        (block(of="gru"), "models.imp.sparsify.of: 'gru' is no dense model; those are lstm"),
        (block(of="imp"), "models.imp.sparsify.of: 'imp' is no dense model; those are lstm"),
        (model(training={"batch": 3}), "models.imp.training: it is that of lstm (sparsify.of); leave it out here"),
        (block(rewind=4), "runs.1: imp starts from epoch 4, which leaves none of 4 epochs to train"),
        (
            run(1, seeds=[1, 3]),
            "runs.1: imp starts from lstm: give lstm a run on mine with seeds 1, 3 and 4 epochs or more",
        ),
        (
            run(0, epochs=3),
            "runs.1: imp starts from lstm: give lstm a run on mine with seeds 1, 2 and 4 epochs or more",
        ),
        (
            lambda config: config["models"].update({"imp-level1": {}}),
            "models.imp: imp-level1 is also the name of another",
        ),
    ],
)
def test_contradictions_are_refused_in_one_line(config, change, line):
    changed = copy.deepcopy(config)
    change(changed)
    with pytest.raises(UserError) as error:
        validate(changed, SCHEMA)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)
