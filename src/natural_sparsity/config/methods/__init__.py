"""The sparsification methods: a settings file for each."""
