"""Each recipe: its parameters are valid, its network is built and learns, and its learning rate goes as its source says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from poseline.config import Params, load_params
from poseline.crops.batches import PoseBatch
from poseline.recipes.catalogue import list_recipes, load_recipe
from poseline.recipes.use import use_recipe
from poseline.train.distributed import Rank
from poseline.train.loop import prepare_torch, train_step
from poseline.train.optim import learning_rate
from poseline.train.trainer import build_trainer
from poseline.zoo.catalogue import list_models

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = list_recipes()
FIRST = (
    "fastpose-dcn-2x", "fastpose-duc-r152", "fastpose-r50-1x", "fastpose-r50-2x", "halpe26-2x", "hrnet-w32", "mini", "rtmpose-m-420e",
    "rtmpose-s-420e", "rtmpose-t-420e", "simplebaseline-mmpose-210e", "simplepose-r50-1x", "vitpose-b", "vitpose-s",
)  # fmt: skip
PRESETS = {
    "fastpose-dcn-2x": "alphapose/fastpose-dcn-r50", "fastpose-duc-r152": "alphapose/fastpose-duc-r152",
    "fastpose-r50-2x": "alphapose/fastpose-r50", "halpe26-2x": "alphapose/fastpose-halpe26", "hrnet-w32": "alphapose/hrnet-w32",
    "rtmpose-m-420e": "mmpose/rtmpose-medium-coco-256x192", "rtmpose-s-420e": "mmpose/rtmpose-small-coco-256x192",
    "rtmpose-t-420e": "mmpose/rtmpose-tiny-coco-256x192", "simplebaseline-mmpose-210e": "mmpose/res50-coco-256x192",
    "simplepose-r50-1x": "alphapose/simplepose-r50", "vitpose-b": "mmpose/vitpose-base-coco-256x192",
    "vitpose-s": "mmpose/vitpose-small-coco-256x192",
}  # fmt: skip
"""Recipe -> the published network that its source trained with it."""


def parameters(name: str, folder: Path, *overrides: str) -> Params:
    """The parameters of a project after ``recipe use``."""
    path = folder / "params.yaml"
    path.write_text((REPOSITORY / "params.yaml").read_text())
    use_recipe(load_recipe(name), path)
    return load_params(path, overrides)


def test_all_the_promised_recipes_are_there() -> None:
    assert set(NAMES) >= set(FIRST)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recipe_says_of_itself_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.source
    assert recipe.summary
    assert recipe.batch
    if recipe.published:
        assert "not reproduced by this project" in recipe.claim
        assert f"{100 * recipe.published.ap:.1f}" in recipe.claim
        assert recipe.published.boxes in recipe.claim
        assert "flip test" in recipe.claim
    if name != "mini":
        assert any("data" in line for line in recipe.deviations)


@pytest.mark.parametrize("name", PRESETS)
def test_network_codec_and_published_ap_are_those_of_the_imported_network(name: str) -> None:
    recipe, preset = load_recipe(name), next(one for one in list_models(PRESETS[name]) if one.name == PRESETS[name])
    assert recipe.params.model.model_copy(update={"weights": "none", "drop_path": 0.0}) == preset.model
    assert recipe.params.codec == preset.codec
    assert (recipe.published.ap if recipe.published else None) == preset.metric
    assert recipe.published is None or recipe.published.flip == preset.flip
    assert recipe.params.predict.score == preset.score


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_valid_and_a_second_use_changes_nothing(name: str, tmp_path: Path) -> None:
    params = parameters(name, tmp_path)
    recipe = load_recipe(name)
    assert params.train.batch_size == recipe.params.train.batch_size
    for section in ("codec", "model", "loss", "augment"):
        assert getattr(params, section) == getattr(recipe.params, section)
    text = (tmp_path / "params.yaml").read_text()
    assert use_recipe(recipe, tmp_path / "params.yaml") == []
    assert (tmp_path / "params.yaml").read_text() == text


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_recipe_before_stays(name: str, tmp_path: Path) -> None:
    alone = parameters(name, tmp_path)
    for other in ("vitpose-b", "fastpose-dcn-2x", "mini"):
        parameters(other, tmp_path)
        use_recipe(load_recipe(name), tmp_path / "params.yaml")
        assert load_params(tmp_path / "params.yaml") == alone


def test_the_mini_recipe_is_the_projects_own_file(tmp_path: Path) -> None:
    parameters("mini", tmp_path)
    assert (tmp_path / "params.yaml").read_bytes() == (REPOSITORY / "params.yaml").read_bytes()
    parameters("rtmpose-s-420e", tmp_path)
    use_recipe(load_recipe("mini"), tmp_path / "params.yaml")
    assert (tmp_path / "params.yaml").read_bytes() == (REPOSITORY / "params.yaml").read_bytes()


def take_step(params: Params) -> None:
    """One training step of the recipe's network on two random people."""
    rank = Rank(0, 1, torch.device("cpu"))
    prepare_torch(1, params.train, rank)
    trainer = build_trainer(params, rank)
    (width, height), count = params.model.input_wh, trainer.codec.num_keypoints
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, height, width, 3), generator=generator, dtype=torch.uint8).permute(0, 3, 1, 2)
    keypoints = torch.rand(2, count, 2, generator=generator) * torch.tensor([width, height])
    batch = PoseBatch(images, keypoints, torch.ones(2, count), torch.arange(2))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    loss, _ = train_step(trainer, batch, params.model, params.train).tolist()
    assert 0 < loss < 1e4
    moved = [name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])]
    assert any(name.startswith("backbone") for name in moved)
    assert any(name.startswith("head") for name in moved)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_on_small_images(name: str, tmp_path: Path) -> None:
    take_step(parameters(name, tmp_path, "model.weights=none", "model.input_wh=[64, 64]"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_at_its_size(name: str, tmp_path: Path) -> None:
    take_step(parameters(name, tmp_path, "model.weights=none"))


def rates(name: str, steps_per_epoch: int) -> list[float]:
    config = load_recipe(name).params.train
    return [learning_rate(step, config, steps_per_epoch) for step in range(config.epochs * steps_per_epoch)]


PUBLISHED_1X = json.loads((REPOSITORY / "tests/train/published_lr_1x.json").read_text())
PUBLISHED_2X = [*[1e-3] * 170, *[1e-4] * 30, *[1e-5] * 11, *[1e-3] * 20, *[1e-4] * 20, *[1e-5] * 19]


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-1x")])
def test_the_1x_recipes_have_the_published_rate_in_each_epoch(name: str) -> None:
    assert rates(name, 4) == [rate for rate in PUBLISHED_1X for _ in range(4)]


@pytest.mark.parametrize("name", ["fastpose-r50-2x", "fastpose-dcn-2x", "fastpose-duc-r152", "hrnet-w32", "halpe26-2x"])
def test_the_2x_recipes_change_their_rate_in_the_published_epochs(name: str) -> None:
    assert rates(name, 4) == pytest.approx([rate for rate in PUBLISHED_2X for _ in range(4)])


@pytest.mark.parametrize("name", ["simplebaseline-mmpose-210e", "vitpose-s", "vitpose-b"])
def test_the_210_epochs_warm_up_in_500_steps_and_fall_twice(name: str) -> None:
    found = rates(name, 293)
    assert found[0] == pytest.approx(5e-4 / 500)
    assert found[249] == pytest.approx(5e-4 / 2)
    assert found[499 : 170 * 293] == pytest.approx([5e-4] * (170 * 293 - 499))
    assert [found[170 * 293], found[200 * 293 - 1]] == pytest.approx([5e-5, 5e-5])
    assert [found[200 * 293], found[-1]] == pytest.approx([5e-6, 5e-6])


@pytest.mark.parametrize("size", ["t", "s", "m"])
def test_rtmpose_is_flat_for_210_epochs_and_falls_to_a_twentieth(size: str) -> None:
    found = rates(f"rtmpose-{size}-420e", 146)
    assert found[499] == pytest.approx(2e-3)
    assert set(found[1000 : 210 * 146]) == {4e-3}
    assert found[315 * 146] == pytest.approx(4e-3 * (0.05 + 0.95 / 2), rel=1e-3)
    assert found[-1] == pytest.approx(2e-4)


def test_the_second_phase_of_each_recipe(tmp_path: Path) -> None:
    assert [parameters("fastpose-r50-1x", tmp_path).augment_at(epoch).box_noise for epoch in (0, 140, 141, 199)] == [
        False,
        False,
        True,
        True,
    ]
    assert [parameters("hrnet-w32", tmp_path).augment_at(epoch).box_noise for epoch in (210, 211)] == [False, True]
    strong, weak = (parameters("rtmpose-s-420e", tmp_path).augment_at(epoch) for epoch in (389, 390))
    assert (strong.erase, strong.rotation_deg, strong.translation) == (1.0, 40.0, 0.047)
    assert (weak.erase, weak.rotation_deg, weak.translation, weak.half_body) == (0.5, 30.0, 0.0, 0.3)
