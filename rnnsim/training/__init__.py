"""Training: learners, gradients of whole sequences, the compiled loop, optimizers, evaluation."""
