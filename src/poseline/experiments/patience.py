"""How long a stage may be held up by its store: requests that take long count against a budget, and when it is spent none is made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
LIMIT_S = 3.0
QUICK_S = 0.4
"""A request that takes no longer costs nothing: the store does its work, however many there are."""
TRANSFERS = ("log_artifacts", "log_model_artifacts", "download_artifacts")
"""Requests whose time grows with the files, which say nothing of how the store answers."""


class StoreLostError(Exception):
    """The store does not answer, or failed; the reason is the message."""


class Patience:
    """What is left of the time that a stage waits for a store which is down or slow.

    Only the main thread's waiting counts: what happens in the background holds no work up.
    """

    def __init__(self, seconds: float = LIMIT_S) -> None:
        """So many seconds in all."""
        self.left_s = seconds
        self.store = "the store"
        self._inside = False

    def timed(self, request: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """The request, which is not made when no time is left."""

        @wraps(request)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            if self._inside or threading.current_thread() is not threading.main_thread():
                return request(*args, **kwargs)
            if self.left_s <= 0:
                raise StoreLostError(f"{self.store}: answers too slowly")
            self._inside, started = True, time.monotonic()
            try:
                return request(*args, **kwargs)
            finally:
                self._inside, seconds = False, time.monotonic() - started
                self.left_s -= seconds if seconds > QUICK_S else 0.0

        return call


def make_client(uri: str, patience: Patience | None) -> MlflowClient:
    """A client of a store, whose requests count where there is a limit to them."""
    from mlflow.tracking import MlflowClient

    if patience is None:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    limit = patience

    class TimedClient(MlflowClient):
        def __getattribute__(self, name: str) -> object:
            found = super().__getattribute__(name)
            return found if name.startswith("_") or name in TRANSFERS or not callable(found) else limit.timed(found)

    return TimedClient(tracking_uri=uri, registry_uri=uri)
