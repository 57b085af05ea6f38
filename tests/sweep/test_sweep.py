"""A sweep over experiments of a DVC that is played by a script: which trials run, are stopped, come again; and one with the real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from poseline.artifacts import Layout
from poseline.config import dump_section, load_params
from poseline.errors import BackendError, ConfigError, DataError, StoppedError
from poseline.sweep import trial
from poseline.sweep.space import Range, Space
from poseline.sweep.study import Row, Settings, best, sweep

pytest.importorskip("optuna")

REPOSITORY = Path(__file__).resolve().parents[2]
RATES = Space({"train.learning_rate": (0.3, 0.1, 0.2)})
DVC = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from poseline.artifacts import Layout
from poseline.experiments.lineage import Identity
from poseline.experiments.record import HISTORY, RecordFolder

def git(*words, text=None):
    return subprocess.run(["git", *words], input=text, text=True, capture_output=True, check=True).stdout.strip()

name = sys.argv[sys.argv.index("-n") + 1]
rate = float(next(word for word in sys.argv if word.startswith("train.learning_rate=")).partition("=")[2])
if Path("broken").exists():
    sys.exit("ERROR: failed to reproduce 'train': " + Path("broken").read_text())
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
record = RecordFolder.create(Layout(Path()), "train", Identity(key="k", name=name, tags={}, params={}), store="")
with open("epochs.txt", "a") as log:
    for epoch in range(1, 9):
        record.append(HISTORY, {"train.loss": 1.0, "train.val_ap": rate * epoch / 8}, epoch)
        print(name, epoch, file=log, flush=True)
        time.sleep(0.15)
        if stopped:
            sys.exit("error: train: stopped by SIGTERM.")
blob = git("hash-object", "-w", "--stdin", text=json.dumps({"ap": rate, "protocol": {}, "schema_version": 1}))
tree = blob
for entry in ("coco.json", "metrics", "reports"):
    tree = git("mktree", text=f"{'100644 blob' if tree == blob else '040000 tree'} {tree}\\t{entry}\\n")
commit, base = git("commit-tree", tree, "-m", name), git("rev-parse", "HEAD")
git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)
"""


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A repository of git and DVC whose `dvc exp run` is the script above."""
    for place, value in (
        ("GIT_AUTHOR_NAME", "t"),
        ("GIT_AUTHOR_EMAIL", "t@e.org"),
        ("GIT_COMMITTER_NAME", "t"),
        ("GIT_COMMITTER_EMAIL", "t@e.org"),
    ):
        monkeypatch.setenv(place, value)
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    (root / "params.yaml").write_text("seed: 1\n")
    for words in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "start"],
    ):
        subprocess.run(words, check=True)
    fake = tmp_path / "fake/dvc"
    fake.mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text(DVC)
    monkeypatch.setenv("PYTHONPATH", f"{fake.parent}:{REPOSITORY / 'src'}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(trial, "LOOK_S", 0.02)
    return Layout(Path())


def run(layout: Layout, space: Space = RATES, *, said: list[str] | None = None, **settings: object) -> list[Row]:
    lines: list[str] = [] if said is None else said
    return sweep(space, Settings(**{"name": "rates", "trials": 3, **settings}), layout, say=lines.append)  # type: ignore[arg-type]


def epochs(name: str) -> int:
    return Path("epochs.txt").read_text().split().count(name)


def test_each_combination_runs_once_and_the_best_is_told(layout: Layout) -> None:
    said: list[str] = []
    rows = run(layout, said=said, trials=2, prune_after=None)
    assert [row.name for row in rows] == ["rates-001", "rates-002"]
    rows = run(layout, said=said, trials=5, prune_after=None)
    assert [row.name for row in rows] == ["rates-001", "rates-002", "rates-003"]
    assert {row.params["train.learning_rate"]: row.value for row in rows} == {0.1: 0.1, 0.2: 0.2, 0.3: 0.3}
    assert {row.state for row in rows} == {"complete"}
    top = best(rows)
    assert top is not None
    assert top.value == 0.3
    assert said[-1] == "sweep: every combination of rates has run"
    assert f"{top.name}: coco.ap 0.3000" in said


def test_a_poor_training_is_stopped_by_its_history(layout: Layout) -> None:
    space = Space({"train.learning_rate": Range(low=0.1, high=0.9)})
    rows = run(layout, space, trials=6, prune_after=2)
    by_rate = sorted(rows[2:], key=lambda row: row.params["train.learning_rate"])  # type: ignore[arg-type,return-value]
    assert {row.state for row in rows[:2]} == {"complete"}
    assert by_rate[0].state == "pruned"
    assert epochs(by_rate[0].name) < 8
    assert all(epochs(row.name) == 8 for row in rows if row.state == "complete")
    assert not list(subprocess.run(["git", "for-each-ref", f"refs/exps/**/{by_rate[0].name}"], capture_output=True).stdout)
    top = best(rows)
    assert top is not None
    assert top.params["train.learning_rate"] == max(row.params["train.learning_rate"] for row in rows)  # type: ignore[type-var]


def test_ctrl_c_ends_the_trial_and_the_next_call_takes_it_up(layout: Layout) -> None:
    def interrupt() -> None:
        while not epochs("rates-002"):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    def interrupt_in_the_second(line: str) -> None:
        if line.startswith("rates-002: train"):
            threading.Thread(target=interrupt, daemon=True).start()

    settings = Settings("rates", trials=3, prune_after=None)
    with pytest.raises(StoppedError, match=r"sweep: stopped by SIGINT\. Run it again") as caught:
        sweep(RATES, settings, layout, say=interrupt_in_the_second)
    assert caught.value.exit_code == 130
    rows = run(layout, trials=3, prune_after=None)
    assert [(row.name, row.state) for row in rows] == [
        ("rates-001", "complete"), ("rates-002", "interrupted"), ("rates-003", "complete"), ("rates-004", "complete"),
    ]  # fmt: skip
    assert rows[2].params == rows[1].params  # its training goes on from the checkpoint
    assert epochs("rates-002") < 8


def test_what_was_killed_comes_again(layout: Layout) -> None:
    import optuna

    run(layout, trials=1, prune_after=None)
    study = optuna.load_study(study_name="rates", storage=f"sqlite:///{(layout.cache / 'sweeps/rates.db').resolve()}")
    study.enqueue_trial({"train.learning_rate": "0.2"})
    study.ask(RATES.distributions())  # as a sweep that was killed leaves it
    rows = run(layout, trials=1, prune_after=None)
    assert [(row.name, row.state) for row in rows][1:] == [("rates-002", "interrupted"), ("rates-003", "complete")]
    assert rows[2].params == {"train.learning_rate": 0.2}


def test_failures_are_told_and_end_the_sweep(layout: Layout) -> None:
    Path("broken").write_text("no memory\n")
    with pytest.raises(
        DataError, match=r"2 trials in a row failed, the last: failed to reproduce 'train': no memory All it said: .*rates-002"
    ):
        run(layout)


def test_another_space_or_metric_is_another_study(layout: Layout) -> None:
    run(layout, trials=1)
    with pytest.raises(ConfigError, match=r"'rates' has the space .*0\.3.*, now it is .*0\.5.*Give another --name, or delete .*rates\.db"):
        run(layout, Space({"train.learning_rate": (0.5,)}))
    with pytest.raises(ConfigError, match=r"'rates' has the metric coco\.ap, now it is coco\.ar"):
        run(layout, metric="coco.ar")
    with pytest.raises(ConfigError, match=r"--metric coco\.app: other-001 has no such metric\. There are 1, for example coco\.ap"):
        run(layout, name="other", metric="coco.app")


def test_no_repository_and_bad_names_are_one_line(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"--name a b: expected letters, digits"):
        run(layout, name="a b")
    shutil.rmtree(".dvc")
    with pytest.raises(DataError, match=r"no DVC repository, so that no experiment can run\. Run: poseline init"):
        run(layout)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(BackendError, match=r"optuna is not installed\. Run: pip install 'poseline\[sweep\]'") as caught:
        run(layout)
    assert caught.value.exit_code == 3


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_three_real_trials(tmp_path: Path, tiny: tuple[str, ...]) -> None:
    import yaml

    folder = tmp_path / "repository"
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder)
    more = ("mlflow.enabled=true", "mlflow.system_metrics=false", "train.epochs=2", "train.validate_every=1")
    params = load_params(REPOSITORY / "params.yaml", (*tiny, *more))
    (folder / "params.yaml").write_text(yaml.safe_dump(dump_section(params), sort_keys=False))
    (folder / "space.yaml").write_text("train.learning_rate: [0.005, 0.002, 0.001]\n")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    environment |= {f"GIT_{who}_{what}": "t@e.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment["PYTHONPATH"] = f"{folder / 'src'}:{os.environ.get('PYTHONPATH', '')}"
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    for words in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "repro"), ("git", "add", "-A"), ("git", "commit", "-qm", "start")):
        done = call(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    done = call(sys.executable, "-m", "poseline.cli", "sweep", "space.yaml", "--trials", "3", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(row["name"], row["state"]) for row in told["trials"]] == [(f"space-00{number}", "complete") for number in (1, 2, 3)]
    assert told["best"] in {"space-001", "space-002", "space-003"}
    assert {"space-001", "space-002", "space-003"} <= set(call("dvc", "exp", "list", "--name-only").stdout.split())
    assert call("git", "status", "--porcelain").stdout == ""  # the workspace is as it was
    runs = call(sys.executable, "-m", "poseline.cli", "lineage", "space-002")
    assert runs.returncode == 0, runs.stderr
