"""The tracker of docs/adding.md, offered through an entry point, run on prediction files, resumed and tuned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseline.config.tracking import TrackConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.files import read_folder, write_sequence
from poseline.datasets.posetrack.video import PoseTrackFrame, PoseTrackSequence
from poseline.errors import BackendError, ConfigError
from poseline.track.build import build_tracker, reads_images, tracker_class
from poseline.track.files import read_config, track_files
from poseline.track.tune import search

POSETRACK = load_skeleton("posetrack17")


pytestmark = pytest.mark.usefixtures("toy_package")
MORE_KINDS = {"poseline.trackers": {"number": "toy_poses.codec:ToyCodec"}}


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Two people who walk 5 px a frame, 200 px apart."""
    body = np.random.default_rng(0).uniform((0, 0), (40, 90), (17, 2))
    frames = []
    for t in range(6):
        keypoints = body + np.array([[[60 + 5 * t, 60]], [[260 + 5 * t, 60]]])
        boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
        people = PoseSet(keypoints=keypoints, keypoint_scores=np.full((2, 17), 0.9), bbox_xyxy=boxes)
        frames.append(PoseTrackFrame(t, f"v/{t:06d}.jpg", t, True, (), people.with_track_ids(np.zeros(2, int)), np.full((2, 4), -1.0)))
    write_sequence(tmp_path / "in/v.json", PoseTrackSequence("v", tuple(frames)))
    return tmp_path / "in"


def test_it_tracks_files_with_its_own_options(predictions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = {}
    for reach in (20, 2):
        config = read_config(None, ["track.kind=nearest", f"track.nearest.reach_px={reach}"])
        assert not reads_images(config)
        found[reach] = track_files(config, predictions, tmp_path / f"out{reach}")["tracks"]
    assert found == {20: 2, 2: 12}
    ids = [frame.people.track_ids.tolist() for frame in read_folder(tmp_path / "out20")["v"].frames]
    assert ids == [[0, 1]] * 6


def test_it_goes_on_from_its_state(predictions: Path) -> None:
    config = TrackConfig(kind="nearest")
    frames = [frame.people for frame in read_folder(predictions, with_ids=False)["v"].frames]
    first, second = build_tracker(config, POSETRACK), build_tracker(config, POSETRACK)
    for poses in frames[:3]:
        first.update(poses)
    second.restore(first.state())
    for poses in frames[3:]:
        assert second.update(poses).track_ids.tolist() == first.update(poses).track_ids.tolist() == [1, 2]


def test_its_options_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert TrackConfig(kind="nearest").options.model_dump() == {"reach_px": 20.0}
    with pytest.raises(ConfigError, match=r"greater than 0, got -1"):
        read_config(None, ["track.kind=nearest", "track.nearest.reach_px=-1"])
    with pytest.raises(ConfigError, match=r"unknown kind 'nearst'\. Did you mean 'nearest'\?"):
        read_config(None, ["track.kind=nearst"])


def test_its_search_space_is_tuned() -> None:
    result = search(TrackConfig(kind="nearest"), lambda config, names: -abs(config.options.reach_px - 60), sequences=["a"], reported=[])
    assert abs(result.config.options.reach_px - 60) < 10


def test_what_is_no_tracker_is_refused() -> None:
    with pytest.raises(BackendError, match=r"track\.kind: 'number' is .* expected a subclass"):
        tracker_class("number")
    with pytest.raises(ConfigError, match="has no search space"):
        search(TrackConfig(), lambda config, names: 0.0, sequences=["a"], reported=[], space={})
