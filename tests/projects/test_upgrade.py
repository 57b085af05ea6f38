"""The installed code against code.yaml: a stage stops, an upgrade says what runs again, and what you wrote in dvc.yaml stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from calling import call

from poseline.artifacts import Layout
from poseline.errors import ConfigError
from poseline.projects import code_file, running_code, upgrade
from poseline.projects.code_file import CodeFile, check_stage, read_code
from poseline.projects.pipeline import Shape, read_template, render_pipeline

TRACKER = '''"""A tracker of the project."""
import helper

KINDS = {"poseline.trackers": {"mine": "Mine"}}


class Mine:
    """Nothing yet."""
'''


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache with what the stages of the package execute: computed once."""
    folder = tmp_path_factory.mktemp("code")
    running_code.package_code(folder)
    return folder


@pytest.fixture
def made(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without git and data, made the working directory; its cache knows the package."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copytree(package, tmp_path / ".cache")
    text = read_template("params.yaml")
    (tmp_path / "params.yaml").write_text(text.replace("plugins: []", "plugins: [mine.py]"))
    (tmp_path / "mine.py").write_text(TRACKER)
    (tmp_path / "helper.py").write_text("FAR = 3\n")
    (tmp_path / "dvc.yaml").write_text(render_pipeline(Shape.of(yaml.safe_load(text))))
    (tmp_path / "code.yaml").write_text(code_file.present_code(tmp_path, tmp_path / ".cache").to_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(project: Path, **values: object) -> None:
    """code.yaml with other values."""
    code = read_code(project)
    assert code is not None
    (project / "code.yaml").write_text(code.model_copy(update=values).to_text())


def test_code_yaml_is_read_as_it_was_written(made: Path) -> None:
    code = read_code(made)
    assert code == code_file.present_code(made, made / ".cache")
    assert code is not None
    assert code.pipeline == (made / "dvc.yaml").read_text()
    assert set(code.stages) == set(yaml.safe_load(code.pipeline)["stages"]) - {"code"}


def test_nothing_is_said_of_the_same_code(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "upgrade", "--check") == 0
    check_stage("track@posetrack", Layout(Path()))
    before = (made / "code.yaml").read_text()
    assert call(monkeypatch, "upgrade") == 0
    assert "nothing for the code" in capsys.readouterr().out
    assert (made / "code.yaml").read_text() == before


def test_the_check_loads_neither_tables_nor_the_configuration(made: Path) -> None:
    """DVC runs it before all else, in a project where nothing has changed too."""
    heavy = ["numpy", "pandas", "torch", "mlflow", "grimp", "poseline.artifacts", "poseline.config"]
    check = "from poseline.cli import app; app(['upgrade', '--check'], standalone_mode=False)"
    code = f"import sys; {check}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=made).stdout == "[]\n"


def test_a_change_of_a_plug_in_or_what_it_imports_concerns_the_stages_that_load_it(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (made / "mine.py").write_text(TRACKER + "# a comment\n")
    assert call(monkeypatch, "upgrade", "--check") == 0
    (made / "helper.py").write_text("FAR = 4\n")
    check_stage("score@coco", Layout(Path()))
    with pytest.raises(ConfigError, match=r"track: runs other code than code.yaml names .*plug-in.*Run: poseline upgrade"):
        check_stage("track@posetrack", Layout(Path()))
    assert call(monkeypatch, "upgrade", "--check") == 2
    assert "Run: poseline upgrade" in capsys.readouterr().err
    assert call(monkeypatch, "upgrade", "--dry", "--json") == 0
    assert json.loads(capsys.readouterr().out)["reruns"] == ["track@posetrack"]
    assert call(monkeypatch, "upgrade") == 0
    assert call(monkeypatch, "upgrade", "--check") == 0


def test_a_stage_stops_before_it_does_anything(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code = read_code(made)
    assert code is not None
    changed(made, stages={**code.stages, "mini": "0" * 16}, version="0.0.1")
    assert call(monkeypatch, "mini") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: mini: runs other code than code.yaml names (poseline 0.0.1 there, ")
    assert error.count("\n") == 1
    assert not (made / "data").exists()


def test_a_package_older_than_code_yaml_is_named(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changed(made, version="99.1", stages={})
    for command in (["upgrade"], ["upgrade", "--check"], ["mini"]):
        assert call(monkeypatch, *command) == 2
        assert "pip install 'poseline==99.1'" in capsys.readouterr().err
    assert call(monkeypatch, "upgrade", "--older") == 0
    assert call(monkeypatch, "upgrade", "--check") == 0


def test_dvc_yaml_follows_the_sorts_of_data_sets_and_keeps_your_edits(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (made / "dvc.yaml").read_text()
    (made / "dvc.yaml").write_text(text.replace("    cmd: poseline mini\n", "    cmd: poseline mini\n    # mine\n"))
    raw = (made / "params.yaml").read_text()
    (made / "params.yaml").write_text(raw.replace("sets: [posetrack]   #", "sets: []   #"))
    assert call(monkeypatch, "upgrade", "--check") == 2
    assert "dvc.yaml: its stages are not those that params.yaml needs now" in capsys.readouterr().err
    assert call(monkeypatch, "upgrade") == 0
    assert "-      - data/tracks" in capsys.readouterr().out
    after = (made / "dvc.yaml").read_text()
    assert "# mine" in after
    assert "data/tracks\n" not in after
    assert call(monkeypatch, "upgrade", "--check") == 0


def test_where_both_changed_your_lines_stay_and_are_counted() -> None:
    before = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n"
    mine, ours = before.replace("a: 1", "a: 10"), before.replace("a: 1", "a: 11").replace("e: 5", "e: 50")
    assert upgrade.merge(mine, before, ours) == ("a: 10\nb: 2\nc: 3\nd: 4\ne: 50\n", 1)
    assert upgrade.merge(before, before, ours) == (ours, 0)
    assert upgrade.merge(mine, before, before) == (mine, 0)


def test_a_damaged_code_yaml_is_one_line(made: Path) -> None:
    (made / "code.yaml").write_text("version: 1\nstages: []\n")
    with pytest.raises(ConfigError, match=r"code.yaml: version: .* Restore the file from git"):
        read_code(made)
    (made / "code.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_code(made)


def test_outside_a_project_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "upgrade") == 2
    assert "make one: poseline new DIR" in capsys.readouterr().err
    assert call(monkeypatch, "code") == 2
    assert "in a project run: poseline upgrade" in capsys.readouterr().err


def test_versions_are_compared_as_numbers() -> None:
    def change(before: str, after: str) -> bool:
        return code_file.Change(CodeFile(version=before, stages={}), CodeFile(version=after, stages={})).is_older

    assert change("0.10.0", "0.9.2")
    assert not change("0.9.2", "0.10.0")
    assert not change("0.9.2", "0.9.2")
