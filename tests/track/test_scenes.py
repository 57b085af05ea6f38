"""What each tracker does in scenes drawn for it: (switches, ids) are stated."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.config.tracking import AppearanceConfig, ByteposeConfig, PoseflowConfig, PoseflowPublishedConfig, RelinkConfig, TrackConfig
from poseline.core.skeletons import Skeleton
from poseline.track.build import build_tracker

KINDS = ("bytepose", "poseflow", "poseflow_published")


def _hidden(people: int, frames: int, person: int, first: int, last: int) -> np.ndarray:
    visible = np.ones((people, frames), dtype=bool)
    visible[person, first:last] = False
    return visible


@pytest.mark.parametrize("kind", KINDS)
def test_crossing_in_full_view_switches_nobody(kind: str, scenes, coco17: Skeleton) -> None:
    paths = np.stack([scenes.line((100, 180), (6, 0), 70), scenes.line((520, 186), (-6, 0), 70)])
    assert scenes.switches(build_tracker(TrackConfig(kind=kind), coco17), scenes.draw(paths)) == (0, 2)


@pytest.mark.parametrize(("kind", "expected"), [("bytepose", (0, 2)), ("poseflow", (0, 2)), ("poseflow_published", (1, 3))])
def test_crossing_with_one_hidden_behind_the_other(kind: str, expected: tuple[int, int], scenes, coco17: Skeleton) -> None:
    """The published matching has no motion: after nine hidden frames the person is a new one."""
    paths = np.stack([scenes.line((100, 180), (6, 0), 70), scenes.line((520, 186), (-6, 0), 70)])
    scene = scenes.draw(paths, visible=_hidden(2, 70, 1, 31, 40))
    assert scenes.switches(build_tracker(TrackConfig(kind=kind), coco17), scene) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_meeting_and_turning_back_switches_nobody(kind: str, scenes, coco17: Skeleton) -> None:
    left = np.concatenate([scenes.line((100, 180), (6, 0), 35), scenes.line((304, 180), (-6, 0), 35)])
    right = np.concatenate([scenes.line((560, 186), (-6, 0), 35), scenes.line((356, 186), (6, 0), 35)])
    assert scenes.switches(build_tracker(TrackConfig(kind=kind), coco17), scenes.draw(np.stack([left, right]))) == (0, 2)


@pytest.mark.parametrize("kind", ["bytepose", "poseflow"])
@pytest.mark.parametrize(("hidden", "expected"), [(20, (0, 2)), (45, (1, 3))])
def test_long_occlusion_keeps_the_id_up_to_the_limit(kind: str, hidden: int, expected: tuple[int, int], scenes, coco17: Skeleton) -> None:
    """Both limits are 30 frames: the person walking on unseen for 20 keeps the id, for 45 gets a new one."""
    paths = np.stack([scenes.line((100, 180), (3, 0), 100), scenes.line((400, 180), (0, 0), 100)])
    scene = scenes.draw(paths, visible=_hidden(2, 100, 0, 30, 30 + hidden))
    assert scenes.switches(build_tracker(TrackConfig(kind=kind), coco17), scene) == expected


def _leaving(scenes, returning_person: int):
    """Person 0 leaves at the right edge; 15 frames later person 0 or 2 comes in there."""
    out = np.concatenate([scenes.line((480, 180), (5, 0), 30), scenes.line((630, 180), (0, 0), 15), scenes.line((630, 180), (-5, 0), 30)])
    paths = np.stack([out, scenes.line((200, 180), (1, 0), 75), out])
    visible = np.ones((3, 75), dtype=bool)
    visible[0, 30:], visible[2] = False, False
    visible[returning_person, 45:] = True
    return scenes.draw(paths, visible=visible, images=True)


@pytest.mark.parametrize("with_frames", [True, False])
def test_leaving_and_returning_keeps_the_id(with_frames: bool, scenes, coco17: Skeleton) -> None:
    tracker = build_tracker(TrackConfig(), coco17)
    assert scenes.switches(tracker, _leaving(scenes, 0), with_frames=with_frames) == (0, 2)


def test_another_person_at_the_same_edge_gets_another_id_by_colour(scenes, coco17: Skeleton) -> None:
    """Without frames place and size alone cannot tell the two apart, and the id is handed on."""
    scene = _leaving(scenes, 2)
    assert scenes.switches(build_tracker(TrackConfig(), coco17), scene) == (0, 3)
    assert scenes.switches(build_tracker(TrackConfig(), coco17), scene, with_frames=False) == (0, 2)


@pytest.mark.parametrize(("enabled", "expected"), [(True, (0, 1)), (False, (1, 2))])
def test_relinking_finds_whom_the_prediction_lost(enabled: bool, expected: tuple[int, int], scenes, coco17: Skeleton) -> None:
    """A person stands still, is hidden for ten frames and comes out two body widths away."""
    path = np.concatenate([scenes.line((300, 180), (0, 0), 25), scenes.line((390, 180), (0, 0), 15)])[None]
    config = TrackConfig(bytepose=ByteposeConfig(relink=RelinkConfig(enabled=enabled)))
    assert scenes.switches(build_tracker(config, coco17), scenes.draw(path, visible=_hidden(1, 40, 0, 15, 25))) == expected


def _jump(scenes):
    """Six people 60 px apart, and the camera jumps by 60 px: everyone stands where the neighbour stood."""
    camera = np.zeros((16, 2))
    camera[8:] = (60, 10)
    paths = np.stack([scenes.line((120 + 60 * i, 180), (1, 0), 16) for i in range(6)])
    return scenes.draw(paths, camera=camera, images=True, height=110)


@pytest.mark.parametrize(("camera_motion", "expected"), [("sparse", (0, 6)), ("none", (6, 7))])
def test_sudden_camera_motion(camera_motion: str, expected: tuple[int, int], scenes, coco17: Skeleton) -> None:
    """Appearance is off, so that the camera's motion alone decides."""
    config = TrackConfig(bytepose=ByteposeConfig(camera_motion=camera_motion, appearance=AppearanceConfig(kind="none")))
    assert scenes.switches(build_tracker(config, coco17), _jump(scenes)) == expected


@pytest.mark.parametrize(("correspondence", "expected"), [("lk", (0, 6)), ("dis", (0, 6)), ("orb", (0, 6)), ("none", (6, 7))])
def test_sudden_camera_motion_by_correspondences(correspondence: str, expected: tuple[int, int], scenes, coco17: Skeleton) -> None:
    config = TrackConfig(kind="poseflow", poseflow=PoseflowConfig(correspondence=correspondence, orb_features=1000))
    assert scenes.switches(build_tracker(config, coco17), _jump(scenes)) == expected


def test_low_score_poses_go_on_with_their_tracks_but_start_none(scenes, coco17: Skeleton) -> None:
    scores = np.full((2, 40), 0.9)
    scores[0, 15:30] = 0.22
    scores[1] = 0.22
    paths = np.stack([scenes.line((100, 180), (2, 0), 40), scenes.line((400, 180), (2, 0), 40)])
    scene = scenes.draw(paths, scores=scores)
    tracker = build_tracker(TrackConfig(), coco17)
    tracked = [tracker.update(poses) for poses in scene.poses]
    assert [poses.track_ids.tolist() for poses in tracked] == [[1]] * 40


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_frame_numbers_its_people(kind: str, scenes, coco17: Skeleton) -> None:
    scene = scenes.draw(np.stack([scenes.line((100 + 120 * i, 180), (0, 0), 1) for i in range(4)]))
    assert build_tracker(TrackConfig(kind=kind), coco17).update(scene.poses[0]).track_ids.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("correspondence", ["none", "orb"])
def test_published_ages_its_tracks_over_empty_frames(correspondence: str, scenes, coco17: Skeleton) -> None:
    """The public code repeats the last people in a frame without any; here it stays empty, and the ids go on after it."""
    scene = scenes.draw(scenes.line((200, 180), (0, 0), 9)[None], visible=_hidden(1, 9, 0, 3, 6), images=True)
    options = PoseflowPublishedConfig(correspondence=correspondence, orb_features=400)
    config = TrackConfig(kind="poseflow_published", poseflow_published=options)
    tracker = build_tracker(config, coco17)
    ids = [tracker.update(p, f).track_ids.tolist() for p, f in zip(scene.poses, scene.frames, strict=True)]
    assert ids == [[1]] * 3 + [[]] * 3 + [[1]] * 3
