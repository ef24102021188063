"""Lottery tickets from checkpoint to checkpoint: what is kept, what it starts from, and that pruned stays pruned."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from chains import TICKET, VOCABULARY, after_steps, language_model, make_text_step, text_batches
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.methods import gradual
from natural_sparsity.methods.base import Masked, Place
from natural_sparsity.methods.masks import all_kept, by_magnitude, prunable

pytestmark = pytest.mark.integration


def nonzero(parameters, masks):
    return sum(int(parameters[name].count_nonzero()) for name in masks)


def test_a_level_starts_from_the_masked_weights_of_the_rewound_epoch_bit_for_bit(chain):
    rewound, _, rewound_state = chain.load("dense1")
    for level in (1, 2):
        parameters, masks, state = chain.load(f"level{level}-1")
        assert len(masks) == 6
        for name, parameter in parameters.items():
            expected = rewound[name] * masks[name] if name in masks else rewound[name]
            assert torch.equal(parameter, expected), name
        for key in ("epoch", "learning_rate_out", "steps", "examples", "seed"):
            assert state[key] == rewound_state[key]
        # That of the dense weights would lower the rate until the pruned ones had caught up.
        assert state["best_dev_loss"] is None is not rewound_state["best_dev_loss"]


def test_the_smallest_of_the_trained_weights_go(chain):
    trained, _, _ = chain.load("dense3")
    _, masks, _ = chain.load("level1-1")
    for name, mask in masks.items():
        magnitudes = trained[name].detach().abs()
        assert float(magnitudes[mask].min()) >= float(magnitudes[~mask].max())


def test_density_is_counted_exactly_and_masks_are_nested(chain):
    _, first, _ = chain.load("level1-3")
    _, second, _ = chain.load("level2-3")
    assert sum("weight_hh" in name for name in first) == 2
    for name in first:
        assert abs(int(first[name].sum()) - first[name].numel() / 2) <= 1
        assert abs(int(second[name].sum()) - first[name].numel() / 4) <= 1
        assert not bool((second[name] & ~first[name]).any())


def test_pruned_weights_are_exactly_zero_in_every_checkpoint_and_the_others_move(chain):
    _, masks, _ = chain.load("level2-1")
    for epoch in (2, 3):
        parameters, now, _ = chain.load(f"level2-{epoch}")
        before, _, _ = chain.load(f"level2-{epoch - 1}")
        for name, mask in masks.items():
            assert torch.equal(now[name], mask)
            assert bool((parameters[name][~mask] == 0).all())
            assert bool((parameters[name][mask] != before[name][mask]).any())


@pytest.mark.parametrize(("rewind", "epochs"), [(0, 3), (1, 1)])
def test_a_ticket_that_keeps_everything_is_the_dense_training_bit_for_bit(chain, rewind, epochs):
    """The same learning rate, data order and dropout; from a later epoch until the dense rate drops."""
    settings = {**TICKET, "density": 1.0}
    chain.start(f"whole{rewind}", f"dense{rewind}", "dense3", **settings)
    for epoch in range(rewind, rewind + epochs):
        chain.train(f"whole{epoch}", f"whole{epoch + 1}", **settings)
        whole, _, state = chain.load(f"whole{epoch + 1}")
        dense, _, of_dense = chain.load(f"dense{epoch + 1}")
        assert all(torch.equal(whole[name], dense[name]) for name in dense)
        assert (state["learning_rate_out"] == of_dense["learning_rate_out"]) or rewind


def test_interrupted_and_resumed_equals_uninterrupted(chain):
    settings = {**TICKET, "density": 0.25}
    chain.copy("level2-2", "again2")
    chain.train("again2", "again3", **settings)
    assert chain.bytes("again3") == chain.bytes("level2-3")


def test_controls(chain):
    ticket, masks, _ = chain.load("level2-1")
    chain.start("mask1", "dense1", "level2-1", **{**TICKET, "role": "random_mask", "density": 0.25})
    chain.start("init1", "dense1", "level2-1", **{**TICKET, "role": "random_init", "density": 0.25})
    rewound, _, _ = chain.load("dense1")
    shuffled, other, _ = chain.load("mask1")
    for name in masks:
        assert other[name].sum() == masks[name].sum()
        assert not torch.equal(other[name], masks[name])
        assert torch.equal(shuffled[name], rewound[name] * other[name])
    fresh, same, _ = chain.load("init1")
    untrained, _, _ = chain.load("dense0")
    for name in masks:
        assert torch.equal(same[name], masks[name])
        # Where the mask keeps a weight, it is neither the ticket's nor that of the untrained model.
        assert not bool((fresh[name] == ticket[name])[masks[name]].any())
        assert not bool((fresh[name] == untrained[name])[masks[name]].any())
        assert bool((fresh[name][~masks[name]] == 0).all())


def test_masks_shuffled_over_all_layers_keep_the_number_alone(chain):
    _, masks, _ = chain.load("level2-1")
    chain.start("global1", "dense1", "level2-1", **{**TICKET, "role": "random_mask_global", "density": 0.25})
    chain.train("global1", "global2", **{**TICKET, "role": "random_mask_global", "density": 0.25})
    rewound, _, _ = chain.load("dense1")
    shuffled, other, _ = chain.load("global1")
    trained, _, _ = chain.load("global2")
    assert sum(int(mask.sum()) for mask in other.values()) == sum(int(mask.sum()) for mask in masks.values())
    assert any(other[name].sum() != masks[name].sum() for name in masks)
    for name, mask in other.items():
        assert torch.equal(shuffled[name], rewound[name] * mask)
        assert bool((trained[name][~mask] == 0).all())


@pytest.mark.parametrize("tensors", [TICKET["tensors"], ["recurrent"]])
def test_the_dense_model_of_equal_size_has_as_many_weights_as_the_ticket_has_left(chain, tensors):
    """Whatever is pruned: what is not counts as well."""
    settings = {**TICKET, "tensors": tensors, "density": 0.4}
    chain.start("some0", "dense0", "dense3", **settings)
    ticket, _, _ = chain.load("some0")
    left = sum(int(weight.count_nonzero()) for name, weight in ticket.items() if "weight" in name)
    small = {**settings, "role": "equal_size"}
    chain.start("small0", "dense0", "some0", **small)
    chain.train("small0", "small1", **small)
    weights, masks, state = chain.load("small1")
    total = sum(weight.numel() for name, weight in weights.items() if "weight" in name)
    assert abs(total - left) <= VOCABULARY, "a unit of the embedding or of the last layer more, or fewer"
    assert masks == {}
    assert all(bool(weight.all()) for name, weight in weights.items() if "weight" in name), "nothing is pruned"
    dense, _, of_dense = chain.load("dense0")
    assert state["interface"] == of_dense["interface"]
    assert [len(layer) for layer in (weights["embedding.weight"], weights["output.weight"])] == [VOCABULARY] * 2
    assert state["architecture"]["dropout"] == of_dense["architecture"]["dropout"]
    assert weights["embedding.weight"].shape[1] < dense["embedding.weight"].shape[1]


def test_a_ticket_smaller_than_any_dense_model_has_no_dense_model_of_equal_size(chain):
    settings = {**TICKET, "density": 0.01}
    chain.start("tiny0", "dense0", "dense3", **settings)
    with pytest.raises(
        UserError, match="equal_size: .* weights are left, but a dense model has at least .*; give fewer"
    ):
        chain.start("none0", "dense0", "tiny0", **{**settings, "role": "equal_size"})


def test_one_shot_goes_there_at_once(chain):
    settings = {**TICKET, "method": "one_shot", "scope": "global", "density": 0.25}
    chain.start("shot1", "dense1", "dense3", **settings)
    trained, _, _ = chain.load("dense3")
    _, masks, _ = chain.load("shot1")
    weights = {name: trained[name].detach() for name in masks}
    expected = by_magnitude(weights, all_kept(weights), 0.25, "global")
    assert all(torch.equal(masks[name], expected[name]) for name in masks)


def test_masks_of_another_seed_are_refused(chain):
    chain.initialise("other0", seed=4)
    with pytest.raises(UserError, match="of another model, data or seed than"):
        chain.start("refused", "dense1", "other0", **TICKET)


class PlainRNN(nn.Module):
    """The same network, as one would write it with torch's modules."""

    def __init__(self, ours):
        super().__init__()
        self.encoder = nn.Embedding(VOCABULARY, 6)
        self.first, self.second = nn.LSTM(6, 5), nn.LSTM(5, 7)
        self.decoder = nn.Linear(7, VOCABULARY)
        self.double().load_state_dict(
            dict(zip(self.state_dict(), (p.detach().clone() for p in ours.parameters()), strict=True))
        )

    def forward(self, x, hidden):
        y, first = self.first(self.encoder(x), hidden[0])
        y, second = self.second(y, hidden[1])
        return self.decoder(y), [tuple(h.detach() for h in pair) for pair in (first, second)]


def test_masked_training_is_that_of_torchs_pruning(tmp_path):
    """Against autograd through ``torch.nn.utils.prune``'s masks, clipped by the norm of the masked gradients."""
    torch.manual_seed(0)
    ours = language_model(embedding=6, hidden=[5, 7], dropout=0.0).double()
    weights = prunable(ours, TICKET["tensors"])
    masks = by_magnitude(weights, all_kept(weights), 0.3, "layer")
    plain = PlainRNN(ours)
    names = dict(zip([name for name, _ in ours.named_parameters()], plain.named_parameters(), strict=True))
    for name, mask in masks.items():
        path, _, parameter = names[name][0].rpartition(".")
        prune.custom_from_mask(plain.get_submodule(path), parameter, mask.double())
    words = np.random.default_rng(0).zipf(1.4, 2000) % VOCABULARY
    files.write_array(tmp_path / "train.npy", words.astype(np.uint8))
    method = Masked({}, ours, masks, Place(1, 30, 300))
    step = make_text_step(ours.train(), 4.0, method, clip=0.05)
    hidden = [tuple(torch.zeros(1, 8, n).double() for _ in range(2)) for n in (5, 7)]
    for batch in text_batches(tmp_path / "train.npy")[:30]:
        inputs, targets, _ = batch
        logits, hidden = plain(inputs, hidden)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        plain.zero_grad()
        loss.backward()
        assert float(nn.utils.clip_grad_norm_(plain.parameters(), 0.05)) > 0.05, "nothing was clipped"
        with torch.no_grad():
            for parameter in plain.parameters():
                parameter -= 4.0 * parameter.grad
        assert step(batch).item() == pytest.approx(loss.item(), abs=1e-7)
        for name, mask in masks.items():
            assert bool((ours.get_parameter(name)[~mask] == 0).all())


def test_gradual_pruning_follows_the_cubic(chain):
    assert gradual.sparsity(0.0, 0.5, 2.5, 0.8) == 0
    assert gradual.sparsity(1.5, 0.5, 2.5, 0.8) == pytest.approx(0.8 * (1 - 0.5**3))
    assert gradual.sparsity(2.5, 0.5, 2.5, 0.8) == gradual.sparsity(9.0, 0.5, 2.5, 0.8) == pytest.approx(0.8)
    settings = {"method": "gradual", "scope": "global", "tensors": TICKET["tensors"], "density": 0.2}
    settings |= {"begin": 0.5, "end": 2.5, "every": 5}
    chain.start("grad0", "dense0", None, **settings)
    chain.train("grad0", "grad1", "grad2", "grad3", **settings)
    before = None
    for epoch in range(4):
        parameters, masks, _ = chain.load(f"grad{epoch}")
        total = sum(mask.numel() for mask in masks.values())
        due = total * (1 - gradual.sparsity(epoch, 0.5, 2.5, 0.8))
        assert abs(sum(int(mask.sum()) for mask in masks.values()) - due) <= 1
        for name, mask in masks.items():
            assert bool((parameters[name][~mask] == 0).all())
            assert before is None or not bool((mask & ~before[name]).any())
        before = masks
    start, _, _ = chain.load("grad0")
    dense, _, _ = chain.load("dense0")
    assert all(torch.equal(start[name], dense[name]) for name in dense)


def test_gradual_pruning_resumes_to_the_same_bytes(chain):
    settings = {"method": "gradual", "scope": "layer", "tensors": TICKET["tensors"], "density": 0.2}
    settings |= {"begin": 0, "end": 2.5, "every": 3}
    chain.start("a0", "dense0", None, **settings)
    chain.train("a0", "a1", "a2", **settings)
    chain.copy("a1", "b1")
    chain.train("b1", "b2", **settings)
    assert chain.bytes("a2") == chain.bytes("b2")


def test_an_epoch_of_gradual_pruning_that_is_killed_goes_on_with_its_masks(chain, monkeypatch):
    """Between two prunings, when the save's masks are neither those of the epoch's start nor those of its end."""
    settings = {"method": "gradual", "scope": "global", "tensors": TICKET["tensors"], "density": 0.2}
    settings |= {"begin": 0, "end": 1, "every": 20}
    chain.start("killed0", "dense0", None, **settings)
    chain.train("killed0", "undisturbed1", **settings)
    kept = []
    after_steps(monkeypatch, lambda step, _: kept.append(sum(int(mask.sum()) for mask in step.method.tensors.values())))
    chain.train_with_interruption(monkeypatch, 31, "killed0", "killed1", **settings)
    assert kept[19] > kept[20] == kept[30] > 0.2 * kept[0]
    assert chain.bytes("killed1") == chain.bytes("undisturbed1")
    assert len(kept) == len(text_batches(chain.folder / "train.npy"))
