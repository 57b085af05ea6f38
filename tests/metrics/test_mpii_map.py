"""MPII's multi-person protocol."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from poseline.datasets.mpii.groups import read_groups
from poseline.errors import DataError
from poseline.metrics.mpii_map import GroupPeople, score_mpii_multi


@pytest.fixture
def people() -> GroupPeople:
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, 2000, (10, 1, 2))
    return GroupPeople(
        group_ids=np.repeat([1, 2, 3], [4, 4, 2]),
        keypoints=centre + rng.uniform(-50, 50, (10, 16, 2)),
        present=np.ones((10, 16), dtype=bool),
        scores=np.ones((10, 16)),
        head_size=np.full(10, 20.0),
    )


def test_the_truth_scores_one(people):
    score = score_mpii_multi(people, people)
    assert score.mean == 1.0
    assert set(score.parts) == {"head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"}
    assert score.metrics["map_head"] == 1.0
    assert "pelvis" not in score.joints


def test_one_joint_off_costs_its_part_only(people):
    moved = people.keypoints.copy()
    moved[:, 10] += 11
    score = score_mpii_multi(people, replace(people, keypoints=moved))
    assert score.joints["right_wrist"] == 0.0
    assert score.parts["wrist"] == 0.5
    assert score.mean == pytest.approx(6.5 / 7)


def test_a_second_pose_on_a_person_is_false(people):
    twice = GroupPeople(*(np.concatenate([getattr(people, n)] * 2) for n in ("group_ids", "keypoints", "present", "scores", "head_size")))
    doubled = replace(twice, scores=np.concatenate([np.full((10, 16), 0.9), np.full((10, 16), 0.5)]))
    assert score_mpii_multi(people, doubled).mean == 1.0
    worse = replace(twice, keypoints=np.concatenate([people.keypoints, people.keypoints + 4]), scores=doubled.scores[::-1])
    assert score_mpii_multi(people, worse).mean < 0.6


def test_people_not_found_lower_recall(people):
    half = GroupPeople(*(getattr(people, n)[::2] for n in ("group_ids", "keypoints", "present", "scores", "head_size")))
    assert score_mpii_multi(people, half).mean == 0.5


def test_unknown_group(people):
    with pytest.raises(DataError, match="group 9 is not in the ground truth"):
        score_mpii_multi(people, replace(people, group_ids=np.full(10, 9)))


def test_files(people, tmp_path):
    joints = np.concatenate([people.keypoints, people.present[..., None]], axis=2)
    rows = [
        {"group": int(group), "keypoints": points.tolist(), "head_box": [0, 0, 20, 80 / 3]}
        for group, points in zip(people.group_ids, joints, strict=True)
    ]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    ground_truth = read_groups(tmp_path / "t.json", ground_truth=True)
    assert ground_truth.head_size[0] == pytest.approx(20.0)
    assert score_mpii_multi(ground_truth, read_groups(tmp_path / "t.json", ground_truth=False)).mean == 1.0
    for spoiled, message in (
        ({"group": "a"}, "expected an integer 'group'"),
        ({"keypoints": [[0, 0, 1]]}, "1 keypoints, skeleton 'mpii16' has 16"),
        ({"head_box": [0, 0, 0, 0]}, "entry 1: expected a head box with a size"),
        ({"keypoints": [[float("nan"), 0, 1]] * 16}, "entry 1: expected finite numbers"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps([rows[0], rows[1] | spoiled]))
        with pytest.raises(DataError, match=message):
            read_groups(tmp_path / "bad.json", ground_truth=True)
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(DataError, match="empty list"):
        read_groups(tmp_path / "bad.json", ground_truth=True)
