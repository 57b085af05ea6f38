"""`poseline join`: what it says of bad input, which node it is under a scheduler, missing data, and the state that nodes compare."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from calling import call

from poseline.artifacts import Layout
from poseline.config import dump_section, load_params
from poseline.errors import DataError
from poseline.experiments.facts import deciding_params, gather_facts
from poseline.stages import join
from poseline.train.node_facts import differences
from poseline.train.wire import Plan, free_port

SCHEDULERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
              "SLURM_PROCID", "SLURM_NODEID", "SLURM_LOCALID", "SLURM_NNODES", "SLURM_NTASKS", "SLURM_STEP_NUM_NODES")  # fmt: skip


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SCHEDULERS:
        monkeypatch.delenv(name, raising=False)


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b", *words], cwd=folder, check=True, capture_output=True)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "join: expected HOST:PORT of the first node, such as 10.0.0.1:29500, got ''."),
        (("nowhere",), "join: expected HOST:PORT"),
        (("127.0.0.1:29500", "--wait", "soon"), "join --wait: expected a time such as 90s, 15m or 1h, got 'soon'."),
        (("127.0.0.1:29500", "--wait", "0"), "join --wait: expected a time"),
    ],
)
def test_bad_input_is_a_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert call(monkeypatch, "join", *words) == 2
    assert message in said(capsys)


def test_nobody_at_the_address_and_nobody_who_joins_end_with_3(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny: tuple[str, ...]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert call(monkeypatch, "join", address, "--wait", "0.5s", "--device", "cpu") == 3
    assert said(capsys).startswith(f"join: node 0 at {address} did not answer in ")
    sets = [word for one in (*tiny, "train.nodes=2", f"train.rendezvous={address}", "train.wait_minutes=0.01") for word in ("--set", one)]
    assert call(monkeypatch, "train", "--device", "cpu", *sets) == 3
    assert said(capsys).startswith(f"train: nobody joined at {address} in 1 s: 1 of 2 nodes are there.")
    assert not list(Path(".cache/checkpoints").glob("*")), "nothing is left of a run that never began"
    without = [word for one in (*tiny, "train.nodes=2") for word in ("--set", one)]
    assert call(monkeypatch, "train", "--device", "cpu", *without) == 2
    assert said(capsys).startswith("train.rendezvous: expected HOST:PORT")


def test_under_a_scheduler_the_first_node_trains_and_other_tasks_of_a_node_end(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny: tuple[str, ...]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_NODEID", "0")
    monkeypatch.setenv("SLURM_LOCALID", "1")
    monkeypatch.setenv("SLURM_NNODES", "2")
    assert call(monkeypatch, "join", address) == 0
    assert "node 0: the first process of the node starts the others" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_LOCALID", "0")
    sets = [word for one in tiny for word in ("--set", one)]
    assert call(monkeypatch, "join", address, "--wait", "0.5s", "--device", "cpu", *sets) == 3
    assert said(capsys).startswith("train: nobody joined at")
    monkeypatch.setenv("SLURM_NODEID", "1")
    assert call(monkeypatch, "join", address, "--wait", "0.5s", "--device", "cpu", *sets) == 3
    assert said(capsys).startswith("join: node 0 at")


def test_data_that_are_missing_are_pulled_by_the_hash_of_dvc_lock(project: Path) -> None:
    layout = Layout(Path())
    shutil.rmtree(project / "data/processed")
    with pytest.raises(DataError, match=r"data/processed is missing, and dvc\.lock does not name it"):
        join.fetch_data(layout)


@pytest.mark.slow
def test_data_that_are_missing_come_from_the_remote_or_the_reason_is_said(project: Path, tmp_path: Path) -> None:
    def dvc(*words: str) -> None:
        subprocess.run(["dvc", *words, "--quiet"], cwd=project, check=True, capture_output=True)

    git(project, "init")
    dvc("init")
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    stage = {"cmd": "true", "outs": [{"data/processed": {"persist": True}}]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"preprocess": stage}}))
    dvc("commit", "--force")
    dvc("push")
    before = sorted(path.name for path in (project / "data/processed").iterdir())
    shutil.rmtree(project / "data/processed")
    shutil.rmtree(project / ".dvc/cache")
    join.fetch_data(Layout(Path()))
    assert sorted(path.name for path in (project / "data/processed").iterdir()) == before
    shutil.rmtree(project / "data/processed")
    shutil.rmtree(project / ".dvc/cache")
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(DataError, match=r"^join: data/processed is missing, and DVC could not pull it: .*dvc push") as caught:
        join.fetch_data(Layout(Path()))
    assert "\n" not in str(caught.value)


def test_the_state_of_a_node(project: Path, tiny: tuple[str, ...]) -> None:
    layout, params = Layout(Path()), load_params(project / "params.yaml", tiny)
    git(project, "init")
    (project / "code.py").write_text("a = 1\n")
    git(project, "add", "params.yaml", "code.py")
    git(project, "commit", "-m", "one")
    clean = gather_facts(params, layout, "cpu", 1)
    assert len(clean.values["git commit"]) == 12
    assert clean.values["uncommitted changes"] == ""
    (project / "params.yaml").write_text((project / "params.yaml").read_text() + "\n")
    (project / "untracked.txt").write_text("x")
    assert differences(clean, gather_facts(params, layout, "cpu", 1)) == [], "parameters are compared by their values"
    (project / "code.py").write_text("a = 2\n")
    assert [one[0] for one in differences(clean, gather_facts(params, layout, "cpu", 1))] == ["uncommitted changes"]
    with (project / "data/processed/crops.parquet").open("ab") as stream:
        stream.write(b"x")
    found = [one[0] for one in differences(clean, gather_facts(params, layout, "cuda", 2))]
    assert found == ["uncommitted changes", "kind of device", "processes of a node", "data/processed"]


def test_only_parameters_that_decide_the_result_are_compared_and_node_0s_are_used(project: Path, tiny: tuple[str, ...]) -> None:
    base = load_params(project / "params.yaml", tiny)
    same = ("train.nodes=4", "train.rendezvous=h:1", "train.workers=3", "train.threads=7", "train.wait_minutes=1", "score.bootstrap=7",
            "mlflow.enabled=true", "train.checkpoint_minutes=1", "data.sets.coco.annotations=/elsewhere")  # fmt: skip
    assert deciding_params(load_params(project / "params.yaml", [*tiny, *same])) == deciding_params(base)
    for change in ("seed=5", "train.epochs=7", "model.width=0.25", "augment.flip=0.1", "preprocess.padding=1.5"):
        other = deciding_params(load_params(project / "params.yaml", [*tiny, change]))
        assert [key for key, value in deciding_params(base).items() if other[key] != value] == [change.partition("=")[0]]
    mine = load_params(project / "params.yaml", [*tiny, *same, "train.epochs=9"])
    text = yaml.safe_dump(dump_section(base.model_copy(update={"train": base.train.model_copy(update={"init_from": Path("m")})})))
    used = join.params_here(mine, Plan(node=1, nodes=2, port=1, run="r", mark="m", params=text))
    assert used.train.epochs == base.train.epochs
    assert (used.train.workers, used.train.threads, used.train.init_from) == (3, 7, None)
    assert used.data.sets["coco"].annotations == mine.data.sets["coco"].annotations
    assert not used.mlflow.enabled
