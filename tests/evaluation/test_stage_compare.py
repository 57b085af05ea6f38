"""Two runs side by side, from folders, files, git revisions and score outputs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poseline.artifacts import Layout
from poseline.cli import app
from poseline.config import load_params
from poseline.errors import DataError
from poseline.evaluation.gate import accept
from poseline.evaluation.runs import find_scores
from poseline.experiments.locate import find_commit
from poseline.stages import compare


@pytest.fixture(scope="module")
def runs(drawn_set, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A run, one with swapped wrists, and one with other noise. Do not write into them."""
    drawn, folder = drawn_set(1, 40), tmp_path_factory.mktemp("runs")
    found = {"good": drawn.predict(0), "swapped": drawn.predict(0, swapped=0.4), "noise": drawn.predict(9)}
    return tuple(drawn.write_run(folder / name, points) for name, points in found.items())  # type: ignore[return-value]


def judge(workspace: Path, first: Path | str, second: Path, *, resamples: int = 60, **options) -> dict[str, str]:
    params = load_params(workspace / "params.yaml")
    (found,) = compare.run(str(first), str(second), params, Layout(Path()), resamples=resamples, **options)
    return {comparison.result.metric: comparison.verdict for comparison in found.verdicts}


def test_better_worse_and_cannot_tell(workspace: Path, runs) -> None:
    good, swapped, noise = runs
    assert judge(workspace, good, swapped)["ap"] == "worse"
    verdicts = judge(workspace, swapped, good)
    assert verdicts["ap"] == "better"
    assert verdicts["ap_large"] == "better"
    assert "ap_crowd_hard" not in verdicts  # no person is counted there
    assert judge(workspace, good, noise)["ap"] == "cannot tell"
    assert set(judge(workspace, good, good).values()) == {"identical"}


def test_the_command_says_how_many_pictures_are_needed_and_what_grew(workspace: Path, runs) -> None:
    good, swapped, noise = runs
    told = CliRunner().invoke(app, ["compare", str(good), str(noise), "--resamples", "100"])
    assert told.exit_code == 0
    assert "cannot tell" in told.stdout
    assert "images needed" in told.stdout
    same = CliRunner().invoke(app, ["compare", str(good), str(good), "--resamples", "100"])
    assert "identical" in same.stdout
    assert "cannot tell" not in same.stdout
    result = CliRunner().invoke(app, ["compare", str(good), str(swapped), "--resamples", "100", "--json"])
    content = json.loads(result.stdout)["coco"]
    assert content["metrics"]["ap"]["verdict"] == "worse"
    assert any("wrist inversion" in phrase for phrase in content["grown_errors"])


def test_every_place_a_run_may_lie(workspace: Path, runs, drawn_set) -> None:
    good, swapped, _ = runs
    drawn_set(1, 40).write_run(workspace, drawn_set(1, 40).predict(0, swapped=0.4))
    accept(load_params(workspace / "params.yaml"), Layout(Path()))
    places = (workspace, workspace / "reports", workspace / "reports/baseline", workspace / "reports/metrics/coco.json")
    for place in places:
        assert judge(workspace, good, place, resamples=20)["ap"] == "worse", place
    assert judge(workspace, swapped, workspace, resamples=20)["ap"] == "identical"


def test_a_git_revision(workspace: Path, runs) -> None:
    good, swapped, _ = runs
    commands = [["init", "-q"], ["add", "-A", "-f"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "one"]]
    subprocess.run(["cp", "-r", str(good / "reports"), "."], check=True)
    (workspace / ".dvc").mkdir()
    (workspace / ".dvc/config").write_text("[core]\n    analytics = false\n")
    for words in commands:
        subprocess.run(["git", *words], check=True, cwd=workspace)
    assert judge(workspace, "HEAD", swapped)["ap"] == "worse"


def test_the_latest_experiment_of_a_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC keeps experiments of one name under each commit that they started from."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    shas = []
    for day, base in ((2, "bb"), (3, "aa"), (1, "cc")):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-01-0{day}T00:00:00Z")
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", base], check=True)
        shas.append(subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip())
        subprocess.run([*git, "update-ref", f"refs/exps/{base}/{base}/my-run", shas[-1]], check=True)
    assert find_commit(tmp_path, "my-run") == shas[1]
    assert find_commit(tmp_path, "no-run") is None


def copy_run(run: Path, target: Path, **conditions: object) -> Path:
    """The run with other conditions in its stamp."""
    subprocess.run(["cp", "-r", str(run), str(target)], check=True)
    path = target / "reports/metrics/coco.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "protocol": {**content["protocol"], **conditions}}))
    return target


def test_other_protocols_are_refused_unless_forced(workspace: Path, runs, tmp_path: Path) -> None:
    good, other = copy_run(runs[0], tmp_path / "good", flip=False), copy_run(runs[2], tmp_path / "other", flip=True)
    with pytest.raises(DataError, match=r"different protocols \(flip: False against True\).*--force-different"):
        judge(workspace, good, other)
    assert judge(workspace, good, other, force_different=True)["ap"] == "cannot tell"
    told = CliRunner().invoke(app, ["compare", str(good), str(other), "--force-different", "--resamples", "100"])
    assert "DIFFERENT PROTOCOLS" in told.stdout


def test_a_condition_that_one_run_does_not_state_is_a_note(workspace: Path, runs, tmp_path: Path) -> None:
    other = copy_run(runs[2], tmp_path / "other", flip=True)
    assert judge(workspace, runs[0], other)["ap"] == "cannot tell"
    told = CliRunner().invoke(app, ["compare", str(runs[0]), str(other), "--resamples", "100"])
    assert "Not known to be alike: flip: not stated against True." in told.stdout
    with pytest.raises(DataError, match="data_hash"):
        judge(workspace, runs[0], copy_run(runs[2], tmp_path / "unknown", data_hash=None))


def test_without_tables_nothing_is_claimed(workspace: Path, runs, tmp_path: Path) -> None:
    good, swapped, _ = runs
    bare = tmp_path / "bare/reports/metrics"
    bare.mkdir(parents=True)
    (bare / "coco.json").write_text((swapped / "reports/metrics/coco.json").read_text())
    params = load_params(workspace / "params.yaml")
    (found,) = compare.run(str(good), str(tmp_path / "bare"), params, Layout(Path()))
    assert found.verdicts == ()
    assert found.untested["ap"][1] < found.untested["ap"][0]


def test_a_place_without_scores_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no scores in it"):
        find_scores(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        find_scores(tmp_path / "none")
