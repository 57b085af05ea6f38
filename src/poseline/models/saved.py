"""A trained model on disk: model.safetensors beside model.json, which alone says how to run the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from poseline.artifacts import atomic_file, file_hash, read_json, write_json
from poseline.codecs.scores import ScoreRule
from poseline.config import CodecConfig, ModelConfig, dump_section
from poseline.config.params import Yaml, describe_validation_error
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.errors import ArtifactError, ConfigError
from poseline.models.build import build_empty

SCHEMA_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
SPEC_FILE = "model.json"


@dataclass(frozen=True)
class SavedModel:
    """What model.json says of the weights beside it.

    Attributes:
        model: the network, its input size, crop padding and normalisation.
        codec: how its outputs become keypoints, and the geometry of its crops and maps.
        skeleton: name (or file) of the keypoint set that it was trained for.
        keypoints: the keypoint set itself, so that a user's own file need not be at hand; read by name where not given.
        score: how keypoint scores become a person's score.
        flip: whether its published or validated figures use the flip test.
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
    extra: Mapping[str, Yaml] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.keypoints is None:
            object.__setattr__(self, "keypoints", named_skeleton(self.skeleton))

    @property
    def num_keypoints(self) -> int:
        """Keypoints that the network predicts."""
        return self.keypoints.num_keypoints


def named_skeleton(name: str) -> Skeleton:
    """The skeleton of that name or file.

    Raises:
        ConfigError: there is none.
    """
    try:
        return load_skeleton(name)
    except ValueError as error:
        raise ConfigError(str(error)) from None


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
    write_json(folder / SPEC_FILE, {**dump_saved(saved), "weights_hash": weights_hash})


def dump_saved(saved: SavedModel) -> dict[str, Yaml]:
    """The description as plain values, fit for JSON."""
    skeleton: dict[str, Yaml] = {key: _plain(value) for key, value in asdict(saved.keypoints).items()}
    return {
        "schema_version": saved.schema_version,
        "model": dump_section(saved.model),
        "codec": dump_section(saved.codec),
        "skeleton": saved.skeleton,
        "keypoints": skeleton,
        "score": saved.score,
        "flip": saved.flip,
        "config_hash": saved.config_hash,
        "data_hash": saved.data_hash,
        "extra": dict(saved.extra),
    }


def _plain(value: object) -> Yaml:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    assert value is None or isinstance(value, bool | int | float | str)
    return value


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
    if version != SCHEMA_VERSION:
        raise ArtifactError(f"{source}: expected schema_version {SCHEMA_VERSION}, got {version}. Train or import the model again.")
    try:
        return SavedModel(
            model=ModelConfig.model_validate(raw["model"]),
            codec=CodecConfig.model_validate(raw["codec"]),
            skeleton=_text(raw, "skeleton"),
            keypoints=_skeleton(raw["keypoints"]),
            score=_score_rule(raw["score"]),
            flip=bool(raw["flip"]),
            config_hash=_text(raw, "config_hash"),
            data_hash=_text(raw, "data_hash"),
            extra=_mapping(raw["extra"]),
        )
    except ValidationError as error:
        raise ArtifactError(f"{source}: {describe_validation_error(error)}. Train or import the model again.") from None
    except KeyError as error:
        raise ArtifactError(f"{source}: lacks {error}. Train or import the model again.") from None
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{source}: not a model description ({error}). Train or import the model again.") from None


def _text(raw: Mapping[str, Yaml], key: str) -> str:
    value = raw[key]
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected text, got {value!r}")
    return value


def _mapping(value: Yaml) -> dict[str, Yaml]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping, got {value!r}")
    return value


def _score_rule(value: Yaml) -> ScoreRule:
    match value:
        case "mean" | "mean_visible" | "reference":
            return value
    raise ValueError(f"score: expected mean, mean_visible or reference, got {value!r}")


def _skeleton(value: Yaml) -> Skeleton:
    raw = _mapping(value)

    def items(key: str) -> list[Yaml]:
        found = raw[key]
        if not isinstance(found, list):
            raise ValueError(f"keypoints.{key}: expected a list, got {found!r}")
        return found

    def pairs(key: str) -> tuple[tuple[int, int], ...]:
        return tuple((int(pair[0]), int(pair[1])) for pair in items(key) if isinstance(pair, list))  # type: ignore[arg-type]

    return Skeleton(
        name=_text(raw, "name"),
        keypoints=tuple(str(item) for item in items("keypoints")),
        flip_pairs=pairs("flip_pairs"),
        edges=pairs("edges"),
        sigmas=tuple(float(item) for item in items("sigmas")),  # type: ignore[arg-type]
        groups={key: tuple(int(item) for item in members) for key, members in _mapping(raw["groups"]).items()},  # type: ignore[union-attr,arg-type]
        aliases={key: str(item) for key, item in _mapping(raw["aliases"]).items()},
    )


def load_model(folder: Path) -> tuple[nn.Module, SavedModel]:
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
    load_state(module, read_safetensors(path), source=str(path))
    return module.eval(), saved


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ArtifactError: not such a file, or cut short.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not readable as safetensors ({error}). Restore the file or make it again.") from None


def load_state(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Copy tensors into a network of exactly these names and shapes.

    Raises:
        ArtifactError: names or shapes differ.
    """
    own = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if own != given:
        differing = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
        raise ArtifactError(
            f"{source}: {len(differing)} tensors do not fit the network that its model.json describes, first '{differing[0]}'. "
            "Train or import the model again."
        )
    with torch.no_grad():
        module.load_state_dict(dict(state))
