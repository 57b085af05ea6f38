"""What every person detector is: images in, boxes of people and their scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Detections:
    """People found in one image, best first.

    Attributes:
        bbox_xyxy: corners in pixels of the image.
        scores: 0..1.
    """

    bbox_xyxy: Float[np.ndarray, "N 4"]
    scores: Float[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.scores)


@runtime_checkable
class Detector(Protocol):
    """Finds people; a kind of detector implements :meth:`detect`.

    Attributes:
        name: as a user named it.
        batch_size: images that it runs at once; callers hand over at most so many.
    """

    name: str
    batch_size: int

    def detect(self, images: Sequence[UInt8[np.ndarray, "H W 3"]]) -> list[Detections]:
        """The people in each RGB image, in the order of the images; an image without people gives no boxes."""
