"""Records written into the experiment store. Every step may be repeated: what has arrived is not written again, and nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.artifacts import Layout
from poseline.config import MlflowConfig
from poseline.config.dataset import DETECTIONS
from poseline.errors import ArtifactError
from poseline.experiments.lineage import HOST, KEPT, KEY, PARAMS_HASH, PROCESS, RESTORED, ROLE, SEEN, SESSION, STAGE, WEIGHTS, Identity
from poseline.experiments.model import upload_model
from poseline.experiments.record import HISTORY, LOAD, DataSet, Process, Progress, RecordFolder, RunRecord, locked, now_ms, pending_records
from poseline.experiments.registry import nominate
from poseline.experiments.store import (
    StoreLostError,
    artifact_location,
    connect,
    experiment_name,
    masked,
    open_experiment,
    store_address,
    store_errors,
    tracking_uri,
)
from poseline.experiments.writer import RunLostError, Writer, lifecycle

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

TRIES = 3


@dataclass
class Mirror:
    """One experiment of one store, and the records of one project that it shall hold."""

    client: MlflowClient
    experiment_id: str
    layout: Layout
    store: str
    model: str
    uri: str = field(repr=False)
    _models: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, config: MlflowConfig, layout: Layout) -> Mirror:
        """The project's mirror.

        Args:
            config: the store.
            layout: the project.

        Raises:
            StoreLostError: the store does not answer.
        """
        root = (layout.main or layout.root).resolve()
        client, uri = connect(config, root), tracking_uri(config, root)
        with store_errors():
            experiment_id = open_experiment(client, experiment_name(config), artifact_location(uri, root))
        return cls(client, experiment_id, layout, store_address(config), config.registered_model, uri)

    def catch_up(self) -> tuple[list[Progress], int]:
        """Write what the store lacks of every record whose process has ended: (how each stands, records that are still written).

        Raises:
            StoreLostError: the store went away; the next mirror goes on from there.
            ArtifactError: a record cannot be read; the others are written.
        """
        self.end_gone()
        folders = pending_records(self.layout)
        running = [folder.may_run() for folder in folders]
        return self.send_all([folder for folder, runs in zip(folders, running, strict=True) if not runs]), sum(running)

    def send_all(self, folders: Sequence[RecordFolder]) -> list[Progress]:
        """Write what the store lacks of records; how each of them stands.

        Raises:
            StoreLostError: the store went away; the next mirror goes on from there.
            ArtifactError: a record cannot be read; the others are written.
        """
        done, fault = [], None
        for folder in folders:
            try:
                progress = self.send(folder)
            except ArtifactError as error:
                fault = error
                continue
            done += [progress] if progress is not None else []
        if fault is not None:
            raise fault
        return done

    def end_gone(self) -> None:
        """End runs of stages that say they run though their process is gone, whoever began them, with the rows that they belong to.

        Raises:
            StoreLostError: the store went away.
        """
        with store_errors():
            running = self.search(f"attributes.status = 'RUNNING' AND tags.`{ROLE}` = 'stage'")
            parents = {run.data.tags.get("mlflow.parentRunId") for run in running if _is_gone(run)}
            for parent_id in parents - {None}:
                with locked(self.lock):
                    self.settle(str(parent_id), self.children_of(str(parent_id)))

    def send(self, folder: RecordFolder) -> Progress | None:
        """Write what the store lacks of one record; how it stands, None where another process has written it meanwhile.

        Raises:
            StoreLostError: the store went away; the next mirror goes on from there.
        """
        with store_errors(), locked(folder.path / ".lock"):
            progress = folder.read_progress()
            if progress is None:
                return None
            if progress.store != self.store:
                progress = Progress(store=self.store)
            for _ in range(TRIES):
                try:
                    return self._send(folder, progress)
                except RunLostError:  # deleted in the store's page: once more, in a run that lives
                    progress = self._revive(progress)
            raise StoreLostError(f"runs of {folder.path.name} are deleted again and again")

    def _send(self, folder: RecordFolder, progress: Progress) -> Progress:
        record = folder.read()
        if record.status is None and not folder.is_running():
            record = record.model_copy(update={"status": "KILLED", "ended_ms": folder.last_sign_ms()})
            folder.write(record)
        if progress.run_id is None:
            progress = self._begin(record, progress)
            folder.write_progress(progress)
        else:
            self._check_alive(progress)
        child = Writer(self.client, str(progress.run_id), list(progress.refused))
        parent = Writer(self.client, str(progress.parent_id), child.refused)
        read = {name: folder.read_points(name, progress.sent.get(name, 0)) for name in (HISTORY, LOAD)}
        points = [point for found, _ in read.values() for point in found]
        rows = [_metric(key, value, point.time_ms, point.step) for point in points for key, value in point.values.items()]
        if record.status is None:
            child.metrics(rows)
            child.tag(SEEN, str(now_ms()))
            if self.client.get_run(child.run_id).info.status != "RUNNING":  # silent so long that another host took it to be gone
                for run_id in (child.run_id, parent.run_id):
                    self.client.update_run(run_id, status="RUNNING")
        else:
            self._finish(record, folder, rows, child, parent)
        progress = progress.model_copy(update={"sent": {name: end for name, (_, end) in read.items()}, "refused": tuple(child.refused)})
        if record.status is not None:
            with locked(self.lock):
                self.settle(parent.run_id, self.children_of(parent.run_id))
        folder.write_progress(progress, complete=record.status is not None)
        if record.status is not None:
            folder.remove_copies()
        return progress

    def _check_alive(self, progress: Progress) -> None:
        """Return where the runs of a record are there.

        Raises:
            RunLostError: one was deleted: an upload to it would fail like a store that is away, at every later attempt.
        """
        for run_id in (progress.parent_id, progress.run_id):
            if lifecycle(self.client, str(run_id)) != "active":
                raise RunLostError(run_id)

    @property
    def shown(self) -> str:
        """Where the store is, for a message."""
        return masked(self.uri)

    @property
    def lock(self) -> Path:
        """Held while runs are looked for and made."""
        return self.layout.cache / "mlflow-runs.lock"

    def _begin(self, record: RunRecord, progress: Progress) -> Progress:
        """The runs of an attempt, found by its session or made. Its parent shows that work goes on."""
        identity = record.identity
        with locked(self.lock):
            parent = self.parent_of(identity.key) or self._create_parent(identity, record.started_ms)
            parent_id = parent.info.run_id
            child = next(iter(self.search(f"tags.`{SESSION}` = '{record.session}' AND tags.`{ROLE}` = 'stage'")), None)
            if child is not None and child.data.tags.get("mlflow.parentRunId") != parent_id:  # its parent was deleted for good
                self.client.set_tag(child.info.run_id, "mlflow.parentRunId", parent_id)
            children = self.children_of(parent_id)
            if child is None:
                child = self._create_child(record, parent_id)
                children = [child, *children]
            if record.status is None:  # else it is settled in a moment
                self.settle(parent_id, children)
        Writer(self.client, child.info.run_id).params(identity.params)
        return progress.model_copy(update={"run_id": child.info.run_id, "parent_id": parent_id})

    def _create_parent(self, identity: Identity, started_ms: int) -> Run:
        """A new parent with its tags and parameters; where two hosts were at it, the elder of both."""
        tags = {**identity.tags, ROLE: "parent"}
        run = self.client.create_run(self.experiment_id, start_time=started_ms, tags=tags, run_name=identity.name)
        first = self.parent_of(identity.key) or run
        if first.info.run_id != run.info.run_id:
            self.client.delete_run(run.info.run_id)
        else:
            Writer(self.client, run.info.run_id).params(identity.params)
        return first

    def _create_child(self, record: RunRecord, parent_id: str) -> Run:
        tags = {
            **record.identity.tags,
            ROLE: "stage",
            SESSION: record.session,
            STAGE: record.stage,
            PROCESS: record.process.model_dump_json(),
            HOST: record.process.host,
            SEEN: str(now_ms()),
            "mlflow.parentRunId": parent_id,
            **({RESTORED: "true"} if record.restored else {}),
        }
        return self.client.create_run(self.experiment_id, start_time=record.started_ms, tags=tags, run_name=record.stage)

    def _finish(self, record: RunRecord, folder: RecordFolder, rows: list[Metric], child: Writer, parent: Writer) -> None:
        """All that is known at a stage's end; the status comes last, so that an ended run is a whole one."""
        ended = record.ended_ms or now_ms()
        if folder.model.is_dir():
            where = {"run_id": child.run_id, "experiment_id": self.experiment_id, "name": self.model}
            model_id = upload_model(self.client, folder.model, record, **where)
            parent.tag("poseline.model_id", model_id)
            with locked(self.lock):
                child.call("candidate", lambda: nominate(self.client, self.model, model_id, record, uri=self.uri))
        if record.weights:
            parent.tag(WEIGHTS, record.weights)
        scored = self.model_id(record.weights) if record.headline and record.weights else None
        data = next(iter(record.data), None)
        rows += [_metric(key, value, ended) for key, value in record.metrics.items() if key not in record.headline]
        rows += [_metric(key, value, ended, 0, scored, data) for key, value in record.headline.items()]
        child.metrics(rows)
        parent.metrics([_metric(key, value, ended) for key, value in {**record.kept, **record.headline}.items()])
        self._mark_kept(record, parent)
        child.inputs(record)
        child.artifacts(folder.files / "stage")
        parent.artifacts(folder.files / "execution")
        child.end(str(record.status), ended)

    def _mark_kept(self, record: RunRecord, parent: Writer) -> None:
        """Name in the execution's row the scores that it did not make, but that hold for it."""
        if not record.kept and KEPT not in self.client.get_run(parent.run_id).data.tags:
            return
        children = self.children_of(parent.run_id)
        own = {run.data.tags.get(STAGE, "").partition("@")[2] for run in children if RESTORED not in run.data.tags}
        names = {key.partition(".")[0] for key in record.kept}
        text = ", ".join(sorted(name for name in names if name.removesuffix(DETECTIONS) not in own))
        parent.tag(KEPT, text)

    def settle(self, parent_id: str, children: Sequence[Run]) -> None:
        """Keep one ended child a stage and host: the newest, of which all that ran on other hosts are let alone.

        A child whose process is gone is KILLED, one that runs is let alone.
        """
        newest: dict[str, set[str]] = {}
        statuses: set[str] = set()
        for run in sorted(children, key=lambda run: run.info.start_time, reverse=True):
            stage, status = run.data.tags.get(STAGE, ""), run.info.status
            if status == "RUNNING" and _is_gone(run):
                status = "KILLED"
                self.client.set_terminated(run.info.run_id, status=status, end_time=_seen_ms(run))
            hosts = newest.setdefault(stage, set())
            if status != "RUNNING" and (_host(run) in hosts or (hosts and RESTORED in run.data.tags)):
                self.client.delete_run(run.info.run_id)
                continue
            if status == "RUNNING" or not hosts:
                statuses.add(status)
            hosts.add(_host(run))
        worst = next((status for status in ("RUNNING", "FAILED", "KILLED") if status in statuses), "FINISHED")
        parent = Writer(self.client, parent_id)
        if worst == "RUNNING":
            parent.call("status", lambda: self.client.update_run(parent_id, status="RUNNING"))
        else:
            parent.end(worst)

    def _revive(self, progress: Progress) -> Progress:
        """Bring the runs of a record back where they were deleted; begin anew where they are gone for good."""
        for run_id in (progress.parent_id, progress.run_id):
            state = lifecycle(self.client, str(run_id))
            if state is None:
                return Progress(store=self.store)
            if state == "deleted":
                self.client.restore_run(str(run_id))
        return progress

    def model_id(self, weights: str) -> str | None:
        """The newest logged model with these weights, or None."""
        if weights not in self._models:
            order = [{"field_name": "creation_time", "ascending": False}]
            models = self.client.search_logged_models([self.experiment_id], f"tags.`{WEIGHTS}` = '{weights}'", order_by=order)
            ready = [model for model in models if str(model.status) == "READY"]
            if not ready:
                return None
            self._models[weights] = ready[0].model_id
        return self._models[weights]

    def parent_of(self, key: str) -> Run | None:
        """The live parent run of an execution, the eldest where there are several."""
        found = self.search(f"tags.`{KEY}` = '{key}' AND tags.`{ROLE}` = 'parent'")
        return min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)

    def parents_with(self, params_hash: str) -> list[Run]:
        """Live parents with the same parameters, newest first."""
        return self.search(f"tags.`{PARAMS_HASH}` = '{params_hash}' AND tags.`{ROLE}` = 'parent'")

    def children_of(self, parent_id: str) -> list[Run]:
        """Live children of a parent, newest first."""
        return self.search(f"tags.`mlflow.parentRunId` = '{parent_id}'")

    def search(self, text: str) -> list[Run]:
        """Live runs of the experiment under a filter, newest first."""
        found: list[Run] = []
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment_id], text, 1, 1000, ["attributes.start_time DESC"], token)
            found.extend(page)
            token = page.token
            if not token:
                return found


def _is_gone(run: Run) -> bool:
    """True when the process of a run has ended, as far as can be told from here; runs that name none are of a time before."""
    process = run.data.tags.get(PROCESS)
    return process is None or Process.model_validate_json(process).is_gone(_seen_ms(run))


def _host(run: Run) -> str:
    """The machine that a run was on; empty for one that names none."""
    process = run.data.tags.get(PROCESS)
    return Process.model_validate_json(process).host if process else ""


def _seen_ms(run: Run) -> int:
    """The last sign of life of a run."""
    return int(run.data.tags.get(SEEN) or run.info.start_time)


def _metric(
    key: str, value: float, time_ms: int, step: int = 0, model_id: str | None = None, data: DataSet | None = None
) -> Metric:
    from mlflow.entities import Metric

    name, digest = (data.name, data.digest) if data else (None, None)
    return Metric(key, value, time_ms, step, model_id, name, digest)
