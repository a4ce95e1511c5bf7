"""Training: gradients of whole sequences, the compiled learning loop, optimizers, evaluation."""
