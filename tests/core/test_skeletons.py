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
    path.write_text("keypoints: [wrist]\n")
    assert load_skeleton(str(path)).num_keypoints == 1, "a changed file is read again"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\n", "expected a mapping"),
        ("keypoints: [a, a]\n", "not unique"),
        ("keypoints: [a, b]\nsigmas: [0.1]\n", "1 sigmas for 2 keypoints"),
        ("keypoints: [a, b]\nedges: [[a, c]]\n", "'c' is not among"),
        ("keypoints: [a, b\n", "not YAML"),
        ("keypoints: a: b\n", "not YAML"),
        ("", "expected a mapping"),
        ("keypoints: []\n", "expected a mapping"),
        ("keypoints: [a, b]\nflip_pairs: [[a, b, a]]\n", "flip_pairs: expected pairs"),
        ("keypoints: [a, b]\nflip_pairs: [ab]\n", "flip_pairs: expected pairs"),
        ("keypoints: [a, b, c]\nflip_pairs: [[a, b], [b, c]]\n", "flip_pairs: 'b' is in two pairs"),
        ("keypoints: [a, b]\nflip_pairs: [[a, b], [b, a]]\n", "flip_pairs: 'b' is in two pairs"),
        ("keypoints: [a, b]\nflip_pairs: [[1, 1]]\n", "flip_pairs: 'b' is in two pairs, or paired with itself"),
        ("keypoints: [left_a, right_a]\n", "flip_pairs: 'left_a' is paired with nothing, not with 'right_a'"),
        (
            "keypoints: [left_a, right_a, left_b, right_b]\nflip_pairs: [[left_a, right_b], [left_b, right_a]]\n",
            "flip_pairs: 'left_a' is paired with 'right_b', not with 'right_a'",
        ),
        ("keypoints: [a, b]\nedges: {a: b}\n", "edges: expected a list"),
        ("keypoints: [a, b]\nedges: [[0, 2]]\n", "'2' is not among"),
        ("keypoints: [a, b]\nsigmas: [0.1, wide]\n", "sigmas: expected numbers above 0, got 'wide'"),
        ("keypoints: [a, b]\nsigmas: [0.1, .nan]\n", "sigmas: expected numbers above 0"),
        ("keypoints: [a, b]\nsigmas: 0.1\n", "sigmas: expected a list"),
        ("keypoints: [a, b]\ngroups: [a]\n", "groups: expected a mapping"),
        ("keypoints: [a, b]\ngroups: {upper: a}\n", "groups.upper: expected a list"),
        ("keypoints: [a, b]\naliases: [a]\n", "aliases: expected a mapping"),
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


@pytest.mark.parametrize("name", ["nosuch", "missing.yaml", "folder.yaml", "latin.yaml", ""])
def test_a_name_that_leads_nowhere_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "latin.yaml").write_bytes("keypoints: [\xe9]".encode("latin-1"))
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        load_skeleton(name)
    assert "UnicodeDecodeError" not in type(caught.value).__name__
