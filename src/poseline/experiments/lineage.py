"""What a result came from: commit, experiment, parameters and data, and the key that joins the stages of one execution."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from poseline.config import Params, dump_section, flatten
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ArtifactError

KEY = "poseline.key"
ROLE = "poseline.role"
PARAMS_HASH = "poseline.params_hash"
PROCESS = "poseline.process"
HOST = "poseline.host"
SEEN = "poseline.seen"
"""A run's last sign of life, milliseconds since the epoch."""
RESTORED = "poseline.mirrored"
KEPT = "poseline.restored"
"""Scores in an execution's row that an earlier one made: nothing that they rest on has changed."""
SESSION = "poseline.session"
STAGE = "dvc.stage"
WEIGHTS = "poseline.weights"
SECRET = re.compile(r"(?:PASSWORD|PASSWD|TOKEN|SECRET\w*|SECRET_ACCESS_KEY)$")
"""What the names of variables that hold secrets end in."""
SHORTEST_SECRET = 4
PACKAGES = ("poseline", "torch", "torchvision", "numpy", "opencv-python-headless", "pandas", "pycocotools", "dvc", "mlflow")
UNRELATED_TO_CODE = ("params.yaml", "dvc.lock", "reports/")


class LockEntry(BaseModel):
    """One dependency or output of dvc.lock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str
    md5: str | None = None


class LockStage(BaseModel):
    """One stage of dvc.lock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    cmd: str | list[str] = ""
    deps: tuple[LockEntry, ...] = ()
    outs: tuple[LockEntry, ...] = ()
    params: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


class Identity(BaseModel):
    """The pipeline execution that a stage belongs to. ``params`` are flat and as text."""

    model_config = ConfigDict(frozen=True)

    key: str
    name: str
    tags: dict[str, str]
    params: dict[str, str]


def identify(params: Params, workspace: Path) -> Identity:
    """The execution's identity: key = hash(baseline commit | experiment | parameters), its name, tags and flat parameters."""
    commit = git_output(workspace, "rev-parse", "HEAD")
    experiment = os.environ.get("DVC_EXP_NAME", "")
    flat, params_hash = flat_params(params), hash_params(params)
    baseline = os.environ.get("DVC_EXP_BASELINE_REV") or commit
    tags = {
        KEY: execution_key(baseline, experiment, params_hash),
        PARAMS_HASH: params_hash,
        "poseline.data_hash": _data_hash_now(workspace),
        "poseline.dirty": str(is_dirty(workspace)).lower(),
        "mlflow.source.git.commit": commit,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": masked(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "mlflow.user": user_name(),
        "poseline.versions": describe_versions(),
        "dvc.exp": experiment,
        "dvc.baseline": baseline,
    }
    return Identity(key=tags[KEY], name=experiment or commit[:7] or "workspace", tags={k: v for k, v in tags.items() if v}, params=flat)


def execution_key(baseline: str, experiment: str, params_hash: str) -> str:
    """Sixteen hex digits that all stages of an execution share."""
    return _digest(f"{baseline}|{experiment}|{params_hash}")


def user_name() -> str:
    """Who runs this; empty where the machine has no name for the user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def flat_params(params: Params) -> dict[str, str]:
    """Every parameter but the tracking section's, as ``a.b`` -> text."""
    tree = {name: value for name, value in dump_section(params).items() if name != "mlflow"}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in flatten(tree).items()}


def hash_params(params: Params) -> str:
    """Sixteen hex digits of every parameter but the tracking section's."""
    return _digest(json.dumps(flat_params(params), sort_keys=True))


def describe_versions(packages: Sequence[str] = PACKAGES) -> str:
    """Python's and the packages' versions in one line; those not installed are left out."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def is_dirty(workspace: Path) -> bool:
    """True when tracked files differ from the commit, or src has files outside it; params.yaml, dvc.lock and reports do not count."""
    prefix = git_output(workspace, "rev-parse", "--show-prefix")
    for line in git_output(workspace, "status", "--porcelain", "--untracked-files=all", "--", ".").splitlines():
        state, path = line[:2].strip(), line[3:].strip('"').removeprefix(prefix)
        if not path.startswith(UNRELATED_TO_CODE) and (state != "??" or path.startswith("src/")):
            return True
    return False


def read_lock(workspace: Path) -> dict[str, LockStage]:
    """The stages of dvc.lock; empty where there is none yet.

    Raises:
        ArtifactError: the file is not what DVC writes.
    """
    path = workspace / "dvc.lock"
    if not path.is_file():
        return {}
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8")) or {}
        return {name: LockStage.model_validate(stage) for name, stage in (raw.get("stages") or {}).items()}
    except (yaml.YAMLError, ValidationError, AttributeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{path}: not a readable DVC lock file ({reason}). Restore it from git, or run: dvc repro") from None


def data_entries(lock: dict[str, LockStage]) -> dict[str, LockEntry]:
    """The data sets of a lock by path: what is drawn or preprocessed, and the folders of annotations that are checked."""
    kinds = [(name.partition("@")[0], stage) for name, stage in lock.items()]
    made = [entry for kind, stage in kinds if kind in ("mini", "preprocess") for entry in stage.outs]
    read = [entry for kind, stage in kinds if kind in ("validate", "preprocess") for entry in stage.deps]
    entries = [*made, *(entry for entry in read if not entry.path.startswith("src/"))]
    return {entry.path: entry for entry in entries if entry.md5 is not None}


def data_hash(lock: dict[str, LockStage]) -> str:
    """Sixteen hex digits over the DVC digests of the data, or an empty text before any is locked."""
    digests = {path: entry.md5 for path, entry in data_entries(lock).items()}
    return _digest(json.dumps(digests, sort_keys=True)) if digests else ""


def _data_hash_now(workspace: Path) -> str:
    """The data hash, empty while dvc.lock cannot be read: that is for DVC and ``sync`` to report, not for a running stage."""
    try:
        return data_hash(read_lock(workspace))
    except ArtifactError:
        return ""


def masked(text: str) -> str:
    """The text with user and password of every address hidden, and every password, token or secret of the environment.

    >>> masked("no answer from http://ann:secret@host:5000/a, nor from postgresql://ann:a/b@c@host/db")
    'no answer from http://***@host:5000/a, nor from postgresql://***@host/db'
    """
    hidden = re.sub(r"://(?:[^/@\s]*:\S*|[^/\s]+)@", "://***@", text)
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and SECRET.search(name):
            hidden = hidden.replace(value, "***")
    return hidden


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def git_output(folder: Path, *arguments: str) -> str:
    """Output of a git command, empty outside a repository or without git: lineage is then unknown, which is no error."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.rstrip("\n") if done.returncode == 0 else ""
