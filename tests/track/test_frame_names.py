"""Lists of poses and PoseTrack files whose frames are named in other ways than 000001.jpg."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseline.config.tracking import TrackConfig
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.files import read_folder, read_sequence
from poseline.errors import DataError
from poseline.track.files import read_config, track_files

SLOTS = list(load_skeleton("posetrack17").keypoints)
BODY = np.random.default_rng(0).uniform((0, 0), (40, 90), (17, 2))
MISSED = 9
NAMES = {
    "size": lambda t: f"walk_{t:04d}_480p.jpg",
    "hash": lambda t: f"walk_{t:04d}_jpg.rf.{hashlib.md5(str(t).encode()).hexdigest()}.jpg",
    "ms": lambda t: f"{1704412800000 + 40 * t}.jpg",
    "ns": lambda t: f"{1704412800000000000 + 40000000 * t}.jpg",
    "every fifth": lambda t: f"{5 * t}.jpg",
    "number": lambda t: t,
    "number as text": str,
    "number as float": float,
    "PoseTrack's id": lambda t: 10**10 + 522 * 10**4 + t,
    "Windows": lambda t: f"clips\\a\\{t}.jpg",
}


def person(t: int, side: int) -> np.ndarray:
    return BODY + np.array([60 + 150 * side + (2 - 4 * side) * t, 60])


def entry(image_id: object, t: int, side: int, **more: object) -> dict[str, object]:
    triples = np.column_stack([person(t, side), np.full(17, 0.9)])
    return {"image_id": image_id, "category_id": 1, "score": 0.9, "keypoints": triples.ravel().tolist(), **more}


def pose_list(name, frames: range = range(20)) -> list[dict[str, object]]:  # type: ignore[no-untyped-def]
    """Two people, one of them missed in one frame; in no order."""
    entries = [entry(name(t), t, side) for t in frames for side in (0, 1) if (t, side) != (MISSED, 1)]
    return [entries[i] for i in np.random.default_rng(0).permutation(len(entries))]


def save(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("kind", ["bytepose", "poseflow", "poseflow_published"])
@pytest.mark.parametrize("form", NAMES)
def test_names_change_nothing(kind: str, form: str, tmp_path: Path) -> None:
    lines: list[str] = []
    path = save(tmp_path / "v.json", pose_list(NAMES[form]))
    counts = track_files(TrackConfig(kind=kind), path, tmp_path / "out", report=lines.append)
    assert counts == {"videos": 1, "frames": 20, "poses": 39, "tracks": 2, "left_out": 0}
    step = {"ms": 40, "ns": 40000000, "every fifth": 5}.get(form, 1)
    assert lines == [f"v: 20 frames, step {step}"]
    lefts = [sorted(frame.people.bbox_xyxy[:, 0].tolist()) for frame in read_sequence(tmp_path / "out/v.json").frames]
    assert [rows[0] for rows in lefts] == sorted(rows[0] for rows in lefts), "the frames are in the order of time"


@pytest.mark.parametrize(
    "mark",
    [
        lambda video, t: {"image_id": f"{'left' if video else 'right'}/{t:04d}.jpg"},
        lambda video, t: {"image_id": f"{'a' if video else 'b'}/img/{t}.jpg"},
        lambda video, t: {"image_id": t, "video_id": video},
        lambda video, t: {"image_id": f"{t}.jpg", "vid_id": f"clip {video}"},
        lambda video, t: {"image_id": 10**10 + (7 + video) * 10**4 + t},
        lambda video, t: {"image_id": 100 * video + t, "frame_id": t, "video_id": video},
    ],
)
def test_a_list_of_several_videos_makes_several(mark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    entries = [{**entry(0, t, video), **mark(video, t)} for t in range(12) for video in (0, 1)]
    counts = track_files(TrackConfig(), save(tmp_path / "v.json", entries), tmp_path / "out")
    assert counts == {"videos": 2, "frames": 24, "poses": 24, "tracks": 2, "left_out": 0}
    assert [len(video.frames) for video in read_folder(tmp_path / "out").values()] == [12, 12]


def test_two_images_never_share_a_frame(tmp_path: Path) -> None:
    cases = {
        r"'1\.jpg' and '01\.jpg' would be the same frame": [entry("1.jpg", 0, 0), entry("01.jpg", 1, 0)],
        r"'12' and '12\.jpg' would be the same frame": [entry(12, 0, 0), entry("12.jpg", 1, 0)],
        r"entry 1: images 'b\.jpg' and 'a\.jpg' would be the same frame 3": [
            entry("b.jpg", 0, 0, frame_id=3),
            entry("a.jpg", 1, 0, frame_id=3),
        ],
        r"entry 1: no 'frame_id', which other entries have": [entry("a.jpg", 0, 0, frame_id=3), entry("b.jpg", 1, 0)],
    }
    for message, entries in cases.items():
        with pytest.raises(DataError, match=message):
            track_files(TrackConfig(), save(tmp_path / "v.json", entries), tmp_path / "out")


@pytest.mark.parametrize("value", [-1, 1.5, 10**30, 10**400, True, None, "", "/", {}, [3]])
def test_what_is_no_frame_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"entry 1: expected a frame number in 'frame_id' or 'image_id'"):
        track_files(TrackConfig(), save(tmp_path / "v.json", [entry(0, 0, 0), entry(value, 1, 0)]), tmp_path / "out")


def test_boxes_without_poses_name_the_option_for_boxes(tmp_path: Path) -> None:
    boxes = [{"image_id": t, "category_id": 1, "bbox": [t, 1, 30, 60], "score": 0.9} for t in range(4)]
    for entries in (boxes, [{**box, "keypoints": []} for box in boxes]):
        with pytest.raises(DataError, match=r"4 boxes without any keypoints\. Track boxes with --boxes FILE"):
            track_files(TrackConfig(), save(tmp_path / "v.json", entries), tmp_path / "out")
    zeros = [{**box, "keypoints": [0] * 51} for box in boxes]
    with pytest.raises(DataError, match=r"boxes without any keypoints"):
        track_files(TrackConfig(), save(tmp_path / "v.json", zeros), tmp_path / "out")


@pytest.mark.parametrize("form", ["size", "hash", "ms", "number"])
def test_images_are_found_by_name_or_by_number(form: str, tmp_path: Path) -> None:
    files = NAMES["size"] if form == "number" else NAMES[form]
    (tmp_path / "frames").mkdir()
    for t in range(22):
        cv2.imwrite(str(tmp_path / "frames" / files(t)), np.full((48, 64, 3), 10 * t % 250, np.uint8))
    path = save(tmp_path / "v.json", pose_list(NAMES[form]))
    config = read_config(None, ["track.kind=poseflow", "track.poseflow.correspondence=lk", "track.video=true"])
    counts = track_files(config, path, tmp_path / "out", frames=tmp_path / "frames")
    assert (counts["frames"], counts["tracks"]) == (22, 2)


def posetrack_file(names: list[str], **fields: list[object]) -> dict[str, object]:
    images = [{"id": 7 + i, "file_name": name, **{key: values[i] for key, values in fields.items()}} for i, name in enumerate(names)]
    people = [
        {"image_id": 7 + i, "track_id": 0, "category_id": 1, "keypoints": np.column_stack([person(i, 0), np.ones(17)]).ravel().tolist()}
        for i in range(len(names))
    ]
    return {"images": images, "annotations": people, "categories": [{"name": "person", "keypoints": SLOTS}]}


@pytest.mark.parametrize(
    ("names", "fields", "videos"),
    [
        (["a/img/1.jpg", "a/img/2.jpg", "b/img/1.jpg"], {}, {"a_img": [1, 2], "b_img": [1]}),
        (["v\\a\\1.jpg", "v\\b\\1.jpg"], {}, {"a": [1], "b": [1]}),
        (["1_1.jpg", "1_2.jpg", "2_1.jpg"], {"video_id": [1, 1, 2]}, {"1": [1, 2], "2": [1]}),
        (["f/1.jpg", "f/2.jpg", "f/3.jpg"], {"vid_id": ["000001"] * 3}, {"x": [1, 2, 3]}),
        (["f/c.jpg", "f/b.jpg"], {"frame_id": [4, 8]}, {"x": [4, 8]}),
        (["f/c.jpg", "f/b.jpg"], {}, {"x": [0, 1]}),
        (["f/5_480p.jpg", "f/10_480p.jpg"], {}, {"x": [5, 10]}),
        (["f/1704412800000000000.jpg", "f/1704412800040000000.jpg"], {}, {"x": [1704412800000000000, 1704412800040000000]}),
    ],
)
def test_posetrack_files_are_split_and_numbered_alike(
    names: list[str], fields: dict[str, list[object]], videos: dict[str, list[int]], tmp_path: Path
) -> None:
    found = read_folder(save(tmp_path / "x.json", posetrack_file(names, **fields)))
    assert {name: [frame.frame_index for frame in video.frames] for name, video in found.items()} == videos
