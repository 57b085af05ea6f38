"""Every command works from any folder of the project: typed paths count from there, those of params.yaml from the project."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from calling import call

from poseline.config.params import apply_override
from poseline.project import located, shown

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def deep(finished: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder two levels below the root of a finished project, made the working directory."""
    raw = yaml.safe_load((finished / "params.yaml").read_text())
    for override in (*tiny, "predict.score=mean", "predict.nms.kind=none", "track.min_pose_score=0", "track.bytepose.high_score=0"):
        apply_override(raw, override)
    (finished / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    folder = finished / "notes" / "today"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def contents(root: Path) -> dict[str, str]:
    """File -> hash, without the records of what made them: these tell options, which made the finished project, from values of the file."""
    kept = [path for folder in ("data", "reports/metrics", "reports/plots", "reports/per_person") for path in (root / folder).rglob("*")]
    return {path.relative_to(root).as_posix(): digest(path) for path in kept if path.is_file()}


def digest(path: Path) -> str:
    if path.suffix != ".json":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    without = json.loads(path.read_bytes(), object_hook=lambda entry: {key: value for key, value in entry.items() if key != "made_from"})
    return hashlib.sha256(json.dumps(without).encode()).hexdigest()


def test_the_pipeline_gives_the_same_files_from_any_folder(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = deep.parents[1]
    before = contents(root)
    commands = ["mini", "validate", "preprocess", "train --device cpu", "predict coco", "predict mpii", "predict posetrack", "track"]
    for command in [*commands, "score coco", "score mpii", "score posetrack", "report"]:
        assert call(monkeypatch, *command.split()) == 0, command
    assert (root / "reports/index.html").is_file()
    assert contents(root) == before
    assert list(deep.iterdir()) == []


def test_typed_paths_count_from_where_the_user_stands(
    deep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = deep.parents[1]
    annotations = "../../data/mini/posetrack/annotations/val"
    assert call(monkeypatch, "export", "--out", "model.onnx", "--json") == 0
    assert json.loads(capsys.readouterr().out)["file"] == "model.onnx"
    assert (deep / "model.onnx").is_file()
    assert call(monkeypatch, "export", "--model", "../../data/model", "--out", "../other.onnx") == 0
    assert (deep.parent / "other.onnx").is_file()
    assert call(monkeypatch, "export", "../..", "--out", "project.onnx") == 0
    assert (deep / "project.onnx").is_file()
    capsys.readouterr()  # a slow export says that it is at work
    assert call(monkeypatch, "export", "../nowhere", "--out", "none.onnx") == 2
    assert capsys.readouterr().err == "error: ../nowhere: no such file or folder. Check the path.\n"
    assert call(monkeypatch, "track", "--predictions", annotations, "--frames", "../../data/mini/posetrack", "--out", "tracked") == 0
    assert list((deep / "tracked").glob("*.json"))
    scored = ["score", "--protocol", "posetrack", "--ground-truth", annotations, "--predictions", "tracked", "--out", "scores"]
    assert call(monkeypatch, *scored) == 0
    assert (deep / "scores/posetrack.json").is_file()
    assert call(monkeypatch, "compare", "scores", "scores") == 0
    assert call(monkeypatch, "report", "--compare", "../..", "--compare", "..") == 2  # the second has no scores
    assert "../other.json: has no protocol" in capsys.readouterr().err
    assert call(monkeypatch, "gate", "--accept") == 0
    assert call(monkeypatch, "gate", "--against", "../../reports/metrics", "--markdown", "gate.md", "--junit", "gate.xml") == 0
    assert (deep / "gate.md").is_file()
    assert (root / "reports/baseline").is_dir()


def test_paths_of_the_parameters_count_from_the_project(
    deep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = deep.parents[1]
    text = (root / "data/mini/coco/annotations/person_keypoints_val2017.json").read_text()
    own = root / "own/annotations.json"
    own.parent.mkdir()
    own.write_text(text)
    (root / "own/union.yaml").write_text((SOURCE / "poseline/core/skeletons/coco17.yaml").read_text())
    sets = ["--set", "data.sets.coco.annotations=own/annotations.json", "--set", "data.sets.coco.skeleton=own/union.yaml"]
    sets += ["--set", "data.sets.coco.train=null", "--set", "data.sets.coco.detections=null"]
    assert call(monkeypatch, "validate", "coco", *sets) == 0
    assert call(monkeypatch, "export", "--out", str(root / "own/net.onnx")) == 0
    onnx = ["--set", "predict.runtime=onnxruntime", "--set", "predict.onnx=own/net.onnx"]
    assert call(monkeypatch, "predict", "coco", *onnx) == 0
    assert call(monkeypatch, "train", "--device", "cpu", "--set", "train.init_from=data/model", "--set", "seed=3") == 0
    assert call(monkeypatch, "calibrate", "--fraction", "1.0", "--set", "predict.calibration=own/calibration.json") == 0
    assert (root / "own/calibration.json").is_file()
    assert list(deep.iterdir()) == []
    capsys.readouterr()
    assert call(monkeypatch, "predict", "coco", "--set", "predict.runtime=onnxruntime", "--set", "predict.onnx=own/none.onnx") != 0
    assert str(root / "own/none.onnx") in capsys.readouterr().err


def test_commands_around_the_project_work_there(deep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = deep.parents[1]
    call(monkeypatch, "doctor", "--json")  # may find faults; it must look at the project
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert str(root) in checks["dvc project"]["value"]
    assert call(monkeypatch, "models", "alphapose/fastpose-r50") == 0
    assert call(monkeypatch, "track", "tune", "--candidates", "1", "--set", "data.sets.posetrack.train.annotations=annotations/train") == 0
    assert (root / "reports/track_tuning.json").is_file()
    assert call(monkeypatch, "init", "--set", "mlflow.enabled=true", "--set", "mlflow.uri=sqlite:///stores/own.db") == 0
    assert (root / "stores/own.db").is_file()
    assert list(deep.iterdir()) == []


def test_a_located_path_is_shown_as_it_was_written(deep: Path) -> None:
    root = deep.parents[1]
    for name in ("data/mini", "../elsewhere", ".", "data/../x"):
        assert shown(located(name)) == Path(name)
        assert located(name) == root / name
    assert located("/data/coco") == shown(Path("/data/coco")) == Path("/data/coco")


def test_no_code_changes_the_working_directory() -> None:
    assert [path.name for path in SOURCE.rglob("*.py") if "chdir" in path.read_text()] == []
