"""The registered model under the alias ``champion``."""

from __future__ import annotations

from pathlib import Path

from poseline.artifacts import Layout, file_hash
from poseline.config import Params
from poseline.errors import BackendError
from poseline.experiments.mirror import Mirror
from poseline.experiments.record import locked
from poseline.experiments.registry import find_alias, register
from poseline.experiments.store import StoreLostError, store_errors

CHAMPION = "champion"


def set_champion(params: Params, layout: Layout, *, weights: Path) -> str:
    """The registry version of the logged model with these weights, now under the alias ``champion``; registered once.

    Raises:
        BackendError: the store does not answer, or knows no such model.
    """
    digest = file_hash(weights)
    try:
        mirror = Mirror.open(params.mlflow, layout)
        with store_errors(), locked(mirror.lock):
            model_id = mirror.model_id(digest)
            if model_id is None:
                raise BackendError(
                    f"{weights}: the experiment store knows no model with these weights. Run: poseline sync, or train it here."
                )
            version = register(mirror.client, mirror.model, model_id, digest, uri=mirror.uri)
            mirror.client.set_registered_model_alias(mirror.model, CHAMPION, version)
            return version
    except StoreLostError as error:
        raise BackendError(f"{error}. The alias '{CHAMPION}' was not moved.") from None


def has_champion(params: Params, layout: Layout) -> bool:
    """Whether the store has a registered model under the alias ``champion``.

    Raises:
        BackendError: the store does not answer.
    """
    try:
        mirror = Mirror.open(params.mlflow, layout)
        with store_errors():
            return find_alias(mirror.client, mirror.model, CHAMPION) is not None
    except StoreLostError as error:
        raise BackendError(f"promote: {error}; nothing was promoted. Start the store, or set MLFLOW_TRACKING_URI.") from None
