"""The command line: it parses, calls one function, prints."""

from poseline.cli import (
    evaluation,
    lineage,
    models,
    nodes,
    pipeline,
    pose,
    projects,
    pseudo,
    recipes,
    report,
    setup,
    sweep,
    tracking,
    weights,
)  # fmt: skip
from poseline.cli.app import app, main

__all__ = [
    "app", "evaluation", "lineage", "main", "models", "nodes", "pipeline", "pose", "projects", "pseudo", "recipes", "report", "setup",
    "sweep", "tracking", "weights",
]  # fmt: skip
