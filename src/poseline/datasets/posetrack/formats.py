"""The PoseTrack forms parsed: 2017 (annolist), 2018 and 2021 (images, annotations, categories).

Keypoints are placed by the names in the file's category (2017: by their ids), never by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict, cast

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.core.boxes import xywh_to_xyxy
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.split import split_videos
from poseline.datasets.posetrack.video import JOINTS, MISSING_SCORE, SLOTS, PoseTrackForm, PoseTrackFrame, PoseTrackSequence
from poseline.errors import DataError

_Json: TypeAlias = Mapping[str, object]
_Wrapped: TypeAlias = list[float] | float | None


class _Image(TypedDict, total=False):
    id: int
    file_name: str
    is_labeled: bool
    ignore_regions_x: list[list[float]]
    ignore_regions_y: list[list[float]]


class _Annotation(TypedDict, total=False):
    image_id: int
    track_id: int
    keypoints: list[float]
    scores: list[float]
    score: float
    bbox: list[float]
    bbox_head: list[float]


class _Point(TypedDict, total=False):
    id: _Wrapped
    x: _Wrapped
    y: _Wrapped
    is_visible: _Wrapped
    score: _Wrapped


class _Rect(TypedDict, total=False):
    track_id: _Wrapped
    annopoints: list[dict[str, list[_Point]]] | dict[str, list[_Point]]
    x1: _Wrapped
    y1: _Wrapped
    x2: _Wrapped
    y2: _Wrapped
    score: _Wrapped


class _Entry(TypedDict, total=False):
    image: list[dict[str, str]]
    imgnum: _Wrapped
    is_labeled: _Wrapped
    annorect: list[_Rect]
    ignore_regions: list[dict[str, list[_Point]]]


@dataclass(frozen=True, eq=False)
class _People:
    """People of any form as arrays; NaN rows of head, bbox and pose_scores are unknown."""

    points: Float[np.ndarray, "N 17 3"]
    annotated: Bool[np.ndarray, "N 17"]
    scores: Float[np.ndarray, "N 17"]
    head_xyxy: Float[np.ndarray, "N 4"]
    bbox_xyxy: Float[np.ndarray, "N 4"]
    pose_scores: Float[np.ndarray, " N"]
    track_ids: Int[np.ndarray, " N"]

    def select(self, index: Sequence[int]) -> _People:
        rows = np.asarray(index, dtype=np.int64)
        return _People(
            self.points[rows], self.annotated[rows], self.scores[rows], self.head_xyxy[rows], self.bbox_xyxy[rows],
            self.pose_scores[rows], self.track_ids[rows],
        )


def _make_frame(
    people: _People, *, where: str, image_id: int, file_name: str, frame_index: int, is_labeled: bool, regions: tuple[np.ndarray, ...]
) -> PoseTrackFrame:
    annotated, scores = people.annotated, people.scores
    if not (np.isfinite(people.points).all() and np.isfinite(scores).all()):
        raise DataError(f"{where}: NaN or infinity among keypoints or scores. Leave such a keypoint out (0, 0, 0).")
    given = people.track_ids[people.track_ids != -1].tolist()
    if len(set(given)) != len(given):
        double = next(i for i in given if given.count(i) > 1)
        raise DataError(f"{where}: track id {double} occurs twice in the frame. Give each person of a frame its own id.")
    keypoints = people.points[..., :2] * annotated[..., None]
    shown = np.where(annotated, np.where(scores == MISSING_SCORE, 1.0, scores), 0.0)
    means = shown.sum(axis=1) / np.maximum(annotated.sum(axis=1), 1)
    bbox = people.bbox_xyxy.copy()
    for i in np.flatnonzero(np.isnan(bbox[:, 0])):
        bbox[i] = _extent(keypoints[i, annotated[i]])
    poses = PoseSet(
        keypoints=keypoints, keypoint_scores=shown, bbox_xyxy=bbox,
        pose_scores=np.where(np.isnan(people.pose_scores), means, people.pose_scores),
        visibility=np.where(annotated, np.where(people.points[..., 2] > 0, 2, 1), 0), track_ids=people.track_ids,
    )
    return PoseTrackFrame(
        image_id=image_id, file_name=file_name, frame_index=frame_index, is_labeled=is_labeled,
        ignore_regions=regions, people=poses, head_xyxy=np.nan_to_num(people.head_xyxy, nan=-1.0), exact_keypoints=keypoints,
        exact_scores=scores,
    )


def _extent(points: Float[np.ndarray, "P 2"]) -> list[float]:
    """The box around the points grown by 15 % a side, as the official converter draws it where a file has no box."""
    if not len(points):
        return [0.0] * 4
    low, high = points.min(axis=0), points.max(axis=0)
    centre, half = (low + high) / 2, (high - low) * 0.65
    return [*(centre - half), *(centre + half)]


def parse_2018(content: _Json, path: Path) -> list[PoseTrackSequence]:
    """The videos of a file of the 2018 or 2021 format, named after the folders of their images.

    Raises:
        DataError: against the form.
    """
    images = cast("list[_Image]", content["images"])
    annotations = cast("list[_Annotation]", content["annotations"])
    rows_of: dict[int, list[int]] = {}
    for image in images:
        if image["id"] in rows_of:
            raise DataError(f"{path}: image id {image['id']} occurs twice. Give every frame its own id.")
        rows_of[image["id"]] = []
    for row, annotation in enumerate(annotations):
        if annotation["image_id"] not in rows_of:
            raise DataError(f"{path}: annotation of image {annotation['image_id']}, which 'images' lacks. Remove it or add the image.")
        rows_of[annotation["image_id"]].append(row)
    people = _people_2018(annotations, _slot_order(content, path), path)
    form: PoseTrackForm = "2021" if any("person_id" in annotation for annotation in annotations) else "2018"
    listed = cast("list[_Json]", content["images"])
    marks, frame_ids = [image.get("vid_id", image.get("video_id")) for image in listed], [image.get("frame_id") for image in listed]
    videos = []
    for video in split_videos([image["file_name"] for image in images], marks, frame_ids, path):
        frames = []
        for row, number in video.rows:
            image, where = images[row], f"{path}: image {images[row]['id']}"
            frames.append(_make_frame(
                people.select(rows_of[image["id"]]), where=where, image_id=int(image["id"]), file_name=image["file_name"],
                frame_index=number, is_labeled=bool(image.get("is_labeled", True)),
                regions=_regions(image.get("ignore_regions_x") or [], image.get("ignore_regions_y") or [], where),
            ))
        videos.append(PoseTrackSequence(name=video.name, frames=tuple(frames), form=form))
    return videos


def _slot_order(content: _Json, path: Path) -> list[int]:
    """For each keypoint of the file's category its slot in posetrack17, -1 for a name that PoseTrack does not have."""
    given = cast("list[dict[str, list[str]]]", content.get("categories") or [])
    categories = [category for category in given if category.get("keypoints")]
    if len(categories) != 1:
        raise DataError(f"{path}: expected one category with keypoint names, got {len(categories)}. Add 'categories' as in official files.")
    skeleton = load_skeleton("posetrack17")
    slots = [skeleton.index(str(name)) for name in categories[0]["keypoints"]]
    missing = [name for name in JOINTS if SLOTS.index(name) not in slots]
    if missing:
        raise DataError(f"{path}: the category lacks {', '.join(missing)}. PoseTrack needs the 15 joints {', '.join(JOINTS)}.")
    return slots


def _people_2018(annotations: Sequence[_Annotation], slots: Sequence[int], path: Path) -> _People:
    """Every person of a file, keypoints by name in their slots."""
    count, width = len(annotations), len(slots)
    none = [MISSING_SCORE] * width
    for annotation in annotations:
        where = f"{path}: image {annotation['image_id']}"
        if len(annotation["keypoints"]) != 3 * width:
            number = len(annotation["keypoints"]) / 3
            raise DataError(f"{where}: a person has {number:g} keypoints, its category has {width}. Fix the file.")
        if len(annotation.get("scores") or none) != width:
            raise DataError(f"{where}: a person has {len(annotation['scores'])} scores for {width} keypoints. Write one per keypoint.")
    known = [i for i, slot in enumerate(slots) if slot >= 0]
    target = [slots[i] for i in known]
    points = np.zeros((count, len(SLOTS), 3))
    scores = np.full((count, len(SLOTS)), MISSING_SCORE)
    raw = np.array([annotation["keypoints"] for annotation in annotations], dtype=np.float64).reshape(count, width, 3)
    points[:, target] = raw[:, known]
    given = np.array([annotation.get("scores") or none for annotation in annotations], dtype=np.float64).reshape(count, width)
    scores[:, target] = given[:, known]
    pose_scores = [np.nan if annotation.get("score") is None else annotation["score"] for annotation in annotations]
    return _People(
        points=points, annotated=np.any(points != 0, axis=2), scores=scores,
        head_xyxy=_corners(annotations, "bbox_head", path), bbox_xyxy=_corners(annotations, "bbox", path),
        pose_scores=np.array(pose_scores, dtype=np.float64),
        track_ids=np.array([_track_id(a.get("track_id"), f"{path}: image {a['image_id']}") for a in annotations], dtype=np.int64),
    )


def _corners(annotations: Sequence[_Annotation], key: Literal["bbox", "bbox_head"], path: Path) -> Float[np.ndarray, "N 4"]:
    """Corners of the boxes under ``key``; NaN rows where there is none."""
    boxes = []
    for annotation in annotations:
        box = annotation.get(key) or [np.nan] * 4
        if len(box) != 4:
            raise DataError(f"{path}: image {annotation['image_id']}: '{key}' has {len(box)} numbers, expected x, y, width, height.")
        if annotation.get(key) and not np.isfinite(box).all():
            raise DataError(f"{path}: image {annotation['image_id']}: NaN or infinity in '{key}'. Leave an unknown box out.")
        boxes.append(box)
    return xywh_to_xyxy(np.array(boxes, dtype=np.float64).reshape(-1, 4))


def parse_2017(content: _Json, path: Path) -> list[PoseTrackSequence]:
    """The videos of an annolist file.

    Raises:
        DataError: against the form.
    """
    entries = cast("list[_Entry]", content["annolist"])
    names, none = [entry["image"][0]["name"] for entry in entries], [None] * len(entries)
    videos = []
    for video in split_videos(names, none, none, path):
        frames: list[PoseTrackFrame] = []
        for row, number in video.rows:
            frames.append(_frame_2017(entries[row], number, len(frames) + 1, path))
        videos.append(PoseTrackSequence(name=video.name, frames=tuple(frames), form="2017"))
    return videos


def _frame_2017(entry: _Entry, frame_index: int, image_id: int, path: Path) -> PoseTrackFrame:
    """One entry of an annolist; ``image_id`` where it has no 'imgnum'."""
    name = entry["image"][0]["name"]
    where = f"{path}: frame {name}"
    polygons = [region["point"] for region in entry.get("ignore_regions") or []]
    xs = [[_first(point["x"]) for point in polygon] for polygon in polygons]
    ys = [[_first(point["y"]) for point in polygon] for polygon in polygons]
    return _make_frame(
        _people_2017(entry["annorect"] or [], where), where=where, image_id=int(_first(entry.get("imgnum"), image_id)),
        file_name=name, frame_index=frame_index,
        is_labeled=bool(_first(entry.get("is_labeled"), bool(entry["annorect"]))), regions=_regions(xs, ys, where),
    )


def _people_2017(rects: Sequence[_Rect], where: str) -> _People:
    """The people of one frame; joints by their id, 0 to 14 in the order of posetrack15."""
    count = len(rects)
    points, annotated = np.zeros((count, len(SLOTS), 3)), np.zeros((count, len(SLOTS)), dtype=bool)
    scores, head, pose_scores = np.full((count, len(SLOTS)), MISSING_SCORE), np.full((count, 4), np.nan), np.full(count, np.nan)
    for i, rect in enumerate(rects):
        for point in _points_2017(rect):
            joint = int(_first(point.get("id")))
            if not 0 <= joint < len(JOINTS):
                raise DataError(f"{where}: a keypoint of id {joint}, PoseTrack 2017 has 0 to {len(JOINTS) - 1}. Fix the file.")
            slot = SLOTS.index(JOINTS[joint])
            if not annotated[i, slot]:
                points[i, slot] = _first(point["x"]), _first(point["y"]), _first(point.get("is_visible"), 1)
                annotated[i, slot], scores[i, slot] = True, _first(point.get("score"), MISSING_SCORE)
        if "x1" in rect:
            head[i] = _first(rect["x1"]), _first(rect["y1"]), _first(rect["x2"]), _first(rect["y2"])
        pose_scores[i] = _first(rect.get("score"), np.nan)
    return _People(
        points=points, annotated=annotated, scores=scores, head_xyxy=head, bbox_xyxy=np.full((count, 4), np.nan), pose_scores=pose_scores,
        track_ids=np.array([_track_id(_first(rect.get("track_id"), -1), where) for rect in rects], dtype=np.int64),
    )


def _points_2017(rect: _Rect) -> Sequence[_Point]:
    """The keypoints of a person; none where 'annopoints' is absent or empty."""
    annopoints = rect.get("annopoints") or {}
    inner = annopoints[0] if isinstance(annopoints, list) else annopoints
    return inner.get("point") or []


def _first(value: _Wrapped, default: float | None = None) -> float:
    """The one number that the 2017 form wraps in a list; the default where the list is empty or absent.

    Raises:
        TypeError: neither number nor default.
    """
    number = (value[0] if value else None) if isinstance(value, list) else value
    number = default if number is None else number
    if not isinstance(number, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    return number


def _track_id(value: object, where: str) -> int:
    if value is None:
        return -1
    if not isinstance(value, int | float) or isinstance(value, bool) or value != int(value) or value < -1:
        raise DataError(f"{where}: track id {value!r}, expected a whole number from 0 on. Fix the file.")
    return int(value)


def _regions(xs: Sequence[Sequence[float]], ys: Sequence[Sequence[float]], where: str) -> tuple[np.ndarray, ...]:
    if len(xs) != len(ys) or any(len(x) != len(y) for x, y in zip(xs, ys, strict=True)):
        raise DataError(f"{where}: ignore_regions_x and ignore_regions_y differ in length. Fix the file.")
    return tuple(np.array([x, y], dtype=np.float64).T.reshape(-1, 2) for x, y in zip(xs, ys, strict=True))
