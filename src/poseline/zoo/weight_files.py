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

from pydantic import Field, JsonValue

from poseline.config.base import Section
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ConfigError

SHA256 = "^[0-9a-f]{64}$"


class WeightFile(Section):
    """One entry of the catalogue; null means that it is not known, and is shown so."""

    name: str
    task: Literal["detector", "pose"]
    kind: Literal["onnx", "torchvision"] = "onnx"
    file: str = Field(description="name of the file in the cache, in a mirror too")
    url: str | None = Field(description="official address; null: nobody publishes the file in this form")
    member: str | None = Field(default=None, description="pattern of the file in the archive that the address gives")
    size: int | None = Field(default=None, gt=0, description="bytes of what the address gives")
    sha256: str | None = Field(default=None, pattern=SHA256, description="of what the address gives")
    sha256_prefix: str | None = Field(default=None, description="its first digits, where the publisher states these alone")
    sha256_from: str | None = Field(default=None, description="who states the hash, where it is not the publisher")
    file_sha256: tuple[str, ...] = Field(default=(), description="known files in the cache, if not what the address gives")
    origin: str = Field(description="project and page")
    licence: str | None = Field(default=None, description="of the file")
    training_data: str | None = None
    training_data_licence: str | None = None
    commercial: Literal["yes", "no", "unknown"] = Field(default="unknown", description="use by the file's licence, not its training data's")
    ap: float | None = Field(default=None, description="published, a fraction")
    protocol: str | None = Field(default=None, description="of that AP")
    note: str = ""
    spec: Mapping[str, JsonValue] = Field(default={}, description="description of the ONNX file")

    @property
    def known_hashes(self) -> tuple[str, ...]:
        """Every SHA-256 that the file in the cache may have; empty where none is known."""
        direct = (self.sha256,) if self.sha256 and not self.member else ()
        return (*direct, *self.file_sha256)


@lru_cache(maxsize=1)
def load_catalogue() -> dict[str, WeightFile]:
    """Every entry by name, detectors first."""
    folder = resources.files("poseline.zoo")
    entries: dict[str, WeightFile] = {}
    for name in ("catalogue_detectors.yaml", "catalogue_poses.yaml"):
        for raw in parse_yaml((folder / name).read_text(encoding="utf-8")):
            entry = WeightFile.model_validate(raw)
            assert entry.name not in entries, f"{entry.name} is there twice"
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
        raise ConfigError(f"'{name}': no such file, and no name of the catalogue. {hint}`poseline weights list` shows all.")
    return entries[name]


def find_by_hash(path: Path) -> WeightFile | None:
    """The entry whose file this is, by its SHA-256; None where it is none of them."""
    digest = sha256(path)
    return next((entry for entry in load_catalogue().values() if digest in entry.known_hashes), None)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits; a file that has not changed is read once."""
    state = path.stat()
    return _digest(os.fspath(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, modified: int) -> str:
    del size, modified  # of the key alone: another file under this name is read again
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where weights lie: ``$POSELINE_WEIGHTS``, else ``$XDG_CACHE_HOME/poseline/weights``, else ``~/.cache/poseline/weights``."""
    named = os.environ.get("POSELINE_WEIGHTS")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "poseline" / "weights"
