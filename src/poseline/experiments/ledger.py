"""Events written into the MLflow store. Every event may come twice: applying it again changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.artifacts import Layout
from poseline.config import MlflowConfig
from poseline.experiments.events import (
    Begin,
    End,
    Event,
    LogArtifact,
    LogDataset,
    LogMetrics,
    LogModel,
    LogParams,
    MetricRow,
    SetTags,
    Target,
)
from poseline.experiments.lineage import KEY, PARAMS_HASH, ROLE, SESSION, STAGE, Identity
from poseline.experiments.store import artifact_location, connect, locked, open_experiment, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.tracking import MlflowClient

METRICS_PER_BATCH = 1000
TEXTS_PER_BATCH = 100
WEIGHTS = "poseline.weights"
MIRRORED = "poseline.mirrored"


@dataclass(frozen=True)
class Runs:
    """The runs that one attempt at a stage writes to."""

    parent_id: str
    child_id: str
    begin: Begin

    def of(self, target: Target) -> str:
        """The run of a target."""
        return self.parent_id if target == "parent" else self.child_id


@dataclass
class Ledger:
    """One experiment of one store."""

    client: MlflowClient
    experiment_id: str
    lock: Path
    _models: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, config: MlflowConfig, root: Path) -> Ledger:
        """The project's ledger.

        Raises:
            StoreLostError: the store does not answer.
        """
        client = connect(config, root)
        uri = tracking_uri(config, root)
        experiment_id = open_experiment(client, config.experiment, artifact_location(uri, root))
        return cls(client, experiment_id, Layout(root).cache / "mlflow-runs.lock")

    def begin(self, event: Begin) -> Runs:
        """The runs of an attempt, found by its session or created. A later :meth:`settle` puts earlier attempts away."""
        with locked(self.lock):
            parent = self.parent_of(event.identity.key) or self.create_parent(event.identity, event.started_ms)
            child = self._child_of(event.session) or self._create_child(parent, event)
            if child.info.lifecycle_stage == "deleted":
                self.client.restore_run(child.info.run_id)
        return Runs(parent.info.run_id, child.info.run_id, event)

    def apply(self, event: Event, runs: Runs) -> None:
        """Write one event."""
        match event:
            case Begin():
                pass
            case LogParams():
                self.log_texts(runs.child_id, params=event.values)
            case SetTags():
                self.log_texts(runs.of(event.target), tags=event.values)
            case LogMetrics():
                self.log_rows(runs.child_id, [row for row in event.rows if row.target == "child"])
                self.log_rows(runs.parent_id, [row for row in event.rows if row.target == "parent"])
            case LogArtifact():
                self._log_artifact(event, runs.of(event.target))
            case LogDataset():
                self._log_dataset(event, runs.child_id)
            case LogModel():
                self._log_model(event, runs)
            case End():
                self._end(event, runs)

    def log_texts(self, run_id: str, *, params: dict[str, str] | None = None, tags: dict[str, str] | None = None) -> None:
        """Write parameters and tags in batches that the store accepts."""
        from mlflow.entities import Param, RunTag

        all_params = [Param(key, value) for key, value in (params or {}).items()]
        all_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
        for start in range(0, len(all_params), TEXTS_PER_BATCH):
            self.client.log_batch(run_id, params=all_params[start : start + TEXTS_PER_BATCH])
        for start in range(0, len(all_tags), TEXTS_PER_BATCH):
            self.client.log_batch(run_id, tags=all_tags[start : start + TEXTS_PER_BATCH])

    def log_rows(self, run_id: str, rows: Sequence[MetricRow]) -> None:
        """Write metric values to a run; those that name weights are linked to the logged model."""
        from mlflow.entities import Metric

        for start in range(0, len(rows), METRICS_PER_BATCH):
            metrics = []
            for row in rows[start : start + METRICS_PER_BATCH]:
                name, digest = row.dataset or (None, None)
                model_id = self.model_id(row.weights) if row.weights else None
                metrics.append(Metric(row.key, row.value, row.time_ms, row.step, model_id, name, digest, run_id))
            self.client.log_batch(run_id, metrics=metrics)

    def model_id(self, weights: str) -> str | None:
        """The newest logged model with these weights, or None."""
        if weights not in self._models:
            ready = [model for model in self._logged_models(f"tags.`{WEIGHTS}` = '{weights}'") if str(model.status) == "READY"]
            if not ready:
                return None
            self._models[weights] = ready[0].model_id
        return self._models[weights]

    def parent_of(self, key: str) -> Run | None:
        """The live parent run of an execution."""
        found = self.search(f"tags.`{KEY}` = '{key}' AND tags.`{ROLE}` = 'parent'")
        return found[0] if found else None

    def parents_with(self, params_hash: str) -> list[Run]:
        """Live parents with the same parameters, newest first."""
        return self.search(f"tags.`{PARAMS_HASH}` = '{params_hash}' AND tags.`{ROLE}` = 'parent'")

    def children_of(self, parent_id: str) -> list[Run]:
        """Live children of a parent, newest first."""
        return self.search(f"tags.`mlflow.parentRunId` = '{parent_id}'")

    def create_parent(self, identity: Identity, started_ms: int) -> Run:
        """A new parent with its tags and parameters."""
        tags = {**identity.tags, ROLE: "parent"}
        run = self.client.create_run(self.experiment_id, start_time=started_ms, tags=tags, run_name=identity.name)
        self.log_texts(run.info.run_id, params=identity.params)
        return run

    def settle(self, parent_id: str) -> None:
        """Keep one child a stage: the newest. Earlier attempts are marked KILLED where they never ended, and archived."""
        newest: set[str] = set()
        statuses: set[str] = set()
        for run in self.children_of(parent_id):
            stage = run.data.tags.get(STAGE, "")
            if stage not in newest:
                newest.add(stage)
                statuses.add(run.info.status)
                continue
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, status="KILLED")
            self.client.delete_run(run.info.run_id)
        worst = next((status for status in ("RUNNING", "FAILED", "KILLED") if status in statuses), "FINISHED")
        if worst == "RUNNING":
            self.client.update_run(parent_id, status="RUNNING")
        else:
            self.client.set_terminated(parent_id, status=worst)

    def search(self, text: str, *, archived: bool = False) -> list[Run]:
        """Runs of the experiment under a filter, newest first."""
        from mlflow.entities import ViewType

        view = ViewType.ALL if archived else ViewType.ACTIVE_ONLY
        found: list[Run] = []
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment_id], text, view, 1000, ["attributes.start_time DESC"], token)
            found.extend(page)
            token = page.token
            if not token:
                return found

    def _child_of(self, session: str) -> Run | None:
        found = self.search(f"tags.`{SESSION}` = '{session}'", archived=True)
        return found[0] if found else None

    def _create_child(self, parent: Run, event: Begin) -> Run:
        tags = {**event.identity.tags, ROLE: "stage", SESSION: event.session, STAGE: event.stage, "mlflow.parentRunId": parent.info.run_id}
        if event.mirrored:
            tags[MIRRORED] = "true"
        run = self.client.create_run(self.experiment_id, start_time=event.started_ms, tags=tags, run_name=event.stage)
        self.log_texts(run.info.run_id, params=event.identity.params)
        return run

    def _log_artifact(self, event: LogArtifact, run_id: str) -> None:
        if event.path.is_dir():
            folder = event.path.name if event.folder is None else f"{event.folder}/{event.path.name}"
            self.client.log_artifacts(run_id, str(event.path), folder)
        else:
            self.client.log_artifact(run_id, str(event.path), event.folder)

    def _log_dataset(self, event: LogDataset, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile = None if event.num_rows is None else json.dumps({"num_rows": event.num_rows})
        dataset = Dataset(event.name, event.digest, "dvc", json.dumps({"path": event.source}), profile=profile)
        tags = [InputTag("mlflow.data.context", event.context)] if event.context else []
        self.client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def _log_model(self, event: LogModel, runs: Runs) -> None:
        model_id = self._uploaded_model(event, runs)
        outputs = self.client.get_run(runs.child_id).outputs
        if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:  # the store would add a second link
            from mlflow.entities import LoggedModelOutput

            self.client.log_outputs(runs.child_id, [LoggedModelOutput(model_id, event.step)])
        self.log_texts(runs.parent_id, tags={WEIGHTS: event.weights, "poseline.model_id": model_id})

    def _uploaded_model(self, event: LogModel, runs: Runs) -> str:
        """Id of this attempt's logged model; an upload that was cut short is deleted and made again."""
        from mlflow.models import Model

        session = runs.begin.session
        for earlier in self._logged_models(f"tags.`{SESSION}` = '{session}' AND tags.`{WEIGHTS}` = '{event.weights}'"):
            if str(earlier.status) == "READY":
                return earlier.model_id
            self.client.delete_logged_model(earlier.model_id)
        tags = {WEIGHTS: event.weights, SESSION: session, KEY: runs.begin.identity.key}
        model = self.client.create_logged_model(self.experiment_id, event.name, runs.child_id, tags, event.params or None, "pytorch")
        description = Model.load(str(event.path))
        description.model_id, description.run_id, description.artifact_path = model.model_id, runs.child_id, model.artifact_location
        description.save(str(event.path / "MLmodel"))
        self.client.log_model_artifacts(model.model_id, str(event.path))
        self.client.finalize_logged_model(model.model_id, "READY")
        return model.model_id

    def _logged_models(self, text: str) -> list[LoggedModel]:
        order = [{"field_name": "creation_time", "ascending": False}]
        return list(self.client.search_logged_models([self.experiment_id], text, order_by=order))

    def _end(self, event: End, runs: Runs) -> None:
        self.client.set_terminated(runs.child_id, status=event.status, end_time=event.ended_ms)
        with locked(self.lock):
            self.settle(runs.parent_id)


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)
