"""`poseline new`: a project with its own data, parameters and CI, in a new folder, a repository or a part of one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from poseline.artifacts import Layout, write_text
from poseline.config import parse_params
from poseline.core.yaml_text import parse_yaml
from poseline.errors import BackendError, ConfigError
from poseline.experiments.lineage import git_output
from poseline.projects.code_file import NAME as CODE
from poseline.projects.code_file import present_code
from poseline.projects.data_sets import DataPlan, Source, plan_data, write_own
from poseline.projects.pipeline import Shape, read_template, render_pipeline
from poseline.projects.running_code import package_version

OURS = ("params.yaml", "dvc.yaml", CODE, "dvc.lock")
"""Files that make a folder a project: where one of them is, nothing is made."""
IGNORE = (".gitignore", ".dvcignore")


@dataclass(frozen=True)
class Created:
    """A new project.

    Attributes:
        folder: where it lies.
        written: files that were made.
        kept: files that were there and stayed as they were.
        notes: what the user should know or do.
    """

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]
    notes: tuple[str, ...]


def create(folder: Path, source: Source, data: Path | None) -> Created:
    """A project in a folder, which is made where it is not there. Nothing that exists is overwritten.

    Args:
        folder: new, empty, or within a repository.
        source: where the data come from.
        data: the folder of the data.

    Raises:
        ConfigError: the folder has a pipeline already or cannot be written, or the data are not what the source expects.
        DataError: the data's files are not in their form.
        BackendError: git or dvc is not installed, or fails.
    """
    folder = folder.resolve()
    check_place(folder)
    plan = plan_data(source, data, folder)
    folder.mkdir(parents=True, exist_ok=True)
    top = git_output(folder, "rev-parse", "--show-toplevel")
    fresh = not top
    if fresh:
        _git(folder, "init", "-q", "-b", "main")
    top_folder = Path(top) if top else folder
    written, kept = write_files(folder, top_folder, plan)
    if not (folder / ".dvc").is_dir():
        written += [*init_dvc(folder, whole=folder == top_folder.resolve())]
    notes = [*plan.notes, *commit_notes(folder, [*written, *(name for name in IGNORE if name in kept)], fresh=fresh)]
    return Created(folder, tuple(written), tuple(kept), tuple(notes))


def check_place(folder: Path) -> None:
    """Nothing, where a project can be made there.

    Raises:
        ConfigError: the place is a file, cannot be written, or has a pipeline already.
        BackendError: git or dvc is not installed.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file. Name a folder for the project.")
    taken = next((name for name in OURS if (folder / name).exists()), None)
    if taken is not None:
        raise ConfigError(f"{folder}: has a {taken} already, which stays. Make the project in a subfolder: poseline new {folder}/pose")
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: cannot be written ({place} is not yours to write). Name another folder.")
    for program, found, hint in (("git", which("git"), "install git"), ("dvc", find_spec("dvc"), "pip install 'poseline[pipeline]'")):
        if not found:
            raise BackendError(f"{program} is not installed: a project needs it. Next: {hint}")


def write_files(folder: Path, top: Path, plan: DataPlan) -> tuple[list[str], list[str]]:
    """The project's files: (written, kept as they were), relative to it."""
    text = plan.render(read_template("params.yaml"))
    parse_params(parse_yaml(text), source="params.yaml")
    write_text(folder / "params.yaml", text)
    own = [path.relative_to(folder).as_posix() for path in write_own(plan.own, folder)] if plan.own is not None else []
    write_text(folder / "dvc.yaml", render_pipeline(Shape.of(parse_yaml(text))))
    write_text(folder / CODE, present_code(folder, Layout(folder).cache).to_text())
    part = folder.relative_to(top.resolve()).as_posix()
    workflow = f".github/workflows/poseline{'' if part == '.' else '-' + re.sub('[^A-Za-z0-9]+', '-', part)}.yml"
    others = {
        folder / "README.md": read_template("README.md").replace("PROJECT", folder.name),
        folder / "requirements.txt": requirements(),
        top.resolve() / workflow: read_template("ci.yml").replace("WORKING_DIRECTORY", part),
    }
    written, kept = ["params.yaml", "dvc.yaml", CODE, *own], []
    for path, content in others.items():
        name = os.path.relpath(path, folder)
        if path.exists():
            kept.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, content)
        written.append(name)
    for name in IGNORE:
        (written if add_lines(folder / name, read_template(name.removeprefix("."))) else kept).append(name)
    return written, kept


def add_lines(path: Path, text: str) -> bool:
    """Write an ignore file, or add the lines that it lacks; whether it is new."""
    if not path.exists():
        write_text(path, text)
        return True
    before = path.read_text(encoding="utf-8")
    lacking = [line for line in text.splitlines() if line and not line.startswith("#") and line not in before.splitlines()]
    if lacking:
        write_text(path, before + ("" if before.endswith("\n") or not before else "\n") + "\n".join(["# poseline", *lacking]) + "\n")
    return False


def init_dvc(folder: Path, *, whole: bool) -> list[str]:
    """Make the folder a DVC project without usage reports; ``whole``: it is a repository's root. The files made."""
    _dvc(folder, "init", "-q", *([] if whole else ["--subdir"]))
    _dvc(folder, "config", "core.analytics", "false")
    return [name for name in (".dvc/config", ".dvc/.gitignore") if (folder / name).exists()]


def commit_notes(folder: Path, files: Sequence[str], *, fresh: bool) -> list[str]:
    """Commit a new repository's first files, where git knows who does; what is left to do otherwise."""
    unknown = [key for key in ("name", "email") if not _has_identity(folder, key)]
    who = " and ".join(f"git config user.{key} {'you@example.org' if key == 'email' else 'You'}" for key in unknown)
    identity = [f"git does not know who you are (`dvc exp run` and commits need it): {who}"] if unknown else []
    if not fresh or unknown:
        return [*identity, f"commit the new files: git add {' '.join(files)} && git commit -m 'A pose project'"]
    _git(folder, "add", "--", *files)
    _git(folder, "commit", "-q", "-m", "A pose project")
    return []


def requirements() -> str:
    """The lines of requirements.txt: this version of poseline, and the versions of what it needs as they are installed here."""
    lines = [f"poseline[pipeline]=={package_version()}"]
    try:
        needed = [line for line in requires("poseline") or () if "extra ==" not in line or "'pipeline'" in line or '"pipeline"' in line]
    except PackageNotFoundError:
        needed = []
    for line in needed:
        name = re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]
        try:
            lines.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return "# What CI installs. After an upgrade: poseline upgrade, then renew the versions here.\n" + "\n".join(lines) + "\n"


def _has_identity(folder: Path, key: str) -> bool:
    variable = key.upper()
    given = all(os.environ.get(f"GIT_{role}_{variable}") for role in ("AUTHOR", "COMMITTER"))
    return given or bool(git_output(folder, "config", f"user.{key}"))


def _git(folder: Path, *arguments: str) -> None:
    _run(folder, ["git"], arguments)


def _dvc(folder: Path, *arguments: str) -> None:
    _run(folder, [sys.executable, "-m", "dvc"], arguments)


def _run(folder: Path, program: list[str], arguments: Sequence[str]) -> None:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run([*program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:300]
        raise BackendError(f"{program[-1]} {arguments[0]} failed in {folder}: {said}")
