"""Distillation: a trained model whose outputs a network learns beside the labels, through the same loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from poseline.codecs.base import Outputs, Targets
from poseline.config import CodecConfig, Params, TrainConfig, dump_section
from poseline.core.skeletons import Skeleton, map_keypoints
from poseline.errors import ConfigError
from poseline.kinds import Kinds
from poseline.models.losses import HeatmapMse, SimccDivergence
from poseline.models.normalise import normalise_images
from poseline.models.saved import SavedModel, load_model
from poseline.project import existing
from poseline.train.distributed import Rank, threads_per_process

TEACHERS = Kinds("poseline.teachers", {"onnx": "poseline.infer.onnx_teacher:load_onnx_teacher"})
"""Networks beside our own folders that may teach."""
TARGET_OPTIONS = {"heatmap": ("sigma", "centre"), "udp": ("sigma",), "simcc": ("split_ratio", "sigma", "temperature")}
"""Options of codecs that shape what a network gives; the others are about decoding it, or about labels."""


@dataclass(frozen=True)
class TeacherNetwork:
    """What teaches.

    Attributes:
        forward: normalised images to outputs, on the images' device.
        saved: its description.
        unsaid: options of its codec that nobody knows.
    """

    forward: Callable[[Tensor], Outputs]
    saved: SavedModel
    unsaid: frozenset[str] = frozenset()


class Teacher:
    """The model of ``train.teacher.model``, and the term that it adds to the loss.

    Keypoints go by their names; those that the teacher does not know add nothing. The labels of images take no part: what the teacher
    says of an unlabelled keypoint is learnt too.

    Args:
        params: model, codec and train are used.
        skeleton: of the network that learns.
        loss: of that network: heat maps by mean square, or SimCC by divergence.
        rank: this process.

    Raises:
        ConfigError: another codec, input or crop than the network's, no keypoint in common, or a loss that does not fit.
        ArtifactError: the folder holds no readable model.
    """

    def __init__(self, params: Params, skeleton: Skeleton, loss: nn.Module, rank: Rank) -> None:
        assert params.train.teacher.model is not None
        folder = existing(params.train.teacher.model, key="train.teacher.model")
        if not isinstance(loss, HeatmapMse | SimccDivergence):
            raise ConfigError(f"train.teacher: a teacher goes with heat maps and SimCC, got codec.kind '{params.codec.kind}'.")
        loaded = load_network(folder, params.train, rank)
        self.network, self.saved = loaded.forward, loaded.saved
        different = list_differences(loaded, params)
        if different:
            raise ConfigError(
                f"train.teacher.model: {folder}: was trained with {'; '.join(different)}. Choose another, or set these alike."
            )
        index = map_keypoints(self.saved.keypoints, skeleton)
        if (index < 0).all():
            raise ConfigError(f"train.teacher.model: {folder}: knows no keypoint of skeleton '{skeleton.name}'.")
        self.weight = params.train.teacher.weight
        self.index = torch.from_numpy(np.maximum(index, 0)).to(rank.device)
        self.known = torch.from_numpy((index >= 0).astype(np.float32)).to(rank.device)
        self.loss = loss

    def term(self, outputs: Outputs, images: UInt8[Tensor, "B 3 H W"]) -> Tensor:
        """The weighted loss of a network's outputs against the teacher's for the same images."""
        with torch.no_grad():
            wanted = self.network(normalise_images(images, self.saved.model.normalise))
            values = self._pick(wanted) if isinstance(wanted, Tensor) else tuple(self._pick(one) for one in wanted)
        term: Tensor = self.loss(outputs, Targets(values, self.known.expand(len(images), -1)))
        return self.weight * term

    def _pick(self, outputs: Tensor) -> Tensor:
        """The outputs of the network's keypoints."""
        return outputs.float().index_select(1, self.index)


def load_network(place: Path, config: TrainConfig, rank: Rank) -> TeacherNetwork:
    """The network of a folder of ours, on the device; of an ONNX file or a name of the catalogue, on the CPU.

    Raises:
        ConfigError: a network that sees other crops than training cuts.
        ArtifactError: nothing readable there.
        BackendError: no runtime of ONNX files.
    """
    named = config.teacher.model
    if place.suffix == ".onnx" or (named is not None and not place.exists() and named == Path(named.name)):
        load = cast("Callable[[Path, int], TeacherNetwork]", TEACHERS.load("onnx"))
        return load(place if place.suffix == ".onnx" else Path(named or ""), threads_per_process(config, rank.world_size))
    network, saved = load_model(place)
    network.requires_grad_(False).to(rank.device)
    if config.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TeacherNetwork(network, saved)


def list_differences(teacher: TeacherNetwork, params: Params) -> list[str]:
    """What keeps the outputs of a teacher from being those that the network shall give."""
    saved = teacher.saved
    here: dict[str, object] = {**codec_values(params.codec), "model.input_wh": params.model.input_wh, "model.padding": params.model.padding}
    there: dict[str, object] = {**codec_values(saved.codec), "model.input_wh": saved.model.input_wh, "model.padding": saved.model.padding}
    options = f"codec.{params.codec.kind}"
    names = [name for name in TARGET_OPTIONS.get(params.codec.kind, ()) if name not in teacher.unsaid]
    if [_get(here[options], name) for name in names] == [_get(there.get(options), name) for name in names]:
        del here[options]
    return [f"{key} {there.get(key)}, here {value}" for key, value in here.items() if there.get(key) != value]


def _get(options: object, name: str) -> object:
    return options.get(name) if isinstance(options, dict) else None


def codec_values(codec: CodecConfig) -> dict[str, object]:
    """Kind, geometry and options of a codec, by dotted key."""
    options = dump_section(getattr(codec, codec.kind)) if hasattr(codec, codec.kind) else {}
    return {"codec.kind": codec.kind, "codec.geometry": codec.geometry, f"codec.{codec.kind}": options}
