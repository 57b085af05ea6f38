"""Where a result came from, and what else came from the same data, as the experiment store knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from poseline.artifacts import Layout, file_hash, read_json
from poseline.config import Params
from poseline.errors import DataError
from poseline.experiments.execution import Execution, needed_store
from poseline.experiments.fetched import WEIGHTS_FILE
from poseline.experiments.lineage import HOST, KEPT, ROLE, WEIGHTS, flat_params
from poseline.experiments.locate import LocalPlace, Place, locate
from poseline.experiments.mirror import Mirror

if TYPE_CHECKING:
    from mlflow.entities import Run

MODELS_BEFORE = ("train.init_from", "train.teacher.model")
"""Parameters that name a model from which the weights came."""


@dataclass(frozen=True)
class Ancestry:
    """An execution of the pipeline, and its relatives.

    Attributes:
        run: name and id of its run.
        facts: what is known of it, by title.
        changed: parameters that differ from those here: name -> (there, here).
        scores: its metrics.
        relatives: executions on the same data, newest first: name and id, and their value of ``shared``.
        shared: the metric that is shown of the relatives; empty where there is none.
    """

    run: str
    facts: dict[str, str]
    changed: dict[str, tuple[str, str]]
    scores: dict[str, float]
    relatives: tuple[tuple[str, float | None], ...]
    shared: str


def find_ancestry(target: str, params: Params, layout: Layout) -> Ancestry:
    """What made a result: a model or score file, or whatever stands for a run.

    Args:
        target: a path, git revision, DVC experiment, or run of the store.
        params: those here, to compare with; the section ``mlflow`` says which store.
        layout: the project.

    Raises:
        DataError: there is nothing of that name, or the store knows no run of it.
        BackendError: the store does not answer, or tracking is off.
    """
    place = locate(target, params.mlflow, layout)
    with needed_store(target):
        mirror = Mirror.open(params.mlflow, layout)
        run = place.parent if isinstance(place, Execution) else _run_of(mirror, place, target, layout)
        data = run.data.tags.get("poseline.data_hash", "")
        same = mirror.search(f"tags.`poseline.data_hash` = '{data}' AND tags.`{ROLE}` = 'parent'") if data else []
    shared = next(iter(sorted(run.data.metrics)), "")
    relatives = tuple((_name(one), one.data.metrics.get(shared)) for one in same if one.info.run_id != run.info.run_id)
    here = {key: value for key, value in flat_params(params).items() if key in run.data.params}
    changed = {key: (run.data.params[key], value) for key, value in here.items() if run.data.params[key] != value}
    return Ancestry(_name(run), _facts(run), changed, dict(sorted(run.data.metrics.items())), relatives, shared)


def weights_of(place: Place, layout: Layout, target: str) -> str:
    """The hash of the weights that a model folder holds, or by which scores were made.

    Raises:
        DataError: neither is there.
    """
    if isinstance(place, LocalPlace):
        try:
            return file_hash(place.model(layout.cache / "models") / WEIGHTS_FILE)
        except DataError:  # scores, then
            pass
    for files in place.scores(layout.cache / "scores").values():
        protocol = read_json(files.metrics, made_by="score").get("protocol")
        if isinstance(protocol, dict) and protocol.get("weights"):
            return str(protocol["weights"])
    raise DataError(f"{target}: its scores do not say which weights made them. Give a model, or a run.")


def _run_of(mirror: Mirror, place: Place, target: str, layout: Layout) -> Run:
    """The eldest execution with the weights of a place: the one that trained them."""
    weights = weights_of(place, layout, target)
    found = mirror.search(f"tags.`{WEIGHTS}` = '{weights}' AND tags.`{ROLE}` = 'parent'")
    if not found:
        raise DataError(f"{target}: {mirror.shown} knows no run with these weights ({weights}). Run `poseline sync` where they are from.")
    return min(found, key=lambda run: run.info.start_time)


def _name(run: Run) -> str:
    return f"{run.info.run_name} ({run.info.run_id})"


def _facts(run: Run) -> dict[str, str]:
    """What a run's tags and parameters say of its origin, by title; what is not known is left out."""
    tags = run.data.tags
    commit, baseline = tags.get("mlflow.source.git.commit", ""), tags.get("dvc.baseline", "")
    dirty = {"true": ", with changes that were not committed", "false": ""}.get(tags.get("poseline.dirty", ""), "")
    before = [f"{key}: {run.data.params[key]}" for key in MODELS_BEFORE if run.data.params.get(key, "null") not in ("null", "None")]
    facts = {
        "started": datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat(timespec="seconds"),
        "status": run.info.status,
        "by": " on ".join(name for name in (tags.get("mlflow.user"), tags.get(HOST)) if name),
        "command": tags.get("mlflow.source.name", ""),
        "commit": commit + dirty if commit else "",
        "experiment": tags.get("dvc.exp", ""),
        "parent commit": baseline if baseline != commit else "",
        "parent model": "; ".join(before),
        "data": tags.get("poseline.data_hash", ""),
        "weights": tags.get(WEIGHTS, ""),
        "parameters": f"{len(run.data.params)}, hash {tags.get('poseline.params_hash', '')}",
        "restored scores": tags.get(KEPT, ""),
        "environment": tags.get("poseline.versions", ""),
    }
    return {title: text for title, text in facts.items() if text}


def describe(ancestry: Ancestry) -> str:
    """The ancestry as lines for people."""
    lines = [f"run: {ancestry.run}", *(f"  {title}: {text}" for title, text in ancestry.facts.items())]
    lines += [f"  scores: {', '.join(f'{key} {value:.4g}' for key, value in ancestry.scores.items())}"] if ancestry.scores else []
    lines += [f"  differs from params.yaml here: {key} {there} (here {own})" for key, (there, own) in ancestry.changed.items()]
    lines += [f"on the same data: {len(ancestry.relatives) or 'no'} other execution{'' if len(ancestry.relatives) == 1 else 's'}"]
    lines += [f"  {name}{'' if value is None else f'  {ancestry.shared} {value:.4g}'}" for name, value in ancestry.relatives]
    return "\n".join(lines)
