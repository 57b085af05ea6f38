"""The whole of params.yaml: load it, override single values, write it beside what it made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import Field, PrivateAttr, ValidationError

from poseline.config.base import Section
from poseline.config.dataset import DataConfig, MiniConfig, PreprocessConfig, ValidateConfig
from poseline.config.evaluation import GateConfig, PredictConfig, ReportConfig, ScoreConfig
from poseline.config.network import CodecConfig, LossConfig, ModelConfig
from poseline.config.renamed import find_renamed
from poseline.config.tracking import TrackConfig
from poseline.config.training import AugmentConfig, MlflowConfig, TrainConfig, change_augment
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ConfigError
from poseline.plugins import use_plugins
from poseline.project import located

Yaml: TypeAlias = bool | int | float | str | list["Yaml"] | dict[str, "Yaml"] | None


class Params(Section):
    """Mirror of params.yaml, one section a stage."""

    seed: int = Field(default=1, ge=0)
    plugins: tuple[str, ...] = Field(default=(), description="Python files of the project that offer kinds of their own")
    mini: MiniConfig = MiniConfig()
    data: DataConfig
    validation: ValidateConfig = Field(default=ValidateConfig(), alias="validate")
    preprocess: PreprocessConfig = PreprocessConfig()
    codec: CodecConfig = CodecConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    predict: PredictConfig = PredictConfig()
    track: TrackConfig = TrackConfig()
    score: ScoreConfig = ScoreConfig()
    report: ReportConfig = ReportConfig()
    gate: GateConfig = GateConfig()
    mlflow: MlflowConfig = MlflowConfig()
    _file: Params | None = PrivateAttr(default=None)

    @property
    def file(self) -> Params:
        """What the file alone says, without the overrides of a command."""
        return self._file or self

    def augment_at(self, epoch: int) -> AugmentConfig:
        """The augmentation in an epoch of training, counted from 0: ``augment``, changed in a second phase."""
        phase = self.train.second_phase
        return self.augment if phase.epoch is None or epoch < phase.epoch else change_augment(self.augment, phase.augment)


def load_params(path: Path, overrides: Sequence[str] = ()) -> Params:
    """The checked parameters of a YAML file under ``a.b=value`` overrides.

    Raises:
        ConfigError: one line naming the file and the first offending key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Run inside the project, or give --params FILE.") from None
    try:
        raw = parse_yaml(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{path}: not valid YAML: {problem}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(raw).__name__}")
    overridden = deepcopy(raw)
    for override in overrides:
        apply_override(overridden, override)
    use_plugins(overridden.get("plugins"), located(""))
    params = parse_params(overridden, source=str(path))
    if overrides:
        with suppress(ConfigError):  # a file that is right with its overrides alone
            params._file = parse_params(raw, source=str(path))
    return params


def apply_override(raw: dict[str, Yaml], override: str) -> None:
    """Set one value of the raw tree in place from ``a.b=value``; the value is read as YAML.

    Raises:
        ConfigError: no '=', or the path leads through a value that is not a section.
    """
    key, separator, value = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {override}: expected KEY=VALUE, for example --set train.epochs=5")
    *parents, leaf = key.strip().split(".")
    node = raw
    for name in parents:
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: '{name}' is a value, not a section")
        node = child
    try:
        node[leaf] = parse_yaml(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from None


def parse_params(raw: Mapping[str, Yaml], *, source: str) -> Params:
    """The checked tree of a raw mapping; ``source`` names it in errors.

    Raises:
        ConfigError: names the first offending key, the rule and the value found.
    """
    if (renamed := find_renamed(raw)) is not None:
        raise ConfigError(f"{source}: {renamed}")
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe_validation_error(error)}") from None


def describe_validation_error(error: ValidationError) -> str:
    """``section.key: rule, got value`` of the first fault, and how many more there are."""
    faults = error.errors(include_url=False)
    first = faults[0]
    where = ".".join(str(part) for part in first["loc"]) or "parameters"
    if first["type"] in ("extra_forbidden", "unknown_key"):
        text = f"{where}: unknown key"
    elif first["type"] == "missing":
        text = f"{where}: missing"
    else:
        rule = first["msg"].removeprefix("Value error, ")
        got = first["input"]
        text = f"{where}: {rule}" if isinstance(got, dict) else f"{where}: {rule}, got {got}"
    more = len(faults) - 1
    return text + (f" (and {more} more)" if more else "")


def dump_section(section: Section) -> dict[str, Yaml]:
    """A section as plain values, fit for JSON and YAML."""
    return section.model_dump(mode="json", by_alias=True)


def config_hash(*sections: Section) -> str:
    """Sixteen hex digits that change when any value of these sections changes."""
    text = json.dumps([dump_section(section) for section in sections], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flatten(tree: Mapping[str, Yaml], prefix: str = "") -> dict[str, Yaml]:
    """One level of ``a.b`` keys.

    >>> flatten({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat: dict[str, Yaml] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return flat
