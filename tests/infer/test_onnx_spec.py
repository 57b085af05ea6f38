"""A published ONNX network scored by the pipeline, from a description written by hand."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from poseline.codecs.build import build_codec
from poseline.config import CodecConfig, ModelConfig, load_params
from poseline.datasets.images import read_image
from poseline.errors import ArtifactError, BackendError
from poseline.infer.estimator import PoseEstimator
from poseline.infer.onnx_network import onnx_forward
from poseline.infer.onnx_spec import OnnxSpec, read_onnx_spec
from poseline.infer.output_check import OutputCheck
from poseline.infer.runtime import load_estimator
from poseline.models.saved import SavedModel

SPEC = {
    "input_wh": [64, 96], "skeleton": "coco17", "codec": {"kind": "heatmap", "geometry": "published", "heatmap": {"refine": "quarter"}},
    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
}  # fmt: skip


def save_network(path: Path, *, channels: int = 17) -> Path:
    """An ONNX file whose heat maps are the mean of 4 x 4 pixels of the first channel, times the keypoint's number."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    weight = np.zeros((channels, 3, 4, 4), np.float32)
    weight[:, 0] = np.arange(1, channels + 1, dtype=np.float32)[:, None, None] / 16
    node = helper.make_node("Conv", ["data", "weight"], ["maps"], strides=[4, 4], kernel_shape=[4, 4])
    graph = helper.make_graph(
        [node],
        "net",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["batch", 3, 96, 64])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["batch", channels, 24, 16])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_spec(path: Path, **changes: object) -> Path:
    content = {key: value for key, value in {**SPEC, **changes}.items() if value is not None}
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_the_description_lies_beside_the_file_or_is_named(tmp_path: Path, suffix: str) -> None:
    write_spec(tmp_path / f"net{suffix}")
    beside = read_onnx_spec(tmp_path / "net.onnx")
    named = read_onnx_spec(tmp_path / "other.onnx", tmp_path / f"net{suffix}")
    assert beside == named
    assert beside.saved.model.input_wh == (64, 96)
    assert (beside.saved.codec.geometry, beside.saved.codec.heatmap.refine, beside.saved.model.padding) == ("published", "quarter", 1.25)


def test_channel_order_and_scale(tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "net.yaml", mean=[0.1, 0.2, 0.3], std=None, scale=255, channel_order="bgr")
    described = read_onnx_spec(tmp_path / "net.onnx", spec)
    assert described.bgr
    assert described.saved.model.normalise.mean == (0.3, 0.2, 0.1)  # ours is RGB
    assert described.saved.model.normalise.std == pytest.approx((1 / 255,) * 3)
    network = save_network(tmp_path / "net.onnx")
    image = torch.zeros(1, 3, 96, 64)
    image[:, 2] = 1.0
    assert float(onnx_forward(network)(image)[0, 0].max()) == 0
    assert float(onnx_forward(network, bgr=True)(image)[0, 0].max()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"padings": 1.2}, "padings: unknown key"),
        ({"codec": {"kind": "heatmap", "refinement": "dark"}}, "codec.refinement: unknown key"),
        ({"codec": {"kind": "maps"}}, "codec.kind"),
        ({"codec": None}, "codec: missing"),
        ({"input_wh": None}, "input_wh: missing"),
        ({"input_wh": [60, 96]}, "input_wh: both sides must be multiples of 32, got [60, 96]"),
        ({"skeleton": "coco18"}, "skeleton: unknown skeleton 'coco18'"),
        ({"std": [0.2, 0.2, 0]}, "std: expected three numbers above 0"),
        ({"scale": 255.0}, "std: given together with scale"),
        ({"channel_order": "rbg"}, "channel_order"),
    ],
)
def test_a_bad_description_is_one_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write_spec(tmp_path / "net.yaml", **changes)
    with pytest.raises(ArtifactError) as caught:
        read_onnx_spec(tmp_path / "net.onnx", path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_unreadable_and_unfitting(tmp_path: Path, project: Path) -> None:
    network = save_network(tmp_path / "net.onnx")
    with pytest.raises(ArtifactError, match="no description beside it"):
        read_onnx_spec(network)
    (tmp_path / "cut.json").write_text('{"input_wh": [')
    with pytest.raises(ArtifactError, match="not readable"):
        read_onnx_spec(network, tmp_path / "cut.json")
    for changes, message in (
        ({"skeleton": "mpii16"}, r"gives \(\(17, 24, 16\),\), expected \(\(16, 24, 16\),\)"),
        ({"input_wh": [96, 64]}, "does not take an input of 96x64"),
        ({"input_name": "images"}, "no input 'images', it has"),
    ):
        spec = write_spec(tmp_path / "wrong.yaml", **changes)
        given = ["predict.runtime=onnxruntime", f"predict.onnx={network}", f"predict.onnx_spec={spec}"]
        with pytest.raises(BackendError, match=message):
            load_estimator(load_params(project / "params.yaml", given).predict, Path("none"), torch.device("cpu"))


def test_the_pipeline_scores_it(tmp_path: Path, project: Path, tiny: tuple[str, ...]) -> None:
    from poseline.artifacts import Layout, read_json
    from poseline.stages import predict, score

    network = save_network(tmp_path / "net.onnx")
    write_spec(tmp_path / "net.yaml")
    params = load_params(project / "params.yaml", [*tiny, "predict.runtime=onnxruntime", f"predict.onnx={network}"])
    layout = Layout(Path())
    predict.run(params, layout, "cpu", "coco")
    metrics = score.run(params, layout, "coco")
    assert 0 <= metrics["ap"] <= 1
    protocol = read_json(Path("reports/metrics/coco.json"), made_by="score")["protocol"]
    assert (protocol["input_wh"], protocol["codec"], protocol["flip"]) == ([64, 96], "heatmap", True)


@pytest.mark.real
def test_a_published_network_on_photographs(real_data: Path, tmp_path: Path) -> None:
    """AP on 138 people; the network's published AP on the whole of COCO val is .518."""
    pytest.importorskip("onnxruntime")
    from poseline.core.boxes import xywh_to_xyxy
    from poseline.datasets.coco_scoring import read_ground_truth
    from poseline.datasets.images import read_image
    from poseline.metrics.keypoint_ap import score_coco
    from poseline.metrics.keypoint_types import Predictions

    spec = write_spec(tmp_path / "net.yaml", input_wh=[192, 256])
    network = real_data / "weights/ultralight_simplepose_256x192.onnx"
    given = ["predict.runtime=onnxruntime", f"predict.onnx={network}", f"predict.onnx_spec={spec}"]
    repository = Path(__file__).resolve().parents[2]
    estimator = load_estimator(load_params(repository / "params.yaml", given).predict, Path("none"), torch.device("cpu"))
    content = json.loads((real_data / "coco/person_keypoints.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    truth = read_ground_truth(real_data / "coco/person_keypoints.json")
    asked = np.flatnonzero(~truth.ignored)
    found = []
    for image in np.unique(truth.image_index[asked]):
        rows = asked[truth.image_index[asked] == image]
        image = read_image(real_data / "coco/images" / names[int(truth.image_ids[image])])
        poses = estimator.estimate(image, xywh_to_xyxy(truth.bbox_xywh[rows]))
        found.append((truth.image_ids[truth.image_index[rows]], poses))
    results = Predictions.from_arrays(
        truth,
        np.concatenate([ids for ids, _ in found]),
        keypoints=np.concatenate([poses.keypoints for _, poses in found]),
        scores=np.concatenate([poses.pose_scores for _, poses in found]),
    )
    assert 0.45 < score_coco(truth, results).metrics["ap"] < 0.58


PREFERRED = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))


def picky_forward(images: torch.Tensor) -> torch.Tensor:
    """Heat maps [B, 17, 24, 16] whose peaks are the higher the nearer the input's mean lies to 0, as ImageNet's normalisation has it."""
    height = torch.exp(-(images.mean(dim=(1, 2, 3)) ** 2)) * 0.8
    maps = torch.zeros(len(images), 17, 24, 16)
    maps[:, :, 11:13, 7:9] = height[:, None, None, None]
    return maps


def check_picky(capsys: pytest.CaptureFixture[str], forward, *, count: int = 16, **spec: object) -> str:
    given = OnnxSpec.model_validate({"input_wh": (64, 96), "skeleton": "coco17", "codec": {"kind": "heatmap"}, **spec})
    model = ModelConfig(input_wh=given.input_wh, normalise=given.normalise())
    saved = SavedModel(model=model, codec=given.codec, skeleton="coco17")
    codec = build_codec(saved.codec, num_keypoints=17, input_wh=(64, 96))
    estimator = PoseEstimator(forward, codec, saved, device=torch.device("cpu"), batch_size=64, flip=False)
    estimator.inspect = OutputCheck("net.onnx", bgr=given.channel_order == "bgr")
    noise = np.random.default_rng(0).normal(0, 20, (count, 96, 64, 3))
    crops = np.clip(255 * PREFERRED[0] + noise, 0, 255).astype(np.uint8)
    estimator.decode(crops)
    estimator.decode(crops)  # it looks once
    return capsys.readouterr().err


def test_another_normalisation_that_suits_the_network_better_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = check_picky(capsys, picky_forward)
    assert said.count("warning") == 1
    assert "net.onnx: its outputs look wrong on the first 16 people" in said
    assert re.search(r"is 0\.655, and 0\.8\d\d with (ImageNet|AlphaPose)'s mean", said), said
    assert "docs/onnx.md" in said
    for right in ({"mean": PREFERRED[0].tolist(), "std": PREFERRED[1].tolist()}, {"mean": [0.48, 0.45, 0.41], "std": [0.23, 0.22, 0.22]}):
        assert check_picky(capsys, picky_forward, **right) == ""


def test_few_people_tell_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_picky(capsys, picky_forward, count=4) == ""


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda images: torch.full((len(images), 17, 24, 16), 0.01), "the mean keypoint score is 0.010"),
        (lambda images: torch.full((len(images), 17, 24, 16), 40.0), "a keypoint scores 40"),
        (lambda images: torch.full((len(images), 17, 24, 16), torch.nan), "not finite"),
    ],
)
def test_scores_that_no_trained_network_gives_are_named(capsys: pytest.CaptureFixture[str], forward, words: str) -> None:
    assert words in check_picky(capsys, forward)


def test_defaults_that_are_used_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_network(tmp_path / "net.onnx")
    params = load_params(
        Path(__file__).resolve().parents[2] / "params.yaml", ["predict.runtime=onnxruntime", f"predict.onnx={tmp_path / 'net.onnx'}"]
    ).predict
    (tmp_path / "net.yaml").write_text("{input_wh: [64, 96], skeleton: coco17, codec: {kind: heatmap}}")
    load_estimator(params, tmp_path, torch.device("cpu"))
    said = capsys.readouterr().err
    assert "net.onnx: assumed, for its description does not say: normalise: none (values 0..1), channel_order: rgb, padding: 1.25" in said
    assert "decoding: geometry unbiased" in said
    assert "refine dark" in said
    for key in OnnxSpec.model_fields:
        assert key in said or key in ("input_wh", "skeleton", "codec", "mean", "std", "scale") or OnnxSpec.model_fields[key].default is None


DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/onnx.md").read_text()


@pytest.mark.parametrize("key", list(OnnxSpec.model_fields))
def test_the_document_has_every_key_with_its_default(key: str) -> None:
    field = OnnxSpec.model_fields[key]
    default = "required" if field.is_required() else "null" if field.default is None else field.default
    shown = list(default) if isinstance(default, tuple) else default
    assert re.search(rf"^\| `{key}` \| `?{re.escape(str(shown))}`? \| .{{15,}} \|$", DOCUMENT, flags=re.MULTILINE)


@pytest.mark.parametrize("key", re.findall(r"^\| `codec\.(\S+)` \| `(\S+)` \|", DOCUMENT, flags=re.MULTILINE))
def test_the_document_has_the_codecs_defaults(key: tuple[str, str]) -> None:
    value: object = CodecConfig()
    for step in key[0].split("."):
        value = getattr(value, step)
    assert str(value) == key[1]


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", DOCUMENT, flags=re.DOTALL))
def test_the_documents_examples_are_descriptions(text: str, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(text)
    assert read_onnx_spec(tmp_path / "net.onnx").saved.model.input_wh == (192, 256)


@pytest.mark.real
def test_the_three_keys_that_errors_ask_for_are_warned_of_on_photographs(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((real_data / "coco/person_keypoints.json").read_text())
    names = {entry["id"]: entry["file_name"] for entry in content["images"]}
    people = [one for one in content["annotations"] if one.get("num_keypoints", 0) > 5][:32]
    shutil.copy(real_data / "weights/ultralight_simplepose_256x192.onnx", tmp_path / "net.onnx")
    overrides = ["predict.runtime=onnxruntime", f"predict.onnx={tmp_path / 'net.onnx'}"]
    params = load_params(Path(__file__).resolve().parents[2] / "params.yaml", overrides).predict

    def look(**spec: object) -> str:
        (tmp_path / "net.yaml").write_text(yaml.safe_dump({"input_wh": [192, 256], "skeleton": "coco17", **spec}))
        estimator = load_estimator(params, tmp_path, torch.device("cpu"))
        crops = []
        for one in people:
            x, y, width, height = one["bbox"]
            image = read_image(real_data / "coco/images" / names[one["image_id"]])
            crops.append(estimator.cut(image, np.array([[x, y, x + width, y + height]], np.float32)).crops)
        estimator.decode(np.concatenate(crops))
        return capsys.readouterr().err

    said = look(codec={"kind": "heatmap"})
    assert "normalise: none" in said
    assert "its outputs look wrong" in said
    assert "ImageNet's mean and std" in said
    assert "channel_order rgb" in said
    right = look(codec=SPEC["codec"], mean=SPEC["mean"], std=SPEC["std"])
    assert "warning" not in right
