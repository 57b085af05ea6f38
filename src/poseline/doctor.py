"""What this machine offers and lacks: one row a check, with a hint for each fault."""

from __future__ import annotations

import configparser
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.errors import ArtifactError, BackendError
from poseline.experiments.lineage import read_lock
from poseline.threads import available_cores

Status = Literal["ok", "warn", "fail"]

PACKAGES = ("numpy", "pandas", "pyarrow", "scipy", "pycocotools", "pydantic", "typer", "safetensors")
PIPELINE_PACKAGES = ("dvc", "mlflow", "great-expectations", "matplotlib", "jinja2", "psutil")
CV2_DISTRIBUTIONS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
OLDEST_PYTHON = (3, 11)
LOW_DISK_GB = 10.0
NO_DISK_GB = 1.0


@dataclass(frozen=True)
class Check:
    """One row: ``fail`` stops the pipeline, ``warn`` limits it, ``ok`` needs nothing."""

    name: str
    status: Status
    value: str
    hint: str = ""


def diagnose(params: Params | None, root: Path) -> list[Check]:
    """All checks of this machine and project, quick ones first.

    Args:
        params: the project's parameters; None leaves out the experiment store.
        root: the main checkout.
    """
    checks = [check_python(), check_package("poseline", needed=True)]
    checks += [check_package(name, needed=True) for name in PACKAGES]
    checks += [check_package(name, needed=False) for name in PIPELINE_PACKAGES]
    checks += [check_cv2(cv2_distributions()), check_torch_pair(installed("torch"), installed("torchvision")), check_onnxruntime()]
    checks += check_devices()
    checks += [check_git(root), check_dvc(root), check_disk(root)]
    checks += [check_writable(root / name) for name in ("data", "reports")]
    if params is not None:
        checks += check_data(params, root)
        checks.append(check_store(params, root))
    return checks


def check_data(params: Params, root: Path) -> list[Check]:
    """For each enabled set, whether its folders are there, and whether a queued experiment, which works in a copy, would see them."""
    checks = []
    for name, config in params.data.sets.items():
        if config.enabled:
            paths = dict.fromkeys([config.annotations, *(part.images for part in (config.train, config.val) if part is not None)])
            checks.append(_check_set(name, list(paths), root))
    return checks


def _check_set(name: str, paths: list[Path], root: Path) -> Check:
    missing = [path for path in paths if not (root / path).exists() and not is_made(path, root)]
    if missing:
        hint = f"name the right folder under data.sets.{name} in params.yaml, or set data.sets.{name}.enabled=false"
        return Check(f"data: {name}", "warn", f"no {missing[0]}", hint)
    alone = [path for path in paths if not path.is_absolute() and not is_tracked(path, root)]
    if alone:
        hint = f"queued experiments work in a copy that lacks it: give its absolute path in params.yaml, or run: dvc add {alone[0]}"
        return Check(f"data: {name}", "warn", f"{alone[0]} is tracked by neither git nor DVC", hint)
    there = all((root / path).exists() for path in paths)
    return Check(f"data: {name}", "ok", f"annotations and images {'are there' if there else 'are made by: dvc repro'}")


def is_made(path: Path, root: Path) -> bool:
    """Whether the path lies in an output of the pipeline: the drawn sets, or what dvc.lock lists."""
    try:
        made = [Layout(Path()).mini, *(Path(entry.path) for stage in read_lock(root).values() for entry in stage.outs)]
    except ArtifactError:
        return False
    return any(path == out or out in path.parents for out in made)


def is_tracked(path: Path, root: Path) -> bool:
    """Whether git tracks files there, or DVC the path or a folder around it."""
    if is_made(path, root) or any((root / f"{place}.dvc").is_file() for place in (path, *path.parents) if place.name):
        return True
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "--", str(path)], capture_output=True, text=True, timeout=60, check=False)
    return bool(listed.stdout.strip())


def installed(name: str) -> str | None:
    """A distribution's version, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_python(found: tuple[int, int] = sys.version_info[:2]) -> Check:
    """The interpreter: 3.11 or newer."""
    value = f"{platform.python_version()} ({sys.executable})"
    if found < OLDEST_PYTHON:
        return Check("python", "fail", value, "poseline needs Python 3.11 or newer: make the environment with python3.11 -m venv .venv")
    return Check("python", "ok", value)


def check_package(name: str, *, needed: bool) -> Check:
    """An installed package; the pipeline's own may be absent where only the network is used."""
    found = installed(name)
    if found is not None:
        return Check(name, "ok", found)
    extra = "-e ." if needed else "-e '.[pipeline]'"
    return Check(name, "fail" if needed else "warn", "not installed", f"pip install -c constraints.txt {extra}")


def cv2_distributions() -> list[str]:
    """Installed distributions that all provide the module cv2, as ``name version``."""
    names = {(dist.metadata["Name"] or "").lower().replace("_", "-"): dist.version for dist in distributions()}
    return sorted(f"{name} {names[name]}" for name in CV2_DISTRIBUTIONS if name in names)


def check_cv2(found: list[str]) -> Check:
    """Exactly one wheel may provide cv2: a second overwrites the first's files, and the GUI wheel needs libGL."""
    remedy = "pip uninstall -y " + " ".join(CV2_DISTRIBUTIONS) + " && pip install -c constraints.txt opencv-python-headless"
    if not found:
        return Check("cv2", "fail", "not installed", "pip install -c constraints.txt opencv-python-headless")
    if len(found) > 1:
        return Check("cv2", "fail", ", ".join(found), f"{len(found)} wheels provide cv2 and overwrite each other: {remedy}")
    if "headless" not in found[0]:
        return Check("cv2", "warn", found[0], f"the GUI wheel fails without libGL on a server: {remedy}")
    return Check("cv2", "ok", found[0])


def torchvision_for(torch_version: str) -> str:
    """The torchvision minor that is built with a torch version: 2.N goes with 0.(N + 15).

    >>> torchvision_for("2.14.1+cpu")
    '0.29'
    """
    minor = int(torch_version.split(".")[1])
    return f"0.{minor + 15}"


def check_torch_pair(torch_version: str | None, torchvision_version: str | None) -> Check:
    """Torch and torchvision are built against each other; any other pair fails at the first operator."""
    if torch_version is None or torchvision_version is None:
        value = f"torch {torch_version or 'not installed'}, torchvision {torchvision_version or 'not installed'}"
        return Check("torch", "fail", value, "pip install -c constraints.txt torch torchvision")
    value = f"{torch_version} with torchvision {torchvision_version}"
    major = torch_version.split(".")[0]
    if major != "2":
        return Check("torch", "warn", value, "poseline is tested with torch 2: pip install -c constraints.txt torch torchvision")
    wanted = torchvision_for(torch_version)
    if ".".join(torchvision_version.split(".")[:2]) != wanted:
        install = f"pip install torch=={torch_version.split('+')[0]} 'torchvision~={wanted}.0'"
        hint = f"torch {torch_version} belongs with torchvision {wanted}: {install}"
        return Check("torch", "fail", value, hint)
    return Check("torch", "ok", value)


def check_onnxruntime() -> Check:
    """The ONNX runtime and what it can run on."""
    if find_spec("onnxruntime") is None:
        return Check("onnxruntime", "warn", "not installed", "needed for predict.runtime=onnxruntime and export: pip install -e '.[onnx]'")
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        return Check("onnxruntime", "fail", f"cannot be imported: {error}", "pip install --force-reinstall -c constraints.txt onnxruntime")
    names = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return Check("onnxruntime", "ok", f"{onnxruntime.__version__} on {names}")


def check_devices() -> list[Check]:
    """Processors that torch can use: CPU cores, CUDA devices, Apple's GPU."""
    checks = [Check("cpu", "ok", f"{available_cores()} cores, {platform.machine()}")]
    try:
        import torch
    except (ImportError, OSError) as error:
        return [*checks, Check("devices", "fail", f"torch cannot be imported: {error}", "pip install -c constraints.txt torch torchvision")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            checks.append(Check(f"cuda:{index}", "ok", f"{about.name}, {about.total_memory / 2**30:.0f} GiB"))
    elif shutil.which("nvidia-smi"):
        hint = "the driver is here but torch cannot use it: install a CUDA build of torch, or a newer driver"
        checks.append(Check("cuda", "warn", f"not usable by torch {torch.__version__}", hint))
    else:
        checks.append(Check("cuda", "ok", "none; the CPU is used"))
    if torch.backends.mps.is_available():
        checks.append(Check("mps", "ok", "available"))
    return checks


def check_git(root: Path) -> Check:
    """The commit, without which no result can name its code, and who commits: `dvc exp run` does."""
    if shutil.which("git") is None:
        return Check("git", "fail", "not installed", "install git: DVC and the lineage of every result need it")
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        return Check("git", "fail", f"{root} has no commit", "git init && git add -A && git commit -m start: DVC and the lineage need one")
    value = f"commit {done.stdout.strip()}"
    for key in ("user.name", "user.email"):
        variable = key.removeprefix("user.").upper()
        given = all(os.environ.get(f"GIT_{role}_{variable}") for role in ("AUTHOR", "COMMITTER"))
        if not given and subprocess.run(["git", "-C", str(root), "config", key], capture_output=True, timeout=30, check=False).returncode:
            hint = f"dvc exp run commits and stops without: git config {key} {'you@example.org' if key == 'user.email' else 'You'}"
            return Check("git", "warn", f"{value}, no {key}", hint)
    return Check("git", "ok", value)


def check_dvc(root: Path) -> Check:
    """DVC installed, initialised, and its usage reports off."""
    found = installed("dvc")
    if found is None:
        return Check("dvc project", "fail", "dvc is not installed", "pip install -c constraints.txt -e '.[pipeline]'")
    if not (root / ".dvc").is_dir():
        return Check("dvc project", "fail", f"{root} is not initialised", "run: dvc init")
    config = configparser.ConfigParser()
    config.read([root / ".dvc/config", root / ".dvc/config.local"])
    if config.get("core", "analytics", fallback="true").lower() != "false":
        return Check("dvc project", "warn", f"dvc {found}, analytics on", "dvc config core.analytics false")
    return Check("dvc project", "ok", f"dvc {found}, initialised, analytics off")


def check_disk(root: Path) -> Check:
    """Free space where the project lies."""
    free_gb = shutil.disk_usage(root).free / 1e9
    value = f"{free_gb:.1f} GB free at {root}"
    if free_gb < LOW_DISK_GB:
        hint = "the DVC cache and the experiment store grow: free some disk, or run: dvc gc --workspace && mlflow gc"
        return Check("disk", "fail" if free_gb < NO_DISK_GB else "warn", value, hint)
    return Check("disk", "ok", value)


def check_writable(folder: Path) -> Check:
    """A folder that stages write to, or may create."""
    name = f"{folder.name}/"
    place = folder if folder.exists() else folder.parent
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Check(name, "ok", "writable" if folder.exists() else "will be created")
    return Check(name, "fail", f"{place} cannot be written", f"chmod u+rwx {place}, or work in a folder of your own")


def check_store(params: Params, root: Path) -> Check:
    """The experiment store answers; a stage would run without it, its record waiting on disk."""
    from poseline.experiments import pending_records, probe_store, shown_uri

    if not params.mlflow.enabled:
        return Check("experiment store", "ok", "off (mlflow.enabled: false)")
    uri = shown_uri(params.mlflow, root)
    try:
        waiting = sum(not folder.is_running() for folder in pending_records(Layout(root)))
        probe_store(params.mlflow, root)
    except BackendError as error:
        return Check("experiment store", "warn", uri, f"{error}. Stages run on and keep their records; start it, then run: poseline sync")
    except ArtifactError as error:
        return Check("experiment store", "warn", uri, str(error))
    if waiting:
        return Check("experiment store", "warn", f"{uri}; {waiting} records wait", "poseline sync")
    return Check("experiment store", "ok", uri)
