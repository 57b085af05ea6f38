"""The experiment store: where it is, its one-time set-up, and whether it answers."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.artifacts import Layout, write_json
from poseline.config import MlflowConfig
from poseline.config.params import Yaml
from poseline.errors import BackendError
from poseline.experiments.view import experiment_tags

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PROBE_TIMEOUT_S = 3.0
# MLflow's own defaults block the first call to a dead server for 247 s. A user's values win.
SHORT_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class StoreLostError(Exception):
    """The store does not answer; the reason is the message."""


def tracking_uri(config: MlflowConfig, root: Path) -> str:
    """MLFLOW_TRACKING_URI where set, else the configured address, else the project's own sqlite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or config.uri or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def artifact_location(uri: str, root: Path) -> str | None:
    """The absolute folder of a local store's artifacts; None where a server decides."""
    return None if uri.startswith(("http://", "https://", "databricks")) else (root.resolve() / "mlartifacts").as_uri()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file among processes; the kernel frees it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def init_store(config: MlflowConfig, root: Path) -> None:
    """Create or upgrade a sqlite store, once: four processes that first touch an empty one would break it for good.

    A second call costs no MLflow import. Stores of other kinds belong to their server.

    Raises:
        BackendError: mlflow is not installed, or the file cannot be made into a store.
    """
    uri = tracking_uri(config, root)
    if not uri.startswith("sqlite:///"):
        return
    database = Path(uri.removeprefix("sqlite:///"))
    mark = Layout(root).cache / "mlflow-store.json"
    try:
        wanted: dict[str, Yaml] = {"uri": uri, "mlflow": version("mlflow")}
        with locked(Layout(root).cache / "mlflow-store.lock"):
            if database.is_file() and database.stat().st_size and mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == wanted:
                return
            database.parent.mkdir(parents=True, exist_ok=True)
            _upgrade(uri)
            write_json(mark, wanted)
    except ModuleNotFoundError as error:
        raise BackendError(f"mlflow is not installed ({error.name}). Install it: pip install 'poseline[pipeline]'") from None
    except Exception as error:  # whatever sqlite, alembic or the file system says, the user needs one line
        raise BackendError(f"{database}: cannot be used as experiment store: {one_line(error)}. Move it away, or set mlflow.uri") from error


def _upgrade(uri: str) -> None:
    """Bring a sqlite store to the installed MLflow's schema: all its tables first, then the migrations that are missing."""
    from mlflow.store.db import utils

    quiet()
    engine = utils.create_sqlalchemy_engine(uri)
    try:
        if utils._is_empty_database(engine):
            utils._initialize_tables(engine)
        else:
            utils._upgrade_db(engine)
    finally:
        engine.dispose()


def connect(config: MlflowConfig, root: Path) -> MlflowClient:
    """A client of a store that has just answered.

    Raises:
        StoreLostError: it does not answer, cannot be used, or mlflow is missing.
    """
    uri = tracking_uri(config, root)
    for name, value in SHORT_PATIENCE.items():
        os.environ.setdefault(name, value)
    if uri.startswith(("http://", "https://")):
        probe(uri)
    try:
        init_store(config, root)
        from mlflow.tracking import MlflowClient

        quiet()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    except Exception as error:  # tracking never kills the work: any reason not to log means 'spool'
        raise StoreLostError(f"{uri}: {one_line(error)}") from error
    return client


def probe_store(config: MlflowConfig, root: Path) -> None:
    """Return when the store answers; a sqlite file that does not exist yet will be made when it is needed.

    Raises:
        BackendError: it does not answer, cannot be used, or mlflow is missing.
    """
    uri = tracking_uri(config, root)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return
    try:
        connect(config, root)
    except StoreLostError as error:
        raise BackendError(str(error)) from None


def probe(uri: str) -> None:
    """Ask a server once whether it lives; any HTTP answer will do.

    Raises:
        StoreLostError: no answer in time.
    """
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PROBE_TIMEOUT_S):
            pass
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise StoreLostError(f"{uri}: no answer ({reason})") from None


def open_experiment(client: MlflowClient, name: str, location: str | None) -> str:
    """The experiment's id; it is created, or restored from deletion, when needed."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=location, tags=experiment_tags())
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for key, value in experiment_tags().items():  # an experiment made by hand, or by an older poseline
        if key not in found.tags:
            client.set_experiment_tag(found.experiment_id, key, value)
    return found.experiment_id


def is_refusal(error: Exception) -> bool:
    """True when the store lives and rejects what it was given: the same request would fail for ever."""
    code = getattr(error, "error_code", None)  # MlflowException; not imported for this
    return code in {"INVALID_PARAMETER_VALUE", "INVALID_STATE", "MALFORMED_REQUEST", "RESOURCE_ALREADY_EXISTS"}


def quiet() -> None:
    """Keep MLflow's and alembic's progress notes off the user's screen; their warnings stay."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def one_line(error: BaseException) -> str:
    """An exception's first line, or its name."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
