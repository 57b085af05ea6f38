"""Clips of moving bright squares, and a detector and a network that find them: NumPy alone, so that runs are quick and exact."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_squares import draw_frame

from poseline.cli import main
from poseline.core.skeletons import load_skeleton
from poseline.infer.detectors.base import Detections
from poseline.infer.estimator import CropBatch, PoseEstimator


class SquareDetector:
    """Finds bright squares."""

    name, batch_size = "squares", 2

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        assert len(images) <= self.batch_size
        return [self._squares(image) for image in images]

    def _squares(self, image: np.ndarray) -> Detections:
        count, _, stats, _ = cv2.connectedComponentsWithStats((image.max(axis=2) > 120).astype(np.uint8))
        boxes = [[x, y, x + w, y + h] for x, y, w, h, area in stats[1:count].tolist() if area > 30]
        return Detections(np.array(sorted(boxes), dtype=np.float64).reshape(-1, 4), np.full(len(boxes), 0.9))


class SquareNetwork(PoseEstimator):
    """Keypoints stand on a grid in each box, whatever is in it."""

    def __init__(self) -> None:
        self.skeleton, self.score, self.batch_size = load_skeleton("coco17"), "mean", 8

    def cut(self, image: np.ndarray, bbox_xyxy: np.ndarray) -> CropBatch:
        back = np.zeros((len(bbox_xyxy), 2, 3))
        back[:, :, 2] = bbox_xyxy[:, :2]
        back[:, [0, 1], [0, 1]] = bbox_xyxy[:, 2:] - bbox_xyxy[:, :2]
        return CropBatch(np.zeros((len(bbox_xyxy), 2, 2, 3), np.uint8), back)

    def run(self, groups: Iterable[CropBatch]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        steps = np.linspace(0.1, 0.9, 17)
        points = np.stack([(7 * steps) % 1, steps, np.ones(17)], axis=1)
        for group in groups:
            yield points @ group.to_image.transpose(0, 2, 1), np.tile(steps * 0.5 + 0.5, (len(group.crops), 1))


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
