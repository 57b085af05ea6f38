"""A trained model as ONNX, with the description that runs it, checked against PyTorch before it is kept."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from pathlib import Path

import numpy as np
import torch

from poseline.artifacts import atomic_file
from poseline.errors import BackendError
from poseline.infer.runtime import onnx_forward
from poseline.models.saved import SPEC_FILE, load_model

TOLERANCE = 1e-4


def export_onnx(model_folder: Path, target: Path) -> float:
    """Write ``target`` (.onnx) and its description (.json beside it); the largest relative difference to PyTorch.

    The batch size stays free. Input ``images`` [B, 3, H, W] float32, normalised as the description says.

    Raises:
        BackendError: onnx or onnxscript is not installed, or the file's outputs differ from PyTorch's by more than 1e-4.
        ArtifactError: the model folder is missing or damaged.
    """
    module, saved = load_model(model_folder)
    width, height = saved.model.input_wh
    example = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, height, width)).astype(np.float32))
    with torch.inference_mode():
        expected = module(example)
    tensors = expected if isinstance(expected, tuple) else (expected,)
    names = [f"output_{i}" for i in range(len(tensors))]
    batch = torch.export.Dim("batch", min=1)
    with atomic_file(target) as temporary:
        try:
            # The exporter reports its progress on stdout, which belongs to results.
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    module, (example,), str(temporary), input_names=["images"], output_names=names,
                    dynamic_shapes=({0: batch},), dynamo=True, external_data=False, verbose=False,
                )  # fmt: skip
        except ModuleNotFoundError as error:
            raise BackendError(f"export: '{error.name}' is not installed. Run `pip install 'poseline[onnx]'`.") from None
        difference = compare_outputs(temporary, example, tensors)
        if difference > TOLERANCE:
            raise BackendError(
                f"{target}: the exported network differs from PyTorch's by {difference:.1e} relative, allowed {TOLERANCE:.0e}."
            )
    with atomic_file(target.with_suffix(".json")) as temporary:
        shutil.copyfile(model_folder / SPEC_FILE, temporary)
    return difference


def compare_outputs(path: Path, example: torch.Tensor, expected: tuple[torch.Tensor, ...]) -> float:
    """The largest relative norm of the difference between an ONNX file's outputs and the expected ones."""
    found = onnx_forward(path)(example)
    outputs = found if isinstance(found, tuple) else (found,)
    return max(float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in zip(outputs, expected, strict=True))
