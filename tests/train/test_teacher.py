"""Distillation: the teacher's term falls, its keypoints go by name, and a model that does not fit is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_teachers import save_teacher, start
from torch import Tensor

from poseline.artifacts import Layout, file_hash
from poseline.config import Params, load_params
from poseline.core.skeletons import load_skeleton
from poseline.crops.batches import PoseBatch
from poseline.errors import ArtifactError, ConfigError
from poseline.experiments import StageRun
from poseline.models.normalise import normalise_images
from poseline.stages import train
from poseline.train.loop import train_step
from poseline.train.trainer import Trainer

CODECS = {"heat maps": ("codec.kind=heatmap",), "udp": (), "simcc": ("codec.kind=simcc",), "hard keypoints": ("loss.kind=ohkm",)}


def teach(folder: Path, *overrides: str, skeleton: str = "union21") -> str:
    """Save a model with weights drawn from another seed; the override that names it."""
    save_teacher(folder, *overrides, skeleton=skeleton)
    return f"train.teacher.model={folder}"


def draw_batch(weight: float = 1.0, keypoints: int = 21) -> PoseBatch:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (4, 64, 32, 3), generator=generator, dtype=torch.uint8).permute(0, 3, 1, 2)
    points = torch.rand(4, keypoints, 2, generator=generator) * torch.tensor([32, 64])
    return PoseBatch(images, points, torch.full((4, keypoints), weight), torch.arange(4))


def term(trainer: Trainer, params: Params, batch: PoseBatch) -> Tensor:
    assert trainer.teacher
    trainer.network.eval()
    with torch.no_grad():
        return trainer.teacher.term(trainer.network(normalise_images(batch.images, params.model.normalise)), batch.images)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("udp", "simcc"))) for name in CODECS])
def test_the_term_falls_where_there_is_nothing_else_to_learn(name: str, tmp_path: Path) -> None:
    own = teach(tmp_path / "teacher", *CODECS[name])
    trainer, params = start(*CODECS[name], own, "train.learning_rate=0.003")
    batch = draw_batch(weight=0.0)
    before = term(trainer, params, batch)
    trainer.network.train()
    for _ in range(40):
        train_step(trainer, batch, params.model, params.train)
    after = term(trainer, params, batch)
    assert 0 < float(after) < 0.5 * float(before)


def test_the_loss_of_a_step_holds_the_weighted_term(tmp_path: Path) -> None:
    own, batch = teach(tmp_path / "teacher"), draw_batch()
    losses = []
    for overrides in ((), (own, "train.teacher.weight=1"), (own, "train.teacher.weight=3")):
        trainer, params = start(*overrides)
        trainer.network.train()
        losses.append(float(train_step(trainer, batch, params.model, params.train)[0]))
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)


def test_the_teachers_weights_stay_and_are_in_no_optimiser(tmp_path: Path) -> None:
    trainer, params = start(teach(tmp_path / "teacher"))
    assert trainer.teacher
    before = {name: value.clone() for name, value in trainer.teacher.network.state_dict().items()}
    trainer.network.train()
    for _ in range(3):
        train_step(trainer, draw_batch(), params.model, params.train)
    assert all(torch.equal(value, before[name]) for name, value in trainer.teacher.network.state_dict().items())
    held = {id(one) for group in trainer.optimizer.param_groups for one in group["params"]}
    assert not held & {id(one) for one in trainer.teacher.network.parameters()}


def test_keypoints_go_by_name_and_unknown_ones_add_nothing(tmp_path: Path) -> None:
    trainer, params = start(teach(tmp_path / "teacher", skeleton="posetrack15"))
    assert trainer.teacher
    target, source = load_skeleton(params.data.skeleton), load_skeleton("posetrack15")
    known = [name for name in target.keypoints if source.index(name) >= 0]
    assert trainer.teacher.known.tolist() == [float(name in known) for name in target.keypoints]
    images = draw_batch().images
    taught = trainer.teacher.network(normalise_images(images, params.model.normalise))
    maps = torch.randn(4, target.num_keypoints, *taught.shape[2:])
    for k, name in enumerate(target.keypoints):
        if name in known:
            maps[:, k] = taught[:, source.index(name)]
    assert float(trainer.teacher.term(maps, images)) == 0
    maps[:, target.index(known[0])] += 1
    assert float(trainer.teacher.term(maps, images)) > 0


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("codec.kind=simcc",), r"was trained with codec.kind udp, here simcc"),
        (("codec.udp.sigma=2",), r"was trained with codec.udp \{'sigma': 1.0, 'kernel': 7\}, here \{'sigma': 2.0, 'kernel': 7\}"),
        (("model.input_wh=[64, 64]",), r"was trained with model.input_wh \(32, 64\), here \(64, 64\)"),
        (("codec.kind=regression",), r"train.teacher: a teacher goes with heat maps and SimCC, got codec.kind 'regression'"),
    ],
)
def test_a_teacher_that_does_not_fit_is_one_line(overrides: tuple[str, ...], told: str, tmp_path: Path) -> None:
    own = teach(tmp_path / "teacher")
    with pytest.raises(ConfigError, match=told) as caught:
        start(*overrides, own)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ArtifactError), match="nothing"):
        start(f"train.teacher.model={tmp_path / 'nothing'}")


def test_a_run_learns_from_the_model_before_it_and_repeats_its_bits(project: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    def run(*overrides: str) -> str:
        train.run(load_params(project / "params.yaml", (*tiny, *overrides)), Layout(Path()), "cpu", StageRun())
        return file_hash(project / "data/model/model.safetensors")

    alone = run()
    (project / "data/model").rename(tmp_path / "teacher")
    taught = run(f"train.teacher.model={tmp_path / 'teacher'}")
    assert taught != alone
    assert run(f"train.teacher.model={tmp_path / 'teacher'}") == taught
