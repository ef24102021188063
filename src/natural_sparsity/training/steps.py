"""A step of training: forward and backward over a batch, and the update; one class for each way to compute the loss."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from natural_sparsity.config.training import Training
from natural_sparsity.data.base import Batch, Data
from natural_sparsity.methods.base import EMBEDDING, Method, Optimization
from natural_sparsity.model.output_layer import OutputLayer, backpropagate
from natural_sparsity.model.recurrent import RecurrentModel, State, copy_state
from natural_sparsity.training.observation import Observation, Observer
from natural_sparsity.training.optimizers import OPTIMIZERS, Block, Optimizer, StepGradients


class Step:
    """A step, and all that changes from one to the next: parameters, hidden state, memories, the epoch's sums.

    A call trains on a batch and returns its mean loss on the device. Nothing in it waits for the device, and on CUDA
    all shapes are known beforehand, so that it can be captured. The learning rate is a constant of the step, so each
    epoch makes a new one.

    ``state``: of each layer, as the model's; ``total``: the loss summed over the epoch's examples, not finite from the
    first step on whose loss was not; ``finite``: the steps before that one.

    A subclass says how the loss and its gradients come about.
    """

    optimizer: Optimizer

    def __init__(self, model: RecurrentModel, data: Data, method: Method, batch: int, observer: Observer | None = None):
        self.model, self.data, self.method, self.observer = model, data, method, observer
        self.state = model.zero_state(batch)
        device = model.output.weight.device
        self.total = torch.zeros((), dtype=torch.float64, device=device)
        self.finite = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def learning_rate(self) -> float:
        """The optimizer's."""
        return self.optimizer.learning_rate

    def memory(self) -> dict[str, Tensor]:
        """What the optimizer remembers, by name."""
        return self.optimizer.memory

    def tensors(self) -> dict[str, Tensor]:
        """All that changes from one step to the next, by name, in its own memory."""
        parameters = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        method = {f"method.{name}": value for name, value in (self.method.tensors | self.method.carried).items()}
        memory = {f"optimizer.{name}": value for name, value in self.memory().items()}
        return {**parameters, **self.carried(), **method, **memory, "total": self.total, "finite": self.finite}

    def carried(self) -> dict[str, Tensor]:
        """The hidden state by name, in its own memory, where the data carry it from step to step."""
        parts = {f"state.{i}.{j}": part for i, layer in enumerate(self.state) for j, part in enumerate(layer)}
        return parts if self.data.carries_state else {}

    def __call__(self, batch: Batch) -> Tensor:
        """Train on one batch; return its mean loss."""
        state = self.state
        if not self.data.carries_state:
            state = self.model.initial_state(batch.inputs.shape[1], batch.start)
        loss, gradients, after = self.differentiate(batch, state)
        self.method.adjust(gradients.named, gradients.words)
        self.optimizer.step(gradients)
        self.method.after_update()
        if self.data.carries_state:
            copy_state(after, self.state)
        self.total += loss.detach().double() * self.count(batch)
        self.finite += self.total.isfinite()
        return loss

    def count(self, batch: Batch) -> int:
        """The examples in a batch, over which its loss is the mean."""
        raise NotImplementedError

    def differentiate(self, batch: Batch, state: State) -> tuple[Tensor, StepGradients, State]:
        """The batch's mean loss, its gradients, and the state after the batch."""
        raise NotImplementedError


class SoftmaxStep(Step):
    """The loss is the cross-entropy of classes: linear layer, softmax and loss are one operation over row blocks.

    ``observer`` sees each step. On CUDA its work is captured with the step: its results must be of fixed shapes and on
    the device, and ``add`` must change tensors in place. It changes no bit of the training; without it nothing is
    computed.
    """

    def __init__(self, model: RecurrentModel, data: Data, method: Method, batch: int, observer: Observer | None = None):
        super().__init__(model, data, method, batch, observer)
        assert model.embedding is not None
        self.embedding = model.embedding
        self.output = OutputLayer(model.output, model.tuning.training)
        self.inner = {name: p for name, p in model.named_parameters() if name.startswith("recurrent.")}

    def count(self, batch: Batch) -> int:
        """The targets."""
        return batch.targets.numel()

    def differentiate(self, batch: Batch, state: State) -> tuple[Tensor, StepGradients, State]:
        """As :meth:`Step.differentiate`."""
        inputs, targets = batch.inputs, batch.targets
        words, embedding, places = self.used_embedding(inputs)
        outputs, features, after = self.method.layers(functional.embedding(places, embedding), inputs, state)
        seen_blocks: list[Any] = []
        observer = self.observer
        show = (lambda block: seen_blocks.append(observer.see_block(block))) if observer else None
        soft = self.method.soft_targets(inputs)
        read = self.data.read(features, inputs)
        last = self.output.gradients(read.detach(), targets.flatten(), show, soft)
        drawn = self.method.drawn()
        leaves = [embedding, *self.inner.values(), *drawn.values()]
        wanted = [*leaves, *(outputs if observer else [])]
        gradients = backpropagate(read, wanted, last.features)
        if observer:
            sums = [gradient * targets.numel() for gradient in gradients[len(leaves) :]]  # last.features is of the mean
            values = [output.detach() for output in outputs]
            observer.add(observer.see_window(Observation(inputs, targets, values, sums, last.losses, seen_blocks)))
        by_embedding, *by_others = gradients[: len(leaves)]
        width = self.output.width
        joint = {"output.weight": last.joint[:, :width], "output.bias": last.joint[:, width]}
        by_inner = dict(zip(self.inner, by_others, strict=False))
        by_drawn = dict(zip(drawn, by_others[len(self.inner) :], strict=True))
        blocks = [
            Block(self.embedding.weight.detach(), by_embedding, words),
            *(Block(self.inner[name].detach(), gradient) for name, gradient in by_inner.items()),
            Block(self.output.joint, last.joint),
        ]
        named = {EMBEDDING: by_embedding, **by_inner, **joint, **by_drawn}
        return last.losses.mean(), StepGradients(named, words, blocks), after

    def used_embedding(self, inputs: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """The words (n,) whose embeddings the step can change, their embeddings, and where ``inputs`` are among them.

        On a CPU these are the words that occur, since the gradient of the others is 0. On a GPU they are all words
        (None): its memory is fast, and finding out which occur would make the host wait. They are all words, too, if
        the method changes the embedding of each.
        """
        table = self.embedding.weight.detach()
        if inputs.is_cuda or self.method.whole_embedding:
            return None, table.requires_grad_(), inputs
        words, places = inputs.unique(return_inverse=True)
        return words, table[words].requires_grad_(), places


class OwnLossStep(Step):
    """The loss is what the data say; autograd differentiates it."""

    def count(self, batch: Batch) -> int:
        """The sequences."""
        return batch.inputs.shape[1]

    def differentiate(self, batch: Batch, state: State) -> tuple[Tensor, StepGradients, State]:
        """As :meth:`Step.differentiate`."""
        parameters = dict(self.model.named_parameters())
        _, features, after = self.method.layers(self.model.encode(batch.inputs), batch.inputs, state)
        outputs = self.model.output(self.data.read(features, batch.inputs))
        loss = self.data.losses(outputs, batch).mean()
        leaves = parameters | self.method.drawn()
        named = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
        blocks = [Block(parameter.detach(), named[name]) for name, parameter in parameters.items()]
        return loss.detach(), StepGradients(named, None, blocks), after


STEPS = {"softmax": SoftmaxStep, "own": OwnLossStep}


def make_step(
    model: RecurrentModel,
    data: Data,
    training: Training,
    learning_rate: float,
    batch: int,
    method: Method,
    memory: Mapping[str, Tensor] | None = None,
    observer: Observer | None = None,
) -> Step:
    """The step of an epoch.

    Args:
        model, data: what is trained on what.
        training: the block of the configuration; its optimizer and clip hold unless the method has its own.
        learning_rate: of the epoch, unless the method has its own.
        batch: streams, texts or sequences of a batch.
        method: hooks of the sparsification method.
        memory: what the optimizer remembered after the epoch before.
        observer: watches every step.
    """
    chosen = method.optimization or Optimization(training.optimizer, learning_rate, training.clip)
    # The step comes first: it joins the output layer's weight and bias in memory, which the optimizer then moves.
    step = STEPS[data.loss](model, data, method, batch, observer)
    step.optimizer = OPTIMIZERS[chosen.optimizer](method, chosen.learning_rate, chosen.clip, memory or {})
    return step
