"""dvc.yaml: its lines that follow from the data sets; and that of a project, the source tree's with code.yaml in place of the code.

DVC runs a stage for each data set of params.yaml by itself, but cannot list what a stage reads of all of them: those lines are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from poseline.core.yaml_text import parse_yaml
from poseline.errors import ConfigError
from poseline.stage_code import PREFIX

if TYPE_CHECKING:  # DVC runs the check of the code before all else: it loads neither the configuration nor tables
    from poseline.config.params import Yaml

CHECK = "poseline upgrade --check"
DETECTIONS = "_detections"   # as in config/dataset.py, which is not loaded for this
HEAD = f"""\
# The pipeline. code.yaml says which code of the package each stage executes; `poseline upgrade` renews both after a change of the package,
# of a plug-in or of the sorts of data sets, and keeps what you write here.
stages:
  code:
    cmd: {CHECK}
    desc: Stops where the installed code is not that of code.yaml
    always_changed: true

"""
STAGE = re.compile(r"^(?=  \S)", re.MULTILINE)
OF_EACH_SET = re.compile(r"^( +)# of each set\n(?:\1- .*\n)*", re.MULTILINE)
FOREACH_VIDEOS = re.compile(r"(?<=^  track:\n)    foreach:(?: \{\}\n|\n(?:      .*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Shape:
    """What of the parameters decides which stages and dependencies there are.

    Attributes:
        mini: the data sets are drawn.
        sets: names of the data sets.
        videos: names of those that are tracked.
        scored: name -> format of those with a val split.
    """

    mini: bool
    sets: tuple[str, ...]
    videos: tuple[str, ...]
    scored: Mapping[str, str]

    @classmethod
    def of(cls, raw: Mapping[str, Yaml]) -> Shape:
        """The shape of raw parameters; what is missing or of another type is for their reader to report."""
        data, track = raw.get("data"), raw.get("track")
        given = data.get("sets") if isinstance(data, dict) else None
        named = {name: one for name, one in given.items() if isinstance(one, dict)} if isinstance(given, dict) else {}
        videos = track.get("sets") if isinstance(track, dict) else None
        tracked = tuple(str(name) for name in videos if name in named) if isinstance(videos, list) else ()
        scored = {name: str(one.get("format")) for name, one in named.items() if one.get("val")}
        return cls("mini" in raw, tuple(named), tracked, scored)


def read_template(name: str) -> str:
    """The text of a template that the package holds."""
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def list_stages() -> list[str]:
    """The stages of a pipeline that run code of ours."""
    return list(parse_yaml(read_template("pipeline.yaml"))["stages"])


def make_template(text: str) -> str:
    """The template of a project's dvc.yaml from that of the source tree: without code, and with code.yaml among the parameters."""
    lines = [line for line in text.splitlines(keepends=True) if not line.strip().startswith(f"- {PREFIX}")]
    stages = "".join(lines[lines.index("stages:\n") + 1 : lines.index("plots:\n")])
    parts = STAGE.split(re.sub(r"^( +)deps:\n(?!\1  )", "", stages, flags=re.MULTILINE))
    return "stages:\n" + "".join(_with_code(part) for part in parts if part.strip())


def render_pipeline(shape: Shape) -> str:
    """The text of dvc.yaml for a project of that shape."""
    body = read_template("pipeline.yaml").removeprefix("stages:\n")
    if not shape.mini:
        body = "".join(part for part in STAGE.split(body) if not part.startswith("  mini:")).replace("[seed, mini, ", "[seed, ")
    return HEAD + write_sets(body, shape).rstrip("\n") + "\n\n" + _plots(shape.scored)


def write_sets(text: str, shape: Shape) -> str:
    """The text of dvc.yaml with what its stages read of each data set."""
    annotations = [_annotations(name) for name in shape.sets]
    read = {
        "preprocess": [*(f"data/validated/{name}" for name in shape.sets), *annotations],
        "report": [
            *(f"{folder}/{name}" for folder in ("data/validated", "data/predictions") for name in shape.sets),
            *(f"data/tracks/{name}" for name in shape.videos),
            *(f"reports/per_person/{name}{boxes}" for name in shape.sets for boxes in ("", DETECTIONS)),
            *annotations,
        ],
    }

    def fill(stage: str) -> str:
        lines = ["# of each set", *(f"- {path}" for path in read.get(stage.strip().partition(":")[0], []))]
        return OF_EACH_SET.sub(lambda found: "".join(f"{found[1]}{line}\n" for line in lines), stage)

    tracked = "".join(f"      {name}: {_annotations(name)}\n" for name in shape.videos)
    text = "".join(fill(stage) for stage in STAGE.split(text))
    return FOREACH_VIDEOS.sub(lambda _: f"    foreach:\n{tracked}" if tracked else "    foreach: {}\n", text)


def find_unnamed(text: str, shape: Shape) -> list[str]:
    """The data sets that dvc.yaml does not name where it should: DVC would not see that they change."""
    lines = [(name, f"- data/validated/{name}\n") for name in shape.sets]
    lines += [(name, f"  {name}: {_annotations(name)}\n") for name in shape.videos]
    return list(dict.fromkeys(name for name, line in lines if line not in text))


def same_stages(first: str, second: str) -> bool:
    """Whether two texts of dvc.yaml have the same stages, whatever their comments and plots.

    Raises:
        ConfigError: one of them is no YAML.
    """
    if first == second:
        return True
    try:
        one, other = (parse_yaml(text) or {} for text in (first, second))
    except yaml.YAMLError as error:
        raise ConfigError(f"dvc.yaml: not valid YAML ({' '.join(str(error).split())}). Fix the file.") from None
    return bool(one.get("stages") == other.get("stages"))


def read_raw(path: Path) -> dict[str, Yaml]:
    """The mapping of a YAML file as it stands.

    Raises:
        ConfigError: the file is missing, no YAML, or no mapping.
    """
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Run inside a project, or make one: poseline new DIR") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())}). Fix the file.") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping, got {type(raw).__name__}. Fix the file.")
    return raw


def _annotations(name: str) -> str:
    return f"${{data.sets.{name}.annotations}}"


def _with_code(stage: str) -> str:
    name = stage.strip().partition(":")[0]
    return re.sub(r"^( +params: \[.*)\]$", rf"\1, {{code.yaml: [stages.{name}]}}]", stage, count=1, flags=re.MULTILINE)


def _plots(scored: Mapping[str, str]) -> str:
    lines: Iterable[str] = [
        "plots:",
        "  - learning curve:",
        "      x: {reports/plots/history.json: epoch}",
        "      y: {reports/plots/history.json: [val_ap, acc]}",
        "      title: Validation AP and training accuracy",
    ]
    for name, form in scored.items():
        axes = {"mpii": ("PCKh", "head_sizes", "pckh"), "posetrack": None}.get(form, ("precision over recall", "recall", "precision"))
        if axes is not None:
            title, across, up = axes
            path = f"reports/plots/{name}.json"
            lines = [*lines, f"  - {name} {title}:", "      template: simple"]
            lines = [*lines, f"      x: {{{path}: {across}}}", f"      y: {{{path}: {up}}}"]
    return "\n".join(lines) + "\n"
