"""COCO's keypoint annotations and detection results from drawn images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseline.core.skeletons import Skeleton, load_skeleton, map_keypoints
from poseline.mini.detector import Detection
from poseline.mini.scene import Person, Scene

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
CATEGORY_ID = 1
_FINER = 4


def keypoints_in(person: Person, skeleton: Skeleton) -> tuple[Float[np.ndarray, "K 2"], UInt8[np.ndarray, " K"]]:
    """The person's keypoints and visibility in another skeleton; zeros where unlabelled."""
    index = map_keypoints(load_skeleton("union21"), skeleton)
    flags = np.where(index >= 0, person.visibility[index], 0).astype(np.uint8)
    points = np.where((flags > 0)[:, None], person.keypoints[index], 0.0)
    return points, flags


def flat_keypoints(points: Float[np.ndarray, "K 2"], flags: UInt8[np.ndarray, " K"]) -> list[Json]:
    """x1, y1, v1, x2, ... rounded to a hundredth of a pixel."""
    row: list[Json] = []
    for (x, y), flag in zip(np.round(points, 2).tolist(), flags.tolist(), strict=True):
        row += [x, y, flag]
    return row


def person_annotation(person: Person, *, annotation_id: int, image_id: int) -> dict[str, Json]:
    """One person in COCO format; the area is that of the visible pixels."""
    points, flags = keypoints_in(person, load_skeleton("coco17"))
    return {
        "id": annotation_id, "image_id": image_id, "category_id": CATEGORY_ID, "iscrowd": 0, "area": float(person.area),
        "bbox": [float(v) for v in person.bbox_xywh], "segmentation": outline(person), "num_keypoints": int((flags > 0).sum()),
        "keypoints": flat_keypoints(points, flags),
    }  # fmt: skip


def crowd_annotation(mask: Bool[np.ndarray, "h w"], *, annotation_id: int, image_id: int) -> dict[str, Json]:
    """A group in COCO format: run-length mask, no keypoints."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    return {
        "id": annotation_id, "image_id": image_id, "category_id": CATEGORY_ID, "iscrowd": 1, "area": float(mask.sum()),
        "bbox": [float(v) for v in box], "segmentation": {"counts": run_lengths(mask), "size": list(mask.shape)},
        "num_keypoints": 0, "keypoints": [0] * 51,
    }  # fmt: skip


def outline(person: Person) -> list[Json]:
    """The polygons around the visible pixels; the box of a person too thin for one."""
    # Traced four times finer: a contour runs through pixel centres, which would cost half a pixel all around.
    fine = np.repeat(np.repeat(person.mask.view(np.uint8), _FINER, axis=0), _FINER, axis=1)
    contours, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    smooth = [cv2.approxPolyDP(contour, 0.9 * _FINER, True).reshape(-1, 2) for contour in contours]
    places = [(contour + 0.5) / _FINER + person.mask_origin for contour in smooth if len(contour) >= 3]
    polygons: list[Json] = [list(np.round(place, 2).ravel().tolist()) for place in places]
    if polygons:
        return polygons
    x, y, w, h = (float(v) for v in person.bbox_xywh)
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> list[Json]:
    """Lengths of the alternating runs of 0 and 1, column by column, starting with 0s."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else list(runs)


def coco_document(
    entries: Sequence[tuple[int, str, list[dict[str, Json]]]], image_wh: tuple[int, int], *, split: str, seed: int
) -> dict[str, Json]:
    """A whole annotation file from (image id, file name, annotations without ids) rows."""
    annotations: list[Json] = []
    for _, _, rows in entries:
        for row in rows:
            annotations.append({**row, "id": len(annotations) + 1})
    return {
        "info": {
            "description": f"poseline mini, {split}: synthetic pictures drawn from seed {seed}", "version": "1.0", "year": 2025,
            "contributor": "poseline", "url": "", "date_created": "2025/01/01",
        },
        "licenses": [{"id": 1, "name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}],
        "images": [
            {
                "id": image_id, "file_name": name, "width": image_wh[0], "height": image_wh[1], "license": 1, "coco_url": "",
                "flickr_url": "", "date_captured": "2025-01-01 00:00:00",
            }
            for image_id, name, _ in entries
        ],
        "annotations": annotations,
        "categories": [person_category(load_skeleton("coco17"))],
    }  # fmt: skip


def person_category(skeleton: Skeleton) -> dict[str, Json]:
    """The category entry; edges count from 1."""
    return {
        "supercategory": "person", "id": CATEGORY_ID, "name": "person", "keypoints": list(skeleton.keypoints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.edges],
    }  # fmt: skip


def detection_rows(detections: Sequence[Detection], image_id: int) -> list[dict[str, Json]]:
    """Detections in COCO's result format."""
    return [{"image_id": image_id, "category_id": CATEGORY_ID, "bbox": list(one.bbox_xywh), "score": one.score} for one in detections]


def image_annotations(scene: Scene, image_id: int) -> list[dict[str, Json]]:
    """All annotations of one image; their ids are given when the file is put together."""
    people = [person_annotation(person, annotation_id=0, image_id=image_id) for person in scene.people]
    return people + [crowd_annotation(mask, annotation_id=0, image_id=image_id) for mask in scene.crowds]
