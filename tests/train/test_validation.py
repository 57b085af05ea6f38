"""Validation: right poses score 1, wrong ones less; the AP has the bits of its plain formula; no random draw is made."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poseline.codecs.base import Outputs
from poseline.codecs.build import build_codec
from poseline.config import Params, load_params
from poseline.core.skeletons import load_skeleton
from poseline.crops.batches import iterate_batches
from poseline.train.sources import TrainingData, load_training_data, pick_validation
from poseline.train.validation import Validator, self_matched_ap


@pytest.fixture
def params(project: Path, tiny: tuple[str, ...]) -> Params:
    return load_params(project / "params.yaml", (*tiny, "predict.batch_size=5"))


@pytest.fixture
def data(params: Params) -> TrainingData:
    return load_training_data(Path("data/processed"), params)


@pytest.fixture
def validator(params: Params, data: TrainingData) -> Validator:
    skeleton = load_skeleton(params.data.skeleton)
    codec = build_codec(params.codec, num_keypoints=skeleton.num_keypoints, input_wh=params.model.input_wh)
    return Validator(data, params, codec, torch.device("cpu"))


class Fixed(nn.Module):
    """Gives these keypoints for one image after another, whatever it is shown."""

    def __init__(self, keypoints: Tensor) -> None:
        super().__init__()
        self.keypoints, self.given = keypoints, 0

    def forward(self, images: Tensor) -> Tensor:
        self.given += len(images)
        return self.keypoints[self.given - len(images) : self.given]

    def decode(self, outputs: Outputs) -> tuple[Outputs, Tensor]:
        assert isinstance(outputs, Tensor)
        return outputs, torch.linspace(1, 0.5, len(outputs))[:, None].expand(-1, outputs.shape[1])


def score_keypoints(validator: Validator, keypoints: Tensor) -> float:
    fixed = Fixed(keypoints)
    validator.model, validator.codec = fixed, fixed  # type: ignore[assignment]
    return validator.score({})


def test_perfect_keypoints_score_one_and_swapped_ones_less(validator: Validator, params: Params) -> None:
    perfect = torch.cat([batch.keypoints for batch in iterate_batches(validator.dataset, 4)])
    assert score_keypoints(validator, perfect) == 1.0
    assert score_keypoints(validator, perfect.roll(1, dims=0)) < 0.2
    swap = load_skeleton(params.data.skeleton).flip_permutation
    assert score_keypoints(validator, perfect[:, swap]) < 0.5
    near = score_keypoints(validator, perfect + torch.tensor(params.model.input_wh) * 0.03)
    assert 0.2 < near < 1


def test_better_keypoints_score_higher(validator: Validator) -> None:
    perfect = torch.cat([batch.keypoints for batch in iterate_batches(validator.dataset, 4)])
    noise = torch.randn(perfect.shape, generator=torch.Generator().manual_seed(0))
    scores = [score_keypoints(validator, perfect + noise * pixels) for pixels in (0.1, 1.0, 3.0, 8.0)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


@pytest.mark.usefixtures("unchecked")  # the checker of types draws from Python's generator
def test_no_random_number_is_drawn_and_training_weights_are_untouched(params: Params, data: TrainingData, validator: Validator) -> None:
    state = {name: torch.full_like(value, 0.01) for name, value in validator.model.state_dict().items()}
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    twin = Validator(data, params, validator.codec, torch.device("cpu"))
    first = twin.score(state)
    assert 0 <= first <= 1
    assert twin.score(state) == first
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])  # type: ignore[arg-type]
    assert all((value == torch.full_like(value, 0.01)).all() for value in state.values())


def plain_ap(oks: np.ndarray, scores: np.ndarray) -> float:
    """The mean over thresholds and recall points of the best precision at that recall or beyond, written out."""
    hits_in_order = oks[np.argsort(-scores, kind="stable")]
    values = []
    for threshold in np.arange(0.5, 1.0, 0.05):
        true = np.cumsum(hits_in_order >= threshold)
        precision = np.maximum.accumulate((true / np.arange(1, len(true) + 1))[::-1])[::-1]
        place = np.searchsorted(true / len(true), np.linspace(0, 1, 101), side="left")
        values.append(np.where(place < len(true), precision[np.minimum(place, len(true) - 1)], 0).mean())
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(20))
def test_ap_has_the_bits_of_its_plain_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        count = int(rng.integers(1, 300))
        oks, scores = rng.random(count) ** rng.uniform(0.05, 3), rng.random(count).round(int(rng.integers(1, 8)))
        assert self_matched_ap(oks, scores) == plain_ap(oks, scores)


def test_ap_of_nothing_found_is_zero_and_of_half_found_half() -> None:
    assert self_matched_ap(np.zeros(4), np.arange(4.0)) == 0
    assert self_matched_ap(np.array([1.0, 0.0]), np.array([0.9, 0.1])) == pytest.approx(51 / 101)


def test_validation_people_are_of_one_set_and_evenly_spread(data: TrainingData) -> None:
    names = data.val.rows["dataset"]
    assert names.nunique() == 1
    few = pick_validation(data.val, 3)
    assert 1 <= len(few) <= 3
    assert few.rows["annotation_id"].iloc[0] == data.val.rows["annotation_id"].iloc[0]
    assert len(pick_validation(data.val, len(data.val))) == len(data.val)
