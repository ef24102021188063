"""Makes ``natural_sparsity.terminal`` a logger of Snakemake, which finds loggers by the names of their packages."""

from natural_sparsity.terminal.handler import LogHandler

__all__ = ["LogHandler"]
