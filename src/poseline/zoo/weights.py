"""Published weights under our parameter names: load them, or import them into a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from poseline.artifacts import file_hash
from poseline.config import CodecConfig, ModelConfig, NormaliseConfig, config_hash
from poseline.errors import DataError
from poseline.models.checkpoints import Shape, compare_states, match_state, read_checkpoint, rename, shapes_of
from poseline.models.pose_model import PoseModel, build_empty, build_network
from poseline.models.saved import SavedModel, save_model
from poseline.zoo.catalogue import PRESETS, get_preset
from poseline.zoo.presets import Preset
from poseline.zoo.sizes import SIZES

CANDIDATES = 8
"""Presets of the nearest size that an error message compares with the given weights."""


def load_published(preset: str, state_dict: Mapping[str, Tensor]) -> PoseModel:
    """The published network of that preset with these weights (in its authors' naming), in eval mode on the CPU.

    Raises:
        ConfigError: unknown preset.
        DataError: weights of another network; lists what differs and names the preset that fits.
    """
    chosen = get_preset(preset)
    network = build_empty(chosen.model, chosen.codec, chosen.num_keypoints)
    try:
        match_state(network, rename_state(chosen, state_dict), names={rename(name, chosen.renames): name for name in state_dict})
    except DataError as error:
        raise DataError(f"preset '{preset}': {error} {suggest(shapes_of(state_dict))}") from None
    return network.eval()


def rename_state(preset: Preset, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under our names: the preset's renames, and for vision transformers a class token's row taken off."""
    renamed = {rename(name, preset.renames): tensor for name, tensor in state.items()}
    table = renamed.get("backbone.vit.pos_embed")
    cells = preset.model.input_wh[0] * preset.model.input_wh[1] // 16**2
    if table is not None and table.ndim == 3 and table.shape[1] == cells + 1:
        # The authors keep the row of a class token that they do not use, and add it to every patch.
        renamed["backbone.vit.pos_embed"] = table[:, 1:] + table[:, :1]
        renamed.pop("backbone.cls_token", None)
    return renamed


def suggest(given: Mapping[str, Shape]) -> str:
    """A sentence that names the presets which these published names and shapes fit, or the closest one."""
    size = sum(prod(shape) for shape in given.values())
    near = sorted(PRESETS, key=lambda name: abs(SIZES[name][0] - size))[:CANDIDATES]
    counts = {name: _distance(name, given) for name in near}
    fitting = [name for name, count in counts.items() if count == 0]
    if fitting:
        return f"They fit preset {' or '.join(fitting[:4])}."
    closest = min(counts, key=counts.__getitem__)
    if counts[closest] > len(given) // 2:
        return "They fit none of the presets that `poseline models` lists."
    return f"No preset fits; the closest is {closest} ({counts[closest]} names differ)."


def _distance(name: str, given: Mapping[str, Shape]) -> int:
    preset = PRESETS[name]
    renamed = {rename(key, preset.renames): shape for key, shape in given.items()}
    # One row more than the network's in the table of positions is the class token's; see rename_state.
    table = renamed.get("backbone.vit.pos_embed")
    expected = preset_shapes(name)
    if table is not None and table[1] == expected.get("backbone.vit.pos_embed", (0, 0))[1] + 1:
        renamed["backbone.vit.pos_embed"] = expected["backbone.vit.pos_embed"]
        renamed.pop("backbone.cls_token", None)
    return compare_states(expected, renamed).count


def preset_shapes(name: str) -> dict[str, Shape]:
    """Our names and shapes of a preset's network, computed without memory for weights."""
    preset = PRESETS[name]
    # What the weights' shapes do not depend on is set alike, so that presets of one network share the answer.
    codec = preset.codec if preset.codec.kind in ("simcc", "regression") else CodecConfig(kind="heatmap")
    return network_shapes(preset.model.model_copy(update={"normalise": NormaliseConfig()}), codec, preset.num_keypoints)


@lru_cache(maxsize=256)
def network_shapes(model: ModelConfig, codec: CodecConfig, num_keypoints: int) -> dict[str, Shape]:
    """Names and shapes of a network's tensors."""
    with torch.device("meta"):
        return shapes_of(build_network(model, codec, num_keypoints).state_dict())


def import_weights(file: Path, preset: str, out_dir: Path) -> SavedModel:
    """Convert a published file into a model folder (model.safetensors, model.json) and return its description.

    Raises:
        ConfigError: unknown preset, or a skeleton that is not at hand.
        DataError: the file cannot be read, or holds another network's weights.
        ArtifactError: the folder cannot be written.
    """
    chosen = get_preset(preset)
    saved = SavedModel(
        model=chosen.model,
        codec=chosen.codec,
        skeleton=chosen.skeleton,
        score=chosen.score,
        flip=chosen.flip,
        config_hash=config_hash(chosen.model, chosen.codec),
        extra={
            "preset": chosen.name,
            "source_file": file.name,
            "source_hash": file_hash(file) if file.is_file() else "",
            "published": chosen.metric,
            "protocol": chosen.protocol,
            "licence": chosen.licence,
        },
    )
    state = read_checkpoint(file)
    try:
        network = load_published(preset, state)
    except DataError as error:
        raise DataError(f"{file}: {error}") from None
    save_model(out_dir, network, saved)
    return saved
