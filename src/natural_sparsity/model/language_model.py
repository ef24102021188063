"""The word-level language model (DESIGN §4): embedding, LSTM layers, linear, softmax."""

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional

INITIAL_RANGE = 0.1
State = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Architecture:
    """Sizes of the model. ``hidden`` has the width of each LSTM; ``dropout`` is a probability."""

    embedding: int = 200
    hidden: list[int] = field(default_factory=lambda: [200, 200])
    dropout: float = 0.2


class LanguageModel(nn.Module):
    """Embedding → LSTM → … → LSTM → linear, with dropout between all of them; weights of in- and output untied.

    Each LSTM is a module of its own, so that its output, which the probe measures, can be seen. Initial values:
    embedding and output weights uniform ±0.1, output bias 0, LSTM weights uniform ±1/√hidden (PyTorch's default).
    """

    def __init__(self, vocabulary: int, architecture: Architecture):
        super().__init__()
        self.architecture = architecture
        widths = [architecture.embedding, *architecture.hidden]
        self.embedding = nn.Embedding(vocabulary, architecture.embedding)
        self.lstms = nn.ModuleList(nn.LSTM(width, out) for width, out in zip(widths, widths[1:], strict=False))
        self.output = nn.Linear(widths[-1], vocabulary)
        nn.init.uniform_(self.embedding.weight, -INITIAL_RANGE, INITIAL_RANGE)
        nn.init.uniform_(self.output.weight, -INITIAL_RANGE, INITIAL_RANGE)
        nn.init.zeros_(self.output.bias)

    def zero_state(self, batch: int) -> State:
        """The state (h, c), each (1, batch, hidden), of every layer before the first token."""
        like = self.output.weight
        return [(like.new_zeros(1, batch, n), like.new_zeros(1, batch, n)) for n in self.architecture.hidden]

    def forward(self, inputs: Tensor, state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run over a window of ``inputs`` (steps, batch).

        Returns:
            The modules' outputs, before dropout: embedding, then each LSTM, each (steps, batch, width); the features
            (steps, batch, hidden) that the output layer reads, after dropout; the state after the last step, detached.
        """
        outputs = [self.embedding(inputs)]
        return self.layers(outputs, state)

    def layers(self, outputs: list[Tensor], state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run the LSTMs on ``outputs[0]``, the embedding's output; see :meth:`forward`."""
        next_state = []
        for lstm, layer_state in zip(self.lstms, state, strict=True):
            hidden, (h, c) = lstm(self.drop(outputs[-1]), layer_state)
            outputs.append(hidden)
            next_state.append((h.detach(), c.detach()))
        return outputs, self.drop(outputs[-1]), next_state

    def drop(self, tensor: Tensor) -> Tensor:
        """Dropout, in training mode."""
        return functional.dropout(tensor, self.architecture.dropout, self.training)
