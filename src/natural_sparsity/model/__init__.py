"""The language models and their checkpoints."""
