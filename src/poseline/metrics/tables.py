"""What a table has to offer so that its metrics can be given intervals and compared between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Integer


@runtime_checkable
class ScoreTable(Protocol):
    """What a score is made of by image (or video, or group), enough to score any re-weighting of them.

    Attributes:
        unit: what is drawn in a resample: images, videos or groups.
    """

    unit: ClassVar[str]

    @property
    def image_ids(self) -> np.ndarray:
        """The images (videos, groups), ascending."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that two runs are compared in."""
        ...

    def gives(self, metric: str) -> bool:
        """Whether the table can rate a metric."""
        ...

    def rate(self, weights: Integer[np.ndarray, "B I"], metrics: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
        """Each metric under each row of weights (how often each image was drawn); NaN where it is not defined.

        Raises:
            DataError: a metric that the table cannot give.
        """
        ...
