"""Scores that lie in a project are held against its parameters and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from poseline.artifacts import Layout
from poseline.artifacts.freshness import OnStale, refuse_stale
from poseline.config import Params, load_params
from poseline.datasets.scored_sets import list_scores
from poseline.errors import PoselineError, StaleError
from poseline.evaluation.runs import RunFiles


def find_stale(files: Mapping[str, RunFiles], params: Params, layout: Layout, *, on_stale: OnStale) -> dict[str, str]:
    """Why scores are stale, by name; those of a baseline, a revision or an experiment are what they were.

    Args:
        files: where a run's scores lie.
        params: of the project that the command works in, with what its options override.
        layout: of that project.
        on_stale: what to do about them.

    Raises:
        StaleError: a score is stale, and that is to be refused.
    """
    found = {}
    for name, where in files.items():
        root = where.metrics.resolve().parents[2] if len(where.metrics.resolve().parents) > 2 else Path("/")
        if where.metrics.resolve().parent != Layout(root).metrics or not (root / "params.yaml").is_file():
            continue
        own = root == layout.root.resolve()
        try:
            known = params if own else load_params(root / "params.yaml")
            scores = list_scores(known.data)
            reason = refuse_stale("score", known, Layout(root), scores[name].dataset, on_stale=on_stale) if name in scores else None
        except StaleError:
            raise
        except (PoselineError, OSError):  # parameters of another version, or that cannot be read: nothing is known
            continue
        if reason is not None:
            found[name] = reason
    return found
