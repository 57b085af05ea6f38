"""Any prediction files tracked: every form, images, and bad input."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from poseline.config.tracking import TrackConfig
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.files import read_folder, read_sequence
from poseline.errors import ConfigError, DataError
from poseline.track.files import read_config, track_files

SLOTS = list(load_skeleton("posetrack17").keypoints)
JOINTS = list(load_skeleton("posetrack15").keypoints)
KINDS = ("bytepose", "poseflow", "poseflow_published")
every_kind = pytest.mark.parametrize("kind", KINDS)
BODY = np.random.default_rng(0).uniform((0, 0), (40, 90), (17, 2))


def walkers(frames: range | list[int], name: str = "000001_a") -> dict:
    """A prediction file of the 2018 form: two people who walk, without usable track ids (all are 0)."""
    images, people = [], []
    for t in frames:
        images.append({"id": 100 + t, "file_name": f"images/val/{name}/{t:06d}.jpg"})
        for p in range(2):
            points = BODY + np.array([60 + 150 * p + (2 - 4 * p) * t, 60])
            people.append({
                "image_id": 100 + t, "track_id": 0, "scores": [0.9] * 17, "score": 0.9, "category_id": 1,
                "keypoints": np.column_stack([points, np.ones(17)]).ravel().tolist(),
                "bbox": [*points.min(axis=0), *np.ptp(points, axis=0)],
            })  # fmt: skip
    return {"images": images, "annotations": people, "categories": [{"name": "person", "keypoints": SLOTS}]}


def coco_list(content: dict) -> list:
    """The same poses as a COCO result list; the keypoints of PoseTrack's slots in COCO's order (head tops dropped)."""
    order = [SLOTS.index(name) if name in SLOTS else -1 for name in load_skeleton("coco17").keypoints]
    numbers = {image["id"]: image["file_name"].split("/")[-1] for image in content["images"]}
    entries = []
    for person in content["annotations"]:
        points = np.array(person["keypoints"]).reshape(17, 3)
        points[:, 2] = person["scores"]
        triples = np.where(np.array(order)[:, None] >= 0, points[order], 0)
        entries.append({"image_id": numbers[person["image_id"]], "category_id": 1, "score": person["score"], "bbox": person["bbox"],
                        "keypoints": triples.ravel().tolist()})  # fmt: skip
    return entries


def annolist(content: dict) -> dict:
    """The same file in the 2017 form, with the same track id for everybody."""
    entries = []
    for image in content["images"]:
        rects = []
        for person in (one for one in content["annotations"] if one["image_id"] == image["id"]):
            points = np.array(person["keypoints"]).reshape(17, 3)
            rows = [{"id": [JOINTS.index(n)], "x": [x], "y": [y], "score": [0.9]}
                    for n, (x, y, _) in zip(SLOTS, points, strict=True) if n in JOINTS]  # fmt: skip
            rects.append({"track_id": [0], "score": [0.9], "annopoints": [{"point": rows}]})
        entries.append({"image": [{"name": image["file_name"]}], "annorect": rects})
    return {"annolist": entries}


def save(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def ids_of(path: Path) -> list[list[int]]:
    return [frame.people.track_ids.tolist() for frame in read_sequence(path).frames]


@every_kind
def test_every_form_gives_the_same_ids_and_a_file_that_is_read_again(kind: str, tmp_path: Path) -> None:
    content = walkers(range(8))
    results = {}
    for form, data in (("2018", content), ("2017", annolist(content)), ("list", coco_list(content))):
        counts = track_files(TrackConfig(kind=kind), save(tmp_path / form / "000001_a.json", data), tmp_path / f"out_{form}")
        assert counts == {"videos": 1, "frames": 8, "poses": 16, "tracks": 2, "left_out": 0}
        results[form] = ids_of(tmp_path / f"out_{form}/000001_a.json")
    assert results["2018"] == [[0, 1]] * 8
    assert results["2017"] == results["list"] == results["2018"]
    one, other = (read_sequence(tmp_path / f"out_{form}/000001_a.json").frames[3] for form in ("2018", "list"))
    shared = [SLOTS.index(name) for name in ("nose", "left_wrist", "right_ankle")]
    np.testing.assert_allclose(one.people.keypoints[:, shared], other.people.keypoints[:, shared], atol=1e-3)
    assert not other.people.visibility[:, SLOTS.index("head_top")].any()


def test_a_folder_of_files_gives_a_file_a_video(tmp_path: Path) -> None:
    for name in ("000002_b", "000001_a"):
        save(tmp_path / f"in/{name}.json", walkers(range(3), name))
    counts = track_files(TrackConfig(), tmp_path / "in", tmp_path / "out")
    assert counts["videos"] == 2
    assert list(read_folder(tmp_path / "out")) == ["000001_a", "000002_b"]


@every_kind
def test_missing_frames_are_bridged_and_not_invented(kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / "in/000001_a.json", walkers([0, 1, 2, 7, 8, 20]))
    track_files(TrackConfig(kind=kind), path, tmp_path / "out")
    sequence = read_sequence(tmp_path / "out/000001_a.json")
    assert [frame.frame_index for frame in sequence.frames] == [0, 1, 2, 7, 8, 20]
    assert ids_of(tmp_path / "out/000001_a.json")[:5] == [[0, 1]] * 5


def test_people_in_any_order_within_the_file_are_the_same(tmp_path: Path) -> None:
    content = walkers(range(6))
    shuffled = copy.deepcopy(content)
    shuffled["annotations"].sort(key=lambda one: (one["bbox"][0] * 7919) % 13)
    for name, data in (("a", content), ("b", shuffled)):
        track_files(TrackConfig(), save(tmp_path / name / "v.json", data), tmp_path / f"out_{name}")
    lefts = {}
    for name in ("a", "b"):
        frames = read_sequence(tmp_path / f"out_{name}/v.json").frames
        lefts[name] = [sorted(zip(frame.people.bbox_xyxy[:, 0].tolist(), frame.people.track_ids.tolist(), strict=True)) for frame in frames]
    # Ids are given in order of first appearance, so the two runs may name the people the other way round.
    rename = {old: new for (_, old), (_, new) in zip(lefts["b"][0], lefts["a"][0], strict=True)}
    assert [[(x, rename[own]) for x, own in frame] for frame in lefts["b"]] == lefts["a"]


def test_an_unsorted_list_is_sorted_by_frame(tmp_path: Path) -> None:
    entries = coco_list(walkers(range(12)))
    for name, data in (("a", entries), ("b", entries[::-1])):
        track_files(TrackConfig(), save(tmp_path / name / "v.json", data), tmp_path / f"out_{name}")
        frames = read_sequence(tmp_path / f"out_{name}/v.json").frames
        assert [frame.frame_index for frame in frames] == list(range(12))
        assert all(sorted(frame.people.track_ids.tolist()) == [0, 1] for frame in frames)


def test_frames_out_of_order_and_twice_are_refused(tmp_path: Path) -> None:
    content = walkers(range(4))
    content["images"].reverse()
    with pytest.raises(DataError, match=r"frames out of order, .*000002\.jpg after .*000003\.jpg"):
        track_files(TrackConfig(), save(tmp_path / "v.json", content), tmp_path / "out")
    content["images"] = [{**image, "file_name": "images/val/000001_a/000000.jpg"} for image in content["images"]]
    with pytest.raises(DataError, match="occurs twice"):
        track_files(TrackConfig(), save(tmp_path / "v.json", content), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@every_kind
def test_a_pose_without_keypoints_is_followed_by_its_box_and_left_out_without_one(kind: str, tmp_path: Path) -> None:
    content = walkers(range(6))
    for person in content["annotations"][1::2]:
        person["keypoints"], person["scores"] = [0] * 51, [0] * 17
    track_files(TrackConfig(kind=kind), save(tmp_path / "a/v.json", content), tmp_path / "out_a")
    assert ids_of(tmp_path / "out_a/v.json") == [[0, 1]] * 6
    for person in content["annotations"][1::2]:
        person["bbox"] = [0, 0, 0, 0]
    counts = track_files(TrackConfig(kind=kind), save(tmp_path / "b/v.json", content), tmp_path / "out_b")
    assert ids_of(tmp_path / "out_b/v.json") == [[0]] * 6
    assert counts["left_out"] == 6


@every_kind
def test_keypoints_that_are_not_annotated_do_not_count_as_the_pictures_corner(kind: str, tmp_path: Path) -> None:
    content = walkers(range(6))
    for number, person in enumerate(content["annotations"]):
        for k in (number % 17, (3 * number + 1) % 17):
            person["keypoints"][3 * k : 3 * k + 3] = [0, 0, 0]
    track_files(TrackConfig(kind=kind), save(tmp_path / "v.json", content), tmp_path / "out")
    assert ids_of(tmp_path / "out/v.json") == [[0, 1]] * 6


def test_broken_lists_say_where(tmp_path: Path) -> None:
    entries = coco_list(walkers(range(2)))
    cases = {
        r"expected poses, got an empty list": [],
        r"entry 1: expected a frame number .* got 'none'": [entries[0], {**entries[1], "image_id": "none"}],
        r"person 0 has 1 keypoints, skeleton 'coco17' has 17": [{**entries[0], "keypoints": [1, 2, 3]}],
        r"frame 0: person 0: 'keypoints' holds NaN": [{**entries[0], "keypoints": [None] * 51}],
        r"entry 0: expected an object": [3],
    }
    for message, data in cases.items():
        with pytest.raises(DataError, match=message):
            track_files(TrackConfig(), save(tmp_path / "v.json", data), tmp_path / "out")


def draw_images(folder: Path, count: int, start: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    texture = cv2.resize(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)
    folder.mkdir(parents=True, exist_ok=True)
    for t in range(count):
        cv2.imwrite(str(folder / f"{start + t:06d}.jpg"), texture)
    return [texture] * count


@pytest.mark.parametrize("where", ["frames", "frames/000001_a", "frames/images/val/000001_a"])
def test_pictures_are_found_in_the_folder_of_the_video_or_above_it(where: str, tmp_path: Path) -> None:
    draw_images(tmp_path / where, 5)
    path = save(tmp_path / "v.json", walkers(range(5)))
    config = read_config(None, ["track.kind=poseflow", "track.poseflow.correspondence=lk", "track.video=true"])
    counts = track_files(config, path, tmp_path / "out", frames=tmp_path / "frames")
    assert counts["tracks"] == 2
    assert (tmp_path / "out/videos/v.mp4").stat().st_size > 1000


def test_a_frame_without_its_picture_is_refused(tmp_path: Path) -> None:
    draw_images(tmp_path / "frames/000001_a", 4)
    with pytest.raises(DataError, match="no image for frame 4"):
        track_files(TrackConfig(), save(tmp_path / "v.json", walkers(range(5))), tmp_path / "out", frames=tmp_path / "frames")
    with pytest.raises(DataError, match="no such folder or video"):
        track_files(TrackConfig(), tmp_path / "v.json", tmp_path / "out", frames=tmp_path / "nowhere")


def test_flat_pictures_cannot_serve_several_videos(tmp_path: Path) -> None:
    draw_images(tmp_path / "frames", 3)
    for name in ("000001_a", "000002_b"):
        save(tmp_path / f"in/{name}.json", walkers(range(3), name))
    with pytest.raises(DataError, match="the same images for several videos"):
        track_files(TrackConfig(), tmp_path / "in", tmp_path / "out", frames=tmp_path / "frames")


def test_a_list_with_pictures_has_a_frame_for_each(tmp_path: Path) -> None:
    draw_images(tmp_path / "frames", 6)
    entries = [entry for entry in coco_list(walkers(range(6))) if "000003" not in entry["image_id"]]
    track_files(TrackConfig(), save(tmp_path / "v.json", entries), tmp_path / "out", frames=tmp_path / "frames")
    assert [len(ids) for ids in ids_of(tmp_path / "out/v.json")] == [2, 2, 2, 0, 2, 2]


@pytest.mark.parametrize("first", [0, 1])
def test_a_video_file_gives_the_pictures_counted_from_0_or_1(first: int, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    for image in draw_images(tmp_path / "x", 5):
        writer.write(image)
    writer.release()
    path = save(tmp_path / "v.json", walkers(range(first, first + 5)))
    assert track_files(TrackConfig(), path, tmp_path / "out", frames=tmp_path / "v.mp4")["tracks"] == 2
    with pytest.raises(DataError, match="5 frames can be read, the predictions go to frame 6"):
        track_files(TrackConfig(), save(tmp_path / "w.json", walkers(range(7))), tmp_path / "out", frames=tmp_path / "v.mp4")


def test_results_never_overwrite_the_predictions(tmp_path: Path) -> None:
    save(tmp_path / "v.json", walkers(range(2)))
    for predictions in (tmp_path, tmp_path / "v.json"):
        with pytest.raises(DataError, match="among the predictions"):
            track_files(TrackConfig(), predictions, tmp_path)


def test_the_configuration_is_the_projects_or_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_config(None, []) == TrackConfig()
    assert read_config(None, ["track.kind=poseflow"]).kind == "poseflow"
    with pytest.raises(ConfigError, match=r"--set train: only track\.KEY=VALUE can be set without a params\.yaml"):
        read_config(None, ["train.epochs=3"])
    with pytest.raises(ConfigError, match="track: kind"):
        read_config(None, ["track.kind=nearest"])


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("track.bytepose.sure_score=0.3", r"track\.bytepose\.sure_score: renamed, write track\.bytepose\.high_score"),
        ("track.bytepose.relink.min_likeness=0.3", r"renamed, write track\.bytepose\.relink\.min_similarity"),
        ("track.poseflow_released.window_px=9", r"renamed, write track\.poseflow_published"),
        ("track.kind=poseflow_released", r"track\.kind: value 'poseflow_released' was renamed, write 'poseflow_published'"),
    ],
)
def test_an_old_name_names_the_new_one(project: bool, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if project:
        (tmp_path / "params.yaml").write_text((Path(__file__).parents[2] / "params.yaml").read_text())
    with pytest.raises(ConfigError, match=new):
        read_config(None, [old])
