"""Each trained model is registered once; the alias candidate is at the one whose training ended last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch

from poseline.artifacts import Layout, file_hash
from poseline.config import CodecConfig, ModelConfig, Params
from poseline.experiments import open_stage, set_champion
from poseline.experiments.locate import locate_model
from poseline.experiments.mirror import Mirror
from poseline.experiments.record import RunRecord
from poseline.experiments.registry import TRAINED, nominate
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model

if TYPE_CHECKING:
    from tests.experiments.conftest import Store


def train(params: Params, layout: Layout, seed: int) -> str:
    """A network from a seed, trained as far as the store can tell; the hash of its weights."""
    torch.manual_seed(seed)
    model, codec = ModelConfig.model_validate({"backbone": "resnet10", "width": 0.125, "input_wh": [32, 32]}), CodecConfig()
    with open_stage("train", params, layout):
        layout.model.mkdir(parents=True, exist_ok=True)
        save_model(layout.model, build_model(model, codec, 17), SavedModel(model=model, codec=codec, skeleton="coco17"))
    return file_hash(layout.model / "model.safetensors")


def versions(store: Store) -> list[str]:
    return sorted(str(version.version) for version in store.client.search_model_versions("name = 'poseline'"))


def candidate(store: Store) -> tuple[str, str]:
    """Version and weights under the alias."""
    found = store.client.get_model_version_by_alias("poseline", "candidate")
    return str(found.version), found.tags["poseline.weights"]


@pytest.mark.timeout(300)
def test_the_candidate_is_the_newest_model_and_each_is_registered_once(
    layout: Layout, store: Store, make_params: Callable[..., Params], capsys: pytest.CaptureFixture[str]
) -> None:
    params = make_params()
    first = train(params, layout, 1)
    assert candidate(store) == ("1", first)
    second = train(make_params(seed=2), layout, 2)
    assert candidate(store) == ("2", second)
    assert capsys.readouterr().err == ""
    assert file_hash(locate_model("models:/poseline@candidate", params.mlflow, layout) / "model.safetensors") == second
    assert train(params, layout, 1) == first  # the same content is the same version
    assert candidate(store) == ("1", first)
    assert versions(store) == ["1", "2"]
    assert set_champion(params, layout, weights=layout.model / "model.safetensors") == "1"
    assert versions(store) == ["1", "2"]


@pytest.mark.timeout(300)
def test_mirrored_again_an_older_or_restored_model_changes_nothing(
    layout: Layout, store: Store, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    params = make_params()
    sent: list[tuple[str, RunRecord]] = []

    def note(client: object, name: str, model_id: str, record: RunRecord, *, uri: str) -> None:
        sent.append((model_id, record))
        nominate(client, name, model_id, record, uri=uri)  # type: ignore[arg-type]

    monkeypatch.setattr("poseline.experiments.mirror.nominate", note)
    weights = [train(make_params(seed=seed), layout, seed) for seed in (1, 2)]
    before = candidate(store)
    assert before == ("2", weights[1])
    mirror = Mirror.open(params.mlflow, layout)
    for model_id, record in [*sent, *sent]:
        nominate(mirror.client, mirror.model, model_id, record, uri=mirror.uri)
    restored = sent[0][1].model_copy(update={"restored": True, "ended_ms": 2**42})
    nominate(mirror.client, mirror.model, sent[0][0], restored, uri=mirror.uri)
    assert candidate(store) == before
    assert versions(store) == ["1", "2"]
    ended = store.client.get_model_version("poseline", "2").tags[TRAINED]
    assert ended == str(sent[1][1].ended_ms)
    store.client.delete_registered_model_alias("poseline", "candidate")
    nominate(mirror.client, mirror.model, sent[0][0], restored, uri=mirror.uri)
    assert candidate(store) == ("1", weights[0])


@pytest.mark.timeout(300)
def test_a_registry_that_refuses_costs_the_alias_alone(
    layout: Layout, store: Store, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no registry here", error_code=1000)  # INVALID_PARAMETER_VALUE

    monkeypatch.setattr("poseline.experiments.mirror.nominate", refuse)
    train(make_params(), layout, 1)
    assert "refused 1 of the values, the first: candidate: no registry here" in capsys.readouterr().err
    assert store.stage("train").info.status == "FINISHED"
    assert not list((layout.cache / "runs").glob("*/*/pending.json"))
