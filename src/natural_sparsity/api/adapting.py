"""Turn a plain torch language model into the model that the probe knows."""

from __future__ import annotations

import inspect

import numpy as np
import torch
from torch import Tensor, nn

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.base import read_block
from natural_sparsity.errors import UserError
from natural_sparsity.model.checkpoint import rebuild
from natural_sparsity.model.exported import Exported
from natural_sparsity.model.recurrent import Interface, RecurrentModel

# What a layer's configuration calls torch's recurrent modules, by their mode.
CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
KINDS = "the models of this package, and torch modules that are nn.Embedding, nn.LSTM, nn.GRU or nn.RNN, nn.Linear"
# Steps of a text that both models read for comparison, and how far their log-probabilities may lie apart, nats.
STEPS, TOLERANCE = 12, 1e-4


def to_recurrent(model: nn.Module) -> RecurrentModel:
    """The model itself, if it is one of this package; else one with its weights that computes the same.

    The parts are found by their class, and that they follow each other is tried out: both models read a few words.

    Raises:
        UserError: the module has other parts, or computes something else with them; one line says what.
    """
    if isinstance(model, RecurrentModel | Exported):
        if model.embedding is None:
            raise UserError("model: reads vectors, not words; only models of running text are probed")
        return unpack(model) if isinstance(model, Exported) else model
    if not isinstance(model, nn.Module):
        raise UserError(f"model: {type(model).__name__} is no torch module; supported are {KINDS}")
    embedding, layers, linear = find_parts(model)
    result = copy_weights(embedding, layers, linear)
    check_same_predictions(model, result, np.arange(STEPS) * 7 % embedding.num_embeddings)
    return result


def unpack(model: Exported) -> RecurrentModel:
    """The model that was exported, with the weights that :func:`natural_sparsity.load` gave, perhaps changed since.

    Raises:
        UserError: it computes in eight bits, or is not in single precision.
    """
    if not isinstance(model.output, nn.Linear):
        raise UserError("model: computes in eight bits, without gradients; probe ns.load(PATH) without int8")
    check_precision(model.output.weight)
    about = {"interface": model.interface._asdict(), "architecture": model.architecture.model_dump(mode="json")}
    return rebuild(about, None, model.state_dict())


def check_precision(weight: Tensor) -> None:
    """Refuse weights of another precision than the probe's.

    Raises:
        UserError: they have one.
    """
    if weight.dtype != torch.get_default_dtype():
        raise UserError(f"model: its weights are {weight.dtype}; give it in {torch.get_default_dtype()}")


def find_parts(model: nn.Module) -> tuple[nn.Embedding, nn.RNNBase, nn.Linear]:
    """The embedding, the recurrent module and the output layer of a language model.

    Raises:
        UserError: there are others, or not one of each.
    """
    parts = [part for part in model.modules() if list(part.parameters(recurse=False))]
    embeddings = [part for part in parts if isinstance(part, nn.Embedding)]
    recurrent = [part for part in parts if isinstance(part, nn.RNNBase)]
    linears = [part for part in parts if isinstance(part, nn.Linear)]
    if (len(embeddings), len(recurrent), len(linears), len(parts)) != (1, 1, 1, 3):
        has = ", ".join(dict.fromkeys(type(part).__name__ for part in parts)) or "no weights"
        raise UserError(f"model: {type(model).__name__} has {has}; supported are {KINDS}, one of each")
    [embedding], [layers], [linear] = embeddings, recurrent, linears
    if layers.bidirectional or layers.proj_size:
        kind = "reads in both directions" if layers.bidirectional else "has projections"
        raise UserError(
            f"model: its {type(layers).__name__} {kind}, which the probe cannot follow; supported are {KINDS}"
        )
    return embedding, layers, linear


@torch.no_grad()
def copy_weights(embedding: nn.Embedding, layers: nn.RNNBase, linear: nn.Linear) -> RecurrentModel:
    """A model with the same weights, a module per layer; a missing bias is 0.

    Raises:
        UserError: the widths do not follow each other, or a weight is not in single precision or not finite.
    """
    given = [*embedding.parameters(), *layers.parameters(), *linear.parameters()]
    vocabulary, width = embedding.weight.shape
    outputs, last = linear.weight.shape
    if (width, last, outputs) != (layers.input_size, layers.hidden_size, vocabulary):
        raise UserError(
            f"model: Embedding({vocabulary}, {width}), {type(layers).__name__}({layers.input_size},"
            f" {layers.hidden_size}), Linear({last}, {outputs}) do not follow each other"
        )
    check_precision(linear.weight)
    if any(value.is_meta or not value.isfinite().all() for value in given):
        raise UserError("model: some of its weights are not finite, or not loaded; give a model with numbers")
    block = {"embedding": width, "hidden": [layers.hidden_size] * layers.num_layers, "dropout": 0}
    activation = {"activation": layers.nonlinearity} if isinstance(layers, nn.RNN) else {}
    block |= {"cell": CELLS[layers.mode.partition("_")[0]], **activation}
    architecture = read_block(Architecture, block, "model")
    result = RecurrentModel(Interface(outputs, vocabulary), architecture)
    assert result.embedding is not None
    for parameter in result.parameters():
        parameter.zero_()
    result.embedding.load_state_dict({"weight": embedding.weight})
    result.output.load_state_dict(linear.state_dict(), strict=False)
    for number, layer in enumerate(result.recurrent):
        weights = {name.replace(f"_l{number}", "_l0"): value for name, value in layers.named_parameters()}
        layer.load_state_dict(
            {name: weights[name] for name, _ in layer.named_parameters() if name in weights}, strict=False
        )
    return result.to(linear.weight.device)


@torch.no_grad()
def check_same_predictions(model: nn.Module, copied: RecurrentModel, tokens: np.ndarray) -> None:
    """Refuse a module that predicts something else than its copy after some tokens, word ids (n,).

    Its forward gets word ids, (steps, 1), or (1, steps) if it reads batches first; and None, a zero state, for each
    further argument without default. It gives logits or their log-softmax, alone or before other results.

    Raises:
        UserError: it cannot be called so, or predicts something else.
    """
    if isinstance(model, RecurrentModel | Exported):
        return
    weight, name, training = copied.output.weight, type(model).__name__, model.training
    batch_first = find_parts(model)[1].batch_first
    ids = torch.from_numpy(tokens.astype(np.int64)).to(weight.device)[:, None]
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(model.forward).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind in by_place]
    try:
        result = model.eval()(ids.T if batch_first else ids, *[None] * (len(needed) - 1))
    except Exception as error:  # whatever a stranger's module raises
        reason = " ".join(str(error).split())
        raise UserError(f"model: {name}.forward does not take word ids of shape (steps, batch) ({reason})") from error
    finally:
        model.train(training)
    given = result[0] if isinstance(result, tuple | list) and result else result
    expected = copied.output(copied.eval()(ids, copied.zero_state(1))[1]).flatten(0, 1).log_softmax(1)
    if not isinstance(given, Tensor) or given.numel() != expected.numel():
        raise UserError(f"model: {name}.forward gives no logits of shape (steps, batch, {len(weight)})")
    if not ((given.reshape(expected.shape).log_softmax(1) - expected).abs() <= TOLERANCE).all():  # nor if it is NaN
        raise UserError(f"model: {name} does not apply its parts one after the other; supported are {KINDS}")
