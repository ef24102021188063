"""A block of the configuration becomes models with parents; what contradicts itself is refused in one line."""

import copy

import pytest

from natural_sparsity.config.derive import families
from natural_sparsity.config.methods.base import LAST
from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError


@pytest.fixture
def config(tmp_path):
    (tmp_path / "text").write_text("x")
    imp = {"method": "iterative", "of": "lstm", "levels": 2, "fraction": 0.5, "rewind": 1, "controls": ["random_mask"]}
    return {
        "data": {"mine": {"source": {"path": str(tmp_path / "text")}, "unit": "character"}},
        "models": {"lstm": {"training": {"batch": 7}}, "imp": {"sparsify": imp}},
        "runs": [
            {"data": "mine", "model": "lstm", "seeds": [1, 2], "epochs": 5},
            {"data": "mine", "model": "imp", "seeds": [1, 2], "epochs": 4},
        ],
    }


def derive(config):
    """Every model by name."""
    return {member.name: member for family in families(validate(config)).values() for member in family}


def test_a_level_is_a_model_with_parents(config):
    models = derive(config)
    names = ["imp-level1", "imp-level1-random_mask", "imp-level2", "imp-level2-random_mask"]
    assert list(models) == ["lstm", *names]
    dense = models["lstm"]
    assert (dense.parents, dense.sparsify, dense.base, dense.method, dense.role) == ({}, {}, None, "", "")
    assert models["imp-level1"].parents == {"start": ("lstm", 1), "masks": ("lstm", LAST)}
    assert models["imp-level2"].parents == {"start": ("lstm", 1), "masks": ("imp-level1", LAST)}
    assert models["imp-level2-random_mask"].parents == {"start": ("lstm", 1), "masks": ("imp-level2", 0)}
    assert [models[name].sparsify["density"] for name in names] == [0.5, 0.5, 0.25, 0.25]
    assert models["imp-level2"].training == dense.training
    assert (models["imp-level2"].start, models["imp-level2"].base) == (1, "lstm")
    assert models["imp-level2"].sparsify["scope"] == "global"
    assert not {"of", "levels", "controls"} & set(models["imp-level2"].sparsify)


@pytest.mark.parametrize(("step", "refused"), [("step99", False), ("step100", True), ("step999999", True)])
def test_a_step_that_ends_an_epoch_of_generated_data_is_refused_before_any_job(config, step, refused):
    config["data"]["mine"] = {"kind": "addition"}
    config["models"]["lstm"] = {"training": {"steps": 100}}
    config["models"]["imp"]["sparsify"]["rewind"] = step
    if not refused:
        assert derive(config)["imp-level1"].parents["start"] == ("lstm", step)
        return
    line = "models.imp.sparsify.rewind: an epoch of lstm on mine has 100 steps .* give a step below 100, or an epoch$"
    with pytest.raises(UserError, match=line):
        derive(config)


def test_new_weights_are_trained_from_the_first_epoch_on(config):
    """Else a ticket that goes back to epoch 1 would have trained for an epoch more than its control."""
    config["models"]["imp"]["sparsify"]["controls"] = ["random_init"]
    models = derive(config)
    control = models["imp-level2-random_init"]
    assert control.parents == {"start": ("lstm", 0), "masks": ("imp-level2", 0)}
    assert (control.start, control.sparsify["rewind"]) == (0, 0)
    assert (models["imp-level2"].start, models["imp-level2"].sparsify["rewind"]) == (1, 1)


def test_a_small_dense_model_is_trained_from_the_first_epoch_on(config):
    config["models"]["imp"]["sparsify"]["controls"] = ["equal_size", "random_mask_global"]
    models = derive(config)
    small, shuffled = models["imp-level2-equal_size"], models["imp-level2-random_mask_global"]
    assert small.parents == {"start": ("lstm", 0), "masks": ("imp-level2", 0)}
    assert shuffled.parents == {"start": ("lstm", 1), "masks": ("imp-level2", 0)}


def test_a_ticket_goes_back_to_a_step_of_the_first_epoch(config):
    """What it starts from is neither untrained nor an epoch's end; its redrawn control starts untrained."""
    config["models"]["imp"]["sparsify"] |= {"rewind": "step64", "controls": ["random_mask", "random_init"]}
    models = derive(config)
    ticket, shuffled, redrawn = (models[f"imp-level2{end}"] for end in ("", "-random_mask", "-random_init"))
    assert ticket.parents == {"start": ("lstm", "step64"), "masks": ("imp-level1", LAST)}
    assert (ticket.start, ticket.untrained, ticket.parents["start"].step) == (0, False, 64)
    assert shuffled.parents["start"] == ("lstm", "step64") and not shuffled.untrained
    assert redrawn.parents["start"] == ("lstm", 0) and redrawn.untrained


@pytest.mark.parametrize(("given", "inverted"), [({}, True), ({"inhibitor": "diffusion"}, False)])
def test_each_inhibitor_is_taken_as_its_authors_mean_it(config, given, inverted):
    config["models"]["imp"]["sparsify"] = {"method": "moduli", "of": "lstm", "ramp": 2, **given}
    assert derive(config)["imp"].sparsify["inverted"] is inverted
    config["models"]["imp"]["sparsify"]["inverted"] = not inverted
    assert derive(config)["imp"].sparsify["inverted"] is not inverted


def test_retraining_is_a_model_under_the_last_masks(config):
    config["models"]["imp"]["sparsify"] = {"method": "moduli", "of": "lstm", "ramp": 2, "retrain": True}
    models = derive(config)
    assert models["imp-retrained"].parents == {"start": ("lstm", 0), "masks": ("imp", LAST)}
    assert models["imp-retrained"].role == "retrained"
    assert "retrain" not in models["imp"].sparsify


def test_one_shot_levels_all_come_from_the_dense_model(config):
    config["models"]["imp"]["sparsify"]["method"] = "one_shot"
    assert derive(config)["imp-level2"].parents["masks"] == ("lstm", LAST)


def test_groups_pruned_gradually_have_levels_that_start_at_the_dense_model(config):
    gradual = {"method": "gradual_groups", "of": "lstm", "levels": 2, "fraction": 0.5, "groups": "gates", "end": 3}
    config["models"]["imp"]["sparsify"] = gradual
    models = derive(config)
    assert [models[f"imp-level{n}"].sparsify["density"] for n in (1, 2)] == [0.5, 0.25]
    assert models["imp-level2"].parents == {"start": ("lstm", 0)}
    assert models["imp-level2"].role == "gradual", "it goes back to no early weights: no ticket"


def test_strengths_not_given_are_zero(config):
    config["models"]["imp"]["sparsify"] = {"method": "group_lasso", "of": "lstm", "strengths": {"gates": 1}}
    sparsify = derive(config)["imp"].sparsify
    assert sparsify["strengths"] == {"weights": 0, "gates": 1, "neurons": 0}
    assert (sparsify["threshold"], sparsify["freeze"]) == (0.0001, False)


def test_sparse_vd_needs_no_dense_run_beyond_the_epoch_that_it_starts_at(config):
    alone(of="lstm", rewind=2)(config)
    run(0, epochs=2)(config)
    model = derive(config)["imp"]
    assert (model.parents, model.start) == ({"start": ("lstm", 2)}, 2)
    assert model.training.batch == 7
    alone(architecture={"hidden": [3, 4]})(config)
    config["runs"] = config["runs"][1:]
    model = derive(config)["imp"]
    assert (model.parents, model.base, model.architecture.hidden) == ({}, None, [3, 4])
    assert model.sparsify["groups"] == ["weights", "gates", "neurons"]


def test_a_student_has_an_architecture_of_its_own_and_a_teacher_that_is_fully_trained(config):
    config["models"]["little"] = {
        "architecture": {"embedding": 9},
        "sparsify": {"method": "distil", "of": "lstm", "controls": ["no_teacher"]},
    }
    config["runs"][1]["model"] = "little"
    models = derive(config)
    assert models["little"].parents == {"teacher": ("lstm", LAST)}
    assert models["little-no_teacher"].parents == {}
    for name, role in (("little", "student"), ("little-no_teacher", "no_teacher")):
        assert (models[name].architecture.embedding, models[name].architecture.hidden) == (9, [200, 200])
        assert models[name].training == models["lstm"].training
        settings = {"method": "distil", "weight": 0.5, "temperature": 1, "family": "little", "role": role}
        assert models[name].sparsify == settings


def test_what_goes_on_from_a_dense_epoch_has_a_role_of_its_own(config):
    config["models"]["imp"]["sparsify"] = {"method": "qat", "of": "lstm", "rewind": 2}
    model = derive(config)["imp"]
    assert (model.parents, model.start) == ({"start": ("lstm", 2)}, 2)
    assert model.sparsify == {"method": "qat", "bits": 8, "scope": "channel", "rewind": 2} | {
        "family": "imp",
        "role": "qat",
    }


def test_a_quantised_model_has_a_control_at_its_own_rate(config):
    """A key that nobody sets is not in the settings, so that it trains nothing again."""
    qat = {"method": "qat", "of": "lstm", "rewind": 2}
    config["models"]["imp"]["sparsify"] = qat
    assert "learning_rate" not in derive(config)["imp"].sparsify
    config["models"]["imp"]["sparsify"] = {**qat, "learning_rate": 0.5, "controls": ["rounded"]}
    models = derive(config)
    assert list(models) == ["lstm", "imp", "imp-rounded"]
    control, quantised = models["imp-rounded"], models["imp"]
    assert control.sparsify == {**quantised.sparsify, "role": "rounded"}
    assert control.sparsify["learning_rate"] == 0.5
    assert (control.parents, control.training) == (quantised.parents, quantised.training)


def in_a_row(config, rewind=0, /, **sparsify):
    """The configuration with a second method, which goes on from what the first has pruned."""
    config["models"]["imp"]["sparsify"]["rewind"] = rewind
    config["models"]["then"] = {"sparsify": sparsify}
    config["runs"].append({"data": "mine", "model": "then", "seeds": [1, 2], "epochs": 4})
    return config


QAT, TAUGHT = {"method": "qat", "bits": 2}, {"method": "distil", "of": "lstm"}


def test_a_ticket_is_quantised_under_its_masks(config):
    models = derive(in_a_row(config, 1, **QAT, of="imp-level2", rewind=3, controls=["rounded"]))
    for name in ("then", "then-rounded"):
        model = models[name]
        assert model.parents == {"start": ("imp-level2", 3), "masks": ("imp-level2", 3)}
        assert (model.base, model.source.name, model.start, model.untrained) == ("lstm", "imp-level2", 3, False)
        assert model.training.batch == 7
    expected = {**QAT, "scope": "channel", "rewind": 3, "family": "then", "role": "qat"}
    assert models["then"].sparsify == expected, "what it is made from is no setting: its parents say it"


@pytest.mark.parametrize(("rewind", "start", "untrained"), [(0, 0, True), (1, 1, False), ("step8", 0, False)])
def test_what_goes_on_from_a_tickets_start_starts_where_that_does(config, rewind, start, untrained):
    model = derive(in_a_row(config, rewind, **QAT, of="imp-level1"))["then"]
    assert (model.parents["start"], model.start, model.untrained) == (("imp-level1", 0), start, untrained)


def test_a_ticket_is_taught_from_where_it_starts(config):
    config["models"]["big"] = {"architecture": {"hidden": [300]}, "training": {"batch": 9}}
    config["runs"].append({"data": "mine", "model": "big", "seeds": [1, 2], "epochs": 6})
    models = derive(in_a_row(config, 1, **{**TAUGHT, "of": "big"}, student="imp-level2"))
    student, ticket = models["then"], models["imp-level2"]
    assert student.parents == {
        "start": ("imp-level2", 0),
        "masks": ("imp-level2", 0),
        "teacher": ("big", LAST),
    }
    assert (student.start, student.base, student.training) == (1, "lstm", ticket.training)
    assert student.architecture == ticket.architecture
    assert student.sparsify == {
        "method": "distil",
        "weight": 0.5,
        "temperature": 1,
        "family": "then",
        "role": "student",
    }


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ({"method": "gradual", "levels": 1, "end": 2.5}, 3),
        ({"method": "gradual_groups", "levels": 1, "end": 2, "groups": "gates"}, 2),
        ({"method": "moduli", "ramp": 3}, 3),
        ({"method": "moduli", "ramp": 1}, 2),
    ],
)
def test_a_model_pruned_during_training_is_quantised_once_it_is_at_its_density(config, method, first):
    config["models"]["during"] = {"sparsify": {"of": "lstm", **method}}
    config["runs"].append({"data": "mine", "model": "during", "seeds": [1, 2], "epochs": 4})
    name = "during-level1" if "levels" in method else "during"
    in_a_row(config, **QAT, of=name, rewind=first)
    assert derive(config)["then"].parents["masks"] == (name, first)
    for rewind in (0, first - 1):
        config["models"]["then"]["sparsify"]["rewind"] = rewind
        end = method.get("end", first)
        line = f"^models.then.sparsify.rewind: {name} is not at its density before epoch {end}; give that epoch or a"
        with pytest.raises(UserError, match=line):
            derive(config)
    config["models"]["then"]["sparsify"] = {**TAUGHT, "student": name}
    with pytest.raises(UserError, match=f"^models.then.sparsify.student: {name} is not at .*; name a ticket, which is"):
        derive(config)


def test_a_penalty_without_pruning_needs_one_epoch(config):
    config["models"]["imp"]["sparsify"] = {"method": "moduli", "of": "lstm", "ramp": 1, "sparsity": 0}
    config["runs"] = [{**run, "epochs": 1} for run in config["runs"]]
    assert derive(config)["imp"].method == "moduli"


def test_a_retrained_model_has_its_last_masks_from_the_start(config):
    config["models"]["imp"]["sparsify"] = {"method": "moduli", "of": "lstm", "ramp": 2, "retrain": True}
    config["models"]["then"] = {"sparsify": {**QAT, "of": "imp-retrained"}}
    assert derive(config)["then"].parents["masks"] == ("imp-retrained", 0)


TAKEN = "imp-level1, imp-level1-random_mask, imp-level2, imp-level2-random_mask"


@pytest.mark.parametrize(
    ("sparsify", "line"),
    [
        (
            {"method": "group_lasso", "of": "imp-level1", "strengths": {"gates": 1}},
            "models.then.sparsify.of: imp-level1 is made by iterative, which group_lasso does not take here; give a"
            " dense model (lstm); distil (student) or qat (of) can go on from it",
        ),
        (
            {**TAUGHT, "of": "imp-level1"},
            "models.then.sparsify.of: imp-level1 is made by iterative, which distil does not take here; give a"
            " dense model (lstm); distil (student) or qat (of) can go on from it",
        ),
        (
            {**QAT, "of": "lasso"},
            "models.then.sparsify.of: lasso is made by group_lasso, which qat does not take here; give a dense or"
            f" pruned model (lstm, {TAKEN})",
        ),
        (
            {**QAT, "of": "then"},
            f"models.then.sparsify.of: then is made by qat, which qat does not take here; give a dense or pruned model"
            f" (lstm, {TAKEN})",
        ),
        ({**QAT, "of": "imp"}, f"models.then.sparsify.of: 'imp' is no dense or pruned model; those are lstm, {TAKEN}"),
        (
            {**TAUGHT, "student": "lstm"},
            f"models.then.sparsify.student: 'lstm' is no pruned model; those are {TAKEN}",
        ),
        (
            {**TAUGHT, "student": "lasso"},
            "models.then.sparsify.student: lasso is made by group_lasso, which distil does not take here; give a pruned"
            f" model ({TAKEN})",
        ),
        (
            {**TAUGHT, "student": "imp-level1", "controls": ["no_teacher"]},
            "models.then.sparsify.controls: without a teacher, the student is imp-level1 itself; leave them out",
        ),
    ],
)
def test_methods_that_do_not_go_together_are_refused_in_one_line(config, sparsify, line):
    config["models"]["lasso"] = {"sparsify": {"method": "group_lasso", "of": "lstm", "strengths": {"gates": 1}}}
    own = {"architecture": {"hidden": [3]}} if sparsify["of"] == "imp-level1" and sparsify["method"] == "distil" else {}
    config["models"]["then"] = {**own, "sparsify": sparsify}
    with pytest.raises(UserError) as refusal:
        derive(config)
    assert str(refusal.value) == line


def test_a_student_is_refused_where_no_model_is_pruned(config):
    config["models"]["imp"] = {"sparsify": {**TAUGHT, "student": "lstm"}}
    with pytest.raises(UserError, match="^models.imp.sparsify.student: 'lstm' is no pruned model; there is none$"):
        derive(config)


def test_a_small_dense_control_has_no_masks_to_keep(config):
    config["models"]["imp"]["sparsify"]["controls"] = ["equal_size"]
    config["models"]["then"] = {"sparsify": {**QAT, "of": "imp-level1-equal_size"}}
    with pytest.raises(UserError, match=r"made by iterative, .* model \(lstm, imp-level1, imp-level2\)$"):
        derive(config)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda config: config["models"]["then"].update(training={"batch": 3}),
            "models.then.training: it is that of imp-level1 (sparsify.of); leave it out here",
        ),
        (
            lambda config: config["models"]["then"].update(
                architecture={}, sparsify={**TAUGHT, "student": "imp-level1"}
            ),
            "models.then.architecture: it is that of imp-level1 (sparsify.student); leave it out here",
        ),
        (
            lambda config: config["models"]["then"]["sparsify"].update(rewind=1),
            "models.then.sparsify.rewind: imp-level1 starts from epoch 1; give a later one, or 0 to start there",
        ),
        (
            lambda config: config["runs"].pop(1),
            "runs.1: then starts from imp-level1: give imp a run on mine with seeds: [1, 2] and epochs: 1 or more",
        ),
        (
            lambda config: (config["runs"].pop(0), config["models"]["then"].update(sparsify={**TAUGHT, "of": "lstm"})),
            "models.then.architecture: missing; give the student's, in which it differs from lstm",
        ),
        (
            lambda config: (config["models"]["imp"]["sparsify"].update(rewind=3), config["runs"][2].update(epochs=3)),
            "runs.2: then starts from epoch 3, which leaves none of 3 epochs to train",
        ),
        (
            lambda config: config["runs"][2].update(first_epoch_checkpoints=3),
            "runs.2.first_epoch_checkpoints: then starts from a trained model and has no first epoch; leave it out",
        ),
        (
            lambda config: (
                config["models"]["imp"]["sparsify"].update(rewind="step8"),
                config["models"]["then"].update(sparsify={**TAUGHT, "student": "imp-level1"}),
            ),
            "models.then.sparsify.student: imp-level1 starts inside an epoch, and its teacher cannot; name one with"
            " another rewind",
        ),
        (
            lambda config: config["models"]["lstm"].update(architecture={"cell": "rnn"}),
            "models.then.sparsify: qat needs cell lstm or gru, and the cell here is rnn; change either",
        ),
        (
            lambda config: (
                config["models"]["lstm"].update(training={"optimizer": "adam", "learning_rate": 0.001, "clip": 1}),
                config["models"]["then"]["sparsify"].update(learning_rate=5),
            ),
            "models.then.sparsify.learning_rate: 5 is a rate for SGD; give Adam one such as 0.001",
        ),
    ],
)
def test_a_second_method_contradicts_the_first(config, change, line):
    change(in_a_row(config, 1, **QAT, of="imp-level1"))
    with pytest.raises(UserError) as refusal:
        derive(config)
    assert str(refusal.value) == line


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


def run(i, **changes):
    return lambda config: config["runs"][i].update(changes)


GRADUAL = {"method": "gradual", "controls": None, "rewind": None}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            block(**GRADUAL, begin=3, end=2),
            "models.imp.sparsify: begin is 3 and end is 2; pruning ends after it begins",
        ),
        (
            block(**GRADUAL, end=6),
            "runs.1: imp is not at its density before epoch 6, but its run ends with epoch 4",
        ),
        (
            block(**GRADUAL, end=4.5),
            "runs.1: imp is not at its density before epoch 4.5, but its run ends with epoch 4",
        ),
        (
            block(method="moduli", levels=None, fraction=None, rewind=None, controls=None, ramp=5),
            "runs.1: imp is not at its density before epoch 5, but its run ends with epoch 4",
        ),
        (
            lambda config: (
                block(method="moduli", levels=None, fraction=None, rewind=None, controls=None, ramp=1)(config),
                run(1, epochs=1)(config),
            ),
            "runs.1: imp is not at its density before epoch 2, but its run ends with epoch 1",
        ),
        (
            alone(rewind=1),
            "models.imp.sparsify.rewind: to start from a trained model, name it: of",
        ),
        (
            lambda config: (alone(of="lstm", rewind=3)(config), run(0, epochs=2)(config)),
            "runs.1: imp starts from lstm: give lstm a run on mine with seeds: [1, 2] and epochs: 3 or more",
        ),
        (
            model(sparsify={"method": "group_lasso", "of": "lstm", "strengths": {"gates": 0}}),
            "models.imp.sparsify.strengths: all are 0; give one",
        ),
        (
            model(sparsify={"method": "moduli", "of": "lstm", "ramp": 2, "strength": 0, "control": "matched"}),
            "models.imp.sparsify.control: matched controls a penalty, and strength is 0",
        ),
        (block(of="gru"), "models.imp.sparsify.of: 'gru' is no dense model; those are lstm"),
        (block(of="imp"), "models.imp.sparsify.of: 'imp' is no dense model; those are lstm"),
        (
            block(rewind="step0"),
            "models.imp.sparsify.rewind: 'step0' is not an integer from 0 to 10000 or stepN, such as step64",
        ),
        (
            lambda config: (block(rewind="step8")(config), run(1, first_epoch_checkpoints=3)(config)),
            "runs.1.first_epoch_checkpoints: imp starts from a trained model and has no first epoch; leave it out",
        ),
        (
            lambda config: config["models"].update(
                lstm={"training": {"optimizer": "adam", "learning_rate": 0.001, "clip": None}},
                imp={"sparsify": {"method": "qat", "of": "lstm", "learning_rate": 5}},
            ),
            "models.imp.sparsify.learning_rate: 5 is a rate for SGD; give Adam one such as 0.001",
        ),
        (
            lambda config: config["models"].update(
                imp={"sparsify": {"method": "sparse_vd", "of": "lstm", "groups": ["weights"], "learning_rate": 5}}
            ),
            "models.imp.sparsify.learning_rate: 5 is a rate for SGD; give Adam one such as 0.001",
        ),
        (block(rewind=4), "runs.1: imp starts from epoch 4, which leaves none of 4 epochs to train"),
        (
            run(1, seeds=[1, 3]),
            "runs.1: imp starts from lstm: give lstm a run on mine with seeds: [1, 3] and epochs: 4 or more",
        ),
        (
            run(0, epochs=3),
            "runs.1: imp starts from lstm: give lstm a run on mine with seeds: [1, 2] and epochs: 4 or more",
        ),
        (
            lambda config: config["models"].update({"imp-level1": {}}),
            "models.imp: imp-level1 is also the name of another",
        ),
        (
            lambda config: config["models"].update(
                {"imp-level1": {"sparsify": {**config["models"]["imp"]["sparsify"], "controls": []}}}
            ),
            "models.imp: imp-level1 is also the name of another",
        ),
    ],
)
def test_contradictions_are_refused_in_one_line(config, change, line):
    changed = copy.deepcopy(config)
    change(changed)
    with pytest.raises(UserError) as error:
        derive(changed)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def with_twin(config, **architecture):
    """The configuration with a twin of a model of this architecture, in place of the tickets."""
    config["models"]["lstm"]["architecture"] = architecture
    config["models"]["imp"]["sparsify"] = {"method": "twin", "of": "lstm", "rewind": "step8"}
    return config


def test_a_twin_starts_from_a_step_and_is_compared_with_the_last_epoch(config):
    model = derive(with_twin(config))["imp"]
    assert model.parents == {"start": ("lstm", "step8"), "original": ("lstm", LAST)}
    assert model.sparsify == {"method": "twin", "rewind": "step8", "family": "imp", "role": "twin"}


def test_a_twin_of_text_without_dropout_is_refused(config):
    """Text is read in the same order whatever the seed, so nothing would differ. Generated sequences are drawn anew."""
    line = "^models.imp.sparsify.of: lstm trains without dropout, and on mine .*; give lstm architecture.dropout$"
    with pytest.raises(UserError, match=line):
        derive(with_twin(config, dropout=0))
    config["data"]["mine"] = {"kind": "addition"}
    config["models"]["lstm"]["training"] = {"steps": 100}
    assert derive(config)["imp"].method == "twin"


def test_a_twin_longer_than_its_original_is_refused(config):
    config["runs"][1]["epochs"] = 6
    with pytest.raises(UserError, match=r"imp starts from lstm: give .* with seeds: \[1, 2\] and epochs: 6 or more"):
        derive(with_twin(config))


def with_twin_of_ticket(config, of="imp-level2", **changes):
    """The configuration with tickets that start untrained, and a twin of one of their models."""
    config["models"]["imp"]["sparsify"] |= {"rewind": 0, **changes.pop("ticket", {})}
    config["models"]["twin"] = {"sparsify": {"method": "twin", "of": of, **changes}}
    config["runs"].append({"data": "mine", "model": "twin", "seeds": [1, 2], "epochs": 4})
    return config


@pytest.mark.parametrize("rewind", [0, 2, "step8"])
def test_a_twin_of_a_ticket_has_its_masks(config, rewind):
    start = ("imp-level2", rewind)
    twin = derive(with_twin_of_ticket(config, rewind=rewind))["twin"]
    assert twin.parents == {"start": start, "masks": start, "original": ("imp-level2", LAST)}
    assert twin.base == "lstm" and twin.untrained == (rewind == 0)


@pytest.mark.parametrize(
    ("of", "ticket", "moment"),
    [
        ("imp-level2", {"rewind": 0}, 0),
        ("imp-level2", {"rewind": 2}, 2),
        ("imp-level2", {"rewind": "step8"}, "step8"),
        ("imp-level1-random_init", {"rewind": 2, "controls": ["random_init"]}, 0),
    ],
)
def test_a_twin_that_starts_where_a_ticket_does_says_which_moment_that_is(config, of, ticket, moment):
    """The stability table names it; it is the initial weights only if the ticket starts from these."""
    twin = derive(with_twin_of_ticket(config, of, ticket=ticket))["twin"]
    assert twin.sparsify["rewind"] == moment and twin.parents["start"] == (of, 0)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"of": "torus"},
            "twin.sparsify.of: torus is made by moduli, which does more in training than keep masks; give",
        ),
        (
            {"of": "four"},
            "twin.sparsify.of: four is made by qat, which twin does not take here; give a dense or pruned",
        ),
        (
            {"rewind": "step8", "ticket": {"rewind": 1}},
            "twin.sparsify.rewind: imp-level2 starts from a trained model and has no step8 of its own; give a later",
        ),
        (
            {"rewind": 1, "ticket": {"rewind": 1}},
            "twin.sparsify.rewind: imp-level2 starts from epoch 1; give a later one, or 0 to start there",
        ),
    ],
)
def test_what_cannot_be_trained_again_with_its_masks_alone_is_refused(config, changes, line):
    config["models"]["torus"] = {"sparsify": {"method": "moduli", "of": "lstm", "ramp": 2}}
    config["models"]["four"] = {"sparsify": {"method": "qat", "of": "lstm", "bits": 4}}
    with pytest.raises(UserError, match=f"^models.{line}"):
        derive(with_twin_of_ticket(config, **changes))


def test_a_twin_of_a_ticket_without_dropout_is_refused(config):
    config["models"]["lstm"]["architecture"] = {"dropout": 0}
    line = "^models.twin.sparsify.of: imp-level2 trains without dropout, .*; give lstm architecture.dropout$"
    with pytest.raises(UserError, match=line):
        derive(with_twin_of_ticket(config))
