"""How every stage runs: under the experiment tracker, its duration and counts logged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import Layout
from poseline.config import Params, load_params
from poseline.experiments import NullRun, open_stage
from poseline.project import project_root, workspace_root


@dataclass(frozen=True)
class Context:
    """What a stage works with: its parameters, files and device."""

    params: Params
    layout: Layout
    device: str

    @property
    def main(self) -> Path:
        """The main checkout, absolute."""
        return (self.layout.main or self.layout.root).resolve()


def make_context(params_path: Path | None, overrides: list[str], device: str) -> Context:
    """The context of a command run in the project or in an experiment's copy of it.

    The process moves to the project's root: every relative path, in params.yaml and in the files that stages write,
    counts from there, so that an experiment's copy gives the same files as the main checkout.
    """
    root, main = workspace_root(), project_root()
    params = load_params(params_path.resolve() if params_path else root / "params.yaml", overrides)
    os.chdir(root)
    return Context(params, Layout(Path(), main), device)


def run_stage(name: str, context: Context, work: Callable[[NullRun], Mapping[str, float]]) -> dict[str, float]:
    """What the stage returns, logged as its metrics together with its duration in seconds."""
    with open_stage(name, context.params, root=context.main, workspace=context.layout.root.resolve()) as tracker:
        started = time.perf_counter()
        result = dict(work(tracker))
        tracker.log_metrics({f"{name.split('@')[0]}.{key.replace(' ', '_')}": value for key, value in result.items()})
        tracker.log_metrics({"duration_s": time.perf_counter() - started})
    return result
