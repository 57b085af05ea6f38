"""Small teachers and trainers for the tests of distillation."""

from __future__ import annotations

from pathlib import Path

import torch

from poseline.config import Params, load_params
from poseline.core.skeletons import load_skeleton
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model
from poseline.train.distributed import Rank
from poseline.train.loop import prepare_torch
from poseline.train.trainer import Trainer, build_trainer

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
SMALL = ("model.input_wh=[32, 64]", "model.width=0.125", "model.deconv_channels=[16]", "train.schedule.warmup_steps=0", "train.ema=null")


def save_teacher(folder: Path, *overrides: str, skeleton: str = "union21") -> None:
    """Save a model with weights drawn from another seed."""
    params = load_params(PARAMS, [*SMALL, *overrides])
    torch.manual_seed(7)
    network = build_model(params.model, params.codec, load_skeleton(skeleton).num_keypoints)
    for name, parameter in network.named_parameters():
        if name.endswith("final_layer.weight"):  # drawn so small that its maps are nothing to learn
            torch.nn.init.normal_(parameter, std=0.2)
    save_model(folder, network, SavedModel(params.model, params.codec, skeleton))


def start(*overrides: str) -> tuple[Trainer, Params]:
    """A trainer of a small network, and its parameters."""
    params, rank = load_params(PARAMS, [*SMALL, *overrides]), Rank(0, 1, torch.device("cpu"))
    prepare_torch(1, params.train, rank)
    return build_trainer(params, rank), params
