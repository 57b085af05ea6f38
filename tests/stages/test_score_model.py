"""`poseline score --model`: another model on the project's data, without a trace in the pipeline's results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from calling import call
from safetensors.torch import load_file, save_file


def options(overrides: tuple[str, ...]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for name in ("data", "reports") for path in sorted((folder / name).rglob("*")) if path.is_file()}


def scores(path: Path) -> dict[str, object]:
    """All of a score but its stamp."""
    return {name: value for name, value in json.loads(path.read_text()).items() if name != "protocol"}


def test_the_own_model_has_its_own_scores_and_another_one_others(
    finished: Path, made_with: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(finished)
    assert call(monkeypatch, "score", "--model", "data/model", "--out", "same", "--device", "cpu", *options(made_with)) == 0
    assert "coco:" in capsys.readouterr().out
    names = {path.stem for path in (finished / "reports/metrics").glob("*.json") if scores(path).get("enabled", True)}
    assert {path.stem for path in Path("same").glob("*.json")} == names
    for name in names:
        assert scores(Path("same") / f"{name}.json") == scores(finished / "reports/metrics" / f"{name}.json")
    shutil.copytree("data/model", "elsewhere")
    weights = load_file("elsewhere/model.safetensors")
    save_file({name: value * 0.5 if value.is_floating_point() else value for name, value in weights.items()}, "elsewhere/model.safetensors")
    about = json.loads(Path("elsewhere/model.json").read_text())
    from poseline.artifacts import file_hash

    Path("elsewhere/model.json").write_text(json.dumps({**about, "weights_hash": file_hash(Path("elsewhere/model.safetensors"))}))
    assert call(monkeypatch, "score", "coco", "--model", "elsewhere", "--json", "--device", "cpu", *options(made_with)) == 0
    other = json.loads(capsys.readouterr().out)
    assert set(other) <= {"coco", "coco_detections"}
    own = json.loads(Path("same/coco.json").read_text())
    assert other["coco"]["protocol"]["weights"] != own["protocol"]["weights"]
    assert other["coco"]["ap"] is not None
    assert {**other["coco"], "protocol": 0} != {**own, "protocol": 0}
    assert snapshot(finished) == before, "results of the pipeline stay"
    assert call(monkeypatch, "compare", "same", "reports/metrics", "--allow-stale", *options(made_with)) == 0
    assert list((finished / ".cache/tmp").glob("*/*")) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("coco", "--model", "nowhere"), "nowhere"),
        (("coco", "--model", "data/model", "--protocol", "coco"), "--model: goes without --protocol"),
        (("nothing", "--model", "data/model"), "nothing"),
        (("coco", "--model", "data/model", *options(("predict.runtime=onnxruntime", "predict.onnx=a.onnx"))), "runtime is onnxruntime"),
    ],
)
def test_bad_requests_are_one_line(
    finished: Path, made_with: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    assert call(monkeypatch, "score", *words, "--device", "cpu", *options(made_with)) in (2, 3)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
