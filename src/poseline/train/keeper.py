"""When a checkpoint is written: every some minutes, after an epoch, and on a signal, which ends the run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from poseline.train.checkpoint import describe_saved, save_checkpoint
from poseline.train.interrupt import Interrupt
from poseline.train.means import RunningMeans
from poseline.train.trainer import Trainer


class Keeper:
    """Saves a run's checkpoints; the first process alone does.

    Args:
        path: of the checkpoint.
        trainer: whose state is saved.
        seconds: between two checkpoints within an epoch.
        interrupt: a signal that it notes is answered with a checkpoint and the end of the run. Other processes than the first go on until
            that one is gone, so that no step is half done.
    """

    def __init__(self, path: Path, trainer: Trainer, seconds: float, interrupt: Interrupt) -> None:
        self.path, self.trainer, self.seconds, self.interrupt = path, trainer, seconds, interrupt
        self._saved = time.monotonic()

    def after_step(self, step: int, means: RunningMeans) -> None:
        """Save after this step of the epoch, counted from 0, where it is time.

        Raises:
            StoppedError: a signal arrived; the state is saved.
            FloatingPointError: too many steps were skipped.
        """
        stop = self.interrupt.signal is not None
        if not self.trainer.rank.is_first or not (stop or time.monotonic() - self._saved >= self.seconds):
            return
        means.read()
        partial = {"loss_sum": means.loss_sum, "acc_sum": means.acc_sum, "steps": means.steps, "skipped": means.skipped}
        self.trainer.progress = replace(self.trainer.progress, step=step + 1, partial=partial)
        self.save()
        if stop:
            raise self.interrupt.error(describe_saved(self.path, self.trainer.epochs))

    def save(self) -> None:
        """Save now."""
        save_checkpoint(self.path, self.trainer.progress, self.trainer.states())
        self._saved = time.monotonic()
