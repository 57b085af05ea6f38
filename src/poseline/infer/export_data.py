"""People to check an exported network on: cut from annotated images, or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from poseline.codecs.scores import pose_score
from poseline.core.boxes import xywh_to_xyxy
from poseline.core.skeletons import load_skeleton, map_keypoints
from poseline.datasets.coco_scoring import read_ground_truth
from poseline.datasets.images import read_image
from poseline.datasets.json_files import expect_mapping, read_json, section
from poseline.errors import DataError
from poseline.infer.estimator import PoseEstimator, cut_crops
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.mini.scene import STYLES, draw_scene
from poseline.models.saved import SavedModel

DRAWN = 8
"""Drawn people where there are no annotated ones."""


@dataclass(frozen=True)
class LabelledPeople:
    """Annotated people and where their images lie.

    Attributes:
        truth: the people.
        images: path of each image of ``truth.image_ids``.
    """

    truth: GroundTruth
    images: tuple[Path, ...]

    @classmethod
    def read(cls, annotations: Path, folder: Path) -> LabelledPeople:
        """The people of a file in COCO's format, with images in a folder.

        Raises:
            DataError: missing, cut short or in another format; an image without a name.
        """
        truth, where = read_ground_truth(annotations), f"{annotations}: images"
        content = expect_mapping(read_json(annotations), where=str(annotations))
        images = [expect_mapping(entry, where=where) for entry in section(content, "images", where=str(annotations))]
        names = {entry["id"]: str(entry.get("file_name")) for entry in images}  # type: ignore[index]
        return cls(truth, tuple(folder / names[int(image)] for image in truth.image_ids))

    def boxes(self, image: int) -> Float[np.ndarray, "N 4"]:
        """Ground-truth boxes of the labelled people of an image, by its index."""
        rows = np.flatnonzero(~self.truth.ignored & (self.truth.image_index == image))
        return xywh_to_xyxy(self.truth.bbox_xywh[rows])

    def cut(self, saved: SavedModel, *, limit: int) -> UInt8[np.ndarray, "B h w 3"]:
        """Crops of at most ``limit`` people.

        Raises:
            DataError: nobody is labelled, or an image cannot be read.
        """
        crops: list[np.ndarray] = []
        for index, path in enumerate(self.images):
            boxes = self.boxes(index)
            if len(boxes):
                crops += list(cut_crops(read_image(path), boxes, saved).crops)
            if len(crops) >= limit:
                break
        if not crops:
            raise DataError("--data: no labelled people in it. Give a file with keypoints.")
        return np.stack(crops[:limit])

    def measure_ap(self, estimator: PoseEstimator) -> float:
        """AP of the estimator in the ground-truth boxes.

        Raises:
            DataError: the annotations are of another number of keypoints, or an image cannot be read.
        """
        own, labelled = estimator.skeleton, self.truth.keypoints.shape[1]
        # A model of several data sets knows more keypoints than COCO's people have.
        target = own if own.num_keypoints == labelled else load_skeleton("coco17")
        known = map_keypoints(own, target) >= 0
        if target.num_keypoints != labelled or not known.any():
            raise DataError(f"--data: has {labelled} keypoints a person, the model {own.num_keypoints}. Give annotations of its skeleton.")
        keypoints, scores, ids = [], [], []
        for index, path in enumerate(self.images):
            boxes = self.boxes(index)
            if len(boxes):
                poses = estimator.estimate(read_image(path), boxes).convert(own, target)
                keypoints.append(poses.keypoints)
                scores.append(pose_score(poses.keypoint_scores[:, known], poses.bbox_scores, estimator.score))
                ids.append(np.full(len(poses), self.truth.image_ids[index]))
        found = Predictions.from_arrays(
            self.truth, np.concatenate(ids), keypoints=np.concatenate(keypoints), scores=np.concatenate(scores)
        )
        return float(score_coco(self.truth, found, sigmas=target.sigma_array).metrics["ap"] or 0.0)


def draw_people(saved: SavedModel, *, count: int = DRAWN) -> UInt8[np.ndarray, "B h w 3"]:
    """Crops of drawn people, always the same."""
    rng = np.random.default_rng(0)
    crops: list[np.ndarray] = []
    while len(crops) < count:
        scene = draw_scene(rng, STYLES["mpii"], image_wh=(320, 240), max_people=3)
        boxes = np.array([person.bbox_xywh for person in scene.people], np.float32).reshape(-1, 4)
        crops += list(cut_crops(scene.image, xywh_to_xyxy(boxes), saved).crops)
    return np.stack(crops[:count])
