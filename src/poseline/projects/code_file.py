"""code.yaml of a project: the code that made its results, which DVC watches, and the check that the installed code is that code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from poseline.errors import ConfigError
from poseline.projects.pipeline import Shape, find_unnamed, read_raw, render_pipeline, same_stages
from poseline.projects.running_code import hash_stages, package_version
from poseline.stage_code import PREFIX

if TYPE_CHECKING:
    from poseline.artifacts import Layout

NAME = "code.yaml"
HEAD = """\
# Which code makes the results: the version of poseline and, for each stage, a hash of what it executes (the project's plug-ins too;
# comments and docstrings do not count). dvc.yaml names these hashes, so that DVC runs again what another code would make otherwise.
# Written by `poseline upgrade`. Do not edit.
"""


class CodeFile(BaseModel):
    """The content of code.yaml.

    Attributes:
        version: of the package.
        stages: stage -> hash of what it executes.
        pipeline: dvc.yaml as it was written then, for your edits to be told from ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    stages: dict[str, str]
    pipeline: str = ""

    def to_text(self) -> str:
        """The file."""
        text = HEAD + yaml.safe_dump(self.model_dump(exclude={"pipeline"}), sort_keys=False)
        return text + "pipeline: |\n" + "".join(f"  {line}\n" if line else "\n" for line in self.pipeline.splitlines())


@dataclass(frozen=True)
class Change:
    """What is other than code.yaml says.

    Attributes:
        before: what it says.
        after: what holds now.
    """

    before: CodeFile
    after: CodeFile

    @property
    def stages(self) -> list[str]:
        """The stages whose code is another."""
        return [stage for stage, digest in self.after.stages.items() if self.before.stages.get(stage) != digest]

    @property
    def versions(self) -> str:
        """Both versions, for a message."""
        if self.before.version == self.after.version:
            return f"poseline {self.after.version} in both, with a change in it or in a plug-in"
        return f"poseline {self.before.version} there, {self.after.version} installed"

    @property
    def is_older(self) -> bool:
        """Whether the installed package is older than the one that code.yaml names."""
        return version_key(self.after.version) < version_key(self.before.version)


def read_code(root: Path) -> CodeFile | None:
    """The code.yaml of a project; None where it has none, as in the source tree.

    Raises:
        ConfigError: it is not what `poseline upgrade` writes.
    """
    path = root / NAME
    if not path.is_file():
        return None
    try:
        return CodeFile.model_validate(read_raw(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}. Restore the file from git, or remove it and run: poseline upgrade") from None


def present_code(root: Path, cache: Path) -> CodeFile:
    """What code.yaml would say now.

    Raises:
        ConfigError: params.yaml or a plug-in cannot be read.
    """
    raw = read_raw(root / "params.yaml")
    return CodeFile(version=package_version(), stages=hash_stages(root, raw.get("plugins"), cache), pipeline=render_pipeline(Shape.of(raw)))


def find_change(root: Path, cache: Path) -> Change | None:
    """What is other than code.yaml says; None where nothing is, or there is no such file."""
    before = read_code(root)
    return None if before is None else Change(before, present_code(root, cache))


def check_stage(stage: str, layout: Layout) -> None:
    """Nothing, where a stage would run the code that code.yaml names.

    Args:
        stage: its name, with or without ``@SET``.
        layout: the project.

    Raises:
        ConfigError: it would run other code.
    """
    root = layout.root.resolve()
    before, name = read_code(root), stage.partition("@")[0]
    if before is None:
        check_sets(root)
        return
    now = hash_stages(root, read_raw(root / "params.yaml").get("plugins"), layout.cache)
    if before.stages.get(name) != now.get(name):
        change = Change(before, CodeFile(version=package_version(), stages=now))
        raise ConfigError(f"{name}: runs other code than {NAME} names ({change.versions}). {remedy(change)}")


def check_sets(root: Path) -> None:
    """Nothing, where the source tree's dvc.yaml names every data set of params.yaml, or there is none.

    Raises:
        ConfigError: it does not.
    """
    if (root / PREFIX).is_dir() and (root / "dvc.yaml").is_file():
        unnamed = find_unnamed((root / "dvc.yaml").read_text(encoding="utf-8"), Shape.of(read_raw(root / "params.yaml")))
        if unnamed:
            raise ConfigError(f"dvc.yaml: does not name the data set {', '.join(unnamed)} among what its stages read. Run: poseline code")


def check_project(root: Path, cache: Path) -> None:
    """Nothing, where all stages would run the code that code.yaml names and dvc.yaml has the stages that the parameters need.

    Args:
        root: the project.
        cache: its folder for what can be made again.

    Raises:
        ConfigError: they would not.
    """
    change = find_change(root, cache)
    if change is None:
        raise ConfigError(f"{root / NAME}: no such file. Make a project with `poseline new`; the source tree's dvc.yaml watches the code.")
    if change.stages:
        raise ConfigError(f"{', '.join(change.stages)}: other code than {NAME} names ({change.versions}). {remedy(change)}")
    if not same_stages(change.before.pipeline, change.after.pipeline):
        raise ConfigError("dvc.yaml: its stages are not those that params.yaml needs now. Run: poseline upgrade")


def remedy(change: Change) -> str:
    """What to do about other code."""
    if change.is_older:
        return f"Install it (pip install 'poseline=={change.before.version}'), or go back to this one with: poseline upgrade --older"
    return "Run: poseline upgrade"


def version_key(version: str) -> tuple[int, ...]:
    """The numbers of a version's release, for comparison.

    >>> version_key("0.9.1") < version_key("0.10.0.dev1")
    True
    """
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in release[0].split(".")) if release else ()
