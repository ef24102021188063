"""The methods by name, and the module of each. It imports none of them: a step reads the one that it runs."""

import importlib
from types import ModuleType

METHODS = {
    "adam": "natural_sparsity.sparsify.adam",
    "iterative": "natural_sparsity.sparsify.tickets",
    "one_shot": "natural_sparsity.sparsify.tickets",
    "gradual": "natural_sparsity.sparsify.gradual",
    "distil": "natural_sparsity.sparsify.distil",
    "qat": "natural_sparsity.sparsify.qat",
    "moduli": "natural_sparsity.sparsify.moduli",
    "gradual_groups": "natural_sparsity.sparsify.gradual_groups",
    "group_lasso": "natural_sparsity.sparsify.group_lasso",
    "sparse_vd": "natural_sparsity.sparsify.sparse_vd",
}


def module_of(method: str) -> ModuleType:
    """The module of a method of the configuration; ``""`` is the dense model's."""
    return importlib.import_module(METHODS.get(method, "natural_sparsity.sparsify.method"))
