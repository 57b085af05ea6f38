"""What every kind of tracker promises: order, bad input, state, independence, bounds."""

from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from poseline.config.tracking import AppearanceConfig, ByteposeConfig, PoseflowConfig, PoseflowPublishedConfig, TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.errors import ArtifactError, ConfigError, DataError
from poseline.track.build import build_tracker, track_frames

CONFIGS = {
    "bytepose": TrackConfig(),
    "poseflow": TrackConfig(kind="poseflow"),
    "poseflow_lk": TrackConfig(kind="poseflow", poseflow=PoseflowConfig(correspondence="lk")),
    "poseflow_orb": TrackConfig(kind="poseflow", poseflow=PoseflowConfig(correspondence="orb", orb_features=300)),
    "published": TrackConfig(kind="poseflow_published", poseflow_published=PoseflowPublishedConfig(orb_features=300)),
}
every_kind = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
NO_PIXELS = np.zeros((0, 0, 3), dtype=np.uint8)


def _crowd(scenes, frames: int = 10, images: bool = True):
    rng = np.random.default_rng(3)
    paths = np.stack([scenes.line(rng.uniform((60, 120), (580, 240)), rng.normal(size=2) * 4, frames) for _ in range(5)])
    return scenes.draw(paths, visible=rng.uniform(size=(5, frames)) > 0.15, scores=rng.uniform(0.2, 1, (5, frames)), images=images)


def _ids(tracked: list[PoseSet]) -> list[list[int]]:
    return [poses.track_ids.tolist() for poses in tracked]


@every_kind
def test_ids_are_positive_unique_in_a_frame_and_begin_at_one(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    scene = _crowd(scenes)
    ids = _ids(track_frames(build_tracker(config, coco17), scene.poses, scene.frames))
    assert min(min(frame) for frame in ids if frame) == 1
    assert all(len(set(frame)) == len(frame) for frame in ids)


@every_kind
def test_two_runs_and_two_trackers_side_by_side_give_the_same(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    scene, other = _crowd(scenes), _crowd(scenes, images=False)
    alone = _ids(track_frames(build_tracker(config, coco17), scene.poses, scene.frames))
    one, two = build_tracker(config, coco17), build_tracker(config, coco17)
    beside = []
    for poses, frame, strange in zip(scene.poses, scene.frames, reversed(other.poses), strict=True):
        beside.append(one.update(poses, frame))
        two.update(strange)
    assert _ids(beside) == alone


@every_kind
def test_restored_state_continues_identically(config: TrackConfig, scenes, coco17: Skeleton, tmp_path) -> None:
    scene = _crowd(scenes)
    first = build_tracker(config, coco17)
    track_frames(first, scene.poses[:6], scene.frames[:6])
    np.savez(tmp_path / "state.npz", **first.state())
    second = build_tracker(config, coco17)
    with np.load(tmp_path / "state.npz") as saved:
        second.restore(dict(saved))
    ahead, again = (track_frames(tracker, scene.poses[6:], scene.frames[6:]) for tracker in (first, second))
    assert _ids(ahead) == _ids(again)
    left, right = first.state(), second.state()
    assert all(np.array_equal(left[name], right[name]) for name in left)


@every_kind
def test_saved_state_does_not_change_with_the_tracker(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    scene = _crowd(scenes)
    tracker = build_tracker(config, coco17)
    track_frames(tracker, scene.poses[:5], scene.frames[:5])
    state = tracker.state()
    copy = {name: array.copy() for name, array in state.items()}
    track_frames(tracker, scene.poses[5:], scene.frames[5:])
    assert all(np.array_equal(state[name], copy[name]) for name in copy)


@every_kind
def test_state_of_another_kind_is_refused(config: TrackConfig, coco17: Skeleton) -> None:
    with pytest.raises(ArtifactError, match="tracker state"):
        build_tracker(config, coco17).restore({"ids": np.zeros(3)})


def test_state_of_another_skeleton_is_refused(coco17: Skeleton) -> None:
    with pytest.raises(ArtifactError, match="skeleton"):
        build_tracker(TrackConfig(), load_skeleton("mpii16")).restore(build_tracker(TrackConfig(), coco17).state())


@every_kind
def test_frames_out_of_order_are_refused_and_change_nothing(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    scene = _crowd(scenes)
    tracker = build_tracker(config, coco17)
    track_frames(tracker, scene.poses[:6], scene.frames[:6])
    before = tracker.state()
    for late in (5, 2):
        with pytest.raises(DataError, match=f"frame {late} came after frame 5"):
            tracker.update(scene.poses[late], scene.frames[late])
    after = tracker.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)


@every_kind
def test_missing_frames_are_bridged(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    """Every third frame of two people walking: the index tells how far they went."""
    paths = np.stack([scenes.line((100, 180), (2, 0), 60), scenes.line((500, 180), (-2, 0), 60)])
    scene = scenes.draw(paths)
    tracker = build_tracker(config, coco17)
    tracked = [tracker.update(scene.poses[t], Frame(NO_PIXELS, t)) for t in range(0, 60, 3)]
    assert {track_id for poses in tracked for track_id in poses.track_ids.tolist()} == {1, 2}


@every_kind
def test_empty_frames_at_the_start_between_and_only(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    scene = scenes.draw(np.stack([scenes.line((200, 180), (1, 0), 6)]))
    empty = PoseSet.empty(17)
    tracker = build_tracker(config, coco17)
    ids = _ids([tracker.update(poses) for poses in [empty, empty, *scene.poses[:3], empty, *scene.poses[4:]]])
    assert ids == [[], [], [1], [1], [1], [], [1], [1]]
    assert _ids(track_frames(build_tracker(config, coco17), [empty] * 40)) == [[]] * 40


@every_kind
def test_ids_of_the_input_are_ignored_even_where_they_repeat(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    scene = _crowd(scenes)
    named = [poses.with_track_ids(np.full(len(poses), 7)) for poses in scene.poses]
    plain, renamed = (track_frames(build_tracker(config, coco17), poses, scene.frames) for poses in (scene.poses, named))
    assert _ids(plain) == _ids(renamed)


@every_kind
def test_a_sudden_crowd_gets_an_id_each(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    tracker = build_tracker(config, coco17)
    few = scenes.draw(np.stack([scenes.line((100, 180), (0, 0), 3)]))
    grid = np.stack([scenes.line((60 + 70 * (i % 20), 80 + 140 * (i // 20)), (0, 0), 5) for i in range(200)])
    many = scenes.draw(grid)
    tracked = [tracker.update(poses) for poses in [*few.poses, *many.poses]]
    shown = [len(set(poses.track_ids.tolist())) for poses in tracked]
    assert shown[:3] + shown[-3:] == [1] * 3 + [200] * 3, "by their third sighting"
    assert len(np.unique(np.concatenate([poses.track_ids for poses in tracked[-3:]]))) == 200


@every_kind
def test_poses_without_sure_keypoints_are_followed_by_their_boxes(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    """Keypoint scores of 0: the published matching still uses the coordinates, as its public code does."""
    scene = scenes.draw(np.stack([scenes.line((100, 180), (2, 0), 12), scenes.line((400, 180), (2, 0), 12)]))
    blank = [replace(poses, keypoint_scores=np.zeros((2, 17)), pose_scores=np.full(2, 0.9)) for poses in scene.poses]
    tracked = track_frames(build_tracker(config, coco17), blank)
    assert {track_id for poses in tracked for track_id in poses.track_ids.tolist()} == {1, 2}
    assert all(len(poses) == 2 for poses in tracked)


@every_kind
@pytest.mark.parametrize("field", ["keypoints", "keypoint_scores", "bbox_xyxy"])
def test_numbers_that_are_not_finite_are_refused(config: TrackConfig, field: str, scenes, coco17: Skeleton) -> None:
    poses = scenes.draw(np.stack([scenes.line((100, 180), (0, 0), 1), scenes.line((300, 180), (0, 0), 1)])).poses[0]
    broken = getattr(poses, field).copy()
    broken[1, ..., 0] = np.nan
    with pytest.raises(DataError, match=f"person 1: {field}"):
        build_tracker(config, coco17).update(replace(poses, **{field: broken}))


@every_kind
def test_poses_of_another_skeleton_are_refused(config: TrackConfig, coco17: Skeleton) -> None:
    with pytest.raises(DataError, match="16 keypoints, skeleton 'coco17' has 17"):
        build_tracker(config, coco17).update(PoseSet.empty(16))


@every_kind
def test_ids_pass_32_bits_and_end_with_an_error_at_64(config: TrackConfig, scenes, coco17: Skeleton) -> None:
    scene = scenes.draw(np.stack([scenes.line((100 + 120 * i, 180), (0, 0), 4) for i in range(3)]))
    tracker = build_tracker(config, coco17)
    tracker.restore(tracker.state() | {"next_id": np.array(2**31 - 1)})
    tracked = track_frames(tracker, scene.poses)
    assert [sorted(frame) for frame in _ids(tracked)[-2:]] == [[2**31 - 1, 2**31, 2**31 + 1]] * 2
    tracker = build_tracker(config, coco17)
    tracker.restore(tracker.state() | {"next_id": np.array(2**63 - 2)})
    with pytest.raises(DataError, match="does not fit into int64"):
        track_frames(tracker, scene.poses)


@every_kind
def test_degenerate_boxes_and_far_coordinates_do_not_break_the_tracker(config: TrackConfig, coco17: Skeleton) -> None:
    keypoints = np.stack([np.zeros((17, 2)), np.full((17, 2), 1e6), np.full((17, 2), -1e4)])
    boxes = np.array([[0, 0, 0, 0], [1e6, 1e6, 1e6 + 5, 1e6 + 5], [-1e4, -1e4, -2e4, -2e4]])
    poses = PoseSet(keypoints=keypoints, keypoint_scores=np.ones((3, 17)), bbox_xyxy=boxes)
    tracker = build_tracker(config, coco17)
    with np.errstate(all="raise", under="ignore"):
        tracked = [tracker.update(poses) for _ in range(5)]
    assert all(len(poses.track_ids) <= 3 and (poses.track_ids > 0).all() for poses in tracked)


def _run_long(config: TrackConfig, skeleton: Skeleton, scenes, num_frames: int, measure: Callable[[], int]) -> tuple[int, int]:
    """Bytes of the saved state, and what ``measure`` grew by in the last half, twenty people coming and going all the time."""
    rng = np.random.default_rng(0)
    scene = scenes.draw(np.stack([scenes.line(rng.uniform((60, 60), (1800, 900)), rng.normal(size=2), 50) for _ in range(20)]))
    tracker = build_tracker(config, skeleton)
    middle = 0
    for t in range(num_frames):
        poses = scene.poses[t % 50]
        tracker.update(poses.select(np.flatnonzero(rng.uniform(size=len(poses)) > 0.05)))
        if t == num_frames // 2:
            middle = measure()
    return sum(array.nbytes for array in tracker.state().values()), measure() - middle


KINDS = pytest.mark.parametrize("kind", ["bytepose", "poseflow", "poseflow_published"])


@KINDS
def test_memory_stays_flat(kind: str, scenes, coco17: Skeleton, unchecked: None) -> None:
    tracemalloc.start()
    try:
        state, growth = _run_long(TrackConfig(kind=kind), coco17, scenes, 80, lambda: tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert state < 2_000_000
    assert growth < 500_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
@KINDS
def test_memory_stays_flat_over_a_hundred_thousand_frames(kind: str, scenes, coco17: Skeleton, unchecked: None) -> None:
    """The process's peak (KiB) must not rise in the second 50,000 frames."""
    state, growth = _run_long(TrackConfig(kind=kind), coco17, scenes, 100_000, lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert state < 2_000_000
    assert growth < 8 * 1024


def test_tracks_are_bounded_whatever_comes(coco17: Skeleton) -> None:
    """A new crowd elsewhere in every frame: the longest lost are dropped beyond max_tracks."""
    tracker = build_tracker(TrackConfig(bytepose=ByteposeConfig(max_tracks=50)), coco17)
    for t in range(30):
        keypoints = np.arange(20)[:, None, None] * 500.0 + np.arange(34).reshape(17, 2) + 20000 * t
        boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
        tracker.update(PoseSet(keypoints=keypoints, keypoint_scores=np.ones((20, 17)), bbox_xyxy=boxes))
    assert len(tracker.state()["ids"]) == 50


def test_thresholds_for_each_keypoint_must_fit_the_skeleton(coco17: Skeleton) -> None:
    with pytest.raises(ConfigError, match="3 thresholds, skeleton 'coco17' has 17"):
        build_tracker(TrackConfig(bytepose=ByteposeConfig(min_keypoint_score=(0.1, 0.2, 0.3))), coco17)


def test_a_track_shows_only_from_its_confirmation_on_but_for_the_first(scenes, coco17: Skeleton) -> None:
    """The second person comes in the third frame."""
    scene = scenes.draw(np.stack([scenes.line((100, 180), (1, 0), 7), scenes.line((400, 180), (1, 0), 7)]))
    poses = [people.select(np.flatnonzero((scene.truth[t] == 0) | (t >= 2))) for t, people in enumerate(scene.poses)]
    config = TrackConfig(bytepose=ByteposeConfig(confirm_hits=3, appearance=AppearanceConfig(kind="none")))
    shown = [sorted(ids) for ids in _ids(track_frames(build_tracker(config, coco17), poses))]
    assert shown == [[1], [1], [1], [1], [1, 2], [1, 2], [1, 2]]


def test_a_second_copy_of_a_person_starts_no_track(scenes, coco17: Skeleton) -> None:
    scene = scenes.draw(np.stack([scenes.line((100, 180), (1, 0), 5)] * 2), noise_px=1.0)
    for kind in ("bytepose", "poseflow"):
        tracked = track_frames(build_tracker(TrackConfig(kind=kind), coco17), scene.poses)
        assert {track_id for poses in tracked for track_id in poses.track_ids.tolist()} == {1}


def test_frames_and_poses_must_be_as_many(scenes, coco17: Skeleton) -> None:
    scene = _crowd(scenes, frames=4)
    with pytest.raises(DataError, match="3 frames for 4"):
        track_frames(build_tracker(TrackConfig(), coco17), scene.poses, scene.frames[:3])
    with pytest.raises(DataError, match="more frames than the 3"):
        track_frames(build_tracker(TrackConfig(), coco17), scene.poses[:3], scene.frames)
