"""A score as it stands in reports/metrics/NAME.json: metrics, their intervals, sections of tables, and the protocol's stamp."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, JsonValue, ValidationError

from poseline.datasets.stamp import ScorePart, Stamp
from poseline.datasets.stamp import differences as differences
from poseline.datasets.stamp import model_changes as model_changes
from poseline.datasets.stamp import unstated as unstated
from poseline.errors import ArtifactError


def _without_nan(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


Metric = Annotated[float | None, BeforeValidator(_without_nan)]
"""A fraction (0 to 1, MOTA down to below 0), or a sum; None where it is not defined, as where no person is counted."""
Metrics = Mapping[str, Metric]
Numbers = Mapping[str, int | Metric]
"""Metrics among counts."""
Interval = tuple[float, float]


class KeypointRow(ScorePart):
    """One keypoint: AP were it a person's only one, mean OKS and count where the person was found."""

    ap: Metric
    oks: Metric
    count: int


class SliceRow(ScorePart):
    """One slice of people and images."""

    ap: Metric
    ar: Metric
    num_people: int


class ErrorRow(ScorePart):
    """One keypoint's errors: how often each kind, and the distances (over the root of the person's area) half and 90 % stay within."""

    good: int
    jitter: int
    inversion: int
    swap: int
    miss: int
    distance_50: Metric
    distance_90: Metric


class PersonRow(ScorePart):
    """One person and its OKS."""

    image_id: int
    annotation_id: int
    oks: float


class Diagnosis(ScorePart):
    """What goes wrong: kinds of errors as fractions of keypoints, the AP that correcting each would give back, and the worst people."""

    shares: dict[str, float]
    ap_gain: dict[str, float]
    people_found: int
    people_missed: int
    background: int
    duplicates: int
    keypoints: dict[str, ErrorRow]
    worst: list[PersonRow]


class ScoreQuality(ScorePart):
    """Spearman's rank correlation of pose scores and OKS."""

    rank_correlation: Metric


class ReliabilityBin(ScorePart):
    """One bin of scores: their mean, the mean of what came true, and how many."""

    score: Metric
    outcome: Metric
    count: int


class Reliability(ScorePart):
    """Expected calibration error and the curve behind it."""

    ece: float
    bins: list[ReliabilityBin]


class Calibration(ScorePart):
    """What scores promise against what happens."""

    keypoint_scores: Reliability
    pose_scores: Reliability


class PoseTrackTables(ScorePart):
    """The PoseTrack metrics of one submission: in total, by part, by joint and by video, and the counts behind them."""

    mode: str
    metrics: Metrics
    parts: Mapping[str, Metrics]
    joints: Mapping[str, Metrics]
    counts: Mapping[str, Metrics]
    sequences: Mapping[str, Metrics]


class PersonTracking(ScorePart):
    """HOTA, identity and track metrics of whole people; fractions and counts."""

    hota: float
    deta: float
    assa: float
    loca: float
    idf1: float
    idp: float
    idr: float
    person_mota: Metric
    switches: int
    fragmentations: int
    mostly_tracked: int
    partially_tracked: int
    mostly_lost: int


class KeypointHota(ScorePart):
    """Keypoint HOTA in total, and HOTA of each joint."""

    hota: float
    deta: float
    assa: float
    loca: float
    joints: dict[str, float]


class SwitchEvent(ScorePart):
    """A change of the id that follows a person (its id in the ground truth)."""

    video: str
    frame: int
    person: int
    old_id: int
    new_id: int


class Tracking(PersonTracking):
    """What other measures say of the same tracks: the strict metrics, people on OKS, keypoint HOTA, every switch."""

    strict: Metrics
    similarity: str
    keypoint_hota: KeypointHota
    videos: dict[str, PersonTracking]
    switch_events: list[SwitchEvent]


class NotScored(ScorePart):
    """Why a section could not be made."""

    not_scored: str


class Score(ScorePart):
    """One score.

    In JSON the metrics and intervals (as ``METRIC_interval``) stand at the top level, beside the sections.

    Attributes:
        protocol: the stamp.
        enabled: False where the parameters leave the data set out; nothing else is there then.
        metrics: by name.
        intervals: 95 % intervals of metrics.
        reasons: why metrics have no value; None where all have one.
        sections: of formats that other packages add; the others are typed below.
    """

    protocol: Stamp
    enabled: bool = True
    metrics: Metrics = Field(default_factory=dict)
    intervals: dict[str, Interval] = Field(default_factory=dict)
    reasons: dict[str, str] | None = None
    keypoints: dict[str, KeypointRow] | None = None
    slices: dict[str, SliceRow] | None = None
    diagnosis: Diagnosis | None = None
    score_quality: ScoreQuality | None = None
    calibration: Calibration | None = None
    joints: Metrics | None = None
    parts: Mapping[str, Metrics] | None = None
    tracking: Tracking | NotScored | None = None
    tracked: PoseTrackTables | None = None
    poses: PoseTrackTables | None = None
    tracks: dict[str, int] | None = None
    sequences: Mapping[str, Numbers] | None = None
    sections: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """The metrics that have a value."""
        return {name: value for name, value in self.metrics.items() if value is not None}

    def stamped(self, **conditions: object) -> Score:
        """The score with these conditions in its stamp."""
        return self.model_copy(update={"protocol": Stamp.model_validate({**self.protocol.model_dump(), **conditions})})

    def all_metrics(self) -> Metrics:
        """The metrics and, as ``ap_SLICE`` and ``ar_SLICE``, those of every slice."""
        slices = {f"{kind}_{name}": getattr(row, kind) for name, row in (self.slices or {}).items() for kind in ("ap", "ar")}
        return {**slices, **self.metrics}

    def to_json(self) -> dict[str, JsonValue]:
        """Plain values for a JSON file."""
        if not self.enabled:
            return {"enabled": False, "protocol": {"benchmark": self.protocol.benchmark}}
        tree = self.model_dump(mode="json", exclude={"protocol", "enabled", "metrics", "intervals", "sections"}, exclude_none=False)
        return {
            **self.metrics,
            **{f"{name}_interval": list(ends) for name, ends in self.intervals.items()},
            **{name: section for name, section in tree.items() if section is not None},
            **self.sections,
            "protocol": self.protocol.to_json(),
        }


Part = TypeVar("Part", bound=ScorePart)
_TYPED = frozenset(Score.model_fields) - {"metrics", "intervals", "sections"}


def remedy(made_by: str | None) -> str:
    """What to do about a file of a score that is missing or damaged.

    Args:
        made_by: our command that makes it; None for a run that lies elsewhere.
    """
    if made_by is None:
        return "Score that run again, or name another."
    return f"Run `poseline {made_by}`." if made_by.startswith("gate") else f"Run `poseline {made_by}` (or `dvc repro`)."


def read_score_file(path: Path, *, made_by: str | None = None) -> Score:
    """The score of a file that the score stage or `poseline score --out` wrote.

    Args:
        path: of the file.
        made_by: our command that makes it, for messages; None for a run that lies elsewhere.

    Raises:
        ArtifactError: missing, damaged, or made under no protocol.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {remedy(made_by)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: not readable as JSON ({error}). {remedy(made_by)}") from None
    return parse_score(text, source=str(path), made_by=made_by)


def parse_score(text: str, *, source: str, made_by: str | None = None) -> Score:
    """The score of a JSON text.

    Raises:
        ArtifactError: no JSON object, of another layout, or made under no protocol.
    """
    advice = remedy(made_by)
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{source}: not readable as JSON ({error}). {advice}") from None
    if not isinstance(tree, dict):
        raise ArtifactError(f"{source}: expected a JSON object, got {type(tree).__name__}. {advice}")
    if not isinstance(tree.get("protocol"), dict):
        raise ArtifactError(f"{source}: has no protocol. {advice}")
    return validate(Score, _unflatten(tree), source=source, made_by=made_by)


def validate(part: type[Part], values: object, *, source: str, made_by: str | None = None) -> Part:
    """A score or a section of it from plain values.

    Raises:
        ArtifactError: another layout; names the place.
    """
    try:
        return part.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        more = f" ({error.error_count()} such faults)" if error.error_count() > 1 else ""
        raise ArtifactError(f"{source}: {place}: {first['msg']}{more}. {remedy(made_by)}") from None


def _unflatten(tree: Mapping[str, JsonValue]) -> dict[str, object]:
    """The top-level entries sorted into metrics, intervals, typed and other sections."""
    typed: dict[str, object] = {}
    metrics: dict[str, object] = {}
    intervals: dict[str, object] = {}
    sections: dict[str, object] = {}
    for name, value in tree.items():
        if name in _TYPED:
            typed[name] = value
        elif name.endswith("_interval"):
            intervals[name.removesuffix("_interval")] = value
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            metrics[name] = value
        else:
            sections[name] = value
    return {**typed, "metrics": metrics, "intervals": intervals, "sections": sections}
