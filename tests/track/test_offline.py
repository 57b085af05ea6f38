"""Joining after the whole clip."""

from __future__ import annotations

import numpy as np

from poseline.config.tracking import OfflineConfig, TrackConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.track.build import track_video
from poseline.track.offline import between, join_offline

OFFLINE = OfflineConfig(enabled=True)


def _named(scene, ids) -> list[PoseSet]:
    """The scene's poses with ids of (person, frame)."""
    return [
        poses.with_track_ids(np.array([ids(int(person), t) for person in who], dtype=np.int64))
        for t, (poses, who) in enumerate(zip(scene.poses, scene.truth, strict=True))
    ]


def _owners(scene, joined: list[PoseSet]) -> dict[int, set[int]]:
    """The ids that each person had where seen."""
    owners: dict[int, set[int]] = {}
    for who, poses in zip(scene.truth, joined, strict=True):
        for person, track_id in zip(who.tolist(), poses.track_ids.tolist(), strict=False):
            owners.setdefault(person, set()).add(track_id)
    return owners


def test_a_walker_unseen_for_longer_than_the_tracker_waits_gets_one_id(scenes, coco17: Skeleton) -> None:
    visible = np.ones((2, 120), dtype=bool)
    visible[0, 40:85] = False  # 1.8 s
    scene = scenes.draw(np.stack([scenes.line((60, 120), (3, 0), 120), scenes.line((400, 260), (0, 0), 120)]), visible=visible)
    online, offline = (
        track_video(TrackConfig(offline=config), coco17, scene.poses, frame_indices=range(120)) for config in (OfflineConfig(), OFFLINE)
    )
    assert len(np.unique(np.concatenate([poses.track_ids for poses in online]))) == 3
    assert len(np.unique(np.concatenate([poses.track_ids for poses in offline]))) == 2


def test_ids_exchanged_in_a_gap_are_put_right(scenes) -> None:
    """Two people walk on behind an occluder; online they came out with each other's ids."""
    visible = np.ones((2, 80), dtype=bool)
    visible[:, 30:50] = False
    paths = np.stack([scenes.line((100, 180), (5, 0), 80), scenes.line((500, 186), (-5, 0), 80)])
    scene = scenes.draw(paths, visible=visible)
    tracked = _named(scene, lambda person, t: 1 + (person if t < 40 else 1 - person))
    joined = join_offline(tracked, range(80), OFFLINE, frames_per_second=25.0)
    assert all(len(ids) == 1 for ids in _owners(scene, joined).values())


def test_gaps_are_filled_in_the_middle_and_marked(scenes) -> None:
    visible = np.ones((1, 30), dtype=bool)
    visible[0, 10:15] = False
    scene = scenes.draw(np.stack([scenes.line((100, 180), (4, 0), 30)]), visible=visible, noise_px=0.0)
    joined = join_offline(_named(scene, lambda person, t: 7), range(30), OFFLINE, frames_per_second=25.0)
    assert [len(poses) for poses in joined] == [1] * 30
    filled = joined[12]
    assert filled.bbox_scores.tolist() == [0.0]
    assert set(filled.visibility.ravel().tolist()) == {1}
    assert abs(filled.bbox_xyxy[0, [0, 2]].mean() - (100 + 4 * 12)) < 6
    none = join_offline(_named(scene, lambda person, t: 7), range(30), OfflineConfig(fill_seconds=0), frames_per_second=25.0)
    assert [len(poses) for poses in none] == [1] * 10 + [0] * 5 + [1] * 15


def test_strangers_stay_apart(scenes) -> None:
    """One leaves at the left; somebody else comes in at the right a second later."""
    visible = np.zeros((2, 60), dtype=bool)
    visible[0, :20] = visible[1, 40:] = True
    scene = scenes.draw(np.stack([scenes.line((100, 180), (-3, 0), 60), scenes.line((700, 180), (-3, 0), 60)]), visible=visible)
    joined = join_offline(_named(scene, lambda person, t: 5), range(60), OFFLINE, frames_per_second=25.0)
    assert _owners(scene, joined) == {0: {1}, 1: {2}}


def test_halfway_is_halfway(scenes) -> None:
    before, after = scenes.draw(np.stack([scenes.line((100, 180), (40, 0), 2)]), noise_px=0.0).poses
    assert np.allclose(between(before, after, 0.5).keypoints, (before.keypoints + after.keypoints) / 2)


def test_a_clip_without_people_stays_empty() -> None:
    joined = join_offline([PoseSet.empty(17)] * 3, range(3), OFFLINE, frames_per_second=25.0)
    assert [len(poses) for poses in joined] == [0, 0, 0]
