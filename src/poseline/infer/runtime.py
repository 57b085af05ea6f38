"""The estimator of a network: PyTorch on any device, or an ONNX file on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Outputs
from poseline.codecs.build import build_codec
from poseline.codecs.scores import ScoreRule
from poseline.config import PredictConfig
from poseline.errors import ConfigError
from poseline.infer.estimator import Forward, PoseEstimator
from poseline.infer.onnx_network import check_outputs, onnx_forward
from poseline.infer.onnx_spec import OnnxInput, read_onnx_spec
from poseline.infer.output_check import OutputCheck
from poseline.models.saved import load_model
from poseline.progress import note
from poseline.project import existing


def load_estimator(config: PredictConfig, model_folder: Path, device: torch.device) -> PoseEstimator:
    """The configured estimator: the trained model, or the ONNX file of ``predict.onnx``; with the score rule of either.

    Raises:
        ConfigError: ``predict.runtime`` is onnxruntime, but no file is given.
        BackendError: onnxruntime is not installed or cannot run the file.
        ArtifactError: the model folder or the ONNX file's spec is missing or damaged.
    """
    match config.runtime:
        case "torch":
            module, saved = load_model(model_folder)
            forward = torch_forward(module, device)
        case "onnxruntime":
            if config.onnx is None:
                raise ConfigError("predict.onnx: missing. Name the ONNX file (`poseline export` writes one), or set predict.runtime=torch.")
            path = existing(config.onnx, key="predict.onnx")
            described = read_onnx_spec(path, existing(config.onnx_spec, key="predict.onnx_spec") if config.onnx_spec else None)
            score = described.saved.score if config.score == "model" else config.score
            return load_onnx_estimator(path, described, batch_size=config.batch_size, flip=config.flip, score=score, runtime="onnxruntime")
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    score = saved.score if config.score == "model" else config.score
    return PoseEstimator(forward, codec, saved, device=device, batch_size=config.batch_size, flip=config.flip, score=score)


def load_onnx_estimator(
    path: Path, described: OnnxInput, *, batch_size: int, flip: bool, score: ScoreRule, runtime: str, threads: int | None = None
) -> PoseEstimator:
    """The estimator of an ONNX file on the CPU.

    Raises:
        BackendError: the runtime is missing or refuses the file, or the network does not fit its description.
    """
    forward = onnx_forward(
        path, input_name=described.input_name, bgr=described.bgr, output_names=described.output_names, runtime=runtime, threads=threads
    )
    saved = described.saved
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    check_outputs(forward, codec, source=str(path))
    estimator = PoseEstimator(
        forward, codec, saved, device=torch.device("cpu"), batch_size=batch_size, flip=flip, score=score, mask=described.mask
    )
    if described.assumed is not None:
        estimator.inspect = OutputCheck(str(path), bgr=described.bgr)
    if described.assumed:
        note(f"{path}: assumed, for its description does not say: {described.assumed}. See docs/onnx.md.")
    return estimator


def torch_forward(module: nn.Module, device: torch.device) -> Forward:
    """A network's forward on a device, in eval mode."""
    module.to(device).eval()
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        outputs: Outputs = module(images)
        return outputs

    return forward
