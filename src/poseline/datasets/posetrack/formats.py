"""The PoseTrack forms parsed: 2017 (annolist), 2018 and 2021 (images, annotations, categories).

Keypoints are placed by the names in the file's category (2017: by their ids), never by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.core.boxes import xywh_to_xyxy
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.categories import of_category, person_category
from poseline.datasets.json_files import (
    Entries,
    Json,
    expect_list,
    expect_mapping,
    file_name,
    finite_matrix,
    finite_numbers,
    flag,
    int_or_none,
    integer,
    integers,
    kind_of,
    objects,
    section,
)
from poseline.datasets.posetrack.split import split_videos
from poseline.datasets.posetrack.video import JOINTS, MISSING_SCORE, SLOTS, PoseTrackForm, PoseTrackFrame, PoseTrackSequence
from poseline.errors import DataError


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


def parse_2018(content: Mapping[str, Json], path: Path) -> list[PoseTrackSequence]:
    """The videos of a file of the 2018 or 2021 format, named after the folders of their images.

    Raises:
        DataError: against the form.
    """
    images = objects(section(content, "images", where=str(path)), where=f"{path}: images")
    every = objects(section(content, "annotations", where=str(path)), where=f"{path}: annotations")
    slots = _slot_order(content, path)
    annotations, positions = of_category(every, person_category(content, where=str(path)), path=path, what="annotations")
    rows_of: dict[int, list[int]] = {}
    for position, image in enumerate(images):
        image_id = integer(image, "id", where=f"{path}: images: entry {position}")
        if image_id in rows_of:
            raise DataError(f"{path}: image id {image_id} occurs twice. Give every frame its own id.")
        rows_of[image_id] = []
    image_ids = integers(annotations, "image_id", where=[f"{path}: annotations: entry {i}" for i in positions])
    for row, image_id in enumerate(image_ids.tolist()):
        if image_id not in rows_of:
            raise DataError(f"{path}: annotation of image {image_id}, which 'images' lacks. Remove it or add the image.")
        rows_of[image_id].append(row)
    people = _people_2018(annotations, slots, path)
    form: PoseTrackForm = "2021" if any("person_id" in annotation for annotation in annotations) else "2018"
    names = [file_name(image, "file_name", where=f"{path}: image {image_id}") for image, image_id in zip(images, rows_of, strict=True)]
    marks, frame_ids = [image.get("vid_id", image.get("video_id")) for image in images], [image.get("frame_id") for image in images]
    ids, videos = list(rows_of), []
    for video in split_videos(names, marks, frame_ids, path):
        frames = []
        for row, number in video.rows:
            image, where = images[row], f"{path}: image {ids[row]}"
            frames.append(_make_frame(
                people.select(rows_of[ids[row]]), where=where, image_id=ids[row], file_name=names[row], frame_index=number,
                is_labeled=flag(image, "is_labeled", where=where, default=True),
                regions=_regions(_polygons(image, "ignore_regions_x", where), _polygons(image, "ignore_regions_y", where), where),
            ))
        videos.append(PoseTrackSequence(name=video.name, frames=tuple(frames), form=form))
    return videos


def _polygons(image: Mapping[str, Json], key: str, where: str) -> list[list[float]]:
    """One coordinate of each polygon's corners; none where the key is absent."""
    if image.get(key) is None:
        return []
    rows: Entries = [{key: row} for row in expect_list(image[key], where=f"{where}: '{key}'")]
    lists = [expect_list(row[key], where=f"{where}: '{key}'") for row in rows]
    return [finite_matrix([row], key, len(values), where=[where])[0].tolist() for row, values in zip(rows, lists, strict=True)]


def _slot_order(content: Mapping[str, Json], path: Path) -> list[int]:
    """For each keypoint of the file's category its slot in posetrack17, -1 for a name that PoseTrack does not have."""
    category = person_category(content, where=str(path))
    if category is None or not category.keypoints:
        raise DataError(f"{path}: expected one category with keypoint names, got none. Add 'categories' as in official files.")
    skeleton = load_skeleton("posetrack17")
    slots = [skeleton.index(name) for name in category.keypoints]
    missing = [name for name in JOINTS if SLOTS.index(name) not in slots]
    if missing:
        raise DataError(f"{path}: the category lacks {', '.join(missing)}. PoseTrack needs the 15 joints {', '.join(JOINTS)}.")
    return slots


def _people_2018(annotations: Entries, slots: Sequence[int], path: Path) -> _People:
    """Every person of a file, keypoints by name in their slots."""
    count, width = len(annotations), len(slots)
    where = [f"{path}: image {annotation['image_id']}" for annotation in annotations]
    filled: Entries = []
    for annotation, place in zip(annotations, where, strict=True):
        keypoints = expect_list(annotation.get("keypoints"), where=f"{place}: 'keypoints'")
        if len(keypoints) != 3 * width:
            raise DataError(f"{place}: a person has {len(keypoints) / 3:g} keypoints, its category has {width}. Fix the file.")
        given = annotation.get("scores")
        listed: list[Json] = [MISSING_SCORE] * width if given in (None, []) else expect_list(given, where=f"{place}: 'scores'")
        if len(listed) != width:
            raise DataError(f"{place}: a person has {len(listed)} scores for {width} keypoints. Write one per keypoint.")
        filled.append({"keypoints": keypoints, "scores": listed})
    known = [i for i, slot in enumerate(slots) if slot >= 0]
    target = [slots[i] for i in known]
    points = np.zeros((count, len(SLOTS), 3))
    scores = np.full((count, len(SLOTS)), MISSING_SCORE)
    points[:, target] = finite_matrix(filled, "keypoints", 3 * width, where=where).reshape(count, width, 3)[:, known]
    scores[:, target] = finite_matrix(filled, "scores", width, where=where)[:, known]
    has_score = [annotation.get("score") is not None for annotation in annotations]
    pose_scores = np.full(count, np.nan)
    pose_scores[has_score] = finite_numbers([a for a, has in zip(annotations, has_score, strict=True) if has], "score",
                                            where=[w for w, has in zip(where, has_score, strict=True) if has])  # fmt: skip
    return _People(
        points=points, annotated=np.any(points != 0, axis=2), scores=scores,
        head_xyxy=_corners(annotations, "bbox_head", path), bbox_xyxy=_corners(annotations, "bbox", path),
        pose_scores=pose_scores,
        track_ids=np.array([_track_id(a.get("track_id"), place) for a, place in zip(annotations, where, strict=True)], dtype=np.int64),
    )


def _corners(annotations: Entries, key: Literal["bbox", "bbox_head"], path: Path) -> Float[np.ndarray, "N 4"]:
    """Corners of the boxes under ``key``; NaN rows where there is none."""
    boxes = np.full((len(annotations), 4), np.nan)
    for row, annotation in enumerate(annotations):
        if annotation.get(key) in (None, []):
            continue
        where = f"{path}: image {annotation['image_id']}"
        box = expect_list(annotation[key], where=f"{where}: '{key}'")
        if len(box) != 4:
            raise DataError(f"{where}: '{key}' has {len(box)} numbers, expected x, y, width, height.")
        if set(map(type, box)) <= {int, float} and not np.isfinite(np.array(box, dtype=np.float64)).all():
            raise DataError(f"{where}: NaN or infinity in '{key}'. Leave an unknown box out.")
        boxes[row] = finite_matrix([annotation], key, 4, where=[where])[0]
    return xywh_to_xyxy(boxes)


def parse_2017(content: Mapping[str, Json], path: Path) -> list[PoseTrackSequence]:
    """The videos of an annolist file.

    Raises:
        DataError: against the form.
    """
    entries = objects(section(content, "annolist", where=str(path)), where=f"{path}: annolist")
    names = []
    for position, entry in enumerate(entries):
        where = f"{path}: annolist: entry {position}"
        names.append(file_name(_only(entry.get("image"), f"{where}: 'image'"), "name", where=where))
    none, videos = [None] * len(entries), []
    for video in split_videos(names, none, none, path):
        frames: list[PoseTrackFrame] = []
        for row, number in video.rows:
            frames.append(_frame_2017(entries[row], names[row], number, len(frames) + 1, path))
        videos.append(PoseTrackSequence(name=video.name, frames=tuple(frames), form="2017"))
    return videos


def _frame_2017(entry: Mapping[str, Json], name: str, frame_index: int, image_id: int, path: Path) -> PoseTrackFrame:
    """One entry of an annolist; ``image_id`` where it has no 'imgnum'."""
    where = f"{path}: frame {name}"
    people = objects(section(entry, "annorect", where=where), where=f"{where}: annorect")
    areas = [_points(region, f"{where}: ignore_regions") for region in _listed(entry, "ignore_regions", where)]
    xs = [[_first(point.get("x")) for point in polygon] for polygon in areas]
    ys = [[_first(point.get("y")) for point in polygon] for polygon in areas]
    return _make_frame(
        _people_2017(people, where), where=where, image_id=_whole(_first(entry.get("imgnum"), image_id), "imgnum", where),
        file_name=name, frame_index=frame_index,
        is_labeled=flag({"is_labeled": _unwrapped(entry.get("is_labeled"))}, "is_labeled", where=where, default=bool(people)),
        regions=_regions(xs, ys, where),
    )


def _people_2017(rects: Entries, where: str) -> _People:
    """The people of one frame; joints by their id, 0 to 14 in the order of posetrack15."""
    count = len(rects)
    points, annotated = np.zeros((count, len(SLOTS), 3)), np.zeros((count, len(SLOTS)), dtype=bool)
    scores, head, pose_scores = np.full((count, len(SLOTS)), MISSING_SCORE), np.full((count, 4), np.nan), np.full(count, np.nan)
    for i, rect in enumerate(rects):
        for point in _points_2017(rect, where):
            joint = _whole(_first(point.get("id")), "id of a keypoint", where)
            if not 0 <= joint < len(JOINTS):
                raise DataError(f"{where}: a keypoint of id {joint}, PoseTrack 2017 has 0 to {len(JOINTS) - 1}. Fix the file.")
            slot = SLOTS.index(JOINTS[joint])
            if not annotated[i, slot]:
                points[i, slot] = _first(point.get("x")), _first(point.get("y")), _first(point.get("is_visible"), 1)
                annotated[i, slot], scores[i, slot] = True, _first(point.get("score"), MISSING_SCORE)
        if "x1" in rect:
            head[i] = [_first(rect.get(key)) for key in ("x1", "y1", "x2", "y2")]
        pose_scores[i] = _first(rect.get("score"), np.nan)
    return _People(
        points=points, annotated=annotated, scores=scores, head_xyxy=head, bbox_xyxy=np.full((count, 4), np.nan), pose_scores=pose_scores,
        track_ids=np.array([_track_id(_first(rect.get("track_id"), -1), where) for rect in rects], dtype=np.int64),
    )


def _points_2017(rect: Mapping[str, Json], where: str) -> Entries:
    """The keypoints of a person; none where 'annopoints' is absent or empty."""
    annopoints = rect.get("annopoints")
    if annopoints in (None, [], {}):
        return []
    where = f"{where}: annopoints"
    return _points(annopoints[0] if isinstance(annopoints, list) else annopoints, where)


def _points(holder: Json, where: str) -> Entries:
    """The points under 'point', a list of objects."""
    return objects(section(expect_mapping(holder, where=where), "point", where=where), where=where)


def _listed(entry: Mapping[str, Json], key: str, where: str) -> list[Json]:
    """The list under ``key``; empty where it is absent."""
    return [] if entry.get(key) is None else expect_list(entry[key], where=f"{where}: '{key}'")


def _only(value: Json, where: str) -> dict[str, Json]:
    """The one object that the 2017 form wraps in a list."""
    values = expect_list(value, where=where)
    if len(values) != 1:
        raise DataError(f"{where}: against the PoseTrack form ({len(values)} entries, expected one). Compare it with an official file.")
    return expect_mapping(values[0], where=where)


def _unwrapped(value: Json) -> Json:
    """The one value that the 2017 form wraps in a list; None where the list is empty."""
    return (value[0] if value else None) if isinstance(value, list) else value


def _first(value: Json, default: float | None = None) -> float:
    """The one number that the 2017 form wraps in a list; the default where the list is empty or absent.

    Raises:
        TypeError: neither a finite number nor a default.
    """
    number = _unwrapped(value)
    number = default if number is None else number
    if isinstance(number, bool) or not isinstance(number, int | float) or (number is not default and not np.isfinite(number)):
        raise TypeError(f"expected a number, got {kind_of(number) if not isinstance(number, float) else number}")
    return number


def _whole(value: float, what: str, where: str) -> int:
    """A number without fraction as an integer."""
    return integer({what: value}, what, where=where)


def _track_id(value: object, where: str) -> int:
    if value is None:
        return -1
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int_or_none(value) or not -1 <= value < 2**63:
        raise DataError(f"{where}: track id {value!r}, expected a whole number from 0 on. Fix the file.")
    return int(value)


def _regions(xs: Sequence[Sequence[float]], ys: Sequence[Sequence[float]], where: str) -> tuple[np.ndarray, ...]:
    if len(xs) != len(ys) or any(len(x) != len(y) for x, y in zip(xs, ys, strict=True)):
        raise DataError(f"{where}: ignore_regions_x and ignore_regions_y differ in length. Fix the file.")
    return tuple(np.array([x, y], dtype=np.float64).T.reshape(-1, 2) for x, y in zip(xs, ys, strict=True))
