"""What an evaluation protocol is: how one format is scored. They are named in ``config.PROTOCOLS``.

A protocol reads the official files of its format, converts them and the pipeline's poses to arrays, and calls the measures in
``poseline.metrics``. What is said about a score beyond that (intervals, slices, diagnosis) is ``poseline.evaluation``'s.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from poseline.artifacts import PoseTable
from poseline.config import PROTOCOLS, ScoreConfig
from poseline.core.skeletons import Skeleton
from poseline.datasets.score import Metrics
from poseline.errors import BackendError, DataError
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.metrics.match_table import MatchTable
from poseline.metrics.tables import ScoreTable

PlotRow = dict[str, float | str | None]
Truth = TypeVar("Truth")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Headline:
    """One of a protocol's headline metrics: its name, its label in tables, and what it counts (with which it gets a card)."""

    metric: str
    label: str
    meaning: str = ""


@dataclass(frozen=True, eq=False)
class KeypointMatches:
    """What slices, diagnosis and calibration of keypoint predictions are made of; ``sigmas`` [K] are those of the AP."""

    ground_truth: GroundTruth
    predictions: Predictions
    matches: MatchTable
    skeleton: Skeleton
    sigmas: Float[ndarray, " K"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a protocol says of predictions.

    Attributes:
        metrics: fractions.
        num_images: images scored; None where the files do not tell.
        num_people: people counted.
        table: what is resampled for intervals, and compared; None where there is no such table.
        sections: further fields of :class:`poseline.datasets.score.Score`; under other names, plain JSON values.
        people: one row a person (or video) of the ground truth.
        plot: rows for `dvc plots`.
        keypoints: for slices, diagnosis and calibration; None where they are not made.
        mode: of the protocol, where it has several.
        followed: which track follows which person in each frame of a video; None for images.
    """

    metrics: Metrics
    num_images: int | None
    num_people: int | None
    table: ScoreTable | None
    sections: Mapping[str, object] = field(default_factory=dict)
    people: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"image_id": pd.Series(dtype="int64")}))
    plot: list[PlotRow] = field(default_factory=list)
    keypoints: KeypointMatches | None = None
    mode: str | None = None
    followed: pd.DataFrame | None = None


class EvaluationProtocol(ABC, Generic[Truth, Found]):
    """How one format is scored. ``Truth`` and ``Found`` are its ground truth and predictions in memory.

    Attributes:
        name: as in ``config.PROTOCOLS``.
        title: in tables and reports.
        headline: the metrics that stand for the score; the first one ranks runs.
        gateable: pattern of the metrics that the gate may check.
        signed: metrics that may lie below 0.
        tracked: whether what is scored are result files with track ids, not a table of poses.
        skeleton: of the keypoints; None: the format's own.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    headline: ClassVar[tuple[Headline, ...]]
    gateable: ClassVar[str]
    signed: ClassVar[frozenset[str]] = frozenset()
    tracked: ClassVar[bool] = False

    def __init__(self, skeleton: Skeleton | None = None) -> None:
        self.skeleton = skeleton

    @abstractmethod
    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> Truth:
        """The ground truth of official files.

        Raises:
            DataError: missing, damaged or against the format.
        """

    @abstractmethod
    def read_predictions(self, path: Path, ground_truth: Truth) -> Found:
        """The predictions of official result files.

        Raises:
            DataError: missing, damaged, against the format, or for images that the ground truth lacks.
        """

    def from_poses(self, table: PoseTable, ground_truth: Truth) -> Found:
        """The pipeline's poses as predictions.

        Raises:
            DataError: images that the ground truth lacks, or a protocol that scores files only.
        """
        raise DataError(f"protocol '{self.name}' scores result files only. Use `poseline score --protocol {self.name}`.")

    def write_predictions(self, path: Path, table: PoseTable, ground_truth: Truth) -> None:
        """Write the pipeline's poses as an official result file.

        Raises:
            DataError: a protocol that scores files only.
        """
        raise DataError(f"protocol '{self.name}' scores result files only.")

    @abstractmethod
    def evaluate(self, ground_truth: Truth, predictions: Found, options: ScoreConfig) -> Evaluation:
        """The metrics, and what is needed to say more about them.

        Raises:
            DataError: ground truth and predictions that do not belong together.
        """

    def rate_boxes(
        self, ground_truth: Truth, image_ids: Int[ndarray, " N"], bbox_xyxy: Float[ndarray, "N 4"], scores: Float[ndarray, " N"]
    ) -> float | None:
        """Box AP of detections; None where the protocol has none."""
        return None

    def explain(self, metric: str, ground_truth: Truth) -> str:
        """Why a metric has no value, in a few words."""
        return "nothing in the ground truth counts for it"

    def can_gate(self, metric: str) -> bool:
        """Whether the gate may check this metric."""
        return re.fullmatch(self.gateable, metric) is not None


def load_protocol(name: str, skeleton: Skeleton | None = None) -> EvaluationProtocol[object, object]:
    """The protocol of that name, for keypoints of another skeleton where one is given.

    Raises:
        ConfigError: there is no such protocol.
        BackendError: another package offers it but cannot be imported, or is no protocol.
    """
    kind = PROTOCOLS.load(name)
    if not isinstance(kind, type) or not issubclass(kind, EvaluationProtocol):
        raise BackendError(f"{PROTOCOLS.group}: '{name}' is no subclass of EvaluationProtocol. Fix that package's entry point.")
    return kind(skeleton)
