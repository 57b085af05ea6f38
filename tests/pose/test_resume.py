"""Killed at any moment, a run goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_squares import draw_frame

from poseline.config.tracking import OfflineConfig, TrackConfig
from poseline.errors import ArtifactError, ConfigError
from poseline.pose import run as runs
from poseline.pose.options import PoseOptions
from poseline.pose.resume import Progress, last_line_end, read_state, write_state
from poseline.pose.run import estimate_poses

pytestmark = pytest.mark.usefixtures("squares")


@pytest.fixture
def options(make_clip: Callable[..., Path], tmp_path: Path) -> Callable[..., PoseOptions]:
    """Options of a run over a clip of two people of whom one is away for a while."""
    people = ((5, 10, 1, 0), (100, 40, -1, 1))
    clip = make_clip(frames=[draw_frame(t, people[: 1 if 20 < t < 26 else 2]) for t in range(60)])

    def build(name: str, **more: object) -> PoseOptions:
        values = {"track": TrackConfig(), "workers": 2, "save_every_s": 0.0, **more}
        return PoseOptions((str(clip),), "m", "d", tmp_path / name, **values)  # type: ignore[arg-type]

    return build


def run_and_kill(options: PoseOptions, frames: int) -> None:
    """Run in a process that dies by SIGKILL as soon as it has written so many frames, and a moment more."""
    child = os.fork()
    if child == 0:
        try:
            estimate_poses(options, lambda done, _: time.sleep(0.2) if done >= frames else None)
        finally:
            os._exit(0)
    path = options.out / "poses.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not (state := _state(options.out)) or state.frames < frames - 8):
        time.sleep(0.005)
    time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, f"{path}: the run ended before it was killed"


def _state(out: Path) -> Progress | None:
    found = read_state(out)
    return None if found is None else found[0]


JOINED = TrackConfig(offline=OfflineConfig(enabled=True))


@pytest.mark.parametrize(
    "more", [{}, {"detect_every": 3}, {"fill_gaps": 6}, {"track": JOINED}], ids=["plain", "carried", "filled", "joined"]
)
def test_killed_and_resumed_runs_give_the_same_bytes(options: Callable[..., PoseOptions], more: dict[str, object]) -> None:
    whole, broken = options("whole", **more), options("broken", **more)
    estimate_poses(whole)
    run_and_kill(broken, 18)
    with (broken.out / "poses.jsonl").open("a") as file:
        file.write('{"source": "half a li')
    run_and_kill(options("broken", resume=True, **more), 40)
    summary = estimate_poses(options("broken", resume=True, **more))
    assert (broken.out / "poses.jsonl").read_bytes() == (whole.out / "poses.jsonl").read_bytes()
    assert (summary.frames, summary.tracks) == (60, 2)


@pytest.mark.slow
def test_ten_kills_of_ten(options: Callable[..., PoseOptions]) -> None:
    whole = options("whole")
    estimate_poses(whole)
    for number in range(10):
        run_and_kill(options(f"broken{number}"), 8 + 4 * number)
        estimate_poses(options(f"broken{number}", resume=True))
        assert (options(f"broken{number}").out / "poses.jsonl").read_bytes() == (whole.out / "poses.jsonl").read_bytes()


def test_an_unfinished_run_is_not_replaced_by_mistake(options: Callable[..., PoseOptions]) -> None:
    run_and_kill(options("out"), 18)
    with pytest.raises(ConfigError, match=r"holds an unfinished run of .* frames. Go on with --resume, or give --overwrite"):
        estimate_poses(options("out"))
    with pytest.raises(ConfigError, match="--resume: the run was started with other min_score"):
        estimate_poses(options("out", resume=True, min_score=0.5))
    assert estimate_poses(options("out", overwrite=True)).frames == 60


def test_a_finished_run_is_replaced_or_with_resume_left_as_it_is(
    options: Callable[..., PoseOptions], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    estimate_poses(options("out"))
    before = (options("out").out / "poses.jsonl").read_bytes()
    assert estimate_poses(options("out")).frames == 60
    monkeypatch.setattr(runs.PosePipeline, "process", lambda *_: pytest.fail("nothing is left to estimate"))
    assert estimate_poses(options("out", resume=True, formats=("coco",))).frames == 60
    assert (options("out").out / "poses.jsonl").read_bytes() == before
    assert (options("out").out / "coco.json").is_file()


@pytest.mark.parametrize("damage", ["cut", "empty", "rubbish", "emptied", "shorter"])
def test_a_damaged_state_is_named(options: Callable[..., PoseOptions], damage: str) -> None:
    estimate_poses(options("out"))
    out = options("out").out
    state = out / ".resume.npz"
    match damage:
        case "cut":
            state.write_bytes(state.read_bytes()[:50])
        case "empty":
            state.write_bytes(b"")
        case "rubbish":
            state.write_bytes(b"no state")
        case "emptied":
            progress, arrays = read_state(out) or pytest.fail("no state")
            progress.phase = "poses"
            write_state(state, progress, arrays)
            (out / "poses.jsonl").write_text("")
        case "shorter":
            progress, arrays = read_state(out) or pytest.fail("no state")
            progress.phase, progress.num_bytes = "poses", 10**9
            write_state(state, progress, arrays)
    with pytest.raises(ArtifactError, match="Start again with --overwrite"):
        estimate_poses(options("out", resume=True))


def test_lines_end_where_the_last_break_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text, expected in (("", 0), ("abc", 0), ("abc\n", 4), ("abc\nde", 4), ("x" * 70000 + "\n" + "y" * 70000, 70001)):
        path.write_text(text)
        assert last_line_end(path) == expected


def test_a_full_disk_leaves_whole_lines(options: Callable[..., PoseOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's buffer writes in blocks: what reached the disk is cut to whole frames."""
    import resource

    out = options("out").out
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(ArtifactError, match=r"cannot be written .*Every frame before is kept"):
            estimate_poses(options("out", save_every_s=1000.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    kept = (out / "poses.jsonl").read_text()
    assert kept.endswith("\n")
    assert len([json.loads(line) for line in kept.splitlines()]) > 3
    whole = options("whole")
    estimate_poses(whole)
    estimate_poses(options("out", resume=True))
    assert (out / "poses.jsonl").read_bytes() == (whole.out / "poses.jsonl").read_bytes()
