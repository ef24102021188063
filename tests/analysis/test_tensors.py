"""Tensors of models of any depth: their order, the top layer, and how they are written."""

import pytest

from example_products import describe_depth
from natural_sparsity.analysis.tensors import (
    STATIC,
    check_tensors,
    find_top,
    list_activations,
    list_gradients,
    list_layers,
    sort_tensors,
    write_tensor,
)
from natural_sparsity.errors import UserError


@pytest.mark.parametrize("layers", [1, 2, 3, 12])
def test_tensors_are_sorted_and_the_top_one_is_found(layers):
    tensors = describe_depth(layers)
    assert sort_tensors(reversed(tensors)) == tensors
    assert find_top(reversed(tensors)) == f"h_{layers}"
    assert list_layers(reversed(tensors)) == [f"h_{n}" for n in range(1, layers + 1)]


def test_the_top_layer_can_be_told_from_its_gradient_alone():
    assert find_top(["grad_h_2", "grad_h_e", "grad_x"]) == "h_2"
    with pytest.raises(UserError, match=r"no recurrent layer among the tensors \(h_e, x\); probe again"):
        find_top(["x", "h_e"])


def test_tensors_are_written_as_in_the_paper():
    assert [write_tensor(name) for name in describe_depth(2)] == ["hᵉ", "h¹", "h²", "x̂", "∇hᵉ", "∇h¹", "∇h²", "∇x"]
    assert write_tensor("grad_h_12") == "∇h¹²"


def test_the_static_gradient_is_neither_a_gradient_nor_an_activation_and_stands_last():
    tensors = describe_depth(2)
    assert sort_tensors([STATIC, *reversed(tensors)]) == [*tensors, STATIC]
    assert list_activations([*tensors, STATIC]) == ["h_e", "h_1", "h_2", "x"]
    assert list_gradients([*tensors, STATIC]) == ["grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]
    assert find_top([STATIC, *tensors]) == "h_2" and list_layers([STATIC, "h_1"]) == ["h_1"]
    assert write_tensor(STATIC) == "p̄W − W[w]"


@pytest.mark.parametrize(
    "name", ["grad_static", "/../../x", "h_0", "h_²", "h_1\n", "grad_", "grad_grad_x", "constructor"]
)
def test_unknown_tensors_are_refused(name):
    with pytest.raises(UserError, match="unknown tensor"):
        sort_tensors(["h_e", name])
    with pytest.raises(UserError, match=r"^file: unknown tensor"):
        check_tensors("file", ["h_e", name])
