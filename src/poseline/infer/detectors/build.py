"""The detector of a name: of the catalogue (torchvision's among them), an ONNX file, or ``whole``."""

from __future__ import annotations

from pathlib import Path

import torch

from poseline.errors import ConfigError
from poseline.infer.detectors.base import Detector
from poseline.infer.detectors.onnx import OnnxDetector
from poseline.infer.detectors.spec import DetectorSpec, parse_detector_spec, read_detector_spec
from poseline.infer.detectors.tiles import TiledDetector
from poseline.infer.detectors.whole import WholeImage
from poseline.infer.onnx_spec import CATALOGUE
from poseline.models.device import resolve_device
from poseline.zoo.weight_cache import get_file
from poseline.zoo.weight_files import find_entry


def load_detector(name: str, *, min_score: float = 0.1, threads: int | None = None, runtime: str = "auto") -> Detector:
    """The detector of that name.

    Args:
        name: a name of the catalogue (``poseline weights list``), an ONNX file with its description, or ``whole``: one box the size
            of the image.
        min_score: people scored lower are left out.
        threads: that one run may use; None: every core.
        runtime: of ONNX files: ``onnxruntime``, ``openvino`` or ``auto``.

    Raises:
        ConfigError: no such name, or a pose network of the catalogue.
        ArtifactError: the weights are not here, or their description is missing or wrong.
        BackendError: the runtime is missing, or the network does not fit its description.
    """
    if name == "whole":
        return WholeImage()
    path = Path(name)
    if path.is_file() or path.suffix == ".onnx":
        return _onnx_detector(name, path, read_detector_spec(path), min_score=min_score, runtime=runtime, threads=threads)
    entry = find_entry(name)
    if entry.task != "detector":
        raise ConfigError(f"'{name}': a pose network, expected a detector. Give it as --model; `poseline weights list` shows all.")
    if entry.kind == "torchvision":
        from poseline.infer.detectors.torchvision import TorchvisionDetector

        if threads is not None:
            torch.set_num_threads(threads)
        return TorchvisionDetector(name, get_file(entry), min_score=min_score, device=resolve_device("auto"))
    spec = parse_detector_spec(dict(entry.spec), f"{CATALOGUE}{entry.name}")
    return _onnx_detector(name, get_file(entry), spec, min_score=min_score, runtime=runtime, threads=threads)


def _onnx_detector(name: str, path: Path, spec: DetectorSpec, *, min_score: float, runtime: str, threads: int | None) -> Detector:
    detector = OnnxDetector(name, path, spec, min_score=min_score, runtime=runtime, threads=threads)
    return detector if spec.tile is None else TiledDetector(detector, spec.tile, overlap=spec.tile_overlap)
