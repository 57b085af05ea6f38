"""One run of a stage at a time: who is at work is named, the dead stop nobody, and data sets do not meet."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from poseline.artifacts import Layout
from poseline.errors import ArtifactError, BusyError
from poseline.experiments import StageRun
from poseline.experiments.holder import Holder, alone
from poseline.experiments.record import Process
from poseline.stages.runner import make_context, run_stage

HOLDS = """
import os, subprocess, sys, time
from pathlib import Path
from poseline.artifacts import Layout
from poseline.experiments.holder import alone
with alone(Layout(Path(sys.argv[1])), "train"):
    child = os.fork() if sys.argv[2] == "fork" else 1
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


def hold(root: Path, how: str = "alone") -> tuple[subprocess.Popen[str], int]:
    """A process that runs train, and the number of the child that it left."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(root), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs train."""
    process, _ = hold(tmp_path)
    yield process
    process.kill()
    process.wait()


def test_the_second_is_told_who_runs_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    since = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    wanted = rf"train: it runs already \(process {holder.pid} on {re.escape(socket.gethostname())} {since}: .+\)"
    with pytest.raises(BusyError, match=wanted), alone(Layout(tmp_path), "train"):
        pass
    assert BusyError.exit_code == 2


def test_other_stages_sets_and_trees_do_not_meet(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with alone(Layout(tmp_path), "predict@coco"), alone(Layout(tmp_path), "predict@mpii"), alone(Layout(tmp_path / "queued"), "train"):
        assert holder.poll() is None


@pytest.mark.parametrize("how", ["alone", "fork"])
def test_the_dead_stop_nobody(tmp_path: Path, how: str) -> None:
    """Not even where a child of the dead, a loader of its batches, still has the open file."""
    process, child = hold(tmp_path, how)
    process.kill()
    process.wait()
    try:
        with alone(Layout(tmp_path), "train"), pytest.raises(BusyError), alone(Layout(tmp_path), "train"):
            pass
    finally:
        if how == "fork":
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def test_a_number_that_another_process_has_now_is_no_holder(tmp_path: Path) -> None:
    gone = Process(host=socket.gethostname(), pid=os.getpid(), started=0.0)
    path = tmp_path / ".cache/locks/train.lock"
    path.parent.mkdir(parents=True)
    path.write_text(Holder(process=gone, since="then", command="poseline train").model_dump_json())
    with alone(Layout(tmp_path), "train"):
        assert Holder.model_validate_json(path.read_text()).process.pid == os.getpid()
    assert path.read_text() == ""


def test_of_many_at_once_one_runs(tmp_path: Path) -> None:
    inside, refused, most = [], [], []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        try:
            with alone(Layout(tmp_path), "train"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
        except BusyError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) + len(refused) == 8


def test_a_file_in_the_making_is_not_called_missing_without_a_word(workspace: Path) -> None:
    process, _ = hold(workspace)
    try:
        with pytest.raises(ArtifactError, match=rf"no such file.*At work meanwhile: train \(process {process.pid} on .*wait for its end"):
            run_stage("predict@coco", make_context(None, [], "cpu"), fail)
    finally:
        process.kill()
        process.wait()
    with pytest.raises(ArtifactError, match=r"no such file\.$"):
        run_stage("predict@coco", make_context(None, [], "cpu"), fail)


def fail(_: StageRun) -> dict[str, float]:
    raise ArtifactError("data/model: no such file.")


def test_a_failed_stage_frees_its_place(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(Layout(tmp_path), "train"):
        _ = 1 / 0
    with alone(Layout(tmp_path), "train"):
        pass
