"""Packing: what is stored gives every tensor back, in as few bytes as it promises."""

import pytest
import safetensors.torch
import torch

from chains import TENSORS, language_model
from natural_sparsity.methods.masks import all_kept, apply, by_magnitude, prunable
from natural_sparsity.model.packing import count_bits, pack, unpack


def store(tensors, numbers=None):
    """What a reader of the file gets, and how many bytes the tensors take in it."""
    stored, layouts = pack(tensors, numbers or {})
    back = unpack(safetensors.torch.load(safetensors.torch.save(stored)), layouts)
    return *back, sum(tensor.numel() * tensor.element_size() for tensor in stored.values())


@pytest.mark.parametrize("density", [1.0, 0.98, 0.3, 0.01])
def test_what_is_stored_gives_every_tensor_back(density):
    torch.manual_seed(0)
    tensors = {"w": torch.randn(37, 19), "b": torch.zeros(5), "empty": torch.zeros(4, 3)}
    tensors["w"][torch.rand(37, 19) > density] = 0
    back, numbers, size = store(tensors)
    assert set(back) == set(tensors) and not numbers
    assert all(torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype for name, tensor in tensors.items())
    kept = int(tensors["w"].count_nonzero())
    assert size <= min(4 * 37 * 19, 37 * 19 / 8 + 1 + 4 * kept) + 4 * 5 + 2


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("density", [1.0, 0.1])
@pytest.mark.parametrize("scales", [1, 300])
def test_integers_of_few_bits_take_as_many(bits, density, scales):
    torch.manual_seed(0)
    largest = 2 ** (bits - 1) - 1
    q = torch.randint(-largest, largest + 1, (300, 170)).to(torch.int8)
    q[0, :2] = torch.tensor([-largest, largest])
    q[torch.rand(q.shape) > density] = 0
    scale = torch.rand(scales)
    back, numbers, size = store({"w": torch.full(q.shape, torch.nan)}, {"w": (q, scale)})
    assert torch.equal(numbers["w"][0], q) and torch.equal(numbers["w"][1], scale)
    assert torch.equal(back["w"], q * scale[:, None])
    kept = int(q.count_nonzero())
    assert size <= min(q.numel() * bits, q.numel() + kept * bits) / 8 + 4 * scales + 2


def test_the_bits_are_those_of_the_extremes():
    expected = {(0, 0): 1, (-1, 0): 1, (-1, 1): 2, (-2, 1): 2, (0, 2): 3, (-128, 127): 8, (-3, 127): 8}
    assert {pair: count_bits(torch.tensor(pair, dtype=torch.int8)) for pair in expected} == expected
    for least, greatest in expected:
        q = torch.tensor([[least, greatest, 0]], dtype=torch.int8)
        _, numbers, _ = store({"w": q}, {"w": (q, torch.ones(1))})
        assert torch.equal(numbers["w"][0], q)


def test_rows_that_words_share_take_a_bit_per_word():
    rows = torch.tensor([0, 1, 2, 0, 0, 3, 4, 5, 0, 6])
    back, _, size = store({"embedding.rows": rows})
    assert torch.equal(back["embedding.rows"], rows)
    assert size == 2


def test_a_tenth_of_the_weights_takes_about_a_tenth_of_the_bytes():
    torch.manual_seed(0)
    model = language_model(300, embedding=40, hidden=[50, 50]).eval()
    dense = store({name: p.detach().clone() for name, p in model.named_parameters()})[-1]
    weights = prunable(model, TENSORS)
    apply(model, by_magnitude(weights, all_kept(weights), 0.1, "global"))
    sparse = store({name: p.detach() for name, p in model.named_parameters()})[-1]
    # 32 bits per weight against 1 + 0.1 · 32, and the biases.
    assert sparse / dense == pytest.approx(4.2 / 32, abs=0.02)
