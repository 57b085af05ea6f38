"""PoseTrack files of every form, and what is said of broken ones."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.files import (
    PoseTrackFrame,
    PoseTrackSequence,
    compact_track_ids,
    read_folder,
    read_sequence,
    read_videos,
    write_sequence,
)
from poseline.errors import DataError

SLOTS = list(load_skeleton("posetrack17").keypoints)
JOINTS = list(load_skeleton("posetrack15").keypoints)
REAL = Path(os.environ.get("POSELINE_REAL", Path(__file__).parents[3] / "shared/real")) / "formats/posetrack18/annotations"


def official(num_frames: int = 3, num_people: int = 2) -> dict:
    """A file of the 2018 form; keypoint k of person p in frame t lies at (100 p + k, 10 t + k)."""
    name = "000001_mpii_test"
    images = [
        {"id": 10_000_010_000 + t, "file_name": f"images/val/{name}/{t:06d}.jpg", "frame_id": t, "vid_id": "000001", "is_labeled": True,
         "nframes": num_frames, "ignore_regions_x": [[0, 9, 9, 0]], "ignore_regions_y": [[0, 0, 9, 9]]}
        for t in range(num_frames)
    ]  # fmt: skip
    annotations = [
        {"id": t * 100 + p, "image_id": images[t]["id"], "category_id": 1, "track_id": p, "bbox": [100 * p, 10 * t, 16, 16],
         "bbox_head": [100 * p, 10 * t, 6, 8], "scores": [0.5 + 0.01 * k for k in range(17)],
         "keypoints": [v for k in range(17) for v in ((0, 0, 0) if k in (3, 4) else (100 * p + k, 10 * t + k, 1))]}
        for t in range(num_frames) for p in range(num_people)
    ]  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person", "keypoints": list(SLOTS)}]}


def annolist(content: dict) -> dict:
    """The same file in the 2017 form."""
    entries = []
    for number, image in enumerate(content["images"], start=1):
        rects = []
        for person in (a for a in content["annotations"] if a["image_id"] == image["id"]):
            x, y, w, h = person["bbox_head"]
            points = [
                {"id": [JOINTS.index(name)], "x": [person["keypoints"][3 * k]], "y": [person["keypoints"][3 * k + 1]],
                 "is_visible": [person["keypoints"][3 * k + 2]], "score": [person["scores"][k]]}
                for k, name in enumerate(SLOTS) if name in JOINTS
            ]  # fmt: skip
            rects.append({"x1": [x], "y1": [y], "x2": [x + w], "y2": [y + h], "track_id": [person["track_id"]],
                          "annopoints": [{"point": points}]})  # fmt: skip
        regions = [
            {"point": [{"x": [x], "y": [y]} for x, y in zip(xs, ys, strict=True)]}
            for xs, ys in zip(image["ignore_regions_x"], image["ignore_regions_y"], strict=True)
        ]
        entries.append({"image": [{"name": image["file_name"]}], "imgnum": [number], "annorect": rects, "ignore_regions": regions,
                        "is_labeled": [1]})  # fmt: skip
    return {"annolist": entries}


def save(path: Path, content: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_2018_file_gives_poses_heads_ids_and_regions(tmp_path: Path) -> None:
    sequence = read_sequence(save(tmp_path / "000001_mpii_test.json", official()))
    assert (sequence.name, sequence.form, len(sequence.frames)) == ("000001_mpii_test", "2018", 3)
    frame = sequence.frames[1]
    assert (frame.image_id, frame.frame_index, frame.is_labeled) == (10_000_010_001, 1, True)
    assert frame.people.keypoints[1, 0].tolist() == [100.0, 10.0]
    assert frame.people.visibility[0].tolist() == [2, 2, 2, 0, 0] + [2] * 12
    assert frame.people.track_ids.tolist() == [0, 1]
    assert frame.head_xyxy[1].tolist() == [100.0, 10.0, 106.0, 18.0]
    assert frame.people.keypoint_scores[0, 2] == pytest.approx(0.52)
    assert frame.ignore_regions[0].tolist() == [[0, 0], [9, 0], [9, 9], [0, 9]]


def test_keypoints_are_placed_by_name_not_by_position(tmp_path: Path) -> None:
    content = official()
    order = np.random.default_rng(2).permutation(17)
    shuffled = copy.deepcopy(content)
    shuffled["categories"][0]["keypoints"] = [SLOTS[k] for k in order]
    for annotation in shuffled["annotations"]:
        annotation["keypoints"] = np.array(annotation["keypoints"]).reshape(17, 3)[order].ravel().tolist()
        annotation["scores"] = np.array(annotation["scores"])[order].tolist()
    first, second = (read_sequence(save(tmp_path / f"{n}.json", c)) for n, c in (("a", content), ("b", shuffled)))
    for one, other in zip(first.frames, second.frames, strict=True):
        np.testing.assert_array_equal(one.exact_keypoints, other.exact_keypoints)
        np.testing.assert_array_equal(one.people.keypoint_scores, other.people.keypoint_scores)


def test_a_file_of_the_15_joints_alone_is_read(tmp_path: Path) -> None:
    content = official()
    content["categories"][0]["keypoints"] = JOINTS
    for annotation in content["annotations"]:
        annotation["keypoints"], annotation["scores"] = [v for k in range(15) for v in (k + 1, 5, 1)], [0.5] * 15
    frame = read_sequence(save(tmp_path / "a.json", content)).frames[0]
    assert frame.people.keypoints[0, SLOTS.index("nose"), 0] == JOINTS.index("nose") + 1
    assert (frame.people.visibility[0] > 0).sum() == 15


def test_the_2017_form_says_the_same(tmp_path: Path) -> None:
    content = official()
    new, old = (read_sequence(save(tmp_path / f"{n}.json", c)) for n, c in (("new", content), ("old", annolist(content))))
    assert old.form == "2017"
    for one, other in zip(new.frames, old.frames, strict=True):
        for name in ("exact_keypoints", "exact_scores", "head_xyxy"):
            if name == "exact_scores":
                scored = one.people.visibility > 0
                np.testing.assert_array_equal(one.exact_scores[scored], other.exact_scores[scored])
            else:
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(one.people.visibility, other.people.visibility)
        np.testing.assert_array_equal(one.people.track_ids, other.people.track_ids)
        np.testing.assert_array_equal(one.ignore_regions[0], other.ignore_regions[0])
        assert one.frame_index == other.frame_index


def test_2017_people_without_points_and_empty_lists_are_read(tmp_path: Path) -> None:
    content = annolist(official(1))
    content["annolist"][0]["annorect"][0]["annopoints"] = []
    content["annolist"][0]["annorect"][1]["annopoints"][0]["point"][0].update(is_visible=[], score=[])
    del content["annolist"][0]["is_labeled"]
    frame = read_sequence(save(tmp_path / "a.json", content)).frames[0]
    assert frame.people.visibility[0].tolist() == [0] * 17
    assert frame.people.keypoint_scores[1, 0] == 1.0
    assert frame.exact_scores[1, 0] == -9999.0
    assert frame.is_labeled


def test_a_2021_file_is_told_by_its_person_ids_and_unlabelled_frames_stay_so(tmp_path: Path) -> None:
    content = official()
    for annotation in content["annotations"]:
        annotation["person_id"] = 7
    content["images"][2]["is_labeled"] = False
    sequence = read_sequence(save(tmp_path / "a.json", content))
    assert sequence.form == "2021"
    assert [frame.is_labeled for frame in sequence.frames] == [True, True, False]


def test_boxes_scores_and_heads_may_be_absent(tmp_path: Path) -> None:
    content = official(1, 1)
    for key in ("bbox", "bbox_head", "scores", "track_id"):
        del content["annotations"][0][key]
    frame = read_sequence(save(tmp_path / "a.json", content)).frames[0]
    assert frame.head_xyxy.tolist() == [[-1.0] * 4]
    assert frame.people.track_ids.tolist() == [-1]
    np.testing.assert_allclose(frame.people.bbox_xyxy, [[-2.4, -2.4, 18.4, 18.4]], atol=1e-5)
    assert frame.people.keypoint_scores[0, 1] == 1.0


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    content = official()
    content["annotations"][0]["keypoints"][:3] = [0.0, 0.0, 1]
    content["annotations"][1]["keypoints"][2] = 0
    first = read_sequence(save(tmp_path / "000001_mpii_test.json", content))
    write_sequence(tmp_path / "out/000001_mpii_test.json", first)
    second = read_sequence(tmp_path / "out/000001_mpii_test.json")
    for one, other in zip(first.frames, second.frames, strict=True):
        np.testing.assert_array_equal(one.exact_keypoints, other.exact_keypoints)
        np.testing.assert_array_equal(one.people.visibility, other.people.visibility)
        np.testing.assert_array_equal(one.people.keypoint_scores, other.people.keypoint_scores)
        np.testing.assert_array_equal(one.head_xyxy, other.head_xyxy)
        np.testing.assert_array_equal(one.people.track_ids, other.people.track_ids)
        assert (one.file_name, one.image_id, one.is_labeled) == (other.file_name, other.image_id, other.is_labeled)
        np.testing.assert_array_equal(one.ignore_regions[0], other.ignore_regions[0])


def test_a_folder_gives_videos_by_name_and_one_file_may_hold_several(tmp_path: Path) -> None:
    save(tmp_path / "b.json", official(1))
    save(tmp_path / "a.json", official(2))
    assert {name: len(sequence.frames) for name, sequence in read_folder(tmp_path).items()} == {"a": 2, "b": 1}
    joined = official(2)
    joined["images"][1]["file_name"] = "images/val/000002_mpii_test/000000.jpg"
    path = save(tmp_path / "all/joined.json", joined)
    assert [sequence.name for sequence in read_videos(path)] == ["000001_mpii_test", "000002_mpii_test"]
    assert list(read_folder(path)) == ["000001_mpii_test", "000002_mpii_test"]
    with pytest.raises(DataError, match="expected one video, got 2"):
        read_sequence(path)


def edit(path: str, value: object) -> Callable[[dict], None]:
    """A change of one entry, e.g. ``annotations.0.keypoints.4``."""
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))

    def change(content: dict) -> None:
        for part in parents:
            content = content[part]
        content[last] = value

    return change


@pytest.mark.parametrize(("change", "message"), [
    (edit("annotations.0.keypoints", [1.0] * 48), "image 10000010000: a person has 16 keypoints, its category has 17"),
    (edit("annotations.0.scores", [0.5] * 16), "16 scores for 17 keypoints"),
    (edit("annotations.0.keypoints.4", float("nan")), "image 10000010000: 'keypoints' holds NaN"),
    (edit("annotations.0.bbox_head.1", float("nan")), "NaN or infinity in 'bbox_head'"),
    (edit("annotations.0.keypoints.4", "left"), "image 10000010000: 'keypoints' holds .* no number"),
    (edit("annotations.0.bbox", [1, 2, 3]), "'bbox' has 3 numbers"),
    (edit("annotations.0.track_id", 1), "track id 1 occurs twice in the frame"),
    (edit("annotations.0.track_id", 1.5), "track id 1.5, expected a whole number"),
    (edit("annotations.0.image_id", 5), "annotation of image 5, which 'images' lacks"),
    (edit("images.1.id", 10_000_010_000), "image id 10000010000 occurs twice"),
    (edit("images.1.file_name", "images/val/000001_mpii_test/000000.jpg"), "000000.jpg occurs twice"),
    (edit("images.1.file_name", "images/val/000001_mpii_test/000007.jpg"), "frames out of order, .*000002.jpg after .*000007.jpg"),
    (edit("images.0.ignore_regions_x", [[1, 2]]), "differ in length"),
    (edit("categories.0.keypoints.0", "left_eye"), "the category lacks nose"),
    (edit("categories", []), "expected one category"),
    (edit("images", None), "expected 'annolist'"),
    (lambda content: content["annotations"][0].pop("keypoints"), "'keypoints': expected a list, got null"),
])  # fmt: skip
def test_a_broken_2018_file_is_one_line(tmp_path: Path, change: Callable[[dict], None], message: str) -> None:
    content = official()
    change(content)
    with pytest.raises(DataError, match=message) as caught:
        read_sequence(save(tmp_path / "a.json", content))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a.json") in str(caught.value)


@pytest.mark.parametrize(("path", "value", "message"), [
    ("annolist.0.annorect.0.annopoints.0.point.0.id", [15], "a keypoint of id 15"),
    ("annolist.0.annorect.0.annopoints.0.point.0.x", [], "against the PoseTrack form"),
    ("annolist.0.image", [], "against the PoseTrack form"),
    ("annolist.0.annorect.0.track_id", [1], "occurs twice in the frame"),
])  # fmt: skip
def test_a_broken_2017_file_is_one_line(tmp_path: Path, path: str, value: object, message: str) -> None:
    content = annolist(official())
    edit(path, value)(content)
    with pytest.raises(DataError, match=message):
        read_sequence(save(tmp_path / "a.json", content))


def test_missing_truncated_and_empty_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json"):
        read_sequence(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="no such file or folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no \*\.json"):
        read_folder(tmp_path)
    (tmp_path / "cut.json").write_text(json.dumps(official())[:500])
    with pytest.raises(DataError, match=r"cut\.json"):
        read_sequence(tmp_path / "cut.json")


def one_person(track_id: int, x: float = 5.0) -> PoseTrackFrame:
    poses = PoseSet(
        keypoints=np.full((1, 17, 2), x), keypoint_scores=np.ones((1, 17)), bbox_xyxy=np.array([[0.0, 0, 9, 9]]),
        track_ids=np.array([track_id]),
    )  # fmt: skip
    return PoseTrackFrame(1, "images/val/a/000000.jpg", 0, True, (), poses, np.full((1, 4), -1.0))


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="track id 10000"):
        write_sequence(tmp_path / "a.json", PoseTrackSequence("a", (one_person(10_000),)))
    with pytest.raises(DataError, match="NaN"):
        write_sequence(tmp_path / "a.json", PoseTrackSequence("a", (one_person(1, np.nan),)))
    assert list(tmp_path.iterdir()) == []


def test_large_track_ids_are_renumbered_by_appearance_on_request(tmp_path: Path) -> None:
    frames = tuple(replace(one_person(i), frame_index=t) for t, i in enumerate([20_000, 5, -1, 20_000]))
    compact = compact_track_ids(PoseTrackSequence("a", frames))
    assert [frame.people.track_ids.tolist() for frame in compact.frames] == [[0], [1], [-1], [0]]


def test_poses_of_another_skeleton_are_no_frame() -> None:
    with pytest.raises(ValueError, match="17 keypoints, got 15"):
        PoseTrackFrame(1, "a.jpg", 0, True, (), PoseSet.empty(15), np.zeros((0, 4)))


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no official samples in {REAL}; set POSELINE_REAL")
def test_official_files_are_read() -> None:
    videos = read_folder(REAL / "val")
    assert {name: len(sequence.frames[0].people) for name, sequence in videos.items()} == {
        "003418_mpii_test": 1, "009473_mpii_test": 2, "012834_mpii_test": 11,
    }  # fmt: skip
    first = videos["003418_mpii_test"].frames[0]
    assert (first.people.visibility > 0).sum() == 11
    assert len(first.ignore_regions) == 9
    np.testing.assert_allclose(first.head_xyxy, [[346, 337, 642, 574]])
    assert set(read_folder(REAL / "test_posetrack18_val.json")) == set(videos)
