"""What the default tracker takes from its stream: scores, noise, and sightings recognised later."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.config.tracking import ByteposeConfig, TrackConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.track.association import match_evidence
from poseline.track.build import build_tracker, track_frames, track_video
from poseline.track.scores import MAX_EVIDENCE, ScoreScale


def test_the_same_scores_on_another_scale_mean_the_same() -> None:
    scores = np.array([0.9, 0.5, 0.2, 0.8])
    plain, tenfold = ScoreScale(0.7, 5.0), ScoreScale(0.7, 5.0)
    assert np.allclose(plain.update(scores), tenfold.update(10 * scores))
    assert np.abs(plain.update(np.array([0.0, 5.0]))).max() == MAX_EVIDENCE
    assert plain.update(np.zeros(0)).shape == (0,)


def test_scores_are_remembered_within_bounds() -> None:
    scale = ScoreScale(0.7, 5.0)
    for _ in range(100):
        scale.update(np.full(20, 0.5))
    assert len(scale.last) == ScoreScale.MEMORY


def test_the_best_total_evidence_wins_and_none_is_made_against_the_evidence() -> None:
    rows, columns = match_evidence(np.array([[3.0, -1.0, -np.inf], [2.5, -2.0, -1.0]]))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0)]


def _pale(scenes) -> list[PoseSet]:
    """One person of high score all the time, and one of lower score from frame 5 on."""
    scores = np.full((2, 12), 0.9)
    scores[1] = 0.62
    visible = np.ones((2, 12), dtype=bool)
    visible[1, :5] = False
    return scenes.draw(
        np.stack([scenes.line((100, 180), (1, 0), 12), scenes.line((400, 180), (1, 0), 12)]), scores=scores, visible=visible
    ).poses


def test_a_file_shows_the_first_sightings_too_a_stream_cannot(scenes, coco17: Skeleton) -> None:
    poses = _pale(scenes)
    live = track_frames(build_tracker(TrackConfig(), coco17), poses)
    whole = track_video(TrackConfig(), coco17, poses, frame_indices=range(12))
    assert [len(frame) for frame in live][5:8] == [1, 1, 2]
    assert [len(frame) for frame in whole] == [1] * 5 + [2] * 7
    assert all(set(a.track_ids.tolist()) <= set(b.track_ids.tolist()) for a, b in zip(live, whole, strict=True))


def test_a_single_false_positive_of_low_score_is_never_shown(scenes, coco17: Skeleton) -> None:
    scores = np.full((2, 12), 0.9)
    scores[1] = 0.62
    visible = np.ones((2, 12), dtype=bool)
    visible[1] = np.arange(12) == 6
    scene = scenes.draw(
        np.stack([scenes.line((100, 180), (1, 0), 12), scenes.line((400, 180), (0, 0), 12)]), scores=scores, visible=visible
    )
    whole = track_video(TrackConfig(), coco17, scene.poses, frame_indices=range(12))
    assert [frame.track_ids.tolist() for frame in whole] == [[1]] * 12


@pytest.mark.parametrize("sway_px", [0.0, 20.0])
def test_the_noise_follows_the_stream(sway_px: float, scenes, coco17: Skeleton) -> None:
    """People who sway need more process noise than people who stand; 1 fixes it."""
    time = np.arange(80)
    paths = np.stack([np.stack([200 + 250 * i + sway_px * np.sin(time / 4), np.full(80, 180.0)], axis=1) for i in range(2)])
    tracker, fixed = (build_tracker(TrackConfig(bytepose=ByteposeConfig(max_noise_scale=most)), coco17) for most in (2.0, 1.0))
    for poses in scenes.draw(paths).poses:
        tracker.update(poses)
        fixed.update(poses)
    scale = float(tracker.state()["acceleration_scale"])
    assert (scale > 1.5) == (sway_px > 0)
    assert float(fixed.state()["acceleration_scale"]) == float(fixed.state()["noise_scale"]) == 1.0


def test_times_are_seconds(scenes, coco17: Skeleton) -> None:
    """Hidden for 20 frames: .8 s at 25 frames/s, kept; 2 s at 10, a new id."""
    visible = np.ones((1, 60), dtype=bool)
    visible[0, 20:40] = False
    scene = scenes.draw(np.stack([scenes.line((200, 180), (0, 0), 60)]), visible=visible)
    ids = [scenes.switches(build_tracker(TrackConfig(frames_per_second=rate), coco17), scene)[1] for rate in (25.0, 10.0)]
    assert ids == [1, 2]
