"""Commands about a project of your own: new, upgrade, clean."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shutil import which
from typing import Annotated, Literal

import typer

from poseline.cli.app import AsJson, Overrides, ParamsFile, app
from poseline.errors import ConfigError


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder, a git repository, or a subfolder of one.")],
    source: Annotated[
        Literal["mini", "coco", "mpii", "posetrack", "own"],
        typer.Option("--from", help="Where the data come from: mini draws them; own looks at your annotations in COCO's form."),
    ] = "mini",
    data: Annotated[Path | None, typer.Option("--data", help="The folder of the data: annotations (JSON) and images.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a project of your own: parameters, pipeline, git, DVC and CI. Nothing that exists is overwritten."""
    from poseline.projects.create import create

    made = create(folder, source, data)
    if as_json:
        print(json.dumps({"folder": str(made.folder), "written": made.written, "kept": made.kept, "notes": made.notes}))
        return
    print(f"new: {made.folder}\n  written: {', '.join(made.written)}")
    if made.kept:
        print(f"  kept as they were (but for added lines of ignore files): {', '.join(made.kept)}")
    for note in made.notes:
        print(f"  {note}")
    activate = "" if which("poseline") and which("dvc") else f"source {sys.prefix}/bin/activate && "
    print(f"  next: {activate}cd {folder} && dvc repro")


@app.command()
def upgrade(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; an error where something would change.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Change nothing; say what would change.")] = False,
    older: Annotated[bool, typer.Option("--older", help="Also to a version older than the one that code.yaml names.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move the project to the installed version of poseline: says what will run again; your edits of dvc.yaml stay."""
    from poseline.project import project_root, workspace_root
    from poseline.projects.code_file import check_project

    if check and (dry or older):
        raise ConfigError("upgrade --check changes nothing: it does not go with --dry or --older.")
    if check:
        check_project(workspace_root(), project_root() / ".cache")
        return
    from poseline.artifacts import Layout
    from poseline.projects.upgrade import upgrade as move

    done = move(Layout(workspace_root(), project_root()), older=older, write=not dry)
    if as_json:
        print(json.dumps(vars(done)))
        return
    print(f"upgrade: poseline {done.before or 'unknown'} -> {done.after}{' (nothing written)' if dry else ''}")
    print(f"  will run again: {', '.join(done.reruns) or 'nothing for the code'}")
    if done.conflicts:
        print(f"  dvc.yaml: your lines stayed in {done.conflicts} places where ours changed too; look at the difference")
    print(done.diff or "  dvc.yaml: stays as it is")


@app.command()
def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it is only shown.")] = False,
    days: Annotated[int, typer.Option("--days", min=1, help="Only what nobody has written to for so many days.")] = 14,
    min_mb: Annotated[float, typer.Option("--min-mb", min=0, help="Only what is at least so large.")] = 0.0,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show, or with --yes remove, what the cache holds of dead runs, sent records and downloads; never an output of the pipeline."""
    from poseline.artifacts import file_hash
    from poseline.models.device import resolve_device
    from poseline.projects.clean import find_leftovers, remove
    from poseline.stages.runner import make_context
    from poseline.stages.train import checkpoint_folder, find_start
    from poseline.train.distributed import count_processes

    context = make_context(params, overrides or [], "auto")
    crops, training = context.layout.processed / "crops.parquet", context.params.train
    data = file_hash(crops) if crops.is_file() else ""
    processes = count_processes(training, resolve_device(context.device)) * training.nodes
    keep = checkpoint_folder(context.params, context.layout, data, processes, find_start(context.params, context.layout))
    found = find_leftovers(context.layout, days=days, min_bytes=int(min_mb * 1e6), keep=keep)
    freed = remove(found) if yes else 0
    if as_json:
        rows = [{"path": str(one.path), "what": one.what, "bytes": one.size, "days": round(one.days, 2)} for one in found]
        print(json.dumps({"found": rows, "removed_bytes": freed}))
        return
    for one in found:
        print(f"{one.size / 1e6:>10.1f} MB  {one.days:>4.0f} days  {one.path}: {one.what}")
    total = f"{sum(one.size for one in found) / 1e6:.1f} MB may go; remove it with: poseline clean --yes"
    print(f"clean: {f'{freed / 1e6:.1f} MB removed' if yes else total if found else 'nothing to remove'}")
