"""The pose network of a name: of the catalogue, a trained folder, or an ONNX file."""

from __future__ import annotations

from pathlib import Path

import torch

from poseline.codecs.build import build_codec
from poseline.errors import ConfigError
from poseline.infer.estimator import PoseEstimator
from poseline.infer.onnx_spec import parse_pose_spec, read_onnx_spec
from poseline.infer.runtime import load_onnx_estimator, torch_forward
from poseline.models.device import resolve_device
from poseline.models.saved import load_model
from poseline.zoo.weight_cache import get_file
from poseline.zoo.weight_files import find_entry


def load_pose_network(
    name: str, *, runtime: str = "auto", device: str = "auto", batch_size: int = 8, flip: bool = False, threads: int | None = None
) -> PoseEstimator:
    """The estimator of a pose network, which cuts crops, runs them and decodes their keypoints.

    Args:
        name: a name of the catalogue (``poseline weights list``), a trained folder of ours, or an ONNX file with its description.
        runtime: ``torch`` (folders), ``onnxruntime``, ``openvino``, or ``auto``: the fastest that is here.
        device: of torch: auto, cpu, cuda, cuda:N or mps; ONNX files run on the CPU.
        batch_size: crops a forward call.
        flip: average with the outputs of the mirrored crops.
        threads: that one run may use; None: every core.

    Raises:
        ConfigError: no such name, a detector, or a runtime that cannot run it.
        ArtifactError: the weights are not here, or their description is missing or wrong.
        BackendError: the runtime or device is missing, or the network does not fit its description.
    """
    path = Path(name)
    if path.is_dir():
        return _load_folder(path, device=resolve_device(device), batch_size=batch_size, flip=flip)
    if path.is_file() or path.suffix == ".onnx":
        described, file = read_onnx_spec(path), path
    else:
        entry = find_entry(name)
        if entry.task != "pose":
            raise ConfigError(f"'{name}': a detector, expected a pose network. Give it as --detector; `poseline weights list` shows all.")
        described, file = parse_pose_spec(dict(entry.spec), f"catalogue: {entry.name}"), get_file(entry)
    if runtime == "torch":
        raise ConfigError(f"--runtime torch: {name} is an ONNX file. Use onnxruntime, openvino or auto.")
    return load_onnx_estimator(
        file, described, batch_size=batch_size, flip=flip, score=described.saved.score, runtime=runtime, threads=threads
    )


def _load_folder(folder: Path, *, device: torch.device, batch_size: int, flip: bool) -> PoseEstimator:
    module, saved = load_model(folder)
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    return PoseEstimator(torch_forward(module, device), codec, saved, device=device, batch_size=batch_size, flip=flip, score=saved.score)
