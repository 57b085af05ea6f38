"""Where a network runs: PyTorch on any device, or an ONNX file under onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.codecs.base import Codec, Outputs
from poseline.codecs.build import build_codec
from poseline.codecs.scores import ScoreRule
from poseline.config import PredictConfig
from poseline.errors import BackendError, ConfigError
from poseline.infer.estimator import Forward, PoseEstimator
from poseline.infer.image_input import find_input, find_outputs, run_batches
from poseline.infer.onnx_spec import OnnxInput, read_onnx_spec
from poseline.infer.output_check import OutputCheck
from poseline.infer.sessions import open_session
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
    if codec.outputs == "keypoints":  # a network for one person may have an axis for it
        shapes = tuple(shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape for shape in shapes)
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


def onnx_forward(
    path: Path, *, input_name: str | None = None, bgr: bool = False, output_names: tuple[str, ...] | None = None,
    runtime: str = "onnxruntime", threads: int | None = None,
) -> Forward:  # fmt: skip
    """The forward of an ONNX file on the CPU.

    Args:
        path: the file.
        input_name: of its input tensor; None takes the first.
        bgr: the network wants blue first.
        output_names: of the outputs to read; None takes all.
        runtime: ``onnxruntime``, ``openvino`` or ``auto``.
        threads: that one run may use; None: every core.

    Raises:
        BackendError: the runtime is missing, refuses the file, or the file has no such input or output.
    """
    session = open_session(path, runtime=runtime, threads=threads)
    port = find_input(session, input_name, source=str(path))
    chosen = find_outputs(session, output_names, source=str(path))
    channels_last = len(port.shape) == 4 and port.shape[3] == 3 and port.shape[1] != 3

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        images = images.flip(1) if bgr else images
        array = (images.permute(0, 2, 3, 1) if channels_last else images).contiguous().cpu().numpy()
        array = array if np.issubdtype(port.dtype, np.floating) else np.rint(array)
        found = run_batches(session, {port.name: np.ascontiguousarray(array, dtype=port.dtype)}, fixed=port.shape[0])
        tensors = tuple(torch.from_numpy(np.asarray(found[index], np.float32)) for index in chosen)
        return tensors[0] if len(tensors) == 1 else tensors

    return forward
