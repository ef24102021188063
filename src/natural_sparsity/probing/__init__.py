"""Sparsity of activations and gradients, word by word, at one checkpoint."""
