"""Commands around the project: doctor, init, sync."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from poseline.cli.app import AsJson, Overrides, ParamsFile, app, show
from poseline.errors import ConfigError, FindingsError


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
def sync(params: ParamsFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Bring the experiment store up to date: records that waited, and stages that DVC restored from its cache."""
    from poseline.experiments import sync as bring_up_to_date
    from poseline.stages.runner import make_context

    context = make_context(params, overrides or [], "cpu")
    started = time.perf_counter()
    if not context.params.mlflow.enabled:
        raise ConfigError("mlflow.enabled is false: there is no store to bring up to date.")
    report = bring_up_to_date(context.params, context.layout)
    result = {**vars(report), "restored": len(report.restored), "out_of_date": ", ".join(report.out_of_date) or 0}
    show(result, as_json=as_json, title="sync", started=started)


@app.command()
def code(check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 where dvc.yaml is out of date.")] = False) -> None:
    """Write into dvc.yaml which code each stage executes, after a change of imports."""
    from poseline.artifacts import write_text
    from poseline.project import workspace_root
    from poseline.stage_code import PREFIX, write_code

    root = workspace_root()
    path = root / "dvc.yaml"
    before = path.read_text(encoding="utf-8")
    after = write_code(before, root / PREFIX)
    if after != before and check:
        raise FindingsError("dvc.yaml: the deps of its stages are not the code that they execute. Run: poseline code")
    if after != before:
        write_text(path, after)
    print(f"code: dvc.yaml {'was up to date' if after == before else 'written'}")
