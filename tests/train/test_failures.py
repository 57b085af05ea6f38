"""A process of a distributed training that dies: one line says who, of what, what was saved, and how to go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poseline.artifacts.scratch import scratch, sweep
from poseline.train.launcher import Failure, read_failure


def start(project: Path, overrides: tuple[str, ...], *options: str) -> subprocess.Popen[str]:
    sets = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "poseline.cli", "train", "--device", "cpu", *options, *sets]
    environment = {**os.environ, "POSELINE_PROGRESS": "off"}
    return subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def ranks(project: Path) -> list[int]:
    """Process ids of the ranks that train in this project."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "poseline.stages.train_worker" in words and str(project.resolve()) in words and "poseline.train.launcher" not in words:
            found.append(int(folder.name))
    return found


def wait_for_checkpoint(project: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not list((project / ".cache/checkpoints").glob("*/checkpoint.pt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)


TWO = ("train.processes=2", "train.batch_size=4", "train.epochs=40")


@pytest.mark.timeout(240)
def test_a_killed_rank_is_one_line(project: Path, tiny: tuple[str, ...]) -> None:
    process = start(project, (*tiny, *TWO))
    wait_for_checkpoint(project, process)
    victim = ranks(project)[-1]
    os.kill(victim, signal.SIGKILL)
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait() == 3
    lines = [line for line in said.splitlines() if not line.startswith("epoch ")]
    assert len(lines) == 1, said
    assert re.match(rf"error: train: rank [01] of 2 \(process {victim}\) was killed by SIGKILL \(.*memory.*\)\. ", lines[0])
    assert re.search(r"Saved: \d+ of 40 epochs, in .cache/checkpoints/\w+/checkpoint.pt\. Run the stage again to go on", lines[0])
    assert "--debug" in lines[0]
    assert list((project / ".cache/tmp").glob("*")) == []


@pytest.mark.timeout(240)
def test_an_error_in_a_rank_is_its_own_line_with_its_exit_code_and_debug_adds_what_was_said(project: Path, tiny: tuple[str, ...]) -> None:
    (project / "data/processed/crops-00000.tar").unlink()
    process = start(project, (*tiny, *TWO), "--debug")
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait() == 2
    own = r"error: train: rank [01] of 2 \(process \d+\) stopped with ArtifactError: .*crops-00000.tar: cannot be.*Nothing was saved"
    assert len(re.findall(own, said)) == 1, said
    assert "Traceback" in said
    assert "crops/shards.py" in said, "the rank's own traceback"


def test_a_launcher_that_was_killed_says_so(tmp_path: Path) -> None:
    assert read_failure(tmp_path / "none.json", -9).describe(2).startswith("the launcher of the processes was killed by SIGKILL")
    (tmp_path / "cut.json").write_text('{"rank": 1')
    assert read_failure(tmp_path / "cut.json", 1).describe(2) == "the launcher of the processes ended with status 1"
    assert Failure(error="RendezvousTimeoutError: waited 600 s").describe(4).endswith("stopped with RendezvousTimeoutError: waited 600 s")


def test_the_scratch_goes_with_its_process_after_multiprocessing_has_left_it(tmp_path: Path) -> None:
    code = f"""
import multiprocessing, tempfile
from pathlib import Path
from poseline.artifacts import scratch
with scratch(Path({str(tmp_path / "c")!r})):
    print(tempfile.gettempdir(), multiprocessing.util.get_temp_dir())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr == ""
    assert list((tmp_path / "c/tmp").iterdir()) == []
    if len(str(tmp_path)) < 40:  # else the system's folder is used, for a socket's address would be too long
        assert done.stdout.count(str(tmp_path)) == 2


def test_the_scratch_of_killed_processes_is_swept_and_that_of_living_ones_stays(tmp_path: Path) -> None:
    code = f"""
import os, tempfile
from pathlib import Path
from poseline.artifacts import scratch, scratch_folder
cache = Path({str(tmp_path)!r})
with scratch(cache):
    (scratch_folder(cache) / 'left').write_text('x')
    print(scratch_folder(cache).name, flush=True)
    input()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    assert sweep(tmp_path) == []
    assert (tmp_path / "tmp" / name / "left").is_file()
    process.kill()
    process.wait()
    (tmp_path / "tmp/README").write_text("no folder of a run")
    with scratch(tmp_path):
        assert not (tmp_path / "tmp" / name).exists()
    assert (tmp_path / "tmp/README").is_file()
