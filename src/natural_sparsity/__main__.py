"""``python -m natural_sparsity`` is the same as ``natural-sparsity``."""

from natural_sparsity.cli import main

main()
