"""Detectors: every style of outputs, letterboxes, tiles, boxes from a file, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from poseline.errors import ArtifactError, BackendError, ConfigError, DataError, DataWarning
from poseline.infer.detectors.base import Detections
from poseline.infer.detectors.build import load_detector
from poseline.infer.detectors.file_boxes import FileBoxes
from poseline.infer.detectors.heads import grid_points
from poseline.infer.detectors.tiles import TiledDetector

Save = Callable[..., Path]
BOX = np.array([20, 10, 60, 50], np.float32)  # of the person that every network below finds, pixels of its 64 x 64 input


@pytest.fixture
def save_constant(tmp_path: Path) -> Save:
    """Saves a network that gives the same outputs for any image, and its description."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    def save(outputs: Mapping[str, np.ndarray], spec: Mapping[str, object] | None, *, size_input: str | None = None) -> Path:
        inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])]
        if size_input:
            inputs.append(helper.make_tensor_value_info(size_input, TensorProto.INT64, [1, 2]))
        # Every output adds 0 x the mean of the image, so that the input is used.
        nodes = [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        ]
        constants = [numpy_helper.from_array(np.float32(0), "zero")]
        if size_input:  # boxes are a fraction of the size that is given
            nodes.append(helper.make_node("Cast", [size_input], ["wh"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Concat", ["wh", "wh"], ["whwh"], axis=1))
        for name, value in outputs.items():
            constants.append(numpy_helper.from_array(value.astype(np.float32), f"{name}_value"))
            scaled = size_input is not None and name == "boxes"
            nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [f"{name}_plain" if scaled else name]))
            if scaled:
                nodes.append(helper.make_node("Mul", [f"{name}_plain", "whwh"], [name]))
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in outputs.items()]
        graph = helper.make_graph(nodes, "net", inputs, infos, constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "net.onnx")
        if spec is not None:
            (tmp_path / "net.yaml").write_text(yaml.safe_dump({"input_wh": [64, 64], **spec}))
        return tmp_path / "net.onnx"

    return save


def yolox_rows(boxes: Sequence[np.ndarray], scores: Sequence[float]) -> np.ndarray:
    """Rows [1, 84, 7] in grid units, a box in the cell of its centre, of two classes."""
    points, strides = grid_points((64, 64), (8, 16, 32))
    rows = np.zeros((1, len(points), 7), np.float32)
    for box, score in zip(boxes, scores, strict=True):
        centre, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        cell = int(np.flatnonzero((strides == 8) & (points == centre // 8).all(axis=1))[0])
        rows[0, cell] = [*(centre / 8 - points[cell]), *np.log(side / 8), 0.9, score / 0.9, 0.1]
    return rows


CENTRE = [40, 30, 40, 40]  # the same box as cx, cy, w, h
STYLES = {
    "yolox": ({"output": yolox_rows([BOX, BOX + np.array([8, 0, 8, 0])], [0.8, 0.7])}, {"head": "yolox", "scale": 255}),
    "yolov5": ({"output": np.array([[[*CENTRE, 0.8, 1.0, 0.2], [41, 30, 40, 40, 0.8, 0.9, 0.2]] + [[0] * 7] * 9])}, {"head": "yolo"}),
    "yolov8": (
        {"output0": np.array([[[*CENTRE, 0.8, 0.2], [41, 30, 40, 40, 0.7, 0.2]] + [[0] * 6] * 9]).transpose(0, 2, 1)},
        {"head": "yolo", "objectness": False},
    ),
    "yolov10": ({"output0": np.array([[[*BOX, 0.8, 0], [0, 0, 9, 9, 0.9, 1]]])}, {"head": "table", "nms_iou": None}),
    "ssd table": (
        {"out": np.array([[[[0, 1, 0.8, *BOX / 64], [0, 2, 0.9, 0, 0, 1, 1]]]])},
        {"head": "table", "columns": ["skip", "label", "score", "x1", "y1", "x2", "y2"], "units": "fraction", "person": 1},
    ),
    "tensorflow ssd": (
        {"boxes": np.array([[BOX[[1, 0, 3, 2]] / 64, [0, 0, 1, 1]]]), "classes": np.array([[1, 18]]), "scores": np.array([[0.8, 0.9]])},
        {"head": "boxes", "box": "yxyx", "units": "fraction", "person": 1, "output_names": ["boxes", "scores", "classes"]},
    ),
    "detr logits": (
        {"dets": np.array([[np.array(CENTRE) / 64, [0.5, 0.5, 1, 1]]]), "labels": np.array([[[-9, np.log(4), -9], [9, -9, 9]]])},
        {"head": "boxes", "box": "cxcywh", "units": "fraction", "scores": "logits", "person": 1, "resize": "stretch", "nms_iou": None},
    ),
    "mmdeploy": (
        {"dets": np.array([[[*BOX, 0.8], [1, 1, 9, 9, 0.9]]]), "labels": np.array([[0, 3]])},
        {"head": "boxes"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_every_style_gives_the_same_person(save_constant: Save, style: str) -> None:
    outputs, spec = STYLES[style]
    detector = load_detector(str(save_constant(outputs, spec)), min_score=0.3)
    image = np.zeros((128, 128, 3), np.uint8)  # twice the input's size
    (found,) = detector.detect([image])
    np.testing.assert_allclose(found.bbox_xyxy, [2 * BOX], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.8], atol=1e-5)
    assert [len(part) for part in detector.detect([image, image, image])] == [1, 1, 1]  # a fixed batch of one


def test_a_network_that_is_told_the_size_gives_pixels_of_the_image(save_constant: Save) -> None:
    outputs = {"labels": np.array([[0, 7]]), "boxes": np.array([[BOX / 64, [0, 0, 1, 1]]]), "scores": np.array([[0.8, 0.9]])}
    spec = {"head": "boxes", "units": "image", "resize": "stretch", "size_input": "orig_target_sizes", "nms_iou": None,
            "output_names": ["boxes", "scores", "labels"]}  # fmt: skip
    detector = load_detector(str(save_constant(outputs, spec, size_input="orig_target_sizes")), min_score=0.3)
    (found,) = detector.detect([np.zeros((320, 640, 3), np.uint8)])
    np.testing.assert_allclose(found.bbox_xyxy, [[200, 50, 600, 250]], atol=1e-3)
    # Told the size of its letterbox it gives pixels of that.
    letterbox = {**spec, "units": "input", "resize": "letterbox"}
    detector = load_detector(str(save_constant(outputs, letterbox, size_input="orig_target_sizes")), min_score=0.3)
    (found,) = detector.detect([np.zeros((640, 640, 3), np.uint8)])
    np.testing.assert_allclose(found.bbox_xyxy, [10 * BOX], atol=1e-3)


@pytest.mark.parametrize(("resize", "expected"), [("letterbox", [40, 20, 120, 64]), ("letterbox_centre", [40, 0, 120, 64])])
def test_a_letterbox_is_taken_back(save_constant: Save, resize: str, expected: list[float]) -> None:
    outputs, spec = STYLES["yolov10"]
    detector = load_detector(str(save_constant(outputs, {**spec, "resize": resize})), min_score=0.3)
    (found,) = detector.detect([np.zeros((64, 128, 3), np.uint8)])  # at half its size, 64 x 32 of 64 x 64
    np.testing.assert_allclose(found.bbox_xyxy, [expected], atol=1e-3)


def test_nobody_gives_no_boxes_and_whole_one(save_constant: Save) -> None:
    outputs, spec = STYLES["yolox"]
    detector = load_detector(str(save_constant(outputs, spec)), min_score=0.95)
    (found,) = detector.detect([np.zeros((40, 30, 3), np.uint8)])
    assert found.bbox_xyxy.shape == (0, 4)
    (whole,) = load_detector("whole").detect([np.zeros((40, 30, 3), np.uint8)])
    assert whole.bbox_xyxy.tolist() == [[0, 0, 30, 40]]


@pytest.mark.parametrize(
    ("style", "changes", "message"),
    [
        ("yolox", {"strides": [8, 16]}, r"gives \[84, 7\] an image, expected \[80, more than 5\]"),
        ("yolox", {"person": 4}, r"gives \[84, 7\] an image, expected \[84, more than 9\]"),
        ("yolov10", {"columns": ["score", "x1", "y1", "x2", "y2"]}, r"expected \[boxes, 5\] of head table"),
        ("mmdeploy", {"output_names": ["labels", "dets"]}, r"expected \[boxes, 4\]"),
        ("yolox", {"input_wh": [32, 32]}, "cannot be run as described, with an input of 32x32"),
        ("yolox", {"size_input": "sizes"}, "no input 'sizes'. Fix size_input"),
        ("yolox", {"output_names": ["boxes"]}, r"no output 'boxes', it has \['output'\]"),
    ],
)
def test_a_network_that_does_not_fit_its_description(save_constant: Save, style: str, changes: dict[str, object], message: str) -> None:
    outputs, spec = STYLES[style]
    with pytest.raises(BackendError, match=message) as caught:
        load_detector(str(save_constant(outputs, {**spec, **changes})))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"head": "yolox", "classes": ["cat", "dog"]}, r"no class 'person' among 2 \(cat, dog"),
        ({"head": "yolox", "persons": 1}, "persons: unknown key"),
        ({"head": "yolo11"}, "head"),
        ({"head": "table", "columns": ["x1", "y1", "x2", "y2"]}, "columns: expected one named score"),
        ({"skeleton": "coco17"}, "describes a pose network, expected a detector. Give it as --model"),
    ],
)
def test_a_bad_description(save_constant: Save, spec: dict[str, object], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        load_detector(str(save_constant(STYLES["yolox"][0], spec)))


def test_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file, and no name of the catalogue. Closest: yolox-nano"):
        load_detector("yolox-nan")
    with pytest.raises(ConfigError, match="a pose network, expected a detector"):
        load_detector("ultralight")
    with pytest.raises(ArtifactError, match=r"its weights are not here. Run `poseline weights get yolox-nano`"):
        load_detector("yolox-nano")
    with pytest.raises(ArtifactError, match=r"missing\.onnx: no such file\. Check the path"):
        load_detector("missing.onnx")
    (tmp_path / "bare.onnx").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"bare\.onnx: no description"):
        load_detector(str(tmp_path / "bare.onnx"))


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSELINE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("POSELINE_MIRROR", raising=False)


class BrightDetector:
    """Finds white rectangles that are at least a tenth of the image wide; gives the visible part of each."""

    name, batch_size = "bright", 2

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        import cv2

        found = []
        for image in images:
            count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
            rows = [stats[i, :4] for i in range(1, count) if stats[i, 2] >= image.shape[1] / 10]
            boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in rows], np.float32).reshape(-1, 4)
            found.append(Detections(boxes, np.full(len(boxes), 0.5, np.float32) + boxes[:, 3] / 1e4))
        return found


def test_tiles_find_small_people_once_and_whole() -> None:
    image = np.zeros((900, 1600, 3), np.uint8)
    small = [[380, 380, 425, 430], [1200, 100, 1250, 180], [10, 800, 60, 890]]  # the first lies across the corner of four tiles
    large = [600, 200, 900, 850]  # larger than a tile
    for x1, y1, x2, y2 in [*small, large]:
        image[y1:y2, x1:x2] = 255
    assert len(BrightDetector().detect([image])[0]) == 1
    (found,) = TiledDetector(BrightDetector(), 400, overlap=0.25).detect([image])
    assert sorted(found.bbox_xyxy.tolist()) == sorted([*small, large])


def test_boxes_from_a_file_by_name_number_and_frame(tmp_path: Path) -> None:
    entries = [
        {"image_id": 42, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 42, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.9},
        {"image_id": 42, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.9},
        {"image_id": "b.png", "bbox": [5, 5, 5, 5], "score": 0.05},
    ]
    (tmp_path / "coco.json").write_text(json.dumps(entries))
    with pytest.warns(DataWarning, match="1 of 4 boxes are not of category 1"):
        boxes = FileBoxes(tmp_path / "coco.json", min_score=0.1)
    for name, index in (("x/000000000042.jpg", 0), ("clip.mp4", 42)):
        found = boxes.lookup(name, index)
        assert found.bbox_xyxy.tolist() == [[10, 20, 40, 60], [1, 2, 4, 6]]
        assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert len(boxes.lookup("b.png", 0)) == 0
    assert boxes.misses == 0
    assert len(boxes.lookup("c.png", 42)) == 1 + 1  # no number in its name: its place among the images
    assert len(boxes.lookup("c7.png", 42)) == 0
    assert boxes.misses == 1
    full = {"images": [{"id": 7, "file_name": "val/c.jpg"}], "annotations": [{"image_id": 7, "bbox": [0, 0, 2, 2]}]}
    (tmp_path / "full.json").write_text(json.dumps(full))
    assert FileBoxes(tmp_path / "full.json").lookup("/data/val/c.jpg", 3).scores.tolist() == [1]
    (tmp_path / "plain.json").write_text(json.dumps({"a.jpg": [[0, 0, 2, 2, 0.5]], "3": [[1, 1, 2, 2, 0.5]]}))
    assert len(FileBoxes(tmp_path / "plain.json").lookup("a.jpg", 0)) == 1
    assert FileBoxes(tmp_path / "plain.json").lookup("clip.mp4", 3).bbox_xyxy.tolist() == [[1, 1, 2, 2]]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ('[{"image_id": 7.0, "bbox": [0, 0, 2, 2]}]', "000007.jpg"),
        ('[{"image_id": "val\\\\c.jpg", "bbox": [0, 0, 2, 2]}]', "/data/val/c.jpg"),
        ('{"val\\\\c.jpg": [[0, 0, 2, 2, 1]]}', "/data/val/c.jpg"),
        ('\ufeff[{"image_id": 7, "bbox": [0, 0, 2, 2]}]', "7.jpg"),
        ('{"annotations": [{"image_id": 7, "bbox": [0, 0, 2, 2]}]}', "7.jpg"),
        ('[{"image_id": 7, "category_id": 0, "bbox": [0, 0, 2, 2]}]', "7.jpg"),  # one category alone is people's
    ],
)
def test_boxes_are_read_by_the_one_policy_for_files(tmp_path: Path, content: str, name: str) -> None:
    (tmp_path / "boxes.json").write_text(content)
    assert FileBoxes(tmp_path / "boxes.json").lookup(name, 99).bbox_xyxy.tolist() == [[0, 0, 2, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected at least one box, got an empty list"),
        ("{}", "no box in it"),
        ("3", "expected a list or an object"),
        ('[{"bbox": [1, 2, 3, 4]}]', "entry 0: expected an integer 'image_id', got nothing"),
        ('[{"image_id": 1, "bbox": [1, 2, 3]}]', "entry 0: 'bbox' has 3 numbers, expected 4"),
        ('{"a.jpg": [[1, 2, 3, 4]]}', "a.jpg: box 0: 'bbox' has 4 numbers, expected 5"),
        ('{"a.jpg": 4}', "a.jpg: expected a list"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, true]}]', "entry 0: 'bbox' holds NaN, infinity or no number"),
        ('[{"image_id": 1.5, "bbox": [1, 2, 3, 4]}]', "entry 0: expected an integer 'image_id'"),
        (
            '[{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}, {"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]}]',
            "none of the 2 boxes is of category 1 'person'",
        ),
        ("[", "not valid JSON"),
    ],
)
def test_a_bad_file_of_boxes_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        FileBoxes(tmp_path / "boxes.json")
    assert "\n" not in str(caught.value)


def test_torchvision_runs_with_weights_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torchvision.models import get_model

    from poseline.zoo import weight_cache
    from poseline.zoo.weight_files import find_entry

    name = "ssdlite320_mobilenet_v3_large"
    entry = find_entry(name)
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(get_model(name, weights=None, weights_backbone=None, num_classes=91).state_dict(), folder / entry.file)
    with pytest.raises(ArtifactError, match="expected SHA-256 a79551df, got"):
        load_detector(name)
    monkeypatch.setattr(weight_cache, "sha256", lambda _: entry.sha256_prefix + "0" * 56)
    detector = load_detector(name, min_score=0.0)
    (found,) = detector.detect([np.random.default_rng(0).integers(0, 255, (80, 60, 3), dtype=np.uint8)])
    assert found.bbox_xyxy.shape == (len(found), 4)
    assert (found.bbox_xyxy[:, 2] <= 60).all()
    assert load_detector(name, min_score=0.99).detect([np.zeros((80, 60, 3), np.uint8)])[0].scores.shape == (0,)
    torch.save({}, folder / entry.file)
    with pytest.raises(ArtifactError, match="does not fit ssdlite320_mobilenet_v3_large"):
        load_detector(name)


@pytest.mark.real
def test_the_small_detector_on_photographs(real_data: Path) -> None:
    """YOLOX-nano, found by its hash: most large people are found, and nothing is where nobody is."""
    pytest.importorskip("onnxruntime")
    from poseline.core.boxes import box_iou, xywh_to_xyxy
    from poseline.datasets.coco_scoring import read_ground_truth
    from poseline.datasets.images import read_image

    detector = load_detector(str(real_data / "weights/yolox_nano_416.onnx"), min_score=0.3)
    names = {image["id"]: image["file_name"] for image in json.loads((real_data / "coco/person_keypoints.json").read_text())["images"]}
    truth = read_ground_truth(real_data / "coco/person_keypoints.json")
    hits = []
    for index in range(12):
        rows = np.flatnonzero((truth.image_index == index) & (truth.area > 96**2) & ~truth.is_crowd)
        (found,) = detector.detect([read_image(real_data / "coco/images" / names[int(truth.image_ids[index])])])
        if len(rows):
            hits += (box_iou(xywh_to_xyxy(truth.bbox_xywh[rows]), found.bbox_xyxy).max(axis=1, initial=0) > 0.5).tolist()
    assert len(hits) > 10
    assert np.mean(hits) > 0.7
    assert len(detector.detect([np.full((300, 400, 3), 120, np.uint8)])[0]) == 0
