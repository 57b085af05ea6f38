"""Eight clones on eight machines at once, on one store: PostgreSQL and S3 behind an MLflow server, as tools/team_demo.py brings them up."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import team_demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
EPOCHS = 3
RATES = ("0.001", "0.002", "0.003", "0.004", "0.006", "0.006", "0.006", "0.006")
"""One a clone: the last four run the same experiment."""
READ = """
import json
from mlflow import MlflowClient
client = MlflowClient()
runs = [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id], max_results=1000)]
found = []
for run in runs:
    history = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "train.loss")]
    found.append({"id": run.info.run_id, "status": run.info.status, "tags": dict(run.data.tags), "params": dict(run.data.params),
                  "scores": [key for key in run.data.metrics if key.endswith(".ap")], "loss": history})
print(json.dumps(found))
"""


def on_machine(name: str, *command: str) -> list[str]:
    """A command on a machine of that name."""
    return ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name, *command]


@pytest.fixture
def team() -> Iterator[team_demo.Team]:
    if missing := team_demo.find_missing():
        pytest.skip(f"missing: {'; '.join(missing)}")
    if shutil.which("unshare") is None or subprocess.run(on_machine("m", "true"), check=False, capture_output=True).returncode:
        pytest.skip("no name space for a host name can be made here")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="poseline-clones-")))  # pytest's own is closed to PostgreSQL's user
        yield team_demo.Team(folder, team_demo.start_services(folder, stack))


def test_nothing_is_lost_or_doubled(team: team_demo.Team, capsys: pytest.CaptureFixture[str]) -> None:
    team_demo.make_project(team)
    team.run("n0", "dvc", "repro")
    team_demo.share(team)
    clones = [f"m{number}" for number in range(len(RATES))]
    for clone in clones:
        team.run(".", "git", "clone", "--quiet", "-b", "main", "origin.git", clone)
        team.run(clone, "dvc", "pull", "--quiet")
    words = [sys.executable, "-m", "dvc", "exp", "run"]
    changes = [("-n", f"rate-{rate}", "-S", f"train.learning_rate={rate}") for rate in RATES]
    at_work = [team.start(clone, *on_machine(clone, *words, *change)) for clone, change in zip(clones, changes, strict=True)]
    said = {clone: process.communicate()[0] for clone, process in zip(clones, at_work, strict=True)}
    assert [process.returncode for process in at_work] == [0] * len(clones), said
    lines = [line for text in said.values() for line in text.splitlines() if re.search("warning|traceback", line, re.IGNORECASE)]
    of_poses = ("predict@", "track@")  # a network of three epochs finds hardly any, which these say
    assert [line for line in lines if not line.startswith(of_poses)] == []
    for clone in clones:  # waits for what is on its way
        team.run(clone, *on_machine(clone, sys.executable, "-m", "poseline.cli", "sync"))

    runs = json.loads(team_demo.last_line(team.run("n0", sys.executable, "-c", READ)))
    rows = {run["id"]: run for run in runs if run["tags"].get("poseline.role") == "parent"}
    assert {run["status"] for run in runs} == {"FINISHED"}
    counted = Counter(row["params"]["train.learning_rate"] for row in rows.values())
    assert set(counted.values()) == {1}, counted
    assert set(RATES) < set(counted), "and the row of the first run"
    assert all(row["scores"] for row in rows.values())
    attempts = [run for run in runs if run["tags"].get("dvc.stage") == "train"]
    hosts = {rate: {clone for clone, its in zip(clones, RATES, strict=True) if its == rate} for rate in RATES}
    for rate, wanted in hosts.items():
        [row] = [row for row in rows.values() if row["params"]["train.learning_rate"] == rate]
        own = [run for run in attempts if run["tags"]["mlflow.parentRunId"] == row["id"]]
        assert Counter(run["tags"]["poseline.host"] for run in own) == dict.fromkeys(wanted, 1)
    for run in attempts:
        assert [step for step, _ in sorted(run["loss"])] == list(range(1, EPOCHS + 1)), run
    with capsys.disabled():
        points = sum(len(run["loss"]) for run in attempts)
        print(f"\n{len(clones)} clones: {len(rows)} rows, {len(attempts)} trainings with {points} points of the loss, {len(runs)} runs")
