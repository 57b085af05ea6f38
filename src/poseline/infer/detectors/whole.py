"""One box the size of the image: for clips of a single person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from poseline.infer.detectors.base import Detections


class WholeImage:
    """Takes every image for one person; only where a user asks for it by name, never where a detector finds nobody."""

    name, batch_size = "whole", 64

    def detect(self, images: Sequence[UInt8[np.ndarray, "H W 3"]]) -> list[Detections]:
        """One box the size of each image, of score 1."""
        return [
            Detections(np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32), np.ones(1, np.float32)) for image in images
        ]
