"""All presets, and what `poseline models` lists of them and of the networks that can be trained."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from poseline.config.network import BACKBONES, CODECS, HEADS
from poseline.errors import ConfigError
from poseline.zoo import alphapose, hrnet, mmpose, simple_baselines, vitpose
from poseline.zoo.presets import Preset

PROJECTS = (alphapose, simple_baselines, hrnet, mmpose, vitpose)
PRESETS: dict[str, Preset] = {preset.name: preset for project in PROJECTS for preset in project.list_presets()}
"""Name -> published network."""


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: there is none; names the closest.
    """
    if name not in PRESETS:
        close = get_close_matches(name, PRESETS, n=3, cutoff=0.4) or list(PRESETS)[:3]
        raise ConfigError(f"unknown preset '{name}'. Closest: {', '.join(close)}; `poseline models` lists all.")
    return PRESETS[name]


def list_models(prefix: str = "") -> list[Preset]:
    """The presets whose names start with ``prefix``."""
    return [preset for name, preset in PRESETS.items() if name.startswith(prefix)]


@dataclass(frozen=True)
class KindRow:
    """A ``model.kind`` and what it goes with.

    Attributes:
        kind: its name.
        backbones: values of ``model.backbone``; ``timm`` stands for timm/<name>.
        codecs: values of ``codec.kind``.
    """

    kind: str
    backbones: tuple[str, ...]
    codecs: tuple[str, ...]


def list_kinds() -> list[KindRow]:
    """What every ``model.kind`` goes with, as its head says; loads torch."""
    from poseline.codecs.base import Codec
    from poseline.models.backbones.base import Backbone
    from poseline.models.heads.base import Head

    backbones = {name: BACKBONES.load_class(name, Backbone) for name in BACKBONES.names}
    outputs = {name: CODECS.load_class(name, Codec).outputs for name in CODECS.names}
    rows: list[KindRow] = []
    for kind in HEADS.names:
        head = HEADS.load_class(kind, Head)
        fitting = tuple(name for name, backbone in backbones.items() if head.fits(backbone))
        rows.append(KindRow(kind, fitting, tuple(name for name, given in outputs.items() if head.can_give(given))))
    return rows
