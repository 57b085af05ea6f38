"""A trained network in MLflow's model layout, and its upload."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from poseline.errors import BackendError
from poseline.experiments.lineage import KEY, SESSION, WEIGHTS
from poseline.experiments.record import RunRecord
from poseline.experiments.store import one_line, store_faults

if TYPE_CHECKING:
    import torch
    from mlflow.tracking import MlflowClient


# What tracing a network, or the libraries that write it, may raise.
EXPORT_FAULTS: tuple[type[BaseException], ...] = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def export_model(source: Path, target: Path) -> None:
    """Write the model of a folder of ours in MLflow's layout.

    Raises:
        BackendError: it cannot be exported.
    """
    import torch

    from poseline.models.saved import load_model

    module, saved = load_model(source)
    width, height = saved.model.input_wh
    try:
        save_model(module, target, example=torch.zeros(2, 3, height, width))
    except EXPORT_FAULTS + store_faults() as error:
        shutil.rmtree(target, ignore_errors=True)
        raise BackendError(f"the model was not logged: {one_line(error)}") from error


def save_model(module: torch.nn.Module, folder: Path, *, example: torch.Tensor) -> None:
    """Write the network as an exported graph (no pickle), with its signature and requirements, batch size free.

    Args:
        module: takes one tensor; returns one, or several as a tuple or mapping, which the signature names ``output_0``, ... or by key.
        folder: must not exist.
        example: [B, ...], B >= 2: a batch of one would be frozen into the graph.

    Raises:
        ValueError: a batch below two.
    """
    import mlflow.pytorch
    import torch
    from mlflow.models import infer_signature

    if example.ndim < 2 or example.shape[0] < 2:
        raise ValueError(f"example: expected a batch of at least 2, got shape {tuple(example.shape)}")
    network = module.cpu().eval()
    with torch.no_grad():
        made = network(example)
    mlflow.pytorch.save_model(
        network,
        str(folder),
        signature=infer_signature(example.numpy(), _as_arrays(made)),
        input_example=example.numpy(),
        pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", f"numpy=={np.__version__}"],
        serialization_format="pt2",
    )


def _as_arrays(made: torch.Tensor | tuple[torch.Tensor, ...] | Mapping[str, torch.Tensor]) -> np.ndarray | dict[str, np.ndarray]:
    """A network's outputs as MLflow's signature takes them."""
    if isinstance(made, Mapping):
        return {name: value.numpy() for name, value in made.items()}
    if isinstance(made, tuple):
        return {f"output_{index}": value.numpy() for index, value in enumerate(made)}
    return made.numpy()


def upload_model(client: MlflowClient, folder: Path, record: RunRecord, *, run_id: str, experiment_id: str, name: str) -> str:
    """Id of the model of an attempt, logged once and linked it with its run; an upload that was cut short is deleted and made again."""
    from mlflow.entities import LoggedModelOutput

    model_id = _uploaded_model(client, folder, record, run_id=run_id, experiment_id=experiment_id, name=name)
    outputs = client.get_run(run_id).outputs
    if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:  # the store would add a second link
        client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
    return model_id


def _uploaded_model(client: MlflowClient, folder: Path, record: RunRecord, *, run_id: str, experiment_id: str, name: str) -> str:
    from mlflow.models import Model

    for earlier in client.search_logged_models([experiment_id], f"tags.`{SESSION}` = '{record.session}'"):
        if str(earlier.status) == "READY":
            return earlier.model_id
        client.delete_logged_model(earlier.model_id)
    tags = {WEIGHTS: record.weights or "", SESSION: record.session, KEY: record.identity.key}
    model = client.create_logged_model(experiment_id, name, run_id, tags, None, "pytorch")
    description = Model.load(str(folder))
    description.model_id, description.run_id, description.artifact_path = model.model_id, run_id, model.artifact_location
    description.save(str(folder / "MLmodel"))
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    return model.model_id
