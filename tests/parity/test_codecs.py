"""Codecs, losses and the seeded augmentation against figures that AlphaPose c60106d printed.

The committed figures are a part of the reference's; the whole set is read from POSELINE_GOLDEN where it is there.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poseline.codecs.base import Codec, Targets
from poseline.codecs.build import build_codec
from poseline.config.network import CodecConfig, HeatmapConfig, IntegralConfig, LossConfig
from poseline.config.training import AugmentConfig
from poseline.core.boxes import pad_to_aspect
from poseline.core.geometry import crop_matrix, invert_matrix, warp_points
from poseline.core.skeletons import load_skeleton
from poseline.crops.published_augment import PublishedDraws, PublishedSample, augment_published
from poseline.models.losses import build_loss
from poseline.models.losses_coordinates import SymmetricExpectation

HERE = Path(__file__).parent
GOLDEN = Path(os.environ.get("POSELINE_GOLDEN", HERE.parents[1].parent / "shared" / "golden"))
INPUT_WH = (192, 256)
MEAN = np.array([0.406, 0.457, 0.480], dtype=np.float32)
FLIP = load_skeleton("coco17").flip_permutation
TWO_PERIOD = {"half_body": 0.3, "rotation_deg": 45.0, "scale": 0.35}

whole = pytest.mark.skipif(not (GOLDEN / "decode.npz").is_file(), reason="the whole set of golden figures is not there (POSELINE_GOLDEN)")


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def heatmap_codec(num_keypoints: int = 17) -> Codec:
    config = CodecConfig(kind="heatmap", geometry="published", heatmap=HeatmapConfig(centre="integer", refine="quarter"))
    return build_codec(config, num_keypoints=num_keypoints, input_wh=INPUT_WH)


def integral_codec(normalise: str, num_keypoints: int = 17) -> Codec:
    config = CodecConfig(kind="integral", geometry="published", integral=IntegralConfig(normalise=normalise))
    return build_codec(config, num_keypoints=num_keypoints, input_wh=INPUT_WH)


def in_picture(points: torch.Tensor, boxes: np.ndarray) -> np.ndarray:
    """Crop points of shape [N, K, 2] on the pictures, through the published crop of each box."""
    placed = []
    for own, box in zip(points.numpy(), boxes, strict=True):
        matrix = crop_matrix((box[:2] + box[2:]) / 2, box[2:] - box[:2], INPUT_WH, geometry="published")
        placed.append(warp_points(own, invert_matrix(matrix)))
    return np.stack(placed)


def check_decoded(codec: Codec, outputs: torch.Tensor | tuple[torch.Tensor, ...], boxes: np.ndarray, wanted: np.ndarray) -> None:
    points, scores = codec.decode(outputs)
    np.testing.assert_allclose(in_picture(points, boxes), wanted[..., :2], atol=1e-3)
    np.testing.assert_allclose(scores, wanted[..., 2], atol=1e-5)


@pytest.fixture(scope="module")
def decode() -> dict[str, np.ndarray]:
    """Four maps [4, h, w] and their figures."""
    return load(HERE / "golden" / "codecs_decode.npz")


def test_peaks_decode_as_the_reference(decode: dict[str, np.ndarray]) -> None:
    codec = heatmap_codec(1)
    plain, other = (torch.from_numpy(decode[name])[:, None] for name in ("hms", "hms2"))
    check_decoded(codec, plain, decode["boxes"], decode["simple"][:, None])
    check_decoded(codec, codec.average(plain, other), decode["boxes"], decode["simple_flip"][:, None])


@pytest.mark.parametrize("normalise", ["sigmoid", "softmax"])
def test_integral_decodes_as_the_reference(decode: dict[str, np.ndarray], normalise: str) -> None:
    codec = integral_codec(normalise, 1)
    plain, other = (4 * torch.from_numpy(decode[name])[:, None] for name in ("hms", "hms2"))
    check_decoded(codec, plain, decode["boxes"], decode[f"regress_{normalise}"][:, None])
    check_decoded(codec, codec.average(plain, other), decode["boxes"], decode[f"regress_flip_{normalise}"][:, None])


def test_mirrored_maps_move_one_column(decode: dict[str, np.ndarray]) -> None:
    maps = torch.from_numpy(decode["hms"][[1]])[None]
    unshifted = torch.from_numpy(decode["flip_noshift"])
    mirrored = heatmap_codec(1).flip(maps, np.array([0]))[0, 0]
    assert torch.equal(mirrored[:, 1:], unshifted[:, :-1])
    assert torch.equal(mirrored[:, 0], unshifted[:, 0])


def test_accuracy_is_the_references(decode: dict[str, np.ndarray]) -> None:
    def rebuilt(peaks: np.ndarray, values: np.ndarray) -> torch.Tensor:
        maps = torch.full((4, 17, 64 * 48), -1e-6)
        return maps.scatter(2, torch.from_numpy(peaks.astype(np.int64))[..., None], torch.from_numpy(values)[..., None]).view(4, 17, 64, 48)

    predicted = rebuilt(decode["acc_pred_peaks"], decode["acc_pred_peak_values"])
    labelled = rebuilt(decode["acc_label_peaks"], np.ones((4, 17), np.float32)).clamp(min=0)
    accuracy = heatmap_codec().accuracy(predicted, Targets(labelled, torch.from_numpy(decode["acc_mask"])))
    assert accuracy.item() == pytest.approx(decode["acc"].item(), rel=1e-5)


@pytest.mark.parametrize("normalise", ["sigmoid", "softmax"])
def test_integral_gradient_is_the_references(decode: dict[str, np.ndarray], normalise: str) -> None:
    chosen = decode["gradient_index"]
    maps = (2 * torch.from_numpy(decode["hms2"][chosen])[:, None] - 1).requires_grad_()
    targets = Targets(torch.from_numpy(decode[f"l1_gt_{normalise}"])[:, None], torch.ones(len(chosen), 1))
    loss = build_loss(LossConfig(), integral_codec(normalise, 1))(maps, targets)
    (gradient,) = torch.autograd.grad(loss * len(chosen) / 4, maps)  # the reference's batch had four samples
    wanted = decode[f"l1_grad_{normalise}"]
    assert np.linalg.norm(gradient[:, 0].numpy() - wanted) / np.linalg.norm(wanted) < 1e-5


def test_crops_and_boxes_are_the_references() -> None:
    figures = load(HERE / "golden" / "codecs_crop.npz")
    centres, sizes = pad_to_aspect(figures["boxes"], 0.75, 1.25)
    np.testing.assert_allclose(np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1), figures["out_boxes"], atol=1e-3)
    chosen = int(figures["index"])
    matrix = crop_matrix(centres[chosen] - figures["origin"], sizes[chosen], INPUT_WH, geometry="published")
    crop = cv2.warpAffine(figures["region"], matrix, INPUT_WH, flags=cv2.INTER_LINEAR)
    assert np.abs(crop[::4].astype(int) - figures["crop_rows"]).max() <= 2


def augmented(figures: dict[str, np.ndarray], seed: int, *, box_noise: bool, picture: np.ndarray) -> PublishedSample:
    joints = figures["joints"][seed]
    return augment_published(
        picture,
        figures["bbox_in"][seed],
        joints[:, :2, 0],
        joints[:, 0, 1] > 0,
        draws=PublishedDraws(seed),
        input_wh=INPUT_WH,
        flip_permutation=FLIP,
        upper_body=tuple(range(11)),
        config=AugmentConfig(box_noise=box_noise, **TWO_PERIOD),
        padding=1.25,
    )


def encoded(codec: Codec, sample: PublishedSample) -> tuple[np.ndarray, np.ndarray]:
    targets = codec.encode(torch.from_numpy(sample.keypoints)[None], torch.from_numpy(sample.labelled)[None].float())
    return targets.values[0].numpy(), targets.weights[0].numpy()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("recipe", ["plain", "dpg", "integral"])
def test_seeded_targets_are_the_references(recipe: str, seed: int) -> None:
    figures = load(HERE / "golden" / "codecs_train.npz")
    sample = augmented(figures, seed, box_noise=recipe == "dpg", picture=np.zeros((480, 640, 3), np.uint8))
    values, weights = encoded(integral_codec("sigmoid") if recipe == "integral" else heatmap_codec(), sample)
    np.testing.assert_allclose(sample.bbox_xyxy, figures[f"{recipe}_bbox"][seed], atol=1e-3)
    np.testing.assert_allclose(values.ravel(), figures[f"{recipe}_target"][seed].ravel(), atol=1e-6)
    np.testing.assert_array_equal(weights, figures[f"{recipe}_weight"][seed])


@whole
@pytest.mark.real
def test_whole_decode_file() -> None:
    figures = load(GOLDEN / "decode.npz")
    plain, other, boxes = torch.from_numpy(figures["hms"]), torch.from_numpy(figures["hms2"]), figures["bboxes"]
    codec = heatmap_codec()
    check_decoded(codec, plain, boxes, figures["simple"])
    check_decoded(codec, codec.average(plain, other), boxes, figures["simple_flip"])
    for normalise in ("sigmoid", "softmax"):
        integral = integral_codec(normalise)
        check_decoded(integral, 4 * plain, boxes, figures[f"regress_{normalise}"])
        check_decoded(integral, integral.average(4 * plain, 4 * other), boxes, figures[f"regress_flip_{normalise}"])
    targets = Targets(torch.from_numpy(figures["acc_lab"]), torch.from_numpy(figures["acc_mask"][..., 0, 0]))
    predicted = torch.from_numpy(figures["acc_pred"])
    assert codec.accuracy(predicted, targets).item() == pytest.approx(figures["acc"].item(), rel=1e-5)
    assert build_loss(LossConfig(), codec)(predicted, targets).item() == pytest.approx(figures["half_mse"].item(), rel=1e-5)


@whole
@pytest.mark.real
@pytest.mark.parametrize("normalise", ["sigmoid", "softmax"])
def test_whole_integral_loss(normalise: str) -> None:
    figures = load(GOLDEN / "decode.npz")
    maps = (2 * torch.from_numpy(figures["hms2"]) - 1).requires_grad_()
    codec = integral_codec(normalise)
    # By its parts: the reference was given a weight for each axis, where a codec's targets have one for each keypoint.
    means = [SymmetricExpectation.apply(mass) for mass in codec.marginals(maps)]
    error = (codec.relative(torch.stack(means, dim=-1)).view(4, 34) - torch.from_numpy(figures[f"l1_gt_{normalise}"])).abs()
    total = (error * torch.from_numpy(figures[f"l1_w_{normalise}"])).sum() / 4
    assert total.item() == pytest.approx(figures[f"l1_{normalise}"].item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(total, maps)
    wanted = figures[f"l1_grad_{normalise}"]
    assert np.linalg.norm(gradient.numpy() - wanted) / np.linalg.norm(wanted) < 1e-5


@whole
@pytest.mark.real
@pytest.mark.parametrize(("name", "box_noise"), [("preproc_train", False), ("preproc_train_dpg", True)])
def test_whole_seeded_crops(name: str, box_noise: bool) -> None:
    figures, picture = load(GOLDEN / f"{name}.npz"), load(GOLDEN / "preproc_test.npz")["src"]
    for seed in range(8):
        sample = augmented(figures, seed, box_noise=box_noise, picture=picture)
        image = (sample.image.astype(np.float32) / 255 - MEAN).transpose(2, 0, 1)
        np.testing.assert_allclose(image, figures["img"][seed], atol=2 / 255)
        np.testing.assert_allclose(encoded(heatmap_codec(), sample)[0], figures["target"][seed], atol=1e-6)
