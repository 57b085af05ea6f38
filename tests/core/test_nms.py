"""Suppression of duplicate poses."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.core.nms import REGRESSION_FULL_BODY_CONSTANTS, oks_nms, parametric_pose_nms, soft_oks_nms

BOX = np.array([0.0, 0, 200, 300])


def make_people(groups: list[int], num_keypoints: int = 17, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Well separated people, ``groups[i]`` near-copies of the i-th."""
    rng = np.random.default_rng(seed)
    centre = np.arange(len(groups))[:, None, None] * 1000.0
    base = centre + rng.uniform(0, 200, (len(groups), num_keypoints, 2))
    owner = np.repeat(np.arange(len(groups)), groups)
    keypoints = base[owner] + rng.normal(0, noise, (len(owner), num_keypoints, 2))
    scores = rng.uniform(0.4, 0.9, (len(owner), num_keypoints))
    return keypoints, scores, np.tile(BOX, (len(owner), 1)), rng.uniform(0.5, 1, len(owner)), owner


@pytest.mark.parametrize("mode", ["reference", "fixed"])
@pytest.mark.parametrize("num_keypoints", [17, 26, 133, 136])
def test_one_pose_a_person_remains(mode, num_keypoints):
    keypoints, scores, boxes, box_scores, owner = make_people([3, 1, 2], num_keypoints, noise=0.3)
    kept, merged, confidence, pose_scores = parametric_pose_nms(keypoints, scores, boxes, box_scores, mode=mode)
    assert merged.shape == (len(kept), num_keypoints, 2)
    assert confidence.shape == (len(kept), num_keypoints)
    assert pose_scores == pytest.approx(confidence.mean(axis=1) + box_scores[kept] + 1.25 * confidence.max(axis=1))
    if mode == "fixed" or num_keypoints < 100:
        assert sorted(owner[kept].tolist()) == [0, 1, 2]


def test_the_pick_is_the_best_mean_score_and_order_follows_it():
    keypoints, scores, boxes, box_scores, owner = make_people([2, 2])
    kept, *_ = parametric_pose_nms(keypoints, scores, boxes, box_scores)
    mean = scores.mean(axis=1)
    assert kept.tolist() == sorted((max(np.flatnonzero(owner == p), key=lambda i: mean[i]) for p in (0, 1)), key=lambda i: -mean[i])


def test_merge_is_the_score_weighted_mean_of_near_joints():
    keypoints = np.tile(np.arange(34.0).reshape(1, 17, 2) * 9, (2, 1, 1))
    keypoints[1] += 1.0
    keypoints[1, 0] += 500.0
    scores = np.stack([np.full(17, 0.8), np.full(17, 0.4)])
    _, merged, confidence, _ = parametric_pose_nms(keypoints, scores, np.tile(BOX, (2, 1)), np.ones(2))
    assert merged[0, 1] == pytest.approx(keypoints[0, 1] + 1 / 3)
    assert merged[0, 0] == pytest.approx(keypoints[0, 0])
    assert confidence[0, 1] == pytest.approx((0.8**2 + 0.4**2) / 1.2)


def test_poses_without_a_confident_joint_are_dropped():
    keypoints, scores, boxes, box_scores, _ = make_people([1, 1])
    scores[1] = 0.29
    kept, *_ = parametric_pose_nms(keypoints, scores, boxes, box_scores)
    assert kept.tolist() == [0]


def test_the_prescreen_changes_nothing():
    # Against the rule written out pair by pair.
    rng = np.random.default_rng(3)
    keypoints = rng.uniform(0, 40, (30, 17, 2)) * np.linspace(0.2, 1, 30)[:, None, None]
    scores = rng.uniform(0.2, 1, (30, 17)).astype(np.float32)
    boxes = np.tile([0.0, 0, 40, 60], (30, 1))
    kept, *_ = parametric_pose_nms(keypoints, scores, boxes, np.ones(30))
    remaining, expected = set(range(30)), []
    while remaining:
        pick = max(sorted(remaining), key=lambda i: scores[i].mean())
        expected.append(pick)
        for other in sorted(remaining):
            distance = np.linalg.norm(keypoints[other] - keypoints[pick], axis=1)
            alike = (np.tanh(scores[pick]) * np.tanh(scores[other]))[distance <= 1].sum() + 1.7 * np.exp(-distance / 2.65).sum()
            if alike > 22.48 or (distance / 6.0 <= 1).sum() >= 5:
                remaining.discard(other)
    assert kept.tolist() == expected


def test_no_person_gives_no_pose():
    kept, merged, confidence, pose_scores = parametric_pose_nms(
        np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros((0, 4)), np.zeros(0)
    )
    assert (len(kept), merged.shape, confidence.shape, pose_scores.shape) == (0, (0, 17, 2), (0, 17), (0,))


def test_fixed_mode_merges_duplicates_under_a_box_of_no_size():
    keypoints, scores, _, box_scores, _ = make_people([2], noise=0.05)
    kept, merged, *_ = parametric_pose_nms(keypoints, scores, np.zeros((2, 4)), box_scores, mode="fixed")
    assert len(kept) == 1
    assert np.isfinite(merged).all()


def test_calls_do_not_influence_each_other():
    people = make_people([2, 2])[:4]
    before = parametric_pose_nms(*people)
    parametric_pose_nms(*make_people([3], 136)[:4], constants=REGRESSION_FULL_BODY_CONSTANTS)
    after = parametric_pose_nms(*people)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_full_body_reference_merges_less_with_more_people_and_fixed_does_not():
    pair = make_people([2, 1, 1, 1, 1], 136, noise=0.1)
    assert len(parametric_pose_nms(*pair[:4], mode="fixed")[0]) == 5
    alone = make_people([2], 136, noise=0.1)
    assert len(parametric_pose_nms(*alone[:4], mode="reference")[0]) == 1


@pytest.mark.usefixtures("unchecked")
def test_wrong_shapes_are_named():
    keypoints, scores, boxes, box_scores, _ = make_people([1])
    with pytest.raises(ValueError, match=r"box_scores: expected shape \(1,\), got \(1, 1\)"):
        parametric_pose_nms(keypoints, scores, boxes, box_scores[:, None])
    with pytest.raises(ValueError, match="keypoints"):
        parametric_pose_nms(keypoints[0], scores, boxes, box_scores)


def test_oks_nms_keeps_the_best_of_each_person():
    keypoints, _, boxes, box_scores, owner = make_people([3, 2])
    kept = oks_nms(keypoints, box_scores, boxes, np.full(17, 0.05), oks_threshold=0.5)
    best = [max(np.flatnonzero(owner == person), key=lambda i: box_scores[i]) for person in (0, 1)]
    assert kept.tolist() == sorted(best, key=lambda i: -box_scores[i])


def test_soft_oks_nms_lowers_the_score_of_duplicates():
    keypoints, _, boxes, box_scores, owner = make_people([2, 1], noise=0.1)
    kept, scores = soft_oks_nms(keypoints, box_scores, boxes, np.full(17, 0.05))
    assert sorted(kept.tolist()) == [0, 1, 2]
    best = max((0, 1), key=lambda i: box_scores[i])
    by_index = dict(zip(kept.tolist(), scores.tolist(), strict=True))
    assert by_index[best] == box_scores[best]
    assert by_index[2] == pytest.approx(box_scores[2])
    assert by_index[1 - best] < 0.5 * box_scores[1 - best]
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert len(soft_oks_nms(keypoints, box_scores, boxes, np.full(17, 0.05), min_score=0.49)[0]) == 2
    assert owner[best] == 0
