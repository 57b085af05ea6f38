"""The command line's frame: options that commands share, how a stage is run and shown, how errors end."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poseline.errors import PoselineError
from poseline.threads import limit_spinning

if TYPE_CHECKING:
    from poseline.artifacts.freshness import OnStale
    from poseline.experiments import StageRun
    from poseline.stages.runner import Context

app = typer.Typer(
    name="poseline",
    help="Multi-person pose estimation and tracking as a traceable pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

ParamsFile = Annotated[Path | None, typer.Option("--params", help="Parameter file; default: params.yaml of the project.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override one value: --set train.epochs=5. May be repeated.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
RUN = "a folder, file, 'champion', git revision, DVC experiment, MLflow run's name or id"
"""What may stand for a run's scores, in help texts."""
ADVICE = re.compile(r"`(poseline (?:mini|validate|preprocess|train|predict|track|score|calibrate|gate|report)\b[^`]*)`")
"""A command in a message that takes --params and --set."""
AllowStale = Annotated[
    bool, typer.Option("--allow-stale", help="Take results of other parameters or files than those of now; the result says so.")
]
SetName = Annotated[str, typer.Argument(metavar="SET", help="Name of a data set: a key of data.sets.")]


def main() -> None:
    """Run the command line; errors a user can act on are one line, without a traceback unless --debug is given."""
    limit_spinning()
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="poseline")
    except (PoselineError, FloatingPointError) as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


def show(result: Mapping[str, object], *, as_json: bool, title: str, started: float) -> None:
    """Print a stage's result: one line for people, or JSON."""
    if as_json:
        print(json.dumps(result))
        return
    parts = [f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in result.items()]
    print(f"{title}: {', '.join(parts) or 'not enabled, nothing done'}  ({time.perf_counter() - started:.1f} s)")


def on_stale(allow: bool) -> OnStale:
    """What a command does about results of other parameters or files."""
    return "mark" if allow else "refuse"


@contextmanager
def advised(params: Path | None, overrides: Sequence[str] | None) -> Iterator[None]:
    """Let the commands that an error advises have the options of this one, so that they work on the same parameters."""
    try:
        yield
    except PoselineError as error:
        error.args = (advise(str(error), params, overrides),)
        raise


def advise(text: str, params: Path | None, overrides: Sequence[str] | None) -> str:
    """The text with these options added to each command of ours in it.

    >>> advise("stale. Run `poseline score coco` again.", None, ["predict.flip=false"])
    'stale. Run `poseline score coco --set predict.flip=false` again.'
    """
    options = [] if params is None else ["--params", str(params)]
    options += [word for override in overrides or () for word in ("--set", override)]
    if not options:
        return text
    return ADVICE.sub(lambda found: f"`{found[1]} {shlex.join(options)}`", text)


def run(
    name: str,
    work: Callable[[Context, StageRun], Mapping[str, float]],
    params: Path | None,
    overrides: list[str] | None,
    *,
    device: str = "auto",
    as_json: bool = False,
) -> None:
    """One stage, with a record of its run."""
    from poseline.stages.runner import make_context, run_stage

    started = time.perf_counter()
    context = make_context(params, overrides or [], device)
    with advised(params, overrides):
        result = run_stage(name, context, lambda record: work(context, record))
    show(result, as_json=as_json, title=name, started=started)


def run_each(
    name: str,
    choose: Callable[[Context], Sequence[str]],
    work: Callable[[Context, str], Mapping[str, float]],
    params: Path | None,
    overrides: list[str] | None,
    *,
    as_json: bool = False,
) -> None:
    """One stage of several data sets, one after another, each under the tracker."""
    from poseline.stages.runner import make_context, run_stage

    context = make_context(params, overrides or [], "cpu")
    for item in choose(context):
        started = time.perf_counter()
        with advised(params, overrides):
            result = run_stage(f"{name}@{item}", context, lambda _, item=item: work(context, item))  # type: ignore[misc]
        show(result, as_json=as_json, title=f"{name}@{item}", started=started)


def anchor(target: str) -> str:
    """A path that exists as an absolute one, as the command moves to the project's root; any other name as it is."""
    return str(Path(target).resolve()) if Path(target).exists() else target
