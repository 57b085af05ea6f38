from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.core.poses import PoseSet
from poseline.infer.draw import track_hex
from poseline.report.tracks import VideoFrames, draw_switches, draw_timelines

BOXES = {1: (0.0, 0.0, 10.0, 30.0), 2: (50.0, 0.0, 60.0, 30.0)}


def table(rows: list[tuple[int, int, tuple[float, float, float, float]]], **columns: object) -> PoseTable:
    made = pd.DataFrame([{"frame_index": frame, "image_id": 100 + frame} for frame, _, _ in rows])
    poses = PoseSet(
        keypoints=np.zeros((len(rows), 17, 2)), keypoint_scores=np.ones((len(rows), 17)), bbox_xyxy=np.array([box for _, _, box in rows]),
        track_ids=np.array([own for _, own, _ in rows]),
    )  # fmt: skip
    return PoseTable(made.assign(video_id="v", **columns), poses)


def truth(frames: range, **columns: object) -> PoseTable:
    rows = [(frame, person, box) for frame in frames for person, box in BOXES.items()]
    return table(rows, dataset="posetrack", split="val", is_crowd=False, **columns)


def links(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """Matches (frame, person, track)."""
    return pd.DataFrame(rows, columns=["frame_index", "person", "track_id"]).assign(video_id="v")


def test_a_lane_has_its_spans_its_gap_and_its_switch() -> None:
    found = [(0, 7, BOXES[1]), (1, 7, BOXES[1]), (3, 9, BOXES[1]), (0, 8, BOXES[2]), (1, 8, BOXES[2]), (2, 8, BOXES[2]), (3, 8, BOXES[2])]
    found.append((3, 5, (200.0, 200, 210, 230)))
    followed = links((0, 1, 7), (1, 1, 7), (2, 1, -1), (3, 1, 9), (0, 2, 8), (1, 2, 8), (2, 2, 8), (3, 2, 8))
    (video,) = draw_timelines(followed, table(found))
    first, second = video.lanes
    assert [(span.track_id, span.start, span.stop) for span in first.spans] == [(7, 0, 1), (9, 3, 3)]
    assert [span.colour for span in first.spans] == [track_hex(7), track_hex(9)]
    assert first.switches == ((1, 3),)
    assert first.present == ((0, 3),)
    assert [(span.track_id, span.start, span.stop) for span in second.spans] == [(8, 0, 3)]
    assert (video.num_frames, video.num_switches, video.stray_ids) == (4, 1, 1)
    assert second.words == "person 2: id 8 in frames 0 to 3"


def test_nobody_is_followed_in_an_empty_video() -> None:
    (video,) = draw_timelines(links((0, 1, -1), (0, 2, -1), (1, 1, -1)), table([(0, 1, BOXES[1])]).select(np.zeros(1, dtype=bool)))
    assert [lane.spans for lane in video.lanes] == [(), ()]
    assert video.lanes[0].words == "person 1: followed by no id"
    assert [lane.present for lane in video.lanes] == [((0, 1),), ((0, 0),)]


def test_every_switch_is_shown_with_its_two_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((120, 160, 3), 200, np.uint8))
    people = truth(range(4), image_path=str(tmp_path / "a.png"))
    tracks = table([(frame, 7, BOXES[1]) for frame in range(4)])
    followed = links((0, 1, 7), (1, 1, 7), (3, 1, 9), (0, 2, 8), (1, 2, 6))
    timelines = draw_timelines(followed, tracks)
    frames = VideoFrames.of(people, people, (tracks, "coco17"), dataset="posetrack")
    first, second = draw_switches(frames, people, timelines, dataset="posetrack")
    assert first.title == "Video v, person 1"
    assert [shown.caption for shown in first.images] == ["frame 1: id 7", "frame 3: id 9"]
    assert [shown.caption for shown in second.images] == ["frame 0: id 8", "frame 1: id 6"]
    assert all(shown.uri.startswith("data:image/") for shown in (*first.images, *second.images))
    assert len(draw_switches(frames, people, timelines, most=1, dataset="posetrack")) == 1
