"""A trained model's weights as the start of another: the same network, for the same keypoints or for others."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from poseline.config import CodecConfig, ModelConfig, dump_section
from poseline.config.params import Yaml
from poseline.core.skeletons import Skeleton, map_keypoints
from poseline.errors import ConfigError
from poseline.models.checkpoints import compare_states, shapes_of
from poseline.models.pose_model import PoseModel, build_empty
from poseline.models.saved import SavedModel, load_model

SHOWN = 6
"""Parameters named in a line about differences."""
IRRELEVANT = ("model.weights",)
"""Parameters that say nothing of a trained network."""


def take_weights(network: PoseModel, folder: Path, *, model: ModelConfig, codec: CodecConfig, skeleton: Skeleton) -> str:
    """Copy the weights of the model in ``folder`` into a new network; one line about what differs, empty where nothing does.

    What belongs to one keypoint (channels of the last layer of heat-map, SimCC and regression heads) goes by the keypoints' names:
    those that the model does not know keep the new network's fresh values.

    Raises:
        ConfigError: the networks differ in more than their keypoints.
        ArtifactError: the folder holds no readable model.
    """
    source, saved = load_model(folder)
    state = dict(source.state_dict())
    differences = list_differences(saved, model, codec)
    line = ""
    if saved.keypoints.keypoints != skeleton.keypoints:
        index = map_keypoints(saved.keypoints, skeleton).tolist()
        own = network.state_dict()
        for name, rows in keypoint_rows(saved).items():
            if name in own and own[name].shape == (rows * len(index), *state[name].shape[1:]):
                state[name] = _by_name(state[name], own[name], index, rows)
        kept = [name for name, place in zip(skeleton.keypoints, index, strict=True) if place >= 0]
        fresh = [name for name, place in zip(skeleton.keypoints, index, strict=True) if place < 0]
        line = (
            f"skeleton '{saved.keypoints.name}' -> '{skeleton.name}': {len(kept)} keypoints keep their channels"
            f" ({', '.join(kept) or 'none'}), {len(fresh)} start fresh ({', '.join(fresh) or 'none'})"
        )
    mismatch = compare_states(shapes_of(network.state_dict()), shapes_of(state))
    if mismatch.count:
        what = "; ".join(differences) or mismatch.describe()
        raise ConfigError(
            f"train.init_from: {folder}: weights of another network: {what}. Set these as in its model.json, or choose another model."
        )
    counters = {name: torch.zeros_like(own) for name, own in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict({**counters, **state})
    lines = [line] * bool(line) + ["differs: " + "; ".join(differences)] * bool(differences)
    return f"train.init_from: {folder}: " + "; ".join(lines) if lines else ""


def list_differences(saved: SavedModel, model: ModelConfig, codec: CodecConfig) -> list[str]:
    """The parameters of network and codec in which a saved model differs: ``model.backbone is resnet18, there resnet10``."""
    here = {**_flat("model", dump_section(model)), **_flat("codec", dump_section(codec))}
    there = {**_flat("model", dump_section(saved.model)), **_flat("codec", dump_section(saved.codec))}
    names = [name for name in {**here, **there} if name not in IRRELEVANT and here.get(name) != there.get(name)]
    more = [f"{len(names) - SHOWN} more"] * (len(names) > SHOWN)
    return [f"{name} is {here.get(name)}, there {there.get(name)}" for name in names[:SHOWN]] + more


def keypoint_rows(saved: SavedModel) -> dict[str, int]:
    """The tensors whose first axis runs over the keypoints, and how many rows each keypoint has: those that grow with one more."""
    count = saved.num_keypoints
    one, other = (shapes_of(build_empty(saved.model, saved.codec, number).state_dict()) for number in (count, count + 1))
    grown = {name: other[name][0] - shape[0] for name, shape in one.items() if name in other and shape and other[name] != shape}
    return {name: rows for name, rows in grown.items() if rows > 0 and one[name][0] == rows * count}


def _by_name(source: Tensor, fresh: Tensor, index: list[int], rows: int) -> Tensor:
    """Rows of a tensor in the order of another skeleton; ``fresh`` ones where the index is -1."""
    blocks, result = source.reshape(-1, rows, *source.shape[1:]), fresh.clone().reshape(-1, rows, *fresh.shape[1:])
    for place, own in enumerate(index):
        if own >= 0:
            result[place] = blocks[own]
    return result.reshape(fresh.shape)


def _flat(prefix: str, value: Yaml) -> dict[str, Yaml]:
    """Dotted name -> plain value."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: item for key, inner in value.items() for name, item in _flat(f"{prefix}.{key}", inner).items()}
