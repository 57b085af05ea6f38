"""dvc.yaml against the code: a stage depends on the code that it executes, no less and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from poseline import stage_code
from poseline.errors import ArtifactError

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src/poseline"
TEXT = (REPOSITORY / "dvc.yaml").read_text()
STAGES = yaml.safe_load(TEXT)["stages"]
# Stage -> how its module is run on a project, after those before it.
RUNS = {
    "mini": "stage.run(params, layout)",
    "validate": "[stage.run(params, layout, name) for name in params.data.sets]",
    "preprocess": "stage.run(params, layout)",
    "train": "stage.run(params, layout, 'cpu', StageRun())",
    "predict": "[stage.run(params, layout, 'cpu', name) for name in params.data.sets]",
    "track": "[stage.run(params, layout, name) for name in params.track.sets]",
    "score": "[stage.run(params, layout, name) for name in params.data.sets]",
    "report": "stage.run(params, layout)",
}
PROGRAM = """
import json, sys
from pathlib import Path
from poseline.artifacts import Layout
from poseline.config import load_params
params, layout = load_params(Path("params.yaml"), json.loads(sys.argv[1])), Layout(Path())
for name, call in json.loads(sys.argv[2]).items():
    if name == "train":
        from poseline.experiments import StageRun
    before = set(sys.modules)
    for module in [module for module in before if module.startswith("poseline.")]:
        del sys.modules[module]
    exec(f"from poseline.stages import {name} as stage")
    exec(call)
    print(json.dumps([name, sorted(module for module in sys.modules if module.split(".")[0] == "poseline")]))
"""


def stage_body(name: str) -> dict[str, object]:
    stage = STAGES[name]
    return stage.get("do", stage)


def test_the_code_of_every_stage_is_what_the_import_graph_says() -> None:
    assert stage_code.write_code(TEXT, SOURCE) == TEXT, "run: poseline code"


@pytest.mark.timeout(300)
def test_programs_that_a_stage_starts_are_its_code() -> None:
    """No import leads to them: they are found by the name that `launch` is given."""
    stages = Path(stage_code.__file__).parent / "stages"
    started = {path.stem for path in stages.glob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert started == {"train_worker"}
    assert {f"poseline.stages.{name}" for name in started} <= stage_code.executed_modules("poseline.stages.train")


def test_a_stage_that_runs_loads_no_code_outside_its_deps(project: Path, tiny: tuple[str, ...]) -> None:
    """Independent of the import graph: the modules that are loaded when a stage has run."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, "-c", PROGRAM, json.dumps(tiny), json.dumps(RUNS)]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    assert set(loaded) == set(STAGES)
    for name, modules in loaded.items():
        deps = [REPOSITORY / str(dep) for dep in stage_body(name)["deps"] if str(dep).startswith("src/")]  # type: ignore[attr-defined]
        ran = [module for module in modules if not module.startswith((stage_code.STORE, "poseline.project"))]
        files = [stage_code.module_file(module, SOURCE) for module in ran]
        missing = [file for file in files if not any(file == dep or dep in file.parents for dep in deps)]
        assert not missing, f"stage {name} ran {missing}"


def test_a_stage_names_no_code_of_stages_after_it_and_none_of_the_command_line() -> None:
    def code(name: str) -> set[str]:
        return {str(dep) for dep in stage_body(name)["deps"]}  # type: ignore[attr-defined]

    for name in STAGES:
        assert not any("/cli" in dep or dep.endswith("experiments") for dep in code(name)), name
    assert not any("/mini" in dep for name in set(STAGES) - {"mini", "report"} for dep in code(name))
    assert not any("/report" in dep for name in set(STAGES) - {"report"} for dep in code(name))
    assert not any("/checks" in dep for name in set(STAGES) - {"validate"} for dep in code(name))
    assert not any("/train" in dep for name in ("predict", "track", "score") for dep in code(name))


def test_writing_keeps_what_the_user_wrote_and_needs_deps() -> None:
    text = TEXT.replace(
        "        - ${item.annotations}\n      outs:\n        - data/validated",
        "        - ${item.annotations}\n        - mine.txt\n      outs:\n        - data/validated",
    )
    assert stage_code.write_code(text, SOURCE) == text
    stripped = "\n".join(line for line in TEXT.splitlines() if "- src/poseline" not in line) + "\n"
    assert stage_code.write_code(stripped, SOURCE) == TEXT
    with pytest.raises(ArtifactError, match="stage 'mini' has no deps"):
        stage_code.write_code("stages:\n  mini:\n    cmd: poseline mini\n    outs:\n      - data/mini\n", SOURCE)
    with pytest.raises(ArtifactError, match="expected a mapping 'stages'"):
        stage_code.write_code("[]", SOURCE)


def test_every_stage_command_exists_and_runs_itself() -> None:
    from typer.main import get_command

    from poseline.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in STAGES:
        words = str(stage_body(name)["cmd"]).split()
        assert words[:2] == ["poseline", name]
        assert name in commands


def test_params_sections_exist() -> None:
    from poseline.config import dump_section, load_params

    params = load_params(REPOSITORY / "params.yaml")
    known = dump_section(params)
    for name in STAGES:
        for key in stage_body(name).get("params", []):  # type: ignore[union-attr]
            for item in ("coco", "mpii", "posetrack") if "${" in str(key) else ("",):
                node: object = known
                for part in str(key).replace("${key}", item).replace("${item}", item).split("."):
                    assert isinstance(node, dict)
                    assert part in node, f"stage {name}: params names {key}, which does not exist"
                    node = node[part]
