"""A trained model as ONNX, with its description inside and beside it, checked against PyTorch before it is kept."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from poseline.artifacts import atomic_file, read_json, write_json
from poseline.codecs.base import Codec, Outputs
from poseline.codecs.build import build_codec
from poseline.config.network import CodecConfig, KeypointsConfig
from poseline.config.params import Yaml
from poseline.errors import BackendError
from poseline.infer.export_data import draw_people
from poseline.infer.onnx_metadata import KEY, add_metadata
from poseline.infer.onnx_network import onnx_forward
from poseline.models.backbones.resnet import DeformableConv
from poseline.models.normalise import normalise_images
from poseline.models.saved import ADAPTER, SPEC_FILE, SavedModel, load_model

TOLERANCE = 1e-4
"""Relative difference of raw outputs to PyTorch's that is allowed."""
TOLERANCE_PX = 0.05
"""Distance of keypoints decoded in the graph to ours that is allowed, pixels of the crop."""
TOLERANCE_SCORE = 1e-3
OPSET, DEFORMABLE_OPSET = 18, 19  # ONNX has deformable convolutions since 19

Contents: TypeAlias = Literal["raw", "keypoints"]
Crops: TypeAlias = UInt8[np.ndarray, "B h w 3"]


class DecodingNetwork(nn.Module):
    """A network that ends in keypoints [B, K, 2] in pixels of the crop and scores [B, K]."""

    def __init__(self, network: nn.Module, codec: Codec) -> None:
        super().__init__()
        self.network, self.codec = network, codec

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
        """Keypoints and scores."""
        return self.codec.decode(self.network(images))


def export_onnx(model_folder: Path, target: Path, *, outputs: Contents = "raw", crops: Crops | None = None) -> float:
    """Write ``target`` (.onnx), described inside and beside it (.json); the largest difference to PyTorch.

    The batch size stays free. Input ``images`` [B, 3, H, W] float32, normalised as the description says.

    Args:
        model_folder: of the trained model.
        target: the file to write.
        outputs: ``raw``: what the network gives; ``keypoints``: decoded in the graph, two outputs.
        crops: people on which both are compared; drawn ones where None.

    Returns:
        Of raw outputs the relative difference (largest norm over the outputs), of keypoints the largest distance in pixels.

    Raises:
        BackendError: onnx or onnxscript is not installed, or the file's outputs differ from PyTorch's by more than is allowed.
        ArtifactError: the model folder is missing or damaged, or the file cannot be written.
    """
    network, saved = load_model(model_folder)
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    module: nn.Module = network if outputs == "raw" else DecodingNetwork(network, codec).eval()
    example = example_inputs(saved, draw_people(saved) if crops is None else crops)
    # Run before it is traced: what codecs keep for later calls must be made of real tensors.
    with torch.inference_mode():
        expected: Outputs = module(example)
    tensors = expected if isinstance(expected, tuple) else (expected,)
    names = ["keypoints", "scores"] if outputs == "keypoints" else [f"output_{i}" for i in range(len(tensors))]
    described = export_description(model_folder, saved, outputs)
    with atomic_file(target) as temporary:
        trace(module, example[:2], temporary, names)
        add_metadata(temporary, {KEY: json.dumps(described)})
        if outputs == "raw":
            difference = compare_outputs(temporary, example, tensors)
            check_difference(target, difference, TOLERANCE, "relative")
        else:
            difference = compare_keypoints(target, temporary, example, tensors)
    write_json(target.with_suffix(".json"), described)
    return difference


def example_inputs(saved: SavedModel, crops: Crops) -> Float[Tensor, "B 3 H W"]:
    """Normalised crops, at least two: a batch of one would be traced as a constant."""
    given = crops if len(crops) > 1 else np.concatenate([crops, crops])
    return normalise_images(torch.from_numpy(given).permute(0, 3, 1, 2), saved.model.normalise)


def export_description(model_folder: Path, saved: SavedModel, outputs: Contents) -> dict[str, Yaml]:
    """The description of the exported file: the model's own, or of keypoints that are decoded in the graph."""
    if outputs == "keypoints":
        codec = CodecConfig(kind="keypoints", geometry=saved.codec.geometry, keypoints=KeypointsConfig(order="xy", units="pixels"))
        saved = replace(saved, codec=codec, extra={**saved.extra, "decoded_from": saved.codec.kind})
    weights_hash = read_json(model_folder / SPEC_FILE, made_by="train").get("weights_hash")
    return {**ADAPTER.dump_python(saved, mode="json", by_alias=True), "weights_hash": weights_hash}


def trace(module: nn.Module, example: Float[Tensor, "B 3 H W"], target: Path, names: list[str]) -> None:
    """Write the traced network with a free batch size.

    Raises:
        BackendError: onnx or onnxscript is not installed, or the network holds what ONNX does not have.
    """
    batch = torch.export.Dim("batch", min=1)
    opset = DEFORMABLE_OPSET if any(isinstance(part, DeformableConv) for part in module.modules()) else OPSET
    try:
        # The exporter reports its progress on stdout, which belongs to results.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module, (example,), str(target), input_names=["images"], output_names=names, opset_version=opset,
                dynamic_shapes=({0: batch},), dynamo=True, external_data=False, verbose=False,
            )  # fmt: skip
    except ModuleNotFoundError as error:
        raise BackendError(f"export: '{error.name}' is not installed. Run `pip install 'poseline[onnx]'`.") from None
    except torch.onnx.OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:160]
        raise BackendError(f"export: this network cannot be written as ONNX ({reason}).") from None


def compare_outputs(path: Path, example: torch.Tensor, expected: tuple[torch.Tensor, ...]) -> float:
    """The largest relative norm of the difference between an ONNX file's outputs and the expected ones."""
    found = onnx_forward(path)(example)
    outputs = found if isinstance(found, tuple) else (found,)
    return max(float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in zip(outputs, expected, strict=True))


def compare_keypoints(target: Path, path: Path, example: torch.Tensor, expected: tuple[torch.Tensor, ...]) -> float:
    """The largest distance between keypoints decoded in the graph and the expected ones, pixels.

    Raises:
        BackendError: they, or their scores, differ by more than is allowed.
    """
    keypoints, scores = onnx_forward(path)(example)
    distance = float((keypoints - expected[0]).norm(dim=-1).max())
    check_difference(target, distance, TOLERANCE_PX, "px")
    check_difference(target, float((scores - expected[1]).abs().max()), TOLERANCE_SCORE, "in scores")
    return distance


def check_difference(target: Path, difference: float, allowed: float, what: str) -> None:
    """Pass a difference that is allowed.

    Raises:
        BackendError: it is not.
    """
    if not difference <= allowed:
        raise BackendError(
            f"{target}: the exported network differs from PyTorch's by {difference:.1e} {what}, allowed {allowed:.0e}. It was not kept."
        )
