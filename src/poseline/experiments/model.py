"""A network in MLflow's model layout."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def save_model(module: torch.nn.Module, folder: Path, *, example: torch.Tensor, requirements: Sequence[str] | None = None) -> None:
    """Write the network as an exported graph (no pickle), with its signature and requirements, batch size free.

    Args:
        module: takes one tensor, returns one.
        folder: must not exist.
        example: [B, ...], B >= 2: a batch of one would be frozen into the graph.
        requirements: pip requirements; default torch and numpy, pinned.

    Raises:
        ValueError: a batch below two.
        TypeError: an output that is no tensor.
    """
    import mlflow.pytorch
    import numpy
    import torch
    from mlflow.models import infer_signature

    if example.ndim < 2 or example.shape[0] < 2:
        raise ValueError(f"example: expected a batch of at least 2, got shape {tuple(example.shape)}")
    network = copy.deepcopy(module).cpu().eval()
    given = example.detach().cpu()
    with torch.no_grad():
        made = network(given)
    if not isinstance(made, torch.Tensor):
        raise TypeError(f"module: expected one tensor as output, got {type(made).__name__}")
    pinned = [f"torch=={torch.__version__.split('+')[0]}", f"numpy=={numpy.__version__}"]
    mlflow.pytorch.save_model(
        network,
        str(folder),
        signature=infer_signature(given.numpy(), made.numpy()),
        input_example=given.numpy(),
        pip_requirements=list(requirements or pinned),
        serialization_format="pt2",
    )
