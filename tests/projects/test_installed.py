"""The installed wheel, without the source tree and with an empty home: a project of one's own, and a new version of the package."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from poseline.artifacts import read_json
from poseline.config.params import apply_override

REPOSITORY = Path(__file__).resolve().parents[2]


class Machine:
    """A machine on which nothing but the wheel is poseline.

    Attributes:
        package: the installed package.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        """A fresh environment; the packages of others are read from this one's, so that nothing is downloaded."""
        environment, self.home = folder / "environment", folder / "home"
        self.home.mkdir()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        python = environment / "bin/python"
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel]
        subprocess.run(command, check=True, capture_output=True)
        [packages] = (environment / "lib").glob("python*/site-packages")
        (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
        self.package = packages / "poseline"
        self.path = f"{environment / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def call(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """A command's result."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DVC", "MLFLOW", "GIT", "POSELINE"))}
        made = {"HOME": str(self.home), "PATH": self.path, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": ""}
        return subprocess.run(command, cwd=folder, env=kept | made, capture_output=True, text=True, check=False, timeout=800)

    def output(self, folder: Path, *command: str) -> str:
        """What a command prints, which must succeed."""
        done = self.call(folder, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with the wheel of this source tree."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("machine")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    shutil.copytree(REPOSITORY / "src", source / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return Machine(folder, wheel)


def change(project: Path, values: tuple[str, ...]) -> None:
    """Set values of params.yaml."""
    raw = yaml.safe_load((project / "params.yaml").read_text())
    for value in values:
        apply_override(raw, value)
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def stages_run(text: str) -> list[str]:
    """The stages that `dvc repro` says it ran."""
    return re.findall(r"^Running stage '([^']+)'", text, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_project_and_a_new_version_of_the_package(machine: Machine, tmp_path: Path, tiny: tuple[str, ...]) -> None:
    where = machine.output(tmp_path, "python", "-c", "import poseline, shutil; print(poseline.__file__, shutil.which('poseline'))")
    assert all(path.startswith(str(machine.package.parents[3])) for path in where.split())
    machine.output(tmp_path, "poseline", "new", "demo", "--from", "mini")
    project = tmp_path / "demo"
    change(project, tiny)
    ran = stages_run(machine.output(project, "dvc", "repro"))
    assert {"code", "mini", "train", "score@coco", "score@mpii", "score@posetrack", "report"} <= set(ran)
    assert 0 <= float(str(read_json(project / "reports/metrics/coco.json", made_by="score")["ap"])) <= 1
    assert (project / "reports/index.html").is_file()
    assert stages_run(machine.output(project, "dvc", "repro")) == ["code"]

    scoring = machine.package / "evaluation/diagnosis.py"
    text = scoring.read_text()
    scoring.write_text(text + "\n# A comment.\n")
    assert stages_run(machine.output(project, "dvc", "repro")) == ["code"]
    assert "MATCH_OKS = 0.1" in text
    scoring.write_text(text.replace("MATCH_OKS = 0.1", "MATCH_OKS = 0.9"))
    stopped = machine.call(project, "dvc", "repro")
    assert stopped.returncode != 0
    assert re.search(r"^error: score: other code than code.yaml names .* Run: poseline upgrade$", stopped.stderr, re.MULTILINE)
    alone = machine.call(project, "poseline", "score", "coco")
    assert (alone.returncode, alone.stdout) == (2, "")
    assert re.fullmatch(r"error: score: runs other code than code.yaml names .* Run: poseline upgrade\n", alone.stderr)
    told = machine.output(project, "poseline", "upgrade")
    scores = ["score@coco", "score@mpii", "score@posetrack"]
    assert f"will run again: {', '.join(scores)}\n" in told
    assert sorted(stages_run(machine.output(project, "dvc", "repro"))) == sorted(["code", "report", *scores])
    assert stages_run(machine.output(project, "dvc", "repro")) == ["code"]
