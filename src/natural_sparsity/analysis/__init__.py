"""Correlations of sparsity with word frequency."""
