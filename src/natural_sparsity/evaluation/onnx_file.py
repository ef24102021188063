"""A model as an ONNX file, which other programs run without torch and without this package.

The graph has ONNX's own recurrent operators, so that steps and batch may have any size. It is built here with the
package onnx, since torch 2.13's exporter fixes the number of steps of an Elman network and takes 20 s for one of 12
units (its predecessor is deprecated).

Inputs: ``inputs``, word ids (steps, batch) of 64 bits or vectors (steps, batch, width); ``start`` (batch, width) of
data that give one; and the state of each layer, counted from 0, before the first step, ``h0`` and, of an LSTM, ``c0``,
each (1, batch, hidden); ``start`` takes the place of ``h0``. Outputs: ``outputs`` (steps, batch, outputs), and the
state after the last step, ``next_h0`` and so on.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model.exported import KEY, Exported
from natural_sparsity.model.recurrent import ROWS

OPSET, IR_VERSION = 17, 8  # of 2022, which onnxruntime has read since 1.12


class Cell(NamedTuple):
    """A cell in ONNX: its operator, which of torch's gates stands in each place, and the parts of its state."""

    operator: str
    gates: tuple[int, ...]
    state: tuple[str, ...]
    attributes: dict[str, Any] = {}


CELLS = {
    "lstm": Cell("LSTM", (0, 3, 1, 2), ("h", "c")),
    "gru": Cell("GRU", (1, 0, 2), ("h",), {"linear_before_reset": 1}),
    "rnn": Cell("RNN", (0,), ("h",)),
}
ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}


def write(path: Path, model: Exported) -> None:
    """Write the model.

    Raises:
        UserError: the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError("--onnx needs the package onnx; install it: envs/install.sh PYTHON onnx") from error
    content = build(onnx, model)
    onnx.checker.check_model(content, full_check=True)
    with files.atomic(path) as temporary:
        temporary.write_bytes(content.SerializeToString())


def build(onnx: Any, model: Exported) -> Any:
    """Return the model as one of the package ``onnx``."""
    graph = Graph(onnx)
    interface, architecture = model.interface, model.architecture
    cell = CELLS[architecture.cell]
    options = {"activations": [ACTIVATIONS[architecture.activation]]} if architecture.cell == "rnn" else {}
    graph.give("outputs", ["steps", "batch", interface.outputs])
    hidden = encode(graph, model)
    for i, (layer, width) in enumerate(zip(model.recurrent, architecture.hidden, strict=True)):
        names, shape = [f"{part}{i}" for part in cell.state], (1, "batch", width)
        given = model.initial if i == 0 else None
        before = [graph.take(name, shape) for name in names[given is not None :]]
        if given is not None:
            start = graph.take("start", ["batch", interface.start])
            first = graph.add("MatMul", start, graph.store("initial.weight.T", given.weight.T))
            before.insert(0, graph.add("Unsqueeze", first, graph.store("first", torch.tensor([0]))))
        weights = [graph.store(f"recurrent.{i}.{key}", tensor) for key, tensor in order_gates(layer, cell).items()]
        after = [f"next_{name}" for name in names]
        hidden = graph.add(
            cell.operator,
            *(hidden, *weights, "", *before),
            outputs=[f"all_h{i}", *after],
            hidden_size=width,
            **(cell.attributes | options),
        )
        hidden = graph.add("Squeeze", hidden, graph.store(f"directions{i}", torch.tensor([1])))
        for name in after:
            graph.give(name, shape)
    scores = graph.add("MatMul", hidden, graph.store("output.weight.T", model.output.weight.T))
    graph.add("Add", scores, graph.store("output.bias", model.output.bias), outputs=["outputs"])
    return graph.finish({KEY: json.dumps(model.about)})


def encode(graph: "Graph", model: Exported) -> str:
    """Add the inputs, and the embedding if the model has one; return the name of what the first layer reads."""
    if model.embedding is None:
        return graph.take("inputs", ["steps", "batch", model.interface.inputs])
    rows = graph.take("inputs", ["steps", "batch"], integers=True)
    shared = dict(model.named_buffers()).get(ROWS)
    if shared is not None:
        rows = graph.add("Gather", graph.store(ROWS, shared), rows)
    return graph.add("Gather", graph.store("embedding.weight", model.embedding.weight), rows)


def order_gates(layer: nn.Module, cell: Cell) -> dict[str, Tensor]:
    """Return a layer's weights and biases as ONNX's operator takes them: its gates in order, for one direction."""
    parts = {name.removesuffix("_l0"): tensor.chunk(len(cell.gates)) for name, tensor in layer.named_parameters()}
    w = {name: torch.cat([chunks[gate] for gate in cell.gates]) for name, chunks in parts.items()}
    biases = torch.cat([w.pop("bias_ih"), w.pop("bias_hh")])
    return {name: tensor[None] for name, tensor in {**w, "biases": biases}.items()}


class Graph:
    """A graph under construction; values have names, constants too."""

    def __init__(self, onnx: Any):
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.constants: list[Any] = []

    def describe(self, name: str, shape: Sequence[int | str], integers: bool = False) -> Any:
        """The type of a value: single precision or 64-bit integers, and its shape, with names for free sizes."""
        types = self.onnx.TensorProto
        return self.onnx.helper.make_tensor_value_info(name, types.INT64 if integers else types.FLOAT, shape)

    def take(self, name: str, shape: Sequence[int | str], integers: bool = False) -> str:
        """Add an input; return its name."""
        self.inputs.append(self.describe(name, shape, integers))
        return name

    def give(self, name: str, shape: Sequence[int | str]) -> None:
        """Make a value an output."""
        self.outputs.append(self.describe(name, shape))

    def store(self, name: str, tensor: Tensor) -> str:
        """Add a constant; return its name."""
        self.constants.append(self.onnx.numpy_helper.from_array(tensor.detach().contiguous().numpy(), name))
        return name

    def add(self, operator: str, *inputs: str, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add an operation; return the name of its first output, which is made up unless ``outputs`` are given."""
        outputs = outputs or [f"{operator.lower()}{len(self.nodes)}"]
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0]

    def finish(self, metadata: dict[str, str]) -> Any:
        """Return the model, with ``metadata`` as its properties."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, "model", self.inputs, self.outputs, self.constants)
        version = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, opset_imports=[version], ir_version=IR_VERSION, producer_name="natural-sparsity"
        )
        helper.set_model_props(model, metadata)
        return model
