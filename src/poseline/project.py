"""Where the project lies: its main checkout (stores, caches) and the tree that a command works on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from poseline.errors import ConfigError

MARKERS = ("dvc.yaml", "params.yaml")


def project_root() -> Path:
    """The main checkout, absolute: ``$DVC_ROOT``, else the nearest parent with dvc.yaml or params.yaml, else here.

    A queued ``dvc exp run`` works in a temporary copy while ``$DVC_ROOT`` still names the main checkout, so whatever outlives an
    experiment (experiment store, caches, in-progress checkpoints) is anchored here.
    """
    named = os.environ.get("DVC_ROOT")
    return Path(named).resolve() if named else workspace_root()


def located(path: str | Path) -> Path:
    """A path of params.yaml, or of a file that a stage wrote: a relative one counts from the project, wherever the command stands.

    Standing in the project's root it stays as it is. Paths that a user types on the command line count from where he stands and need
    no such step.
    """
    root = workspace_root()
    return Path(path) if root == Path.cwd().resolve() else root / path


def all_located(paths: Iterable[str | Path]) -> list[Path]:
    """:func:`located` of many paths, at the cost of one."""
    root = located("")
    return [root / path for path in paths]


def existing(path: str | Path, *, key: str) -> Path:
    """A located path of params.yaml that a command is about to read, unless this experiment's copy of the project lacks it.

    Args:
        path: as the parameters give it.
        key: the parameter that names it.

    Raises:
        ConfigError: it is in the project itself but not in the temporary copy of it in which a queued experiment runs.
    """
    place, root, main = located(path), workspace_root(), project_root()
    if root != main and not place.exists() and (main / path).exists():
        raise ConfigError(
            f"{key}: {path} is not in this experiment's copy of the project ({root}), for neither git nor DVC tracks it. "
            f"Give its absolute path ({main / path}), or track it: dvc add {path}"
        )
    return place


def shown(path: Path) -> Path:
    """A located path as files name it: relative to the project where it lies within, so that a copy elsewhere gives the same files."""
    return all_shown([path])[0]


def all_shown(paths: Iterable[Path]) -> list[Path]:
    """:func:`shown` of many paths, at the cost of one."""
    root = workspace_root()
    return [path.relative_to(root) if path.is_relative_to(root) else path for path in paths]


def workspace_root() -> Path:
    """The tree whose params.yaml, dvc.lock and reports are in use: the nearest parent with dvc.yaml or params.yaml, else here."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if any((folder / name).is_file() for name in MARKERS)), here)
