"""Track scores of whole data sets in one call: HOTA, identity and CLEAR on OKS (poses) or IoU (boxes), and keypoint HOTA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from poseline.core.skeletons import load_skeleton
from poseline.metrics.hota import HotaScore, combine_hota, score_hota
from poseline.metrics.identity import IdentityScore, TrackQuality, score_identity, score_tracks
from poseline.metrics.posetrack_frames import ScoredFrame
from poseline.metrics.track_frames import TrackFrame, joint_frames


@dataclass(frozen=True)
class TrackingScore:
    """What a tracker did, on one similarity.

    Attributes:
        hota: at the 19 thresholds.
        identity: IDF1 and its counts.
        tracks: switches, fragmentations, mostly tracked and lost.
        sequences: the same of each video.
    """

    hota: HotaScore
    identity: IdentityScore
    tracks: TrackQuality
    sequences: Mapping[str, TrackingScore]

    @property
    def metrics(self) -> dict[str, float]:
        """hota, det_a, ass_a, loc_a, ..., idf1, idp, idr, clear_mota, switches, fragmentations, mostly_tracked, mostly_lost."""
        return {
            **self.hota.metrics,
            "idf1": self.identity.idf1,
            "idp": self.identity.idp,
            "idr": self.identity.idr,
            "clear_mota": self.tracks.mota,
            "switches": self.tracks.switches,
            "fragmentations": self.tracks.fragmentations,
            "mostly_tracked": self.tracks.mostly_tracked,
            "partially_tracked": self.tracks.partially_tracked,
            "mostly_lost": self.tracks.mostly_lost,
        }


def score_track_frames(sequences: Mapping[str, Sequence[TrackFrame]], *, threshold: float = 0.5) -> TrackingScore:
    """Track scores of any sequences of frames with similarities."""
    each = {name: _score_together([frames], threshold, {}) for name, frames in sequences.items()}
    return _score_together(list(sequences.values()), threshold, each)


def _score_together(sequences: Sequence[Sequence[TrackFrame]], threshold: float, each: Mapping[str, TrackingScore]) -> TrackingScore:
    hota = [score.hota for score in each.values()] or [score_hota(frames) for frames in sequences]
    return TrackingScore(
        hota=combine_hota(hota),
        identity=score_identity(sequences, threshold=threshold),
        tracks=score_tracks(sequences, threshold=threshold),
        sequences=each,
    )


def score_keypoint_hota(videos: Mapping[str, Sequence[ScoredFrame]]) -> tuple[HotaScore, dict[str, HotaScore]]:
    """PoseTrack21's keypoint HOTA of the strictly scored frames of videos: in total, and of each joint.

    Every joint is a class of its own; the total adds the joints' counts, and weighs each video's mean association by its true
    positives. A frame without predictions adds the frame's joints to the false negatives (the published script adds the video's).

    Reference:
        Doering et al., PoseTrack21, CVPR 2022.
    """
    joints = load_skeleton("posetrack15").keypoints
    per_video = [[score_hota(joint_frames(frames, j), assign_by="frame") for j in range(len(joints))] for frames in videos.values()]
    by_joint = {joint: combine_hota([video[j] for video in per_video]) for j, joint in enumerate(joints)}
    return combine_hota([_over_joints(video) for video in per_video]), by_joint


def _over_joints(scores: Sequence[HotaScore]) -> HotaScore:
    """Counts added over the joints of one video; association and localisation as plain means over the joints."""
    pooled = combine_hota(scores)
    means = {name: np.mean([getattr(score, name) for score in scores], axis=0) for name in ("ass_a", "ass_re", "ass_pr", "loc_a")}
    return replace(pooled, **means)
