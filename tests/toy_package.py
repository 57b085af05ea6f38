"""The package of docs/adding.md, installed in a folder on the path as another author's package would be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from poseline.config import FORMATS, PROTOCOLS
from poseline.config.network import BACKBONES, CODECS, HEADS, LOSSES
from poseline.config.tracking import TRACKERS

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/adding.md"
KINDS = {kinds.group: kinds for kinds in (CODECS, LOSSES, BACKBONES, HEADS, TRACKERS, FORMATS, PROTOCOLS)}


def read_examples() -> dict[str, str]:
    """File name -> text, of the code blocks of the document that begin with the comment ``# FILE``."""
    blocks = re.findall(r"^```\w+\n# ((?:toy_poses/)?\w+\.\w+)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)


def install_examples(folder: Path, patch: pytest.MonkeyPatch, more: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """The package on the path with the entry points of its pyproject.toml and, by group, some more."""
    files = read_examples()
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    about = folder / f"toy_poses-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = {group: {**kinds, **more.get(group, {})} for group, kinds in project["entry-points"].items()}
    lines = [f"[{group}]\n" + "".join(f"{kind} = {value}\n" for kind, value in kinds.items()) for group, kinds in groups.items()]
    (about / "entry_points.txt").write_text("\n".join(lines))
    for name, text in {"toy_poses/__init__.py": "", **files}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert set(groups) == set(KINDS)
    patch.syspath_prepend(folder)
    forget()
    yield
    forget()


def forget() -> None:
    """Let every table of kinds look for entry points again."""
    for kinds in KINDS.values():
        kinds.__dict__.pop("plugins", None)


@pytest.fixture
def toy_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """The package of docs/adding.md; a module's ``MORE_KINDS`` are offered besides."""
    yield from install_examples(tmp_path / "site", monkeypatch, getattr(request.module, "MORE_KINDS", {}))
