"""One epoch of training, checkpoint in, checkpoint out."""
