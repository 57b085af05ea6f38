"""The training run: loop, optimisation, processes, checkpoints, validation."""
