"""MPII Human Pose, from the field's JSON lists or from the official release .mat.

Both count pixels from 1, as MATLAB does; our tables count from 0, so 1 is taken off every joint, centre and head box.

The person box is the square that the benchmark gives: 200 px times the scale (about the person's height) around the centre,
moved down by 15 px times the scale as the published estimators do, for the given centre lies at the upper body. Cropped with a
padding of 1.25 it is the field's crop. The area, which MPII lacks, is 0.53 of the extent of the labelled joints and the head.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from poseline.config import DatasetConfig, Split
from poseline.core.boxes import AREA_OF_BOX
from poseline.core.skeletons import Skeleton
from poseline.datasets.annotations import Annotations, RawPeople, image_table, tabulate_people
from poseline.datasets.images import probe_images
from poseline.datasets.mpii.files import MpiiPerson, add_head_boxes, number_images, read_people_json, read_people_release
from poseline.datasets.sets import annotation_path, split_files
from poseline.project import all_located

SKELETON = "mpii16"
SCALE_PX = 200.0
CENTRE_SHIFT_PX = 15.0


def read_annotations(config: DatasetConfig, split: Split, *, name: str, source: Skeleton, target: Skeleton) -> Annotations:
    """People of a split in file order (predictions of other methods refer to it).

    The annotations are a JSON list of {image, joints, joints_vis, center, scale}, or the release's .mat, of which val is the part
    without labels. Image sizes are read from the images, for the files have none (0 where an image is missing). ``head_boxes`` names
    the .mat with the head boxes of val's JSON list, which PCKh needs; the release brings its own.

    Raises:
        DataError: a file is missing, cut short or of another format; head boxes of another number of people.
    """
    part, path = split_files(config, split, name=name)
    head_boxes = annotation_path(config, config.head_boxes) if config.head_boxes and split == "val" else None
    people = read_people_release(path, split=split) if path.suffix == ".mat" else read_people_json(path)
    if head_boxes is not None:
        people = add_head_boxes(people, head_boxes)
    names = list(dict.fromkeys(person.image for person in people))
    ids = number_images(names)
    probes = probe_images(all_located(part.images / image for image in names))
    rows: list[dict[str, object]] = [
        {"image_id": ids[image], "image_path": (part.images / image).as_posix(), "width": probe.width, "height": probe.height}
        for image, probe in zip(names, probes, strict=True)
    ]
    images = image_table(name, split, rows)
    raw = _raw_people(people, ids)
    return Annotations(
        dataset=name, split=split, source=path, skeleton=source, images=images, raw=raw,
        people=tabulate_people(raw, images, source=source, target=target),
        has_head_boxes=head_boxes is not None or path.suffix == ".mat", loose_boxes=True,
    )  # fmt: skip


def _raw_people(people: list[MpiiPerson], ids: dict[str, int]) -> RawPeople:
    n = len(people)
    joints = np.asarray([person.joints for person in people]).reshape(n, 16, 2) - 1
    visibility = np.asarray([person.visibility for person in people]).reshape(n, 16)
    head = np.asarray([person.head_xyxy for person in people]).reshape(n, 4) - 1
    box = person_boxes(
        np.asarray([person.centre for person in people]).reshape(n, 2) - 1, np.asarray([person.scale for person in people]).reshape(n)
    )
    return RawPeople(
        annotation_id=np.arange(1, n + 1, dtype=np.int64),
        image_id=np.asarray([ids[person.image] for person in people], dtype=np.int64),
        bbox_xyxy=box,
        area=_joint_areas(joints, visibility, head),
        is_crowd=np.zeros(n, dtype=bool),
        given_num_keypoints=np.full(n, -1, dtype=np.int64),
        keypoints=np.where((visibility > 0)[..., None], joints, 0),
        visibility=visibility,
        head_xyxy=head,
        track_id=np.full(n, -1, dtype=np.int64),
    )


def person_boxes(centre: Float[np.ndarray, "N 2"], scale: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N 4"]:
    """MPII's square person boxes in the pixels of ``centre``: side 200 x scale, the centre moved down by 15 x scale.

    >>> person_boxes(np.array([[100.0, 100.0]]), np.array([0.5])).tolist()
    [[50.0, 57.5, 150.0, 157.5]]
    """
    middle = centre + np.stack([np.zeros_like(scale), CENTRE_SHIFT_PX * scale], axis=1)
    half = (0.5 * SCALE_PX * scale)[:, None]
    return np.concatenate([middle - half, middle + half], axis=1)


def _joint_areas(
    joints: Float[np.ndarray, "N 16 2"], visibility: Float[np.ndarray, "N 16"], head_xyxy: Float[np.ndarray, "N 4"]
) -> Float[np.ndarray, " N"]:
    """0.53 of the extent of labelled joints and head box; NaN (the box decides) below two joints."""
    points = np.concatenate([joints, head_xyxy.reshape(-1, 2, 2)], axis=1)
    known = np.concatenate([visibility > 0, np.repeat(np.isfinite(head_xyxy).all(axis=1)[:, None], 2, axis=1)], axis=1)
    known &= np.isfinite(points).all(axis=2)
    low = np.where(known[..., None], points, np.inf).min(axis=1)
    high = np.where(known[..., None], points, -np.inf).max(axis=1)
    enough = known.sum(axis=1) >= 2
    extent = np.prod(np.where(enough[:, None], np.maximum(high - low, 1), 1), axis=1)
    return np.where(enough, AREA_OF_BOX * extent, np.nan)
