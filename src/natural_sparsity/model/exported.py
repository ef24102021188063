"""An exported model: one safetensors file, read back as a module of torch's own layers.

The file holds the parameters, packed (:mod:`natural_sparsity.model.packing`). Its metadata hold, under
``natural_sparsity``, a JSON header: the version of the layout, which run and epoch the model is of, the digest of its
vocabulary, whether it was folded or rounded, its interface and architecture, the layouts of packed tensors, and a
digest of all this and of the tensors. It is complete: no other file is needed to compute the model's outputs.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import safetensors.torch
import torch
import xxhash
from torch import Tensor, nn

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import packing
from natural_sparsity.model.checkpoint import rebuild
from natural_sparsity.model.eight_bits import to_eight_bits, use_integers
from natural_sparsity.model.packing import Numbers
from natural_sparsity.model.recurrent import RecurrentModel

FILE, KEY, VERSION = "model.safetensors", "natural_sparsity", 1
State = list[tuple[Tensor, ...]]


class Exported(nn.Module):
    """Embedding → recurrent layers → linear, each a layer of ``torch.nn``; without dropout.

    ``about``: the header of the file that it was read from. ``embedding`` is None where the inputs are vectors;
    ``initial`` is None unless the data give a start.
    """

    def __init__(self, model: RecurrentModel, about: Mapping[str, Any] = MappingProxyType({})):
        super().__init__()
        self.about = dict(about)
        self.interface, self.architecture = model.interface, model.architecture
        self.embedding, self.initial = model.embedding, model.initial
        self.recurrent, self.output = model.recurrent, model.output

    def forward(self, inputs: Tensor, state: State | None = None, start: Tensor | None = None) -> tuple[Tensor, State]:
        """Run over ``inputs``, word ids (steps, batch) or vectors (steps, batch, width).

        Args:
            inputs: what the model reads.
            state: of each layer before the first step, (h, c) of an LSTM, (h,) of others, each (1, batch, hidden); as
                returned by the call before. Zero by default.
            start: (batch, width), of data that give one: what the first layer's h is made from, instead of ``state``.

        Returns:
            The outputs of every step, (steps, batch, outputs), as logits where the data have classes; and the state
            after the last step.
        """
        hidden = inputs if self.embedding is None else self.embedding(inputs)
        state = self.zero_state(inputs.shape[1]) if state is None else state
        if self.initial is not None and start is not None:
            state = [(self.initial(start)[None], *state[0][1:]), *state[1:]]
        after: State = []
        for layer, before in zip(self.recurrent, state, strict=True):
            hidden, last = layer(hidden, before if len(before) > 1 else before[0])
            after.append(last if len(before) > 1 else (last,))
        return self.output(hidden), after

    def zero_state(self, batch: int) -> State:
        """The state before the first step of a text."""
        parts = 2 if self.architecture.cell == "lstm" else 1
        like = next(self.parameters(), torch.zeros(0))  # layers of eight bits have no parameters
        return [tuple(like.new_zeros(1, batch, width) for _ in range(parts)) for width in self.architecture.hidden]


def write(path: Path, model: RecurrentModel, numbers: Numbers, about: Mapping[str, Any]) -> None:
    """Write a model; the matrices in ``numbers`` as integers and scales. ``about``: what else the header says of it."""
    stored, layouts = packing.pack({name: tensor.cpu() for name, tensor in model.state_dict().items()}, numbers)
    header = {
        "version": VERSION,
        **about,
        "interface": model.interface._asdict(),
        "architecture": model.architecture.model_dump(mode="json"),
        "layouts": layouts,
    }
    header["digest"] = compute_digest(header, stored)
    with files.atomic(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(stored, {KEY: json.dumps(header)}))


def load(path: Path | str, int8: bool = False) -> Exported:
    """Return the model in an exported file.

    Args:
        path: the file, or the folder in which ``natural-sparsity export`` wrote it.
        int8: compute recurrent and output layers in torch's layers of eight bits, on the CPU: with the integers of the
            file, or, of weights in single precision, with those that torch's dynamic quantisation makes.

    Returns:
        The model, in evaluation mode. In single precision its outputs are those of the checkpoint that was exported:
        the same bits, or, of a folded model, the same sums in another order. Weights that were rounded stay so.

    Raises:
        UserError: the file is missing, damaged, of another version or no exported model, or torch has no layer of eight
            bits for its cells.
    """
    try:
        path = Path(path)
    except TypeError as error:
        raise UserError(f"{path!r}: no path; give an exported file, such as exports/model.safetensors") from error
    path = path / FILE if path.is_dir() else path
    header, stored = read(path)
    try:
        tensors, numbers = packing.unpack(stored, header["layouts"])
        model = Exported(rebuild(header, None, tensors), header).eval()
    except UserError as error:
        raise UserError(f"{path}: {error}; export the model again, with the natural-sparsity that reads it") from error
    except (RuntimeError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: its tensors are not those of its architecture; export the model again") from error
    if not int8:
        return model
    return use_integers(model, numbers) if numbers else to_eight_bits(model)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header and the tensors of an exported file as they are stored; raise as :func:`load`."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(KEY, "null"))
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UserError(f"{path}: not a readable model ({error}); export it again: natural-sparsity export") from error
    if not isinstance(header, dict):
        raise UserError(f"{path}: not an exported model; write one from a checkpoint: natural-sparsity export")
    if header.get("version") != VERSION:
        raise UserError(
            f"{path}: its layout is version {header.get('version')}, but this natural-sparsity reads {VERSION}; export"
            " the model again"
        )
    if header.get("digest") != compute_digest(header, stored):
        raise UserError(f"{path}: changed since it was written (its digest does not match); export the model again")
    return header, stored


def compute_digest(header: Mapping[str, Any], stored: Mapping[str, Tensor]) -> str:
    """Compute the 128-bit XXH3 of a header without its digest, and of the tensors."""
    content = {key: value for key, value in header.items() if key != "digest"}
    digest = xxhash.xxh3_128(json.dumps(content, sort_keys=True).encode())
    for name, tensor in sorted(stored.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        # Numpy lacks some of the types that a file can name.
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
