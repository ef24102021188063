"""The word-level language model (DESIGN §4): embedding, recurrent layers, linear, softmax."""

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity.settings import one_of

INITIAL_RANGE = 0.1
CELLS: dict[str, type[nn.LSTM | nn.GRU | nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
State = list[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Architecture:
    """The model's layers. ``hidden`` has the width of each recurrent layer, one or more; ``dropout`` is a probability.

    ``cell``: lstm; gru; or rnn, Elman's, with tanh. All as PyTorch computes them.
    """

    embedding: int = 200
    hidden: list[int] = field(default_factory=lambda: [200, 200])
    dropout: float = 0.2
    cell: str = one_of(*CELLS)


class LanguageModel(nn.Module):
    """Embedding → recurrent layer → … → linear, with dropout between all of them; weights of in- and output untied.

    Each recurrent layer is a module of its own, so that its output, which the probe measures, can be seen. Initial
    values: embedding and output weights uniform ±0.1, output bias 0, the others uniform ±1/√hidden (PyTorch's default).

    With ``classes``, it is a classifier of texts: the output layer, read after a text's last word, has so many rows.
    """

    def __init__(self, vocabulary: int, architecture: Architecture, classes: int | None = None):
        super().__init__()
        self.architecture = architecture
        widths = [architecture.embedding, *architecture.hidden]
        cell = CELLS[architecture.cell]
        self.embedding = nn.Embedding(vocabulary, architecture.embedding)
        self.recurrent = nn.ModuleList(cell(width, out) for width, out in zip(widths, widths[1:], strict=False))
        self.output = nn.Linear(widths[-1], classes or vocabulary)
        nn.init.uniform_(self.embedding.weight, -INITIAL_RANGE, INITIAL_RANGE)
        nn.init.uniform_(self.output.weight, -INITIAL_RANGE, INITIAL_RANGE)
        nn.init.zeros_(self.output.bias)

    def fresh(self) -> "LanguageModel":
        """One of the same shape with newly drawn weights."""
        return LanguageModel(len(self.embedding.weight), self.architecture, len(self.output.weight))

    def zero_state(self, batch: int) -> State:
        """The state of every layer before the first token: (h, c) of an LSTM, (h,) of others, (1, batch, hidden)."""
        parts = 2 if self.architecture.cell == "lstm" else 1
        like = self.output.weight
        return [tuple(like.new_zeros(1, batch, n) for _ in range(parts)) for n in self.architecture.hidden]

    def forward(self, inputs: Tensor, state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run over a window of ``inputs`` (steps, batch).

        Returns:
            The modules' outputs, before dropout: embedding, then each recurrent layer, each (steps, batch, width); the
            features (steps, batch, hidden) that the output layer reads, after dropout; the state after the last step,
            detached.
        """
        outputs = [self.embedding(inputs)]
        return self.layers(outputs, state)

    def layers(self, outputs: list[Tensor], state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run the recurrent layers on ``outputs[0]``, the embedding's output; see :meth:`forward`."""
        next_state: State = []
        for layer, before in zip(self.recurrent, state, strict=True):
            hidden, after = layer(self.drop(outputs[-1]), before if len(before) > 1 else before[0])
            outputs.append(hidden)
            next_state.append(tuple(part.detach() for part in (after if len(before) > 1 else (after,))))
        return outputs, self.drop(outputs[-1]), next_state

    def drop(self, tensor: Tensor) -> Tensor:
        """Dropout, in training mode."""
        return functional.dropout(tensor, self.architecture.dropout, self.training)
