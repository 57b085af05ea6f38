"""OKS and head-size distances."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.core.similarity import keypoint_similarity, oks_matrix, oks_pairs, pck_distances

SIGMAS = np.full(5, 0.05)


@pytest.fixture
def people() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 100, (4, 5, 2)), rng.integers(1, 3, (4, 5)), rng.uniform(500, 5000, 4)


def test_oks_of_a_pose_with_itself_is_one(people):
    keypoints, visibility, area = people
    assert np.diag(oks_matrix(keypoints, keypoints, visibility, area, SIGMAS)).tolist() == [1.0] * 4


def test_oks_follows_the_formula(people):
    keypoints, visibility, area = people
    moved = keypoints + 3.0
    oks = oks_matrix(moved, keypoints, visibility, area, SIGMAS)
    assert oks[1, 1] == pytest.approx(np.exp(-18 / (2 * area[1] * 0.1**2)))


def test_oks_counts_labelled_keypoints_only(people):
    keypoints, visibility, area = people
    moved, flags = keypoints.copy(), visibility.copy()
    moved[0, 2] += 1000
    flags[0, 2] = 0
    assert oks_matrix(moved, keypoints, flags, area, SIGMAS)[0, 0] == 1.0


def test_unlabelled_people_are_judged_by_the_doubled_box(people):
    keypoints, _, area = people
    none = np.zeros((1, 5), dtype=int)
    box = np.array([[10.0, 10, 20, 20]])
    inside, outside = np.full((1, 5, 2), 45.0), np.full((1, 5, 2), 52.0)
    poses = np.concatenate([inside, outside])
    oks = oks_matrix(poses, keypoints[:1], none, area[:1], SIGMAS, bbox_xywh_b=box)[:, 0]
    assert oks[0] == 1.0
    assert oks[1] == pytest.approx(np.exp(-8 / (2 * area[0] * 0.1**2)))
    assert oks_matrix(poses, keypoints[:1], none, area[:1], SIGMAS)[:, 0].tolist() == [0.0, 0.0]


def test_matrix_equals_pairs(people):
    keypoints, visibility, area = people
    moved = keypoints + np.random.default_rng(1).normal(0, 5, keypoints.shape)
    matrix = oks_matrix(moved, keypoints, visibility, area, SIGMAS)
    pairs = oks_pairs(moved[[2, 0]], keypoints[[1, 3]], visibility[[1, 3]], area[[1, 3]], SIGMAS)
    assert pairs.tolist() == [matrix[2, 1], matrix[0, 3]]


def test_empty_sets_give_an_empty_matrix(people):
    keypoints, visibility, area = people
    assert oks_matrix(keypoints[:0], keypoints, visibility, area, SIGMAS).shape == (0, 4)
    assert oks_matrix(keypoints, keypoints[:0], visibility[:0], area[:0], SIGMAS).shape == (4, 0)


def test_keypoint_similarity_averages_to_oks(people):
    keypoints, visibility, area = people
    terms = keypoint_similarity(keypoints + 2, keypoints, area, SIGMAS)
    assert terms.mean(axis=1) == pytest.approx(oks_pairs(keypoints + 2, keypoints, visibility, area, SIGMAS))


def test_pck_distances_are_in_head_sizes():
    predicted = np.array([[[3.0, 4.0], [0.0, 0.0]]])
    assert pck_distances(predicted, np.zeros((1, 2, 2)), np.array([2.5])).tolist() == [[2.0, 0.0]]
