"""The tracking commands as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poseline.cli import app
from poseline.datasets.posetrack.files import read_folder
from poseline.errors import ArtifactError, ConfigError

RUNNER = CliRunner()
DATA = Path("data/mini/posetrack/annotations/val")


def test_prediction_files_are_tracked_without_touching_the_pipeline(project: Path) -> None:
    done = RUNNER.invoke(app, ["track", "--kind", "poseflow", "--predictions", str(DATA), "--out", "out", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["videos"] == 2
    assert sorted(read_folder(project / "out")) == sorted(read_folder(DATA))
    assert not (project / "data/tracks").exists()
    assert "poses alone" not in done.stderr


def test_a_tracker_that_wants_pictures_says_that_it_goes_without(project: Path) -> None:
    done = RUNNER.invoke(app, ["track", "--predictions", str(DATA), "--out", "out"], catch_exceptions=False)
    assert "no --frames, so bytepose goes by the poses alone" in done.stderr
    with_images = ["track", "--predictions", str(DATA), "--frames", "data/mini/posetrack", "--video", "--out", "out2"]
    done = RUNNER.invoke(app, with_images, catch_exceptions=False)
    assert "poses alone" not in done.stderr
    assert len(list((project / "out2/videos").glob("*.mp4"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--predictions", "x.json"], "needs --out"),
        (["--out", "out"], "go with --predictions"),
        (["--kind", "poseflow", "tune"], "options of `tune` come after its name"),
        (["tune", "--input", "drop"], "goes with --mot DIR"),
        (["tune", "--mot", "gt", "--dataset", "posetrack"], "goes without --dataset"),
    ],
)
def test_options_that_do_not_go_together(project: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RUNNER.invoke(app, ["track", *arguments], catch_exceptions=False)


def test_the_stage_alone_asks_for_predictions(project: Path) -> None:
    with pytest.raises(ArtifactError, match="predict posetrack"):
        RUNNER.invoke(app, ["track", "--set", "mlflow.enabled=false"], catch_exceptions=False)
