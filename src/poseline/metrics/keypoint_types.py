"""What the COCO-style metrics are computed from: ground truth and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from poseline.errors import DataError

COCO_SIGMAS = np.array([0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]) / 10.0
OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_NAMES = ("all", "medium", "large")
AREA_RANGES = np.array([[0.0, 1e5**2], [32.0**2, 96.0**2], [96.0**2, 1e5**2]])


@dataclass(frozen=True)
class GroundTruth:
    """People annotated in I images, ordered by image and then as the file has them.

    Attributes:
        image_ids: int64 [I], ascending; images without people are among them.
        image_index: int64 [G], each person's position in ``image_ids``, ascending.
        annotation_ids: int64 [G].
        keypoints: float64 [G, K, 2], pixels.
        visibility: uint8 [G, K]: 0 unlabelled, 1 occluded, 2 visible.
        area: float64 [G], px².
        bbox_xywh: float64 [G, 4], pixels.
        is_crowd: bool [G].
        num_keypoints: int64 [G], as the file says; a person with 0 is ignored, ignored.
        crowd_index: float64 [I] or None: CrowdPose's fraction of other people's joints in the boxes.
        category_id: of the people in their file; results of other categories are not theirs. None: not known.
        crowds_count: whether crowds count as people (Halpe) or are ignored (COCO). Either way a crowd may be found again and again.
    """

    image_ids: Int[np.ndarray, " I"]
    image_index: Int[np.ndarray, " G"]
    annotation_ids: Int[np.ndarray, " G"]
    keypoints: Float[np.ndarray, "G K 2"]
    visibility: Integer[np.ndarray, "G K"]
    area: Float[np.ndarray, " G"]
    bbox_xywh: Float[np.ndarray, "G 4"]
    is_crowd: Bool[np.ndarray, " G"]
    num_keypoints: Int[np.ndarray, " G"]
    crowd_index: Float[np.ndarray, " I"] | None = None
    category_id: int | None = None
    crowds_count: bool = False

    def __len__(self) -> int:
        return len(self.image_index)

    @property
    def ignored(self) -> Bool[np.ndarray, " G"]:
        """People that are ignored: crowds, where they do not count, and those without a labelled keypoint."""
        unlabelled: Bool[np.ndarray, " G"] = self.num_keypoints == 0
        return unlabelled if self.crowds_count else self.is_crowd | unlabelled

    @classmethod
    def from_arrays(
        cls,
        image_ids: Int[np.ndarray, " I"] | Sequence[int],
        person_image_ids: Int[np.ndarray, " G"] | Sequence[int],
        *,
        keypoints: Float[np.ndarray, "G K 2"],
        visibility: Integer[np.ndarray, "G K"],
        area: Float[np.ndarray, " G"],
        bbox_xywh: Float[np.ndarray, "G 4"],
        annotation_ids: Int[np.ndarray, " G"] | None = None,
        is_crowd: Bool[np.ndarray, " G"] | None = None,
        num_keypoints: Int[np.ndarray, " G"] | None = None,
        crowd_index: Float[np.ndarray, " I"] | None = None,
        category_id: int | None = None,
    ) -> GroundTruth:
        """Ground truth from arrays in any order; ``image_ids`` names every image, also those without people.

        Raises:
            DataError: a person of an image that is not named, an image named twice, or shapes that do not agree.
        """
        ids, first = np.unique(np.asarray(image_ids, dtype=np.int64), return_index=True)
        if len(ids) != len(image_ids):
            raise DataError(f"image_ids: {len(image_ids) - len(ids)} images are named twice")
        index = locate_images(ids, person_image_ids, "truth")
        count = len(index)
        flags = np.asarray(visibility)
        if flags.ndim != 2 or len(flags) != count:
            raise DataError(f"visibility: expected shape [{count}, K], got {flags.shape}")
        labelled = (flags > 0).sum(axis=1) if num_keypoints is None else np.asarray(num_keypoints)
        order = np.argsort(index, kind="stable")
        return cls(
            image_ids=ids,
            image_index=index[order],
            annotation_ids=(np.arange(1, count + 1) if annotation_ids is None else np.asarray(annotation_ids, dtype=np.int64))[order],
            keypoints=np.asarray(keypoints, dtype=np.float64).reshape(count, flags.shape[1], 2)[order],
            visibility=flags.astype(np.uint8)[order],
            area=np.asarray(area, dtype=np.float64).reshape(count)[order],
            bbox_xywh=np.asarray(bbox_xywh, dtype=np.float64).reshape(count, 4)[order],
            is_crowd=(np.zeros(count, dtype=bool) if is_crowd is None else np.asarray(is_crowd, dtype=bool))[order],
            num_keypoints=labelled.astype(np.int64).reshape(count)[order],
            crowd_index=None if crowd_index is None else np.asarray(crowd_index, dtype=np.float64)[first],
            category_id=category_id,
        )


@dataclass(frozen=True)
class Predictions:
    """N detected poses over the ground truth's images, in file order.

    Attributes:
        image_index: int64 [N], position in the ground truth's ``image_ids``.
        keypoints: float64 [N, K, 2], pixels.
        keypoint_scores: float64 [N, K].
        scores: float64 [N], of the whole pose.
        area: float64 [N], px²: the results' box where they carry one, else the keypoints' extent, as pycocotools has it.
        part_scores: float64 [N] a part, by its name in :mod:`poseline.metrics.part_ap`, where parts have scores of their own.
    """

    image_index: Int[np.ndarray, " N"]
    keypoints: Float[np.ndarray, "N K 2"]
    keypoint_scores: Float[np.ndarray, "N K"]
    scores: Float[np.ndarray, " N"]
    area: Float[np.ndarray, " N"]
    part_scores: Mapping[str, Float[np.ndarray, " N"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: Bool[np.ndarray, " N"]) -> Predictions:
        """The poses of these rows."""
        return Predictions(
            self.image_index[rows],
            self.keypoints[rows],
            self.keypoint_scores[rows],
            self.scores[rows],
            self.area[rows],
            {part: scores[rows] for part, scores in self.part_scores.items()},
        )

    def with_confident_keypoints(self) -> Predictions:
        """The poses with a keypoint score above 0: the tools of full-body data sets do not look at the others."""
        return self.select(np.asarray((self.keypoint_scores > 0).any(axis=1)))

    @classmethod
    def from_arrays(
        cls,
        ground_truth: GroundTruth,
        image_ids: Int[np.ndarray, " N"] | Sequence[int],
        *,
        keypoints: Float[np.ndarray, "N K 2"],
        scores: Float[np.ndarray, " N"] | Sequence[float],
        keypoint_scores: Float[np.ndarray, "N K"] | None = None,
        area: Float[np.ndarray, " N"] | None = None,
    ) -> Predictions:
        """Results from arrays in any order.

        Raises:
            DataError: an image that the ground truth lacks, a number that is not finite, or shapes that do not agree.
        """
        index = locate_images(ground_truth.image_ids, image_ids, "results")
        points = np.asarray(keypoints, dtype=np.float64).reshape(len(index), ground_truth.keypoints.shape[1], 2)
        values = np.asarray(scores, dtype=np.float64).reshape(len(index))
        if not np.isfinite(values).all() or not np.isfinite(points).all():
            raise DataError("predictions: expected finite scores and keypoints, got NaN or infinity")
        extent = np.prod(np.ptp(points, axis=1), axis=1) if len(index) else np.zeros(0)
        return cls(
            image_index=index,
            keypoints=points,
            keypoint_scores=np.ones(points.shape[:2]) if keypoint_scores is None else np.asarray(keypoint_scores, dtype=np.float64),
            scores=values,
            area=extent if area is None else np.asarray(area, dtype=np.float64).reshape(len(index)),
        )


def locate_images(
    image_ids: Int[np.ndarray, " I"], wanted: Int[np.ndarray, " N"] | Sequence[int], what: str
) -> Int[np.ndarray, " N"]:
    """Position of each wanted id in the ascending ``image_ids``.

    Raises:
        DataError: an id that is not among them.
    """
    wanted = np.asarray(wanted, dtype=np.int64).reshape(-1)
    index = np.searchsorted(image_ids, wanted)
    known = np.isin(wanted, image_ids)
    if not known.all():
        missing = np.unique(wanted[~known])
        raise DataError(
            f"{what}: {len(missing)} images are not in the ground truth, the first is image_id {missing[0]}. Give the same split."
        )
    return index.astype(np.int64)
