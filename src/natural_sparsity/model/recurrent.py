"""The model of every kind of data: an embedding where there are words, recurrent layers, a linear read-out."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.model import lstm, tuning
from natural_sparsity.model.gates import GATES
from natural_sparsity.model.tuning import Tuning

INITIAL_RANGE = 0.1
State = list[tuple[Tensor, ...]]
ROWS = "embedding.rows"  # the buffer of SharedRows, in a checkpoint


class Interface(NamedTuple):
    """What data ask of a model.

    ``outputs``: width of the read-out. ``vocabulary``: number of words to embed; None where the inputs are vectors of
    width ``inputs``. ``start``: width of the vector that the first layer's initial state is made from; 0 where all
    state starts at 0.
    """

    outputs: int
    vocabulary: int | None = None
    inputs: int = 0
    start: int = 0


class RecurrentModel(nn.Module):
    """Embedding → recurrent layer → … → linear, with dropout between them; embedding and output weights are untied.

    Each recurrent layer is a module of its own, so that the probe sees its output. Without a vocabulary there is no
    embedding, and the first layer reads the input vectors as they are. Where the data give a start, a linear map
    without bias, ``initial``, makes the first layer's initial hidden state from it.

    Initial values: PyTorch's (uniform ±1/√hidden in the recurrent layers). With a vocabulary, embedding and output
    weights are uniform ±0.1 and the output bias is 0, as in PyTorch's example of a language model. The architecture may
    ask for orthogonal recurrent weights and for another bias of the forget gates; pretrained vectors are not read here.

    ``tuning``: the sizes of its computations; by default, the best for this machine's processor.
    """

    def __init__(self, interface: Interface, architecture: Architecture, chosen: Tuning | None = None):
        super().__init__()
        self.interface, self.architecture = interface, architecture
        self.tuning = chosen or tuning.choose(interface.outputs)
        self.embedding = make_embedding(interface.vocabulary, architecture.embedding) if interface.vocabulary else None
        widths = [architecture.embedding if self.embedding else interface.inputs, *architecture.hidden]
        self.initial = nn.Linear(interface.start, widths[1], bias=False) if interface.start else None
        self.recurrent = nn.ModuleList(
            recurrent_layer(architecture, width, hidden) for width, hidden in zip(widths, widths[1:], strict=False)
        )
        self.output = nn.Linear(widths[-1], interface.outputs)
        if self.embedding:
            nn.init.uniform_(self.embedding.weight, -INITIAL_RANGE, INITIAL_RANGE)
            nn.init.uniform_(self.output.weight, -INITIAL_RANGE, INITIAL_RANGE)
            nn.init.zeros_(self.output.bias)
        for layer, hidden in zip(self.recurrent, architecture.hidden, strict=True):
            if architecture.recurrent_start == "orthogonal":
                draw_orthogonal(layer, hidden)
            if architecture.forget_bias is not None:
                set_forget_bias(layer, hidden, architecture.forget_bias)

    def share_rows(self, count: int) -> None:
        """Replace the embedding by one of ``count`` rows that its words share, whose tensors are still to be set."""
        assert self.embedding is not None
        words, width = self.embedding.weight.shape
        self.embedding = SharedRows(words, count, width).to(self.output.weight)

    def fresh(self) -> "RecurrentModel":
        """A model of the same shape with newly drawn weights; an embedding that started from given vectors stays."""
        model = RecurrentModel(self.interface, self.architecture, self.tuning)
        if self.architecture.vectors and self.embedding and model.embedding:
            model.embedding.load_state_dict(self.embedding.state_dict())
        return model

    def zero_state(self, batch: int) -> State:
        """The zero state of every layer: (h, c) of an LSTM, (h,) of others, each (1, batch, hidden)."""
        parts = 2 if self.architecture.cell == "lstm" else 1
        like = self.output.weight
        return [tuple(like.new_zeros(1, batch, n) for _ in range(parts)) for n in self.architecture.hidden]

    def initial_state(self, batch: int, start: Tensor | None = None) -> State:
        """The state before the first step: zeros, except the first layer's h, made from ``start`` (batch, width)."""
        state = self.zero_state(batch)
        if self.initial is not None and start is not None:
            state[0] = (self.initial(start)[None], *state[0][1:])
        return state

    def encode(self, inputs: Tensor) -> Tensor:
        """What the first layer reads (steps, batch, width): embeddings of word ids, or the input vectors."""
        return self.embedding(inputs) if self.embedding is not None else inputs

    def forward(self, inputs: Tensor, state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run over ``inputs``, word ids (steps, batch) or vectors (steps, batch, width).

        Returns:
            The modules' outputs before dropout (the encoded inputs, then each recurrent layer's, each (steps, batch,
            width)); the features (steps, batch, hidden) that the output layer reads, after dropout; and the state after
            the last step, detached.
        """
        return self.layers([self.encode(inputs)], state)

    def layers(self, outputs: list[Tensor], state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run the recurrent layers on ``outputs[0]``, the encoded inputs; see :meth:`forward`."""
        next_state: State = []
        for layer, before in zip(self.recurrent, state, strict=True):
            hidden, after = lstm.run(layer, self.drop_below(outputs), before if len(before) > 1 else before[0])
            outputs.append(hidden)
            next_state.append(tuple(part.detach() for part in (after if len(before) > 1 else (after,))))
        return outputs, self.drop_below(outputs), next_state

    def drop_below(self, outputs: list[Tensor], rate: float | None = None) -> Tensor:
        """The last of ``outputs`` as the layer above reads it: with dropout in training, except on input vectors."""
        if len(outputs) == 1 and self.embedding is None:
            return outputs[0]
        return functional.dropout(outputs[-1], self.architecture.dropout if rate is None else rate, self.training)


class SharedRows(nn.Embedding):
    """An embedding with fewer rows than words: ``rows`` (words,) has the row of each word.

    Row 0 is 0 and belongs to all words that have no weights left; each other row belongs to one word, in their order.
    """

    rows: Tensor

    def __init__(self, words: int, count: int, width: int):
        super().__init__(count, width, _weight=torch.empty(count, width))
        self.register_buffer("rows", torch.zeros(words, dtype=torch.int64))

    def forward(self, input: Tensor) -> Tensor:
        """Look up the words of ``input``."""
        return super().forward(self.rows[input])


def copy_state(source: State, target: State) -> None:
    """Copy each layer's state from ``source`` into the memory of ``target``."""
    for old, new in zip(target, source, strict=True):
        for to, value in zip(old, new, strict=True):
            to.copy_(value)


def make_embedding(words: int, width: int) -> nn.Embedding:
    """An embedding with PyTorch's initial values: the model draws others, but its next random numbers follow these.

    On the meta device, PyTorch would import its compiler for them, which takes longer than loading a checkpoint.
    """
    weight = torch.empty(words, width)
    if not weight.is_meta:
        nn.init.normal_(weight)
    return nn.Embedding.from_pretrained(weight, freeze=False)


def recurrent_layer(architecture: Architecture, width: int, hidden: int) -> nn.RNNBase:
    """One recurrent layer, as PyTorch computes it; ``rnn`` is Elman's."""
    if architecture.cell == "rnn":
        return nn.RNN(width, hidden, nonlinearity=architecture.activation)
    return {"gru": nn.GRU, "lstm": nn.LSTM}[architecture.cell](width, hidden)


def draw_orthogonal(layer: nn.Module, hidden: int) -> None:
    """Draw the recurrent weights of each gate, (hidden, hidden), as a random orthogonal matrix (Saxe et al. 2014)."""
    for gate in layer.get_parameter("weight_hh_l0").detach().split(hidden):
        nn.init.orthogonal_(gate)


def set_forget_bias(layer: nn.Module, hidden: int, bias: float) -> None:
    """Set the bias of an LSTM's forget gates: that of the input holds it, the recurrent one is 0."""
    for name, value in (("bias_ih_l0", bias), ("bias_hh_l0", 0.0)):
        layer.get_parameter(name).detach().split(hidden)[GATES.index("f")].fill_(value)
