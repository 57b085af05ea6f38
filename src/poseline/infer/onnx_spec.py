"""The description of a published ONNX network, short enough to write by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, model_validator

from poseline.codecs.scores import ScoreRule
from poseline.config.base import Section
from poseline.config.network import CodecConfig, ModelConfig
from poseline.config.params import Yaml, describe_validation_error
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ArtifactError, ConfigError
from poseline.infer.image_input import ImageInput
from poseline.infer.onnx_metadata import KEY, read_metadata
from poseline.models.saved import SavedModel, parse_saved
from poseline.zoo.weight_files import find_by_hash

SUFFIXES = (".json", ".yaml", ".yml")
CATALOGUE = "catalogue: "
TRAINING_ONLY = {"heatmap": ("sigma", "centre"), "udp": ("sigma",), "simcc": ("label_smoothing",)}
"""Options of codecs that decoding does not use."""


class CropMask(Section):
    """Which part of a crop a network sees: the box, grown; the rest is black, so that it does not follow somebody beside."""

    scale: float = Field(default=1.05, gt=0, description="factor of the box's width and height")
    margin: float = Field(default=0.06, ge=0, description="fraction of the longer side that is added to both")


class OnnxSpec(ImageInput):
    """What a pose network takes and gives."""

    skeleton: str = Field(description="name of the keypoint set that it predicts, or a YAML file of your own")
    codec: CodecConfig = Field(description="how its outputs become keypoints: kind, geometry and the options of the kind")
    padding: float = Field(default=1.25, ge=1.0, description="extent of the crop over the person box, grown to the input's aspect first")
    mask: CropMask | None = Field(default=None, description="blackens what lies outside the box; null: nothing")
    score: ScoreRule = Field(default="mean_visible", description="how keypoint scores become a person's score")

    @model_validator(mode="after")
    def _check(self) -> OnnxSpec:
        if any(side < 32 or side % 32 for side in self.input_wh):
            raise ValueError(f"input_wh: both sides must be multiples of 32, got {list(self.input_wh)}")
        return self


@dataclass(frozen=True)
class OnnxInput:
    """A network's description, and what its input wants beyond it.

    Attributes:
        saved: in the form of model.json.
        bgr: the channels are to be reversed.
        input_name: of the input tensor; None takes the first.
        output_names: of the outputs to read, in this order; None takes all.
        mask: what is blackened of a crop.
        assumed: the defaults that stand in for what the description does not say, in words; None for one that was exported
            or is in the catalogue.
    """

    saved: SavedModel
    bgr: bool = False
    input_name: str | None = None
    output_names: tuple[str, ...] | None = None
    mask: CropMask | None = None
    assumed: str | None = None


def read_onnx_spec(network: Path, spec: Path | None = None) -> OnnxInput:
    """The description of an ONNX file: ``spec``, or what :func:`find_description` finds.

    It is either what `poseline export` writes (the form of model.json), or an :class:`OnnxSpec`.

    Raises:
        ArtifactError: missing, unreadable, a key that is unknown or missing, or a value out of range.
    """
    found = (_read_mapping(spec), str(spec)) if spec is not None else find_description(network)
    if found is None:
        wanted = network.with_suffix(".yaml").name
        raise ArtifactError(f"{network}: no description beside it, inside it or in the catalogue. "
                            f"Write {wanted} (input_wh, skeleton, codec), or set predict.onnx_spec.")  # fmt: skip
    return parse_pose_spec(*found)


def find_description(network: Path) -> tuple[dict[str, Yaml], str] | None:
    """The raw description of an ONNX file and where it stands: beside it (.json, .yaml, .yml), inside it, or in the catalogue.

    Raises:
        ArtifactError: the file or a description beside it cannot be read.
    """
    beside = next((file for suffix in SUFFIXES if (file := network.with_suffix(suffix)).is_file()), None)
    if beside is not None:
        return _read_mapping(beside), str(beside)
    if not network.is_file():
        raise ArtifactError(f"{network}: no such file. Check the path; `poseline weights list` shows names.")
    inside = read_metadata(network).get(KEY)
    if inside is not None:
        try:
            raw = json.loads(inside)
        except ValueError:
            raise ArtifactError(f"{network}: its metadata '{KEY}' is not JSON. Write a description beside it.") from None
        return raw, f"{network} (metadata)"
    entry = find_by_hash(network)
    return (dict(entry.spec), f"{CATALOGUE}{entry.name}") if entry is not None else None


def parse_pose_spec(raw: dict[str, Yaml], source: str) -> OnnxInput:
    """The checked description of a pose network.

    Raises:
        ArtifactError: a key that is unknown or missing, or a value out of range.
    """
    if "schema_version" in raw:
        return OnnxInput(parse_saved(raw, source=source))
    if "head" in raw:
        raise ArtifactError(f"{source}: describes a detector, expected a pose network. Give it as --detector.")
    try:
        given = OnnxSpec.model_validate(raw)
        model = ModelConfig(input_wh=given.input_wh, padding=given.padding, normalise=given.normalise())
        saved = SavedModel(model=model, codec=given.codec, skeleton=given.skeleton, score=given.score, flip=False)
    except ValidationError as error:
        raise ArtifactError(f"{source}: {describe_validation_error(error)}. Fix the description.") from None
    except ConfigError as error:
        raise ArtifactError(f"{source}: skeleton: {error}") from None
    assumed = None if source.startswith(CATALOGUE) else describe_assumed(given)
    return OnnxInput(saved, given.channel_order == "bgr", given.input_name, given.output_names, given.mask, assumed)


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
        raw = json.loads(text) if path.suffix == ".json" else parse_yaml(text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ArtifactError(f"{path}: not readable ({reason}). Fix the description, or name another in predict.onnx_spec.") from None
    if not isinstance(raw, dict):
        raise ArtifactError(f"{path}: expected a mapping (input_wh, skeleton, codec, ...), got {type(raw).__name__}. Fix the description.")
    return raw
