"""The network and the detector of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from poseline.config import PredictConfig
from poseline.errors import ConfigError
from poseline.infer.detectors.base import Detections, Detector
from poseline.infer.estimator import PoseEstimator
from poseline.infer.runtime import load_estimator
from poseline.pose.inputs.base import Image


class WholeImage:
    name, batch_size = "whole", 64

    def detect(self, images: list[Image]) -> list[Detections]:
        return [Detections(np.array([[0.0, 0, i.shape[1] - 1, i.shape[0] - 1]]), np.ones(1)) for i in images]


def load_network(name: str, *, runtime: str, device: str, batch_size: int, flip: bool, threads: int) -> PoseEstimator:
    torch.set_num_threads(threads)
    return load_estimator(PredictConfig(batch_size=batch_size, flip=flip), Path(name), torch.device("cpu"))


def load_detector(name: str, *, min_score: float, threads: int, runtime: str) -> Detector:
    if name == "whole":
        return WholeImage()
    raise ConfigError(name)
