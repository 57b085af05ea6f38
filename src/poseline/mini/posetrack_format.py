"""PoseTrack18's sequence files from drawn videos."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool

from poseline.core.skeletons import load_skeleton
from poseline.mini.coco_format import Json, flat_keypoints, keypoints_in, person_category
from poseline.mini.scene import Person, Scene


def frame_id(video: int, frame: int) -> int:
    """PoseTrack's image id: 1, six digits of the sequence, four of the frame.

    >>> frame_id(3418, 7)
    10034180007
    """
    return 10**10 + video * 10**4 + frame


def frame_entry(scene: Scene, *, video: int, frame: int, frames: int, folder: str) -> dict[str, Json]:
    """The image entry of one frame."""
    regions = [region for mask in scene.crowds for region in ignore_polygons(mask)]
    height, width = scene.image.shape[:2]
    return {
        "has_no_densepose": True, "is_labeled": True, "file_name": f"{folder}/{frame:06d}.jpg", "nframes": frames,
        "frame_id": frame_id(video, frame), "vid_id": f"{video:06d}", "id": frame_id(video, frame), "width": width, "height": height,
        "ignore_regions_x": [[point[0] for point in region] for region in regions],
        "ignore_regions_y": [[point[1] for point in region] for region in regions],
    }  # fmt: skip


def ignore_polygons(mask: Bool[np.ndarray, "h w"]) -> list[list[tuple[int, int]]]:
    """Convex polygons around a group, some pixels wider than it."""
    height, width = mask.shape
    near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8))
    contours, _ = cv2.findContours(near, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hulls = [cv2.convexHull(contour).reshape(-1, 2) for contour in contours]
    return [[(min(int(x), width - 1), min(int(y), height - 1)) for x, y in hull] for hull in hulls if len(hull) >= 3]


def person_entries(people: Sequence[Person], *, video: int, frame: int) -> list[dict[str, Json]]:
    """The annotations of one frame: people of whom at least one keypoint is labelled; ears never are."""
    skeleton = load_skeleton("posetrack17")
    entries: list[dict[str, Json]] = []
    for person in people:
        points, flags = keypoints_in(person, skeleton)
        for ear in ("left_ear", "right_ear"):
            points[skeleton.index(ear)], flags[skeleton.index(ear)] = 0, 0
        flags = np.minimum(flags, 1)
        if not flags.any():
            continue
        x0, y0, x1, y1 = np.round(person.head_xyxy, 2).tolist()
        entries.append(
            {
                "bbox_head": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)], "keypoints": flat_keypoints(points, flags),
                "track_id": person.track_id, "person_id": video * 100 + person.track_id, "image_id": frame_id(video, frame),
                "bbox": [float(v) for v in person.bbox_xywh], "scores": [], "category_id": 1,
                "id": frame_id(video, frame) * 100 + person.track_id, "num_keypoints": int(flags.sum()), "iscrowd": False,
            }
        )  # fmt: skip
    return entries


def sequence_document(images: list[dict[str, Json]], annotations: list[dict[str, Json]]) -> dict[str, Json]:
    """A whole sequence file."""
    return {"images": list(images), "annotations": list(annotations), "categories": [person_category(load_skeleton("posetrack17"))]}
