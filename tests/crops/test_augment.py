"""Augmentation: keypoints move with the image; a sample depends on seed, epoch and index alone."""

from __future__ import annotations

import numpy as np
import pytest

from poseline.config import AugmentConfig
from poseline.config.renamed import find_renamed
from poseline.core.skeletons import load_skeleton
from poseline.crops.augment import CropSample, apply_matrix, augment_sample, centred_matrix, draw_matrix

SKELETON = load_skeleton("coco17")
INPUT_WH = (96, 128)


def dotted_sample() -> CropSample:
    """A black crop with one white 3 x 3 dot at every keypoint."""
    keypoints = np.stack(np.meshgrid(np.linspace(45, 105, 5), np.linspace(60, 145, 4)), -1).reshape(-1, 2)[:17].round().astype(np.float32)
    image = np.zeros((205, 154, 3), np.uint8)
    for x, y in keypoints.astype(int):
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return CropSample(image, keypoints, np.full(17, 2, np.uint8))


@pytest.mark.parametrize("seed", range(20))
def test_keypoints_stay_on_their_dots(seed: int) -> None:
    sample, rng = dotted_sample(), np.random.default_rng(seed)
    config = AugmentConfig(rotation_deg=40, scale=0.3, half_body=0.3)
    matrix, flipped = draw_matrix(rng, sample, config, SKELETON, input_wh=INPUT_WH, extent=1.25 / 1.6)
    moved = apply_matrix(sample, matrix, flipped, SKELETON, INPUT_WH)
    inside = ((moved.keypoints > 2) & (moved.keypoints < np.array(INPUT_WH) - 3)).all(1)
    for x, y in moved.keypoints[inside].round().astype(int):
        assert moved.image[y - 1 : y + 2, x - 1 : x + 2].max() > 60


def test_a_flip_swaps_left_and_right() -> None:
    sample = dotted_sample()
    config = AugmentConfig(flip=1.0, rotation_probability=0, scale=0, translation=0)
    matrix, flipped = draw_matrix(np.random.default_rng(0), sample, config, SKELETON, input_wh=INPUT_WH, extent=0.8)
    plain = apply_matrix(sample, centred_matrix((154, 205), INPUT_WH, 0.8), False, SKELETON, INPUT_WH)
    moved = apply_matrix(sample, matrix, flipped, SKELETON, INPUT_WH)
    assert flipped
    np.testing.assert_allclose(moved.keypoints[:, 0], INPUT_WH[0] - 1 - plain.keypoints[SKELETON.flip_permutation, 0], atol=1e-3)
    difference = np.abs(moved.image.astype(int) - plain.image[:, ::-1].astype(int))
    assert difference.max() <= 8


def test_the_same_draw_gives_the_same_sample() -> None:
    config, sample = AugmentConfig(erase=0.5), dotted_sample()
    one, two, other = (
        augment_sample(np.random.default_rng((1, 2, row)), sample, config, SKELETON, input_wh=INPUT_WH, extent=0.8) for row in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.image, two.image)
    assert not np.array_equal(one.keypoints, other.keypoints)


def test_the_old_name_of_the_published_augmentation_names_the_new_one() -> None:
    assert find_renamed({"augment": {"kind": "reference"}}) == "augment.kind: value 'reference' was renamed, write 'published'"
    assert find_renamed({"augment": {"kind": "published"}}) is None
