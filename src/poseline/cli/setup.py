"""Commands around the project: doctor, init, sync."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Annotated

import typer

from poseline.cli.app import AsJson, Overrides, ParamsFile, app, show
from poseline.errors import BackendError, ConfigError, FindingsError
from poseline.progress import note, silence


@app.command()
def init(params: ParamsFile = None, overrides: Overrides = None) -> None:
    """Set up the experiment store once (safe to repeat)."""
    from poseline.experiments import init_store
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "auto")
    if context.params.mlflow.enabled:
        init_store(context.params.mlflow, context.main)


@app.command()
def doctor(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check versions, devices, the experiment store and the disk, with a hint for each fault."""
    from poseline.doctor import diagnose
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "auto")
    checks = diagnose(context.params, context.main)
    if as_json:
        print(json.dumps([vars(check) for check in checks]))
    else:
        for check in checks:
            hint = f"\n        {check.hint}" if check.hint else ""
            print(f"{check.status:<5} {check.name:<22} {check.value}{hint}")
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


@app.command()
def sync(
    every: Annotated[bool, typer.Option("--all", help="All experiments that DVC knows too: queued, pulled, applied.")] = False,
    watch: Annotated[
        float | None, typer.Option("--watch", min=1, metavar="SECONDS", help="Do it again and again, for a machine that several use.")
    ] = None,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Bring the experiment store up to date: records that waited, and stages that DVC restored from its cache."""
    from poseline.experiments import sync as bring_up_to_date
    from poseline.stages.runner import make_context

    known: set[str] = set()
    said: set[str] = set()

    def once() -> None:
        started, context = time.perf_counter(), make_context(params, overrides or [], "cpu")
        if not context.params.mlflow.enabled:
            raise ConfigError("mlflow.enabled is false: there is no store to bring up to date.")
        report = bring_up_to_date(context.params, context.layout, every=every, known=known)
        for line in report.unreadable:
            note_once(f"warning: not read: {line}", said)
        if report.sent or report.restored or watch is None or not said:
            looked = {"experiments": report.experiments, "unreadable": len(report.unreadable)} if every else {}
            counts = {"sent": report.sent, "running": report.running, "refused": report.refused, "restored": len(report.restored)}
            result = {**counts, "out_of_date": ", ".join(report.out_of_date) or 0, **looked}
            show(result, as_json=as_json, title="sync", started=started)
            said.add("a result")

    if watch is None:
        once()
        return
    repeat(once, watch, said)


def repeat(work: Callable[[], None], seconds: float, said: set[str]) -> None:
    """Work every so many seconds until SIGINT or SIGTERM, which let a round end; a store that is away is said once and looked for again."""
    silence(True)  # else each ten seconds a line that it is at work
    numbers = (signal.SIGINT, signal.SIGTERM)
    stopped: list[int] = []
    before = [signal.signal(number, lambda caught, _: stopped.append(caught)) for number in numbers]
    try:
        while not stopped:
            try:
                work()
            except BackendError as error:
                note_once(f"warning: {error}", said)
            until = time.monotonic() + seconds
            while not stopped and time.monotonic() < until:
                time.sleep(min(0.2, seconds))
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def note_once(text: str, said: set[str]) -> None:
    """Say what has not been said yet."""
    if text not in said:
        note(text)
        said.add(text)


@app.command()
def code(check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 where dvc.yaml is out of date.")] = False) -> None:
    """Write into dvc.yaml what each stage executes and reads of each data set, and the templates of `poseline new`; for the source tree."""
    from poseline.artifacts import write_text
    from poseline.project import workspace_root
    from poseline.projects.pipeline import Shape, make_template, read_raw, write_sets
    from poseline.stage_code import PREFIX, write_code

    root = workspace_root()
    if not (root / PREFIX).is_dir():
        raise ConfigError(f"{root}: has no {PREFIX}. This command is for the source tree of poseline; in a project run: poseline upgrade")
    pipeline = write_code((root / "dvc.yaml").read_text(encoding="utf-8"), root / PREFIX)
    pipeline = write_sets(pipeline, Shape.of(read_raw(root / "params.yaml")))
    templates = root / PREFIX / "projects/templates"
    wanted = {
        root / "dvc.yaml": pipeline,
        templates / "pipeline.yaml": make_template(pipeline),
        templates / "params.yaml": (root / "params.yaml").read_text(encoding="utf-8"),
    }
    changed = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    names = ", ".join(path.relative_to(root).as_posix() for path in changed)
    if changed and check:
        raise FindingsError(f"{names}: not what the code and the parameters say. Run: poseline code")
    for path in changed:
        write_text(path, wanted[path])
    print(f"code: {f'{names} written' if changed else 'dvc.yaml was up to date'}")
