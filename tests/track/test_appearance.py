from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseline.config.tracking import AppearanceConfig, ByteposeConfig, TrackConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import Skeleton
from poseline.errors import ArtifactError, BackendError
from poseline.track.appearance import LimbColour, appearance_similarity
from poseline.track.build import build_tracker
from poseline.track.reid import ReidNetwork


def _reid_network(path: Path, inputs: list[object], outputs: list[object]) -> Path:
    """A small network: mean colour of the crop."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["p"]), helper.make_node("Flatten", ["p"], ["y"])]
    graph = helper.make_graph(
        nodes, "reid", [helper.make_tensor_value_info("x", kind, inputs)], [helper.make_tensor_value_info("y", kind, outputs)]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def test_the_same_person_looks_alike_and_another_does_not(scenes, coco17: Skeleton) -> None:
    paths = np.stack([scenes.line((100, 180), (5, 0), 6), scenes.line((400, 180), (5, 0), 6)])
    scene = scenes.draw(paths, images=True)
    encoder = LimbColour(coco17, 6)
    first, last = (
        encoder.encode(scene.frames[t].image, scene.poses[t].select(np.argsort(scene.truth[t])), np.ones((2, 17), dtype=bool))
        for t in (0, 5)
    )
    alike = appearance_similarity(first, last)
    assert np.allclose(np.linalg.norm(first, axis=1), 1)
    assert np.diag(alike).min() > 0.85
    assert max(alike[0, 1], alike[1, 0]) < 0.5


def test_a_person_outside_the_picture_is_unknown(coco17: Skeleton) -> None:
    poses = PoseSet(keypoints=np.full((1, 17, 2), -500.0), keypoint_scores=np.ones((1, 17)), bbox_xyxy=np.array([[-510, -510, -490, -490]]))
    vector = LimbColour(coco17, 6).encode(np.zeros((40, 40, 3), dtype=np.uint8), poses, np.ones((1, 17), dtype=bool))
    assert not vector.any()
    assert np.isnan(appearance_similarity(vector, vector)).all()


def test_a_network_in_onnx_gives_unit_vectors_and_tracks(tmp_path: Path, scenes, coco17: Skeleton) -> None:
    path = _reid_network(tmp_path / "reid.onnx", ["n", 3, 64, 32], ["n", 3])
    scene = scenes.draw(np.stack([scenes.line((100, 180), (2, 0), 5), scenes.line((400, 180), (2, 0), 5)]), images=True)
    vectors = ReidNetwork(path).encode(scene.frames[0].image, scene.poses[0], np.ones((2, 17), dtype=bool))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    config = TrackConfig(bytepose=ByteposeConfig(appearance=AppearanceConfig(kind="onnx", onnx=str(path))))
    assert scenes.switches(build_tracker(config, coco17), scene) == (0, 2)


def test_the_description_says_what_the_network_takes(tmp_path: Path) -> None:
    path = _reid_network(tmp_path / "reid.onnx", ["n", 3, "h", "w"], ["n", 3])  # means of 32,768 pixels in single precision
    image = np.full((80, 80, 3), (200, 100, 50), dtype=np.uint8)
    poses = PoseSet(keypoints=np.zeros((1, 17, 2)), keypoint_scores=np.ones((1, 17)), bbox_xyxy=np.array([[10, 10, 40, 70]]))
    seen = np.ones((1, 17), dtype=bool)
    plain = (np.array([200, 100, 50]) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(ReidNetwork(path).encode(image, poses, seen)[0], plain / np.linalg.norm(plain), atol=2e-4)
    path.with_suffix(".yaml").write_text("{input_wh: [16, 48], channel_order: bgr, scale: 255}")
    bytes_ = np.array([50, 100, 200])
    np.testing.assert_allclose(ReidNetwork(path).encode(image, poses, seen)[0], bytes_ / np.linalg.norm(bytes_), atol=2e-4)
    path.with_suffix(".yaml").write_text("{chanel_order: bgr}")
    with pytest.raises(ArtifactError, match=r"reid.yaml: .*chanel_order"):
        ReidNetwork(path)


def test_a_batch_that_the_file_fixes_is_kept(tmp_path: Path) -> None:
    path = _reid_network(tmp_path / "reid.onnx", [2, 3, 16, 8], [2, 3])
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    boxes = np.array([[x, 5, x + 12, 50] for x in (0, 20, 40)])
    poses = PoseSet(keypoints=np.zeros((3, 17, 2)), keypoint_scores=np.ones((3, 17)), bbox_xyxy=boxes)
    network, seen = ReidNetwork(path), np.ones((3, 17), dtype=bool)
    alone = [network.encode(image, poses.select(np.array([row])), seen[:1])[0] for row in range(3)]
    np.testing.assert_allclose(network.encode(image, poses, seen), alone, atol=1e-6)


def test_what_is_no_such_network_is_refused(tmp_path: Path) -> None:
    wrong = _reid_network(tmp_path / "wrong.onnx", ["n", "c", 64, 32], ["n", "d"])
    with pytest.raises(BackendError, match=r"expected \[N, 3, H, W\] -> \[N, D\]"):
        ReidNetwork(wrong)
    (tmp_path / "cut.onnx").write_bytes(wrong.read_bytes()[:20])
    with pytest.raises(ArtifactError, match="cut short"):
        ReidNetwork(tmp_path / "cut.onnx")
    with pytest.raises(ArtifactError, match="no such file"):
        ReidNetwork(tmp_path / "missing.onnx")
    with pytest.raises(ValueError, match="needs the network's file"):
        AppearanceConfig(kind="onnx")
