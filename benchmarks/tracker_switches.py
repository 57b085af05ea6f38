"""Every id switch of the default tracker on one real sequence, with what happened around it: a line each, and how many of each kind.

    python benchmarks/tracker_switches.py --real DIR --sequence KITTI-13 --input drop [--thin 1] [--seed 0]

The same inputs as `benchmarks/trackers.py compare`. Kinds: back (to an id that the person had before), exchange (with another person, who
takes this one's id), neighbour (the id of another person within the last 15 frames), other (of another person, longer ago), false
positive (of a track that had followed nobody), new. Beside it: frames since the person was last found, the largest overlap (IoU) with
another person since then, the largest step of the person's centre between two frames in box heights, and what the old id follows then.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poseline.config.tracking import TrackConfig
from poseline.core.boxes import box_iou, xywh_to_xyxy
from poseline.metrics.clear_mot import ClearMotCounts, TrackMatch, count_clear_mot
from poseline.track.mot_sequences import Boxes, read_sequences, track_sequence

NEAR_FRAMES = 15
EMPTY = np.zeros((0, 5))


@dataclass(frozen=True)
class Switch:
    """One switch: ``frame`` from 1, the person's id, the ids of the tracks, and what was seen around it."""

    frame: int
    person: int
    before: int
    after: int
    kind: str
    gap: int
    overlap: float
    step: float
    old_id: str


def match(ground_truth: Boxes, tracked: Boxes) -> ClearMotCounts:
    """The matches at IoU .5, frame by frame from 1."""
    frames = []
    for frame in range(1, max(ground_truth) + 1):
        own, other = ground_truth.get(frame, EMPTY), tracked.get(frame, EMPTY)
        distance = 1.0 - box_iou(xywh_to_xyxy(own[:, :4]), xywh_to_xyxy(other[:, :4]))
        frames.append((own[:, 4].astype(int).tolist(), other[:, 4].astype(int).tolist(), np.where(distance <= 0.5, distance, np.nan)))
    return count_clear_mot(frames)


def name_kind(one: TrackMatch, matches: list[TrackMatch], first_shown: dict[int, int]) -> str:
    """Where the id that the person takes came from."""
    earlier = [other for other in matches if other.predicted_id == one.predicted_id and other.frame < one.frame]
    if any(other.ground_truth_id == one.ground_truth_id for other in earlier):
        return "back"
    if not earlier:
        return "new" if first_shown[int(str(one.predicted_id))] >= one.frame else "false positive"
    owner, last = earlier[-1].ground_truth_id, earlier[-1].frame
    taken = any(
        other.ground_truth_id == owner and other.predicted_id == one.previous_id and abs(other.frame - one.frame) <= NEAR_FRAMES
        for other in matches
        if other.previous_id is not None
    )
    return "exchange" if taken else "neighbour" if one.frame - last <= NEAR_FRAMES else "other"


def look_around(ground_truth: Boxes, person: int, start: int, stop: int) -> tuple[float, float]:
    """Largest overlap with another person, and largest step between two frames in box heights, in frames ``start`` to ``stop``."""
    overlap, step, before = 0.0, 0.0, None
    for frame in range(start, stop + 1):
        rows = ground_truth.get(frame, EMPTY)
        mine = rows[rows[:, 4] == person]
        if not len(mine):
            continue
        others = rows[rows[:, 4] != person]
        if len(others):
            overlap = max(overlap, float(box_iou(xywh_to_xyxy(mine[:, :4]), xywh_to_xyxy(others[:, :4])).max()))
        centre = mine[0, :2] + mine[0, 2:4] / 2
        if before is not None:
            step = max(step, float(np.linalg.norm(centre - before)) / float(mine[0, 3]))
        before = centre
    return overlap, step


def list_switches(ground_truth: Boxes, tracked: Boxes) -> list[Switch]:
    """Every switch in the order of frames."""
    matches = match(ground_truth, tracked).matches
    first_shown: dict[int, int] = {}
    for frame in sorted(tracked):
        for track in tracked[frame][:, 4].astype(int).tolist():
            first_shown.setdefault(track, frame - 1)
    found = []
    for one in matches:
        if one.previous_id is None:
            continue
        person = int(str(one.ground_truth_id))
        last = max(other.frame for other in matches if other.ground_truth_id == person and other.frame < one.frame)
        overlap, step = look_around(ground_truth, person, last + 1, one.frame + 1)
        later = [o.ground_truth_id for o in matches if o.predicted_id == one.previous_id and 0 <= o.frame - one.frame <= NEAR_FRAMES]
        shown = any(int(str(one.previous_id)) in tracked.get(f + 1, EMPTY)[:, 4] for f in range(one.frame, one.frame + NEAR_FRAMES))
        old = f"person {later[0]}" if later else "nobody" if shown else "ends"
        kind = name_kind(one, matches, first_shown)
        ids = int(str(one.previous_id)), int(str(one.predicted_id))
        found.append(Switch(one.frame + 1, person, *ids, kind, one.frame - last, overlap, step, old))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=Path(os.environ.get("POSELINE_REAL", "../shared/real")))
    parser.add_argument("--sequence", required=True)
    parser.add_argument("--input", choices=("drop", "occlude", "detections"), default="drop")
    parser.add_argument("--thin", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sequence = read_sequences(given.real / "mot", given.input, seed=given.seed, stride=given.thin)[given.sequence]
    switches = list_switches(sequence.ground_truth, track_sequence(TrackConfig(), sequence.detections, given.seed))
    for one in switches:
        print(
            f"frame {one.frame:4d}  person {one.person:3d}  {one.before:3d} -> {one.after:3d}  {one.kind:14s} unseen {one.gap:3d}  "
            f"overlap {one.overlap:.2f}  step {one.step:.2f}  the old id: {one.old_id}"
        )
    people = len({int(i) for rows in sequence.ground_truth.values() for i in rows[:, 4]})
    kinds = Counter(one.kind for one in switches)
    print(f"{len(switches)} switches, {people} people:", ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))


if __name__ == "__main__":
    main()
