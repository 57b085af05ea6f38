from __future__ import annotations

import numpy as np
import pytest

from poseline.config.tracking import ByteposeConfig, RelinkConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.track.bytepose import BytePoseTracker
from poseline.track.rates import MEMORY, DetectionRates


def _shown(rates: DetectionRates, seen: float, missed: float, frames: int = 400) -> DetectionRates:
    """After frames with ten tracks of each group, of which these fractions are detected."""
    for _ in range(frames):
        place = np.arange(20)
        detected = np.where(place < 10, place < 10 * seen, place - 10 < 10 * missed)
        rates.update(detected, place < 10, place >= 10)
    return rates


def test_accidental_misses_cost_nothing_and_lasting_ones_the_difference_of_the_log_odds() -> None:
    assert _shown(DetectionRates(), 0.9, 0.9).missed_cost() == pytest.approx(0, abs=1e-9)
    assert _shown(DetectionRates(), 0.9, 0.3).missed_cost() == pytest.approx(np.log(9) - np.log(3 / 7), rel=0.02)
    assert _shown(DetectionRates(), 0.3, 0.9).missed_cost() == 0


def test_old_chances_fade() -> None:
    rates = _shown(_shown(DetectionRates(), 0.9, 0.2), 0.9, 0.9)
    assert rates.counts[:, 1] == pytest.approx([MEMORY, MEMORY])
    assert rates.missed_cost() < 0.05


def _people(centres: list[float], rng: np.random.Generator) -> PoseSet:
    """Upright people of 40 x 100 px at these places, boxes and keypoints with the jitter of a detector."""
    x = np.array(centres) + rng.normal(0, 2, len(centres))
    y = 200 + rng.normal(0, 5, len(centres))
    boxes = np.stack([x - 20, y - 50, x + 20, y + 50], axis=1)
    pattern = np.random.default_rng(5).uniform((-18, -45), (18, 45), (17, 2))
    keypoints = pattern + np.stack([x, y], axis=1)[:, None] + rng.normal(0, 2, (len(centres), 17, 2))
    return PoseSet(keypoints=keypoints, keypoint_scores=np.full((len(centres), 17), 0.9), bbox_xyxy=boxes)


def _follow(hidden_for: int, *, learn: bool) -> int:
    """How often the person in front changes id while the one behind is hidden again and again, 16 px beside."""
    tracker, rng = BytePoseTracker(ByteposeConfig(relink=RelinkConfig()), load_skeleton("coco17")), np.random.default_rng(0)
    changes, last, hidden = 0, -1, np.zeros(400, dtype=bool)
    for start in range(20, 400, 2 * hidden_for):
        hidden[start : start + hidden_for] = True
    for frame in range(400):
        poses = _people([300.0] if hidden[frame] else [300.0, 316.0], rng)
        if not learn:
            tracker._rates = DetectionRates()
        tracked = tracker.update(poses)
        front = np.flatnonzero((tracked.bbox_xyxy == poses.bbox_xyxy[0]).all(axis=1))
        if len(front):
            changes += last not in (-1, int(tracked.track_ids[front[0]]))
            last = int(tracked.track_ids[front[0]])
    return changes


def test_a_lone_detection_stays_with_the_person_seen_last(unchecked: None) -> None:
    assert _follow(10, learn=True) < _follow(10, learn=False)
