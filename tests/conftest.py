"""Shared fixtures: a tiny project whose data are drawn by the project itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import checked_types
import jaxtyping
import pytest
from filelock import FileLock

# Annotations, array shapes among them, are checked at run time; not in the command line, to which typer hands a context of a type
# that is not the one that it documents.
UNCHECKED = {"cli"}
PACKAGES = {path.parent.name for path in (Path(__file__).resolve().parents[1] / "src" / "poseline").glob("*/__init__.py")}
checked_types.install([f"poseline.{name}" for name in sorted(PACKAGES - UNCHECKED)])

pytest_plugins = ["drawn_keypoints", "scored_sets", "toy_package"]

REPOSITORY = Path(__file__).resolve().parents[1]

# Tests run side by side: one thread each, or they wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY = (
    "mini.coco_train_images=16", "mini.coco_val_images=8", "mini.mpii_train_images=8", "mini.mpii_val_images=6",
    "mini.posetrack_train_videos=1", "mini.posetrack_val_videos=2", "mini.posetrack_frames=6",
    "mini.posetrack_val_frames=[6, 6]", "mini.processes=1",
    "validate.html=false", "preprocess.processes=1", "model.input_wh=[32, 64]", "model.width=0.125", "model.head=pyramid",
    "model.deconv_channels=[16]", "train.epochs=1", "train.batch_size=8", "train.threads=1", "score.bootstrap=20",
    "mlflow.enabled=false", "report.images=3",
)  # fmt: skip


# A network of one epoch scores every keypoint low: with the default thresholds no detected pose and no track would be left.
LOW_SCORES = ("predict.score=mean", "predict.nms.kind=none", "track.min_pose_score=0", "track.bytepose.high_score=0")


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types are not checked: for tests that hand over arrays of the wrong shape, to see what the function itself says."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures and weights; the test is skipped where it is absent."""
    folder = Path(os.environ.get("POSELINE_REAL", REPOSITORY.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; name their folder in POSELINE_REAL")
    return folder


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first test process to want it makes, for all processes of the session. Do not write into it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.with_suffix(".made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                make(folder)
            folder.with_suffix(".made").touch()
    return folder


@pytest.fixture(scope="session")
def drawn_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with params.yaml and drawn, validated and preprocessed data. Do not write into it: copy it."""
    from poseline.artifacts import Layout
    from poseline.config import load_params
    from poseline.stages import mini, preprocess, validate

    def make(folder: Path) -> None:
        shutil.copy(REPOSITORY / "params.yaml", folder)
        params, layout = load_params(folder / "params.yaml", TINY), Layout(Path())
        mini.run(params, layout)
        for name in params.data.sets:
            validate.run(params, layout, name)
        preprocess.run(params, layout)

    return made_once(tmp_path_factory, "drawn_project", make)


@pytest.fixture(scope="session")
def finished_project(drawn_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn project after train, predict, track and score. Do not write into it: take ``finished``."""
    from poseline.artifacts import Layout
    from poseline.config import load_params
    from poseline.experiments import StageRun
    from poseline.stages import predict, score, track, train

    def make(folder: Path) -> None:
        shutil.copytree(drawn_project, folder, dirs_exist_ok=True)
        params, layout = load_params(folder / "params.yaml", [*TINY, *LOW_SCORES]), Layout(Path())
        train.run(params, layout, "cpu", StageRun())
        for name in params.data.sets:
            predict.run(params, layout, "cpu", name)
        for name in params.track.sets:
            track.run(params, layout, name)
        for name in params.data.sets:
            score.run(params, layout, name)

    return made_once(tmp_path_factory, "finished_project", make)


def copy_project(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a project, made the working directory."""
    shutil.copytree(source, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


@pytest.fixture
def finished(finished_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the finished project, made the working directory."""
    return copy_project(finished_project, tmp_path / "project", monkeypatch)


@pytest.fixture
def project(drawn_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the drawn project, made the working directory."""
    return copy_project(drawn_project, tmp_path / "project", monkeypatch)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides that make every stage quick."""
    return TINY


@pytest.fixture(scope="session")
def made_with() -> tuple[str, ...]:
    """The overrides that made ``finished``."""
    return (*TINY, *LOW_SCORES)
