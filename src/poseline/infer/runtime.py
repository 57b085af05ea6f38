"""Where a network runs: PyTorch on any device, or an ONNX file under onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec, Outputs
from poseline.codecs.build import build_codec
from poseline.config import PredictConfig
from poseline.errors import BackendError, ConfigError
from poseline.infer.estimator import Forward, PoseEstimator
from poseline.infer.onnx_spec import read_onnx_spec
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
            saved, device = described.saved, torch.device("cpu")
            forward = onnx_forward(path, input_name=described.input_name, bgr=described.bgr)
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    score = saved.score if config.score == "model" else config.score
    estimator = PoseEstimator(forward, codec, saved, device=device, batch_size=config.batch_size, flip=config.flip, score=score)
    if config.runtime == "onnxruntime":
        check_outputs(forward, codec, source=str(config.onnx))
        if described.assumed is not None:
            estimator.inspect = OutputCheck(str(config.onnx), bgr=described.bgr)
        if described.assumed:
            note(f"{config.onnx}: assumed, for its description does not say: {described.assumed}. See docs/onnx.md.")
    return estimator


def check_outputs(forward: Forward, codec: Codec, *, source: str) -> None:
    """Run one blank image, so that a network whose description is wrong is refused at once.

    Raises:
        BackendError: the network refuses the input, or gives other shapes than the codec reads.
    """
    width, height = codec.input_wh
    try:
        outputs = forward(torch.zeros(1, 3, height, width))
    except Exception as error:  # onnxruntime raises its own, undocumented types
        reason = str(error).splitlines()[0]
        raise BackendError(f"{source}: does not take an input of {width}x{height} ({reason}). Fix its description.") from None
    shapes = tuple(tuple(part.shape[1:]) for part in (outputs if isinstance(outputs, tuple) else (outputs,)))
    if shapes != codec.output_shapes:
        raise BackendError(
            f"{source}: gives {shapes}, expected {codec.output_shapes} by its description (codec {codec.config.kind}, "
            f"{codec.num_keypoints} keypoints, input {width}x{height}). Fix the description."
        )


def torch_forward(module: nn.Module, device: torch.device) -> Forward:
    """A network's forward on a device, in eval mode."""
    module.to(device).eval()
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        outputs: Outputs = module(images)
        return outputs

    return forward


def onnx_forward(path: Path, *, input_name: str | None = None, bgr: bool = False) -> Forward:
    """The forward of an ONNX file on the CPU.

    Args:
        path: the file.
        input_name: of its input tensor; None takes the first.
        bgr: the network wants blue first.

    Raises:
        BackendError: onnxruntime is missing, refuses the file, or the file has no such input.
    """
    try:
        import onnxruntime
    except ImportError:
        raise BackendError("predict.runtime is onnxruntime, which is not installed. Run `pip install 'poseline[onnx]'`.") from None
    if not path.is_file():
        raise BackendError(f"{path}: no such ONNX file. Set predict.onnx, or write one with `poseline export`.")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own, undocumented types
        raise BackendError(f"{path}: onnxruntime cannot load it ({str(error).splitlines()[0]}).") from None
    inputs = {entry.name: entry for entry in session.get_inputs()}
    name = input_name or next(iter(inputs))
    if name not in inputs:
        raise BackendError(f"{path}: no input '{name}', it has {sorted(inputs)}. Fix input_name in its description.")
    fixed_batch = inputs[name].shape[0]

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        array = np.ascontiguousarray((images.flip(1) if bgr else images).cpu().numpy())
        # A published file may be fixed to one image a run.
        chunks = np.split(array, len(array)) if fixed_batch == 1 and len(array) > 1 else [array]
        results = [session.run(None, {name: chunk}) for chunk in chunks]
        tensors = tuple(torch.from_numpy(np.concatenate(parts)) for parts in zip(*results, strict=True))
        return tensors[0] if len(tensors) == 1 else tensors

    return forward
