"""`poseline upgrade`: a project moves to the code that is installed; what you wrote in dvc.yaml stays."""

from __future__ import annotations

import difflib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from poseline.artifacts import Layout, write_text
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ArtifactError, BackendError, ConfigError
from poseline.experiments.gap import stage_names
from poseline.projects.code_file import NAME, Change, CodeFile, find_change, present_code, read_code, remedy

PIPELINE = "dvc.yaml"


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade changes.

    Attributes:
        before: the version that code.yaml names; empty where there is none.
        after: the installed version.
        reruns: the stages whose code is another, as DVC names them.
        diff: of dvc.yaml; empty where it stays.
        conflicts: places of dvc.yaml where your lines stayed although ours changed too.
    """

    before: str
    after: str
    reruns: tuple[str, ...]
    diff: str
    conflicts: int


def upgrade(layout: Layout, *, older: bool, write: bool) -> Upgrade:
    """Renew code.yaml, and dvc.yaml where the shape of the pipeline changed.

    Args:
        layout: the project.
        older: also to a version that is older than the one that code.yaml names.
        write: False only says what would change.

    Raises:
        ConfigError: the installed version is older; or params.yaml, dvc.yaml, code.yaml or a plug-in cannot be read.
        BackendError: git is not installed.
    """
    root = layout.root.resolve()
    if not (root / PIPELINE).is_file():
        raise ConfigError(f"{root / PIPELINE}: no such file. Run inside a project, or make one: poseline new DIR")
    if (root / "src/poseline").is_dir() and read_code(root) is None:
        raise ConfigError("this is the source tree of poseline, whose dvc.yaml watches the code itself. Run: poseline code")
    change = find_change(root, layout.cache) or Change(CodeFile(version="", stages={}), present_code(root, layout.cache))
    if change.is_older and not older:
        raise ConfigError(f"{NAME}: poseline {change.before.version} wrote it, {change.after.version} is installed. {remedy(change)}")
    current = (root / PIPELINE).read_text(encoding="utf-8")
    merged, conflicts = merge(current, change.before.pipeline, change.after.pipeline)
    if write:
        if merged != current:
            write_text(root / PIPELINE, merged)
        if change.before != change.after:
            write_text(root / NAME, change.after.to_text())
    diff = "".join(difflib.unified_diff(current.splitlines(True), merged.splitlines(True), f"old {PIPELINE}", f"new {PIPELINE}", n=1))
    reruns = [name for name in stage_names(root) if name.partition("@")[0] in change.stages]
    return Upgrade(change.before.version, change.after.version, tuple(reruns), diff, conflicts)


def merge(current: str, before: str, after: str) -> tuple[str, int]:
    """Your dvc.yaml with our changes from ``before`` to ``after``, and in how many places yours stayed where both changed.

    Raises:
        ArtifactError: the outcome is no YAML, or git failed.
        BackendError: git is not installed.
    """
    if before == after:
        return current, 0
    if current == before:
        return after, 0
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name, text in (("current", current), ("before", before), ("after", after)):
            (folder / name).write_text(text, encoding="utf-8")
        conflicts = _merge_file(folder)
        if conflicts < 0:
            raise ArtifactError(f"{PIPELINE}: git cannot merge it. Restore it from git and run: poseline upgrade")
        _merge_file(folder, "--ours")
        merged = (folder / "merged").read_text(encoding="utf-8")
    try:
        parse_yaml(merged)
    except yaml.YAMLError:
        hint = "Restore it from git and run: poseline upgrade"
        raise ArtifactError(f"{PIPELINE}: your changes and ours give no YAML together. {hint}") from None
    return merged, conflicts


def _merge_file(folder: Path, *options: str) -> int:
    command = ["git", "merge-file", "-p", *options, "current", "before", "after"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        raise BackendError("git is not installed: poseline upgrade merges your changes of dvc.yaml with it.") from None
    (folder / "merged").write_bytes(done.stdout)
    return done.returncode if done.returncode < 128 else -1

