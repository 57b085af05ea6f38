"""Distillation from an ONNX file: the same term as from the folder that it was exported from; what cannot be compared is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from small_teachers import save_teacher, start

from poseline.artifacts import Layout, file_hash
from poseline.config import load_params
from poseline.crops.batches import PoseBatch
from poseline.errors import ArtifactError, BackendError, ConfigError
from poseline.experiments import StageRun
from poseline.infer.export import export_onnx
from poseline.models.normalise import normalise_images
from poseline.stages import train
from poseline.train.loop import train_step

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

CODECS = {"heat maps": "codec.kind=heatmap", "udp": "codec.kind=udp", "simcc": "codec.kind=simcc"}


def export(folder: Path, *overrides: str, skeleton: str = "union21") -> Path:
    """A network of other weights in a folder, and beside the folder its ONNX file."""
    save_teacher(folder, *overrides, skeleton=skeleton)
    export_onnx(folder, folder.with_suffix(".onnx"))
    return folder.with_suffix(".onnx")


def draw_batch(weight: float = 0.0) -> PoseBatch:
    # An even number: with an odd one, two threads and 8 channels torch 2.14 crashes in a 1x1 convolution of stride 2 (AVX-512).
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (6, 64, 32, 3), generator=generator, dtype=torch.uint8).permute(0, 3, 1, 2)
    points = torch.rand(6, 21, 2, generator=generator) * torch.tensor([32, 64])
    return PoseBatch(images, points, torch.full((6, 21), weight), torch.arange(6))


def term(teacher: object, *overrides: str) -> float:
    trainer, params = start(f"train.teacher.model={teacher}", *overrides)
    assert trainer.teacher
    trainer.network.eval()
    images = draw_batch().images
    with torch.no_grad():
        return float(trainer.teacher.term(trainer.network(normalise_images(images, params.model.normalise)), images))


@pytest.mark.parametrize("name", [pytest.param("heat maps", marks=pytest.mark.slow), "udp", "simcc"])
def test_the_file_teaches_what_its_folder_does(name: str, tmp_path: Path) -> None:
    file = export(tmp_path / "net", CODECS[name])
    assert term(file, CODECS[name]) == pytest.approx(term(tmp_path / "net", CODECS[name]), rel=1e-4)
    assert term(file, CODECS[name]) > 0
    trainer, params = start(CODECS[name], f"train.teacher.model={file}", "train.learning_rate=0.003")
    before = term(file, CODECS[name])
    trainer.network.train()
    for _ in range(30):
        train_step(trainer, draw_batch(), params.model, params.train)  # no keypoint is labelled: the teacher alone speaks
    assert trainer.teacher
    trainer.network.eval()
    images = draw_batch().images
    with torch.no_grad():
        after = float(trainer.teacher.term(trainer.network(normalise_images(images, params.model.normalise)), images))
    assert after < 0.6 * before


def describe(file: Path, **changes: object) -> Path:
    """The file with a description as a user writes it, of which some keys are changed."""
    said = {"input_wh": [32, 64], "skeleton": "union21", "codec": {"kind": "udp"}, "padding": 1.06}
    said |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], **changes}
    file.with_suffix(".json").unlink(missing_ok=True)
    file.with_suffix(".yaml").write_text(yaml.safe_dump(said))
    return file


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the udp codec. Copy it before you describe it otherwise."""
    return export(tmp_path_factory.mktemp("teacher") / "net")


@pytest.fixture
def own(exported: Path, tmp_path: Path) -> Path:
    """The file alone."""
    (tmp_path / "own.onnx").write_bytes(exported.read_bytes())
    return tmp_path / "own.onnx"


def test_a_description_by_hand_will_do(own: Path, exported: Path) -> None:
    assert term(describe(own)) == pytest.approx(term(exported), rel=1e-5)
    assert term(describe(own, codec={"kind": "udp", "udp": {"kernel": 9}})) > 0  # how it is decoded does not matter
    assert term(own, "codec.udp.sigma=2") > 0  # nobody knows its sigma


def test_keypoints_go_by_name(tmp_path: Path) -> None:
    file = export(tmp_path / "net", skeleton="posetrack15")
    assert term(file) == pytest.approx(term(tmp_path / "net"), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "overrides", "told"),
    [
        ({}, ("codec.kind=simcc",), r"was trained with codec.kind udp, here simcc"),
        ({"padding": 1.25}, (), r"was trained with model.padding 1.25, here 1.06"),
        ({"codec": {"kind": "udp", "udp": {"sigma": 2.0}}}, (), r"was trained with codec.udp .*'sigma': 2.0.*, here .*'sigma': 1.0"),
        ({"input_wh": [64, 64]}, (), r"does not take an input of 64x64|was trained with model.input_wh|gives "),
        ({"mask": {}}, (), r"sees masked crops by its description"),
        ({"skeleton": "coco17"}, (), r"gives \(\(21, .*expected \(\(17, .*Fix the description"),
        ({}, ("codec.kind=regression",), r"a teacher goes with heat maps and SimCC"),
        ({"codec": {"kind": "keypoints"}}, (), r"expected \(\(21, 3\)"),
    ],
)
def test_what_cannot_be_compared_is_one_line(changes: dict[str, object], overrides: tuple[str, ...], told: str, own: Path) -> None:
    with pytest.raises((ConfigError, BackendError), match=told) as caught:
        start(f"train.teacher.model={describe(own, **changes)}", *overrides)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_are_one_line(own: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(b"no network")
    cases = {tmp_path / "gone.onnx": "no such file", bare: "bare.onnx", "rtmpose-z": "no name of the catalogue"}
    for name, told in cases.items():
        with pytest.raises((ArtifactError, ConfigError, BackendError), match=told) as caught:
            start(f"train.teacher.model={name}")
        assert "\n" not in str(caught.value)


def test_a_run_learns_from_the_file_and_repeats_its_bits(project: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    def run(*overrides: str) -> str:
        train.run(load_params(project / "params.yaml", (*tiny, *overrides)), Layout(Path()), "cpu", StageRun())
        return file_hash(project / "data/model/model.safetensors")

    alone = run()
    export_onnx(project / "data/model", tmp_path / "before.onnx")
    taught = run(f"train.teacher.model={tmp_path / 'before.onnx'}")
    assert taught != alone
    assert run(f"train.teacher.model={tmp_path / 'before.onnx'}") == taught
