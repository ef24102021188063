"""Sparsification methods: one file per method, looked up by name in the registry."""
