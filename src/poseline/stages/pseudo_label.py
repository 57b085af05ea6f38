"""`poseline pseudo-label`: the people that a model finds in images without annotations, as one more set to train on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS, Layout, PoseTable, read_poses, read_table, write_json
from poseline.config import Params
from poseline.config.params import Yaml
from poseline.datasets.boxes import COLUMNS
from poseline.datasets.images import list_images, read_image, read_image_size
from poseline.datasets.sets import dataset_config, target_skeleton
from poseline.errors import DataError
from poseline.evaluation.pseudo_labels import Threshold, compare_to_people, keep_labels, lowest_threshold, to_coco
from poseline.infer.detectors.base import Detections
from poseline.infer.detectors.build import load_detector
from poseline.infer.detectors.file_boxes import FileBoxes
from poseline.infer.estimator import PoseEstimator
from poseline.infer.predict import list_boxes, predict_boxes
from poseline.infer.runtime import load_estimator
from poseline.models.device import resolve_device
from poseline.progress import follow
from poseline.project import all_located

LABELS = "pseudo.json"


@dataclass(frozen=True)
class Labels:
    """What was labelled.

    Attributes:
        file: the annotation file.
        people: how many.
        found: people that the model found.
        keypoints: labelled ones.
        images: of the folder.
        person: least score of a person.
        keypoint: least score of a keypoint.
    """

    file: Path
    people: int
    found: int
    keypoints: int
    images: int
    person: Threshold
    keypoint: Threshold


def run(
    params: Params, layout: Layout, device: str, folder: Path, *, model: Path, out: Path, name: str, precision: float,
    detector: str | None = None, boxes: Path | None = None,
) -> Labels:  # fmt: skip
    """Write OUT/pseudo.json; how many people and keypoints it labels, and from which scores on.

    Args:
        params: data, predict.
        layout: the project; its preprocessed val people are what the scores are held against.
        device: of the model.
        folder: the images.
        model: folder of the trained model.
        out: folder of the annotations.
        name: of the labelled set.
        precision: fraction of the labelled people, and of their keypoints, that shall be right.
        detector: finds the people, there and on val.
        boxes: a file of people's boxes in the folder, in place of a detector; those of val are in the set's ``detections``.

    Raises:
        DataError: no image, no val person, no boxes, or no score reaches the precision.
    """
    skeleton = target_skeleton(params.data)
    paths = list_images(folder)
    estimator = load_estimator(params.predict, model, resolve_device(device))
    on_val, on_folder = find_boxes(params, layout, paths, name=name, detector=detector, boxes=boxes)
    people, _ = read_poses(layout.processed / "people.parquet", kind="people", made_by="preprocess")
    known = people.where(dataset=name, split="val")
    if not len(known) or not len(on_val):
        raise DataError(
            f"pseudo-label: no labelled person, or no box, on val of '{name}'. Run `poseline preprocess`, or another --calibrate-on."
        )
    outcomes = compare_to_people(predict(estimator, on_val, params), known, skeleton)
    person = lowest_threshold(outcomes.scores, outcomes.right, precision, what="people")
    keypoint = lowest_threshold(outcomes.keypoint_scores, outcomes.keypoints_right, precision, what="keypoints")
    found = predict(estimator, on_folder, params)
    kept = keep_labels(found, person.score, keypoint.score, np.asarray((known.poses.visibility > 0).any(axis=0)))
    sizes = [read_image_size(path) for path in paths]
    table = pd.DataFrame({"image_id": range(1, len(paths) + 1), "file_name": [path.name for path in paths]}).assign(
        width=[width for width, _ in sizes], height=[height for _, height in sizes]
    )
    info: dict[str, Yaml] = {
        "description": "pseudo-labels by poseline",
        "precision": precision,
        "person": vars(person),
        "keypoint": vars(keypoint),
    }
    write_json(out / LABELS, to_coco(table, kept, skeleton, info))
    return Labels(out / LABELS, len(kept), len(found), int((kept.poses.visibility > 0).sum()), len(paths), person, keypoint)


def find_boxes(
    params: Params, layout: Layout, paths: list[Path], *, name: str, detector: str | None, boxes: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """People's boxes on val of a set and on the images of a folder, found in the same way.

    Raises:
        DataError: the set has no boxes like those of the file.
    """
    config, least = dataset_config(params.data, name), params.predict.min_box_score
    if boxes is not None:
        if config.detections is None:
            raise DataError(
                f"data.sets.{name}.detections: null, so that boxes like those of {boxes} are not known on val. Give --detector."
            )
        source = FileBoxes(boxes, min_score=least)
        on_folder = tabulate(paths, lambda path, index: source.lookup(path.name, index))
        return list_boxes(layout, name, config, min_score=least)[-1], on_folder
    finder = load_detector(str(detector), min_score=least)

    def find(path: Path, _: int) -> Detections:
        return finder.detect([read_image(path)])[0]

    images, _ = read_table(layout.processed / "images.parquet", kind="images", made_by="preprocess")
    val = images[(images["dataset"] == name) & (images["split"] == "val")]
    on_val = tabulate(all_located(val["image_path"]), find, ids=val["image_id"].tolist())
    return on_val, tabulate(paths, find)


def predict(estimator: PoseEstimator, boxes: pd.DataFrame, params: Params) -> PoseTable:
    """The poses in boxes, in the skeleton that is learnt, without duplicates."""
    return predict_boxes(estimator, boxes, target_skeleton(params.data), params.predict.nms)


def tabulate(paths: list[Path], find: Callable[[Path, int], Detections], ids: list[int] | None = None) -> pd.DataFrame:
    """The people's boxes of images as ``datasets/boxes.py`` has them; ids count from 1 where none are given."""
    parts = []
    for index, path in enumerate(follow(paths, "detection", total=len(paths))):
        found = find(path, index)
        rows = pd.DataFrame(np.asarray(found.bbox_xyxy, np.float32).reshape(-1, 4), columns=list(BBOX_COLUMNS))
        image_id = index + 1 if ids is None else ids[index]
        parts.append(rows.assign(bbox_score=found.scores, image_id=np.int64(image_id), image_path=str(path.resolve()), frame_index=0))
    table = pd.concat(parts, ignore_index=True).assign(video_id="", boxes="detections", annotation_id=np.int64(-1))
    return table[list(COLUMNS)]
