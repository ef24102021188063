"""One step of training: forward and backward over a window, and the update; eagerly, or captured in a CUDA graph."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from natural_sparsity.model.language_model import LanguageModel, State
from natural_sparsity.model.output_layer import OutputLayer, SoftmaxBlock
from natural_sparsity.sparsify.method import Method, Place
from natural_sparsity.training.settings import Training

EAGER_STEPS = 3  # before the capture: libraries choose their kernels and take their memory in them


class Observation(NamedTuple):
    """What was seen of a window on its way; in training before its update, and overwritten by the next step.

    ``inputs``, ``targets`` (steps, batch), word ids; ``outputs``: of the embedding and of each layer, before dropout,
    (steps, batch, width) each; ``gradients``: of the window's summed loss by ``outputs``; ``losses``: of each position,
    nats, (steps · batch,) in the order of ``targets.flatten()``.
    """

    inputs: Tensor
    targets: Tensor
    outputs: list[Tensor]
    gradients: list[Tensor]
    losses: Tensor


class Observer(Protocol):
    """One who watches a window: first the blocks of its softmax, in order, then the rest."""

    def see_block(self, block: SoftmaxBlock) -> None:
        """See some positions' softmax."""

    def see_window(self, observation: Observation) -> None:
        """See the whole window."""


class Step:
    """A step, and all that changes from one to the next: parameters, hidden state, and the sums of the epoch.

    A call takes inputs and targets (steps, batch), word ids, updates the model and returns the window's mean loss,
    nats, on the device. Nothing in it waits for the device, and on CUDA all shapes are known beforehand, so that it can
    be captured. The rate is a constant of the step: an epoch has a step of its own.

    ``state``: of each layer, as the model's; ``total``: the loss summed over the epoch's tokens, nats, not finite
    from the first step on whose loss was not; ``finite``: the steps before that one.

    ``observer`` sees each step. On CUDA its work is captured with the step: it must be of fixed shapes, on the device
    and in place. It changes no bit of the training; without it nothing is computed.

    ``method`` is what makes the model sparse; what it does within a step is captured likewise.
    """

    def __init__(
        self,
        model: LanguageModel,
        training: Training,
        learning_rate: float,
        batch: int,
        observer: Observer | None = None,
        method: Method | None = None,
    ):
        self.model, self.learning_rate, self.clip, self.observer = model, learning_rate, training.clip, observer
        self.method = method or Method({}, model, {}, Place(1, 1, 1))
        self.output = OutputLayer(model.output)
        self.inner = list(model.recurrent.parameters())
        self.state = model.zero_state(batch)
        device = model.output.weight.device
        self.total = torch.zeros((), dtype=torch.float64, device=device)
        self.finite = torch.zeros((), dtype=torch.int64, device=device)

    def tensors(self) -> dict[str, Tensor]:
        """All that changes from one step to the next, by name, in its own memory."""
        parameters = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        parts = {f"state.{i}.{j}": part for i, layer in enumerate(self.state) for j, part in enumerate(layer)}
        of_method = {**self.method.tensors, **self.method.carried}
        beside = {f"method.{name}": value for name, value in of_method.items()}
        return {**parameters, **parts, **beside, "total": self.total, "finite": self.finite}

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Train on one window; see the class."""
        words, embedding, places = self.used_embedding(inputs)
        outputs, features, state = self.method.layers(functional.embedding(places, embedding), inputs, self.state)
        show = self.observer.see_block if self.observer else None
        soft = self.method.soft_targets(inputs)
        read = self.read(features, inputs)
        last = self.output.gradients(read.detach(), targets.flatten(), show, soft)
        drawn = self.method.drawn()
        leaves = [embedding, *self.inner, *drawn.values()]
        wanted = [*leaves, *(outputs if self.observer else [])]
        found = list(torch.autograd.grad(read, wanted, last.features))
        by_embedding, *by_inner = found[: 1 + len(self.inner)]
        by_drawn, by_outputs = found[1 + len(self.inner) : len(leaves)], found[len(leaves) :]
        if self.observer:
            of_sum = [gradient * targets.numel() for gradient in by_outputs]  # last.features is of the mean
            outputs = [output.detach() for output in outputs]
            self.observer.see_window(Observation(inputs, targets, outputs, of_sum, last.losses))
        gradients = self.named(by_embedding, by_inner, last.joint) | dict(zip(drawn, by_drawn, strict=True))
        self.method.adjust(gradients, words)
        if not self.method.update(gradients, words):
            self.update(words, by_embedding, [*by_inner, last.joint])
        self.method.after_update()
        loss = last.losses.mean()
        self.advance(state, loss, targets.numel())
        return loss

    def read(self, features: Tensor, inputs: Tensor) -> Tensor:
        """Of the ``features`` (steps, batch, width) those that predict a target, (targets, width): all of them."""
        return features.flatten(0, 1)

    def used_embedding(self, inputs: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """The words (n,) whose embeddings the step can change, their embeddings, and where ``inputs`` are among them.

        On a CPU those that occur: the gradient of the others is 0. On a GPU all (None): its memory is fast, and to find
        out which occur the host would have to wait for it.
        """
        table = self.model.embedding.weight.detach()
        if inputs.is_cuda:
            return None, table.requires_grad_(), inputs
        words, places = inputs.unique(return_inverse=True)
        return words, table[words].requires_grad_(), places

    def named(self, by_embedding: Tensor, by_inner: list[Tensor], joint: Tensor) -> dict[str, Tensor]:
        """The gradients by the names of their parameters, in the memory that :meth:`update` reads."""
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        inner = {names[parameter]: gradient for parameter, gradient in zip(self.inner, by_inner, strict=True)}
        width = self.output.width
        return {
            "embedding.weight": by_embedding,
            **inner,
            "output.weight": joint[:, :width],
            "output.bias": joint[:, width],
        }

    @torch.no_grad()
    def update(self, words: Tensor | None, by_embedding: Tensor, by_others: list[Tensor]) -> None:
        """Clip the gradients by their global norm and descend.

        ``by_embedding``: by the embeddings of ``words``; ``by_others``: by the recurrent layers' parameters and [W, b].
        """
        norm = torch.nn.utils.get_total_norm([by_embedding, *by_others])
        scale = (self.clip / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        table = self.model.embedding.weight
        if words is None:
            table.addcmul_(by_embedding, scale, value=-self.learning_rate)
        else:
            table.index_add_(0, words, by_embedding * scale, alpha=-self.learning_rate)
        for parameter, gradient in zip([*self.inner, self.output.joint], by_others, strict=True):
            parameter.addcmul_(gradient, scale, value=-self.learning_rate)

    def advance(self, state: State, loss: Tensor, tokens: int) -> None:
        """Carry the hidden state on and add to the epoch's sums."""
        for old, new in zip(self.state, state, strict=True):
            for to, value in zip(old, new, strict=True):
                to.copy_(value)
        self.total += loss.detach().double() * tokens
        self.finite += self.total.isfinite()


Pass = Callable[[], Tensor]


def cuda_graph(function: Pass) -> Pass:
    """Record ``function`` without running it; what is returned replays it and gives its result, in the same memory.

    The graph takes its random numbers where the generator stands at each replay: dropout as without it.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def aside(function: Pass) -> Tensor:
    """Run ``function`` on a stream of its own, as what is to be captured must have run before."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        result = function()
    torch.cuda.current_stream().wait_stream(stream)
    return result


class Replayed:
    """``step`` for many windows of one shape, with one launch a step instead of some 150.

    The first steps run as they are and train as any other. Then the step is captured on buffers of the first window's
    shape, and replayed; windows of another shape, as the last of an epoch, run as they are.
    """

    def __init__(self, step: Step, capture: Callable[[Pass], Pass] = cuda_graph):
        self.step, self.capture = step, capture
        self.inputs = self.targets = torch.empty(0)
        self.replay: Pass | None = None
        self.eager = 0

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """As :class:`Step`'s; the result is overwritten by the next call."""
        if not self.eager:
            self.inputs, self.targets = torch.empty_like(inputs), torch.empty_like(targets)
        if self.eager < EAGER_STEPS or inputs.shape != self.inputs.shape:
            self.eager += 1
            return aside(lambda: self.step(inputs, targets)) if inputs.is_cuda else self.step(inputs, targets)
        if self.replay is None:
            self.replay = self.capture(lambda: self.step(self.inputs, self.targets))
        self.inputs.copy_(inputs)
        self.targets.copy_(targets)
        return self.replay()
