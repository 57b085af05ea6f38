"""Silent faults that other training programs have had, planted here: each would pass unseen and cost a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from poseline.artifacts import Layout
from poseline.config import load_params
from poseline.errors import ArtifactError
from poseline.experiments import StageRun
from poseline.models.saved import load_model
from poseline.stages import train
from poseline.train import loop
from poseline.train.trainer import Trainer
from poseline.train.validation import Validator


def train_with_scores(
    project: Path, overrides: tuple[str, ...], scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[dict[str, Tensor]], list[dict[str, Tensor]]]:
    """The weights that were validated, and the plain ones of the network after each epoch, of a run whose validations give these scores."""
    validated: list[dict[str, Tensor]] = []
    plain: list[dict[str, Tensor]] = []
    validate = loop.validate_epoch

    def score(self: Validator, state: dict[str, Tensor]) -> float:
        validated.append({name: value.clone() for name, value in state.items()})
        return scores[len(validated) - 1]

    def look(trainer: Trainer, validator: Validator) -> float:
        plain.append({name: value.detach().clone() for name, value in trainer.model.state_dict().items()})
        return validate(trainer, validator)

    monkeypatch.setattr(Validator, "score", score)
    monkeypatch.setattr(loop, "validate_epoch", look)
    train.run(load_params(project / "params.yaml", overrides), Layout(Path()), "cpu", StageRun())
    return validated, plain


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def kept(project: Path) -> dict[str, Tensor]:
    """Weights of the model folder, without counters that it does not keep."""
    return load_file(project / "data/model/model.safetensors")


def test_the_best_model_is_that_of_the_best_epoch_and_not_of_a_pass_before_training(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (*tiny, "train.epochs=4", "train.validate_every=1")
    validated, _ = train_with_scores(project, overrides, [0.2, 0.7, 0.3, 0.6], monkeypatch)
    assert len(validated) == 4, "one validation an epoch, none before the first"
    model = kept(project)
    assert all(torch.equal(value, validated[1][name]) for name, value in model.items())
    assert not all(torch.equal(value, validated[3][name]) for name, value in model.items())
    assert json.loads((project / "data/model/model.json").read_text())["extra"]["best_val_ap"] == 0.7


def test_averaged_weights_are_those_that_are_validated_and_saved(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    validated, plain = train_with_scores(
        project, (*tiny, "train.epochs=2", "train.validate_every=1", "train.ema=0.9"), [0.1, 0.2], monkeypatch
    )
    model = kept(project)
    assert all(torch.equal(value, validated[1][name]) for name, value in model.items())
    moved = [name for name, value in model.items() if value.is_floating_point() and not torch.equal(value, plain[1][name])]
    assert len(moved) > len(model) / 2, "the plain weights were saved"


def test_without_averaging_the_plain_weights_are_saved(project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    validated, plain = train_with_scores(project, (*tiny, "train.epochs=1", "train.ema=null"), [0.1], monkeypatch)
    assert same(validated[0], plain[0])
    assert all(torch.equal(value, plain[0][name]) for name, value in kept(project).items())


def test_a_model_with_one_keypoint_more_than_its_weights_is_refused(
    project: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_with_scores(project, tiny, [0.1], monkeypatch)
    folder, count = project / "data/model", 21
    before = kept(project)
    _, saved = load_model(folder)
    assert saved.num_keypoints == count
    assert all(before[name].shape == value.shape for name, value in load_model(folder)[0].state_dict().items() if name in before)
    path = folder / "model.json"
    described = json.loads(path.read_text())
    described["keypoints"]["keypoints"].append("one_more")
    described["keypoints"]["sigmas"].append(0.05)
    path.write_text(json.dumps(described))
    with pytest.raises(ArtifactError, match="do not fit the network"):
        load_model(folder)
