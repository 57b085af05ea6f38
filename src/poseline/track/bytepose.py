"""The default tracker: Kalman prediction, association by likelihood ratio, and tracks that are shown once the evidence is enough.

Reference:
    Blackman and Popoli, Design and Analysis of Modern Tracking Systems, 1999, chapter 6 (track score: the log-likelihood ratio).
    Zhang et al., ByteTrack, ECCV 2022 (poses of low score go on with tracks, but start none). OKS, the score scale and appearance are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.config.tracking import ByteposeConfig
from poseline.core.boxes import box_iou
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import ConfigError
from poseline.track.appearance import appearance_similarity, build_encoder
from poseline.track.association import combined_similarity, match_evidence, moved_oks, pose_similarity
from poseline.track.base import OneOf, Space, Span, State, Tracker, require_keys
from poseline.track.camera import camera_motion, gray_image
from poseline.track.kalman import MotionState
from poseline.track.person_motion import BOX, NOISE_MEMORY, PersonMotion, Sightings, boxes_of, keypoints_of, move
from poseline.track.rates import DetectionRates
from poseline.track.scores import ScoreScale

DETECTION_RATE = 0.9  # people seen of those there
MAX_EVIDENCE = 4.0  # of one sighting for its track
MAX_TRACK_EVIDENCE = 12.0
NEW_TRACK_EVIDENCE = -1.0
MISSED_EVIDENCE = -1.5
DROP_EVIDENCE = -4.0
TYPICAL_OKS = 0.85
STEADY_HITS = 3  # sightings after which a track tells the stream's noise
DUPLICATE_OKS_WEIGHT = 0.4
WAITING_SIGHTINGS = 12  # of an unconfirmed track that are shown later, once it is confirmed
CAMERA_WIDTH = 320  # pixels of the image that the camera's motion is estimated on: enough, and the flow stays cheap


@dataclass(frozen=True)
class Tracks:
    """All living tracks as arrays, T rows.

    Attributes:
        ids: int64, -1 while a track waits for confirmation.
        serials: running number of every track, confirmed or not.
        hits: times seen.
        lost: seconds since last seen.
        evidence: log odds of being a person.
        innovations: [T, 2], the last sighting's place against the prediction, in standard deviations; 0 where unknown.
        known: [T, K], keypoints ever seen.
        embeddings: [T, D], running mean of the appearance, zeros where unknown.
        motion: the filters.
    """

    ids: Int[np.ndarray, " T"]
    serials: Int[np.ndarray, " T"]
    hits: Int[np.ndarray, " T"]
    lost: Float[np.ndarray, " T"]
    evidence: Float[np.ndarray, " T"]
    innovations: Float[np.ndarray, "T 2"]
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
        "relative_score": Span(0.4, 0.9),
        "score_slope": Span(2.0, 10.0, log=True),
        "oks_weight": Span(0.0, 6.0),
        "sigma_scale": Span(1.0, 4.0, log=True),
        "max_lost_seconds": Span(0.4, 3.0, log=True),
        "lost_cost": Span(1.0, 15.0, log=True),
        "confirm_evidence": Span(0.0, 5.0),
        "confirm_hits": OneOf((1, 2, 3)),
        "clutter_density": Span(0.001, 0.1, log=True),
        "acceleration": Span(2.0, 20.0, log=True),
        "box_noise": Span(0.03, 0.12, log=True),
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
        self._scores = ScoreScale(config.relative_score, config.score_slope)
        self._rates = DetectionRates()
        self._sigma_scale = config.sigma_scale
        self._oks = np.zeros((0, 0))
        self._gray = np.zeros((0, 0), dtype=np.uint8)
        self._next_serial = 1
        self._step_seconds = 0.0
        self._waiting: dict[int, list[tuple[int, PoseSet]]] = {}
        self._late: list[tuple[int, PoseSet]] = []
        nobody = np.zeros((0, skeleton.num_keypoints), dtype=bool)
        sightings = self._physics.measure(PoseSet.empty(skeleton.num_keypoints), nobody)
        self._tracks = self._start_tracks(sightings, nobody, None, np.zeros(0))

    @classmethod
    def reads_images(cls, config: ByteposeConfig) -> bool:
        """Whether camera motion or appearance is used."""
        return config.camera_motion != "none" or config.appearance.kind != "none"

    def link(self, poses: PoseSet, step: int, image: np.ndarray | None) -> PoseSet:
        """The poses that belong to confirmed tracks, in input order, with track ids."""
        seen = poses.keypoint_scores >= np.asarray(self._config.min_keypoint_score, dtype=np.float32)
        seen &= poses.visibility > 0
        odds = self._scores.update(poses.pose_scores.astype(np.float64))
        high = (odds >= self._config.start_odds) & (poses.pose_scores >= self._config.high_score)
        self._advance(step, image)
        embeddings = self._encoder.encode(image, poses, seen) if self._encoder is not None and image is not None else None
        sightings = self._physics.measure(poses, seen)
        evidence = self._evidence(poses, sightings, seen, embeddings) + odds
        owner = self._associate(evidence, poses, high)
        self._absorb(sightings, seen, embeddings, owner, evidence)
        started = self._start_from(poses, seen, owner, high)
        owner[started] = len(self._tracks) + np.arange(len(started))
        new_embeddings = None if embeddings is None else embeddings[started]
        self._tracks = self._tracks.join(self._start_tracks(sightings.select(started), seen[started], new_embeddings, odds[started]))
        self._wait(poses, owner)
        self._confirm()
        ids = np.where(owner >= 0, self._tracks.ids[owner], -1) if len(self._tracks) else np.full(len(poses), -1)
        self._forget()
        shown = np.flatnonzero(ids > 0)
        return poses.select(shown).with_track_ids(ids[shown])

    def _advance(self, step: int, image: np.ndarray | None) -> None:
        """Predict all tracks into the new frame, then move them with the camera."""
        tracks, seconds = self._tracks, step / self.frames_per_second
        motion = self._physics.predict(tracks.motion, seconds, tracks.lost > 0)
        if self._config.camera_motion == "sparse" and image is not None:
            gray = gray_image(image, CAMERA_WIDTH)
            if self._gray.size and gray.size:
                people = boxes_of(tracks.motion)
                matrix = camera_motion(self._gray, gray, people_xyxy=people, image_wh=(image.shape[1], image.shape[0]))
                motion = move(motion, matrix)
            self._gray = gray
        self._step_seconds = seconds
        self._tracks = replace(tracks, motion=motion, lost=tracks.lost + seconds)

    def _evidence(self, poses: PoseSet, sightings: Sightings, seen: np.ndarray, embeddings: np.ndarray | None) -> Float[np.ndarray, "T N"]:
        """Log-likelihood ratio of every track and pose, without the pose's score: this person's next sighting, or somebody else."""
        config, tracks = self._config, self._tracks
        if not len(tracks) or not len(poses):
            return np.zeros((len(tracks), len(poses)))
        density = self._physics.log_density(tracks.motion, sightings)
        since = tracks.lost - self._step_seconds
        unseen_cost = config.lost_cost * since + np.where(self._missed(), self._rates.missed_cost(), 0.0)
        evidence = density + np.log(DETECTION_RATE / config.clutter_density) - unseen_cost[:, None]
        rows, columns = np.nonzero(evidence > -config.oks_weight - MAX_EVIDENCE)
        shift = self._physics.expected_shift(tracks.motion.select(rows), sightings.select(columns))
        shared = tracks.known[rows] & seen[columns]
        sigmas = self._skeleton.sigma_array * self._sigma_scale
        oks = moved_oks(keypoints_of(tracks.motion)[rows] + shift[:, None], poses, columns, shared, sigmas)
        self._oks = np.full(evidence.shape, np.nan)
        self._oks[rows, columns] = oks
        evidence[rows, columns] += np.nan_to_num(config.oks_weight * (2 * oks - 1))
        if embeddings is not None:
            cosine = appearance_similarity(tracks.embeddings, embeddings)
            evidence += np.nan_to_num(config.appearance.weight * (cosine - config.appearance.neutral))
        return evidence

    def _associate(self, evidence: Float[np.ndarray, "T N"], poses: PoseSet, high: Bool[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """For each pose the row of its track, -1 for none."""
        config, tracks = self._config, self._tracks
        owner = np.full(len(poses), -1, dtype=np.int64)
        if not evidence.size:
            return owner
        excess = evidence - np.where(high, _log_odds(config.match_threshold), _log_odds(config.low_match_threshold))
        apart = self._missed()[:, None] & (box_iou(boxes_of(tracks.motion), poses.bbox_xyxy) == 0)
        least = _log_odds(config.relink.min_similarity) if config.relink.enabled else np.inf
        excess = np.where(apart, np.minimum(excess, evidence - least), excess)
        rows, columns = match_evidence(excess)
        owner[columns] = rows
        return owner

    def _absorb(
        self, sightings: Sightings, seen: np.ndarray, embeddings: np.ndarray | None, owner: np.ndarray, evidence: np.ndarray
    ) -> None:
        """Correct the tracks with their poses, and hold it against the others that they were not seen."""
        tracks = replace(self._tracks, evidence=self._tracks.evidence + MISSED_EVIDENCE)
        self._tracks = tracks
        columns = np.flatnonzero(owner >= 0)
        rows = owner[columns]
        self._count(rows)
        if not len(rows):
            return
        steady = ~self._missed()[rows] & (tracks.hits[rows] >= STEADY_HITS)
        innovations = np.zeros_like(tracks.innovations)
        if steady.any():
            sure, their = rows[steady], columns[steady]
            self._sigma_scale = self._observed_scale(self._oks[sure, their])
            self._physics, innovations[sure] = self._physics.observe(
                tracks.motion.select(sure), sightings.select(their), tracks.innovations[sure]
            )
        corrected = self._physics.correct(tracks.motion.select(rows), sightings.select(columns))
        hits, lost, known, mean, odds = (
            array.copy() for array in (tracks.hits, tracks.lost, tracks.known, tracks.embeddings, tracks.evidence)
        )
        hits[rows] += 1
        lost[rows] = 0
        odds[rows] = np.minimum(odds[rows] - MISSED_EVIDENCE + np.minimum(evidence[rows, columns], MAX_EVIDENCE), MAX_TRACK_EVIDENCE)
        known[rows] |= seen[columns]
        if embeddings is not None:
            mean[rows] = _running_mean(mean[rows], embeddings[columns], self._config.appearance.momentum)
        motion = tracks.motion.replace_rows(rows, corrected)
        self._tracks = replace(
            tracks, hits=hits, lost=lost, known=known, embeddings=mean, evidence=odds, motion=motion, innovations=innovations
        )

    def _missed(self) -> Bool[np.ndarray, " T"]:
        """The tracks that were not seen in the last frame."""
        return self._tracks.lost > 1.5 * self._step_seconds

    def _count(self, rows: Int[np.ndarray, " P"]) -> None:
        """Tell the rates which of the established tracks were detected; of those unseen, the ones missed once."""
        tracks, missed = self._tracks, self._missed()
        detected = np.isin(np.arange(len(tracks)), rows)
        established = (tracks.ids > 0) & (tracks.hits >= STEADY_HITS)
        once = missed & (tracks.lost <= 2.5 * self._step_seconds)
        self._rates.update(detected, established & ~missed, established & once)

    def _observed_scale(self, oks: Float[np.ndarray, " P"]) -> float:
        """The factor on the OKS sigmas, led towards the one at which half of these sure pairs have an OKS above ``TYPICAL_OKS``."""
        known, most = oks[~np.isnan(oks)], self._config.max_noise_scale
        if not len(known):
            return self._sigma_scale
        ratio = float(np.clip(np.log(max(np.median(known), 1e-9)) / np.log(TYPICAL_OKS), 0.1, 10.0))
        scale = self._sigma_scale * ratio ** (len(known) / (len(known) + NOISE_MEMORY) / 2)
        return float(np.clip(scale, self._config.sigma_scale / most, self._config.sigma_scale * most))

    def _start_from(self, poses: PoseSet, seen: np.ndarray, owner: np.ndarray, high: np.ndarray) -> Int[np.ndarray, " M"]:
        """The free high-score poses that are not a second copy of a person already tracked or of a better pose."""
        candidates = np.flatnonzero((owner < 0) & high)
        if not len(candidates):
            return candidates
        order = candidates[np.argsort(-poses.pose_scores[candidates], kind="stable")]
        rivals = np.concatenate([np.flatnonzero(owner >= 0), order])
        boxes, new = poses.bbox_xyxy[rivals].astype(np.float64), poses.select(order)
        keypoints, sigmas = poses.keypoints[rivals].astype(np.float64), self._skeleton.sigma_array
        oks = pose_similarity(boxes, keypoints, seen[rivals], new, seen[order], sigmas=sigmas)
        similarity = combined_similarity(box_iou(boxes, new.bbox_xyxy), oks, DUPLICATE_OKS_WEIGHT)
        kept = list(range(len(rivals) - len(order)))
        taken = []
        for column in range(len(order)):
            if not kept or similarity[kept, column].max() < self._config.duplicate_similarity:
                kept.append(len(rivals) - len(order) + column)
                taken.append(order[column])
        return np.sort(np.asarray(taken, dtype=np.int64))

    def _start_tracks(self, sightings: Sightings, seen: np.ndarray, embeddings: np.ndarray | None, odds: np.ndarray) -> Tracks:
        count = len(sightings)
        self._next_serial += count
        size = self._encoder.size if self._encoder is not None else 0
        return Tracks(
            ids=np.full(count, -1, dtype=np.int64),
            serials=np.arange(self._next_serial - count, self._next_serial, dtype=np.int64),
            hits=np.ones(count, dtype=np.int64),
            lost=np.zeros(count),
            evidence=NEW_TRACK_EVIDENCE + odds,
            innovations=np.zeros((count, 2)),
            known=seen.astype(bool),
            embeddings=np.zeros((count, size)) if embeddings is None else embeddings,
            motion=self._physics.start(sightings),
        )

    def _wait(self, poses: PoseSet, owner: np.ndarray) -> None:
        """Keep the sightings of tracks that are not confirmed, for :meth:`late`."""
        columns = np.flatnonzero(owner >= 0)
        for column in columns[self._tracks.ids[owner[columns]] < 0]:
            sightings = self._waiting.setdefault(int(self._tracks.serials[owner[column]]), [])
            sightings.append((self._frame_index, poses.select(np.array([column]))))
            del sightings[:-WAITING_SIGHTINGS]

    def _confirm(self) -> None:
        """Give ids to the tracks just seen whose evidence is enough, in row order; a video's first ones do not wait for more sightings."""
        tracks, config = self._tracks, self._config
        ids = tracks.ids.copy()
        needed = config.confirm_hits if self._next_id > 1 else 1
        enough = (tracks.evidence >= config.confirm_evidence) & (tracks.hits >= needed)
        ready = np.flatnonzero((ids < 0) & enough & (tracks.lost == 0))
        ids[ready] = self.new_ids(len(ready))
        self._late = [
            (frame_index, pose.with_track_ids(np.array([ids[row]])))
            for row in ready
            for frame_index, pose in self._waiting.pop(int(tracks.serials[row]), [])
            if frame_index < self._frame_index
        ]
        self._tracks = replace(tracks, ids=ids)

    def late(self) -> list[tuple[int, PoseSet]]:
        """The earlier sightings of the tracks confirmed in the last update. They are no part of the saved state."""
        return list(self._late)

    def _forget(self) -> None:
        """Drop tracks lost for too long, unconfirmed ones without evidence, and the longest lost beyond ``max_tracks``."""
        tracks = self._tracks
        alive = tracks.lost <= self._config.max_lost_seconds + 1e-9
        keep = np.flatnonzero(alive & ((tracks.ids > 0) | (tracks.evidence > DROP_EVIDENCE)))
        if len(keep) > self._config.max_tracks:
            keep = np.sort(keep[np.argsort(tracks.lost[keep], kind="stable")[: self._config.max_tracks]])
        if len(keep) < len(tracks):
            self._tracks = tracks.select(keep)
        waiting = set(self._tracks.serials[self._tracks.ids < 0].tolist())
        self._waiting = {serial: sightings for serial, sightings in self._waiting.items() if serial in waiting}

    def state(self) -> State:
        """Arrays of all tracks, the counters and the last small grey image."""
        arrays = {f.name: getattr(self._tracks, f.name).copy() for f in fields(Tracks) if f.name != "motion"}
        arrays |= {f"motion_{f.name}": getattr(self._tracks.motion, f.name).copy() for f in fields(MotionState)}
        counters = {
            "next_serial": np.array(self._next_serial),
            "last_scores": self._scores.last.copy(),
            "noise_scale": np.array(self._physics.noise_scale),
        }
        counters["acceleration_scale"] = np.array(self._physics.acceleration_scale)
        counters |= {"sigma_scale": np.array(self._sigma_scale), "detection_rates": self._rates.counts.copy()}
        return super().state() | arrays | counters | {"gray": self._gray.copy()}

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
        self._next_serial, self._scores.last = int(state["next_serial"]), np.array(state["last_scores"])
        self._physics = replace(
            self._physics, noise_scale=float(state["noise_scale"]), acceleration_scale=float(state["acceleration_scale"])
        )
        self._sigma_scale, self._rates.counts = float(state["sigma_scale"]), np.array(state["detection_rates"])
        self._waiting, self._late = {}, []


def _running_mean(mean: Float[np.ndarray, "M D"], new: Float[np.ndarray, "M D"], momentum: float) -> Float[np.ndarray, "M D"]:
    """Unit vectors of the running mean; the new vector where nothing was known, the old where nothing new is."""
    mixed = momentum * mean + (1 - momentum) * new
    mixed = np.where(mean.any(axis=1, keepdims=True), mixed, new)
    mixed = np.where(new.any(axis=1, keepdims=True), mixed, mean)
    return np.asarray(mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12))


def _log_odds(probability: float) -> float:
    """Log odds of a probability; infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return float(np.log(probability) - np.log1p(-probability))
