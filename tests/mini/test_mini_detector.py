"""The simulated detector: faults where a real one has them."""

from __future__ import annotations

import numpy as np

from poseline.mini.detector import SimulatedDetector
from poseline.mini.scene import Person


def make_person(share: float, *, track: int = -1) -> Person:
    return Person(np.zeros((21, 2)), np.full(21, 2, np.uint8), (100, 60), np.ones((130, 50), bool), np.zeros(4), share, track)


def overlap(box: tuple[float, float, float, float]) -> float:
    """IoU with the person's ground-truth box."""
    x0, y0, x1, y1 = max(box[0], 100), max(box[1], 60), min(box[0] + box[2], 150), min(box[1] + box[3], 190)
    shared = max(x1 - x0, 0) * max(y1 - y0, 0)
    return shared / (box[2] * box[3] + 130 * 50 - shared)


def best_overlaps(share: float, *, runs: int = 300) -> np.ndarray:
    detector = SimulatedDetector(np.random.default_rng(0), (320, 240))
    return np.array([max((overlap(one.bbox_xywh) for one in detector.detect([make_person(share)])), default=0.0) for _ in range(runs)])


def test_hidden_people_are_missed_more_and_boxed_worse() -> None:
    clear, hidden = best_overlaps(1.0), best_overlaps(0.3)
    assert (clear > 0.5).mean() > 0.95
    assert (hidden > 0.5).mean() < 0.85
    assert clear[clear > 0.5].mean() > hidden[hidden > 0.5].mean() + 0.05


def test_scores_tell_people_from_clutter() -> None:
    detector = SimulatedDetector(np.random.default_rng(1), (320, 240))
    right, wrong = [], []
    for _ in range(200):
        for one in detector.detect([make_person(0.9)]):
            x, y, w, h = one.bbox_xywh
            assert x >= 0
            assert y >= 0
            assert x + w <= 320.01
            assert y + h <= 240.01
            (right if overlap(one.bbox_xywh) > 0.6 else wrong).append(one.score)
    assert len(wrong) > 20
    assert np.mean(right) > np.mean(wrong) + 0.3


def test_misses_in_a_video_come_in_runs() -> None:
    def misses(track: int) -> np.ndarray:
        detector = SimulatedDetector(np.random.default_rng(2), (320, 240))
        found = [[one for one in detector.detect([make_person(0.35, track=track)]) if overlap(one.bbox_xywh) > 0.4] for _ in range(1500)]
        return np.array([not one for one in found], float)

    def correlation(missed: np.ndarray) -> float:
        return float(np.corrcoef(missed[1:], missed[:-1])[0, 1])

    assert correlation(misses(track=1)) > correlation(misses(track=-1)) + 0.15
