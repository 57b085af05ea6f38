"""Clips of moving bright squares, and a detector and a network that find them: NumPy alone, so that runs are quick and exact."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_squares import SquareDetector, SquareNetwork, draw_frame

from poseline.cli import main


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and the Python face use the two above, whatever names they are given."""
    for module in ("run", "predictor"):
        monkeypatch.setattr(f"poseline.pose.{module}.load_detector", lambda *_, **__: SquareDetector())
        monkeypatch.setattr(f"poseline.pose.{module}.load_pose_network", lambda *_, **__: SquareNetwork())


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Writes frames as a video; by default 40 of two people who walk."""

    def make(name: str = "clip.avi", frames: Iterable[np.ndarray] | None = None, *, rate: float = 25.0) -> Path:
        path = tmp_path / name
        kind = "MJPG" if path.suffix == ".avi" else "mp4v"
        images = [draw_frame(t) for t in range(40)] if frames is None else list(frames)
        size = (images[0].shape[1], images[0].shape[0])
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*kind), rate, size)
        for image in images:
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        writer.release()
        return path

    return make


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `poseline pose ...`; gives the exit code."""

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["poseline", "pose", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run
