"""The command line: it parses, calls one function, prints."""

from poseline.cli import evaluation, lineage, models, pipeline, pose, projects, pseudo, recipes, report, setup, sweep, tracking, weights
from poseline.cli.app import app, main

__all__ = [
    "app", "evaluation", "lineage", "main", "models", "pipeline", "pose", "projects", "pseudo", "recipes", "report", "setup", "sweep",
    "tracking", "weights",
]  # fmt: skip
