"""PF-Builder, PF-NMS, association and correspondences on hand-made cases."""

from __future__ import annotations

from itertools import pairwise, product

import cv2
import numpy as np
import pytest

from poseline.config.tracking import PoseflowConfig, PoseflowPublishedConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.track.association import match_similar
from poseline.track.camera import camera_motion, gray_image
from poseline.track.flow_builder import BARRED, build_flows
from poseline.track.flow_nms import merge_poses
from poseline.track.keypoint_motion import keypoint_displacement
from poseline.track.orb import OrbFeatures, detect_orb, match_orb, nearest_two, person_displacement
from poseline.track.pose_distance import inter_frame_similarity, intra_frame_distance
from poseline.track.poseflow import PoseFlow
from poseline.track.poseflow_published import LastSeen, PublishedPoseFlow, grade_pairs, person_boxes


def test_the_first_flow_is_the_best_of_all_chains() -> None:
    rng = np.random.default_rng(0)
    confidence = [rng.uniform(0.1, 2, n) for n in (3, 4, 2, 3)]
    links = [
        np.where(rng.uniform(size=(a.size, b.size)) < 0.3, BARRED, rng.uniform(size=(a.size, b.size))) for a, b in pairwise(confidence)
    ]
    flows, _ = build_flows(confidence, links, gain_frames=4, min_gain=0.0)

    def worth(chain: tuple[int, ...]) -> float:
        steps = sum(links[w][chain[w], chain[w + 1]] for w in range(3) if chain[w] >= 0)
        return steps + sum(confidence[w][pose] for w, pose in enumerate(chain) if pose >= 0)

    chains = [
        c for c in product(*(range(-1, len(frame)) for frame in confidence)) if c[-1] >= 0 and all(not (a >= 0 > b) for a, b in pairwise(c))
    ]
    assert tuple(flows[0]) == max(chains, key=worth)


def test_no_pose_serves_two_flows_and_every_newest_pose_has_one() -> None:
    rng = np.random.default_rng(1)
    confidence = [rng.uniform(0.1, 2, n) for n in (5, 0, 5, 7, 6)]
    links = [rng.uniform(size=(a.size, b.size)) for a, b in pairwise(confidence)]
    flows, _ = build_flows(confidence, links, gain_frames=3, min_gain=0.0)
    assert sorted(flows[:, -1]) == list(range(6))
    for column in flows.T:
        used = column[column >= 0]
        assert len(np.unique(used)) == len(used)
    assert (flows[:, :2] == -1).all()  # nobody in the second frame: no flow reaches over it


def test_a_flow_stops_where_its_confidence_gains_too_little() -> None:
    confidence = [np.array([value]) for value in (2.0, 2.0, 0.1, 0.1, 2.0, 2.0)]
    links = [np.zeros((1, 1))] * 5
    flows, _ = build_flows(confidence, links, gain_frames=2, min_gain=0.5)
    assert flows.tolist() == [[-1, -1, -1, -1, 0, 0]]


def test_merged_poses_are_weighted_by_score() -> None:
    keypoints = np.array([[[0.0, 0.0]], [[10.0, 0.0]], [[50.0, 50.0]]])
    poses = PoseSet(keypoints=keypoints, keypoint_scores=np.array([[0.75], [0.25], [0.5]]), bbox_xyxy=np.zeros((3, 4)))
    merged = merge_poses(poses, [np.array([0, 1]), np.array([2])], np.array([0, 2]))
    assert merged.keypoints.tolist() == [[[2.5, 0.0]], [[50.0, 50.0]]]
    assert merged.keypoint_scores.tolist() == [[0.5], [0.5]]


def test_pose_distance_grows_and_ends_in_infinity() -> None:
    pose, scores, size = np.zeros((1, 6, 2)), np.full((1, 6), 0.9), np.array([100.0])
    distances = [intra_frame_distance(pose, pose + shift, scores, scores, size, PoseflowConfig())[0] for shift in (0.0, 2.0, 4.0, 400.0)]
    assert distances == sorted(distances)
    assert np.isinf(distances[-1])
    assert distances[0] == pytest.approx(1 / np.tanh(0.9) ** 2 + 1.7)


def test_inter_frame_similarity_is_the_covered_share_of_the_joint_box() -> None:
    poses = PoseSet(keypoints=np.array([[[2.0, 5.0]]]), keypoint_scores=np.ones((1, 1)), bbox_xyxy=np.array([[0, 0, 100, 50]]))
    seen = np.ones((1, 1), dtype=bool)
    similarity = inter_frame_similarity(np.zeros((1, 1, 2)), seen, np.array([[0.0, 0, 100, 50]]), poses, seen, 0.1)
    assert similarity[0, 0] == pytest.approx(0.8 * 0.5)


def test_matching_reaches_the_greatest_excess_by_brute_force() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        similarity = rng.uniform(size=(3, 3))
        rows, columns = match_similar(similarity, 0.4)
        choices = [[(r, c) for r, c in enumerate(choice) if c >= 0] for choice in product(range(-1, 3), repeat=3)]
        choices = [pairs for pairs in choices if len({c for _, c in pairs}) == len(pairs)]
        best = max(sum(similarity[r, c] - 0.4 for r, c in pairs) for pairs in choices)
        assert (similarity[rows, columns] - 0.4).sum() == pytest.approx(best)
        assert (similarity[rows, columns] >= 0.4).all()


def _shifted(shift: tuple[int, int], size: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 255, (150, 200, 3), dtype=np.uint8), (800 * size, 600 * size), interpolation=cv2.INTER_CUBIC)
    x, y = 100 - shift[0], 100 - shift[1]
    return texture[100:460, 100:740], texture[y : y + 360, x : x + 640]


@pytest.mark.parametrize("shift", [(0, 0), (7, -3), (80, 20)])
def test_camera_motion_finds_the_shift(shift: tuple[int, int]) -> None:
    before, after = _shifted(shift)
    people = np.array([[100.0, 50, 200, 300]])
    matrix = camera_motion(gray_image(before, 320), gray_image(after, 320), people_xyxy=people, image_wh=(640, 360))
    assert np.allclose(matrix[:, :2], np.eye(2), atol=0.01)
    assert np.allclose(matrix @ np.array([320, 180, 1]), np.array([320, 180]) + shift, atol=0.7)


def test_a_blank_background_tells_of_no_motion() -> None:
    blank = np.full((360, 640, 3), 128, dtype=np.uint8)
    matrix = camera_motion(gray_image(blank, 320), gray_image(blank, 320), people_xyxy=np.zeros((0, 4)), image_wh=(640, 360))
    assert np.array_equal(matrix, [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("kind", ["lk", "dis"])
@pytest.mark.parametrize("shift", [(4, -2), (60, 12)])
def test_optical_flow_finds_where_keypoints_went(kind: str, shift: tuple[int, int]) -> None:
    before, after = _shifted(shift)
    keypoints = np.random.default_rng(1).uniform((150, 100), (450, 250), (2, 5, 2))
    grays, seen = (gray_image(before, 640), gray_image(after, 640)), np.ones((2, 5), dtype=bool)
    moved = keypoint_displacement(*grays, keypoints, seen, kind=kind, image_width=640)
    assert np.allclose(moved, shift, atol=1.0)


def test_keypoints_nobody_sees_have_no_displacement() -> None:
    before, after = _shifted((4, 4))
    seen = np.array([[True, False], [False, False]])
    grays = gray_image(before, 640), gray_image(after, 640)
    moved = keypoint_displacement(*grays, np.full((2, 2, 2), 200.0), seen, kind="lk", image_width=640)
    assert np.allclose(moved[0], 4, atol=0.5)  # the unseen keypoint moves with its person
    assert np.isnan(moved[1]).all()


def test_orb_finds_the_shift_of_a_person() -> None:
    before, after = _shifted((30, 10))
    found = match_orb(detect_orb(before, 500), detect_orb(after, 500), 0.8)
    shift = person_displacement(np.array([[100.0, 100, 500, 300], [0, 0, 1, 1]]), found)
    assert np.allclose(shift[0], (30, 10), atol=1.5)
    assert np.isnan(shift[1]).all()


def test_features_away_from_people_are_not_searched_and_change_nothing(scenes, coco17: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ORB search starts on people only: ids and similarities are those of the full search."""
    scene = scenes.draw(np.stack([scenes.line((150, 180), (4, 0), 8), scenes.line((450, 180), (-4, 0), 8)]), images=True)
    config = PoseflowConfig(correspondence="orb", orb_features=800)
    searched, results = [], []
    for full in (False, True):
        tracker = PoseFlow(config, coco17)
        if full:
            monkeypatch.setattr(OrbFeatures, "within", lambda features, boxes: features)
        results.append([tracker.update(poses, frame) for poses, frame in zip(scene.poses, scene.frames, strict=True)])
        searched.append(tracker.state())
    assert all(np.array_equal(a.track_ids, b.track_ids) for a, b in zip(*results, strict=True))
    assert all(np.array_equal(searched[0][name], searched[1][name]) for name in searched[0])


def test_features_within_boxes() -> None:
    features = OrbFeatures(np.array([[1, 1], [5, 5], [9, 1]], dtype=np.float32), np.arange(96, dtype=np.uint8).reshape(3, 32))
    kept = features.within(np.array([[0.0, 0, 1, 1], [8, 0, 9, 2]]))
    assert kept.points.tolist() == [[1, 1], [9, 1]]
    assert kept.descriptors[:, 0].tolist() == [0, 64]
    assert len(features.within(np.zeros((0, 4)))) == 0


@pytest.mark.parametrize(("queries", "targets"), [(1, 2), (300, 700), (0, 5), (70, 3)])
def test_the_nearest_two_descriptors_are_those_of_opencv(queries: int, targets: int) -> None:
    rng = np.random.default_rng(queries)
    others = rng.integers(0, 256, (targets, 32), dtype=np.uint8)
    own = np.where(rng.uniform(size=(queries, 32)) < 0.6, others[rng.integers(0, targets, queries)], rng.integers(0, 256, (queries, 32)))
    own = own.astype(np.uint8)
    if queries > 1:
        own[:2] = others[0], ~others[0]  # distances 0 and 256
    nearest, first, second = nearest_two(own, others)
    found = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(own, others, k=2) if queries else []
    assert first.tolist() == [a.distance for a, _ in found]
    assert second.tolist() == [b.distance for _, b in found]
    assert all(row == a.trainIdx for row, (a, b) in zip(nearest.tolist(), found, strict=True) if a.distance < b.distance)


@pytest.mark.parametrize("people", [1, 4])
def test_correspondences_away_from_people_are_not_sought_and_change_no_grade(people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = _shifted((30, 10))
    rng = np.random.default_rng(people)
    keypoints = rng.uniform(0, 50, (people, 17, 2)) + rng.uniform((80, 60), (500, 250), (people, 1, 2))
    config = PoseflowPublishedConfig(orb_features=800)
    seen = LastSeen(np.arange(people), np.ones(people, dtype=np.int64), person_boxes(keypoints, (640, 360)), keypoints)
    moved = keypoints + np.array([30.0, 10])
    boxes = person_boxes(moved, (640, 360))
    found = []
    for full in (False, True):
        tracker = PublishedPoseFlow(config, load_skeleton("coco17"))
        tracker._correspond(before, seen, boxes, keypoints)
        if full:
            monkeypatch.setattr("poseline.track.poseflow_published.match_orb", lambda a, b, ratio, **_: match_orb(a, b, ratio))
        found.append(tracker._correspond(after, seen, boxes, moved))
    few, every = found
    assert 0 < len(few) < len(every)
    np.testing.assert_array_equal(grade_pairs(seen, boxes, moved, few, config), grade_pairs(seen, boxes, moved, every, config))
