"""Whether a result still belongs to the parameters and files as they are: each artifact says what made it, and its readers compare.

A record (``made_from`` in model.json, about.json and score files) holds the hash of each section of the parameters that its stage takes,
and of each file that it read, no more of either than DVC watches for the stage. The stages before it are asked in turn. An artifact without
a record (weights from elsewhere, results of an earlier version) and a file that is not at hand say nothing. Within one run of the pipeline
every stage finds what the one before has just written, so that nothing is stale however far dvc.lock has come.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from poseline.artifacts.files import file_hash, hash_path, read_json
from poseline.artifacts.layout import Layout
from poseline.config import Params, dump_section
from poseline.config.params import Yaml
from poseline.errors import StaleError
from poseline.progress import note

OnStale: TypeAlias = Literal["ignore", "mark", "refuse"]
"""What a reader does about a stale artifact. The functions take what they are given; the commands refuse, or mark with --allow-stale."""
SECTIONS = {
    "train": ("seed", "data.skeleton", "preprocess", "codec", "model", "loss", "augment", "train", "predict.batch_size"),
    "predict": ("data.sets.SET", "predict"),
    "track": ("data.sets.SET", "track"),
    "score": ("seed", "data.sets.SET", "score"),
}
"""Stage -> the parameters that it takes, as dvc.yaml lists them."""


class MadeFrom(BaseModel):
    """What made an artifact.

    Attributes:
        params: section -> hash of its values.
        inputs: path below the project's root -> hash of the file.
        file: section -> hash of what params.yaml said, where options of the command stood in place of its values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    params: dict[str, str]
    inputs: dict[str, str]
    file: dict[str, str] = {}


def made_from(stage: str, params: Params, layout: Layout, inputs: Iterable[Path], *, name: str = "") -> dict[str, Yaml]:
    """The record of an artifact that a stage makes now, as plain values.

    Args:
        stage: its name: train, predict, track or score.
        params: all parameters.
        layout: the project's files.
        inputs: files (or folders of files) that the stage reads.
        name: of the data set; none for train.
    """
    sections = [section.replace("SET", name) for section in SECTIONS[stage]]
    found = {_below(layout, path): hash_input(path) for path in inputs}
    used, said = ({section: hash_section(values, section) for section in sections} for values in (params, params.file))
    made = MadeFrom(params=used, inputs=found, file={section: said[section] for section in sections if said[section] != used[section]})
    return made.model_dump(mode="json", exclude_defaults=True)


def why_stale(stage: str, params: Params, layout: Layout, name: str = "") -> StaleError | None:
    """Why what a stage made is not what it would make now; None where it is, or where nothing is known.

    The earliest stage that would make another result is named first: its command, and those of the stages after it, renew.
    """
    before = _stage_before(stage, params, name)
    earlier = why_stale(before, params, layout, "" if before == "train" else name) if before else None
    if earlier is not None:
        earlier = earlier.followed_by(_command(stage, name))
        if not earlier.chosen:
            return earlier
    made, overridden = read_record(stage, layout, name)
    sections, files, chosen = [], [], False
    if made is not None:
        now = {section: hash_section(params, section) for section in made.params}
        sections = [section for section, digest in made.params.items() if now[section] != digest]
        files = [path for path, digest in made.inputs.items() if digest and hash_input(layout.root / path) not in (digest, "")]
        chosen = not overridden and not files and all(made.file.get(section) == now[section] for section in sections)
    reasons = [f"were taken although they were stale ({overridden})"] if overridden else []
    reasons += [f"were made with other values of {', '.join(sections)}"] if sections else []
    reasons += [f"were made from another {', '.join(files)}"] if files else []
    own = StaleError(_title(stage, name), reasons[0], (_command(stage, name),), chosen=chosen) if reasons else None
    return earlier if own is None or (earlier is not None and own.chosen) else own


def refuse_stale(stage: str, params: Params, layout: Layout, name: str = "", *, on_stale: OnStale = "refuse") -> str | None:
    """None where what a stage made is fresh, or nobody asks; the reason why it is not, where it is to be marked.

    What differs from params.yaml only by the options of the command that made it was meant so: it is said, not refused. Scores are refused
    all the same, since a verdict is about params.yaml.

    Raises:
        StaleError: it is stale, and that is to be refused.
    """
    stale = why_stale(stage, params, layout, name) if on_stale != "ignore" else None
    if stale is not None and on_stale == "refuse":
        if not stale.chosen or stage == "score":
            raise stale
        note(f"{stale.reason}, by options of the command that made them")
        return None
    return stale.reason if stale else None


def read_record(stage: str, layout: Layout, name: str) -> tuple[MadeFrom | None, str]:
    """What an artifact says of its making (None where nothing), and why it was stale then already (empty where it was not)."""
    path = {
        "train": layout.model / "model.json",
        "predict": layout.predictions / name / "about.json",
        "track": layout.tracks / name / "about.json",
        "score": layout.metrics / f"{name}.json",
    }[stage]
    try:
        tree: Mapping[str, Yaml] = read_json(path, made_by=_command(stage, name))
        holder = tree["extra"] if stage == "train" else tree["protocol"] if stage == "score" else dict(tree)
        if not isinstance(holder, dict):
            return None, ""
        made = MadeFrom.model_validate(holder["made_from"]) if holder.get("made_from") else None
        return made, str(holder.get("stale") or "")
    except (ValueError, KeyError):  # missing, damaged or of another version: for its reader to report
        return None, ""


def hash_section(params: Params, section: str) -> str:
    """Sixteen hex digits of the values under ``a.b``; of nothing where there is no such entry."""
    value: Yaml = dump_section(params)
    for key in section.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def hash_input(path: Path) -> str:
    """Sixteen hex digits of a file, or of a folder's files; empty where there is none."""
    return file_hash(path) if path.is_file() else hash_path(path)[:16]


def _stage_before(stage: str, params: Params, name: str) -> str | None:
    """The stage whose result a stage reads."""
    if stage == "score":
        results = params.data.sets[name].results if name in params.data.sets else ""
        return "track" if (name in params.track.sets if not results else "tracks" in Path(results).parts) else "predict"
    if stage == "predict":
        return "train" if params.predict.runtime == "torch" else None
    return {"track": "predict"}.get(stage)


def _below(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix() if path.is_relative_to(layout.root) else path.as_posix()


def _title(stage: str, name: str) -> str:
    return {
        "train": "the weights in data/model",
        "predict": f"the predictions of {name}",
        "track": f"the tracks of {name}",
        "score": f"the scores of {name}",
    }[stage]


def _command(stage: str, name: str) -> str:
    return {"train": "train", "track": f"track --dataset {name}"}.get(stage, f"{stage} {name}")
