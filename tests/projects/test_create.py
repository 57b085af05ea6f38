"""`poseline new` in an empty folder, a repository and a part of one: what is there stays, what is missing is set up or said."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from calling import call
from projects_data import write_coco

from poseline.errors import BackendError, ConfigError
from poseline.projects.create import create, requirements


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_a_new_folder_becomes_a_repository_with_a_first_commit(committer: None, tmp_path: Path) -> None:
    made = create(tmp_path / "demo", "mini", None)
    assert made.notes == ()
    assert git(made.folder, "status", "--short") == ""
    assert set(git(made.folder, "ls-files").splitlines()) == {
        "params.yaml", "dvc.yaml", "code.yaml", "README.md", "requirements.txt", ".gitignore", ".dvcignore", ".dvc/config",
        ".dvc/.gitignore", ".github/workflows/poseline.yml",
    }  # fmt: skip
    assert "analytics = false" in (made.folder / ".dvc/config").read_text()
    workflow = yaml.safe_load((made.folder / ".github/workflows/poseline.yml").read_text())
    assert workflow["defaults"]["run"]["working-directory"] == "."


def test_a_missing_identity_is_said(home: Path, tmp_path: Path) -> None:
    made = create(tmp_path / "demo", "mini", None)
    assert "git config user.name You and git config user.email you@example.org" in made.notes[0]
    assert "git add params.yaml" in made.notes[1]


def test_a_part_of_a_repository_is_a_project_of_its_own_and_nothing_is_committed(committer: None, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "pose").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "pose/README.md").write_text("mine\n")
    (tmp_path / "pose/.gitignore").write_text("secret\n.cache/")
    made = create(tmp_path / "pose", "mini", None)
    assert (tmp_path / "pose/README.md").read_text() == "mine\n"
    assert made.kept == ("README.md", ".gitignore")
    ignored = (tmp_path / "pose/.gitignore").read_text().splitlines()
    assert ignored[:3] == ["secret", ".cache/", "# poseline"]
    assert ignored.count(".cache/") == 1
    assert (tmp_path / "pose/.dvc/config").is_file()
    assert not (tmp_path / ".dvc").exists()
    assert (tmp_path / "dvc.yaml").read_text() == "stages: {}\n"
    workflow = (tmp_path / ".github/workflows/poseline-pose.yml").read_text()
    assert "working-directory: pose\n" in workflow
    assert "pose/reports/index.html" in workflow
    assert "git add" in made.notes[-1]
    assert not git(tmp_path, "rev-list", "--all")


@pytest.mark.parametrize("taken", ["params.yaml", "dvc.yaml", "code.yaml"])
def test_a_pipeline_that_is_there_is_not_touched(taken: str, home: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / taken).write_text("mine\n")
    with pytest.raises(ConfigError, match=f"has a {taken} already, which stays. .* subfolder: poseline new .*/demo/pose"):
        create(tmp_path / "demo", "mini", None)
    assert [path.name for path in (tmp_path / "demo").iterdir()] == [taken]


def test_a_place_that_cannot_be_used_is_one_line(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        create(tmp_path / "file", "mini", None)
    with pytest.raises(ConfigError, match="cannot be written"):
        create(tmp_path / "file/demo", "mini", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="git is not installed"):
        create(tmp_path / "demo", "mini", None)
    assert not (tmp_path / "demo").exists()


def test_bad_data_leave_no_project_behind(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "new", "demo", "--from", "own", "--data", str(tmp_path / "gone")) == 2
    assert "no such folder" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_set_of_your_own_is_filled_in(
    committer: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "mice", "labels.json", [f"{number}.jpg" for number in range(10)])
    assert call(monkeypatch, "new", "demo", "--from", "own", "--data", "mice", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {"skeleton.yaml", "annotations/own/train.json", "annotations/own/val.json"} <= set(told["written"])
    assert "8 images to train on, 2 to score, 5 keypoints" in told["notes"][0]
    stages = yaml.safe_load((tmp_path / "demo/dvc.yaml").read_text())["stages"]
    assert "mini" not in stages
    assert "data/tracks" not in stages["report"]["deps"]


def test_requirements_name_this_version_and_what_is_installed() -> None:
    lines = requirements().splitlines()
    assert lines[1].startswith("poseline[pipeline]==")
    assert any(line.startswith("dvc==") for line in lines)
    assert not any(line.startswith(("pytest==", "ruff==")) for line in lines)
