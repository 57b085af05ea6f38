"""The values that the data checks test, one table for people, images and the split; NaN (None) means not applicable.

Plain numpy: an expectation over list-valued columns costs minutes, one over a derived number milliseconds.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from poseline.checks.readings import Readings
from poseline.datasets.annotations import Annotations, RawPeople, clean_keypoints
from poseline.datasets.frame_order import count_steps
from poseline.datasets.images import fingerprint_images, probe_images
from poseline.project import all_located

MIN_SAME_KEYPOINTS = 3
MIN_TORSO_FRACTION = 0.1
"""Shoulders and hips closer together than this fraction of the box say nothing about left and right."""


def people_table(annotations: Annotations) -> pd.DataFrame:
    """One row a person of the file, with the values that the checks on people test."""
    raw = annotations.raw
    size_wh, listed = _image_sizes(annotations)
    keypoints, visibility = clean_keypoints(raw.keypoints, raw.visibility)
    labelled = visibility > 0
    box, finite = np.nan_to_num(raw.bbox_xyxy, nan=0.0, posinf=0.0, neginf=0.0), np.isfinite(raw.bbox_xyxy).all(axis=1)
    side = box[:, 2:] - box[:, :2]
    clipped = np.clip(box, 0, np.tile(size_wh, 2))
    inside = np.prod(np.maximum(clipped[:, 2:] - clipped[:, :2], 0), axis=1) / np.maximum(np.prod(np.maximum(side, 0), axis=1), 1e-9)
    beyond = _outside(box.reshape(-1, 2, 2), size_wh, edge=0)
    good_box = finite & (side > 0).all(axis=1)
    heads = np.where(np.isfinite(raw.head_xyxy).all(axis=1), (raw.head_xyxy[:, 2:] - raw.head_xyxy[:, :2]).min(axis=1), -1.0)
    is_video = bool((annotations.images["video_id"] != "").any())
    needs_head = labelled.any(axis=1) & annotations.has_head_boxes
    return pd.DataFrame(
        {
            "annotation_id": raw.annotation_id,
            "image_id": raw.image_id,
            "image_listed": listed,
            "bbox_min_side_px": np.where(finite, side.min(axis=1), -1.0),
            "bbox_outside_px": _where(good_box & (~np.bool(annotations.loose_boxes)), beyond.max(axis=1)),
            "bbox_inside_fraction": _where(good_box & np.isfinite(size_wh).all(axis=1), inside),
            "area_px2": _areas(raw),
            "nonfinite_keypoints": (~np.isfinite(raw.keypoints)).any(axis=2).sum(axis=1),
            "unknown_visibilities": (~np.isin(raw.visibility, (0, 1, 2))).sum(axis=1),
            "num_keypoints_difference": _where(raw.given_num_keypoints >= 0, raw.given_num_keypoints - labelled.sum(axis=1)),
            "keypoint_outside_image_px": _largest(_outside(keypoints, size_wh, edge=0.5), labelled),
            "keypoint_outside_box": _where(
                good_box, _largest(_outside_box(keypoints, box), labelled) / np.maximum(side.max(axis=1), 1e-9)
            ),
            "head_min_side_px": _where(needs_head & (not is_video), heads),
            "video_head_min_side_px": _where(needs_head & is_video, heads),
            "left_right_cosine": left_right_cosine(keypoints, labelled, annotations, np.maximum(side, 0).max(axis=1)),
            "people_of_track": _people_of_track(raw),
            "people_of_pose": _people_of_pose(raw.image_id, keypoints, labelled),
        }
    )  # fmt: skip


def image_table(
    annotations: Annotations, fingerprints: list[str], elsewhere: set[str], *, depth: Literal["none", "exists", "header", "decode"]
) -> pd.DataFrame:
    """One row an image, with the values that the checks on images test.

    Args:
        annotations: the split.
        fingerprints: what tells its images apart (``image_fingerprints``); empty where an image cannot be read.
        elsewhere: the fingerprints of the other splits of the data set.
        depth: how much of a file is read.
    """
    images = annotations.images
    paths = all_located(images["image_path"])
    table = pd.DataFrame({"image_id": images["image_id"], "frame_step": _frame_steps(images)})
    table["in_other_split"] = [bool(name) and name in elsewhere for name in fingerprints]
    is_video = images["video_id"].to_numpy() != ""
    counts = pd.Series(fingerprints, dtype="object").map(pd.Series(fingerprints, dtype="object").value_counts())
    table["same_images"] = np.where(is_video | (np.asarray(fingerprints) == ""), np.nan, counts.to_numpy(np.float64))
    if depth == "none":
        return table.assign(image_exists=None, image_state=None, size_difference_px=np.nan, sides_swapped=None, orientation=np.nan)
    probes = probe_images(paths, depth=depth)
    table["image_exists"] = [probe.state != "missing" for probe in probes]
    table["image_state"] = [None if probe.state == "missing" or depth == "exists" else probe.state for probe in probes]
    found = np.asarray([(probe.width, probe.height) for probe in probes], dtype=np.float64).reshape(-1, 2)
    given = images[["width", "height"]].to_numpy(np.float64)
    read, square = np.asarray((found > 0).all(axis=1)), found[:, 0] == found[:, 1]
    swapped = read & ~square & np.asarray((found[:, ::-1] == given).all(axis=1))
    table["size_difference_px"] = _where(read & ~swapped, np.abs(found - given).max(axis=1))
    table["sides_swapped"] = [bool(own) if known else None for own, known in zip(swapped, read, strict=True)]
    table["orientation"] = _where(read, np.asarray([probe.orientation for probe in probes], dtype=np.float64))
    return table


def split_table(annotations: Annotations, *, fraction_with_warnings: float, own: Readings, sides: str) -> pd.DataFrame:
    """One row for the split as a whole; ``sides`` says whether left and right are exchanged."""
    people = int((annotations.people.rows["num_keypoints"] > 0).sum())
    return pd.DataFrame(
        {
            "num_images": [len(annotations.images)],
            "num_people": [len(annotations.raw)],
            "num_labelled_people": [people],
            "fraction_with_warnings": [fraction_with_warnings],
            "box_reading": [own.boxes.verdict],
            "keypoint_reading": [own.keypoints.verdict],
            "sides": [sides],
            "first_pixel": [own.first_pixel],
        }
    )


def image_fingerprints(annotations: Annotations, *, depth: Literal["none", "exists", "header", "decode"]) -> list[str]:
    """What tells images apart: their content (size, beginning, end), or their paths where the files are not to be opened."""
    paths = [str(path) for path in annotations.images["image_path"]]
    return paths if depth == "none" else fingerprint_images(all_located(paths))


def left_right_cosine(
    keypoints: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], annotations: Annotations, box_side: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """Cosine between the lines from right to left shoulder and from right to left hip, in -1..1; NaN where they say nothing.

    A torso twists by less than a right angle: near -1 one of the two pairs has its sides exchanged.
    """
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    joints = [annotations.skeleton.index(name) for name in names]
    if min(joints) < 0 or not len(keypoints):
        return np.full(len(keypoints), np.nan)
    shoulders, hips = keypoints[:, joints[0]] - keypoints[:, joints[1]], keypoints[:, joints[2]] - keypoints[:, joints[3]]
    lengths = np.stack([np.linalg.norm(shoulders, axis=1), np.linalg.norm(hips, axis=1)])
    telling = labelled[:, joints].all(axis=1) & (lengths > MIN_TORSO_FRACTION * box_side).all(axis=0)
    return _where(telling, (shoulders * hips).sum(axis=1) / np.maximum(lengths.prod(axis=0), 1e-9))


def _where(applicable: Bool[np.ndarray, " N"] | np.bool, values: np.ndarray) -> Float[np.ndarray, " N"]:
    return np.where(applicable, values, np.nan).astype(np.float64)


def _image_sizes(annotations: Annotations) -> tuple[Float[np.ndarray, "N 2"], Bool[np.ndarray, " N"]]:
    """Each person's image size (NaN where not known) and whether the file lists the image."""
    sizes = annotations.images.drop_duplicates("image_id").set_index("image_id")[["width", "height"]].astype(np.float64)
    found = sizes.reindex(annotations.raw.image_id).to_numpy()
    return np.where(found > 0, found, np.nan), np.isin(annotations.raw.image_id, sizes.index.to_numpy())


def _outside(points: Float[np.ndarray, "N P 2"], size_wh: Float[np.ndarray, "N 2"], *, edge: float) -> Float[np.ndarray, "N P"]:
    """Pixels by which each point lies outside its image, which spans -edge .. size - edge."""
    beyond = np.maximum(-edge - points, points - (size_wh[:, None] - edge))
    return np.asarray(np.maximum(beyond, 0).max(axis=2))


def _outside_box(points: Float[np.ndarray, "N P 2"], box: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "N P"]:
    beyond = np.maximum(box[:, None, :2] - points, points - box[:, None, 2:])
    return np.asarray(np.maximum(beyond, 0).max(axis=2))


def _largest(values: Float[np.ndarray, "N P"], labelled: Bool[np.ndarray, "N P"]) -> Float[np.ndarray, " N"]:
    """The largest value over labelled keypoints; NaN where none is labelled or the image's size is not known."""
    return _where(labelled.any(axis=1), np.where(labelled, values, 0).max(axis=1))


def _areas(raw: RawPeople) -> Float[np.ndarray, " N"]:
    """The given areas, -1 where one is missing; all NaN where the data set gives none, so that the box decides."""
    finite = np.isfinite(raw.area)
    return np.where(finite, raw.area, -1.0) if finite.any() else np.full(len(raw), np.nan)


def _people_of_track(raw: RawPeople) -> Float[np.ndarray, " N"]:
    pairs = pd.DataFrame({"image": raw.image_id, "track": raw.track_id})
    return _where(raw.track_id >= 0, pairs.groupby(["image", "track"])["track"].transform("size").to_numpy(np.float64))


def _people_of_pose(
    image_id: np.ndarray, keypoints: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"]
) -> Float[np.ndarray, " N"]:
    poses = [row.tobytes() for row in np.where(labelled[..., None], keypoints, 0)]
    pairs = pd.DataFrame({"image": image_id, "pose": pd.Series(poses, dtype="object")})
    counts = pairs.groupby(["image", "pose"])["pose"].transform("size").to_numpy(np.float64)
    return _where(labelled.sum(axis=1) >= MIN_SAME_KEYPOINTS, counts)


def _frame_steps(images: pd.DataFrame) -> Float[np.ndarray, " N"]:
    """Steps from the frame before in the same video, in units of the video's usual step."""
    steps = np.full(len(images), np.nan)
    numbers = images["frame_index"].to_numpy(np.int64)
    for video, rows in images.groupby("video_id").indices.items():
        if video != "":
            steps[rows[1:]] = np.diff(count_steps(numbers[rows].tolist()))
    return steps
