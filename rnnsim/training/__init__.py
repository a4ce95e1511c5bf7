"""A network, a rule and a task put together: gradients, the learning loop, evaluation."""
