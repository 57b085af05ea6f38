"""PoseTrack18 result files, one for each source."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.files import PoseTrackFrame, PoseTrackSequence, write_sequence
from poseline.pose.inputs.base import Image
from poseline.pose.outputs.base import Output, RunInfo
from poseline.pose.records import FrameRecord
from poseline.track.videos import track_submission

MIN_KEYPOINT_SCORE = 0.2


class PoseTrackOutput(Output):
    """posetrack18/SOURCE.json: PoseTrack's 17 keypoints; those scored below 0.2 are left out, as its tracking protocol wants.

    The poses of one source are held until it ends. Ids count from 0 in order of first appearance. The format has no pose without an id: in
    a source with tracks such poses are left out, in one without tracks each pose has an id of its frame alone.
    """

    produces = "posetrack18/"

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._target = load_skeleton("posetrack17")
        self._source = ""
        self._frames: list[PoseTrackFrame] = []

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Take a frame's people."""
        if record.source != self._source:
            self.finish()
            self._source = record.source
        stem = self.run.sources[record.source].stem
        people = record.poses.convert(self.run.skeleton, self._target)
        name = f"{stem}/{Path(record.image_name).name}" if record.image else f"{stem}/{record.frame_index:06d}.jpg"
        heads = np.full((len(people), 4), -1.0)
        self._frames.append(PoseTrackFrame(record.frame_index, name, record.frame_index, True, (), people, heads))

    def finish(self) -> None:
        """Write the file of the source that ended."""
        if not self._frames:
            return
        stem, everyone = self.run.sources[self._source].stem, [frame.people for frame in self._frames]
        if any((people.track_ids > 0).any() for people in everyone):
            everyone = [people.select(people.track_ids > 0) for people in everyone]
        else:
            everyone = [people.with_track_ids(np.arange(len(people))) for people in everyone]
        frames = tuple(frame.with_people(people) for frame, people in zip(self._frames, everyone, strict=True))
        submission, _ = track_submission(PoseTrackSequence(stem, frames), everyone, min_keypoint_score=MIN_KEYPOINT_SCORE)
        write_sequence(self.out / "posetrack18" / f"{stem}.json", submission)
        self._frames = []
