from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from poseline.datasets.score import Score, Stamp, parse_score
from poseline.errors import ArtifactError
from poseline.report.comparison import compare_runs, compare_score, read_run

STAMP = {"benchmark": "coco", "boxes": "ground_truth", "flip": True, "input_wh": [96, 128]}


def score(ap: float | None, **changes: object) -> Score:
    values = {"ap": ap, "ap50": 0.9, "ap75": 0.6, "ar": 0.7, "ap_interval": [0.5, 0.7], "protocol": {**STAMP, **changes}}
    return parse_score(json.dumps(values), source="x")


def write_run(folder: Path, values: Score, name: str = "coco") -> str:
    path = folder / f"reports/metrics/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values.to_json()))
    return str(folder)


def test_runs_of_one_protocol_are_ranked_best_first() -> None:
    found = compare_score("coco", {"a": score(0.5), "b": score(0.7), "c": score(0.7), "d": score(None)}, ["a", "b", "c", "d", "e"])
    (group,) = found.groups
    assert [(entry.run, entry.rank, entry.behind) for entry in group.entries] == [
        ("b", 1, "0.0"), ("c", 1, "0.0"), ("a", 3, "20.0"), ("d", None, "\u2013")
    ]  # fmt: skip
    assert found.differences == ()
    assert found.absent == ("e",)


def test_runs_of_different_protocols_are_kept_apart_and_the_page_says_so(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a", score(0.9)), write_run(tmp_path / "b", score(0.5, flip=False, input_wh=[192, 256]))
    found = compare_score("coco", {run: read_run(run, tmp_path)["coco"] for run in (first, second)}, [first, second])
    assert [[entry.rank for entry in group.entries] for group in found.groups] == [[None], [None]]
    assert found.differences == ("flip test: no, yes", "input size: 192 \u00d7 256, 96 \u00d7 128")
    page = compare_runs([first, second], tmp_path)
    assert "must not be ranked against each other" in page
    assert "input size: 192 \u00d7 256, 96 \u00d7 128" in page


def test_a_revision_is_read_from_git(tmp_path: Path) -> None:
    git = ("git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run([*git, "init", "-q"], check=True)
    write_run(tmp_path, score(0.61))
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "run"], check=True)
    subprocess.run([*git, "tag", "exp-one"], check=True)
    write_run(tmp_path, score(0.99))
    assert read_run("exp-one", tmp_path)["coco"].metrics["ap"] == 0.61
    with pytest.raises(ArtifactError, match="neither a folder nor a git revision"):
        read_run("exp-two", tmp_path)


def test_faults_are_one_line_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"no scores there\. Run `dvc repro`"):
        read_run(str(tmp_path / "empty"), tmp_path)
    run = write_run(tmp_path / "a", score(0.5))
    with pytest.raises(ArtifactError, match="named twice"):
        compare_runs([run, run], tmp_path)
    (tmp_path / "a/reports/metrics/coco.json").write_text('{"ap": 0.')
    with pytest.raises(ArtifactError, match="not readable as JSON"):
        read_run(run, tmp_path)


def test_a_score_that_the_parameters_left_out_is_absent(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", score(0.5))
    write_run(tmp_path / "a", Score(protocol=Stamp(benchmark="mpii"), enabled=False), "mpii")
    assert list(read_run(run, tmp_path)) == ["coco"]
