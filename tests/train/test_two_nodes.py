"""Two network namespaces as two machines, each with a clone and a disk of its own, train one model."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FIRST = "10.213.7.1"
PORT = 29777
KILLS = int(os.environ.get("POSELINE_KILLS", "2"))
"""Of each node, in the test that kills; the figures of the documentation are of 10."""


def administer(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a cable between them."""
    if sys.platform != "linux" or shutil.which("ip") is None:
        pytest.skip("needs Linux and the program ip")
    names = (f"pl{os.getpid()}a", f"pl{os.getpid()}b")
    try:
        administer("netns", "add", names[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    try:
        administer("netns", "add", names[1])
        administer("link", "add", names[0], "type", "veth", "peer", "name", names[1])
        for number, name in enumerate(names, start=1):
            administer("link", "set", name, "netns", name)
            administer("-n", name, "addr", "add", f"10.213.7.{number}/24", "dev", name)
            administer("-n", name, "link", "set", name, "up")
            administer("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@dataclass
class Machine:
    """A namespace with a project of its own."""

    namespace: str
    project: Path
    overrides: tuple[str, ...]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen[str]:
        sets = [part for override in self.overrides for part in ("--set", override)]
        command = ["ip", "netns", "exec", self.namespace, sys.executable, "-m", "poseline.cli", *words, "--device", "cpu", *sets]
        environment = {**os.environ, "POSELINE_PROGRESS": "off"}
        environment.pop("DVC_ROOT", None)
        process = subprocess.Popen(
            command, cwd=self.project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )  # fmt: skip
        self.processes.append(process)
        return process

    def train(self, *options: str) -> subprocess.Popen[str]:
        of_nodes = ("train.nodes=2", f"train.rendezvous={FIRST}:{PORT}", "train.wait_minutes=2", *options)
        return self.start("train", *(part for one in of_nodes for part in ("--set", one)))

    def join(self) -> subprocess.Popen[str]:
        return self.start("join", f"{FIRST}:{PORT}", "--wait", "2m")

    def pids(self) -> list[int]:
        """All processes that work in this project."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                here = (folder / "cwd").resolve() == self.project.resolve()
                alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            except OSError:
                continue
            if here and alive:
                found.append(int(folder.name))
        return found

    def kill(self) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def saved(self) -> tuple[int, int]:
        """Epoch and step of the newest checkpoint on this disk."""
        for path in sorted((self.project / ".cache/checkpoints").glob("*/checkpoint.pt")):
            try:
                progress = torch.load(path, weights_only=True)["progress"]
            except Exception:
                continue
            return progress["epoch"], progress["step"]
        return -1, -1

    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.project / "data/model/model.safetensors")

    def history(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.project / "data/model/history.jsonl").read_text().splitlines()]


@pytest.fixture
def machines(namespaces: tuple[str, str], drawn_project: Path, tmp_path: Path, tiny: tuple[str, ...]) -> Iterator[tuple[Machine, Machine]]:
    """Node 0 and another one, each with a copy of the drawn project."""
    made = []
    for number, name in enumerate(namespaces):
        folder = tmp_path / f"n{number}"
        shutil.copytree(drawn_project, folder)
        made.append(Machine(name, folder, (*tiny, "train.batch_size=8", "train.validate_every=5")))
    yield made[0], made[1]
    for machine in made:
        machine.kill()


def end_of(process: subprocess.Popen[str], seconds: float = 240) -> tuple[int, str]:
    _, said = process.communicate(timeout=seconds)
    return process.returncode, said


def network(machine: Machine) -> torch.nn.Module:
    """The network before training."""
    from poseline.config import load_params
    from poseline.train.trainer import start_model

    return start_model(load_params(machine.project / "params.yaml", machine.overrides))[0]


def distance(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of a tensor."""
    values = {name: value.double() for name, value in two.items()}
    return max(float((one[name].double() - value).norm() / value.norm().clamp_min(1e-12)) for name, value in values.items())


def test_two_nodes_are_one_process_with_the_double_batch(
    machines: tuple[Machine, Machine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = machines
    alone = Machine(first.namespace, tmp_path / "alone", first.overrides)
    shutil.copytree(first.project, alone.project)
    modules = network(first).named_modules()
    # Statistics of batch norm are a process's own on the CPU: here they stay as they are.
    frozen = ",".join(name for name, module in modules if isinstance(module, torch.nn.modules.batchnorm._BatchNorm))
    assert frozen
    same = ("train.optimizer=sgd", "train.ema=null", "train.freeze.epochs=999", f"train.freeze.prefixes=[{frozen}]")
    for machine in (first, other, alone):
        machine.overrides += (*same, "train.epochs=20", "train.validate_every=20")
    alone.overrides += ("train.batch_size=16",)
    code, said = end_of(alone.start("train"))
    assert code == 0, said
    training, joining = first.train(), other.join()
    code, said = end_of(training)
    assert code == 0, said
    assert end_of(joining)[0] == 0
    assert distance(alone.weights(), network(alone).state_dict()) > 1e-3, "training changes the weights"
    worst = distance(first.weights(), alone.weights())
    with capsys.disabled():
        print(f"\nlargest relative difference of a tensor after {len(first.history())} epochs: {worst:.1e}")
    assert worst < 1e-5
    assert not (other.project / "data/model").exists(), "a node that joins writes no output"
    assert not list((other.project / ".cache").glob("runs/*")), "nor a record"
    assert not list((other.project / ".cache/checkpoints").glob("*")), "nor does it keep copies of a run that ended well"


def test_a_node_that_is_killed_at_any_step_and_a_disk_that_is_lost_cost_no_more_than_the_last_steps(
    machines: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = machines
    for machine in machines:
        machine.overrides += ("train.epochs=500", "train.checkpoint_minutes=0", "train.validate_every=500")
    draw, resumed, ended, lost = random.Random(7), 0, 0, []
    for number in range(2 * KILLS):
        training, joining = first.train(), other.join()
        before = max(first.saved(), other.saved())
        wait_for_progress(first, other, before, training, joining)
        time.sleep(draw.uniform(0.0, 2.0))
        victim, survivor = (first, other) if number % 2 == 0 else (other, first)
        victim.kill()
        end = time.monotonic() + 20
        while survivor.pids() and time.monotonic() < end:
            time.sleep(0.1)
        ended += not survivor.pids()
        survivor.kill()
        said = [end_of(process)[1] for process in (training, joining)]
        if number:
            newest = max(marks)
            words = f"{newest[0]} epochs" + (f" and {newest[1]} steps" if newest[1] else "")
            resumed += f"goes on after {words}" in said[0]
            if f"goes on after {words}" not in said[0]:
                lost.append((words, said[0][-800:]))
        if number % 4 == 0:  # node 0's disk is lost, in turn
            shutil.rmtree(first.project / ".cache/checkpoints", ignore_errors=True)
        marks = [first.saved(), other.saved()]
        assert max(marks) > (-1, -1), "no checkpoint on any disk"
    with capsys.disabled():
        print(f"\nresumed from the newest checkpoint: {resumed} of {2 * KILLS - 1}; other node ended: {ended} of {2 * KILLS}")
    assert not lost, lost
    assert ended == 2 * KILLS


def wait_for_progress(
    first: Machine, other: Machine, before: tuple[int, int], *processes: subprocess.Popen[str]
) -> None:  # fmt: skip
    """Until both disks hold a checkpoint that is newer than that. Between two of them a disk has none for a moment."""
    end = time.monotonic() + 180
    while min(first.saved(), other.saved()) <= before:
        assert time.monotonic() < end, (first.saved(), other.saved(), before)
        for process in processes:
            assert process.poll() is None, end_of(process)
        time.sleep(0.1)


@pytest.mark.parametrize("who", ["train", "join"])
def test_no_process_is_left_after_the_launcher_alone_is_killed(
    machines: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], who: str
) -> None:
    first, other = machines
    draw, seconds = random.Random(3), []
    for machine in machines:
        machine.overrides += ("train.epochs=500", "train.checkpoint_minutes=0", "train.validate_every=500")
    for _ in range(KILLS):
        training, joining = first.train(), other.join()
        wait_for_progress(first, other, max(first.saved(), other.saved()), training, joining)
        time.sleep(draw.uniform(0.0, 2.0))
        (training if who == "train" else joining).kill()
        killed = time.monotonic()
        while (first.pids() or other.pids()) and time.monotonic() < killed + 15:
            time.sleep(0.05)
        assert (first.pids(), other.pids()) == ([], [])
        seconds.append(time.monotonic() - killed)
        code, said = end_of(joining if who == "train" else training)
        assert code == 3
        line = [one for one in said.splitlines() if one.startswith("error: ")]
        assert len(line) == 1
        assert re.search(r"node 0 is gone" if who == "train" else r"node 1 \(.*\) is gone\. Saved: ", line[0]), line
    with capsys.disabled():
        print(f"\n{who} killed: no process left {KILLS} of {KILLS} times, after {', '.join(f'{one:.1f}' for one in sorted(seconds))} s")


def test_a_signal_on_the_node_that_joined_saves_on_both_and_a_scheduler_may_requeue(machines: tuple[Machine, Machine]) -> None:
    first, other = machines
    for machine in machines:
        machine.overrides += ("train.epochs=500", "train.checkpoint_minutes=0", "train.validate_every=500")
    training, joining = first.train(), other.join()
    wait_for_progress(first, other, (-1, -1), training, joining)
    joining.terminate()
    code, said = end_of(training)
    assert code == 75
    assert re.search(r"error: train: stopped by SIGTERM on node 1 \(.*\)\. Saved: ", said), said
    code, said = end_of(joining)
    assert code == 75
    assert "error: join: stopped by SIGTERM" in said
    assert first.saved() == other.saved()


def test_other_data_are_named_on_both_sides(machines: tuple[Machine, Machine]) -> None:
    first, other = machines
    (other.project / "data/processed/crops-00000.tar").write_bytes(b"else")
    training, joining = first.train(), other.join()
    said = {r"train: \S+ \(10\.213\.7\.2\) cannot take part": training, "join: node 0 at .* refuses": joining}
    for words, process in said.items():
        code, line = end_of(process)
        assert code == 2
        assert re.search(rf"error: {words}: data/processed is \w{{12}} here, \w{{12}} there\. On the node that is behind", line), line
