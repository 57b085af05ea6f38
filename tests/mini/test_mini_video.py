"""Drawn videos: tracks that last, people who leave and return, steady surroundings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from poseline.mini.scene import Scene
from poseline.mini.video import draw_video

FRAMES = 14


@pytest.fixture(scope="module")
def videos() -> list[list[Scene]]:
    return [list(draw_video(np.random.default_rng((8, index)), image_wh=(320, 240), frames=FRAMES)) for index in range(3)]


def frames_of(video: list[Scene]) -> dict[int, list[int]]:
    """Frames in which each track is labelled."""
    seen: dict[int, list[int]] = {}
    for frame, scene in enumerate(video):
        for person in scene.people:
            seen.setdefault(person.track_id, []).append(frame)
    return seen


def test_somebody_leaves_and_comes_back_under_the_same_number(videos: list[list[Scene]]) -> None:
    gaps = [np.diff(frames).max() for video in videos for frames in frames_of(video).values() if len(frames) > 1]
    assert max(gaps) > 3


def test_track_numbers_are_unique_in_a_frame(videos: list[list[Scene]]) -> None:
    for video in videos:
        for scene in video:
            tracks = [person.track_id for person in scene.people]
            assert len(set(tracks)) == len(tracks)


def test_people_move_smoothly_and_some_pass_one_another(videos: list[list[Scene]]) -> None:
    for video in videos:
        where = [{person.track_id: person.keypoints[17] for person in scene.people} for scene in video]
        for before, after in pairwise(where):
            for track in before.keys() & after.keys():
                assert np.linalg.norm(after[track] - before[track]) < 40
        both = [places[0][0] - places[1][0] for places in where if {0, 1} <= places.keys()]
        assert min(both) < 0 < max(both)


def test_the_surroundings_stay(videos: list[list[Scene]]) -> None:
    for video in videos:
        first, second = video[0].image.astype(int), video[1].image.astype(int)
        shifted = [np.abs(first[:, 8:-8] - np.roll(second, shift, axis=1)[:, 8:-8]).mean() for shift in range(-6, 7)]
        assert min(shifted) < 0.5 * np.abs(first - videos[0 if video is not videos[0] else 1][0].image).mean()
