"""Every method on every kind of data: what it promises holds after each epoch, and an epoch can be interrupted."""

import pytest
import torch

import natural_sparsity
from chains import KINDS, TENSORS, Chain, call
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import export
from natural_sparsity.methods import groups, sparse_vd
from natural_sparsity.methods.masks import density, prunable
from natural_sparsity.methods.qat import SINGLE, integers, quantise
from natural_sparsity.registry import DATA
from natural_sparsity.registry import METHODS as REGISTERED

pytestmark = pytest.mark.integration

PRUNING = {"tensors": TENSORS, "scope": "global"}
GRADUAL = {"begin": 0, "end": 2, "every": 2, "density": 0.5, "role": "gradual"}
# Densities and shares are those that are due after the second epoch.
METHODS = {
    "iterative": {**PRUNING, "density": 0.5, "role": "ticket"},
    "one_shot": {**PRUNING, "density": 0.25, "role": "ticket"},
    "gradual": {**PRUNING, **GRADUAL},
    "distil": {"weight": 0.5, "temperature": 2.0, "role": "student"},
    "qat": {"bits": 4, "scope": "channel", "role": "qat"},
    "moduli": {"space": "torus", "inhibitor": "dog", "inverted": True, "control": "none", "strength": 0.1}
    | {"sparsity": 0.5, "ramp": 2, "tensors": TENSORS, "role": "moduli"},
    "gradual_groups": {**GRADUAL, "groups": "neurons", "scope": "global"},
    "group_lasso": {"strengths": {"weights": 0.01, "gates": 0.001, "neurons": 0.001}, "threshold": 0.01}
    | {"freeze": True, "role": "group_lasso"},
    "sparse_vd": {"groups": ["weights", "gates", "neurons"], "threshold": 3, "learning_rate": 0.02, "clip": 10.0}
    | {"dropout": 0.1, "role": "sparse_vd"},
    "twin": {"rewind": 1, "role": "twin"},
}
REFUSED = {("distil", "addition"), ("distil", "navigation")}
PAIRS = [(method, kind) for kind in KINDS for method in METHODS if (method, kind) not in REFUSED]
# Of those whose state differs: masks that change, a teacher's state, quantised weights, noise, the order of texts.
INTERRUPTED = [
    ("gradual", "addition"),
    ("moduli", "navigation"),
    ("gradual_groups", "text"),
    ("group_lasso", "addition"),
    ("qat", "classification"),
    ("distil", "classification"),
    ("distil", "text"),
    ("sparse_vd", "navigation"),
    ("sparse_vd", "text"),
]


def settings_of(method, kind):
    settings = {"method": method, **METHODS[method]}
    if method == "sparse_vd" and kind in ("text", "classification"):
        settings["groups"] = [*settings["groups"], "vocabulary"]
    return settings


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    """By kind: LSTMs of two layers, trained for two epochs."""
    trained = {}

    def get(kind):
        if kind not in trained:
            folder = tmp_path_factory.mktemp(kind)
            trained[kind] = Chain(folder, kind, architecture={"cell": "lstm", "hidden": [7, 5], "dropout": 0.1})
            trained[kind].initialise()
            trained[kind].train("dense0", "dense1", "dense2")
        return trained[kind]

    return get


def begin(chain, method, settings):
    """Write what training starts from, after the first epoch; the name of the checkpoint and training's arguments."""
    if method == "distil":
        return "dense1", {**settings, "teacher": "dense2"}
    masks = "dense2" if method in ("iterative", "one_shot") else None
    chain.start(f"{method}1", "dense1", masks, **settings)
    return f"{method}1", settings


def test_all_pairs_are_here():
    assert set(METHODS) == set(REGISTERED)
    assert {DATA[kind].implementation for kind in KINDS} == {entry.implementation for entry in DATA.values()}
    assert len(PAIRS) + len(REFUSED) == 40


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_a_method_trains_and_what_it_promises_holds(chains, method, kind):
    chain, settings = chains(kind), settings_of(method, kind)
    first, arguments = begin(chain, method, settings)
    names = [first, f"{method}2", f"{method}3"]
    chain.train(*names, **arguments)
    for epoch, name in enumerate(names[1:], 2):
        model, state = chain.open(name)
        before, (parameters, tensors, _) = chain.load(names[epoch - 2])[0], chain.load(name)
        assert (state["epoch"], state["kind"], state["sparsify"]) == (epoch, kind, settings)
        assert all(isinstance(state[key], float) for key in ("train_loss", "dev_loss", "dev_score"))
        assert any(not torch.equal(parameters[key], before[key]) for key in before), "nothing was trained"
        CHECKS[method](chain, model, tensors, settings, epoch)
    check_export(chain, names[-1])
    by_sgd = chain.training.get("optimizer", "sgd") == "sgd" and method != "sparse_vd"
    assert bool(chain.memory(names[-1])) != by_sgd


def check_export(chain, name):
    """Exported and loaded back, it is a module of torch's layers with the same outputs, bit for bit."""
    folder = chain.path(f"{name}-exported")
    call(export, checkpoint=chain.path(name), output=folder)
    (model, state), loaded = chain.open(name), natural_sparsity.load(folder)
    batch = chain.first_batch(model.interface)
    with torch.no_grad():
        _, features, after = model.eval()(batch.inputs, model.initial_state(batch.inputs.shape[1], batch.start))
        outputs, last = loaded(batch.inputs, start=batch.start)
    assert torch.equal(outputs, model.output(features))
    torch.testing.assert_close(last, after, atol=0, rtol=0)
    assert {type(layer).__module__.split(".")[0] for layer in loaded.children()} == {"torch"}
    assert (loaded.about["checkpoint"], loaded.about["epoch"]) == (state["parameters"], state["epoch"])


def check_masks(chain, model, tensors, settings, epoch):
    """What a mask drops is 0, and as much is dropped as is due."""
    masks = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}
    for name, mask in masks.items():
        assert not model.get_parameter(name).detach()[~mask].any(), name
    if settings["method"] == "gradual_groups":
        kept = torch.cat([masks[f"recurrent.{layer}.bias_ih_l0"].view(4, -1)[0] for layer in (0, 1)])
        assert float(kept.double().mean()) == pytest.approx(0.5)
        return
    assert set(masks) == set(prunable(model, TENSORS))
    due = {"iterative": 0.5, "one_shot": 0.25, "gradual": 0.5, "moduli": 0.5}
    count = sum(mask.numel() for mask in masks.values())
    assert density(masks) == pytest.approx(due[settings["method"]], abs=1 / count)


def check_quantised(chain, model, tensors, settings, epoch):
    """Every weight matrix is on the grid of its scales, and is what the weights in single precision round to."""
    numbers = integers(model, tensors)
    assert set(numbers) == set(prunable(model, TENSORS))
    for name, (q, _) in numbers.items():
        assert int(q.abs().max()) <= 7
        assert torch.equal(quantise(tensors[SINGLE + name], 4, "channel")[0], model.get_parameter(name))


def check_threshold(chain, model, tensors, settings, epoch):
    """No penalised weight is between 0 and the threshold; some are 0, and these stay."""
    weights = groups.select_matrices(model)
    sizes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    assert not bool(((sizes > 0) & (sizes < settings["threshold"])).any())
    assert int((sizes == 0).sum()) > 0
    before = chain.load(f"group_lasso{epoch - 1}")[0]
    if epoch > 2:
        assert not any(bool(weight[before[name] == 0].any()) for name, weight in weights.items())


def check_means(chain, model, tensors, settings, epoch):
    """The parameters are the masked means with the group variables multiplied in; some are 0."""
    effective = sparse_vd.effective(tensors, settings["threshold"])
    assert set(effective) == {name for name, _ in model.named_parameters()}
    for name, value in effective.items():
        assert torch.equal(value, model.get_parameter(name).detach()), name
    kept = {
        name: mask
        for name, mask in sparse_vd.kept(tensors, settings["threshold"]).items()
        if sparse_vd.LOG_SIGMA + name in tensors
    }
    names = {*prunable(model, TENSORS), "neurons.0", "neurons.1", "gates.0", "gates.1"}
    if model.embedding is not None:
        names |= {"vocabulary", "neurons.embedding"}
    assert set(kept) == names
    assert sum(int((~mask).sum()) for mask in kept.values()) > 0


def check_student(chain, model, tensors, settings, epoch):
    """It is not the model that the targets alone give."""
    assert tensors == {}
    dense = chain.load("dense2")[0]
    assert epoch != 2 or not all(torch.equal(dense[name], p) for name, p in model.named_parameters())


def check_twin(chain, model, tensors, settings, epoch):
    """It is not the original."""
    assert tensors == {}
    dense = chain.load("dense2")[0]
    assert epoch != 2 or not all(torch.equal(dense[name], p) for name, p in model.named_parameters())


CHECKS = dict.fromkeys(("iterative", "one_shot", "gradual", "moduli", "gradual_groups"), check_masks)
CHECKS["twin"] = check_twin
CHECKS |= {"qat": check_quantised, "group_lasso": check_threshold, "sparse_vd": check_means, "distil": check_student}


@pytest.mark.parametrize(("method", "kind"), INTERRUPTED)
def test_an_epoch_that_was_interrupted_ends_in_the_same_bits(chains, monkeypatch, method, kind):
    chain, settings = chains(kind), settings_of(method, kind)
    first, arguments = begin(chain, method, settings)
    chain.train(first, f"{method}-whole2", **arguments)
    chain.train_with_interruption(monkeypatch, 3, first, f"{method}-parts2", **arguments)
    assert chain.bytes(f"{method}-parts2") == chain.bytes(f"{method}-whole2")


@pytest.mark.parametrize(("method", "kind"), sorted(REFUSED))
def test_a_teacher_of_numbers_is_refused(chains, method, kind):
    chain = chains(kind)
    with pytest.raises(UserError, match="distil: needs targets that are classes"):
        chain.train("dense1", "refused2", teacher="dense2", **settings_of(method, kind))


@pytest.mark.parametrize("kind", ["addition", "navigation"])
def test_words_are_no_group_of_data_without_any(chains, kind):
    chain = chains(kind)
    settings = {**settings_of("sparse_vd", kind), "groups": ["weights", "vocabulary"]}
    with pytest.raises(UserError, match=r"sparsify\.groups: vocabulary is a group of words"):
        chain.start("refused1", "dense1", None, **settings)
