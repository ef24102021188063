"""What a finished checkpoint is worth: held-out loss, weights, structure, size and speed."""
