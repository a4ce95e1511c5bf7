"""What tasks without end suggest beside the sizes."""

# Adam divides a gradient by the size of those before. Once a task is learnt, all of them are next to
# nothing, and what remains are steps of full size in random directions, until the network forgets. Where
# epsilon is larger than such gradients, small ones give small steps (five million steps of each task).
OPTIMIZER_OPTIONS = {"epsilon": 0.01}
SMALLER = {"epsilon": 0.001}  # where targets are rare, and gradients small from the beginning
