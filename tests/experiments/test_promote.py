"""The alias champion moves only past the gate: against the baseline first, then against the champion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.config.network import CodecConfig, ModelConfig
from poseline.errors import BackendError
from poseline.evaluation.gate import accept
from poseline.experiments import open_stage
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model
from poseline.stages import promote


def train_and_score(params: Params, layout: Layout, *, seed: int, write: Callable[[Path], object]) -> None:
    """A trained network and its scores, each with its run in the store."""
    torch.manual_seed(seed)
    model, codec = ModelConfig.model_validate({"backbone": "resnet10", "width": 0.125, "input_wh": [32, 32]}), CodecConfig()
    with open_stage("train", params, layout):
        layout.model.mkdir(parents=True, exist_ok=True)
        save_model(layout.model, build_model(model, codec, 17), SavedModel(model=model, codec=codec, skeleton="coco17"))
    with open_stage("score@coco", params, layout):
        write(layout.root)


@pytest.mark.timeout(300)
def test_the_champion_moves_past_the_gate_alone(layout: Layout, store, make_params: Callable[..., Params], drawn_set) -> None:
    drawn = drawn_set(1, 40)
    first, worse, second = make_params(seed=1), make_params(seed=2), make_params(seed=3)
    train_and_score(first, layout, seed=1, write=lambda root: drawn.write_run(root, drawn.predict(0)))
    refused = promote.run(first, layout)
    assert (refused.version, refused.against) == (None, "baseline")
    accept(first, layout)
    promoted = promote.run(first, layout)
    assert (promoted.version, promoted.against) == ("1", "baseline")
    assert str(store.client.get_model_version_by_alias("poseline", "champion").version) == "1"
    train_and_score(worse, layout, seed=2, write=lambda root: drawn.write_run(root, drawn.predict(0, swapped=0.4)))
    accept(worse, layout)  # the committed baseline would let it pass: the champion does not
    refused = promote.run(worse, layout)
    assert (refused.decision.passed, refused.version, refused.against) == (False, None, "champion")
    assert "significant drop" in refused.decision.reason
    train_and_score(second, layout, seed=3, write=lambda root: drawn.write_run(root, drawn.predict(0, noise=0.01)))
    promoted = promote.run(second, layout)
    assert (promoted.version, promoted.against) == ("3", "champion")  # the refused model is version 2: it was a candidate
    assert str(store.client.get_model_version_by_alias("poseline", "champion").version) == "3"


def test_a_store_that_is_away_is_one_line(layout: Layout, make_params: Callable[..., Params], dead_uri: str) -> None:
    with pytest.raises(BackendError, match=r"promote: .*nothing was promoted"):
        promote.run(make_params(uri=dead_uri), layout)
