"""The scores that the pipeline makes of the data sets in the parameters, by name."""

from __future__ import annotations

from dataclasses import dataclass

from poseline.config import DataConfig, DatasetConfig
from poseline.config.dataset import DETECTIONS
from poseline.datasets.protocols import EvaluationProtocol, load_protocol
from poseline.datasets.sets import dataset_config, enabled_sets, named_skeleton


@dataclass(frozen=True)
class SetScore:
    """A score that the pipeline makes: of which data set, by which protocol, and whether under detected boxes."""

    dataset: str
    protocol: EvaluationProtocol[object, object]
    detected: bool


def list_scores(data: DataConfig) -> dict[str, SetScore]:
    """Every score of the enabled data sets by name: under ground-truth boxes (or of tracks), then under detected ones."""
    scores: dict[str, SetScore] = {}
    for name in enabled_sets(data):
        config = dataset_config(data, name)
        if config.val is None:
            continue
        protocol = set_protocol(config, name=name)
        scores[name] = SetScore(name, protocol, detected=False)
        if config.detections and not protocol.tracked:
            scores[name + DETECTIONS] = SetScore(name, protocol, detected=True)
    return scores


def set_protocol(config: DatasetConfig, *, name: str) -> EvaluationProtocol[object, object]:
    """The protocol of a data set's format, for the keypoints that the parameters name.

    Raises:
        ConfigError: the set's ``skeleton`` is unknown or broken.
    """
    skeleton = named_skeleton(config.skeleton, key=f"data.sets.{name}.skeleton") if config.skeleton else None
    return load_protocol(config.format, skeleton)
