"""The published networks: names, shapes and outputs equal those that the reference printed for weights made by one rule."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poseline.config import ModelConfig
from poseline.models import import_weights, load_model, load_published
from poseline.models.measure import measure
from poseline.models.presets import get_preset
from poseline.models.weights import preset_shapes

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
    published = {name: tuple(shape) for name, shape in golden_names()[model].items()}
    assert preset_shapes(PRESET_OF[model]) == published


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
    assert (saved.codec.geometry, saved.codec.kind, saved.skeleton, saved.score) == ("legacy", "heatmap", "coco17", "reference")
    assert saved.model == ModelConfig(kind="hardnet", backbone="hardnet68", normalise=saved.model.normalise)
    assert saved.model.normalise.mean == (0.406, 0.457, 0.480)
    assert saved.model.normalise.std == (1, 1, 1)
    image = golden_input()[:, :, :64, :64]
    with torch.inference_mode():
        assert torch.equal(network(image), load_published("alphapose/hardnet68", state)(image))
