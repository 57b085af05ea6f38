"""What `poseline models` lists: every preset with its size, cost and published figure."""

from __future__ import annotations

from dataclasses import dataclass

from poseline.zoo.presets import PRESETS, Preset
from poseline.zoo.sizes import SIZES


@dataclass(frozen=True)
class ModelRow:
    """One preset.

    Attributes:
        preset: its name.
        kind: ``model.kind``.
        backbone: ``model.backbone``.
        codec: ``codec.kind``.
        num_keypoints: of its skeleton.
        input_wh: pixels.
        parameters: number of weights.
        gmacs: 10^9 multiply-adds of one forward pass.
        figure: the published figure, 0..1, or None.
        protocol: what that figure is.
    """

    preset: str
    kind: str
    backbone: str
    codec: str
    num_keypoints: int
    input_wh: tuple[int, int]
    parameters: int
    gmacs: float
    figure: float | None
    protocol: str


@dataclass(frozen=True)
class KindRow:
    """A ``model.kind`` and what it goes with.

    Attributes:
        kind: its name.
        backbones: values of ``model.backbone``.
        codecs: values of ``codec.kind``.
        heads: values of ``model.head``, and options of its own.
    """

    kind: str
    backbones: tuple[str, ...]
    codecs: tuple[str, ...]
    heads: str


RESNETS = ("resnet10..152", "se_resnet10..152", "shuffle_resnet10..152")
TRUNKS = (*RESNETS, "cspnext_tiny..large", "timm/<name>")
MAPS = ("heatmap", "udp", "integral", "combined")
ALL = (*MAPS, "simcc", "regression")
KINDS = (
    KindRow("simplepose", TRUNKS, ALL, "standard (deconv_channels, dcn), pyramid"),
    KindRow("fastpose", TRUNKS, ALL, "standard (conv_dim, dcn), pyramid"),
    KindRow("fastpose_duc", TRUNKS, ALL, "standard (dcn)"),
    KindRow("hrnet", ("hrnet_w32", "hrnet_w48"), ALL, "standard"),
    KindRow("hardnet", ("hardnet68", "hardnet85"), ALL, "standard"),
    KindRow("vitpose", ("vit_tiny..huge",), ALL, "standard (decoder, drop_path)"),
    KindRow("rtmpose", TRUNKS, ("simcc", "regression"), "standard (dcn)"),
)


def list_models(prefix: str = "") -> list[ModelRow]:
    """One row a preset whose name starts with ``prefix``."""
    return [row(preset) for name, preset in PRESETS.items() if name.startswith(prefix)]


def row(preset: Preset) -> ModelRow:
    """The row of one preset; sizes come from the table, which a test holds to ``measure``."""
    parameters, gmacs = SIZES[preset.name]
    return ModelRow(
        preset=preset.name,
        kind=preset.model.kind,
        backbone=preset.model.backbone,
        codec=preset.codec.kind,
        num_keypoints=preset.num_keypoints,
        input_wh=preset.model.input_wh,
        parameters=parameters,
        gmacs=gmacs,
        figure=preset.figure,
        protocol=preset.protocol,
    )
