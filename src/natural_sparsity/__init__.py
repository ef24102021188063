"""How sparsity emerges in a neural language model while it trains (after Saphra & Lopez 2019, arXiv 1908.01817)."""
