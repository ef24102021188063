"""Readers of corpora, a module per format; ``read`` chooses among them."""
