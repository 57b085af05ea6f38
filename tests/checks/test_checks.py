"""The data checks: each fault is found by its check, with the rows named; sound data pass; a crash is not a fault of the data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from reading import read_format

from poseline.checks.findings import CheckResult, Findings
from poseline.checks.pages import write_html
from poseline.checks.run import check_table, quiet_expectations, run_checks
from poseline.config import ValidateConfig
from poseline.core.skeletons import load_skeleton
from poseline.datasets.annotations import Annotations

COCO17 = load_skeleton("coco17")
CONFIG = ValidateConfig(html=False)
Entry = dict[str, object]


def standing(annotation_id: int, image_id: int, x: float = 30.0) -> Entry:
    """A sound person: left on the image's right, as seen from the front."""
    points = np.zeros((17, 3))
    points[:, 2] = 2
    points[:, 1] = [20, 18, 18, 19, 19, 30, 30, 45, 45, 55, 55, 60, 60, 75, 75, 90, 90]
    points[:, 0] = x + np.array([0, 2, -2, 4, -4, 9, -9, 11, -11, 11, -11, 6, -6, 6, -6, 6, -6])
    return {
        "id": annotation_id, "image_id": image_id, "category_id": 1, "bbox": [x - 13, 12, 26, 84], "area": 1200.0, "iscrowd": 0,
        "num_keypoints": 17, "keypoints": points.ravel().tolist(),
    }  # fmt: skip


def draw(path: Path, seed: int, *, width: int = 120, height: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def write_split(tmp_path: Path) -> Callable[..., Annotations]:
    """A COCO split of three images with a person each, after ``change`` has had its way with the file's content."""

    def write(
        change: Callable[[list[Entry], list[Entry]], object] = lambda people, images: None, *, split: str = "train", first: int = 1
    ) -> Annotations:
        ids = range(first, first + 3)
        images: list[Entry] = [{"id": i, "file_name": f"{i}.jpg", "width": 120, "height": 100} for i in ids]
        people = [standing(10 * i, i, x=30 + i) for i in ids]
        for i in ids:
            draw(tmp_path / split / f"{i}.jpg", seed=i)
        change(people, images)
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps({"images": images, "annotations": people}))
        return read_format("coco", path, tmp_path / split, split=split, skeleton=COCO17)

    return write


def with_depth(config: ValidateConfig, depth: str) -> ValidateConfig:
    return config.model_copy(update={"check_images": depth})


def failed(findings: Findings) -> dict[str, CheckResult]:
    return {result.check: result for result in findings.results if result.status != "passed"}


def test_sound_data_pass_every_check(write_split: Callable[..., Annotations]) -> None:
    findings = run_checks([write_split(), write_split(split="val", first=4)], CONFIG)
    assert findings.is_valid
    assert failed(findings) == {}
    assert {(result.dataset, result.split) for result in findings.results} == {("coco", "train"), ("coco", "val")}
    checked = {result.check: result.evaluated for result in findings.results if result.split == "train"}
    assert checked["ExpectLeftRightPlausible"] == checked["ExpectImageReadable"] == checked["ExpectKeypointsNearBox"] == 3
    assert "ExpectUniqueTrackIdsInFrame" not in checked


def swap_hips(person: Entry) -> Entry:
    points = np.reshape(person["keypoints"], (17, 3))
    points[[11, 12]] = points[[12, 11]]
    return {**person, "keypoints": points.ravel().tolist()}


def with_keypoint(person: Entry, index: int, *values: float) -> Entry:
    keypoints = list(person["keypoints"])  # type: ignore[call-overload]
    keypoints[3 * index : 3 * index + len(values)] = values
    return {**person, "keypoints": keypoints}


def faulty_people() -> list[Entry]:
    """A person a fault, each in an image of its own but for the last two, which share one pose."""
    sound = {i: standing(10 * i, i, x=30 + i) for i in range(1, 17)}
    nan, inf = float("nan"), float("inf")
    return [
        {**sound[1], "bbox": [-2, 12, 60, 84]}, {**sound[2], "id": 10},  # the first box is within the tolerance
        {**sound[3], "image_id": 77},
        {**sound[4], "bbox": [5, 5, 0, 9]}, {**sound[5], "bbox": [5, 5, nan, 9]},
        {**sound[6], "bbox": [300, 5, 9, 9]},
        {**sound[7], "bbox": [-3, 12, 80, 84]},
        {**sound[8], "area": 0}, {**sound[9], "area": None},
        with_keypoint(sound[10], 3, nan), with_keypoint(sound[11], 3, inf),
        with_keypoint(sound[12], 3, 1, 1, 3),
        with_keypoint(sound[13], 9, -4.0),
        with_keypoint(sound[14], 9, 119.0),
        swap_hips(sound[15]),
        sound[16], {**sound[16], "id": 161},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """The findings on one split that has every fault once or twice."""
    folder = tmp_path_factory.mktemp("faults")
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 120, "height": 100} for i in range(1, 17)]
    (folder / "train.json").write_text(json.dumps({"images": images, "annotations": faulty_people()}))
    return run_checks([read_format("coco", folder / "train.json", folder, split="train", skeleton=COCO17)], with_depth(CONFIG, "none"))


@pytest.mark.parametrize(
    ("check", "severity", "ids"),
    [
        ("ExpectUniqueAnnotationIds", "error", (10, 10)),
        ("ExpectListedImage", "error", (30,)),
        ("ExpectPositiveBox", "error", (40, 50)),
        ("ExpectBboxTouchesImage", "error", (60,)),
        ("ExpectBboxInsideImage", "warning", (60, 70)),
        ("ExpectPositiveArea", "error", (80, 90)),
        ("ExpectKeypointsFinite", "error", (100, 110)),
        ("ExpectVisibilityInRange", "error", (120,)),
        ("ExpectNumKeypointsConsistent", "warning", (100, 110, 120)),
        ("ExpectKeypointsInsideImage", "warning", (130,)),
        ("ExpectKeypointsNearBox", "warning", (60, 140)),
        ("ExpectLeftRightPlausible", "warning", (150,)),
        ("ExpectDistinctPoses", "warning", (160, 161)),
    ],
)
def test_each_fault_of_people_is_found(faults: Findings, check: str, severity: str, ids: tuple[int, ...]) -> None:
    result = failed(faults)[check]
    assert (result.severity, result.status, result.ids, result.unexpected) == (severity, "failed", ids, len(ids))
    assert f"annotation_id {ids[0]}" in result.line()
    assert (result in faults.errors) == (severity == "error")


def test_no_other_check_fails_on_them(faults: Findings) -> None:
    assert len(failed(faults)) == 13
    assert not faults.is_valid
    summary = faults.to_dict()["summary"]
    checks = len(faults.results)
    assert summary == {"checks": checks, "errors": 7, "warnings": 6, "crashed": 0, "passed": checks - 13, "valid": False}


def test_each_fault_of_images_is_found(write_split: Callable[..., Annotations], tmp_path: Path) -> None:
    def rename(people: list[Entry], images: list[Entry]) -> None:
        images[1]["width"] = 121

    annotations = write_split(rename)
    (tmp_path / "train" / "1.jpg").unlink()
    path = tmp_path / "train" / "3.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    found = failed(run_checks([annotations], CONFIG))
    assert {name: result.ids for name, result in found.items()} == {
        "ExpectImageExists": (1,), "ExpectImageReadable": (3,), "ExpectImageSizeMatches": (2,)
    }  # fmt: skip
    assert found["ExpectImageReadable"].samples == ("truncated",)
    assert all(result.is_error and result.id_column == "image_id" for result in found.values())
    assert set(failed(run_checks([annotations], with_depth(CONFIG, "exists")))) == {"ExpectImageExists"}
    assert failed(run_checks([annotations], with_depth(CONFIG, "none"))) == {}


def test_one_image_in_two_splits_is_an_error(write_split: Callable[..., Annotations], tmp_path: Path) -> None:
    train, val = write_split(), write_split(split="val", first=4)
    (tmp_path / "val" / "5.jpg").write_bytes((tmp_path / "train" / "2.jpg").read_bytes())
    found = [result for result in run_checks([train, val], CONFIG).results if result.status == "failed"]
    assert [(result.split, result.check, result.ids) for result in found] == [
        ("train", "ExpectSplitsDisjoint", (2,)), ("val", "ExpectSplitsDisjoint", (5,))
    ]  # fmt: skip
    same = failed(run_checks([train, replace(train, split="val")], with_depth(CONFIG, "none")))
    assert same["ExpectSplitsDisjoint"].unexpected == 3


def test_empty_split_and_unlabelled_people(write_split: Callable[..., Annotations]) -> None:
    def clear(people: list[Entry], images: list[Entry]) -> None:
        people.clear()
        images.clear()

    def unlabel(people: list[Entry], images: list[Entry]) -> None:
        for person in people:
            person.update(keypoints=[0] * 51, num_keypoints=0)

    assert set(failed(run_checks([write_split(clear)], CONFIG))) == {"ExpectImages", "ExpectPeople", "ExpectLabelledKeypoints"}
    assert set(failed(run_checks([write_split(unlabel)], CONFIG))) == {"ExpectLabelledKeypoints"}


def test_too_many_warnings_become_an_error(write_split: Callable[..., Annotations]) -> None:
    annotations = write_split(lambda people, images: people[1].update(num_keypoints=16))
    strict = CONFIG.model_copy(update={"max_warnings": 0.2})
    assert run_checks([annotations], CONFIG.model_copy(update={"max_warnings": 0.5})).is_valid
    result = failed(run_checks([annotations], strict))["ExpectFewWarnings"]
    assert result.is_error
    assert result.samples == (pytest.approx(1 / 3, abs=1e-5),)
    assert "at most 20% of the people" in result.line()


def test_videos_missing_frames_and_head_boxes(tmp_path: Path) -> None:
    names = load_skeleton("posetrack17").keypoints
    keypoints = np.tile([20.0, 15.0, 1.0], 17).tolist()
    images = [{"id": i, "file_name": f"v/{i:06d}.jpg", "is_labeled": True} for i in (0, 1, 3)]
    people = [
        {"image_id": i, "category_id": 1, "track_id": 0, "bbox": [5, 5, 40, 40], "keypoints": keypoints, **head}
        for i, head in zip((0, 1, 3), ({"bbox_head": [9, 9, 5, 5]}, {"bbox_head": [9, 9, 5, 5]}, {}), strict=True)
    ]
    (tmp_path / "v.json").write_text(
        json.dumps({"images": images, "annotations": people, "categories": [{"id": 1, "keypoints": list(names)}]})
    )
    for i in (0, 1, 3):
        draw(tmp_path / "v" / f"{i:06d}.jpg", seed=0)
    findings = run_checks([read_format("posetrack", tmp_path, tmp_path, split="val", skeleton=load_skeleton("union21"))], CONFIG)
    found = failed(findings)
    assert {name: result.ids for name, result in found.items()} == {
        "ExpectFramesConsecutive": (3,), "ExpectVideoHeadBoxPresent": (300,)
    }  # fmt: skip
    assert findings.is_valid


def test_a_crashed_check_is_no_statement_on_the_data_but_stops(write_split: Callable[..., Annotations]) -> None:
    with quiet_expectations():
        from poseline.checks.expectations import ExpectBboxInsideImage, ExpectUniqueAnnotationIds

        table = pd.DataFrame({"annotation_id": [1, 2]})
        asked = [ExpectUniqueAnnotationIds(), ExpectBboxInsideImage(max_value=1, description="boxes are inside")]
        outcome = check_table(write_split(), "people", table, asked, html=False)
    findings = Findings(outcome.results)
    assert [result.status for result in outcome.results] == ["passed", "crashed"]
    assert outcome.results[1].severity == "warning"
    assert not findings.is_valid
    assert "the check crashed: " in outcome.results[1].line()
    assert "bbox_outside_px" in outcome.results[1].message
    assert findings.to_dict()["summary"]["crashed"] == 1  # type: ignore[index, call-overload]


def test_findings_and_pages_are_the_same_bytes_twice_and_stand_alone(write_split: Callable[..., Annotations], tmp_path: Path) -> None:
    annotations = write_split(lambda people, images: people[1].update(bbox=[5, 5, 0, 9]))
    texts = []
    for name in ("one", "two"):
        findings = run_checks([annotations], ValidateConfig())
        index = write_html(findings, tmp_path / name)
        assert index == tmp_path / name / "index.html"
        pages = {path.name: path.read_text() for path in sorted((tmp_path / name).iterdir())}
        texts.append((json.dumps(findings.to_dict(), allow_nan=False), pages))
    assert texts[0] == texts[1]
    pages = texts[0][1]
    assert sorted(pages) == ["coco_train_images.html", "coco_train_people.html", "coco_train_split.html", "index.html"]
    assert "ExpectPositiveBox" in pages["index.html"]
    assert "annotation_id 20 (0.0)" in pages["index.html"]
    assert "boxes are finite, with width and height above 0 px" in pages["coco_train_people.html"]
    assert not any("http" in page or "<script" in page for page in pages.values())


def test_write_html_removes_pages_of_other_splits(tmp_path: Path) -> None:
    (tmp_path / "coco_old_people.html").touch()
    write_html(Findings(()), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_great_expectations_loads_only_when_a_check_runs() -> None:
    code = "import sys, poseline.checks.run, poseline.datasets.formats; print('great_expectations' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def turn(path: Path, orientation: int) -> None:
    """Store the image turned, with the EXIF orientation that turns it upright again."""
    image = cv2.imread(str(path))
    stored = {1: image, 3: image[::-1, ::-1], 6: np.rot90(image), 8: np.rot90(image, 3)}[orientation]
    data = cv2.imencode(".jpg", np.ascontiguousarray(stored))[1].tobytes()
    block = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + bytes(4)
    path.write_bytes(data[:2] + b"\xff\xe1" + (2 + len(block)).to_bytes(2, "big") + block + data[2:])


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("depth", ["header", "decode"])
def test_images_annotated_upright_pass_and_those_annotated_as_stored_are_refused(
    orientation: int, depth: str, write_split: Callable[..., Annotations], tmp_path: Path
) -> None:
    split = write_split()
    turn(tmp_path / "train/2.jpg", orientation)
    found = failed(run_checks([split], with_depth(CONFIG, depth)))
    assert list(found) == ["ExpectStoredUpright"]
    assert (found["ExpectStoredUpright"].severity, found["ExpectStoredUpright"].ids) == ("warning", (2,))
    assert "EXIF orientation" in found["ExpectStoredUpright"].description

    images = split.images.copy()
    images.loc[images["image_id"] == 2, ["width", "height"]] = (100, 120)
    found = failed(run_checks([replace(split, images=images)], with_depth(CONFIG, depth)))
    assert "ExpectImageSizeMatches" not in found
    assert (found["ExpectSidesNotSwapped"].severity, found["ExpectSidesNotSwapped"].ids) == ("error", (2,))
    assert "EXIF orientation" in found["ExpectSidesNotSwapped"].description


def test_the_steps_between_frames_are_counted_in_the_usual_one(write_split: Callable[..., Annotations]) -> None:
    split = write_split()
    stamps = split.images.assign(video_id="v", frame_index=[1704412800000, 1704412800040, 1704412800080])
    assert "ExpectFramesConsecutive" not in failed(run_checks([replace(split, images=stamps)], CONFIG))
    gap = split.images.assign(video_id="v", frame_index=[5, 6, 9])
    assert failed(run_checks([replace(split, images=gap)], CONFIG))["ExpectFramesConsecutive"].ids == (3,)
