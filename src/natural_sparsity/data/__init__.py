"""What models are trained on, as batches."""
