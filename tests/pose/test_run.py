"""Whole runs: every frame once, in order, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from drawn_squares import SquareDetector, SquareNetwork, draw_frame

from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.pose_lists import read_pose_results
from poseline.datasets.posetrack.files import read_sequence
from poseline.errors import DataError
from poseline.infer.estimator import CropBatch
from poseline.pose.records import read_records
from poseline.pose.tracking import with_ids_of

pytestmark = pytest.mark.usefixtures("squares")
NAMED = ("--model", "m", "--detector", "d")
Call = Callable[..., int]


def lines(out: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()]


def write_frames(folder: Path, names: list[str], *, people: int = 2) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for t, name in enumerate(names):
        image = draw_frame(t, ((5, 10, 2, 0), (100, 40, -1, 1))[:people])
        cv2.imwrite(str(folder / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


def test_every_frame_of_a_video_is_there_once_in_order_with_ids_that_stay(
    make_clip: Callable[..., Path], call: Call, tmp_path: Path
) -> None:  # fmt: skip
    frames = [draw_frame(t) if t not in (7, 8) else draw_frame(0, ()) for t in range(40)]
    assert call(make_clip(frames=frames), *NAMED, "--out", tmp_path / "out", "--workers", 3) == 0
    found = lines(tmp_path / "out")
    assert [line["frame_index"] for line in found] == list(range(40))
    assert [line["time_ms"] for line in found] == pytest.approx([40.0 * t for t in range(40)])
    assert {len(line["people"]) for t, line in enumerate(found) if t not in (7, 8)} == {2}
    assert found[7]["people"] == found[8]["people"] == []
    assert {tuple(sorted(person["track_id"] for person in line["people"])) for line in found} == {(1, 2), ()}
    left = next(person for person in found[30]["people"] if person["bbox"][0] < 80 and person["bbox"][1] < 20)
    assert left["bbox"] == pytest.approx([65, 10, 20, 30], abs=2)
    assert len(left["keypoints"]) == 51


def test_the_summary_counts_and_rates_and_says_where_the_results_are(
    make_clip: Callable[..., Path], call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert call(make_clip(), *NAMED, "--out", out) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"results in {out}: poses.jsonl")
    assert call(make_clip(), *NAMED, "--out", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames"], summary["people"], summary["tracks"], summary["broken"]) == (40, 80, 2, 0)
    assert set(summary["parts"]) == {"decode", "detect", "pose", "track", "write"}
    assert summary == json.loads((out / "summary.json").read_text())


def test_images_are_not_tracked_unless_a_tracker_is_named(call: Call, tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", ["a.png", "b.png"])
    assert call(folder, *NAMED, "--out", tmp_path / "a") == 0
    assert call(folder, *NAMED, "--out", tmp_path / "b", "--track", "bytepose") == 0
    ids = [[person["track_id"] for line in lines(tmp_path / name) for person in line["people"]] for name in ("a", "b")]
    assert ids == [[None] * 4, [1, 2, 1, 2]]


def test_a_broken_image_is_skipped_counted_and_named(call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_frames(tmp_path / "in", ["1.png", "2.png", "3.png"])
    (folder / "2.png").write_bytes(b"\x89PNG no more")
    assert call(folder, *NAMED, "--out", tmp_path / "out") == 0
    assert [line["image"] for line in lines(tmp_path / "out")] == ["1.png", "3.png"]
    printed = capsys.readouterr().out
    assert "1 broken frames skipped" in printed
    assert f"skipped: {folder / '2.png'}: expected an image" in printed


@pytest.mark.parametrize(("names", "ids"), [(["000139.png", "7.png"], [7, 139]), (["a1.png", "7.png"], [0, 1])])
def test_coco_ids_are_the_numbers_in_names_or_positions(call: Call, tmp_path: Path, names: list[str], ids: list[int]) -> None:
    folder, out = write_frames(tmp_path / "in", names), tmp_path / "out"
    assert call(folder, *NAMED, "--out", out, "--format", "coco") == 0
    found = json.loads((out / "coco.json").read_text())
    assert [entry["image_id"] for entry in found] == [ids[0]] * 2 + [ids[1]] * 2
    assert {len(entry["keypoints"]) for entry in found} == {51}
    assert (out / "images.json").exists() == (ids == [0, 1])
    if ids == [0, 1]:
        images = json.loads((out / "images.json").read_text())
        assert [(image["id"], image["file_name"]) for image in images] == [(0, "7.png"), (1, "a1.png")]


def test_alphapose_has_the_fields_and_quirks_of_alphapose(call: Call, tmp_path: Path) -> None:
    folder, out = write_frames(tmp_path / "in", ["one.v2.png", "two.png"]), tmp_path / "out"
    cv2.imwrite(str(folder / "empty.png"), np.zeros((96, 160, 3), np.uint8))
    formats = [part for name in ("alphapose", "alphapose-cmu", "alphapose-open") for part in ("--format", name)]
    assert call(folder, *NAMED, "--out", out, *formats) == 0
    found = json.loads((out / "alphapose-results.json").read_text())
    assert [list(entry) for entry in found] == [["image_id", "category_id", "keypoints", "score", "box", "idx"]] * 4
    assert [entry["image_id"] for entry in found] == ["one.v2.png", "one.v2.png", "two.png", "two.png"]
    scores = np.array(found[0]["keypoints"][2::3])
    assert found[0]["score"] == pytest.approx(0.9 + scores.mean() + 1.25 * scores.max(), abs=1e-3)
    assert found[0]["idx"] == [0.0]
    cmu, openpose = (json.loads((out / f"alphapose-{name}.json").read_text()) for name in ("cmu", "open"))
    joints = np.array(cmu["two.png"]["bodies"][0]["joints"]).reshape(18, 3)
    coco = np.array(found[2]["keypoints"]).reshape(17, 3)
    assert joints[[0, 2, 13, 17]].tolist() == coco[[0, 6, 15, 3]].tolist()
    assert joints[1] == pytest.approx((coco[5] + coco[6]) / 2, abs=1e-3)
    assert openpose["two.png"]["people"][0]["pose_keypoints_2d"] == cmu["two.png"]["bodies"][0]["joints"]
    assert json.loads((out / "alphapose-cmu/sep-json/one.v2.json").read_text()) == cmu["one.v2.png"]


def test_alphapose_of_a_video_has_ids_and_reads_back(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    assert call(make_clip(), *NAMED, "--out", tmp_path / "out", "--format", "alphapose") == 0
    path = tmp_path / "out/alphapose-results.json"
    found = json.loads(path.read_text())
    assert (found[0]["image_id"], found[-1]["image_id"]) == ("0.jpg", "39.jpg")
    assert {type(entry["idx"]) for entry in found} == {int}
    (frames,) = read_pose_results(path, load_skeleton("coco17")).values()
    assert list(frames.frames) == list(range(40))


def test_csv_and_parquet_hold_the_same_numbers(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    assert call(make_clip(), *NAMED, "--out", tmp_path / "out", "--format", "csv", "--format", "parquet") == 0
    table, parquet = pd.read_csv(tmp_path / "out/poses.csv"), pd.read_parquet(tmp_path / "out/poses.parquet")
    assert len(table) == 80
    assert list(table) == list(parquet)
    numbers = parquet.select_dtypes("number").columns
    assert len(numbers) > 51
    assert table[numbers].to_numpy() == pytest.approx(parquet[numbers].to_numpy(), abs=1e-3)
    with (tmp_path / "out/poses.csv").open() as file:
        assert next(csv.reader(file))[:5] == ["source", "frame_index", "time_ms", "image", "track_id"]


def test_posetrack_results_read_back_with_their_ids(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    assert call(make_clip(), *NAMED, "--out", tmp_path / "out", "--format", "posetrack18") == 0
    sequence = read_sequence(tmp_path / "out/posetrack18/clip.json")
    assert [frame.frame_index for frame in sequence.frames] == list(range(40))
    assert {tuple(sorted(frame.people.track_ids.tolist())) for frame in sequence.frames} == {(0, 1)}


def test_a_marker_file_has_a_row_a_frame_in_opensims_form(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    frames = [draw_frame(t, ((5, 10, 2, 0),) if t != 5 else ()) for t in range(12)]
    assert call(make_clip(frames=frames), *NAMED, "--out", tmp_path / "out", "--format", "trc") == 0
    rows = [line.split("\t") for line in (tmp_path / "out/trc/clip_id1.trc").read_text().splitlines()]
    assert rows[0][:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert rows[2][:4] == ["25", "25", "12", "17"]
    assert rows[3][2::3] == [*load_skeleton("coco17").keypoints]
    assert rows[4][2:5] == ["X1", "Y1", "Z1"]
    data = rows[6:]
    assert [int(row[0]) for row in data] == list(range(1, 13))
    assert {len(row) for row in data} == {2 + 3 * 17}
    assert set(data[5][2:]) == {""}
    record = next(read_records(tmp_path / "out/poses.jsonl", 17))
    assert float(data[0][3]) == pytest.approx(95 - record.poses.keypoints[0, 0, 1], abs=0.01)


def test_several_sources_keep_apart(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    first = make_clip("a.avi")
    (tmp_path / "b").mkdir()
    second = make_clip("b/a.avi", [draw_frame(t, ((5, 10, 2, 0),)) for t in range(5)])
    out = tmp_path / "out"
    assert call(first, second, *NAMED, "--out", out, "--format", "posetrack18", "--format", "video") == 0
    assert sorted(path.name for path in (out / "posetrack18").iterdir()) == ["a.json", "a_2.json"]
    assert sorted(path.name for path in (out / "video").iterdir()) == ["a.mp4", "a_2.mp4"]
    found = lines(out)
    assert [line["source"] for line in found] == [str(first)] * 40 + [str(second)] * 5
    assert [person["track_id"] for person in found[40]["people"]] == [1]


def test_a_region_limits_where_people_are_found(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    assert call(make_clip(), *NAMED, "--out", tmp_path / "out", "--roi", "90,0,70,96", "--stop", "5") == 0
    found = lines(tmp_path / "out")
    assert [len(line["people"]) for line in found] == [1] * 5
    assert found[0]["people"][0]["bbox"] == pytest.approx([100, 40, 20, 30], abs=2)


def test_raw_frames_of_a_pipe(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(draw_frame(t).tobytes() for t in range(6))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert call("-", "--raw", "160x96:rgb24@10", *NAMED, "--out", tmp_path / "out", "--format", "images", "--format", "video") == 0
    assert [line["time_ms"] for line in lines(tmp_path / "out")] == [0, 100, 200, 300, 400, 500]
    assert len(list((tmp_path / "out/images").iterdir())) == 6
    assert count_frames(tmp_path / "out/video/stdin.mp4") == 6


def count_frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        count += 1
    return count


def test_drawn_outputs_show_every_frame(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call(make_clip(), *NAMED, "--out", out, "--format", "images", "--format", "video", "--stride", "3") == 0
    assert sorted(path.name for path in (out / "images").iterdir())[:2] == ["000000.jpg", "000003.jpg"]
    assert count_frames(out / "video/clip.mp4") == 14
    assert cv2.VideoCapture(str(out / "video/clip.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(25 / 3, rel=0.02)
    plain = cv2.cvtColor(draw_frame(0), cv2.COLOR_RGB2BGR)
    assert np.abs(cv2.imread(str(out / "images/000000.jpg")).astype(int) - plain).max() > 100


class SeeingNetwork(SquareNetwork):
    """Its keypoints are in the square of the image that is nearest to the box, as a real network's are in the person."""

    def cut(self, image: np.ndarray, bbox_xyxy: np.ndarray) -> CropBatch:
        squares = SquareDetector().detect([image])[0].bbox_xyxy
        centres, wanted = (boxes.reshape(-1, 2, 2).mean(axis=1) for boxes in (squares, bbox_xyxy))
        nearest = np.linalg.norm(wanted[:, None] - centres, axis=2).argmin(axis=1)
        return super().cut(image, squares[nearest].astype(np.float32))


def test_boxes_carried_between_detections_follow_the_people(
    make_clip: Callable[..., Path], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("poseline.pose.run.load_pose_network", lambda *_, **__: SeeingNetwork())
    assert call(make_clip(), *NAMED, "--out", tmp_path / "out", "--detect-every", "4") == 0
    found = lines(tmp_path / "out")
    assert {len(line["people"]) for line in found} == {2}
    assert {tuple(sorted(person["track_id"] for person in line["people"])) for line in found} == {(1, 2)}
    for t, line in enumerate(found[8:], 8):
        left = min(person["bbox"][0] + person["bbox"][2] / 2 for person in line["people"] if person["bbox"][1] < 25)
        assert left == pytest.approx(15 + 2 * t, abs=4)


@pytest.mark.parametrize("smooth", ["one_euro", "savgol", "butterworth"])
def test_smoothing_keeps_frames_and_ids(make_clip: Callable[..., Path], call: Call, tmp_path: Path, smooth: str) -> None:
    clip = make_clip()
    assert call(clip, *NAMED, "--out", tmp_path / "a") == 0
    assert call(clip, *NAMED, "--out", tmp_path / "b", "--smooth", smooth) == 0
    plain, smoothed = (list(read_records(tmp_path / name / "poses.jsonl", 17)) for name in ("a", "b"))
    assert [record.poses.track_ids.tolist() for record in plain] == [record.poses.track_ids.tolist() for record in smoothed]
    moves = np.stack([a.poses.keypoints - b.poses.keypoints for a, b in zip(plain, smoothed, strict=True)])
    assert 0 < np.abs(moves).max() < 12


def test_gaps_are_filled_on_request_and_marked(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    clip = make_clip(frames=[draw_frame(t, ((5, 10, 2, 0),) if t not in (7, 8) else ()) for t in range(14)])
    assert call(clip, *NAMED, "--out", tmp_path / "out", "--fill-gaps", "2", "--format", "csv") == 0
    found = lines(tmp_path / "out")
    assert [[person.get("interpolated", False) for person in line["people"]] for line in found[6:10]] == [[False], [True], [True], [False]]
    assert found[7]["people"][0]["bbox"][0] == pytest.approx(5 + 2 * 7, abs=1.5)
    assert pd.read_csv(tmp_path / "out/poses.csv")["interpolated"].sum() == 2


def test_offline_one_person_has_one_id_over_a_long_gap(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    """Unseen for 1.4 s, longer than the tracker waits; then for .6 s, which is filled."""
    clip = make_clip(frames=[draw_frame(t, () if 10 <= t < 45 or 55 <= t < 70 else ((5 + t // 2, 10, 0, 0),)) for t in range(80)])
    assert call(clip, *NAMED, "--out", tmp_path / "online") == 0
    assert ids_of(tmp_path / "online") == {1, 2}
    assert call(clip, *NAMED, "--out", tmp_path / "offline", "--offline") == 0
    assert ids_of(tmp_path / "offline") == {1}
    found = lines(tmp_path / "offline")
    assert [len(line["people"]) for line in found] == [0 if 10 <= t < 45 else 1 for t in range(80)]
    assert [line["people"][0].get("interpolated", False) for line in found[54:71]] == [False, *[True] * 15, False]
    assert json.loads((tmp_path / "offline/summary.json").read_text())["tracks"] == 1


def ids_of(out: Path) -> set[int]:
    return {person["track_id"] for line in lines(out) for person in line["people"] if person["track_id"]}


def test_nobody_in_the_images_gives_no_poses(call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"in/{number}.png"), rng.integers(0, 90, (60, 80, 3), dtype=np.uint8))
    assert call(tmp_path / "in", *NAMED, "--out", tmp_path / "out", "--format", "coco") == 0
    assert [line["people"] for line in lines(tmp_path / "out")] == [[]] * 20
    assert json.loads((tmp_path / "out/coco.json").read_text()) == []


@pytest.mark.parametrize("form", ["list", "names"])
def test_boxes_of_a_file_stand_for_a_detector(
    form: str, make_clip: Callable[..., Path], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("poseline.pose.run.load_detector", lambda *_, **__: pytest.fail("a file needs no detector"))
    boxes = tmp_path / "boxes.json"
    if form == "list":
        boxes.write_text(json.dumps([{"image_id": t, "bbox": [5 + t, 10, 20, 30], "score": 0.8} for t in range(0, 40, 2)]))
    else:
        boxes.write_text(json.dumps({str(t): [[5 + t, 10, 25 + t, 40, 0.8]] for t in range(0, 40, 2)}))
    assert call(make_clip(), "--model", "m", "--detector", boxes, "--out", tmp_path / "out") == 0
    found = lines(tmp_path / "out")
    assert [len(line["people"]) for line in found] == [1, 0] * 20
    assert found[4]["people"][0]["bbox"] == [9, 10, 20, 30]


def test_a_pose_without_a_track_is_written_without_an_id(make_clip: Callable[..., Path], call: Call, tmp_path: Path) -> None:
    clip, options = make_clip(), ["--set", "track.bytepose.confirm_evidence=12", "--format", "csv", "--format", "alphapose"]
    out = tmp_path / "out"
    assert call(clip, *NAMED, "--out", out, *options, "--format", "posetrack18", "--format", "trc", "--format", "coco") == 0
    ids = [sorted(person["track_id"] or 0 for person in line["people"]) for line in lines(out)]
    assert ids == [[0, 0]] * 3 + [[1, 2]] * 37
    assert [len(entry) for entry in (json.loads((out / f).read_text()) for f in ("coco.json", "alphapose-results.json"))] == [80, 80]
    assert {entry["idx"] for entry in json.loads((out / "alphapose-results.json").read_text())} == {0, 1, 2}
    # These formats are made of tracks.
    sequence = read_sequence(out / "posetrack18/clip.json")
    assert [len(frame.people) for frame in sequence.frames] == [0] * 3 + [2] * 37
    assert sorted(path.name for path in (out / "trc").iterdir()) == ["clip_id1.trc", "clip_id2.trc"]
    assert call(clip, *NAMED, "--out", tmp_path / "plain", "--track", "none") == 0
    assert [len(line["people"]) for line in lines(out)] == [len(line["people"]) for line in lines(tmp_path / "plain")]


def test_ids_go_to_the_poses_that_the_tracker_kept() -> None:
    pose = np.arange(6.0).reshape(3, 1, 2)
    poses = PoseSet(keypoints=pose, keypoint_scores=np.ones((3, 1)), bbox_xyxy=np.tile([0.0, 0, 9, 9], (3, 1)))
    kept = poses.select(np.array([0, 2])).with_track_ids(np.array([5, 4]))
    assert with_ids_of(poses, kept).track_ids.tolist() == [5, -1, 4]
    twins = poses.select(np.array([1, 1]))
    assert with_ids_of(twins, twins.select(slice(1)).with_track_ids(np.array([3]))).track_ids.tolist() == [3, -1]
    for other in (poses.select(np.array([2, 0])), PoseSet.concat([poses, poses])):
        with pytest.raises(DataError, match="changed the poses"):
            with_ids_of(poses, other)
