"""Distillation (Hinton et al. 2015): a model learns from a trained one's expectations beside the words themselves.

The loss of a position is (1 − ``weight``) · cross-entropy + ``weight`` · T² · KL(softmax(t/T) ‖ softmax(s/T)), with s
and t the logits of model and teacher and T the ``temperature``. The teacher reads the same windows, without dropout,
and carries a hidden state of its own, zero at the start of an epoch. Its parameters do not change. The losses that
training reports are the cross-entropy alone.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.model.output_layer import OutputLayer, SoftTargets
from natural_sparsity.sparsify.method import Method, Place


class Distil(Method):
    """A teacher that reads along."""

    def __init__(self, settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        if place.teacher is None:
            raise UserError("distil: no teacher to learn from; give --teacher-parameters and --teacher-state")
        self.teacher, state = checkpoint.load(*place.teacher, model.output.weight.device)
        if state["vocabulary"] != len(model.output.weight):
            raise UserError(
                f"{place.teacher[1]}: has {state['vocabulary']} words, the model {len(model.output.weight)}"
            )
        self.teacher.eval().requires_grad_(False)
        self.output = OutputLayer(self.teacher.output)
        self.state = self.teacher.zero_state(place.batch)
        parts = enumerate(self.state)
        self.carried = {f"teacher.{i}.{j}": part for i, layer in parts for j, part in enumerate(layer)}

    @torch.no_grad()
    def soft_targets(self, inputs: Tensor) -> SoftTargets:
        """What the teacher expects in this window."""
        _, features, state = self.teacher(inputs, self.state)
        for old, new in zip(self.state, state, strict=True):
            for to, value in zip(old, new, strict=True):
                to.copy_(value)
        queries = self.output.queries(features.flatten(0, 1))
        return SoftTargets(queries, self.output.joint, self.settings["weight"], self.settings["temperature"])


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """The teacher that reads along; nobody for the control, which learns from the words alone."""
    chosen = Method if settings["role"] == "no_teacher" else Distil
    return chosen(settings, model, tensors, place)
