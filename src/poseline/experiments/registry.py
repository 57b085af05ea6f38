"""The registered model: a version for each trained network that the store logged, and the alias of the newest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from poseline.experiments.lineage import WEIGHTS
from poseline.experiments.record import RunRecord
from poseline.experiments.store import is_refusal

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CANDIDATE = "candidate"
TRAINED = "poseline.trained_ms"
"""Tag of a version: when the training that last gave these weights ended."""


def register(client: MlflowClient, name: str, model_id: str, weights: str, *, uri: str) -> str:
    """The version of the registered model with these weights; made where there is none.

    Args:
        client: of the store.
        name: of the registered model.
        model_id: of the logged model.
        weights: hash of its weights.
        uri: the store's address.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if not is_refusal(error):  # it exists already: the usual case
            raise
    known = [version for version in client.search_model_versions(f"name = '{name}'") if version.tags.get(WEIGHTS) == weights]
    if not known:
        run_id = client.get_logged_model(model_id).source_run_id
        with _default_store(uri):
            known = [client.create_model_version(name, f"models:/{model_id}", run_id, {WEIGHTS: weights}, model_id=model_id)]
    return str(known[0].version)


def nominate(client: MlflowClient, name: str, model_id: str, record: RunRecord, *, uri: str) -> None:
    """Give the alias ``candidate`` to the model of a training that ended, unless the alias is at one whose training ended later.

    What DVC restored is no new model: it takes the alias only where nothing has it.
    """
    now = find_alias(client, name, CANDIDATE)
    ended = record.ended_ms or 0
    if not record.weights or (now is not None and (record.restored or int(now.tags.get(TRAINED, 0)) > ended)):
        return
    version = register(client, name, model_id, record.weights, uri=uri)
    client.set_model_version_tag(name, version, TRAINED, str(ended))
    if now is None or str(now.version) != version:
        client.set_registered_model_alias(name, CANDIDATE, version)


def find_alias(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version under an alias; None where nothing has it."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if not is_refusal(error):
            raise
        return None


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make a store MLflow's default: a sqlite registry resolves ``models:/<id>`` there, whatever its client's own address."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before
