"""What a stage logs, as values that go to the store or wait in the spool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from poseline.experiments.lineage import Identity

Target = Literal["child", "parent"]
Status = Literal["FINISHED", "FAILED", "KILLED"]


class Record(BaseModel):
    """Base of all events: frozen; a NaN survives the way through JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Begin(Record):
    """A stage starts. ``session`` is unique to this attempt and finds its run again."""

    kind: Literal["begin"] = "begin"
    session: str
    stage: str
    identity: Identity
    started_ms: int
    mirrored: bool = False


class LogParams(Record):
    """Parameters of the stage."""

    kind: Literal["params"] = "params"
    values: dict[str, str]


class SetTags(Record):
    """Tags of the stage or of the execution."""

    kind: Literal["tags"] = "tags"
    values: dict[str, str]
    target: Target = "child"


class MetricRow(Record):
    """One value; ``weights`` (SHA-256) links it to the logged model, ``dataset`` is (name, digest)."""

    key: str
    value: float
    time_ms: int
    step: int = 0
    target: Target = "child"
    weights: str | None = None
    dataset: tuple[str, str] | None = None


class LogMetrics(Record):
    """Buffered values."""

    kind: Literal["metrics"] = "metrics"
    rows: tuple[MetricRow, ...]


class LogArtifact(Record):
    """A file or folder to keep with the run."""

    kind: Literal["artifact"] = "artifact"
    path: Path
    folder: str | None = None
    target: Target = "child"


class LogDataset(Record):
    """A data set that the stage read."""

    kind: Literal["dataset"] = "dataset"
    name: str
    digest: str = Field(max_length=36)
    source: str
    num_rows: int | None = None
    context: str = ""


class LogModel(Record):
    """A model already written in MLflow's layout under ``path``."""

    kind: Literal["model"] = "model"
    path: Path
    name: str
    weights: str
    step: int = 0
    params: dict[str, str] = Field(default_factory=dict)


class End(Record):
    """The stage is over."""

    kind: Literal["end"] = "end"
    status: Status
    ended_ms: int


Event: TypeAlias = Begin | LogParams | SetTags | LogMetrics | LogArtifact | LogDataset | LogModel | End
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
