"""Pseudo-labels: as precise on images that nobody labelled as was asked for, and read back as a set to train on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poseline.artifacts import BBOX_COLUMNS, Layout, PoseTable, read_poses
from poseline.config import Params, load_params
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.formats import read_split
from poseline.errors import DataError
from poseline.evaluation.pseudo_labels import compare_to_people, keep_labels, lowest_threshold
from poseline.stages import pseudo_label

SKELETON = load_skeleton("union21")


def test_the_threshold_is_the_lowest_that_is_surely_precise() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(4000)
    right = rng.random(4000) < scores  # a score is the chance of being right
    found = lowest_threshold(scores, right, 0.9, what="people")
    assert found.precision >= 0.9
    assert 0.78 < found.score < 0.86  # the mean of what lies above 0.8 is 0.9
    assert found.kept == (scores >= found.score).sum()
    assert found.precision == right[scores >= found.score].mean()
    strict = lowest_threshold(scores[:200], right[:200], 0.9, what="people")
    assert strict.precision > 0.92  # fewer people: a larger margin


def test_equal_scores_are_kept_together() -> None:
    scores = np.array([0.9] * 100 + [0.5] * 100)
    right = np.array([True] * 190 + [False] * 10)
    assert lowest_threshold(scores, right, 0.9, what="people").kept == 200
    assert lowest_threshold(scores, right, 0.97, what="people").kept == 100


@pytest.mark.parametrize(("scores", "right"), [(np.linspace(0, 1, 50), np.zeros(50, bool)), (np.zeros(0), np.zeros(0, bool))])
def test_a_precision_that_nothing_reaches_is_one_line(scores: np.ndarray, right: np.ndarray) -> None:
    with pytest.raises(
        DataError, match=r"no score of people reaches a precision of 0\.9 on the labelled set: .*Lower --precision"
    ) as caught:
        lowest_threshold(scores, right, 0.9, what="people")
    assert "\n" not in str(caught.value)


def simulate(people: PoseTable, seed: int) -> PoseTable:
    """Predictions of people: those of a low score lie far off, some are nobody's; scores of keypoints tell how far they are off."""
    rng = np.random.default_rng(seed)
    labelled = people.select(~people.rows["is_crowd"] & (people.rows["num_keypoints"] > 0))
    count, joints = len(labelled), labelled.poses.keypoints.shape[1]
    quality = rng.random(count)
    size = np.sqrt(labelled.poses.area)[:, None, None]
    noise = rng.normal(size=(count, joints, 2)) * size * 0.25 * (1 - quality[:, None, None]) ** 2
    own = rng.random((count, joints)) < 0.1  # single keypoints that are wrong, and mostly score low
    noise = np.where(own[..., None], size * 0.5, noise)
    keypoint_scores = np.clip(np.where(own, 0.2, 0.9) * quality[:, None] + rng.normal(size=(count, joints)) * 0.05, 0, 1)
    ghosts = rng.random(count) < 0.15
    keypoints = labelled.poses.keypoints + noise + np.where(ghosts, 500.0, 0.0)[:, None, None]
    scores = np.clip(np.where(ghosts, 0.4, 1.0) * quality + rng.normal(size=count) * 0.03, 0, 1)
    poses = PoseSet(
        keypoints=keypoints, keypoint_scores=keypoint_scores, bbox_xyxy=labelled.poses.bbox_xyxy + np.where(ghosts, 500.0, 0.0)[:, None],
        pose_scores=scores,
    )  # fmt: skip
    return PoseTable(labelled.rows, poses)


def many_people(people: PoseTable, copies: int, offset: int) -> PoseTable:
    """The people again and again, each time in images of their own."""
    parts = [replace(people, rows=people.rows.assign(image_id=people.rows["image_id"] + 10**7 * (offset + k))) for k in range(copies)]
    return PoseTable.concat(parts)


@pytest.mark.parametrize("precision", [0.7, 0.8, 0.9])
def test_labels_of_other_images_are_as_precise(precision: float, project: Path) -> None:
    people, _ = read_poses(project / "data/processed/people.parquet", kind="people", made_by="preprocess")
    val, unlabelled = many_people(people, 10, 0), many_people(people, 10, 100)
    seen = compare_to_people(simulate(val, 1), val, SKELETON)
    person = lowest_threshold(seen.scores, seen.right, precision, what="people")
    keypoint = lowest_threshold(seen.keypoint_scores, seen.keypoints_right, precision, what="keypoints")
    found = simulate(unlabelled, 2)
    kept = keep_labels(found, person.score, keypoint.score, np.ones(SKELETON.num_keypoints, bool))
    assert 0.2 * len(found) < len(kept) < len(found)
    truth = compare_to_people(kept, unlabelled, SKELETON)
    assert truth.right.mean() >= precision
    assert truth.keypoints_right[truth.keypoint_scores >= keypoint.score].mean() >= precision
    everything = compare_to_people(found, unlabelled, SKELETON)
    assert everything.right.mean() < precision - 0.05


def test_crowds_and_unlabelled_people_neither_help_nor_harm(project: Path) -> None:
    people, _ = read_poses(project / "data/processed/people.parquet", kind="people", made_by="preprocess")
    one = people.select(np.flatnonzero(people.rows["num_keypoints"] > 10)[:1])
    crowd = replace(one, rows=one.rows.assign(is_crowd=True))
    found = PoseTable(one.rows, replace(one.poses, pose_scores=np.ones(1)))
    assert compare_to_people(found, one, SKELETON).right.tolist() == [True]
    assert compare_to_people(found, crowd, SKELETON).right.tolist() == []
    assert compare_to_people(PoseTable.concat([found, found]), one, SKELETON).right.tolist() == [True, False]


@pytest.fixture
def labelled(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[Params, PoseTable]:
    """The project, whose people a simulated model finds; val is shown several times, for a few people prove nothing."""
    people, _ = read_poses(project / "data/processed/people.parquet", kind="people", made_by="preprocess")

    def predict(_: object, boxes: pd.DataFrame, params: Params) -> PoseTable:
        known = people.where(dataset="coco", split="val")
        if set(boxes["image_id"]) <= set(known.rows["image_id"]):
            return simulate(known, 3)
        names = {Path(path).name: number for path, number in zip(boxes["image_path"], boxes["image_id"], strict=True)}
        train = people.where(dataset="coco", split="train")
        found = simulate(train, 4)
        return replace(found, rows=found.rows.assign(image_id=[names[Path(path).name] for path in found.rows["image_path"]]))

    monkeypatch.setattr(pseudo_label, "predict", predict)
    monkeypatch.setattr(pseudo_label, "load_estimator", lambda *_: None)
    return load_params(project / "params.yaml", tiny), people


def test_the_file_is_a_set_to_train_on(labelled: tuple[Params, PoseTable], project: Path, tiny: tuple[str, ...]) -> None:
    params, people = labelled
    train = people.where(dataset="coco", split="train")
    boxes = {Path(path).name: [[*map(float, box), 0.9] for box in group.poses.bbox_xyxy] for path, group in train.groups("image_path")}
    Path("boxes.json").write_text(json.dumps(boxes))
    folder = Path(str(train.rows["image_path"].iloc[0])).parent
    labels = pseudo_label.run(
        params, Layout(Path()), "cpu", folder, model=Path("data/model"), out=Path("pseudo"), name="coco", precision=0.6,
        boxes=Path("boxes.json"),
    )  # fmt: skip
    assert 0 < labels.people <= labels.found
    entry = f"{{format: coco, annotations: pseudo, train: {{annotations: pseudo.json, images: {folder}}}, skeleton: union21}}"
    again = load_params(project / "params.yaml", (*tiny, f"data.sets.pseudo={entry}"))
    read = read_split(again.data, "pseudo", "train")
    assert len(read.people) == labels.people
    assert int((read.people.poses.visibility > 0).sum()) == labels.keypoints
    assert (read.people.poses.visibility > 0).any(axis=1).all()
    content = json.loads(Path("pseudo/pseudo.json").read_text())
    assert {"precision": 0.6, "person": vars(labels.person)}.items() <= content["info"].items()
    known = (people.where(dataset="coco", split="val").poses.visibility > 0).any(axis=0)
    assert not (read.people.poses.visibility > 0)[:, ~known].any()


def test_boxes_need_their_like_on_val(labelled: tuple[Params, PoseTable], project: Path, tiny: tuple[str, ...]) -> None:
    params = load_params(project / "params.yaml", (*tiny, "data.sets.coco.detections=null"))
    folder = Path("data/mini/coco/train2017")
    with pytest.raises(DataError, match=r"data\.sets\.coco\.detections: null, .*Give --detector"):
        pseudo_label.run(
            params, Layout(Path()), "cpu", folder, model=Path("data/model"), out=Path("pseudo"), name="coco", precision=0.9,
            boxes=Path("boxes.json"),
        )  # fmt: skip


def test_boxes_have_the_columns_that_prediction_reads(project: Path) -> None:
    from poseline.datasets.boxes import COLUMNS
    from poseline.datasets.images import list_images, read_image
    from poseline.infer.detectors.whole import WholeImage

    paths = list_images(project / "data/mini/coco/val2017")
    table = pseudo_label.tabulate(paths, lambda path, _: WholeImage().detect([read_image(path)])[0])
    assert list(table.columns) == list(COLUMNS)
    assert table["image_id"].tolist() == list(range(1, len(paths) + 1))
    assert (table[list(BBOX_COLUMNS)].to_numpy()[:, 2:] > 30).all()
