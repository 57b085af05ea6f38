"""Pose networks by name: files that give keypoints or bins, integer inputs, masks, trained folders under every runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from poseline.config import CodecConfig, ModelConfig
from poseline.errors import ArtifactError, BackendError, ConfigError, DataError
from poseline.infer import export
from poseline.infer.estimator import blacken_outside, grow_boxes
from poseline.infer.export import TOLERANCE_PX, export_onnx
from poseline.infer.networks import load_pose_network
from poseline.infer.onnx_metadata import KEY, add_metadata, read_metadata
from poseline.infer.onnx_spec import CropMask
from poseline.infer.sessions import SESSIONS
from poseline.models.pose_model import build_model
from poseline.models.saved import SavedModel, save_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

Save = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSELINE_WEIGHTS", str(tmp_path / "cache/weights"))
    return tmp_path / "cache"


@pytest.fixture
def save_bright(tmp_path: Path) -> Save:
    """Saves a network with bytes [N, h, w, 3] as input that gives the place of the brightest column and row of the crop.

    Every keypoint lies there; its score is .5. Outputs are y, x (0..1 of the crop), score.
    """
    from onnx import TensorProto, helper, numpy_helper

    def save(spec: dict[str, object], *, batch: int | str = "N", dtype: int = TensorProto.INT32) -> Path:
        nodes = [helper.make_node("Cast", ["input"], ["real"], to=TensorProto.FLOAT)]
        for axis, other in (("x", 1), ("y", 2)):
            nodes += [
                helper.make_node("ReduceSum", ["real", f"over_{other}"], [f"sum_{axis}"], keepdims=0),
                helper.make_node("ArgMax", [f"sum_{axis}"], [f"index_{axis}"], axis=1, keepdims=1),
                helper.make_node("Cast", [f"index_{axis}"], [f"cell_{axis}"], to=TensorProto.FLOAT),
                helper.make_node("Div", [f"cell_{axis}", "size"], [axis]),
            ]
        nodes += [
            helper.make_node("Mul", ["x", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "half"], ["score"]),
            helper.make_node("Concat", ["y", "x", "score"], ["row"], axis=1),
            helper.make_node("Reshape", ["row", "shape"], ["one"]),
            helper.make_node("Tile", ["one", "times"], ["keypoints"]),
        ]
        constants = [
            numpy_helper.from_array(np.array(value, kind), name)
            for name, value, kind in (
                ("over_1", [1, 3], np.int64), ("over_2", [2, 3], np.int64), ("size", 64, np.float32), ("zero", 0, np.float32),
                ("half", 0.5, np.float32), ("shape", [-1, 1, 1, 3], np.int64), ("times", [1, 1, 17, 1], np.int64),
            )
        ]  # fmt: skip
        graph = helper.make_graph(
            nodes, "net", [helper.make_tensor_value_info("input", dtype, [batch, 64, 64, 3])],
            [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, [batch, 1, 17, 3])], constants,
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "net.onnx")
        (tmp_path / "net.yaml").write_text(yaml.safe_dump({**BRIGHT, **spec}))
        return tmp_path / "net.onnx"

    return save


BRIGHT: dict[str, object] = {
    "input_wh": [64, 64], "skeleton": "coco17", "scale": 255, "padding": 1.5, "score": "mean",
    "codec": {"kind": "keypoints", "geometry": "published", "keypoints": {"order": "yxs", "units": "fraction"}},
}  # fmt: skip


def dot(x: int, y: int, *, beside: int | None = None) -> np.ndarray:
    """A black image with a bright dot, and perhaps a brighter one beside it."""
    image = np.zeros((120, 160, 3), np.uint8)
    image[y - 1 : y + 2, x - 1 : x + 2] = 120
    if beside is not None:
        image[y - 1 : y + 2, beside - 1 : beside + 2] = 255
    return image


@pytest.mark.parametrize("batch", [1, 2, "N"])
@pytest.mark.parametrize("flip", [False, True])
def test_bytes_in_keypoints_out(save_bright: Save, batch: int | str, flip: bool) -> None:
    network = load_pose_network(str(save_bright({}, batch=batch)), batch_size=4, flip=flip)
    boxes = np.array([[50, 40, 80, 80], [55, 40, 75, 80], [60, 30, 70, 85], [50, 45, 90, 75], [50, 40, 80, 80]], np.float32)
    poses = network.estimate(dot(64, 57), boxes)
    np.testing.assert_allclose(poses.keypoints, np.broadcast_to([64, 57], (5, 17, 2)), atol=1.5)
    np.testing.assert_allclose(poses.pose_scores, 0.5)
    assert network.skeleton.name == "coco17"


def test_bytes_of_type_uint8(save_bright: Save) -> None:
    network = load_pose_network(str(save_bright({}, dtype=onnx.TensorProto.UINT8)))
    np.testing.assert_allclose(network.estimate(dot(64, 57), np.array([[50, 40, 80, 80]], np.float32)).keypoints[0, 0], [64, 57], atol=1.5)


def test_a_mask_hides_who_is_beside(save_bright: Save) -> None:
    image, box = dot(64, 57, beside=84), np.array([[52, 40, 76, 80]], np.float32)
    seen = load_pose_network(str(save_bright({}))).estimate(image, box)
    np.testing.assert_allclose(seen.keypoints[0, 0], [84, 57], atol=1.5)
    masked = load_pose_network(str(save_bright({"mask": {"scale": 1.05, "margin": 0.06}}))).estimate(image, box)
    np.testing.assert_allclose(masked.keypoints[0, 0], [64, 57], atol=1.5)


def test_what_a_mask_leaves() -> None:
    grown = grow_boxes(np.array([[10.0, 20, 30, 60]]), CropMask(scale=1.05, margin=0.06))
    np.testing.assert_allclose(grown, [[20 - 11.7, 40 - 22.2, 20 + 11.7, 40 + 22.2]])
    crop = np.full((10, 10, 3), 9, np.uint8)
    blacken_outside([crop], [np.array([[1.0, 0, 0], [0, 1, 0]])], np.array([[1.5, 2, 4.2, 30]]))
    assert (crop > 0).all(axis=2).nonzero()[0].tolist() == np.repeat(np.arange(2, 10), 3).tolist()
    assert set((crop > 0).all(axis=2).nonzero()[1].tolist()) == {2, 3, 4}


def test_the_description_inside_the_file_is_enough(save_bright: Save, tmp_path: Path) -> None:
    network = save_bright({})
    add_metadata(network, {"author": "somebody", KEY: json.dumps(BRIGHT)})
    (tmp_path / "net.yaml").unlink()
    onnx.checker.check_model(str(network))
    assert {pair.key: pair.value for pair in onnx.load(str(network)).metadata_props}["author"] == "somebody"
    assert read_metadata(network)["author"] == "somebody"
    found = load_pose_network(str(network)).estimate(dot(64, 57), np.array([[50, 40, 80, 80]], np.float32))
    np.testing.assert_allclose(found.keypoints[0, 0], [64, 57], atol=1.5)
    add_metadata(network, {KEY: "{"})
    with pytest.raises(ArtifactError, match="its metadata 'poseline' is not JSON"):
        load_pose_network(str(network))


def test_other_tools_metadata_is_read_and_a_damaged_file_refused(tmp_path: Path) -> None:
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []), producer_name="x" * 300)
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{0: 'person'}" * 50
    onnx.save(model, tmp_path / "a.onnx")
    assert read_metadata(tmp_path / "a.onnx") == {"names": "{0: 'person'}" * 50}
    whole = (tmp_path / "a.onnx").read_bytes()
    (tmp_path / "a.onnx").write_bytes(whole[:-7])
    with pytest.raises(ArtifactError, match="not an ONNX file, or cut short"):
        read_metadata(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_text("hello, this is no network")
    with pytest.raises(ArtifactError, match="not an ONNX file"):
        load_pose_network(str(tmp_path / "a.onnx"))


def test_names_and_runtimes_that_do_not_fit(save_bright: Save) -> None:
    path = str(save_bright({}))
    for name, runtime, error, message in (
        ("rtmpose-x", "auto", ConfigError, "no such file, and no name of the catalogue. Closest: rtmpose-"),
        ("yolox-s", "auto", ConfigError, "a detector, expected a pose network"),
        ("rtmpose-s", "auto", ArtifactError, "its weights are not here. Run `poseline weights get rtmpose-s`"),
        ("movenet-thunder", "auto", ArtifactError, "its weights are not here. Put the file at"),
        (path, "torch", ConfigError, "is an ONNX file. Use onnxruntime"),
        (path, "tensorrt", ConfigError, "--runtime tensorrt: expected one of auto, torch"),
        ("none.onnx", "auto", ArtifactError, r"none\.onnx: no such file\. Check the path"),
    ):
        with pytest.raises(error, match=message) as caught:
            load_pose_network(name, runtime=runtime)
        assert "\n" not in str(caught.value)
    if find_spec("openvino") is None:
        with pytest.raises(BackendError, match=r"openvino is not installed. Run `pip install 'poseline\[openvino\]'`"):
            load_pose_network(path, runtime="openvino")


def test_a_network_without_keypoints_of_its_skeleton_is_refused(save_bright: Save) -> None:
    with pytest.raises(BackendError, match=r"gives \(\(17, 3\),\), expected \(\(16, 3\),\)"):
        load_pose_network(str(save_bright({"skeleton": "mpii16"})))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained network of ours."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("trained")
    model, codec = ModelConfig(backbone="resnet10", width=0.125, head="pyramid", deconv_channels=(16,), input_wh=(32, 64)), CodecConfig()
    save_model(folder, build_model(model, codec, 17), SavedModel(model, codec, "coco17", score="mean"))
    return folder


def test_names_that_others_find(trained: Path, save_bright: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for what is neither a folder of ours, an ONNX file nor in the catalogue."""
    asked = []

    def find(name: str) -> Path:
        asked.append(name)
        if name == "nobody":
            raise DataError("nobody: no run of that name.")
        return trained

    for name in ("models:/poseline@champion", str(trained.parent), str(trained / "model.json")):
        assert load_pose_network(name, runtime="torch", device="cpu", find_model=find).saved.skeleton == "coco17"
    assert len(asked) == 3
    load_pose_network(str(trained), runtime="torch", device="cpu", find_model=find)
    load_pose_network(str(save_bright({})), find_model=find)
    with pytest.raises(ArtifactError, match="its weights are not here"):
        load_pose_network("rtmpose-s", find_model=find)
    (tmp_path / "rtmpose-s").mkdir()  # as --out of that name makes it
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match="its weights are not here"):
        load_pose_network("rtmpose-s", find_model=find)
    assert len(asked) == 3
    with pytest.raises(DataError, match=r"^nobody: no run of that name. Nor a name of the catalogue: `poseline weights list` shows all"):
        load_pose_network("nobody", find_model=find)


def test_a_trained_folder_gives_the_same_under_every_runtime(trained: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 255, (100, 120, 3), dtype=np.uint8)
    boxes = np.array([[5, 5, 50, 90], [40, 10, 100, 95], [0, 0, 30, 30]], np.float32)
    eager = load_pose_network(str(trained), runtime="torch", device="cpu", flip=True).estimate(image, boxes)
    fast = load_pose_network(str(trained), device="cpu", flip=True, threads=1).estimate(image, boxes)
    np.testing.assert_allclose(fast.keypoints, eager.keypoints, atol=0.05)
    assert len(list((cache / "exports").glob("*.onnx"))) == 1
    monkeypatch.setattr(export, "export_onnx", lambda *_, **__: pytest.fail("exported a second time"))
    again = load_pose_network(str(trained), device="cpu", runtime="onnxruntime", flip=True).estimate(image, boxes)
    np.testing.assert_array_equal(again.keypoints, fast.keypoints)
    half = load_pose_network(str(trained), runtime="torch-bf16", device="cpu").estimate(image, boxes)
    assert half.keypoints.dtype == np.float32


@pytest.mark.parametrize("runtime", SESSIONS.own)
def test_threads_that_run_one_network_at_once_get_each_its_own_poses(save_bright: Save, runtime: str) -> None:
    if find_spec(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    network = load_pose_network(str(save_bright({})), runtime=runtime, threads=1)
    images = np.random.default_rng(0).integers(0, 255, (8, 100, 120, 3), dtype=np.uint8)
    boxes = np.array([[5, 5, 50, 90], [40, 10, 100, 95]], np.float32)
    alone = [network.estimate(image, boxes).keypoints for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: network.estimate(image, boxes).keypoints, [*images] * 4))
    np.testing.assert_array_equal(together, alone * 4)


def test_a_folder_that_cannot_be_exported_runs_on_torch_and_says_so(
    trained: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> float:
        raise BackendError("export: this network cannot be written as ONNX (a layer).")

    monkeypatch.setattr(export, "export_onnx", refuse)
    found = load_pose_network(str(trained), device="cpu").estimate(dot(64, 57), np.array([[50, 40, 80, 80]], np.float32))
    assert found.keypoints.shape == (1, 17, 2)
    assert "runs on torch, the slower way on a CPU (export: this network cannot be written as ONNX" in caplog.text
    with pytest.raises(BackendError, match="cannot be written as ONNX"):
        load_pose_network(str(trained), device="cpu", runtime="onnxruntime")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["udp", "heatmap", "simcc", "integral", "regression"])
def test_decoding_in_the_graph_is_ours(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    model = ModelConfig(backbone="resnet10", width=0.125, head="pyramid", deconv_channels=(16,), input_wh=(32, 64))
    codec = CodecConfig(kind=kind)
    save_model(tmp_path / "m", build_model(model, codec, 17), SavedModel(model, codec, "coco17", score="mean"))
    assert export_onnx(tmp_path / "m", tmp_path / "net.onnx", outputs="keypoints") <= TOLERANCE_PX
    image = np.random.default_rng(0).integers(0, 255, (100, 120, 3), dtype=np.uint8)
    boxes = np.array([[5, 5, 50, 90], [40, 10, 100, 95], [0, 0, 30, 30]], np.float32)
    (tmp_path / "net.json").unlink()  # what is inside is enough
    graph = load_pose_network(str(tmp_path / "net.onnx")).estimate(image, boxes)
    ours = load_pose_network(str(tmp_path / "m"), runtime="torch", device="cpu").estimate(image, boxes)
    np.testing.assert_allclose(graph.keypoints, ours.keypoints, atol=0.2)  # image pixels; a crop's is three of them
    np.testing.assert_allclose(graph.pose_scores, ours.pose_scores, atol=1e-3)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [("movenet_thunder_256", 0.482), ("ultralight_simplepose_256x192", 0.458)])
def test_photographs_are_not_below_what_a_plain_script_reached(real_data: Path, model: str, least: float) -> None:
    """AP with the small detector on all photographs, by our scorer."""
    from poseline.core.poses import PoseSet
    from poseline.datasets.coco_scoring import read_ground_truth
    from poseline.datasets.images import read_image
    from poseline.infer.detectors.build import load_detector
    from poseline.metrics.keypoint_ap import score_coco
    from poseline.metrics.keypoint_types import Predictions

    annotations = real_data / "coco/person_keypoints.json"
    names = {image["id"]: image["file_name"] for image in json.loads(annotations.read_text())["images"]}
    truth = read_ground_truth(annotations)
    detector = load_detector(str(real_data / "weights/yolox_nano_416.onnx"))
    network = load_pose_network(str(real_data / f"weights/{model}.onnx"))
    found, ids = [], []
    for image_id in truth.image_ids:
        image = read_image(real_data / "coco/images" / names[int(image_id)])
        (people,) = detector.detect([image])
        found.append(network.estimate(image, people.bbox_xyxy, people.scores))
        ids.append(np.full(len(people), image_id))
    poses = PoseSet.concat(found)
    predictions = Predictions.from_arrays(truth, np.concatenate(ids), keypoints=poses.keypoints, scores=poses.pose_scores)
    ap = score_coco(truth, predictions).metrics["ap"]
    assert ap is not None
    assert ap >= least
