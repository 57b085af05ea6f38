"""The published networks: names, shapes and outputs equal those that the reference printed for weights made by one rule."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from poseline.artifacts import Layout
from poseline.config import ModelConfig, load_params
from poseline.models.checkpoints import rename
from poseline.models.saved import load_model
from poseline.stages import predict
from poseline.zoo.catalogue import get_preset
from poseline.zoo.measure import measure
from poseline.zoo.weights import import_weights, load_published, preset_shapes

GOLDEN = Path(__file__).parent / "golden"

PRESET_OF = {
    "simple": "alphapose/simplepose-r50",
    "fast": "alphapose/fastpose-r50",
    "fast_dcn": "alphapose/fastpose-dcn-r50",
    "fast_duc": "alphapose/fastpose-duc-r50",
    "fast_duc152": "alphapose/fastpose-duc-r152",
    "hrnet": "alphapose/hrnet-w32",
    "hard68": "alphapose/hardnet68",
    "hard85": "alphapose/hardnet85",
    "halpe26": "alphapose/fastpose-halpe26",
    "halpe136": "alphapose/fastpose-halpe136",
}

# Millions of parameters and 10^9 operations (two a multiply-add) that the reference's networks were measured at.
PUBLISHED_SIZE = {
    "simple": (34.00, 10.85),
    "fast": (40.58, 11.77),
    "fast_duc": (57.85, 19.37),
    "fast_duc152": (83.20, 31.88),
    "hrnet": (28.54, 15.29),
    "hard68": (20.24, 14.58),
    "hard85": (36.67, 29.21),
    "halpe26": (40.59, 11.84),
    "halpe136": (42.05, 15.39),
}


@lru_cache(maxsize=1)
def golden_names() -> dict[str, dict[str, list[int]]]:
    return json.loads(gzip.decompress((GOLDEN / "state_dicts.json.gz").read_bytes()))


def rule_weights(model: str) -> dict[str, Tensor]:
    """Weights that depend on each tensor's name and shape only."""
    return {name: rule_tensor(name, tuple(shape)) for name, shape in golden_names()[model].items()}


def rule_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith("running_var"):
        values = random.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        values = 0.1 * random.standard_normal(shape)
    elif len(shape) > 1:
        values = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])) * (0.1 if "offset" in name else 1)
    elif name.endswith(".weight"):
        values = random.uniform(0.25, 0.75, shape)
    else:
        values = 0.05 * random.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def golden_input() -> Tensor:
    return torch.from_numpy((np.random.RandomState(11).standard_normal((1, 3, 256, 192)) * 0.3).astype(np.float32))


@pytest.mark.parametrize("model", PRESET_OF)
def test_names_and_shapes_are_those_published(model: str) -> None:
    """One to one: every published name, renamed as the preset says, is one of ours."""
    renames = get_preset(PRESET_OF[model]).renames
    published = {rename(name, renames): tuple(shape) for name, shape in golden_names()[model].items()}
    assert preset_shapes(PRESET_OF[model]) == published
    assert len(published) == len(golden_names()[model])


SLOW = ("fast_duc", "fast_duc152", "halpe26")
FORWARD = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PRESET_OF if name != "halpe136"]


@pytest.mark.parametrize("model", FORWARD)
def test_forward_is_that_published(model: str) -> None:
    network = load_published(PRESET_OF[model], rule_weights(model))
    with torch.inference_mode():
        maps = network(golden_input()).double().numpy()
    with np.load(GOLDEN / "forwards.npz") as golden:
        # Every 29th value of the output; its whole norm; the sum of each map.
        expected, norm, sums = golden[model].astype(np.float64), float(golden[f"{model}_norm"]), golden[f"{model}_sums"]
    assert np.linalg.norm(maps.reshape(-1)[::29] - expected) < 1e-4 * np.linalg.norm(expected)
    assert np.linalg.norm(maps) == pytest.approx(norm, rel=1e-5)
    assert np.linalg.norm(maps.sum(axis=(0, 2, 3)) - sums) < 1e-4 * np.linalg.norm(sums)


@pytest.mark.parametrize("model", PUBLISHED_SIZE)
def test_size_and_cost_are_those_measured_on_the_reference(model: str) -> None:
    preset = get_preset(PRESET_OF[model])
    parameters, gmacs = measure(preset.model, preset.codec, preset.num_keypoints)
    millions, gflops = PUBLISHED_SIZE[model]
    assert parameters / 1e6 == pytest.approx(millions, abs=0.0051)
    assert 2 * gmacs == pytest.approx(gflops, abs=0.0051)


def test_a_checkpoint_in_published_naming_imports_and_runs_from_its_folder(tmp_path: Path) -> None:
    state = rule_weights("hard68")
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "hard.pth")
    import_weights(tmp_path / "hard.pth", "alphapose/hardnet68", tmp_path / "model")
    network, saved = load_model(tmp_path / "model")
    assert (saved.codec.geometry, saved.codec.kind, saved.skeleton, saved.score) == ("published", "heatmap", "coco17", "published")
    assert saved.model == ModelConfig(kind="hardnet", backbone="hardnet68", normalise=saved.model.normalise)
    assert saved.model.normalise.mean == (0.406, 0.457, 0.480)
    assert saved.model.normalise.std == (1, 1, 1)
    image = golden_input()[:, :, :64, :64]
    with torch.inference_mode():
        assert torch.equal(network(image), load_published("alphapose/hardnet68", state)(image))


@pytest.mark.slow
def test_a_published_checkpoint_predicts_through_the_stage_as_by_hand(project: Path) -> None:
    """Import, then `predict` on drawn pictures; one person again step by step: crop, forward, peak, quarter offset, back."""
    torch.save(rule_weights("simple"), project / "simple.pth")
    import_weights(project / "simple.pth", "alphapose/simplepose-r50", project / "data/model")
    params = load_params(project / "params.yaml", ["predict.score=model", "predict.flip=false"])
    predict.run(params, Layout(Path()), "cpu", "coco")
    about = json.loads((project / "data/predictions/coco/about.json").read_text())
    assert (about["geometry"], about["score"], about["flip"]) == ("published", "published", False)
    poses = pd.read_parquet(project / "data/predictions/coco/poses.parquet")
    row = poses[poses["boxes"] == "ground_truth"].iloc[0]

    image = cv2.cvtColor(cv2.imread(row["image_path"]), cv2.COLOR_BGR2RGB)
    corners = row[["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]].to_numpy(np.float64)
    centre, (width, height) = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
    size = np.array([max(width, 0.75 * height), max(width, 0.75 * height) / 0.75]) * 1.25
    scale = 192 / size[0]
    matrix = np.array([[scale, 0, 96 - scale * centre[0]], [0, scale, 128 - scale * centre[1]]])
    crop = cv2.warpAffine(image, matrix, (192, 256), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
    network = load_published("alphapose/simplepose-r50", rule_weights("simple"))
    with torch.inference_mode():
        maps = network(torch.from_numpy(crop - np.float32([0.406, 0.457, 0.480])).permute(2, 0, 1)[None])[0].numpy()
    for keypoint, heatmap in enumerate(maps):
        y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
        place = np.array([x, y], dtype=np.float64)
        if heatmap.max() <= 0:
            place[:] = 0
        elif 1 < x < 47 and 1 < y < 63:
            place += 0.25 * np.sign([heatmap[y, x + 1] - heatmap[y, x - 1], heatmap[y + 1, x] - heatmap[y - 1, x]])
        wanted = (4 * place - [96, 128]) / scale + centre
        np.testing.assert_allclose(row["keypoints"].reshape(-1, 2)[keypoint], wanted, atol=0.02)
        assert row["keypoint_scores"][keypoint] == pytest.approx(heatmap.max(), abs=1e-4)
    scores = maps.max(axis=(1, 2))
    assert row["pose_score"] == pytest.approx(scores.mean() + 1.25 * scores.max() + row["bbox_score"], abs=1e-3)
