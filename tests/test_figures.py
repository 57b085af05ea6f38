"""The figures that README and docs quote are those of the files under reports/."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = REPOSITORY / "benchmarks/write_figures.py"


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_figures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_figure_is_that_of_its_file(figures: ModuleType) -> None:
    marks = 0
    for path in figures.documents(REPOSITORY):
        text = path.read_text()
        assert figures.renew(text, REPOSITORY / "reports", source=path.name) == text, f"{path.name}: run make figures"
        marks += len(figures.MARK.findall(text))
    assert marks > 100


def test_no_metric_of_the_documents_stands_without_a_mark(figures: ModuleType) -> None:
    assert {path.name: found for path in figures.documents(REPOSITORY) if (found := figures.unmarked(path.read_text()))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "scoring: AP 51.6 [43.8, 59.1] on 56 images",
        "AP of 60.9",
        "from the usual start it had MOTA 51.8, HOTA 65.0",
        "| codec | COCO AP |\n|---|---|\n| udp | **60.9** |",
        "| score | figure |\n|---|---|\n| COCO AP (OKS) | 57.4 [55.1, 59.9] |",
        "AP .516 on photographs",
    ],
)
def test_a_metric_without_a_mark_is_found(figures: ModuleType, text: str) -> None:
    assert figures.unmarked(text)


@pytest.mark.parametrize("text", ["PCKh@0.5 of AlphaPose", "OKS .50:.95 (AP)", "| what | took |\n|---|---|\n| drawing | 4.3 s |"])
def test_other_numbers_are_left_alone(figures: ModuleType, text: str) -> None:
    assert figures.unmarked(text) == []


def test_a_changed_report_changes_the_documents(tmp_path: Path) -> None:
    for name in ("README.md", "docs", "reports", "benchmarks"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    path = tmp_path / "reports/metrics/coco.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "ap": 0.7001}))

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "benchmarks/write_figures.py"), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    checked = run("--check")
    assert (checked.returncode, checked.stdout) == (1, "figures: README.md is out of date\n")
    assert run().returncode == 0
    low, _ = json.loads(path.read_text())["ap_interval"]
    assert f"70.0 [{100 * low:.1f}" in (tmp_path / "README.md").read_text()
    assert run("--check").returncode == 0


@pytest.mark.parametrize("mark", ["metrics/none; ap; percent", "metrics/coco; no_such; percent", "metrics/coco; ap; .q"])
def test_a_mark_of_nothing_is_refused(figures: ModuleType, mark: str) -> None:
    with pytest.raises(figures.FigureError, match="README"):
        figures.renew(f"<!-- figure: {mark} -->1<!-- /figure -->", REPOSITORY / "reports", source="README.md")
