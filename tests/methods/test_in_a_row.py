"""Methods in a row: what was pruned is quantised, or taught, and its zeros stay zeros at every checkpoint."""

import json

import pytest
import safetensors.torch
import torch
from torch.nn import functional

import natural_sparsity as ns
from chains import ADAM, TICKET, VOCABULARY, Chain, call, make_tickets, text_batches
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import export
from natural_sparsity.methods import distil, moduli
from natural_sparsity.methods.base import Place, make_method
from natural_sparsity.methods.masks import TENSORS, prunable
from natural_sparsity.methods.qat import SCALE, SINGLE
from natural_sparsity.model import exported

pytestmark = pytest.mark.integration

QAT = {"method": "qat", "bits": 2, "scope": "channel", "family": "two", "role": "qat"}
TAUGHT = {"method": "distil", "weight": 0.5, "temperature": 2.0, "family": "taught", "role": "student"}
# A quarter of the weights is kept.
TICKET_AT = "level2-2"


def carry_on(chain, settings, *names, at=TICKET_AT, **options):
    """Start a second method at a ticket, with its masks, and train it."""
    chain.start(names[0], at, at, **settings)
    chain.train(*names, **options, **settings)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A ticket that goes on in two and four bits and in single precision, and from its start with a teacher."""
    chain = make_tickets(tmp_path_factory.mktemp("in_a_row"))
    carry_on(chain, QAT, "two2", "two3", "two4")
    carry_on(chain, {**QAT, "bits": 4, "scope": "tensor"}, "four2", "four3", "four4")
    carry_on(chain, {**QAT, "role": "rounded"}, "rounded2", "rounded3", "rounded4")
    carry_on(chain, TAUGHT, "taught1", "taught2", "taught3", at="level2-1", teacher="dense3")
    return chain


def masks_of(tensors):
    return {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}


@pytest.mark.parametrize(
    ("names", "at"),
    [
        (("two2", "two3", "two4"), TICKET_AT),
        (("four2", "four3", "four4"), TICKET_AT),
        (("rounded2", "rounded3", "rounded4"), TICKET_AT),
        (("taught1", "taught2", "taught3"), "level2-1"),
    ],
)
def test_pruned_weights_are_exactly_zero_at_every_checkpoint_and_the_others_move(chain, names, at):
    _, tensors, _ = chain.load(at)
    masks, before = masks_of(tensors), None
    assert sum(int(mask.sum()) for mask in masks.values()) == pytest.approx(
        0.25 * sum(mask.numel() for mask in masks.values()), abs=4
    )
    for name in names:
        weights, kept, _ = chain.load(name)
        found = masks_of(kept)
        assert found.keys() == masks.keys() and all(torch.equal(found[key], masks[key]) for key in masks)
        for key, mask in masks.items():
            for tensor in (weights[key], kept.get(SINGLE + key, weights[key])):
                assert not torch.count_nonzero(tensor[~mask])
        trained = {key: kept.get(SINGLE + key, weights[key])[mask] for key, mask in masks.items()}
        if before:
            assert all(float((trained[key] != before[key]).double().mean()) > 0.95 for key in masks)
        before = trained


@pytest.mark.parametrize(("name", "n"), [("two2", 1), ("two4", 1), ("four4", 7)])
def test_kept_weights_lie_on_a_grid_whose_step_is_that_of_the_kept_weights(chain, name, n):
    """Rounded here with plain arithmetic, from the weights in single precision and the masks alone."""
    weights, tensors, _ = chain.load(name)
    for key, mask in masks_of(tensors).items():
        single = tensors[SINGLE + key].double()
        kept = single.abs().where(mask, torch.tensor(0.0, dtype=torch.float64))
        largest = kept.amax(1, keepdim=True) if n == 1 else kept.amax().expand(len(kept), 1)
        step = (largest / n).clamp(min=1e-30)
        torch.testing.assert_close(weights[key].double(), (single / step).round() * step, rtol=1e-6, atol=1e-9)
        assert float((weights[key].detach() / tensors[SCALE + key][:, None]).abs().max()) <= n + 1e-4


def test_the_control_is_the_ticket_that_trains_on(chain):
    """Bit for bit: it keeps the masks, and trains in single precision."""
    control, ticket = (chain.load(name)[0] for name in ("rounded3", "level2-3"))
    assert all(torch.equal(control[name], weight) for name, weight in ticket.items())


def test_a_ticket_without_its_teacher_is_the_ticket_and_with_one_it_is_not(chain):
    settings = {**TAUGHT, "weight": 1e-12}
    carry_on(chain, settings, "hardly1", "hardly2", at="level2-1", teacher="dense3")
    ticket, hardly, taught = (chain.load(name)[0] for name in ("level2-2", "hardly2", "taught2"))
    for name, weight in ticket.items():
        torch.testing.assert_close(hardly[name], weight, rtol=1e-3, atol=1e-4)
    assert float((taught["output.weight"] - ticket["output.weight"]).detach().abs().max()) > 1e-2


def test_a_masked_students_gradient_is_autograds_times_the_mask(chain):
    """Against the loss written out, with the logits of plain forward passes."""
    (model, _), (_, tensors, _) = chain.open("taught1"), chain.load("taught1")
    teacher, _ = chain.open("dense3")
    model.eval(), teacher.eval()
    batch = text_batches(chain.folder / "train.npy")[0]
    place = Place(2, 1, 1, 8, chain.open_data(), chain.path("dense3"))
    method = make_method(TAUGHT, model, dict(tensors), place)
    assert isinstance(method, distil.Distil)
    logits = model.output(model(batch.inputs, model.zero_state(8))[1]).flatten(0, 1)
    with torch.no_grad():
        taught = teacher.output(teacher(batch.inputs, teacher.zero_state(8))[1]).flatten(0, 1)
    soft = functional.kl_div(
        (logits / 2).log_softmax(1), (taught / 2).log_softmax(1), reduction="batchmean", log_target=True
    )
    loss = 0.5 * functional.cross_entropy(logits, batch.targets.flatten()) + 0.5 * 4 * soft
    gradients = dict(
        zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters())), strict=True)
    )
    expected = {name: gradient * tensors.get(name, torch.tensor(True)) for name, gradient in gradients.items()}
    method.adjust(gradients, None)
    assert all(torch.equal(gradients[name], expected[name]) for name in expected)
    assert any(not torch.equal(gradients[name], gradients[name] * 0) for name in expected)


@pytest.mark.parametrize(("settings", "first", "options"), [(QAT, 2, {}), (TAUGHT, 1, {"teacher": "dense3"})])
def test_interrupted_and_resumed_equals_uninterrupted(chain, monkeypatch, settings, first, options):
    name = settings["family"]
    chain.train_with_interruption(monkeypatch, 20, f"{name}{first}", "resumed", **options, **settings)
    assert chain.bytes("resumed") == chain.bytes(f"{name}{first + 1}")


def test_by_adam_whose_memory_still_moves_pruned_weights_they_stay_zero(tmp_path):
    """The dense model's memory goes to the ticket: its first update would move every weight."""
    chain = Chain(tmp_path, **{**ADAM, "learning_rate": 0.01})
    chain.initialise()
    chain.train("dense0", "dense1", "dense2")
    chain.start("ticket1", "dense1", "dense2", **TICKET)
    for settings, first, last, options in (
        (QAT, "two1", "two2", {}),
        (TAUGHT, "taught1", "taught2", {"teacher": "dense2"}),
    ):
        carry_on(chain, settings, first, last, at="ticket1", **options)
        assert any(bool(memory.abs().sum()) for memory in chain.memory(first).values())
        weights, tensors, _ = chain.load(last)
        assert all(not torch.count_nonzero(weights[key][~mask]) for key, mask in masks_of(tensors).items())


def test_only_the_masks_of_a_regularised_model_are_carried_over(tmp_path):
    """Points and penalties are the first method's; training goes on without them."""
    chain = Chain(tmp_path, "addition", architecture={"cell": "gru"})
    chain.initialise()
    pruning = {"method": "moduli", "space": "torus", "inhibitor": "dog", "inverted": True, "control": "none"}
    pruning |= {"strength": 0.01, "sparsity": 0.8, "ramp": 1, "tensors": ["recurrent"], "family": "t", "role": "moduli"}
    chain.start("torus0", "dense0", None, **pruning)
    chain.train("torus0", "torus1", "torus2", **pruning)
    carry_on(chain, QAT, "two2", "two3", at="torus2")
    weights, tensors, _ = chain.load("two3")
    assert not [name for name in tensors if name.startswith((moduli.POINTS, moduli.INHIBITION))]
    [(name, mask)] = masks_of(tensors).items()
    assert float(mask.double().mean()) == pytest.approx(0.2, abs=0.01)
    assert not torch.count_nonzero(weights[name][~mask]) and torch.count_nonzero(weights["output.weight"])


def test_a_student_that_is_not_pruned_starts_from_initialise(chain):
    with pytest.raises(
        UserError, match="^--sparsify: models of distil start from initialise; .* pruned model as --masks"
    ):
        chain.start("student0", "dense0", None, **TAUGHT)


def write(chain, name, **options):
    folder = chain.folder / f"{name}-{'-'.join(map(str, options.values()))}-export"
    call(export, checkpoint=chain.path(name), output=folder, **options)
    return folder


def count_bytes(model, bits, rows):
    """The bytes of the tensors in a file of ``bits`` per value, from the weights alone: see docs/sparsification.md."""
    matrices = prunable(model, list(TENSORS))
    biases = sum(p.numel() for name, p in model.named_parameters() if name not in matrices)
    total = 4 * biases
    for weight in matrices.values():
        count, nonzero = weight.numel(), int(weight.count_nonzero())
        dense, sparse = -(-count * bits // 8), -(-count // 8) + -(-nonzero * bits // 8)
        total += min(dense, sparse) + 4 * (len(weight) if rows else 1)
    return total


@pytest.mark.parametrize(("name", "bits", "rows"), [("two4", 2, True), ("four4", 4, False)])
def test_an_exported_model_has_the_outputs_and_its_file_the_bytes_of_its_bits(chain, name, bits, rows):
    folder, (model, state) = write(chain, name), chain.open(name)
    ids = torch.randint(VOCABULARY, (9, 4), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, _ = ns.load(folder)(ids)
        _, features, _ = model.eval()(ids, model.zero_state(4))
        assert torch.equal(logits, model.output(features))
    file = (folder / exported.FILE).read_bytes()
    values = len(file) - 8 - int.from_bytes(file[:8], "little")  # after the header of safetensors
    assert values == count_bytes(model, bits, rows)
    header = json.loads(safetensors.safe_open(folder / exported.FILE, "pt").metadata()[exported.KEY])
    assert all(layout["bits"] <= bits for layout in header["layouts"].values())
    row = chain.evaluate(name)
    assert row["nonzero"] == sum(int(w.count_nonzero()) for w in prunable(model, list(TENSORS)).values())
    assert row["density"] <= 0.26 and state["sparsify"]["method"] == "qat"
    with pytest.raises(UserError, match=f"{name}: its weights were trained in few bits"):
        write(chain, name, bits=4)


def test_rounding_a_ticket_without_training_keeps_its_zeros(chain):
    loaded = ns.load(write(chain, "level2-3", bits=2, scope="channel"))
    _, tensors, _ = chain.load("level2-3")
    for key, mask in masks_of(tensors).items():
        weight = loaded.get_parameter(key)
        assert not torch.count_nonzero(weight[~mask]) and torch.count_nonzero(weight[mask])
        assert all(len(row.unique()) <= 3 for row in weight)
