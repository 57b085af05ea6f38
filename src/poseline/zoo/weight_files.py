"""The catalogue of downloadable networks: what each file is, where it comes from, and what may be done with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, JsonValue

from poseline.config.base import Section
from poseline.errors import ArtifactError, ConfigError

Answer = Literal["yes", "no", "unknown"]


class WeightFile(Section):
    """One entry of the catalogue; null means that it is not known, and is shown so."""

    name: str
    task: Literal["detector", "pose"]
    kind: Literal["onnx", "torchvision"] = "onnx"
    file: str = Field(description="name of the file in the cache")
    url: str | None = Field(description="official address")
    member: str | None = Field(default=None, description="of an archive at that address: pattern of the file in it")
    size: int | None = Field(default=None, gt=0, description="bytes of what the address gives")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="of what the address gives, by the publisher or as stated")
    sha256_from: str | None = Field(default=None, description="who states the hash, where it is not the publisher")
    file_sha256: tuple[str, ...] = Field(default=(), description="other known files of the same network (converted, out of an archive)")
    origin: str = Field(description="project and page")
    licence: str | None = None
    training_data: str | None = None
    training_data_licence: str | None = None
    commercial: Answer = "unknown"
    ap: float | None = Field(default=None, description="published, a fraction")
    protocol: str | None = None
    note: str = ""
    spec: Mapping[str, JsonValue] = Field(default={}, description="description of the ONNX file")


@lru_cache(maxsize=1)
def load_catalogue() -> dict[str, WeightFile]:
    """Every entry by name, detectors first."""
    folder = resources.files("poseline.zoo")
    entries: dict[str, WeightFile] = {}
    for name in ("catalogue_detectors.yaml", "catalogue_poses.yaml"):
        for raw in yaml.safe_load((folder / name).read_text(encoding="utf-8")):
            entry = WeightFile.model_validate(raw)
            entries[entry.name] = entry
    return entries


def find_entry(name: str) -> WeightFile:
    """The entry of that name.

    Raises:
        ConfigError: there is none; names the closest.
    """
    entries = load_catalogue()
    if name not in entries:
        close = get_close_matches(name, entries, n=2, cutoff=0.5)
        hint = f"Closest: {', '.join(close)}. " if close else ""
        raise ConfigError(f"'{name}': no file, and no name of the catalogue. {hint}`poseline weights list` shows all.")
    return entries[name]


def find_by_hash(path: Path) -> WeightFile | None:
    """The entry whose file this is, by its SHA-256; None where it is none of them."""
    digest = sha256(path)
    return next((entry for entry in load_catalogue().values() if digest in (entry.sha256, *entry.file_sha256)), None)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, modified: int) -> str:
    del size, modified  # of the key alone: another file under this name is read again
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits; a file that has not changed is read once."""
    state = path.stat()
    return _digest(os.fspath(path), state.st_size, state.st_mtime_ns)


def cache_folder() -> Path:
    """Where downloaded weights lie: ``$POSELINE_WEIGHTS``, else ``$XDG_CACHE_HOME/poseline/weights``, else ``~/.cache/poseline/weights``."""
    named = os.environ.get("POSELINE_WEIGHTS")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "poseline" / "weights"


def get_file(entry: WeightFile) -> Path:
    """The entry's file where it lies in the cache.

    Raises:
        ArtifactError: it is not there, or is another file than the catalogue says.
    """
    path = cache_folder() / entry.file
    if not path.is_file():
        raise ArtifactError(f"{entry.name}: {path} is not there. Run `poseline weights get {entry.name}`, or put the file there.")
    if (known := (entry.sha256, *entry.file_sha256)) != (None,) and sha256(path) not in known:
        raise ArtifactError(f"{path}: has SHA-256 {sha256(path)[:16]}..., the catalogue has another for {entry.name}. Fetch it again.")
    return path
