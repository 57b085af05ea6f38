"""The gate on files: thresholds by metric and slice, other baselines, summaries, and that it fails closed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from poseline.artifacts import Layout, TableHeader, write_json, write_table
from poseline.cli import app
from poseline.config import load_params
from poseline.errors import ArtifactError
from poseline.evaluation.gate import accept
from poseline.evaluation.tables import distances_to_frame, videos_to_frame
from poseline.metrics.pckh import DistanceTable, summarize_distances
from poseline.metrics.video_table import PeopleSums, VideoTable
from poseline.stages import gate

REPOSITORY = Path(__file__).parents[2]


def decide(workspace: Path, *overrides: str, against: str | None = None):
    params = load_params(workspace / "params.yaml", ["gate.resamples=200", *overrides])
    return gate.run(params, Layout(Path()), against=against)


def accept_with(workspace: Path, *overrides: str) -> None:
    accept(load_params(workspace / "params.yaml", overrides), Layout(Path()))


def write_mpii(root: Path, distances: np.ndarray) -> None:
    metrics = {**summarize_distances(distances).metrics, "protocol": {"benchmark": "mpii"}}
    write_json(root / "reports/metrics/mpii.json", metrics)
    table = DistanceTable.from_people(np.arange(len(distances)), distances)
    write_table(root / "reports/per_person/mpii/matches.parquet", distances_to_frame(table), TableHeader("matches"))


@pytest.fixture(scope="module")
def baseline(drawn_set, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose scores are its baseline. Do not write into it: copy it."""
    drawn, folder = drawn_set(1, 40), tmp_path_factory.mktemp("baseline")
    drawn.write_run(folder, drawn.predict(0))
    accept(load_params(REPOSITORY / "params.yaml"), Layout(folder))
    return folder


@pytest.fixture
def accepted(workspace: Path, baseline: Path) -> Path:
    """A workspace whose scores are the baseline, with few resamples: each is checked for its types here."""
    text = (workspace / "params.yaml").read_text()
    (workspace / "params.yaml").write_text(text.replace("  resamples: 1000", "  resamples: 100"))
    shutil.copytree(baseline, workspace, dirs_exist_ok=True)
    return workspace


def test_a_significant_drop_is_refused_and_its_error_named(accepted: Path, drawn_set) -> None:
    drawn = drawn_set(1, 40)
    assert decide(accepted).passed
    drawn.write_run(accepted, drawn.predict(0, swapped=0.4))
    refused = decide(accepted)
    assert not refused.passed
    assert "significant drop" in refused.reason
    assert "wrist inversion" in refused.reason
    assert decide(accepted, "gate.max_drop=0.9").passed


def test_each_metric_and_slice_has_its_own_limit(accepted: Path, drawn_set) -> None:
    drawn = drawn_set(1, 40)
    drawn.write_run(accepted, drawn.predict(0, swapped=0.4))
    decision = decide(accepted, "gate.max_drop={ap: 0.9, ap_large: 0.001, ap_people_2_to_4: 0.9}")
    assert {check.metric: check.passed for check in decision.checks} == {"ap": True, "ap_large": False, "ap_people_2_to_4": True}
    assert not decide(accepted, "gate.max_drop={ap_crowd_hard: 0.5}").passed  # a slice without anybody


def test_pckh_is_gated_where_it_is_asked_for(accepted: Path) -> None:
    rng = np.random.default_rng(0)
    distances = rng.uniform(0, 0.7, (60, 16))
    limits = "gate.max_drop={ap: 0.01, pckh: 0.01}"
    assert "mpii" in decide(accepted, limits).reason  # neither baseline nor fresh scores
    write_mpii(accepted, distances)
    assert "mpii.json: no such file" in decide(accepted, limits).reason  # the baseline holds no MPII yet
    accept_with(accepted, limits)
    assert decide(accepted, limits).passed
    write_mpii(accepted, distances + 0.1)
    decision = decide(accepted, limits)
    assert not decision.passed
    assert [check.metric for check in decision.checks if not check.passed] == ["pckh"]


def write_tracking(root: Path, misses: float, *, alarms: float = 0.0, videos: int = 12, mode: str = "poseval") -> None:
    """Videos of 100 objects, about ``misses`` of them missed in each, and ``alarms`` false ones."""
    rng = np.random.default_rng(0)
    lost = misses + rng.integers(0, 5, videos)
    clear = np.stack([lost, np.full(videos, alarms), np.ones(videos), np.full(videos, 100.0)], axis=1)
    identity = np.stack([100 - lost, np.zeros(videos), lost], axis=1)
    found = np.repeat((100.0 - lost)[:, None], 19, axis=1)
    hota = np.stack([found, 100 - found, np.zeros_like(found), np.ones_like(found)], axis=1)
    table = VideoTable(np.array([f"v{i:02d}" for i in range(videos)]), mode, people=PeopleSums(clear, identity, hota))  # type: ignore[arg-type]
    whole = np.ones((1, videos), dtype=np.uint16)
    metrics = {name: float(value[0]) for name, value in table.rate(whole, ["mota", "hota", "idf1"]).items()}
    write_json(root / "reports/metrics/posetrack.json", {**metrics, "protocol": {"benchmark": "posetrack", "mode": mode}})
    write_table(root / "reports/per_person/posetrack/matches.parquet", videos_to_frame(table), TableHeader("matches"))


def test_tracking_is_gated_over_videos(accepted: Path) -> None:
    limits = "gate.max_drop={ap: 0.01, posetrack.mota: 0.01, posetrack.hota: 0.01}"
    write_tracking(accepted, 10)
    accept_with(accepted, limits)
    assert decide(accepted, limits).passed
    write_tracking(accepted, 30)
    decision = decide(accepted, limits)
    assert [check.metric for check in decision.checks if not check.passed] == ["posetrack.mota", "posetrack.hota"]
    write_tracking(accepted, 10, alarms=200.0)  # a MOTA below 0 is a figure like any other
    assert "mota 87" in decide(accepted, limits).reason
    write_tracking(accepted, 10, videos=5)
    assert "5 videos are too few" in decide(accepted, limits).reason
    write_tracking(accepted, 10, mode="strict")
    assert "mode poseval, the candidate in strict" in decide(accepted, limits).reason


def test_against_a_folder_a_file_and_nothing(accepted: Path, drawn_set, tmp_path: Path) -> None:
    drawn = drawn_set(1, 40)
    better = drawn.write_run(tmp_path / "better", drawn.predict(0, noise=0.001))
    for target in (better, better / "reports/metrics/coco.json", better / "reports"):
        decision = decide(accepted, against=str(target))
        assert not decision.passed
        assert "significant drop" in decision.reason
    assert decide(accepted, against=str(accepted / "reports/baseline")).passed
    assert decide(accepted, against=str(accepted / "reports/baseline/coco.json")).passed
    for unknown in ("no-such-run", "champion", str(tmp_path / "none")):
        decision = decide(accepted, against=unknown)
        assert not decision.passed
        assert "cannot be used" in decision.reason


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("baseline/coco.json", None),
        ("baseline/coco.json", b'{"ap": 0.5'),
        ("baseline/coco.json", b"{}"),
        ("baseline/coco.json", b"[]"),
        ("baseline/coco_matches.parquet", None),
        ("baseline/coco_matches.parquet", b"PAR1 cut"),
        ("metrics/coco.json", None),
        ("metrics/coco.json", b""),
        ("per_person/coco/matches.parquet", None),
        ("per_person/coco/matches.parquet", b""),
    ],
)
def test_it_fails_closed_on_every_file(accepted: Path, file: str, content: bytes | None) -> None:
    path = accepted / "reports" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    decision = decide(accepted)
    assert not decision.passed
    assert "\n" not in decision.reason


def test_accept_refuses_scores_that_do_not_agree_with_their_table(accepted: Path) -> None:
    path = accepted / "reports/metrics/coco.json"
    before = (accepted / "reports/baseline/coco.json").read_bytes()
    path.write_text(json.dumps({**json.loads(path.read_text()), "ap": 0.999}))
    with pytest.raises(ArtifactError, match="cannot become the baseline"):
        accept_with(accepted)
    assert (accepted / "reports/baseline/coco.json").read_bytes() == before


def test_the_command_ends_with_1_and_writes_both_summaries(accepted: Path, drawn_set) -> None:
    drawn = drawn_set(1, 40)
    passed = CliRunner().invoke(app, ["gate", "--set", "gate.resamples=100"])
    assert (passed.exit_code, passed.stdout.startswith("gate: passed")) == (0, True)
    drawn.write_run(accepted, drawn.predict(0, swapped=0.5))
    summaries = ["--markdown", "out/gate.md", "--junit", "out/gate.xml"]
    refused = CliRunner().invoke(app, ["gate", *summaries, "--json", "--set", "gate.resamples=100"])
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["passed"] is False
    assert "### poseline gate: failed" in (accepted / "out/gate.md").read_text()
    assert ElementTree.parse(accepted / "out/gate.xml").getroot().get("failures") == "1"
    (accepted / "reports/baseline/coco.json").unlink()
    closed = CliRunner().invoke(app, ["gate", "--junit", "out/gate.xml"])
    assert closed.exit_code == 1
    assert "no such file" in (accepted / "out/gate.xml").read_text()


def restamp(root: Path, **conditions: object) -> None:
    """Other conditions in the fresh score's stamp."""
    path = root / "reports/metrics/coco.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "protocol": {**content["protocol"], **conditions}}))


@pytest.mark.parametrize(
    ("conditions", "shown"),
    [
        ({"codec": "simcc"}, "codec: udp -> simcc"),
        ({"input_wh": [192, 256]}, "input_wh: 96x128 -> 192x256"),
        ({"weights": "feedbeef"}, "weights: cafe -> feedbeef"),
        ({"tracker": "poseflow"}, "tracker: bytepose -> poseflow"),
    ],
)
def test_another_model_is_gated_and_shown(accepted: Path, conditions: dict[str, object], shown: str, drawn_set) -> None:
    restamp(accepted, codec="udp", input_wh=[96, 128], weights="cafe", tracker="bytepose")
    accept_with(accepted)
    restamp(accepted, **conditions)
    passed = CliRunner().invoke(app, ["gate", "--set", "gate.resamples=100", "--markdown", "gate.md"])
    assert passed.exit_code == 0, passed.output
    assert shown in passed.output
    assert shown in (accepted / "gate.md").read_text()
    assert shown in json.loads(CliRunner().invoke(app, ["gate", "--json"]).stdout)["model"]
    assert CliRunner().invoke(app, ["compare", "reports/baseline", "."]).exit_code == 0
    drawn_set(1, 40).write_run(accepted, drawn_set(1, 40).predict(0, swapped=0.4))
    restamp(accepted, **{"codec": "udp", "input_wh": [96, 128], "weights": "cafe", "tracker": "bytepose", **conditions})
    assert CliRunner().invoke(app, ["gate"]).exit_code == 1


@pytest.mark.parametrize(
    "conditions",
    [
        {"flip": False}, {"boxes": "detections"}, {"data_hash": "other"}, {"num_people": 7}, {"num_images": 7}, {"nms": "oks"},
        {"rescoring": "mean"}, {"benchmark": "crowdpose"},
    ],
)  # fmt: skip
def test_another_protocol_is_refused_and_the_advice_renews(accepted: Path, conditions: dict[str, object]) -> None:
    restamp(accepted, flip=True, boxes="ground_truth", nms="none", rescoring="mean_visible")
    accept_with(accepted)
    restamp(accepted, **conditions)
    follow_advice(["gate"], "another protocol")


def follow_advice(words: list[str], reason: str, *options: str) -> None:
    """The command is refused for that reason; the commands that it names work, and then it passes."""
    refused = CliRunner().invoke(app, [*words, *options])
    assert refused.exit_code == 1, refused.output
    assert reason in refused.output
    commands = [shlex.split(text)[1:] for text in re.findall(r"`(poseline [^`]*)`", refused.output)]
    assert commands
    for command in commands:
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (command, done.output, done.exception)
    if not any(command[0] == "compare" for command in commands):
        again = CliRunner().invoke(app, [*words, *options])
        assert again.exit_code == 0, again.output


@pytest.mark.parametrize("file", ["coco.json", "coco_matches.parquet", None])
@pytest.mark.parametrize("content", [None, "rubbish", "{}"])
def test_the_advice_about_a_damaged_baseline_works(accepted: Path, file: str | None, content: str | None) -> None:
    folder = accepted / "reports/baseline"
    if file is None:
        shutil.rmtree(folder)
    elif content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    follow_advice(["gate"], "baseline")


def test_the_advice_keeps_the_options_of_the_command(accepted: Path) -> None:
    """Limits given on the command line alone name a score that the baseline lacks."""
    write_mpii(accepted, np.random.default_rng(0).uniform(0, 0.7, (60, 16)))
    follow_advice(["gate"], "mpii.json: no such file", "--set", "gate.max_drop={ap: 0.01, mpii.pckh: 0.01}")


def test_the_advice_about_another_run_works(accepted: Path, tmp_path: Path) -> None:
    other = tmp_path / "other run"
    shutil.copytree(accepted / "reports", other / "reports")
    restamp(other, num_people=7)
    follow_advice(["gate", "--against", str(other)], "another protocol")


def test_accept_keeps_every_score_whatever_the_limits(accepted: Path) -> None:
    write_mpii(accepted, np.random.default_rng(0).uniform(0, 0.7, (60, 16)))
    write_tracking(accepted, 10)
    accept_with(accepted)
    assert {path.stem for path in (accepted / "reports/baseline").glob("*.json")} == {"coco", "mpii", "posetrack"}
    assert decide(accepted, "gate.max_drop={ap: 0.02, mpii.pckh_01: 0.05, posetrack.hota: 0.05}").passed


def test_a_set_too_small_to_see_the_limit_is_refused_unless_told_otherwise(accepted: Path, drawn_set) -> None:
    """The smallest drop is (z of the one-sided test + z of 80 % power) standard errors of the paired difference."""
    drawn = drawn_set(1, 40)
    drawn.write_run(accepted, drawn.predict(3))  # other noise of the same size
    seen = ("gate.max_drop=0.001", "gate.check_power=true")
    decision = decide(accepted, *seen)
    result = decision.checks[0].result
    assert result is not None
    assert not decision.passed
    assert result.smallest_drop == pytest.approx((1.959964 + 0.841621) * result.standard_error, rel=1e-5)
    assert f"the smallest drop that 40 images show is {100 * result.smallest_drop:.2f} (80 % power, one-sided 2.5 %)" in decision.reason
    least = float(re.search(r"max_drop to ([\d.]+)", decision.reason)[1])  # type: ignore[index]
    assert decide(accepted, f"gate.max_drop={least}", "gate.check_power=true").passed, "the limit that it names is enough"
    passed = decide(accepted, "gate.max_drop=0.001", "gate.check_power=false")
    assert passed.passed
    assert "smallest drop that 40 images show" in passed.reason
    command = re.search(r"`poseline ([^`]*)`", CliRunner().invoke(app, ["gate", "--set", seen[0], "--set", seen[1]]).output)
    assert command is not None
    assert CliRunner().invoke(app, shlex.split(command[1])).exit_code == 0


def test_a_significant_rise_passes_on_any_set(accepted: Path, drawn_set) -> None:
    drawn = drawn_set(1, 40)
    drawn.write_run(accepted, drawn.predict(0, swapped=0.4))
    accept_with(accepted)
    drawn.write_run(accepted, drawn.predict(0))
    assert decide(accepted, "gate.max_drop=0.0").passed


@pytest.mark.slow
def test_a_planted_wrist_swap_is_named_and_stopped_and_noise_is_not(workspace: Path, drawn_set) -> None:
    drawn = drawn_set(5, 150)
    drawn.write_run(workspace, drawn.predict(0))
    assert CliRunner().invoke(app, ["gate", "--accept"]).exit_code == 0
    drawn.write_run(workspace, drawn.predict(0, swapped=0.1))
    refused = CliRunner().invoke(app, ["gate"])
    assert refused.exit_code == 1
    assert "left_wrist inversion" in refused.stdout
    assert "right_wrist inversion" in refused.stdout
    stopped = 0
    for seed in range(1, 21):  # other noise of the same size
        drawn.write_run(workspace, drawn.predict(seed))
        stopped += CliRunner().invoke(app, ["gate"]).exit_code
    assert stopped <= 1
