"""How every stage runs: with a record of its run, its duration and counts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import Layout
from poseline.config import Params, load_params
from poseline.errors import ArtifactError
from poseline.experiments import StageRun, open_stage
from poseline.experiments.holder import alone, list_busy
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


def run_stage(name: str, context: Context, work: Callable[[StageRun], Mapping[str, float]]) -> dict[str, float]:
    """What the stage returns, kept in its record together with its duration in seconds.

    Raises:
        BusyError: another process runs the same stage in this tree.
    """
    with alone(context.layout, name), open_stage(name, context.params, context.layout) as run:
        started = time.perf_counter()
        try:
            result = dict(work(run))
        except ArtifactError as error:  # a file that is missing, or another's, may be in the making
            busy = list_busy(context.layout, name)
            if busy:
                error.args = (f"{error} At work meanwhile: {', '.join(busy)}: wait for its end first.",)
            raise
        run.result.update({f"{name.split('@')[0]}.{key.replace(' ', '_')}": value for key, value in result.items()})
        run.result["duration_s"] = time.perf_counter() - started
    return result
