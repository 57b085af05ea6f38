"""What is done to the tracks after a whole clip: linking again, filling gaps, smoothing that looks ahead."""

from __future__ import annotations

from poseline.pose.options import PoseOptions
from poseline.pose.outputs.base import RunInfo
from poseline.pose.resume import PoseLog


def revise_poses(options: PoseOptions, run: RunInfo, log: PoseLog) -> None:
    """Replace poses.jsonl by its revised form, where the options ask for it."""
