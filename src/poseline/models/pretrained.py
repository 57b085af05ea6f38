"""Weights of a backbone before pose training: from a file, or ImageNet's through torchvision and timm."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import getproxies

import torch
from torch import Tensor

from poseline.config import ModelConfig
from poseline.errors import BackendError, ConfigError, DataError
from poseline.models.backbones.base import Backbone
from poseline.models.backbones.timm import TimmBackbone, import_timm
from poseline.models.backbones.vit import PlainViT
from poseline.models.checkpoints import compare_states, read_checkpoint, shapes_of
from poseline.project import existing

OWN_PARTS = re.compile(r"\.se\.|conv2_offset|conv2\.1\.")
"""Parts of our backbones that no classification network has: they keep their fresh weights."""

PREFIXES = ("backbone.", "preact.", "model.")

TIMM_NAMES = {
    "hrnet_w32": "hrnet_w32",
    "hrnet_w48": "hrnet_w48",
    "vit_tiny": "vit_tiny_patch16_224",
    "vit_base": "vit_base_patch16_224.mae",
    "vit_large": "vit_large_patch16_224.mae",
}
"""Backbones whose ImageNet weights are timm's, and timm's names of them."""


def load_backbone_weights(backbone: Backbone, model: ModelConfig) -> None:
    """Copy the weights that ``model.weights`` names into the backbone.

    Raises:
        BackendError: ImageNet weights that cannot be fetched or do not exist for this backbone.
        ConfigError: a width other than one.
        DataError: a file that cannot be read or does not fit.
    """
    if model.width != 1:
        raise ConfigError(
            f"model.weights: '{model.weights}' needs model.width 1, got {model.width:g}, for these are weights of the full width. "
            f"Set model.width to 1 to start from them, or model.weights to none to train a network of width {model.width:g} from scratch."
        )
    if isinstance(backbone, TimmBackbone):
        backbone.load_state_dict(timm_backbone(model).state_dict())
        return
    state = imagenet_state(model) if model.weights == "imagenet" else strip_prefix(read_checkpoint(weights_file(model)))
    copy_weights(backbone, adapt_positions(state, backbone), source=model.weights)


def weights_file(model: ModelConfig) -> Path:
    """The file that ``model.weights`` names."""
    return existing(model.weights, key="model.weights")


def timm_backbone(model: ModelConfig) -> TimmBackbone:
    """A timm backbone with the weights that the configuration names.

    Raises:
        BackendError: they cannot be fetched.
        DataError: a file that is missing or does not fit.
    """
    name = model.backbone.removeprefix("timm/")
    if model.weights != "imagenet":
        read_checkpoint(weights_file(model))
    try:
        with quick_hub():
            return TimmBackbone(model, weights=model.weights if model.weights == "imagenet" else str(weights_file(model)))
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        if model.weights != "imagenet":
            raise DataError(f"{model.weights}: does not fit timm/{name} ({' '.join(str(error).split())[:300]}).") from None
        raise unreachable_timm(name, error) from None


@contextmanager
def quick_hub() -> Iterator[None]:
    """A block in which timm's model hub, where it has no address, reads its cache only instead of retrying for a minute."""
    from huggingface_hub import constants

    host = urlparse(constants.ENDPOINT).hostname or ""
    before = constants.HF_HUB_OFFLINE
    try:
        if not getproxies():
            socket.getaddrinfo(host, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def unreachable_timm(name: str, error: Exception) -> BackendError:
    """The error for timm weights that cannot be fetched: which file, and where it goes."""
    settings = import_timm().models.get_pretrained_cfg(name)
    where = f"huggingface.co/{settings.hf_hub_id}" if settings and settings.hf_hub_id else getattr(settings, "url", "") or "timm"
    return BackendError(
        f"model.weights: imagenet: the weights of timm's {name} cannot be fetched ({type(error).__name__}). "
        f"Download model.safetensors from {where} elsewhere, and set model.weights to that file."
    )


def imagenet_state(model: ModelConfig) -> dict[str, Tensor]:
    """ImageNet weights of this backbone in torchvision's or timm's naming.

    Raises:
        BackendError: they cannot be fetched, or there are none in a format that can be loaded.
    """
    resnet = re.fullmatch(r"(?:se_|shuffle_)?(resnet\d+)", model.backbone)
    if resnet and resnet[1] != "resnet10":  # which torchvision does not have
        return torchvision_state(resnet[1])
    name = TIMM_NAMES.get(model.backbone)
    if name is None:
        raise BackendError(
            f"model.weights: there is no loader of ImageNet weights for '{model.backbone}'. Set model.weights to none or to a file."
        )
    try:
        with quick_hub():
            network = import_timm().create_model(name, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise unreachable_timm(name, error) from None
    return dict(network.state_dict())


def torchvision_state(name: str) -> dict[str, Tensor]:
    """Torchvision's first ImageNet weights of a network, from its cache or the net.

    Raises:
        BackendError: neither has them.
    """
    from torchvision.models import get_model_weights  # torchvision takes seconds to load, and few networks need it

    weights = get_model_weights(name)["IMAGENET1K_V1"]
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError) as error:
        place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
        reason = getattr(error, "reason", error)
        raise BackendError(
            f"model.weights: imagenet: {weights.url} cannot be fetched ({reason}). "
            f"Put that file at {place}, or set model.weights to its path."
        ) from None


def strip_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's part of a whole pose network's weights, or the weights as they are."""
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in state):
            return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return dict(state)


def adapt_positions(state: dict[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """Weights whose position table (vision transformers) is resampled to the backbone's grid and named as in the backbone."""
    own = backbone.state_dict()
    if not isinstance(backbone, PlainViT):
        return state
    from timm.layers.pos_embed import resample_abs_pos_embed

    state = {name if name.startswith("vit.") else f"vit.{name}": tensor for name, tensor in state.items()}
    state.pop("vit.cls_token", None)
    table = state.get("vit.pos_embed")
    if table is not None and table.shape != own["vit.pos_embed"].shape:
        prefix = table.shape[1] - int(table.shape[1] ** 0.5) ** 2
        resampled = resample_abs_pos_embed(table, new_size=list(backbone.grid_hw), num_prefix_tokens=prefix)
        state["vit.pos_embed"] = resampled[:, prefix:]
    return state


@torch.no_grad()
def copy_weights(backbone: Backbone, state: Mapping[str, Tensor], *, source: str) -> None:
    """Copy the tensors that the backbone has; extra ones (a classifier) stay behind.

    Raises:
        DataError: a tensor of the backbone is missing or has another shape.
    """
    own = shapes_of(backbone.state_dict())
    needed = {name: shape for name, shape in own.items() if not OWN_PARTS.search(name)}
    usable = {name: tensor for name, tensor in state.items() if name in needed}
    mismatch = compare_states(needed, shapes_of(usable))
    if mismatch.count:
        raise DataError(f"{source}: these weights do not fit the backbone. {mismatch.describe()}. Check model.backbone.")
    backbone.load_state_dict(usable, strict=False)
