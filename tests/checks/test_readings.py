"""Faults of a whole file: each is an error that names the reading that fits, drawn in the report; sound files are left alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from reading import read_format

from poseline.checks.pages import write_html
from poseline.checks.readings import AS_EXPECTED, Sides, count_from_one, exchanged_sides, read_whole
from poseline.checks.run import run_checks
from poseline.config import DataConfig, ValidateConfig, load_params
from poseline.core.skeletons import load_skeleton
from poseline.datasets.annotations import Annotations
from poseline.datasets.formats import read_set
from poseline.errors import PoselineError

REAL = Path(os.environ.get("POSELINE_REAL", Path(__file__).parents[3] / "shared/real"))
CONFIG = ValidateConfig(html=False)
Change = Callable[[Annotations], Annotations]


def with_raw(annotations: Annotations, **arrays: np.ndarray) -> Annotations:
    return replace(annotations, raw=replace(annotations.raw, **arrays))


def given(annotations: Annotations) -> np.ndarray:
    """x, y, width, height."""
    box = annotations.raw.bbox_xyxy
    return np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)


def read_as_xywh(numbers: np.ndarray) -> np.ndarray:
    """What the reader makes of four numbers."""
    return np.concatenate([numbers[:, :2], numbers[:, :2] + numbers[:, 2:]], axis=1)


def corners(annotations: Annotations) -> Annotations:
    return with_raw(annotations, bbox_xyxy=read_as_xywh(annotations.raw.bbox_xyxy))


def centres(annotations: Annotations) -> Annotations:
    x, y, w, h = given(annotations).T
    return with_raw(annotations, bbox_xyxy=read_as_xywh(np.stack([x + w / 2, y + h / 2, w, h], axis=1)))


def turned_boxes(annotations: Annotations) -> Annotations:
    return with_raw(annotations, bbox_xyxy=read_as_xywh(given(annotations)[:, [1, 0, 3, 2]]))


def turned_keypoints(annotations: Annotations) -> Annotations:
    return with_raw(annotations, keypoints=annotations.raw.keypoints[..., ::-1].copy())


def fractions(annotations: Annotations) -> Annotations:
    sizes = annotations.images.set_index("image_id")[["width", "height"]].loc[annotations.raw.image_id].to_numpy()
    return with_raw(annotations, keypoints=annotations.raw.keypoints / sizes[:, None])


def from_corner(annotations: Annotations) -> Annotations:
    return with_raw(annotations, keypoints=annotations.raw.keypoints - annotations.raw.bbox_xyxy[:, None, :2])


def exchanged(annotations: Annotations) -> Annotations:
    order = annotations.skeleton.flip_permutation
    return with_raw(annotations, keypoints=annotations.raw.keypoints[:, order], visibility=annotations.raw.visibility[:, order])


def from_one(annotations: Annotations) -> Annotations:
    return with_raw(annotations, keypoints=annotations.raw.keypoints + 1, bbox_xyxy=annotations.raw.bbox_xyxy + 1)


@pytest.fixture(scope="module")
def drawn(drawn_project: Path) -> dict[str, list[Annotations]]:
    """The splits of each drawn set."""
    before = Path.cwd()
    os.chdir(drawn_project)
    try:
        data: DataConfig = load_params(drawn_project / "params.yaml").data
        found = {name: read_set(data, name) for name in data.sets}
    finally:
        os.chdir(before)
    return {name: [at_home(split, drawn_project) for split in splits] for name, splits in found.items()}


def at_home(split: Annotations, folder: Path) -> Annotations:
    """The split with its images' whole paths."""
    return replace(split, images=split.images.assign(image_path=[str(folder / path) for path in split.images["image_path"]]))


def answers(splits: list[Annotations]) -> dict[str, str]:
    """What is said of the last split."""
    *others, own = [read_whole(split) for split in splits]
    sides = exchanged_sides(own.sides, [other.sides for other in others])
    return {"boxes": own.boxes.verdict, "keypoints": own.keypoints.verdict, "sides": sides, "first_pixel": own.first_pixel}


@pytest.mark.parametrize("name", ["coco", "mpii", "posetrack"])
def test_drawn_sets_are_as_expected(name: str, drawn: dict[str, list[Annotations]]) -> None:
    for splits in (drawn[name], drawn[name][::-1]):
        assert set(answers(splits).values()) == {AS_EXPECTED}


@pytest.mark.parametrize(
    ("change", "topic", "reading"),
    [
        (corners, "boxes", "boxes are x1, y1, x2, y2: fits"),
        (centres, "boxes", "boxes are centre x, centre y, width, height: fits"),
        (turned_boxes, "boxes", "boxes are y, x, height, width: fits"),
        (turned_keypoints, "keypoints", "keypoints are y, x: fits"),
        (fractions, "keypoints", "keypoints are fractions of the image's width and height: fits"),
        (from_corner, "keypoints", "keypoints count from the box's corner: fits"),
        (exchanged, "sides", "left and right are exchanged: of"),
    ],
)
def test_a_fault_of_the_whole_file_names_the_reading_that_fits(
    change: Change, topic: str, reading: str, drawn: dict[str, list[Annotations]]
) -> None:
    train, val = drawn["coco"]
    for told in (answers([train, change(val)]), answers([val, change(train)])):
        assert told.pop(topic).startswith(reading)
        assert set(told.values()) == {AS_EXPECTED}, "one fault is one finding"


@pytest.mark.parametrize("name", ["coco", "posetrack"])
def test_boxes_of_videos_too(name: str, drawn: dict[str, list[Annotations]]) -> None:
    assert answers([corners(drawn[name][0])])["boxes"].startswith("boxes are x1, y1, x2, y2")


def test_sides_without_a_face_are_told_by_the_other_split() -> None:
    front, behind, few = Sides(False, 70, 30), Sides(False, 28, 72), Sides(False, 1, 3)
    assert exchanged_sides(behind, [front]).startswith("left and right are exchanged against the other split: 28% of 100 people")
    assert exchanged_sides(front, [behind]) == AS_EXPECTED
    assert exchanged_sides(few, [front]) == AS_EXPECTED
    assert exchanged_sides(behind, []) == AS_EXPECTED, "people may be seen from behind"
    assert exchanged_sides(Sides(True, 1, 9), []).startswith("left and right are exchanged: of 10 people")
    assert exchanged_sides(Sides(True, 0, 4), []) == AS_EXPECTED, "too few to say it of a file"


def test_pixels_from_one_are_told_where_boxes_are_cut_at_the_edges(drawn: dict[str, list[Annotations]]) -> None:
    split = drawn["coco"][0]
    size = split.images.set_index("image_id")[["width", "height"]].loc[split.raw.image_id].to_numpy().astype(float)
    box = split.raw.bbox_xyxy.copy()
    box[:6, :2], box[:6, 2:] = 0, size[:6]
    cut = with_raw(split, bbox_xyxy=box)
    assert count_from_one(cut) == AS_EXPECTED
    assert count_from_one(from_one(cut)).startswith("pixels count from 1: ")


def test_the_finding_is_an_error_and_drawn(drawn: dict[str, list[Annotations]], tmp_path: Path) -> None:
    train, val = drawn["coco"]
    findings = run_checks([train, exchanged(corners(turned_keypoints(val)))], CONFIG)
    assert not {"ExpectBoxesReadRight", "ExpectSidesRight"} & {f.check for f in findings.errors if f.split == "train"}
    findings = run_checks([train, corners(val)], CONFIG.model_copy(update={"html": True}))
    error = next(found for found in findings.errors if found.check == "ExpectBoxesReadRight")
    assert "got boxes are x1, y1, x2, y2: fits" in error.line()
    page = write_html(findings, tmp_path).read_text()
    assert '<img src="coco_val_boxes.jpg" alt="boxes">' in page
    assert "Red: x, y, width, height. Green: boxes are x1, y1, x2, y2." in page
    image = cv2.imread(str(tmp_path / "coco_val_boxes.jpg"))
    assert image.shape[0] == 300
    red, green = ((np.abs(image.astype(int) - colour).sum(axis=2) < 90).sum() for colour in ((40, 40, 220), (60, 170, 30)))
    assert min(red, green) > 100


def test_a_person_alone_is_no_fault_of_the_file(drawn: dict[str, list[Annotations]]) -> None:
    split = drawn["coco"][0]
    box = split.raw.bbox_xyxy.copy()
    box[:4] = read_as_xywh(box[:4])
    assert answers([with_raw(split, bbox_xyxy=box)])["boxes"] == AS_EXPECTED


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data in {REAL}; set POSELINE_REAL")
@pytest.mark.parametrize(
    ("format_name", "annotations", "images", "skeleton"),
    [
        ("coco", "coco/person_keypoints.json", "coco/images", "coco17"),
        ("coco", "formats/coco/test_coco.json", "formats/coco", "coco17"),
        ("coco", "formats/ochuman/test_ochuman.json", "formats/ochuman", "coco17"),
        ("coco-wholebody", "formats/coco/test_coco_wholebody.json", "formats/coco", "wholebody133"),
        ("crowdpose", "formats/crowdpose/test_crowdpose.json", "formats/crowdpose", "crowdpose14"),
        ("halpe", "formats/halpe/test_halpe.json", "formats/coco", "halpe26"),
        ("mpii", "formats/mpii/test_mpii.json", "formats/mpii", "mpii16"),
        ("posetrack", "formats/posetrack18/annotations/val", "formats/posetrack18/images", "posetrack17"),
    ],
)
def test_official_samples_are_as_expected(format_name: str, annotations: str, images: str, skeleton: str) -> None:
    split = "train" if format_name == "mpii" else "val"
    found = read_format(format_name, REAL / annotations, REAL / images, split=split, skeleton=load_skeleton(skeleton))
    assert set(answers([found]).values()) == {AS_EXPECTED}
    if format_name == "coco" and len(found.raw) > 100:
        assert answers([corners(found)])["boxes"].startswith("boxes are x1, y1, x2, y2")
        assert answers([turned_keypoints(found)])["keypoints"].startswith("keypoints are y, x")
        assert answers([exchanged(found)])["sides"].startswith("left and right are exchanged")


def test_the_stage_says_it_in_a_line(project: Path, tiny: tuple[str, ...]) -> None:
    from poseline.artifacts import Layout
    from poseline.stages import validate

    path = next(Path("data/mini/coco/annotations").glob("person_keypoints_val*.json"))
    content = json.loads(path.read_text())
    for person in content["annotations"]:
        x, y, w, h = person["bbox"]
        person["bbox"] = [x, y, x + w, y + h]
    path.write_text(json.dumps(content))
    with pytest.raises(PoselineError, match=r"coco val: ExpectBoxesReadRight: .*; got boxes are x1, y1, x2, y2: fits \d+ of \d+ people"):
        validate.run(load_params(Path("params.yaml"), tiny), Layout(Path()), "coco")
