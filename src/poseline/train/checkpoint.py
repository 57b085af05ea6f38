"""Checkpoints of unfinished training runs: saved after an epoch, found again by a fingerprint of parameters, data and code.

They lie outside the pipeline's outputs, so that neither an experiment nor a cleaned output folder can mix two runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

import poseline
from poseline.artifacts import atomic_file
from poseline.errors import ArtifactError

CODE_PACKAGES = ("codecs", "config", "core", "crops", "datasets", "metrics", "models", "train")
"""Packages that training executes: a change of their code makes another run. :func:`training_code` is the one place that reads it."""

States: TypeAlias = dict[str, dict[str, Tensor]]
"""State dictionaries by the name of their part."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        epoch: finished epochs.
        best_ap: the best validation AP so far; -1 before the first.
        history: one row per epoch.
    """

    epoch: int = 0
    best_ap: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)


def fingerprint(parts: Iterable[str]) -> str:
    """Twenty hex digits over these parts and the code that training executes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    for name, code in training_code():
        digest.update(name.encode() + code)
    return digest.hexdigest()[:20]


def training_code() -> Iterator[tuple[str, bytes]]:
    """Path and content of every file of code that training executes."""
    package = Path(poseline.__file__).parent
    for name in CODE_PACKAGES:
        for path in sorted((package / name).rglob("*.py")):
            yield path.relative_to(package).as_posix(), path.read_bytes()


def save_checkpoint(path: Path, progress: Progress, states: States) -> None:
    """Write a checkpoint atomically: the old one stays until the new one is complete."""
    with atomic_file(path) as temporary:
        torch.save({"progress": vars(progress), "states": states, "torch_rng": torch.get_rng_state()}, temporary)


def checkpoint_file(folder: Path) -> Path:
    """The checkpoint in a run's folder."""
    return folder / "checkpoint.pt"


def saved_epochs(path: Path) -> int:
    """Finished epochs in the checkpoint at ``path``; 0 where there is none that can be read."""
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True)["progress"]["epoch"])
    except Exception:  # torch raises many types for a damaged file; this is for a message alone
        return 0


def load_checkpoint(path: Path) -> tuple[Progress, States] | None:
    """The checkpoint at ``path``, or None where there is none. PyTorch's random state is restored from it.

    Raises:
        ArtifactError: the file is there but cannot be read.
    """
    if not path.is_file():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged file
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{path}: not a readable checkpoint ({reason}). Delete it to train from the start.") from None
    torch.set_rng_state(saved["torch_rng"])
    return Progress(**saved["progress"]), saved["states"]
