"""One run of the store, written in pieces that the store accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from poseline.experiments.record import RunRecord
from poseline.experiments.store import is_refusal, one_line

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    Row = TypeVar("Row", Metric, Param)
else:
    Row = TypeVar("Row")
METRICS_PER_BATCH, TEXTS_PER_BATCH, TEXT_LENGTH = 1000, 100, 6000


class RunLostError(Exception):
    """The run that a record writes to was deleted from the store."""


@dataclass
class Writer:
    """One run, written in pieces that the store accepts; what it refuses is noted and left out."""

    client: MlflowClient
    run_id: str
    refused: list[str] = field(default_factory=list)

    def metrics(self, rows: Sequence[Metric]) -> None:
        """Write values; those that have arrived before are no new ones."""
        self._batches(rows, METRICS_PER_BATCH, lambda part: self.client.log_batch(self.run_id, metrics=part))

    def params(self, values: dict[str, str]) -> None:
        """Write parameters, very long ones cut."""
        from mlflow.entities import Param

        rows = [Param(key, value[:TEXT_LENGTH]) for key, value in values.items()]
        self._batches(rows, TEXTS_PER_BATCH, lambda part: self.client.log_batch(self.run_id, params=part))

    def inputs(self, record: RunRecord) -> None:
        """Link the data sets that the stage read."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        sets = [(Dataset(data.name, data.digest, "dvc", json.dumps({"path": data.name})), data.context) for data in record.data]
        if sets:
            rows = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)]) for dataset, context in sets]
            self.call("data sets", lambda: self.client.log_inputs(self.run_id, rows))

    def artifacts(self, folder: Path) -> None:
        """Upload what a folder holds."""
        if folder.is_dir():
            self.call("artifacts", lambda: self.client.log_artifacts(self.run_id, str(folder)))

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self.call(name, lambda: self.client.set_tag(self.run_id, name, value))

    def end(self, status: str, ended_ms: int | None = None) -> None:
        """Set the status of a run that is over."""
        self.call(f"status {status}", lambda: self.client.set_terminated(self.run_id, status=status, end_time=ended_ms))

    def call(self, what: str, request: Callable[[], object]) -> None:
        """Make a request and note a refusal.

        Raises:
            RunLostError: the run is not there, or deleted.
        """
        if reason := self._refusal(request):
            self.refused.append(f"{what}: {reason}")

    def _batches(self, rows: Sequence[Row], size: int, write: Callable[[Sequence[Row]], object]) -> None:
        """Write in batches; one that is refused is written again name by name, so that no good neighbour is lost."""
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            if self._refusal(partial(write, part)):
                for name in dict.fromkeys(row.key for row in part):
                    self.call(name, partial(write, [row for row in part if row.key == name]))

    def _refusal(self, request: Callable[[], object]) -> str | None:
        """Why the store refuses a request, None where it does not."""
        from mlflow.exceptions import MlflowException

        try:
            request()
        except MlflowException as error:
            if not is_refusal(error):
                raise
            if lifecycle(self.client, self.run_id) != "active":
                raise RunLostError(self.run_id) from error
            return one_line(error)
        return None


def lifecycle(client: MlflowClient, run_id: str) -> str | None:
    """``active`` or ``deleted``; None where the store has no such run."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.get_run(run_id).info.lifecycle_stage)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
