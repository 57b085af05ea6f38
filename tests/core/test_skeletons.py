"""Skeleton files and the maps between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseline.core.skeletons import list_skeletons, load_skeleton, map_keypoints


@pytest.mark.parametrize("name", list_skeletons())
def test_a_flip_permutation_is_its_own_inverse_and_swaps_names(name: str) -> None:
    skeleton = load_skeleton(name)
    permutation = skeleton.flip_permutation
    np.testing.assert_array_equal(permutation[permutation], np.arange(skeleton.num_keypoints))
    for index, other in enumerate(permutation):
        keypoint = skeleton.keypoints[index]
        if keypoint.startswith("left_"):
            assert skeleton.keypoints[other] == keypoint.replace("left_", "right_", 1)
        elif not keypoint.startswith("right_") and "left" not in keypoint and "right" not in keypoint:
            assert index == other or (index, int(other)) in skeleton.flip_pairs or (int(other), index) in skeleton.flip_pairs


@pytest.mark.parametrize("name", ["coco17", "mpii16", "posetrack17", "posetrack15"])
def test_the_union_holds_every_benchmark(name: str) -> None:
    target, union = load_skeleton(name), load_skeleton("union21")
    index = map_keypoints(union, target)
    assert (index >= 0).all()
    names = [union.keypoints[i].replace("upper_neck", "head_bottom") for i in index]
    assert names == [keypoint.replace("upper_neck", "head_bottom") for keypoint in target.keypoints]


def test_what_the_source_lacks_is_minus_one() -> None:
    index = map_keypoints(load_skeleton("coco17"), load_skeleton("mpii16"))
    assert [load_skeleton("mpii16").keypoints[i] for i in np.flatnonzero(index < 0)] == ["pelvis", "thorax", "upper_neck", "head_top"]


def test_a_users_own_file(tmp_path: Path) -> None:
    path = tmp_path / "hand.yaml"
    path.write_text("name: hand\nkeypoints: [wrist, left_tip, right_tip]\nflip_pairs: [[left_tip, right_tip]]\n")
    skeleton = load_skeleton(str(path))
    assert (skeleton.num_keypoints, skeleton.flip_pairs) == (3, ((1, 2),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\n", "expected a mapping"),
        ("keypoints: [a, a]\n", "not unique"),
        ("keypoints: [a, b]\nsigmas: [0.1]\n", "1 sigmas for 2 keypoints"),
        ("keypoints: [a, b]\nedges: [[a, c]]\n", "'c' is not among"),
    ],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_skeleton(str(path))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="coco17"):
        load_skeleton("coco18")
