"""An estimator whose network answers with the brightness of the crop: every keypoint is where the crop is brightest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from poseline.artifacts import BBOX_COLUMNS
from poseline.codecs.build import build_codec
from poseline.config import CodecConfig, ModelConfig
from poseline.infer.estimator import PoseEstimator
from poseline.models.saved import SavedModel


@pytest.fixture
def bright_estimator() -> Callable[..., PoseEstimator]:
    """Builds the estimator; keyword arguments are those of :class:`PoseEstimator`."""

    def forward(images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), 4).expand(-1, 17, -1, -1) / 10 + 0.5

    def build(**options: object) -> PoseEstimator:
        codec, model = CodecConfig(kind="heatmap"), ModelConfig(input_wh=(32, 64), padding=1.25)
        saved = SavedModel(model, codec, "coco17")
        defaults = {"device": torch.device("cpu"), "batch_size": 64, "flip": False}
        return PoseEstimator(forward, build_codec(codec, num_keypoints=17, input_wh=(32, 64)), saved, **{**defaults, **options})

    return build


@pytest.fixture
def dots(tmp_path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Six detections of three images in mixed order, and the one bright dot [6, 2] in each box."""
    rng = np.random.default_rng(0)
    order = [(0, 1), (1, 0), (0, 0), (2, 1), (1, 1), (2, 0)]
    images = [np.zeros((100, 120, 3), np.uint8) for _ in range(3)]
    rows, centres = [], []
    for image, side in order:
        x, y = 20 + 60 * side + rng.integers(0, 10), rng.integers(25, 75)
        images[image][y - 4 : y + 5, x - 4 : x + 5] = 255
        box = dict(zip(BBOX_COLUMNS, np.array([5 + 60 * side, 10, 45 + 60 * side, 90], np.float32), strict=True))
        path = tmp_path / f"{image}.png"
        place = {"image_id": image, "image_path": str(path), "video_id": "", "frame_index": -1, "boxes": "detections", "annotation_id": -1}
        rows.append({**place, **box, "bbox_score": np.float32(0.5 + 0.1 * side)})
        centres.append((x, y))
    for image, content in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{image}.png"), content)
    return pd.DataFrame(rows), np.array(centres)
