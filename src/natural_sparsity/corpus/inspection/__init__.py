"""Looking at a text before any run."""
