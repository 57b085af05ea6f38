"""The description of a published ONNX network, short enough to write by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from poseline.codecs.scores import ScoreRule
from poseline.config.base import Section
from poseline.config.network import CodecConfig, ModelConfig, NormaliseConfig
from poseline.config.params import Yaml, describe_validation_error
from poseline.errors import ArtifactError, ConfigError
from poseline.models.saved import SavedModel, parse_saved

SUFFIXES = (".json", ".yaml", ".yml")
TRAINING_ONLY = {"heatmap": ("sigma", "centre"), "udp": ("sigma",), "simcc": ("label_smoothing",)}
"""Options of codecs that decoding does not use."""


class OnnxSpec(Section):
    """What a pose network takes and gives.

    ``mean`` and ``std`` are of pixel values in 0..1, in the network's own channel order; in place of ``std``, ``scale`` multiplies
    what is left after the mean is taken (255: the network takes bytes as they are).
    """

    input_wh: tuple[int, int]
    skeleton: str
    codec: CodecConfig
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] | None = None
    scale: float | None = Field(default=None, gt=0)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    padding: float = Field(default=1.25, ge=1.0, description="extent of the crop over the person box")
    input_name: str | None = None
    score: ScoreRule = "mean_visible"

    @model_validator(mode="after")
    def _check(self) -> OnnxSpec:
        if self.std is not None and self.scale is not None:
            raise ValueError("std: given together with scale; give one of them")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std: expected three numbers above 0, got {list(self.std)}")
        if any(side < 32 or side % 32 for side in self.input_wh):
            raise ValueError(f"input_wh: both sides must be multiples of 32, got {list(self.input_wh)}")
        return self

    def normalise(self) -> NormaliseConfig:
        """The normalisation of RGB values, whatever the network's channel order."""
        factor = 1.0 if self.scale is None else self.scale
        mean, std = self.mean, self.std or (1 / factor,) * 3
        return NormaliseConfig(mean=self._in_rgb(mean), std=self._in_rgb(std))

    def _in_rgb(self, values: tuple[float, float, float]) -> tuple[float, float, float]:
        return (values[2], values[1], values[0]) if self.channel_order == "bgr" else values


@dataclass(frozen=True)
class OnnxInput:
    """A network's description, and what its input wants beyond it.

    Attributes:
        saved: in the form of model.json.
        bgr: the channels are to be reversed.
        input_name: of the input tensor; None takes the first.
        assumed: the defaults that stand in for what the description does not say, in words; None for one that was exported.
    """

    saved: SavedModel
    bgr: bool = False
    input_name: str | None = None
    assumed: str | None = None


def read_onnx_spec(network: Path, spec: Path | None = None) -> OnnxInput:
    """The description of an ONNX file: ``spec``, or the file beside it with the ending .json, .yaml or .yml.

    It is either what `poseline export` writes (the form of model.json), or an :class:`OnnxSpec`.

    Raises:
        ArtifactError: missing, unreadable, a key that is unknown or missing, or a value out of range.
    """
    path = spec or next((file for suffix in SUFFIXES if (file := network.with_suffix(suffix)).is_file()), None)
    if path is None:
        wanted = network.with_suffix(".yaml").name
        raise ArtifactError(f"{network}: no description beside it. Write {wanted} (input_wh, skeleton, codec), or set predict.onnx_spec.")
    raw = _read_mapping(path)
    if "schema_version" in raw:
        return OnnxInput(parse_saved(raw, source=str(path)))
    try:
        given = OnnxSpec.model_validate(raw)
        model = ModelConfig(input_wh=given.input_wh, padding=given.padding, normalise=given.normalise())
        saved = SavedModel(model=model, codec=given.codec, skeleton=given.skeleton, score=given.score)
    except ValidationError as error:
        raise ArtifactError(f"{path}: {describe_validation_error(error)}. Fix the description.") from None
    except ConfigError as error:
        raise ArtifactError(f"{path}: skeleton: {error}") from None
    return OnnxInput(saved, bgr=given.channel_order == "bgr", input_name=given.input_name, assumed=describe_assumed(given))


def describe_assumed(given: OnnxSpec) -> str:
    """The defaults that stand in for keys that a description lacks; empty where it says all.

    >>> describe_assumed(OnnxSpec(input_wh=(64, 96), skeleton="coco17", codec=CodecConfig(kind="regression"), scale=255, padding=1.25))
    'mean: none, channel_order: rgb, score: mean_visible, decoding: geometry unbiased'
    """
    known = given.model_fields_set
    words = [] if known & {"mean", "std", "scale"} else ["normalise: none (values 0..1)"]
    if not words:
        words = ([] if "mean" in known else ["mean: none"]) + ([] if known & {"std", "scale"} else ["std: none"])
    for name, field in OnnxSpec.model_fields.items():
        if name not in known and name not in ("mean", "std", "scale") and field.default is not None:
            words.append(f"{name}: {field.default}")
    codec = given.codec
    options = getattr(codec, codec.kind, None)
    decoding = [f"{key} {getattr(codec, key)}" for key in ("kind", "geometry") if key not in codec.model_fields_set]
    if isinstance(options, Section):
        unsaid = set(type(options).model_fields) - options.model_fields_set - set(TRAINING_ONLY.get(codec.kind, ()))
        decoding += [f"{key} {getattr(options, key)}" for key in sorted(unsaid)]
    return ", ".join([*words, *([f"decoding: {', '.join(decoding)}"] if decoding else [])])


def _read_mapping(path: Path) -> dict[str, Yaml]:
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ArtifactError(f"{path}: not readable ({reason}). Fix the description, or name another in predict.onnx_spec.") from None
    if not isinstance(raw, dict):
        raise ArtifactError(f"{path}: expected a mapping (input_wh, skeleton, codec, ...), got {type(raw).__name__}. Fix the description.")
    return raw
