# The types of the API, for editors and mypy. __init__.py loads each name when it is first used.
from natural_sparsity.api import plot
from natural_sparsity.api.measuring import probe, sparsity
from natural_sparsity.api.results import Results
from natural_sparsity.api.results import open_results as open
from natural_sparsity.errors import UserError
from natural_sparsity.model.exported import load

__all__ = ["Results", "UserError", "load", "open", "plot", "probe", "sparsity"]
