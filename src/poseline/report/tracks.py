"""Tracked videos as the page shows them: which id follows whom when, id switches, and strips of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.core.geometry import warp_points
from poseline.datasets.frame_order import count_steps
from poseline.datasets.images import read_image
from poseline.datasets.sets import named_skeleton
from poseline.infer.draw import crop_to_box, draw_label, draw_pose, fit_width, image_uri, track_hex, track_style
from poseline.project import all_located
from poseline.report.gallery import Image

FRAME_WIDTH = 300
SWITCH_WH = (220, 220)
MIN_SCORE = 0.2


@dataclass(frozen=True)
class Span:
    """Frames ``start`` to ``stop`` (both included) in which one id follows a person; ``colour`` is the id's."""

    track_id: int
    start: int
    stop: int
    colour: str


@dataclass(frozen=True)
class Lane:
    """One person of the truth: when it is there and who follows it.

    Attributes:
        name: for people.
        present: (start, stop) frames in which it is scored.
        spans: who follows it.
        switches: (frame before, frame after) of each change of id.
    """

    name: str
    present: tuple[tuple[int, int], ...]
    spans: tuple[Span, ...]
    switches: tuple[tuple[int, int], ...]

    @property
    def words(self) -> str:
        """The lane in a sentence."""
        seen = "; ".join(f"id {span.track_id} in frames {span.start} to {span.stop}" for span in self.spans)
        return f"{self.name}: {seen or 'followed by no id'}"


@dataclass(frozen=True)
class Timeline:
    """One video: its number of frames, a lane a person, and how many ids follow no person.

    Frames in the lanes are counted in the video's usual step; ``numbers`` gives the frame number of each.
    """

    video_id: str
    num_frames: int
    lanes: tuple[Lane, ...]
    stray_ids: int
    numbers: dict[int, int] = field(default_factory=dict)

    def number(self, position: int) -> int:
        """The frame number at a position of the lanes."""
        return self.numbers.get(position, position)

    @property
    def num_switches(self) -> int:
        """Changes of id over all people."""
        return sum(len(lane.switches) for lane in self.lanes)


def draw_timelines(followed: pd.DataFrame, tracks: PoseTable) -> list[Timeline]:
    """A timeline a video, in the order of their names.

    Args:
        followed: the scored people of each frame (video_id, frame_index, person) and the track_id that follows each, -1 for none.
        tracks: tracked poses.
    """
    timelines = []
    for name, own in followed.groupby("video_id", sort=True):
        tracked = tracks.where(video_id=name)
        shown = sorted({*own["frame_index"].tolist(), *tracked.rows["frame_index"].tolist()})
        position = dict(zip(shown, count_steps(shown), strict=True))
        own = own.assign(frame_index=own["frame_index"].map(position))
        persons = sorted(set(own["person"].tolist()))
        lanes = tuple(make_lane(person, own[own["person"] == person]) for person in persons)
        stray = len(set(tracked.poses.track_ids.tolist()) - set(own["track_id"].tolist()))
        numbers = {place: number for number, place in position.items()}
        timelines.append(Timeline(str(name), max(numbers) + 1, lanes, stray, numbers))
    return timelines


def make_lane(person: int, rows: pd.DataFrame) -> Lane:
    """One person's lane from its frames."""
    rows = rows.sort_values("frame_index")
    seen = rows[rows["track_id"] >= 0]
    pairs = list(zip(seen["frame_index"].tolist(), seen["track_id"].tolist(), strict=True))
    spans: list[Span] = []
    switches = []
    for place, (frame, own) in enumerate(pairs):
        if spans and spans[-1].track_id == own and spans[-1].stop == frame - 1:
            spans[-1] = Span(own, spans[-1].start, frame, spans[-1].colour)
        else:
            spans.append(Span(own, frame, frame, track_hex(own)))
        if place and pairs[place - 1][1] != own:
            switches.append((pairs[place - 1][0], frame))
    return Lane(f"person {person}", tuple(join_frames(rows["frame_index"].tolist())), tuple(spans), tuple(switches))


def join_frames(frames: list[int]) -> list[tuple[int, int]]:
    """Runs of consecutive frames.

    >>> join_frames([0, 1, 2, 5])
    [(0, 2), (5, 5)]
    """
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and runs[-1][1] == frame - 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


@dataclass(frozen=True)
class VideoFrames:
    """Draws the tracked poses of videos on their frames.

    Attributes:
        tracks: tracked poses.
        skeleton: their keypoints' name.
        paths: (video, frame) -> image.
    """

    tracks: PoseTable
    skeleton: str
    paths: dict[tuple[str, int], Path]

    @classmethod
    def of(cls, people: PoseTable, poses: PoseTable, tracks: tuple[PoseTable, str], *, dataset: str) -> VideoFrames:
        """The frames of a data set that the ground truth or the predictions name."""
        own = people.where(dataset=dataset, split="val")
        known = pd.concat([table.rows[["video_id", "frame_index", "image_path"]] for table in (own, poses)]).drop_duplicates()
        columns = (known["video_id"].tolist(), known["frame_index"].tolist(), all_located(known["image_path"]))
        paths = {(video_id, frame): path for video_id, frame, path in zip(*columns, strict=True)}
        return cls(tracks[0], tracks[1], paths)

    def draw(self, video_id: str, frame: int) -> np.ndarray:
        """A frame with its tracked poses and their ids, at the width of a strip."""
        canvas, matrix = fit_width(read_image(self.paths[video_id, frame]), FRAME_WIDTH)
        self._draw_people(canvas, matrix, video_id, frame)
        return canvas

    def draw_around(self, video_id: str, frame: int, bbox_xyxy: np.ndarray) -> np.ndarray:
        """The surroundings of a person with the tracked poses and their ids."""
        canvas, matrix = crop_to_box(read_image(self.paths[video_id, frame]), bbox_xyxy, SWITCH_WH, padding=1.6)
        self._draw_people(canvas, matrix, video_id, frame)
        return canvas

    def _draw_people(self, canvas: np.ndarray, matrix: np.ndarray, video_id: str, frame: int) -> None:
        skeleton = named_skeleton(self.skeleton, key="skeleton of the tracks")
        poses = self.tracks.where(video_id=video_id, frame_index=frame).poses
        points, scores = poses.keypoints, poses.keypoint_scores
        corners = poses.bbox_xyxy.astype(np.float64).reshape(-1, 2, 2)
        for place, track_id in enumerate(poses.track_ids.tolist()):
            look = track_style(track_id)
            draw_pose(canvas, warp_points(points[place], matrix), scores[place] >= MIN_SCORE, skeleton, look)
            x, y = warp_points(corners[place], matrix)[0]
            draw_label(canvas, f"id {track_id}", (float(x), float(y)), look.middle)


def draw_strip(frames: VideoFrames, timeline: Timeline, *, count: int = 6) -> list[Image]:
    """Consecutive frames around the first change of id, or from the middle of the video."""
    changes = sorted(switch for lane in timeline.lanes for switch in lane.switches)
    middle = changes[0][1] if changes else timeline.num_frames // 2
    start = max(0, min(middle - count // 2, timeline.num_frames - count))
    images = []
    for frame in range(start, min(start + count, timeline.num_frames)):
        number = timeline.number(frame)
        if (timeline.video_id, number) in frames.paths:
            canvas = frames.draw(timeline.video_id, number)
            height, width = canvas.shape[:2]
            seen = frames.tracks.where(video_id=timeline.video_id, frame_index=number)
            ids = ", ".join(str(own) for own in sorted(seen.poses.track_ids.tolist())) or "none"
            alt = f"Video {timeline.video_id}, frame {number}: tracked ids {ids}"
            images.append(Image(image_uri(canvas, quality=74), width, height, alt, f"frame {number}"))
    return images


@dataclass(frozen=True)
class Switch:
    """A change of id: the person's last image under the old id and the first under the new one."""

    title: str
    images: tuple[Image, Image]


def draw_switches(
    frames: VideoFrames, people: PoseTable, timelines: list[Timeline], *, dataset: str, most: int | None = None
) -> list[Switch]:
    """The first ``most`` changes of id (all, where None), video by video."""
    found = [(timeline, lane, switch) for timeline in timelines for lane in timeline.lanes for switch in lane.switches]
    own = people.where(dataset=dataset, split="val")
    switches = []
    for timeline, lane, pair in found[:most]:
        video_id = timeline.video_id
        person = int(lane.name.removeprefix("person "))
        chosen = own.select((own.rows["video_id"] == video_id).to_numpy() & (own.poses.track_ids == person))
        boxes = dict(zip(chosen.rows["frame_index"].tolist(), chosen.poses.bbox_xyxy, strict=True))
        images = []
        for frame in pair:
            followed = next(span.track_id for span in lane.spans if span.start <= frame <= span.stop)
            number = timeline.number(frame)
            canvas = frames.draw_around(video_id, number, boxes[number])
            alt = f"{lane.name} of video {video_id} in frame {number}, followed by id {followed}"
            images.append(Image(image_uri(canvas, quality=74), *SWITCH_WH, alt, f"frame {number}: id {followed}"))
        switches.append(Switch(f"Video {video_id}, {lane.name}", (images[0], images[1])))
    return switches
