"""What the PoseTrack protocol scores of two sequences: frames and points that remain after the clean-up, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from poseline.core.boxes import AREA_OF_BOX, box_area
from poseline.core.similarity import oks_matrix
from poseline.core.skeletons import load_skeleton, map_keypoints
from poseline.datasets.posetrack.files import MAX_TRACK_ID, PoseTrackFrame, PoseTrackSequence
from poseline.errors import DataError
from poseline.metrics.posetrack_ap import head_sizes
from poseline.metrics.posetrack_frames import PoseTrackMode, ScoredFrame, ScoredPeople
from poseline.metrics.track_frames import TrackFrame

_ORDER = map_keypoints(load_skeleton("posetrack17"), load_skeleton("posetrack15"))


def scored_frames(ground_truth: PoseTrackSequence, predicted: PoseTrackSequence, mode: PoseTrackMode) -> list[ScoredFrame]:
    """The frames of a video that are scored, without ignored points.

    ``poseval``: frames without a person in the ground truth are left out; people without points stay in the 2018 format where the
    frame has no ignore region, as the reference keeps them. ``strict``: every labelled frame counts, people without points never.

    Raises:
        DataError: other frames in the prediction than in the ground truth, a person without track id or head box, ids that clash.
    """
    _check_frames(ground_truth, predicted)
    result = []
    for own, other in zip(ground_truth.frames, predicted.frames, strict=True):
        if not len(own.people) and (mode == "poseval" or not own.is_labeled):
            continue
        sides = []
        for frame, sequence, side in ((own, ground_truth, "truth"), (other, predicted, "prediction")):
            people = _people(frame, f"{side} {sequence.name}, frame {frame.file_name}", mode)
            if mode == "strict" or sequence.form == "2017":
                people = people.with_points()
            sides.append(_without_ignored(people, own.ignore_regions))
        _check_heads(sides[0], f"ground truth {ground_truth.name}, frame {own.file_name}")
        result.append(ScoredFrame(own.frame_index, sides[0], sides[1]))
    return result


def pose_frames(ground_truth: PoseTrackSequence, predicted: PoseTrackSequence) -> list[TrackFrame]:
    """The labelled frames of a video with the OKS of every pair over the 15 scored joints; a joint not predicted counts 0.

    Raises:
        DataError: frames that do not correspond, or people without track ids.
    """
    sigmas = load_skeleton("posetrack15").sigma_array
    result = []
    for frame in scored_frames(ground_truth, predicted, "strict"):
        own, other = frame.ground_truth, frame.predicted
        found = np.where(other.present[..., None], other.joints, np.inf)
        oks = oks_matrix(found, own.joints, own.present.astype(np.int64), own.box_area * AREA_OF_BOX, sigmas)
        result.append(TrackFrame(own.track_ids, other.track_ids, oks.T))
    return result


def check_names(ground_truth: Mapping[str, PoseTrackSequence], predicted: Mapping[str, PoseTrackSequence]) -> None:
    """Nothing where both sides hold the same videos.

    Raises:
        DataError: a video on one side only, or none at all.
    """
    missing, extra = sorted(set(ground_truth) - set(predicted)), sorted(set(predicted) - set(ground_truth))
    if missing or extra:
        parts = [f"{kind} {len(names)} ({', '.join(names[:3])})" for kind, names in (("lack", missing), ("add", extra)) if names]
        raise DataError(
            f"PoseTrack predictions {' and '.join(parts)}, the ground truth has {len(ground_truth)} videos. One file a video, same name."
        )
    if not ground_truth:
        raise DataError("PoseTrack ground truth holds no video. Give at least one.")


def inside_polygon(points: Float[np.ndarray, "M 2"], polygon: Float[np.ndarray, "P 2"]) -> Bool[np.ndarray, " M"]:
    """Which points lie strictly inside a polygon (even-odd rule); its border is outside, and so is all of a degenerate one.

    >>> inside_polygon(np.array([[1.0, 1], [0, 1], [3, 1]]), np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])).tolist()
    [True, False, False]
    """
    if len(polygon) < 3:
        return np.zeros(len(points), dtype=bool)
    x, y = points[:, 0, None], points[:, 1, None]
    x1, y1 = polygon[:, 0], polygon[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    side = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
    upward, downward = (y1 <= y) & (y2 > y), (y2 <= y) & (y1 > y)
    crossings = (upward & (side > 0)) | (downward & (side < 0))
    between = (np.minimum(x1, x2) <= x) & (x <= np.maximum(x1, x2)) & (np.minimum(y1, y2) <= y) & (y <= np.maximum(y1, y2))
    on_border = ((side == 0) & between).any(axis=1)
    inside: Bool[np.ndarray, " M"] = (crossings.sum(axis=1) % 2 == 1) & ~on_border
    return inside


def _people(frame: PoseTrackFrame, where: str, mode: PoseTrackMode) -> ScoredPeople:
    ids = frame.people.track_ids
    if len(ids) and ids.min() < 0:
        raise DataError(f"{where}: a person without a track id. Track the poses first.")
    if mode == "poseval" and len(ids) and ids.max() >= MAX_TRACK_ID:
        raise DataError(f"{where}: track id {ids.max()}, poseval takes ids below {MAX_TRACK_ID}. Renumber the tracks or use mode strict.")
    if len(set(ids.tolist())) != len(ids):
        raise DataError(f"{where}: a track id occurs twice. Give each person of a frame its own id.")
    return ScoredPeople(
        frame.exact_keypoints[:, _ORDER],
        frame.people.visibility[:, _ORDER] > 0,
        frame.exact_scores[:, _ORDER],
        ids,
        head_sizes(frame.head_xyxy),
        box_area(frame.people.bbox_xyxy),
    )


def _without_ignored(people: ScoredPeople, regions: tuple[np.ndarray, ...]) -> ScoredPeople:
    """People less the points inside a region, and less those who have none left; untouched where there is no region."""
    if not regions:
        return people
    flat = people.joints.reshape(-1, 2)
    ignored = np.zeros(len(flat), dtype=bool)
    for region in regions:
        ignored |= inside_polygon(flat, region)
    present = people.present & ~ignored.reshape(people.present.shape)
    return replace(people, present=present).with_points()


def _check_heads(ground_truth: ScoredPeople, where: str) -> None:
    if np.any(ground_truth.present.any(axis=1) & ~(ground_truth.head_size > 0)):
        raise DataError(f"{where}: a person without a head box, whose diagonal is the yardstick. Add bbox_head.")


def _check_frames(ground_truth: PoseTrackSequence, predicted: PoseTrackSequence) -> None:
    if len(ground_truth.frames) != len(predicted.frames):
        raise DataError(
            f"{ground_truth.name}: {len(predicted.frames)} predicted frames, the ground truth "
            f"has {len(ground_truth.frames)}. List every frame, empty ones too."
        )
    for own, other in zip(ground_truth.frames, predicted.frames, strict=True):
        if own.frame_index - ground_truth.frames[0].frame_index != other.frame_index - predicted.frames[0].frame_index:
            raise DataError(
                f"{ground_truth.name}: predicted frame {other.file_name} where the ground truth has {own.file_name}. List the same frames."
            )
