"""The registered model under the alias ``champion``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poseline.artifacts import Layout, file_hash
from poseline.config import Params
from poseline.errors import BackendError
from poseline.experiments.lineage import WEIGHTS
from poseline.experiments.mirror import Mirror
from poseline.experiments.store import StoreLostError, is_refusal, store_errors, tracking_uri

CHAMPION = "champion"


def set_champion(params: Params, layout: Layout, *, weights: Path) -> str:
    """The registry version of the logged model with these weights, now under the alias ``champion``; registered once.

    Raises:
        BackendError: the store does not answer, or knows no such model.
    """
    try:
        mirror = Mirror.open(params.mlflow, layout)
        with store_errors():
            return _set_champion(mirror, weights, uri=tracking_uri(params.mlflow, (layout.main or layout.root).resolve()))
    except StoreLostError as error:
        raise BackendError(f"{error}. The alias '{CHAMPION}' was not moved.") from None


def has_champion(params: Params, layout: Layout) -> bool:
    """Whether the store has a registered model under the alias ``champion``.

    Raises:
        BackendError: the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        mirror = Mirror.open(params.mlflow, layout)
        with store_errors():
            try:
                mirror.client.get_model_version_by_alias(mirror.model, CHAMPION)
            except MlflowException as error:
                if not is_refusal(error):
                    raise
                return False
    except StoreLostError as error:
        raise BackendError(f"promote: {error}; nothing was promoted. Start the store, or set MLFLOW_TRACKING_URI.") from None
    return True


def _set_champion(mirror: Mirror, weights: Path, *, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    name, client, digest = mirror.model, mirror.client, file_hash(weights)
    model_id = mirror.model_id(digest)
    if model_id is None:
        raise BackendError(f"{weights}: the experiment store knows no model with these weights. Run: poseline sync, or train it here.")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if not is_refusal(error):  # it exists already: the usual case
            raise
    known = [version for version in client.search_model_versions(f"name = '{name}'") if version.tags.get(WEIGHTS) == digest]
    if not known:
        run_id = client.get_logged_model(model_id).source_run_id
        with _default_store(uri):
            known = [client.create_model_version(name, f"models:/{model_id}", run_id, {WEIGHTS: digest}, model_id=model_id)]
    client.set_registered_model_alias(name, CHAMPION, known[0].version)
    return str(known[0].version)


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make a store MLflow's default: a sqlite registry resolves ``models:/<id>`` there, whatever its client's own address."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        if before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before
