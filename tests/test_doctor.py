"""Each fault has its row and its hint."""

from __future__ import annotations

import os
import socket
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from poseline import doctor
from poseline.config import Params, parse_params
from poseline.doctor import (
    check_cv2,
    check_disk,
    check_dvc,
    check_git,
    check_package,
    check_python,
    check_store,
    check_torch_pair,
    check_writable,
    cv2_distributions,
    diagnose,
)

DATASET = {"format": "coco", "annotations": "a", "train": {"annotations": "a", "images": "b"}, "val": {"annotations": "a", "images": "b"}}


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def make_params(uri: str | None = None) -> Params:
    data = {"sets": {"coco": DATASET}}
    return parse_params({"data": data, "mlflow": {"uri": uri}}, source="test")


def test_this_machine_is_fit(tmp_path: Path) -> None:
    checks = {check.name: check for check in diagnose(make_params(), tmp_path)}
    assert {"python", "poseline", "cv2", "torch", "cpu", "git", "dvc project", "disk", "data/", "experiment store"} <= set(checks)
    assert all(checks[name].status == "ok" for name in ("python", "cv2", "torch", "cpu", "data/", "experiment store"))
    assert all(check.hint for check in checks.values() if check.status != "ok")
    assert list(tmp_path.iterdir()) == [], "a diagnosis changes nothing"


def test_exactly_one_cv2_is_installed_and_it_is_headless() -> None:
    [found] = cv2_distributions()
    assert found.startswith("opencv-python-headless ")


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([], "fail"),
        (["opencv-python 4.10"], "warn"),
        (["opencv-python 4.10", "opencv-python-headless 4.10"], "fail"),
        (["opencv-python-headless 5.0"], "ok"),
    ],
)
def test_cv2(found: list[str], status: str) -> None:
    assert check_cv2(found).status == status


@pytest.mark.parametrize(
    ("torch", "torchvision", "status"),
    [
        ("2.14.1", "0.29.1", "ok"),
        ("2.6.0+cu124", "0.21.0+cu124", "ok"),
        ("2.14.1", "0.28.0", "fail"),
        ("2.14.1", None, "fail"),
        ("3.0.0", "1.0.0", "warn"),
    ],
)
def test_torch_pair(torch: str, torchvision: str | None, status: str) -> None:
    assert check_torch_pair(torch, torchvision).status == status


def test_wrong_pair_names_the_right_one() -> None:
    assert "torch==2.14.1 'torchvision~=0.29.0'" in check_torch_pair("2.14.1+cpu", "0.28.0").hint


def test_old_python_and_missing_packages() -> None:
    assert check_python((3, 10)).status == "fail"
    assert check_package("no-such-distribution", needed=True).status == "fail"
    assert check_package("no-such-distribution", needed=False).status == "warn"


def test_project_without_git_or_dvc(tmp_path: Path) -> None:
    assert check_git(tmp_path).hint.startswith("git init")
    assert check_dvc(tmp_path).hint == "run: dvc init"
    (tmp_path / ".dvc").mkdir()
    assert check_dvc(tmp_path).status == "warn"
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n['remote \"store\"']\n    url = /data\n")
    assert check_dvc(tmp_path).status == "ok"


def test_commit_is_shown_and_a_missing_identity_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    variables = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
    for variable in variables:
        monkeypatch.delenv(variable, raising=False)
    for words in (["init", "-q"], ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    assert check_git(tmp_path).status == "warn"
    assert check_git(tmp_path).hint.endswith("git config user.name You")
    for variable in variables:  # as a CI server gives them
        monkeypatch.setenv(variable, "t")
    assert check_git(tmp_path).status == "ok"
    monkeypatch.delenv("GIT_COMMITTER_EMAIL")
    for key, value in (("user.name", "t"), ("user.email", "t@example.org")):
        subprocess.run(["git", "-C", str(tmp_path), "config", key, value], check=True)
    assert check_git(tmp_path).status == "ok"
    assert check_git(tmp_path).value.startswith("commit ")


@pytest.mark.parametrize(("free", "status"), [(5e8, "fail"), (5e9, "warn"), (5e10, "ok")])
def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, status: str) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(1e12, 0.0, free))
    assert check_disk(tmp_path).status == status


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert check_writable(tmp_path / "data" / "deeper").status == "fail"
    assert check_writable(tmp_path / "reports").value == "will be created"


def test_dead_store_is_a_warning(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    check = check_store(make_params(uri), tmp_path)
    assert check.status == "warn"
    assert "poseline sync" in check.hint
    (tmp_path / "mlflow.db").write_text("rubbish " * 1000)
    assert check_store(make_params(), tmp_path).status == "warn"
