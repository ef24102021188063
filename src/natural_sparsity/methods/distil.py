"""Distillation (Hinton et al. 2015): a model learns from a trained one's predictions as well as from the targets.

The loss of a prediction is (1 − ``weight``) · cross-entropy + ``weight`` · T² · KL(softmax(t/T) ‖ softmax(s/T)), with s
and t the logits of student and teacher and T the ``temperature``. The teacher reads the same batches, without dropout;
where the data carry the hidden state from batch to batch, it has a state of its own, zero at the start of an epoch. Its
parameters do not change. The losses that training reports are the cross-entropy alone. A student that another method
has pruned keeps its masks.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Masked, Method, Place
from natural_sparsity.methods.masks import carry_over
from natural_sparsity.model import checkpoint
from natural_sparsity.model.output_layer import OutputLayer, SoftTargets
from natural_sparsity.model.recurrent import RecurrentModel


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Return the masks of the ``donor``, a pruned model that is to learn from a teacher.

    Raises:
        UserError: there is no donor.
    """
    if donor is None:
        raise UserError(
            "--sparsify: models of distil start from initialise; leave this step out, or give a pruned model as --masks"
        )
    return carry_over(model, donor_tensors)


class Distil(Masked):
    """A student with its teacher."""

    def __init__(self, settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        if place.teacher is None or place.data is None:
            raise UserError("distil: no teacher to learn from; give --teacher")
        if place.data.loss != "softmax":
            raise UserError("distil: needs targets that are classes, which these data lack; train on others")
        self.data = place.data
        self.teacher, _ = checkpoint.load(place.teacher, model.output.weight.device)
        if self.teacher.interface != model.interface:
            words = [(each.interface.vocabulary, each.interface.outputs) for each in (self.teacher, model)]
            raise UserError(
                f"{place.teacher}: has {words[0][0]} words and {words[0][1]} outputs, the student {words[1][0]} and"
                f" {words[1][1]}; give a teacher of the same data"
            )
        self.teacher.eval().requires_grad_(False)
        self.output = OutputLayer(self.teacher.output, self.teacher.tuning.training)
        self.state = self.teacher.zero_state(place.batch)
        if self.data.carries_state:
            parts = enumerate(self.state)
            self.carried = {f"teacher.{i}.{j}": part for i, layer in parts for j, part in enumerate(layer)}

    @torch.no_grad()
    def soft_targets(self, inputs: Tensor) -> SoftTargets:
        """What the teacher predicts in this batch."""
        state = self.state if self.data.carries_state else self.teacher.zero_state(inputs.shape[1])
        _, features, after = self.teacher(inputs, state)
        if self.data.carries_state:
            for old, new in zip(self.state, after, strict=True):
                for to, value in zip(old, new, strict=True):
                    to.copy_(value)
        queries = self.output.queries(self.data.read(features, inputs))
        return SoftTargets(queries, self.output.joint, self.settings["weight"], self.settings["temperature"])


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Distillation; plain training for the no-teacher control."""
    chosen = Method if settings["role"] == "no_teacher" else Distil
    return chosen(settings, model, tensors, place)
