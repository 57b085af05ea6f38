"""Where a network runs: PyTorch on any device, or an ONNX file under onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.artifacts import read_json
from poseline.codecs.base import Outputs
from poseline.codecs.build import build_codec
from poseline.config import PredictConfig
from poseline.errors import BackendError, ConfigError
from poseline.infer.estimator import Forward, PoseEstimator
from poseline.models.saved import SavedModel, load_model, parse_saved


def load_estimator(config: PredictConfig, model_folder: Path, device: torch.device) -> PoseEstimator:
    """The estimator that the parameters ask for: the trained model, or the ONNX file of ``predict.onnx``.

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
                raise ConfigError("predict.onnx: missing. Name the ONNX file to run (`poseline export` writes one), or set predict.runtime to torch.")
            path = Path(config.onnx)
            saved = read_spec(path)
            forward, device = onnx_forward(path), torch.device("cpu")
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    return PoseEstimator(
        forward, codec, saved, saved.keypoints, device=device, batch_size=config.batch_size, flip=config.flip
    )


def read_spec(path: Path) -> SavedModel:
    """The description beside an ONNX file (same name, ending .json): the same form as model.json."""
    spec = path.with_suffix(".json")
    return parse_saved(read_json(spec, made_by="export"), source=str(spec))


def torch_forward(module: nn.Module, device: torch.device) -> Forward:
    """A network's forward on a device, in eval mode."""
    module.to(device, memory_format=torch.channels_last).eval()

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        outputs: Outputs = module(images)
        return outputs

    return forward


def onnx_forward(path: Path) -> Forward:
    """The forward of an ONNX file on the CPU.

    Raises:
        BackendError: onnxruntime is missing, or refuses the file.
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
    name = session.get_inputs()[0].name
    fixed_batch = session.get_inputs()[0].shape[0]

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        array = np.ascontiguousarray(images.cpu().numpy())
        # A published file may be fixed to one picture a run.
        chunks = np.split(array, len(array)) if fixed_batch == 1 and len(array) > 1 else [array]
        results = [session.run(None, {name: chunk}) for chunk in chunks]
        tensors = tuple(torch.from_numpy(np.concatenate(parts)) for parts in zip(*results, strict=True))
        return tensors[0] if len(tensors) == 1 else tensors

    return forward
