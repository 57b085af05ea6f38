"""dvc.yaml against the code: a change of any module that a stage imports must rerun the stage."""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
# Modules that only parse, print, keep paths and logs: they decide no result.
PLUMBING = ("poseline.cli", "poseline.errors", "poseline.project", "poseline.artifacts", "poseline.stages", "poseline.config")
# Tracking of experiments writes to the store alone.
TRACKING = "poseline.experiments"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("poseline", cache_dir=None)


def stage_body(name: str) -> dict[str, object]:
    stage = STAGES[name]
    return stage.get("do", stage)


def imported_modules(graph: grimp.ImportGraph, stage: str) -> set[str]:
    """Everything that the stage's module reaches, found step by step so that plumbing is not walked through."""
    seen: set[str] = set()
    waiting = [f"poseline.stages.{stage}"]
    while waiting:
        module = waiting.pop()
        if module in seen or module.startswith(TRACKING):
            continue
        seen.add(module)
        waiting += graph.find_modules_directly_imported_by(module)
    return seen


@pytest.mark.parametrize("name", sorted(STAGES))
def test_deps_cover_the_import_closure(graph: grimp.ImportGraph, name: str) -> None:
    deps = [str(dep) for dep in stage_body(name)["deps"] if str(dep).startswith("src/")]  # type: ignore[attr-defined]
    roots = ["poseline." + dep.removeprefix("src/poseline/").removesuffix(".py").replace("/", ".") for dep in deps]
    for root in roots:
        assert root in graph.modules, f"{name}: dependency on {root}, which does not exist"
    missing = {
        module
        for module in imported_modules(graph, name)
        if not module.startswith(PLUMBING)
        and module != "poseline"
        and not any(module == root or module.startswith(root + ".") or root.startswith(module + ".") for root in roots)
    }
    assert not missing, f"stage {name} imports {sorted(missing)}; add their folders to its deps in dvc.yaml"


def test_every_stage_command_exists_and_runs_itself() -> None:
    from typer.main import get_command

    from poseline.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in STAGES:
        words = str(stage_body(name)["cmd"]).split()
        assert words[:2] == ["poseline", name]
        assert name in commands


def test_params_sections_exist() -> None:
    from poseline.config import Params, dump_section, load_params

    known = dump_section(load_params(REPOSITORY / "params.yaml"))
    for name in STAGES:
        for key in stage_body(name).get("params", []):  # type: ignore[union-attr]
            node: object = known
            for part in str(key).split("."):
                assert isinstance(node, dict)
                assert part in node, f"stage {name}: params names {key}, which does not exist"
                node = node[part]
    assert Params
