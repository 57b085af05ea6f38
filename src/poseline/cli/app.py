"""The command line's frame: options that commands share, how a stage is run and shown, how errors end."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer
from typer.core import TyperGroup

from poseline import progress
from poseline.errors import DataWarning, PoselineError
from poseline.threads import limit_spinning

if TYPE_CHECKING:
    from typer._click.core import Command, Parameter
    from typer._click.core import Context as CommandContext
    from typer._click.formatting import HelpFormatter

    from poseline.artifacts.freshness import OnStale
    from poseline.experiments import StageRun
    from poseline.stages.runner import Context

# What a user meets first comes first; a command that is not named here comes after those that are.
ORDER = (
    "new", "init", "doctor", "recipe", "mini", "validate", "preprocess", "train", "join", "predict", "track", "score", "report", "sweep",
    "pseudo-label", "pose", "compare", "gate", "promote", "lineage", "calibrate", "models", "weights", "import-weights", "export", "sync",
    "upgrade", "clean", "code",
)  # fmt: skip
DEBUG = "--debug"
TRACKER_NAMES = "{trackers}"
"""In help texts: the names of all trackers."""
DEBUG_VARIABLE = "POSELINE_DEBUG"


class Commands(TyperGroup):
    """The commands in the order of the pipeline, each with its whole summary and the option --debug."""

    def list_commands(self, ctx: CommandContext) -> list[str]:
        """Names in the order of :data:`ORDER`."""
        return sorted(self.commands, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def get_command(self, ctx: CommandContext, cmd_name: str) -> Command | None:
        """The command of that name; it takes --debug after its name as well."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            add_debug(command)
            name_trackers(command)
        return command

    def get_params(self, ctx: CommandContext) -> list[Parameter]:
        """The options before a command's name, --debug among them."""
        add_debug(self)
        return super().get_params(ctx)

    def format_commands(self, ctx: CommandContext, formatter: HelpFormatter) -> None:
        """The commands and their summaries, wrapped, never cut."""
        listed = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, summary(command)) for name, command in listed.items() if command is not None and not command.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def summary(command: Command) -> str:
    """The first paragraph of a command's help, whole."""
    return " ".join((command.help or "").partition("\n\n")[0].split())


def add_debug(command: Command) -> None:
    """Give a command the option --debug, once. :func:`main` reads it; here it is only known and explained."""
    if not any(DEBUG in parameter.opts for parameter in command.params):
        command.params.append(debug_option())


def name_trackers(command: Command) -> None:
    """Put the names of the trackers into help texts, for commands that are shown or run: their table comes with the whole configuration."""
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        if text and TRACKER_NAMES in text:
            from poseline.config.tracking import TRACKERS

            setattr(parameter, "help", text.replace(TRACKER_NAMES, ", ".join(TRACKERS.own)))  # noqa: B010 - an option's, not a parameter's


@cache
def debug_option() -> Parameter:
    """The option as typer makes it of a function's argument, but given to no function."""
    frame = typer.Typer(add_completion=False)
    text = "Show the traceback of an error, and all that processes say."

    @frame.command()
    def known(debug: bool = typer.Option(False, DEBUG, help=text)) -> None:
        """Have the option."""

    option: Parameter = typer.main.get_command(frame).params[0]
    option.expose_value = False
    return option


app = typer.Typer(
    name="poseline",
    cls=Commands,
    help="Multi-person pose estimation and tracking as a traceable pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

ParamsFile = Annotated[Path | None, typer.Option("--params", help="Parameter file; default: params.yaml of the project.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override one value: --set train.epochs=5. May be repeated.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
AsJson = Annotated[bool, typer.Option("--json", callback=progress.silence, help="Print the result as one JSON object, without progress.")]
RUN = "a folder, file, 'champion', git revision, DVC experiment, MLflow run's name or id, runs:/ID, models:/NAME@ALIAS"
"""What may stand for a run's scores, in help texts."""
ADVICE = re.compile(r"`(poseline (?:mini|validate|preprocess|train|predict|track|score|calibrate|gate|report)\b[^`]*)`")
"""A command in a message that takes --params and --set."""
AllowStale = Annotated[
    bool, typer.Option("--allow-stale", help="Take results of other parameters or files than those of now; the result says so.")
]
SetName = Annotated[str, typer.Argument(metavar="SET", help="Name of a data set: a key of data.sets.")]


def main() -> None:
    """Run the command line; errors a user can act on are one line, after a traceback where --debug is given."""
    limit_spinning()
    debug = DEBUG in sys.argv
    progress.silence("--json" in sys.argv)
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "poseline")
    try:
        with debugging(debug), progress.working(command), warnings.catch_warnings():
            warnings.showwarning = show_warning
            app(sys.argv[1:], prog_name="poseline")
    except (PoselineError, FloatingPointError) as error:
        from poseline.experiments.lineage import masked

        if debug:
            print(masked(traceback.format_exc()), file=sys.stderr)
        print(f"error: {masked(str(error))}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    """Print a warning on stderr; one about a user's file is one line without the place in our code."""
    plain = issubclass(category, DataWarning)
    told = f"warning: {message}\n" if plain else warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(told)
@contextmanager
def debugging(debug: bool) -> Iterator[None]:
    """Let the processes that this one starts know of --debug."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    try:
        yield
    finally:
        if debug:
            os.environ.pop(DEBUG_VARIABLE, None)


def show(result: Mapping[str, object], *, as_json: bool, title: str, started: float) -> None:
    """Print a stage's result: one line for people, or JSON."""
    if as_json:
        print(json.dumps(result))
        return
    parts = [f"{key} {shown_number(value)}" if isinstance(value, float) else f"{key} {value}" for key, value in result.items()]
    print(f"{title}: {', '.join(parts) or 'not enabled, nothing done'}  ({time.perf_counter() - started:.1f} s)")


def shown_number(value: float) -> str:
    """A metric with four decimals; a smaller number, as a loss is, with three significant digits.

    >>> shown_number(0.60912), shown_number(0.000512345), shown_number(0.0)
    ('0.6091', '0.000512', '0.0000')
    """
    return progress.significant(value) if 0 < abs(value) < 0.1 else f"{value:.4f}"
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
    """The text with these options added to each command of ours in it, but for values that the command gives itself.

    >>> advise("stale. Run `poseline score coco` again.", None, ["predict.flip=false"])
    'stale. Run `poseline score coco --set predict.flip=false` again.'
    """
    options = [] if params is None else ["--params", str(params)]

    def complete(found: re.Match[str]) -> str:
        own = [override for override in overrides or () if f"{override.partition('=')[0]}=" not in found[1]]
        words = [*options, *(word for override in own for word in ("--set", override))]
        return f"`{found[1]} {shlex.join(words)}`" if words else found[0]

    return ADVICE.sub(complete, text)


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
