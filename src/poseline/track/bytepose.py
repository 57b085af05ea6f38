"""The default tracker: Kalman prediction, association of high-score and then of low-score poses, and re-linking.

Reference:
    Zhang et al., ByteTrack, ECCV 2022 (the order of association); OKS beside box IoU, filters on keypoints and re-linking are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.config.tracking import ByteposeConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import ConfigError
from poseline.track.appearance import appearance_similarity, build_encoder
from poseline.track.association import blend, match_similar, pose_similarity, relink_similarity
from poseline.track.base import OneOf, Space, Span, State, Tracker, require_keys
from poseline.track.camera import camera_motion, gray_image
from poseline.track.kalman import MotionState
from poseline.track.person_motion import BOX, PersonMotion, boxes_of, keypoints_of, move

CAMERA_WIDTH = 320  # pixels of the image that the camera's motion is estimated on: enough, and the flow stays cheap


@dataclass(frozen=True)
class Tracks:
    """All living tracks as arrays, T rows.

    Attributes:
        ids: int64, -1 while a track waits for confirmation.
        hits: times seen.
        lost: frames since last seen.
        known: [T, K], keypoints ever seen.
        embeddings: [T, D], running mean of the appearance, zeros where unknown.
        motion: the filters.
    """

    ids: Int[np.ndarray, " T"]
    hits: Int[np.ndarray, " T"]
    lost: Int[np.ndarray, " T"]
    known: Bool[np.ndarray, "T K"]
    embeddings: Float[np.ndarray, "T D"]
    motion: MotionState

    def __len__(self) -> int:
        """Number of tracks, T."""
        return len(self.ids)

    def select(self, index: np.ndarray) -> Tracks:
        """The tracks at these indices."""
        arrays = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "motion"}
        return Tracks(**arrays, motion=self.motion.select(index))

    def join(self, other: Tracks) -> Tracks:
        """These tracks and then the other's."""
        arrays = {f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self) if f.name != "motion"}
        return Tracks(**arrays, motion=self.motion.join(other.motion))


class BytePoseTracker(Tracker[ByteposeConfig]):
    """Tracks people by box, pose and appearance."""

    search_space: ClassVar[Space] = {
        "high_score": Span(0.2, 0.7),
        "match_threshold": Span(0.05, 0.5),
        "low_match_threshold": Span(0.1, 0.6),
        "oks_weight": Span(0.0, 1.0),
        "sigma_scale": Span(1.0, 3.0, log=True),
        "acceleration": Span(0.003, 0.1, log=True),
        "max_lost_frames": Span(5, 60, log=True, whole=True),
        "confirm_hits": OneOf((1, 2, 3)),
        "relink.reach": Span(0.2, 1.5),
        "relink.min_similarity": Span(0.3, 0.8),
    }

    def __init__(self, config: ByteposeConfig, skeleton: Skeleton, *, min_pose_score: float = 0.0) -> None:
        """A tracker that has seen nothing.

        Raises:
            ConfigError: per-keypoint thresholds that do not fit the skeleton.
            BackendError: the re-identification network cannot be loaded.
        """
        count = np.size(config.min_keypoint_score)
        if isinstance(config.min_keypoint_score, tuple) and count != skeleton.num_keypoints:
            raise ConfigError(
                f"track.bytepose.min_keypoint_score: {count} thresholds, skeleton '{skeleton.name}' has {skeleton.num_keypoints} keypoints"
            )
        super().__init__(config, skeleton, min_pose_score=min_pose_score)
        self._encoder = build_encoder(config.appearance, skeleton)
        self._physics = PersonMotion(config, skeleton.sigma_array)
        self._gray = np.zeros((0, 0), dtype=np.uint8)
        self._tracks = self._start_tracks(PoseSet.empty(skeleton.num_keypoints), np.zeros((0, skeleton.num_keypoints), bool), None)

    @classmethod
    def reads_images(cls, config: ByteposeConfig) -> bool:
        """Whether camera motion or appearance is used."""
        return config.camera_motion != "none" or config.appearance.kind != "none"

    def link(self, poses: PoseSet, step: int, image: np.ndarray | None) -> PoseSet:
        """The poses that belong to confirmed tracks, in input order, with track ids."""
        seen = poses.keypoint_scores >= np.asarray(self._config.min_keypoint_score, dtype=np.float32)
        seen &= poses.visibility > 0
        self._advance(step, image)
        embeddings = self._encoder.encode(image, poses, seen) if self._encoder is not None and image is not None else None
        owner = self._associate(poses, seen, embeddings)
        self._absorb(poses, seen, embeddings, owner)
        started = self._start_from(poses, seen, embeddings, owner)
        owner[started] = len(self._tracks) + np.arange(len(started))
        new_embeddings = None if embeddings is None else embeddings[started]
        self._tracks = self._tracks.join(self._start_tracks(poses.select(started), seen[started], new_embeddings))
        self._confirm()
        ids = np.where(owner >= 0, self._tracks.ids[owner], -1) if len(self._tracks) else np.full(len(poses), -1)
        self._forget()
        shown = np.flatnonzero(ids > 0)
        return poses.select(shown).with_track_ids(ids[shown])

    def _advance(self, step: int, image: np.ndarray | None) -> None:
        """Predict all tracks into the new frame, then move them with the camera."""
        tracks = self._tracks
        motion = self._physics.predict(tracks.motion, step, tracks.lost)
        if self._config.camera_motion == "sparse" and image is not None:
            gray = gray_image(image, CAMERA_WIDTH)
            if self._gray.size and gray.size:
                people = boxes_of(tracks.motion)
                matrix = camera_motion(self._gray, gray, people_xyxy=people, image_wh=(image.shape[1], image.shape[0]))
                motion = move(motion, matrix)
            self._gray = gray
        self._tracks = replace(tracks, motion=motion, lost=tracks.lost + step)

    def _associate(self, poses: PoseSet, seen: np.ndarray, embeddings: np.ndarray | None) -> Int[np.ndarray, " N"]:
        """For each pose the row of its track, -1 for none."""
        config, tracks = self._config, self._tracks
        owner = np.full(len(poses), -1, dtype=np.int64)
        if not len(tracks) or not len(poses):
            return owner
        similarity = pose_similarity(
            boxes_of(tracks.motion),
            keypoints_of(tracks.motion),
            tracks.known,
            poses,
            seen,
            sigmas=self._skeleton.sigma_array * config.sigma_scale,
            oks_weight=config.oks_weight,
        )
        appearance = np.full(similarity.shape, np.nan) if embeddings is None else appearance_similarity(tracks.embeddings, embeddings)
        similarity = blend(similarity, appearance, config.appearance.weight)
        high = poses.pose_scores >= config.high_score
        confirmed = tracks.ids > 0
        recent = tracks.lost == tracks.lost.min()
        stages = (
            (confirmed, high, similarity, config.match_threshold),
            (confirmed & recent, ~high, similarity, config.low_match_threshold),
            (~confirmed, high, similarity, config.match_threshold),
        )
        for rows, columns, matrix, threshold in stages:
            self._assign(owner, matrix, rows, columns, threshold)
        if config.relink.enabled:
            free = np.ones(len(tracks), dtype=bool)
            free[owner[owner >= 0]] = False
            again = relink_similarity(tracks.motion, tracks.lost, poses, appearance, config.relink)
            self._assign(owner, again, confirmed & free, high, config.relink.min_similarity)
        return owner

    def _assign(self, owner: np.ndarray, similarity: np.ndarray, rows: np.ndarray, columns: np.ndarray, threshold: float) -> None:
        """Give the still free poses of ``columns`` to the still free tracks of ``rows``, in place."""
        free_rows = rows.copy()
        free_rows[owner[owner >= 0]] = False
        row_index, column_index = np.flatnonzero(free_rows), np.flatnonzero(columns & (owner < 0))
        matched_rows, matched_columns = match_similar(similarity[np.ix_(row_index, column_index)], threshold)
        owner[column_index[matched_columns]] = row_index[matched_rows]

    def _absorb(self, poses: PoseSet, seen: np.ndarray, embeddings: np.ndarray | None, owner: np.ndarray) -> None:
        """Correct the tracks with their poses."""
        tracks = self._tracks
        columns = np.flatnonzero(owner >= 0)
        rows = owner[columns]
        if not len(rows):
            return
        corrected = self._physics.correct(tracks.motion.select(rows), poses.select(columns), seen[columns])
        hits, lost, known, mean = tracks.hits.copy(), tracks.lost.copy(), tracks.known.copy(), tracks.embeddings.copy()
        hits[rows] += 1
        lost[rows] = 0
        known[rows] |= seen[columns]
        if embeddings is not None:
            mean[rows] = _running_mean(mean[rows], embeddings[columns], self._config.appearance.momentum)
        motion = tracks.motion.replace_rows(rows, corrected)
        self._tracks = replace(tracks, hits=hits, lost=lost, known=known, embeddings=mean, motion=motion)

    def _start_from(self, poses: PoseSet, seen: np.ndarray, embeddings: np.ndarray | None, owner: np.ndarray) -> Int[np.ndarray, " M"]:
        """The free high-score poses that are not a second copy of a person already tracked or of a better pose."""
        candidates = np.flatnonzero((owner < 0) & (poses.pose_scores >= self._config.high_score))
        if not len(candidates):
            return candidates
        order = candidates[np.argsort(-poses.pose_scores[candidates], kind="stable")]
        rivals = np.concatenate([np.flatnonzero(owner >= 0), order])
        similarity = pose_similarity(
            poses.bbox_xyxy[rivals].astype(np.float64),
            poses.keypoints[rivals].astype(np.float64),
            seen[rivals],
            poses.select(order),
            seen[order],
            sigmas=self._skeleton.sigma_array,
            oks_weight=self._config.oks_weight,
        )
        kept = list(range(len(rivals) - len(order)))
        taken = []
        for column in range(len(order)):
            if not kept or similarity[kept, column].max() < self._config.duplicate_similarity:
                kept.append(len(rivals) - len(order) + column)
                taken.append(order[column])
        return np.sort(np.asarray(taken, dtype=np.int64))

    def _start_tracks(self, poses: PoseSet, seen: np.ndarray, embeddings: np.ndarray | None) -> Tracks:
        count = len(poses)
        size = self._encoder.size if self._encoder is not None else 0
        return Tracks(
            ids=np.full(count, -1, dtype=np.int64),
            hits=np.ones(count, dtype=np.int64),
            lost=np.zeros(count, dtype=np.int64),
            known=seen.astype(bool),
            embeddings=np.zeros((count, size)) if embeddings is None else embeddings,
            motion=self._physics.start(poses, seen),
        )

    def _confirm(self) -> None:
        """Give ids to the tracks seen often enough, in row order."""
        ids = self._tracks.ids.copy()
        ready = np.flatnonzero((ids < 0) & (self._tracks.hits >= self._config.confirm_hits))
        ids[ready] = self.new_ids(len(ready))
        self._tracks = replace(self._tracks, ids=ids)

    def _forget(self) -> None:
        """Drop tracks lost for too long, unconfirmed ones at once, and the longest lost beyond ``max_tracks``."""
        lost = self._tracks.lost
        keep = np.flatnonzero((lost <= self._config.max_lost_frames) & ((self._tracks.ids > 0) | (lost == 0)))
        if len(keep) > self._config.max_tracks:
            keep = np.sort(keep[np.argsort(lost[keep], kind="stable")[: self._config.max_tracks]])
        if len(keep) < len(lost):
            self._tracks = self._tracks.select(keep)

    def state(self) -> State:
        """Arrays of all tracks, the counters and the last small grey image."""
        arrays = {f.name: getattr(self._tracks, f.name).copy() for f in fields(Tracks) if f.name != "motion"}
        arrays |= {f"motion_{f.name}": getattr(self._tracks.motion, f.name).copy() for f in fields(MotionState)}
        return super().state() | arrays | {"gray": self._gray.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a saved state."""
        require_keys(state, set(self.state()), "bytepose")
        motion = MotionState(**{f.name: np.array(state[f"motion_{f.name}"]) for f in fields(MotionState)})
        size = self._tracks.embeddings.shape[1]
        if motion.position.shape[1] != BOX + 2 * self._skeleton.num_keypoints or state["embeddings"].shape[1] != size:
            require_keys({}, {"motion_position", "embeddings"}, "bytepose with this skeleton and appearance")
        arrays = {f.name: np.array(state[f.name]) for f in fields(Tracks) if f.name != "motion"}
        self._tracks = Tracks(**arrays, motion=motion)
        super().restore(state)
        self._gray = np.array(state["gray"])


def _running_mean(mean: Float[np.ndarray, "M D"], new: Float[np.ndarray, "M D"], momentum: float) -> Float[np.ndarray, "M D"]:
    """Unit vectors of the running mean; the new vector where nothing was known, the old where nothing new is."""
    mixed = momentum * mean + (1 - momentum) * new
    mixed = np.where(mean.any(axis=1, keepdims=True), mixed, new)
    mixed = np.where(new.any(axis=1, keepdims=True), mixed, mean)
    return np.asarray(mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12))
