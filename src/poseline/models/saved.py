"""A trained model on disk: model.safetensors beside model.json, which alone says how to run the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from poseline.artifacts import atomic_file, file_hash, read_json, write_json
from poseline.codecs.scores import ScoreRule
from poseline.config import CodecConfig, ModelConfig
from poseline.config.params import Yaml, describe_validation_error
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.errors import ArtifactError, ConfigError, DataError
from poseline.models.checkpoints import Renames, match_state, rename
from poseline.models.pose_model import PoseModel, build_empty

SCHEMA_VERSION = 2
WEIGHTS_FILE = "model.safetensors"
SPEC_FILE = "model.json"

SCHEMA_1_NAMES: Renames = (
    (r"^network\.(preact|backbone)\.", "backbone."),
    (r"^network\.(head\.|(pyramid\.)?(?=(lateral|smooth|deconv_layers|final_layer|entry|duc\d|conv_out)\.))", "head.maps."),
    (r"^(network|preact)\.", "backbone."),
    (r"^(pyramid\.)?(?=(lateral|smooth|deconv_layers|final_layer|entry|duc\d|conv_out|coordinates|norm|x|y)\.)", "head."),
    (r"^(?!backbone\.|head\.)", "backbone."),
)
"""Names of parameters in folders of schema 1, which followed the published networks'."""


@dataclass(frozen=True)
class SavedModel:
    """What model.json says of the weights beside it.

    Attributes:
        model: the network, its input size, crop padding and normalisation.
        codec: how its outputs become keypoints, and the geometry of its crops and maps.
        skeleton: name (or file) of the keypoint set that it was trained for.
        keypoints: the keypoint set itself, so that a user's own file is not needed; read by name where not given.
        score: how keypoint scores become a person's score.
        flip: whether its published or validated metrics use the flip test.
        config_hash: hash of the configuration that made the weights.
        data_hash: hash of the training data.
        extra: anything else worth keeping (metrics, preset, epoch).
    """

    model: ModelConfig
    codec: CodecConfig
    skeleton: str
    keypoints: Skeleton = field(default=None)  # type: ignore[assignment]
    score: ScoreRule = "mean_visible"
    flip: bool = True
    config_hash: str = ""
    data_hash: str = ""
    schema_version: int = SCHEMA_VERSION
    extra: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.keypoints is None:
            try:
                object.__setattr__(self, "keypoints", load_skeleton(self.skeleton))
            except ValueError as error:
                raise ConfigError(str(error)) from None

    @property
    def num_keypoints(self) -> int:
        """Keypoints that the network predicts."""
        return self.keypoints.num_keypoints


ADAPTER = TypeAdapter(SavedModel)


def save_model(folder: Path, module: nn.Module, saved: SavedModel) -> None:
    """Write the weights and their description into a folder; each file appears whole or not at all.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    # Cloned: safetensors refuses tensors that share memory; contiguous: it stores rows.
    state = {name: tensor.detach().to("cpu").clone().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_file(folder / WEIGHTS_FILE) as temporary:
        save_file(state, temporary)
        weights_hash = file_hash(temporary)
    write_json(folder / SPEC_FILE, {**ADAPTER.dump_python(saved, mode="json", by_alias=True), "weights_hash": weights_hash})


def load_saved(folder: Path) -> SavedModel:
    """The description of the model in a folder, without its weights.

    Raises:
        ArtifactError: missing, cut short, or of another schema.
    """
    return parse_saved(read_json(folder / SPEC_FILE, made_by="train"), source=str(folder / SPEC_FILE))


def parse_saved(raw: Mapping[str, Yaml], *, source: str) -> SavedModel:
    """A description from plain values; ``source`` names it in errors.

    Raises:
        ArtifactError: of another schema, or not a description.
    """
    version = raw.get("schema_version")
    if version not in (1, SCHEMA_VERSION):
        raise ArtifactError(f"{source}: expected schema_version {SCHEMA_VERSION}, got {version}. Train or import the model again.")
    absent = [item.name for item in fields(SavedModel) if item.name not in raw]
    if absent:
        raise ArtifactError(f"{source}: lacks '{absent[0]}'. Train or import the model again.")
    try:
        return ADAPTER.validate_python(_with_new_words(raw) if version == 1 else raw)
    except ValidationError as error:
        raise ArtifactError(f"{source}: {describe_validation_error(error)}. Train or import the model again.") from None


def _with_new_words(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A description of schema 1 in the words of this one."""
    codec = raw["codec"]
    if isinstance(codec, dict) and codec.get("geometry") == "legacy":
        codec = {**codec, "geometry": "published"}
    score = "published" if raw["score"] == "reference" else raw["score"]
    return {**raw, "codec": codec, "score": score, "schema_version": SCHEMA_VERSION}


def load_model(folder: Path) -> tuple[PoseModel, SavedModel]:
    """The model in a folder, on the CPU in eval mode, and its description.

    Raises:
        ArtifactError: a file is missing, cut short, or not of the pair that was written together.
    """
    saved = load_saved(folder)
    raw = read_json(folder / SPEC_FILE, made_by="train")
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file. Run `poseline train` (or `dvc repro`) first.")
    found = file_hash(path)
    if found != raw.get("weights_hash"):
        raise ArtifactError(
            f"{path}: expected the weights of hash {raw.get('weights_hash')} that {SPEC_FILE} describes, got {found}. "
            "The file is damaged or from another run; restore both files (dvc checkout) or train again."
        )
    module = build_empty(saved.model, saved.codec, saved.num_keypoints)
    renames = SCHEMA_1_NAMES if raw["schema_version"] == 1 else ()
    try:
        match_state(module, {rename(name, renames): tensor for name, tensor in load_file(path).items()})
    except DataError as error:
        raise ArtifactError(f"{path}: the tensors do not fit the network that {SPEC_FILE} describes ({error}). Train it again.") from None
    return module.eval(), saved
