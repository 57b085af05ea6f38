"""HOTA and identity against TrackEval 1.3.0, CLEAR MOT against py-motmetrics 1.4.0, on drawn tracks.

``golden/tracking_oracles.json`` holds what those packages gave for ``draw_tracks(seed)``; they are not needed here.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poseline.metrics.clear_mot import count_clear_mot, gate_similarity
from poseline.metrics.track_frames import TrackFrame
from poseline.metrics.tracking_score import TrackingScore, score_track_frames

SEEDS = (3, 14, 159)
GOLDEN = json.loads((Path(__file__).parent / "golden/tracking_oracles.json").read_text())
NAMES = ["combined", *map(str, SEEDS)]
HOTA = {
    "HOTA": "hota",
    "DetA": "det_a",
    "AssA": "ass_a",
    "LocA": "loc_a",
    "DetRe": "det_re",
    "DetPr": "det_pr",
    "AssRe": "ass_re",
    "AssPr": "ass_pr",
    "OWTA": "owta",
}
CLEAR = {
    "num_misses": "misses",
    "num_switches": "switches",
    "num_false_positives": "false_positives",
    "num_objects": "objects",
    "num_detections": "detections",
    "num_fragmentations": "fragmentations",
    "mostly_tracked": "mostly_tracked",
    "partially_tracked": "partially_tracked",
    "mostly_lost": "mostly_lost",
    "mota": "mota",
}
IDENTITY = {"IDTP": "true_positives", "IDFP": "false_positives", "IDFN": "false_negatives", "IDF1": "idf1", "IDP": "idp", "IDR": "idr"}


def draw_tracks(seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Frames of (object ids, track ids, IoU [N, M]): jitter, misses, false positives, swaps, people who leave, empty frames."""
    rng = np.random.RandomState(seed)
    num_frames, num_people = 25 + seed % 7, 4 + seed % 4
    start, speed = rng.uniform(0, 200, (num_people, 2)), rng.normal(0, 6, (num_people, 2))
    tracks = np.arange(num_people) + 100
    frames = []
    for t in range(num_frames):
        boxes = np.concatenate([start + speed * t, start + speed * t + 60], axis=1)
        here = rng.uniform(size=num_people) > 0.08
        if t % 9 == 4:
            a, b = rng.choice(num_people, 2, replace=False)
            tracks[[a, b]] = tracks[[b, a]]
        if t % 11 == 7:
            tracks[rng.randint(num_people)] = 200 + t
        found = rng.uniform(size=num_people) > 0.15
        predicted = boxes + rng.normal(0, 9, boxes.shape)
        if t == 5:
            here[:] = False
        if t == 12:
            found[:] = False
        extra = rng.uniform(0, 250, (rng.randint(3), 2))
        predicted = np.concatenate([predicted[found], np.concatenate([extra, extra + 60], axis=1)])
        ids = np.concatenate([tracks[found], 500 + 10 * t + np.arange(len(extra))])
        frames.append((np.arange(num_people)[here] + 1, ids, pair_iou(boxes[here], predicted)))
    return frames


def pair_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    span = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.prod(np.maximum(span, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


@pytest.fixture(scope="module")
def score() -> TrackingScore:
    return score_track_frames({str(seed): [TrackFrame(*frame) for frame in draw_tracks(seed)] for seed in SEEDS})


def part(score: TrackingScore, name: str) -> tuple[TrackingScore, dict[str, dict]]:
    return (score, GOLDEN["combined"]) if name == "combined" else (score.sequences[name], GOLDEN["sequences"][name])


@pytest.mark.parametrize("name", NAMES)
def test_hota_at_every_threshold_is_trackevals(score: TrackingScore, name: str) -> None:
    own, golden = part(score, name)
    for theirs, ours in HOTA.items():
        np.testing.assert_allclose(getattr(own.hota, ours), golden["hota"][theirs], rtol=0, atol=1e-12, err_msg=theirs)


@pytest.mark.parametrize("name", NAMES)
def test_identity_is_trackevals_and_motmetrics(score: TrackingScore, name: str) -> None:
    own, golden = part(score, name)
    for theirs, ours in IDENTITY.items():
        assert getattr(own.identity, ours) == pytest.approx(golden["identity"][theirs], abs=1e-12), theirs
    assert own.identity.idf1 == pytest.approx(golden["clear"]["idf1"], abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_clear_counts_are_motmetrics(score: TrackingScore, name: str) -> None:
    own, golden = part(score, name)
    for theirs, ours in CLEAR.items():
        assert getattr(own.tracks, ours) == pytest.approx(golden["clear"][theirs], abs=1e-12), theirs


@pytest.mark.parametrize("seed", SEEDS)
def test_event_distance_is_the_sum_of_motmetrics_event_table(seed: int) -> None:
    counts = count_clear_mot(
        (ground_truth.tolist(), predicted.tolist(), gate_similarity(similarity, 0.5))
        for ground_truth, predicted, similarity in draw_tracks(seed)
    )
    golden = GOLDEN["sequences"][str(seed)]
    assert counts.event_distance == pytest.approx(golden["event_distance"], abs=1e-10)
    assert counts.distance == pytest.approx(golden["distance"], abs=1e-10)
