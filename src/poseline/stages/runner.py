"""How every stage runs: with a record of its run, its duration and counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import Layout, scratch
from poseline.config import Params, load_params
from poseline.errors import ArtifactError
from poseline.experiments import StageRun, open_stage
from poseline.experiments.holder import alone, list_busy
from poseline.progress import working
from poseline.project import located, project_root
from poseline.projects.code_file import check_stage


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

    It may stand in any folder of it: paths in params.yaml and in the files that stages write count from the project's root (see
    :func:`poseline.project.located`), so that an experiment's copy gives the same files as the main checkout.
    """
    params = load_params(params_path or located("params.yaml"), overrides)
    return Context(params, Layout(located(""), project_root()), device)


def run_stage(name: str, context: Context, work: Callable[[StageRun], Mapping[str, float]]) -> dict[str, float]:
    """What the stage returns, kept in its record together with its duration in seconds.

    Raises:
        BusyError: another process runs the same stage in this tree.
        ConfigError: the installed code is not the one that the project's code.yaml names.
    """
    check_stage(name, context.layout)
    with (
        alone(context.layout, name), scratch(context.layout.cache), working(name),
        open_stage(name, context.params, context.layout) as run,
    ):  # fmt: skip
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
