"""Checkpoints of unfinished training runs: saved after and within an epoch, found again by a fingerprint of parameters, data and code.

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
from poseline.progress import warn
from poseline.project import shown

CODE_PACKAGES = ("codecs", "config", "core", "crops", "datasets", "metrics", "models", "train")
"""Packages that training executes: a change of their code makes another run. :func:`training_code` is the one place that reads it."""

States: TypeAlias = dict[str, dict[str, Tensor]]
"""State dictionaries by the name of their part."""


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        epoch: finished epochs.
        step: finished steps of the epoch after them.
        partial: what :class:`~poseline.train.means.RunningMeans` has counted in those steps.
        best_ap: the best validation AP so far; -1 before the first.
        history: one row per epoch.
    """

    epoch: int = 0
    step: int = 0
    partial: dict[str, float] = field(default_factory=dict)
    best_ap: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)

    def has_stalled(self, validations: int) -> bool:
        """Whether so many validations have passed since the first of the best AP.

        >>> Progress(history=[{"val_ap": ap} for ap in (0.1, 0.3, 0.3, 0.2)]).has_stalled(2)
        True
        """
        scores = [row["val_ap"] for row in self.history if "val_ap" in row]
        return bool(scores) and len(scores) - 1 - scores.index(max(scores)) >= validations

    def describe(self) -> str:
        """How far, in words.

        >>> Progress(epoch=2, step=31).describe(), Progress().describe()
        ('2 epochs and 31 steps', '0 epochs')
        """
        return f"{self.epoch} epochs" + (f" and {self.step} steps" if self.step else "")


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
    """Write a checkpoint atomically; the one before stays beside it."""
    with atomic_file(path) as temporary:
        torch.save({"progress": vars(progress), "states": states}, temporary)
        if path.is_file():
            path.replace(previous_file(path))


def checkpoint_file(folder: Path) -> Path:
    """The newest checkpoint in a run's folder."""
    return folder / "checkpoint.pt"


def previous_file(path: Path) -> Path:
    """The checkpoint before the newest."""
    return path.with_name("previous.pt")


def describe_saved(path: Path, epochs: int) -> str:
    """What a run that ended early leaves at ``path``, and how to go on."""
    try:
        saved = read_newest(path)
    except ArtifactError:
        saved = None
    if saved is None:
        return "Nothing was saved. Run the stage again to start anew."
    progress = saved[0]
    steps = f" and {progress.step} steps" if progress.step else ""
    return f"Saved: {progress.epoch} of {epochs} epochs{steps}, in {shown(path.resolve())}. Run the stage again to go on from there."


def load_checkpoint(path: Path) -> tuple[Progress, States] | None:
    """The checkpoint at ``path``; the one before it, with a warning, where it is damaged; None where there is none.

    Raises:
        ArtifactError: there are files, but none that can be read.
    """
    return read_newest(path, warn_of_damage=True)


def read_newest(path: Path, *, warn_of_damage: bool = False) -> tuple[Progress, States] | None:
    """The newest checkpoint that can be read; None where there is no file.

    Raises:
        ArtifactError: there are files, but none that can be read.
    """
    reasons = []
    for file in (path, previous_file(path)):
        if not file.is_file():
            continue
        try:
            result = read_file(file)
        except ArtifactError as error:
            reasons.append(str(error))
            continue
        if reasons and warn_of_damage:
            warn(f"{reasons[0]}; the one before it is taken: {result[0].describe()}.")
        return result
    if reasons:
        raise ArtifactError(f"{reasons[0]}. Delete it to train from the start.")
    return None


def read_file(file: Path) -> tuple[Progress, States]:
    """The checkpoint in one file.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        return Progress(**saved["progress"]), saved["states"]
    except Exception as error:  # torch raises many types for a damaged file
        reason = (str(error) or "cut short").splitlines()[0]
        raise ArtifactError(f"{file}: not a readable checkpoint ({reason})") from None
