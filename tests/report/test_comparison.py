from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poseline.artifacts import Layout
from poseline.cli import app
from poseline.config import load_params
from poseline.datasets.score import Score, Stamp, parse_score
from poseline.errors import ArtifactError, DataError
from poseline.evaluation.runs import find_scores
from poseline.report.comparison import compare_runs, compare_score, read_run
from poseline.stages.compare import write_page

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
    files = {run: find_scores(Path(run)) for run in (first, second)}
    found = compare_score("coco", {run: read_run(where)["coco"] for run, where in files.items()}, [first, second])
    assert [[entry.rank for entry in group.entries] for group in found.groups] == [[None], [None]]
    assert found.differences == ("flip test: no, yes", "input size: 192 \u00d7 256, 96 \u00d7 128")
    page = compare_runs(files)
    assert "must not be ranked against each other" in page
    assert "input size: 192 \u00d7 256, 96 \u00d7 128" in page


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"codec": "simcc"}, "codec simcc"),
        ({"input_wh": [192, 256]}, "input 192 \u00d7 256 px"),
        ({"weights": "0123456789abcdef"}, "weights 01234567"),
        ({"tracker": "poseflow"}, "tracker poseflow"),
    ],
)
def test_models_of_one_protocol_are_ranked_and_shown(changes: dict[str, object], shown: str) -> None:
    found = compare_score("coco", {"a": score(0.5), "b": score(0.7, **changes)}, ["a", "b"])
    (group,) = found.groups
    assert [(entry.run, entry.rank, shown in entry.model) for entry in group.entries] == [("b", 1, True), ("a", 2, False)]


@pytest.mark.parametrize("changes", [{"flip": False}, {"boxes": "detections"}, {"nms": "oks"}, {"data_hash": "x"}, {"num_people": 3}])
def test_protocols_that_differ_are_never_ranked(changes: dict[str, object]) -> None:
    assert len(compare_score("coco", {"a": score(0.5), "b": score(0.7, **changes)}, ["a", "b"]).groups) == 2


@pytest.fixture
def repository(workspace: Path) -> Path:
    """A DVC project under git, with a score in its commit (tag ``first``), another in an experiment, and a third in its files."""
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@t")
    (workspace / ".dvc").mkdir()
    (workspace / ".dvc/config").write_text("[core]\n    analytics = false\n")
    for name, ap in (("first", 0.61), ("second", 0.72)):
        write_run(workspace, score(ap))
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", name], ["tag", name]):
            subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "update-ref", "refs/exps/ab/cdef/wider-net", "second"], check=True)
    subprocess.run([*git, "tag", "-d", "second"], check=True, capture_output=True)
    subprocess.run([*git, "reset", "-q", "--hard", "first"], check=True)
    write_run(workspace, score(0.83))
    return workspace


def test_a_run_is_whatever_compare_and_gate_take(repository: Path) -> None:
    """A revision, a DVC experiment by its name, a folder and a file."""
    names = ["first", "wider-net", ".", "reports/metrics/coco.json"]
    done = CliRunner().invoke(app, ["report", "--compare", *names])
    assert done.exit_code == 0, done.output
    page = (repository / "reports/compare.html").read_text()
    assert [text in page for text in ("61.0 %", "72.0 %", "83.0 %", "wider-net")] == [True] * 4
    assert CliRunner().invoke(app, ["compare", "first", "wider-net", "--json"]).exit_code == 0


def test_faults_are_one_line_with_the_next_step(workspace: Path, tmp_path: Path) -> None:
    params, layout = load_params(workspace / "params.yaml"), Layout(Path())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no scores in it\. Give a folder"):
        write_page([str(tmp_path / "empty")], params, layout)
    run = write_run(tmp_path / "a", score(0.5))
    with pytest.raises(DataError, match="named twice"):
        write_page([run, run], params, layout)
    (tmp_path / "a/reports/metrics/coco.json").write_text('{"ap": 0.')
    with pytest.raises(ArtifactError, match="not readable as JSON"):
        write_page([run], params, layout)
    for name in ("exp-two", "no such%2Fname"):
        done = CliRunner().invoke(app, ["report", "--compare", name])
        assert done.exit_code != 0
        assert name in str(done.exception)


def test_a_score_that_the_parameters_left_out_is_absent(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", score(0.5))
    write_run(tmp_path / "a", Score(protocol=Stamp(benchmark="mpii"), enabled=False), "mpii")
    assert list(read_run(find_scores(Path(run)))) == ["coco"]
