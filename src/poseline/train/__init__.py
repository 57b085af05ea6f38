"""The training run: loop, optimisation, processes, checkpoints, experiment tracking."""
