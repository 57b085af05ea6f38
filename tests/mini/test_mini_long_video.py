"""Long drawn videos: people stop, turn back, walk together and are hidden, the camera pans; ground truth says where everybody is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from poseline.mini import routes
from poseline.mini.camera import Camera
from poseline.mini.footage import Footage, Walker
from poseline.mini.long_video import SECONDS_PER_FRAME, draw_footage, draw_long_video
from poseline.mini.routes import LONGEST_HIDDEN_S, Route, Screen, View
from poseline.mini.scene import Scene

WH = (320, 240)


@cache
def footage_of(index: int) -> Footage:
    return draw_footage(np.random.default_rng((5, index)), image_wh=WH, frames=100, max_people=6)


def at_frames(footage: Footage, frames: slice | list[int], walkers: list[Walker] | None = None) -> Footage:
    """Some frames of it (drawing is what takes time), perhaps with some of the people only."""
    kept = [
        replace(one, path_xz=one.path_xz[frames], yaw_deg=one.yaw_deg[frames], pace=one.pace[frames], phase=one.phase[frames])
        for one in (footage.walkers if walkers is None else walkers)
    ]
    return replace(footage, walkers=kept, pan_px=footage.pan_px[frames])


def find(wanted: Callable[[Footage], bool]) -> Footage:
    """The first of many drawn videos that is so; nothing is rendered."""
    return next(one for one in map(footage_of, range(60)) if wanted(one))


def labelled_frames(video: list[Scene]) -> dict[int, list[int]]:
    """Frames in which a keypoint of each track is labelled."""
    seen: dict[int, list[int]] = {}
    for frame, scene in enumerate(video):
        for person in scene.people:
            if person.visibility.any():
                seen.setdefault(person.track_id, []).append(frame)
    return seen


def speeds(footage: Footage, track: int) -> np.ndarray:
    """Metres per second to the right, [frames]."""
    return np.gradient(footage.walkers[track].path_xz[:, 0]) / SECONDS_PER_FRAME


def test_the_same_seed_gives_the_same_video() -> None:
    first, second = (list(draw_long_video(np.random.default_rng(3), image_wh=WH, frames=6, max_people=4)) for _ in range(2))
    assert len(first) == len(second) == 6
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert [person.track_id for person in one.people] == [person.track_id for person in other.people]


@pytest.mark.parametrize("most", [1, 2, 6])
def test_no_more_people_than_asked_for(most: int) -> None:
    counts = [len(draw_footage(np.random.default_rng(i), image_wh=WH, frames=60, max_people=most).walkers) for i in range(8)]
    assert max(counts) <= most
    assert min(counts) >= min(most, 4)


def test_among_some_videos_people_stop_turn_and_walk_at_different_speeds() -> None:
    stopped, turned, fastest = 0, 0, []
    for footage in map(footage_of, range(12)):
        for track in range(len(footage.walkers)):
            across = speeds(footage, track)
            stopped += bool((np.abs(across) < 0.05).any() and (np.abs(across) > 0.5).any())
            turned += bool(across.max() > 0.5 and across.min() < -0.5)
            fastest.append(np.abs(across).max())
    assert stopped >= 6
    assert turned >= 4
    assert min(speed for speed in fastest if speed > 0.4) < 0.8
    assert 1.7 < max(fastest) < 2.3


def test_some_walk_side_by_side() -> None:
    def together(footage: Footage) -> bool:
        paths = [walker.path_xz for walker in footage.walkers]
        apart = [np.linalg.norm(one - other, axis=1) for one, other in pairwise(paths)]
        return any(distance.max() < 0.9 and np.ptp(one[:, 0]) > 1 for distance, one in zip(apart, paths, strict=False))

    assert sum(together(footage) for footage in map(footage_of, range(12))) >= 3


def nearest_behind(footage: Footage) -> Walker:
    """The person who is right behind the occluder."""
    behind = [one for one in footage.walkers if one.path_xz[:, 1].min() > footage.occluders[0].ground_xz[1]]
    return min(behind, key=lambda walker: float(walker.path_xz[:, 1].mean()))


def test_somebody_is_hidden_and_returns_under_the_same_id() -> None:
    gaps = []
    for footage in [one for one in map(footage_of, range(7)) if one.occluders][:4]:
        alone = replace(footage, pan_px=np.zeros_like(footage.pan_px))
        (frames,) = labelled_frames(list(at_frames(alone, slice(None, None, 4), [nearest_behind(footage)]).scenes())).values()
        gaps.append(4 * (int(np.diff(frames).max(initial=1)) - 1) * SECONDS_PER_FRAME)
    assert sum(gap >= 0.3 for gap in gaps) >= 2
    assert max(gaps) <= LONGEST_HIDDEN_S


def test_what_hides_is_drawn_over_whom_it_hides() -> None:
    """Without the occluder the person is seen in the frames of the gap; with it their keypoints are covered or they are left out."""
    footage = at_frames(find(lambda one: bool(one.occluders) and not one.pan_px.any()), slice(0, None, 6))
    hidden, plain = list(footage.scenes()), list(replace(footage, occluders=()).scenes())
    lost = {track: set(frames) for track, frames in labelled_frames(plain).items()}
    kept = {track: set(frames) for track, frames in labelled_frames(hidden).items()}
    assert all(kept.get(track, set()) <= frames for track, frames in lost.items())
    assert sum(len(frames - kept.get(track, set())) for track, frames in lost.items()) >= 2
    for before, after in zip(plain, hidden, strict=True):
        shown = {person.track_id: person for person in after.people}
        for person in before.people:
            if person.track_id in shown:
                np.testing.assert_array_equal(person.keypoints, shown[person.track_id].keypoints)
                assert (shown[person.track_id].visibility <= person.visibility).all()
                assert shown[person.track_id].area <= person.area


def test_the_camera_pans_and_the_ground_truth_with_it() -> None:
    whole = find(lambda one: np.ptp(one.pan_px) > 60)
    footage = at_frames(whole, np.argsort(whole.pan_px)[[0, -1]].tolist())
    still = list(replace(footage, pan_px=np.zeros_like(footage.pan_px)).scenes())
    moved = list(footage.scenes())
    for frame in range(2):
        shift = int(footage.pan_px[frame])
        places = {person.track_id: person.keypoints for person in still[frame].people}
        for person in moved[frame].people:
            if person.track_id in places:
                np.testing.assert_allclose(person.keypoints, places[person.track_id] - [shift, 0], atol=1e-6)
        # The upper edge shows the backdrop only: shifted by so much, under the camera's own noise and uneven light.
        window = slice(max(shift, 0) + 4, WH[0] + min(shift, 0) - 4)
        there = still[frame].image[:24, window].astype(float)
        here = moved[frame].image[:24, window.start - shift : window.stop - shift].astype(float)
        unmoved = moved[frame].image[:24, window].astype(float)
        assert np.abs(there - here).mean() < 0.6 * np.abs(there - unmoved).mean()


def test_some_cameras_stand_and_some_pan() -> None:
    spans = [int(np.ptp(footage.pan_px)) for footage in map(footage_of, range(24))]
    assert sum(span == 0 for span in spans) >= 4
    assert sum(span > 30 for span in spans) >= 6
    steps = [np.abs(np.diff(footage.pan_px)).max() for footage in map(footage_of, range(24))]
    assert max(steps) <= 12


def test_nobody_jumps_or_spins() -> None:
    for footage in map(footage_of, range(12)):
        for walker in footage.walkers:
            assert np.linalg.norm(np.diff(walker.path_xz, axis=0), axis=1).max() < 2.4 * SECONDS_PER_FRAME
            turn = np.abs((np.diff(walker.yaw_deg) + 180) % 360 - 180)
            assert turn.max() < 25


@pytest.mark.parametrize("name", sorted(routes.SCRIPTS))
def test_routes_keep_their_promise(name: str) -> None:
    view = View(half=2.0, seconds=4.0)
    for seed in range(20):
        path = routes.SCRIPTS[name](np.random.default_rng(seed), view).path(5.0, 100, SECONDS_PER_FRAME)[:, 0]
        velocity = np.gradient(path) / SECONDS_PER_FRAME
        if name == "crosses":
            assert (np.sign(velocity) == np.sign(velocity[0])).all()
        elif name == "stops":
            assert (np.abs(velocity) < 0.05).sum() * SECONDS_PER_FRAME >= 0.5
        elif name == "turns":
            assert velocity.max() > 0.4
            assert velocity.min() < -0.4
        elif name == "returns":
            outside = np.abs(path) > view.half
            assert outside.any()
            assert not outside[0]
        elif name == "stands":
            assert (np.abs(velocity[:60]) < 0.05).all()


def test_whoever_hides_is_behind_the_screen_for_a_while_and_comes_out() -> None:
    """Their middle is inside the screen in the middle of the video, and outside at the start and the end."""
    view, screen = View(half=2.5, seconds=5.0), Screen(middle=0.2, half=0.8)
    for seed in range(30):
        path = routes.hides(np.random.default_rng(seed), view, screen, 1.2).path(5.0, 125, SECONDS_PER_FRAME)[:, 0]
        inside = np.abs(path - screen.middle) < screen.half
        assert not inside[0]
        assert not inside[-1]
        assert 5 <= inside.sum() <= 75


def test_beside_keeps_the_distance() -> None:
    route = Route([(0.0, 1.0, 0.0), (2.0, 3.0, 0.5)])
    apart = route.beside(0.3, 0.4).path(5.0, 50, SECONDS_PER_FRAME) - route.path(5.0, 50, SECONDS_PER_FRAME)
    np.testing.assert_allclose(apart, np.tile([0.3, 0.4], (50, 1)))


def test_an_occluder_is_high_enough_for_every_camera() -> None:
    for footage in map(footage_of, range(30)):
        camera: Camera = footage.surroundings.camera
        for one in footage.occluders:
            nearest = nearest_behind(footage)
            crown = camera.ground_point((0.0, float(nearest.path_xz[:, 1].min())), above=nearest.build.stature)[1]
            assert one.corner(camera, 0.0, 1.0)[1] <= crown
