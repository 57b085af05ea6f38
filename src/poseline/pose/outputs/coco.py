"""COCO keypoint results: coco.json, and images.json where image ids are positions."""

from __future__ import annotations

from pathlib import Path

from poseline.pose.inputs.base import Image
from poseline.pose.outputs.base import JsonList, Output, RunInfo
from poseline.pose.records import FrameRecord, box_xywh, keypoint_triples


class CocoOutput(Output):
    """A list of {image_id, category_id, keypoints, score, bbox, bbox_score}, with track_id where there is one.

    image_id is the number that the image's name is, as in COCO, where all names are such numbers; else the frame's position among all,
    from 0, and images.json says which frame that is.
    """

    produces = "coco.json"

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._poses = JsonList(self.open_text("coco.json"))
        self._images = None if run.numbered else JsonList(self.open_text("images.json"))
        self._position = 0

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame's poses."""
        image_id = int(Path(record.image_name).stem) if self.run.numbered else self._position
        self._position += 1
        if self._images is not None:
            self._images.add({
                "id": image_id, "file_name": record.image_name, "source": record.source, "frame_index": record.frame_index,
                "time_ms": record.time_ms, "width": record.width, "height": record.height,
            })  # fmt: skip
        poses = record.poses
        for row, (triple, box) in enumerate(zip(keypoint_triples(poses), box_xywh(poses), strict=True)):
            entry: dict[str, object] = {
                "image_id": image_id, "category_id": 1, "keypoints": triple, "score": round(float(poses.pose_scores[row]), 6), "bbox": box,
                "bbox_score": round(float(poses.bbox_scores[row]), 6),
            }  # fmt: skip
            if poses.track_ids[row] > 0:
                entry["track_id"] = int(poses.track_ids[row])
            if record.is_interpolated(row):
                entry["interpolated"] = True
            self._poses.add(entry)

    def finish(self) -> None:
        """End both lists."""
        self._poses.finish()
        if self._images is not None:
            self._images.finish()
