"""Mean loss and training accuracy of an epoch, and the guard against losses that are not finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEPS_BETWEEN_READS = 50
"""The device is asked for the values after so many steps at the latest: to look at each would make it wait each time."""
MOST_SKIPPED = 10
"""So many steps of an epoch may be skipped."""


class RunningMeans:
    """Mean loss and accuracy over the steps so far; steps whose loss is not finite are counted instead.

    Attributes:
        loss_sum: over finite steps.
        acc_sum: likewise.
        steps: finite ones.
        skipped: steps whose loss was not finite; the optimiser left the weights as they were.
    """

    def __init__(self, loss_sum: float = 0.0, acc_sum: float = 0.0, steps: float = 0, skipped: float = 0) -> None:
        self.loss_sum, self.acc_sum, self.steps, self.skipped = loss_sum, acc_sum, int(steps), int(skipped)
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def add(self, values: Tensor, rows: Tensor) -> None:
        """Take loss and accuracy, [2] on the device, of a step over these rows of the crop index.

        Raises:
            FloatingPointError: too many steps were skipped.
        """
        self._waiting.append((values, rows))
        if len(self._waiting) >= STEPS_BETWEEN_READS:
            self.read()

    def read(self) -> dict[str, float]:
        """The means; waits for the device.

        Raises:
            FloatingPointError: too many steps were skipped, or all of them.
        """
        waiting, self._waiting = self._waiting, []
        bad: list[int] = []
        values = torch.stack([pair for pair, _ in waiting]).tolist() if waiting else []
        for (loss, acc), (_, rows) in zip(values, waiting, strict=True):  # one after another: the same sum as that of single steps
            if math.isfinite(loss):
                self.loss_sum, self.acc_sum, self.steps = self.loss_sum + loss, self.acc_sum + acc, self.steps + 1
            else:
                self.skipped, bad = self.skipped + 1, rows.tolist()
        if bad and (self.skipped > MOST_SKIPPED or not self.steps):
            raise FloatingPointError(
                f"the training loss was not finite in {self.skipped} of {self.skipped + self.steps} steps of the epoch, last with rows "
                f"{bad} of crops.parquet. Lower train.learning_rate, set train.clip_norm, or look at these people."
            )
        return {"loss": self.loss_sum / max(self.steps, 1), "acc": self.acc_sum / max(self.steps, 1)}
