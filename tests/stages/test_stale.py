"""Results of other parameters or files are refused, with the commands that renew them; those commands work."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from poseline.artifacts.freshness import SECTIONS
from poseline.cli import app

REPOSITORY = Path(__file__).parents[2]
COMPARE = "compare reports/metrics/mpii.json reports/baseline/mpii.json --resamples 100"
COMPARE_BACK = "compare reports/baseline/mpii.json reports/metrics/mpii.json --resamples 100"


def change(root: Path, *values: str) -> None:
    """Set values in params.yaml, as a user's editor does."""
    tree = yaml.safe_load((root / "params.yaml").read_text())
    for value in values:
        key, _, text = value.partition("=")
        *folders, last = key.split(".")
        section = tree
        for name in folders:
            section = section[name]
        section[last] = yaml.safe_load(text)
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))


def call(*words: str):
    return CliRunner().invoke(app, list(words))


def text(done) -> str:
    return f"{done.output}{done.exception or ''}"


@pytest.fixture
def scored(finished: Path, made_with: tuple[str, ...]) -> Path:
    """A finished project whose params.yaml made it, with its baseline."""
    change(finished, *made_with, "gate.resamples=100", "gate.check_power=false")
    done = call("gate", "--accept")
    assert done.exit_code == 0, text(done)
    return finished


def test_a_fresh_project_is_taken_by_every_reader(scored: Path) -> None:
    for words in (["track"], ["score", "posetrack"], ["score", "coco"], ["report"], ["gate"], COMPARE.split()):
        done = call(*words)
        assert done.exit_code == 0, text(done)
    assert "stale" not in (scored / "reports/index.html").read_text()


@pytest.mark.parametrize(
    ("value", "section", "readers"),
    [
        ("predict.flip=false", "predict", ("score coco", "track", "gate", COMPARE, "report")),
        ("predict.nms.kind=oks", "predict", ("score mpii", "gate", "report")),
        ("train.epochs=3", "train", ("score coco", "track", "gate", COMPARE_BACK, "report")),
        ("codec.udp.sigma=1.5", "codec", ("score coco", "gate", "report")),
        ("seed=9", "seed", ("score posetrack", "gate", "report")),
        ("score.posetrack_mode=strict", "score", ("gate", "report")),
        ("track.kind=poseflow", "track", ("score posetrack", "report")),
        ("data.sets.coco.detections=null", "data.sets.coco", ("score coco", "gate", "report")),
    ],
)
def test_changed_parameters_are_named_and_marked_where_allowed(scored: Path, value: str, section: str, readers: tuple[str, ...]) -> None:
    change(scored, value)
    for reader in readers:
        refused = call(*reader.split())
        assert refused.exit_code == 1, text(refused)
        assert f"other values of {section}" in text(refused), reader
    if "gate" in readers:
        assert f"other values of {section}" in call("gate", "--allow-stale").output
    if section not in ("predict", "seed"):
        return  # making a page takes seconds
    assert call("report", "--allow-stale").exit_code == 0
    assert f"other values of {section}" in (scored / "reports/index.html").read_text()


def test_what_a_stage_does_not_take_makes_nothing_stale(scored: Path) -> None:
    change(scored, "gate.confidence=0.9", "report.title=Mine", "track.kind=poseflow")
    for words in (["score", "coco"], ["score", "mpii"], ["gate"], ["track"], ["score", "posetrack"], ["report"]):
        done = call(*words)
        assert done.exit_code == 0, text(done)


def test_the_commands_that_a_refusal_names_renew(scored: Path) -> None:
    """By hand, with the options of the command that was refused; a result that was taken all the same stays marked until then."""
    option = "predict.flip=false"
    marked = call("score", "coco", "--set", option, "--allow-stale")
    assert marked.exit_code == 0, text(marked)
    assert "other values of predict" in json.loads((scored / "reports/metrics/coco.json").read_text())["protocol"]["stale"]
    assert "although they were stale" in text(call("gate"))
    refused = text(call("score", "coco", "--set", option))
    commands = re.findall(r"`poseline ([^`]*)`", refused)
    assert commands == [f"predict coco --set {option}"]
    for command in commands:
        done = call(*shlex.split(command))
        assert done.exit_code == 0, text(done)
    assert call("score", "coco", "--set", option).exit_code == 0
    assert "stale" not in json.loads((scored / "reports/metrics/coco.json").read_text())["protocol"]
    assert call("gate", "--set", option).output.startswith("gate: refused: the baseline was made under another protocol (flip")
    assert "other values of predict" in text(call("gate"))


def test_results_of_a_commands_own_options_go_on_but_for_the_verdict(scored: Path) -> None:
    option = "predict.flip=false"
    assert call("predict", "posetrack", "--set", option).exit_code == 0
    for words in (["track"], ["score", "posetrack"]):
        done = call(*words)
        assert done.exit_code == 0, text(done)
        assert "made with other values of predict, by options of the command that made them" in done.stderr
    assert "other values of predict" in text(call("report"))
    change(scored, "predict.nms.kind=oks")  # now the file differs, too
    assert "stale: the predictions of posetrack were made with other values of predict" in text(call("track"))


def test_another_model_or_ground_truth_makes_stale(scored: Path) -> None:
    path = scored / "data/model/model.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed":  1'))
    assert "from another data/model/model.json" in text(call("score", "coco"))
    assert "from another data/model/model.json" in text(call("track"))


def test_the_nms_in_the_stamp_is_that_of_the_predictions(scored: Path) -> None:
    assert call("score", "coco", "--set", "predict.nms.kind=parametric", "--allow-stale").exit_code == 0
    assert json.loads((scored / "reports/metrics/coco_detections.json").read_text())["protocol"]["nms"] == "none"


def test_the_sections_of_a_record_are_those_that_dvc_watches() -> None:
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    for stage, sections in SECTIONS.items():
        entry = stages[stage]
        listed = {re.sub(r"\$\{(key|item)\}", "SET", name) for name in entry.get("do", entry)["params"]}
        assert set(sections) == listed, stage
