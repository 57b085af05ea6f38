"""The experiment store: where it is, its one-time set-up, whether it answers, and what may go wrong with it."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from poseline.artifacts import Layout, write_json
from poseline.config import MlflowConfig
from poseline.config.params import Yaml
from poseline.errors import BackendError
from poseline.experiments.lineage import masked
from poseline.experiments.record import locked
from poseline.experiments.view import experiment_tags

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PROBE_TIMEOUT_S = 2.0
LONGEST_REASON = 250
CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
# MLflow's own defaults block the first call to a dead server for 247 s. A user's values win.
SHORT_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_PRINT_MODEL_URLS_ON_CREATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PGCONNECT_TIMEOUT": "2",
}
# What a store, its database, its artifact storage and the network raise. Libraries that are not loaded have raised nothing.
FAULTS = {
    "mlflow.exceptions": ("MlflowException",),
    "requests.exceptions": ("RequestException",),
    "urllib3.exceptions": ("HTTPError",),
    "sqlalchemy.exc": ("SQLAlchemyError",),
    "alembic.util.exc": ("CommandError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "boto3.exceptions": ("Boto3Error",),
    "azure.core.exceptions": ("AzureError",),
    "google.api_core.exceptions": ("GoogleAPIError",),
    "google.auth.exceptions": ("GoogleAuthError",),
}
REFUSALS = ("INVALID_PARAMETER_VALUE", "INVALID_STATE", "MALFORMED_REQUEST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST")


class StoreLostError(Exception):
    """The store does not answer, or failed; the reason is the message."""


def store_faults() -> tuple[type[BaseException], ...]:
    """Everything that a store may raise."""
    loaded = ((sys.modules[module], names) for module, names in FAULTS.items() if module in sys.modules)
    return (OSError, ImportError, *(getattr(module, name) for module, names in loaded for name in names))


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the store's faults into one.

    Raises:
        StoreLostError: in place of any of them.
    """
    try:
        yield
    except store_faults() as error:
        raise StoreLostError(one_line(error)) from error


def is_refusal(error: BaseException) -> bool:
    """True when the store lives and rejects what it was given: the same request would fail for ever."""
    return getattr(error, "error_code", None) in REFUSALS  # MlflowException; not imported for this


def one_line(error: BaseException) -> str:
    """An exception's first line, without the middle where it is very long, or its name."""
    line = masked(next(iter(str(error).splitlines()), "") or type(error).__name__)
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON // 2]} ... {line[-LONGEST_REASON // 2 :]}"


def tracking_uri(config: MlflowConfig, root: Path) -> str:
    """MLFLOW_TRACKING_URI where set, else the configured address, else the project's own sqlite file.

    The relative path of a file, or of a folder that begins with a dot, counts from the main checkout, wherever the command stands.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or config.uri
    if not uri:
        return sqlite_uri(root.resolve() / "mlflow.db")
    file = uri.removeprefix("sqlite:///")
    if file != uri and not Path(file).is_absolute():
        return sqlite_uri(root.resolve() / file)
    return str(root.resolve() / uri) if uri.startswith(".") else uri


def store_address(config: MlflowConfig) -> str:
    """What tells a project's stores apart: the address as it is set, without a password, and the experiment."""
    return f"{masked(os.environ.get('MLFLOW_TRACKING_URI') or config.uri or 'mlflow.db')} {experiment_name(config)}"


def experiment_name(config: MlflowConfig) -> str:
    """MLFLOW_EXPERIMENT_NAME where set, else the configured one."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or config.experiment


def sqlite_uri(path: Path) -> str:
    """The address of a sqlite file. Any character of the path may mean something in an address, so the library quotes it.

    Where it does, the address names the driver too: behind ``sqlite:///`` MLflow takes the quoted text for a path and makes its folder.

    >>> sqlite_uri(Path("/runs/a/mlflow.db"))
    'sqlite:////runs/a/mlflow.db'
    >>> sqlite_uri(Path("/runs/a%2Fb?/mlflow.db"))
    'sqlite+pysqlite:////runs/a%252Fb%3F/mlflow.db'
    """
    plain = f"sqlite:///{path}"
    try:
        from sqlalchemy.engine import URL
    except ModuleNotFoundError:  # no store can be opened either: what opens it says so
        return plain
    if URL.create("sqlite", database=str(path)).render_as_string(hide_password=False) == plain:
        return plain
    return URL.create("sqlite+pysqlite", database=str(path)).render_as_string(hide_password=False)


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite address; None for a store of another kind."""
    if not uri.startswith("sqlite"):
        return None
    try:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError
    except ModuleNotFoundError:
        return Path(uri.removeprefix("sqlite:///"))
    try:
        database = make_url(uri).database
    except ArgumentError:
        return None
    return Path(database) if database else None


def shown_uri(config: MlflowConfig, root: Path) -> str:
    """The store's address without user and password."""
    return masked(tracking_uri(config, root))


def artifact_location(uri: str, root: Path) -> str | None:
    """The absolute folder of a local store's artifacts; None where a server decides."""
    return None if uri.startswith(("http://", "https://", "databricks")) else (root.resolve() / "mlartifacts").as_uri()


def init_store(config: MlflowConfig, root: Path) -> None:
    """Create or upgrade a sqlite store, once: four processes that first touch an empty one would break it for good.

    A second call costs no MLflow import. Stores of other kinds belong to their server.

    Raises:
        BackendError: mlflow is not installed, or the file cannot be made into a store.
    """
    uri = tracking_uri(config, root)
    database = sqlite_file(uri)
    if database is None:
        return
    mark = Layout(root).cache / "mlflow-store.json"
    try:
        wanted: dict[str, Yaml] = {"uri": uri, "mlflow": version("mlflow")}
        with store_errors(), locked(Layout(root).cache / "mlflow-store.lock"):
            if database.is_file() and database.stat().st_size and mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == wanted:
                return
            database.parent.mkdir(parents=True, exist_ok=True)
            from mlflow.db import upgrade

            quiet()
            assert upgrade.callback is not None  # the function behind `mlflow db upgrade`
            upgrade.callback(uri)
            write_json(mark, wanted)
    except ModuleNotFoundError as error:
        raise BackendError(f"mlflow is not installed ({error.name}). Install it: pip install 'poseline[pipeline]'") from None
    except StoreLostError as error:
        raise BackendError(f"{database}: cannot be used as experiment store: {error}. Move it away, or set mlflow.uri") from error


def connect(config: MlflowConfig, root: Path) -> MlflowClient:
    """A client of a store that has just answered.

    Raises:
        StoreLostError: it does not answer, cannot be used, or mlflow is missing.
    """
    uri = tracking_uri(config, root)
    for name, value in SHORT_PATIENCE.items():
        os.environ.setdefault(name, value)
    probe(uri)
    try:
        init_store(config, root)
    except BackendError as error:
        raise StoreLostError(str(error)) from error
    with store_errors():
        if "sql" in urlsplit(uri).scheme:
            import mlflow.store.db.utils

            mlflow.store.db.utils.MAX_RETRY_COUNT = 1  # else ten times, 102 s and a page of warnings
        from mlflow.tracking import MlflowClient

        quiet()
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def probe_store(config: MlflowConfig, root: Path) -> None:
    """Return when the store answers; a sqlite file that does not exist yet will be made when it is needed.

    Raises:
        BackendError: it does not answer, cannot be used, or mlflow is missing.
    """
    uri = tracking_uri(config, root)
    database = sqlite_file(uri)
    if database is not None and not database.exists():
        return
    try:
        client = connect(config, root)
        with store_errors():
            client.search_experiments(max_results=1)
    except StoreLostError as error:
        raise BackendError(str(error)) from None


def probe(uri: str) -> None:
    """Ask once whether anyone is there: a server's health page, where any HTTP answer will do; a database's port.

    Raises:
        StoreLostError: no answer in time.
    """
    try:
        address = urlsplit(uri)
        host, port = address.hostname, address.port
        if address.scheme in ("http", "https"):
            place = address.netloc.rpartition("@")[2]
            page = f"{address.scheme}://{place}{address.path.rstrip('/')}/health"
            context = tls_context() if address.scheme == "https" else None
            with urllib.request.urlopen(page, timeout=PROBE_TIMEOUT_S, context=context):
                pass
        elif host and (port := port or DATABASE_PORTS.get(address.scheme.partition("+")[0])):
            socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise StoreLostError(
                f"{masked(uri)}: its certificate is not accepted: {reason.verify_message}. Name one of your own in {CERTIFICATE}"
            ) from None
        raise StoreLostError(f"{masked(uri)}: no answer ({reason})") from None


def tls_context() -> ssl.SSLContext:
    """How the certificate of a server is checked, after the same variables as MLflow's client.

    Raises:
        OSError: a file that they name cannot be read.
    """
    context = ssl.create_default_context()
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    named = next((os.environ[name] for name in (CERTIFICATE, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if named is not None:
        try:
            context.load_verify_locations(**{"capath" if Path(named).is_dir() else "cafile": named})
        except OSError as error:
            raise OSError(f"{named}: not a readable certificate ({error.strerror or error})") from None
    own = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    if own:
        context.load_cert_chain(own)
    return context


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


def quiet() -> None:
    """Keep MLflow's and alembic's progress notes off the user's screen; their warnings stay."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
