"""train.init_from: the same network, other keypoints, other networks; and more processes than people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poseline.artifacts import Layout, read_poses, write_poses
from poseline.config import Params, load_params
from poseline.core.skeletons import load_skeleton
from poseline.errors import ArtifactError, BackendError, ConfigError, DataError
from poseline.experiments import StageRun
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model
from poseline.stages import preprocess, train
from poseline.stages.train import find_start
from poseline.train.sources import check_people, load_training_data
from poseline.train.trainer import start_model

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
SMALL = ("model.input_wh=[32, 64]", "model.width=0.125", "model.head=pyramid", "model.deconv_channels=[16]")
KINDS = {
    "heat maps": (),
    "SimCC": ("codec.kind=simcc", "loss.kind=simcc_kl"),
    "regression": ("codec.kind=regression", "loss.kind=rle"),
    "deconvolutions": ("model.kind=simplepose", "model.head=standard", "model.deconv_channels=[16, 16, 16]"),
}


def parameters(skeleton: str, *overrides: str) -> Params:
    return load_params(PARAMS, [*SMALL, *overrides, f"data.skeleton={skeleton}"])


def save(folder: Path, params: Params) -> dict[str, torch.Tensor]:
    """A model with weights drawn from another seed; its tensors."""
    torch.manual_seed(5)
    network = build_model(params.model, params.codec, load_skeleton(params.data.skeleton).num_keypoints)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    save_model(folder, network, SavedModel(params.model, params.codec, params.data.skeleton))
    return network.state_dict()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("source", "target"), [("union21", "coco17"), ("coco17", "posetrack17"), ("coco17", "union21")])
def test_keypoints_of_the_same_name_keep_their_channels(kind: str, source: str, target: str, tmp_path: Path) -> None:
    there = save(tmp_path / "first", parameters(source, *KINDS[kind]))
    torch.manual_seed(1)
    fresh, nothing = start_model(parameters(target, *KINDS[kind]))
    torch.manual_seed(1)
    network, line = start_model(parameters(target, *KINDS[kind], f"train.init_from={tmp_path / 'first'}"))
    assert nothing == ""
    old, new = load_skeleton(source), load_skeleton(target)
    shared = [name for name in new.keypoints if old.index(name) >= 0]
    lost = [name for name in new.keypoints if old.index(name) < 0]
    assert f"skeleton '{source}' -> '{target}': {len(shared)} keypoints keep their channels (nose, " in line
    assert f"{len(lost)} start fresh ({', '.join(lost) or 'none'})" in line
    own, drawn = network.state_dict(), fresh.state_dict()
    last = next(name for name in own if name.endswith(("final_layer.weight", "coordinates.weight")))
    rows = own[last].shape[0] // new.num_keypoints
    for k, name in enumerate(new.keypoints):
        block = slice(rows * k, rows * (k + 1))
        place = old.index(name)
        expected = drawn[last][block] if place < 0 else there[last][rows * place : rows * (place + 1)]
        torch.testing.assert_close(own[last][block], expected, rtol=0, atol=0)
    others = [name for name in own if own[name].shape == there[name].shape and "final_layer" not in name and "coordinates" not in name]
    assert len(others) > 20
    assert all(torch.equal(own[name], there[name]) for name in others)


def test_the_same_network_is_taken_as_it_is_without_a_word(tmp_path: Path) -> None:
    there = save(tmp_path / "first", parameters("coco17"))
    network, line = start_model(parameters("coco17", f"train.init_from={tmp_path / 'first'}"))
    assert line == ""
    assert all(torch.equal(value, there[name]) for name, value in network.state_dict().items())


def test_a_name_is_the_folder_that_the_stage_found_for_it(tmp_path: Path) -> None:
    there = save(tmp_path / "first", parameters("coco17"))
    network, _ = start_model(parameters("coco17", "train.init_from=models:/poseline@champion"), tmp_path / "first")
    assert all(torch.equal(value, there[name]) for name, value in network.state_dict().items())
    layout, nothing = Layout(tmp_path), parameters("coco17", "mlflow.enabled=false")
    assert find_start(nothing, layout) is None
    for name in (tmp_path / "first", tmp_path / "first/model.safetensors"):
        assert find_start(parameters("coco17", f"train.init_from={name}"), layout) == tmp_path / "first"
    with pytest.raises(BackendError, match=r"^train\.init_from: nobody: neither a file nor a revision, and mlflow\.enabled is false"):
        find_start(parameters("coco17", "mlflow.enabled=false", "train.init_from=nobody"), layout)
    with pytest.raises(DataError, match=r"^train\.init_from: /no/where: no such file or folder"):
        find_start(parameters("coco17", "train.init_from=/no/where"), layout)


def test_what_differs_but_fits_is_said(tmp_path: Path) -> None:
    save(tmp_path / "first", parameters("coco17"))
    _, line = start_model(parameters("coco17", f"train.init_from={tmp_path / 'first'}", "model.input_wh=[64, 64]"))
    assert "differs: model.input_wh is [64, 64], there [32, 64]" in line


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.backbone=resnet18", "model.backbone is resnet18"),
        ("model.width=0.25", "model.width is 0.25, there 0.125"),
        ("codec.kind=simcc", "codec.kind is simcc"),
    ],
)
@pytest.mark.parametrize("skeleton", ["coco17", "mpii16"])
def test_another_network_is_one_line(override: str, named: str, skeleton: str, tmp_path: Path) -> None:
    save(tmp_path / "first", parameters("coco17"))
    with pytest.raises(ConfigError, match=rf"^train\.init_from: [^\n]*weights of another network: [^\n]*{named}[^\n]*$"):
        start_model(parameters(skeleton, override, f"train.init_from={tmp_path / 'first'}"))


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"^[^\n]*model\.json: no such file[^\n]*$"):
        start_model(parameters("coco17", f"train.init_from={tmp_path}"))


@pytest.mark.parametrize(("people", "processes"), [(1, 2), (3, 4), (2, 2), (5, 2)])
def test_more_processes_than_people_are_refused_up_front(project: Path, tiny: tuple[str, ...], people: int, processes: int) -> None:
    params, layout = load_params(project / "params.yaml", [*tiny, f"train.processes={processes}"]), Layout(Path())
    data = load_training_data(layout.processed, params)
    few = type(data)(data.folder, data.train.select(np.arange(people)), data.val, data.hash)
    if people >= processes:
        check_people(few, processes)
        return
    word = "1 training person" if people == 1 else f"{people} training people"
    with pytest.raises(ConfigError, match=rf"^{word} for {processes} processes; lower train\.processes\.$"):
        check_people(few, processes)


def test_the_stage_says_so_before_it_starts_a_process(project: Path, tiny: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    params = load_params(project / "params.yaml", [*tiny, "train.processes=1000"])
    with pytest.raises(ConfigError, match=r"training people for 1000 processes; lower train\.processes\."):
        train.run(params, Layout(Path()), "cpu", StageRun())
    assert capfd.readouterr().err == ""


def few_people(project: Path, count: int) -> None:
    """Leave only some training people in the crop index."""
    path = project / "data/processed/crops.parquet"
    table, header = read_poses(path, kind="crops", made_by="preprocess")
    rows = np.concatenate([np.flatnonzero(table.rows["split"] == "train")[:count], np.flatnonzero(table.rows["split"] == "val")])
    write_poses(path, table.select(rows), header)


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_larger_than_the_data_set_trains_several_epochs(project: Path, tiny: tuple[str, ...], count: int) -> None:
    few_people(project, count)
    params = load_params(project / "params.yaml", [*tiny, "train.epochs=3"])
    train.run(params, Layout(Path()), "cpu", StageRun())
    assert len((project / "data/model/history.jsonl").read_text().splitlines()) == 3


@pytest.mark.timeout(240)
def test_three_people_train_in_two_processes(project: Path, tiny: tuple[str, ...]) -> None:
    few_people(project, 3)
    params = load_params(project / "params.yaml", [*tiny, "train.epochs=2", "train.processes=2"])
    train.run(params, Layout(Path()), "cpu", StageRun())
    assert len((project / "data/model/history.jsonl").read_text().splitlines()) == 2


def test_a_single_value_under_batch_norm_is_one_line(project: Path, tiny: tuple[str, ...]) -> None:
    few_people(project, 1)
    params, layout = load_params(project / "params.yaml", [*tiny, "model.input_wh=[32, 32]"]), Layout(Path())
    preprocess.run(params, layout)
    few_people(project, 1)
    with pytest.raises(ConfigError, match=r"^a batch of one image of 32x32 [^\n]*$"):
        train.run(params, layout, "cpu", StageRun())
