"""What a model is made from: the models that the keys ``of`` and ``student`` name, and which of them a method takes.

Methods can be used in a row: such a key may name a model that another method has pruned, if its own method keeps masks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from natural_sparsity.config.base import join_words
from natural_sparsity.config.methods.base import Method
from natural_sparsity.errors import UserError
from natural_sparsity.registry import METHODS, load

if TYPE_CHECKING:
    from natural_sparsity.config.model import Model

Blocks = Mapping[str, "Model"]


def list_keys(method: Method) -> list[str]:
    """The keys with which a method's block names models; the last names the one that its models are made from."""
    keys = dict.fromkeys(["of", method.find_source()[0]])
    return [key for key in keys if getattr(method, key, None) is not None]


def list_names(block: str, model: "Model") -> list[str]:
    """The names of the models that a block stands for."""
    return [variant.name for variant in model.sparsify.list_variants(block, "")] if model.sparsify else [block]


def find_block(name: str | None, blocks: Blocks) -> str | None:
    """The block that stands for the model of this name; None if none does."""
    return next((block for block, model in blocks.items() if name in list_names(block, model)), None)


def trace(model: "Model", blocks: Blocks) -> list["Model"]:
    """The block of a model, that of the model it is made from, and so on to the dense one, or to a wrong name."""
    traced = [model]
    while method := traced[-1].sparsify:
        block = blocks.get(find_block(method.find_source()[1], blocks) or "")
        if block is None or block in traced:
            break
        traced.append(block)
    return traced


def list_masked(blocks: Blocks) -> list[str]:
    """The names of the models that carry masks."""
    return [
        variant.name
        for block, model in blocks.items()
        if model.sparsify
        for variant in model.sparsify.list_variants(block, "")
        if variant.place["role"] in model.sparsify.masked
    ]


def check_source(name: str, key: str, blocks: Blocks) -> None:
    """Check that a key of the block ``name`` names a dense model, or a pruned one whose masks the method keeps.

    Raises:
        UserError: there is no such model, or the method does not take it.
    """
    method = blocks[name].sparsify
    assert method is not None
    dense, masked = [block for block, model in blocks.items() if model.sparsify is None], list_masked(blocks)
    keeps, named, place = key == method.keeps_masks, getattr(method, key), f"models.{name}.sparsify.{key}"
    what = "dense" if not keeps else "dense or pruned" if key == "of" else "pruned"
    taken = [*(dense if key == "of" else []), *(masked if keeps else [])]
    if named in taken:
        return
    other = blocks.get(find_block(named, blocks) or "")
    if other is None or other.sparsify is None:
        there = f"those are {', '.join(taken)}" if taken else "there is none"
        raise UserError(f"{place}: {named!r} is no {what} model; {there}")
    settings = {method: load(entry.settings).Settings for method, entry in METHODS.items()}
    keepers = [
        f"{method} ({cls.keeps_masks})" for method, cls in settings.items() if cls.keeps_masks and not cls.copies
    ]
    hint = f"; {join_words(keepers, 'or')} can go on from it" if named in masked and not keeps else ""
    raise UserError(
        f"{place}: {named} is made by {other.sparsify.method}, which {method.method} does not take here; give a"
        f" {what} model ({', '.join(taken) or 'there is none'}){hint}"
    )
