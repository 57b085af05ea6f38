"""Unfinished training runs: saved after an epoch, found again by a fingerprint of parameters, data and code.

They live outside the pipeline's outputs, so that neither an experiment nor a cleaned output folder can mix two runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import poseline
from poseline.artifacts import atomic_file
from poseline.errors import ArtifactError

# What a change of makes another run.
CODE_PACKAGES = ("codecs", "core", "crops", "datasets", "models", "train", "config")


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        epoch: finished epochs.
        best_ap: the best validation AP so far; -1 before the first.
        history: one row an epoch.
    """

    epoch: int
    best_ap: float
    history: list[dict[str, float]]


def fingerprint(parts: Iterable[str]) -> str:
    """Twenty hex digits over these parts and the project's own code."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    package = Path(poseline.__file__).parent
    for name in CODE_PACKAGES:
        for path in sorted((package / name).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def save_checkpoint(path: Path, progress: Progress, states: dict[str, dict[str, Tensor]]) -> None:
    """Write a checkpoint atomically: the older one stays whole until the new one is complete."""
    with atomic_file(path) as temporary:
        torch.save({"progress": vars(progress), "states": states, "torch_rng": torch.get_rng_state()}, temporary)


def load_checkpoint(path: Path) -> tuple[Progress, dict[str, dict[str, Tensor]]] | None:
    """The checkpoint at ``path`` with PyTorch's random state restored, or None where there is none.

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
