"""AlphaPose's JSON in its three forms, field for field.

Quirks kept, because scripts written for AlphaPose rely on them: images without people are absent; a score is the box's plus the mean and
1.25 times the maximum of the keypoints' (up to 3.25); without tracking ``idx`` is a list of the merged detections' ids, which are all 0
there; a pose without a track among tracked ones has 0. The two other forms hold 18 joints, OpenPose's, with the neck between the shoulders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np

from poseline.artifacts import write_text
from poseline.codecs.scores import pose_score
from poseline.core.skeletons import load_skeleton
from poseline.errors import ConfigError
from poseline.pose.inputs.base import Image
from poseline.pose.outputs.base import JsonList, Output, RunInfo
from poseline.pose.records import FrameRecord, box_xywh, keypoint_triples

OPENPOSE_ORDER = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Of each of the 18 joints its place among COCO's; -1: the neck."""
_LEFT_SHOULDER, _RIGHT_SHOULDER = 5, 6


class AlphaPoseOutput(Output):
    """alphapose-results.json: a list of {image_id, category_id, keypoints, score, box, idx}."""

    produces = "alphapose-results.json"

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._list = JsonList(self.open_text("alphapose-results.json"))

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame's poses."""
        poses = record.poses
        if not len(poses):
            return
        scores = pose_score(poses.keypoint_scores, poses.bbox_scores, "published")
        nobody: object = 0 if self.run.tracked else [0.0]
        for row, (triple, box) in enumerate(zip(keypoint_triples(poses), box_xywh(poses), strict=True)):
            track_id = int(poses.track_ids[row])
            self._list.add({
                "image_id": alphapose_name(record, self.run), "category_id": 1, "keypoints": triple,
                "score": round(float(scores[row]), 6), "box": box, "idx": track_id if track_id > 0 else nobody,
            })  # fmt: skip

    def finish(self) -> None:
        """End the list."""
        self._list.finish()


class _Joints18Output(Output):
    """A mapping from image to its people, and a file an image under sep-json/."""

    people_key: ClassVar[str]
    joints_key: ClassVar[str]

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._file = self.open_text(self.produces)
        self._between = "{"

    @classmethod
    def check(cls, run: RunInfo) -> None:
        """Nothing, where the skeleton begins with COCO's 17 keypoints.

        Raises:
            ConfigError: it does not.
        """
        if run.skeleton.keypoints[:17] != load_skeleton("coco17").keypoints:
            name = cls.produces.removesuffix(".json")
            raise ConfigError(
                f"--format {name}: its 18 joints come from COCO's 17 keypoints; the network's skeleton is '{run.skeleton.name}'."
            )

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame's people."""
        if not len(record.poses):
            return
        people = [{self.joints_key: joints} for joints in openpose_joints(keypoint_triples(record.poses))]
        content = {"version": "AlphaPose v0.3", self.people_key: people}
        name = alphapose_name(record, self.run)
        self._file.write(f"{self._between}{json.dumps(name)}: {json.dumps(content)}")
        self._between = ",\n"
        write_text(self.out / self.produces.removesuffix(".json") / "sep-json" / f"{Path(name).with_suffix('')}.json", json.dumps(content))

    def finish(self) -> None:
        """End the mapping."""
        self._file.write("}\n" if self._between != "{" else "{}\n")


class CmuOutput(_Joints18Output):
    """alphapose-cmu.json: {image: {version, bodies: [{joints: [54 numbers]}]}}."""

    produces, people_key, joints_key = "alphapose-cmu.json", "bodies", "joints"


class OpenPoseOutput(_Joints18Output):
    """alphapose-open.json: {image: {version, people: [{pose_keypoints_2d: [54 numbers]}]}}."""

    produces, people_key, joints_key = "alphapose-open.json", "people", "pose_keypoints_2d"


def alphapose_name(record: FrameRecord, run: RunInfo) -> str:
    """The image's base name as AlphaPose has it; with several sources the source stands before it, or frames would be mixed up."""
    name = Path(record.image_name).name
    return name if len(run.sources) == 1 and "/" not in record.image_name else f"{run.sources[record.source].stem}/{name}"


def openpose_joints(triples: list[list[float]]) -> list[list[float]]:
    """The 18 joints of each pose, from 17 of COCO or a skeleton that begins with them; the neck is the shoulders' mean, score too."""
    if not triples:
        return []
    body = np.asarray(triples).reshape(len(triples), -1, 3)
    neck = body[:, [_LEFT_SHOULDER, _RIGHT_SHOULDER]].mean(axis=1, keepdims=True)
    joints = np.concatenate([body[:, :17], neck], axis=1)[:, [17 if place < 0 else place for place in OPENPOSE_ORDER]]
    flat: list[list[float]] = joints.reshape(len(triples), -1).round(4).tolist()
    return flat
