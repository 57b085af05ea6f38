"""The pose network of a name: of the catalogue, a trained folder, or an ONNX file; and the runtime that runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poseline.artifacts import file_hash, read_json
from poseline.codecs.base import Outputs
from poseline.codecs.build import build_codec
from poseline.errors import BackendError, ConfigError, PoselineError
from poseline.infer.estimator import PoseEstimator
from poseline.infer.onnx_network import Forward
from poseline.infer.onnx_spec import CATALOGUE, parse_pose_spec, read_onnx_spec
from poseline.infer.runtime import load_onnx_estimator, torch_forward
from poseline.infer.sessions import SESSIONS, choose_runtime
from poseline.models.device import resolve_device
from poseline.models.saved import SPEC_FILE, load_model
from poseline.zoo.weight_cache import get_file
from poseline.zoo.weight_files import cache_folder, find_entry

LOG = logging.getLogger(__name__)


def compiled_forward(module: nn.Module, device: torch.device) -> Forward:
    """The network compiled by torch.compile; the first batches of a new size take long."""
    return torch_forward(torch.compile(module, dynamic=True), device)  # type: ignore[arg-type]


def half_forward(module: nn.Module, device: torch.device) -> Forward:
    """The network under bfloat16 autocast; outputs in float32."""
    forward = torch_forward(module, device)

    def run(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            outputs = forward(images)
        return outputs.float() if isinstance(outputs, Tensor) else tuple(part.float() for part in outputs)

    return run


def compiled_half_forward(module: nn.Module, device: torch.device) -> Forward:
    """The network in bfloat16, weights and all, compiled by torch.compile: for GPUs; outputs in float32."""
    network = torch.compile(module.to(torch.bfloat16))
    forward = torch_forward(network, device)  # type: ignore[arg-type]

    def run(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        outputs = forward(images.to(torch.bfloat16))
        return outputs.float() if isinstance(outputs, Tensor) else tuple(part.float() for part in outputs)

    return run


TORCH_RUNTIMES: dict[str, Callable[[nn.Module, torch.device], Forward]] = {
    "torch": torch_forward,
    "torch-compile": compiled_forward,
    "torch-bf16": half_forward,
    "torch-compile-bf16": compiled_half_forward,
}
"""Ways in which PyTorch runs a trained folder."""
RUNTIMES = ("auto", *TORCH_RUNTIMES, *SESSIONS.own)


def load_pose_network(
    name: str, *, runtime: str = "auto", device: str = "auto", batch_size: int = 8, flip: bool = False, threads: int | None = None,
    find_model: Callable[[str], Path] | None = None,
) -> PoseEstimator:  # fmt: skip
    """The estimator of a pose network, which cuts crops, runs them and decodes their keypoints.

    Args:
        name: a name of the catalogue (``poseline weights list``), a trained folder of ours, or an ONNX file with its description.
        runtime: ``torch``, ``torch-compile`` or ``torch-bf16`` (trained folders), ``onnxruntime``, ``openvino`` (folders are exported
            once, into the cache), or ``auto``: the fastest that is here; a GPU runs ``torch``.
        device: of torch: auto, cpu, cuda, cuda:N or mps; ONNX files run on the CPU.
        batch_size: crops a forward call.
        flip: average with the outputs of the mirrored crops.
        threads: that one run may use; None: every core.
        find_model: the trained folder that a name stands for which is none of these; None: there are no such names.

    Raises:
        ConfigError: no such name, a detector, or a runtime that cannot run it.
        ArtifactError: the weights are not here, or their description is missing or wrong.
        BackendError: the runtime or device is missing, or the network does not fit its description.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"--runtime {runtime}: expected one of {', '.join(RUNTIMES)}.")
    path = Path(name)
    folder = _find_folder(name, find_model)
    if folder is not None:
        return _load_folder(folder, runtime, device=device, batch_size=batch_size, flip=flip, threads=threads)
    if path.is_file() or path.suffix == ".onnx":
        described, file = read_onnx_spec(path), path
    else:
        entry = find_entry(name)
        if entry.task != "pose":
            raise ConfigError(f"'{name}': a detector, expected a pose network. Give it as --detector; `poseline weights list` shows all.")
        described, file = parse_pose_spec(dict(entry.spec), f"{CATALOGUE}{entry.name}"), get_file(entry)
    if runtime in TORCH_RUNTIMES:
        raise ConfigError(f"--runtime {runtime}: {name} is an ONNX file. Use onnxruntime, openvino or auto.")
    return load_onnx_estimator(
        file, described, batch_size=batch_size, flip=flip, score=described.saved.score, runtime=runtime, threads=threads
    )


def _find_folder(name: str, find_model: Callable[[str], Path] | None) -> Path | None:
    """The trained folder that a name stands for; None for an ONNX file and a name of the catalogue.

    Raises:
        PoselineError: nothing has that name; says what the catalogue has.
    """
    path = Path(name)
    for folder in (path, path / "data/model"):  # a trained folder, or a project with one
        if (folder / SPEC_FILE).is_file():
            return folder
    if path.suffix == ".onnx" or (path.is_file() and path.stem != Path(SPEC_FILE).stem):
        return None
    hint = ""
    try:
        find_entry(name)  # goes before a folder without a model, as the one of --out may be
    except ConfigError as error:
        hint = "" if path.is_dir() else f" Nor a name of the catalogue: {str(error).partition('catalogue. ')[2]}"
    else:
        return None
    if find_model is None:
        return path if path.is_dir() else None
    try:
        return find_model(name)
    except PoselineError as error:
        error.args = (f"{error}{hint}",)
        raise


def _load_folder(folder: Path, runtime: str, *, device: str, batch_size: int, flip: bool, threads: int | None) -> PoseEstimator:
    where = resolve_device(device)
    chosen, file = _choose_for_folder(folder, where) if runtime == "auto" else (runtime, None)
    if chosen not in TORCH_RUNTIMES:
        if where.type != "cpu" and device != "auto":
            raise ConfigError(f"--runtime {chosen}: runs on the CPU, got --device {device}. Use torch, or --device cpu.")
        file = file or cached_export(folder)
        described = read_onnx_spec(file)
        score = described.saved.score
        return load_onnx_estimator(file, described, batch_size=batch_size, flip=flip, score=score, runtime=chosen, threads=threads)
    if threads is not None:
        torch.set_num_threads(threads)
    module, saved = load_model(folder)
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    LOG.info("%s: runs on %s, %s", folder.name, chosen, where)
    forward = TORCH_RUNTIMES[chosen](module, where)
    return PoseEstimator(forward, codec, saved, device=where, batch_size=batch_size, flip=flip, score=saved.score)


def _choose_for_folder(folder: Path, device: torch.device) -> tuple[str, Path | None]:
    """The fastest runtime of a trained folder, and its ONNX file; PyTorch on a GPU, and where it cannot be exported, which is said."""
    if device.type != "cpu":
        return "torch", None
    try:
        return choose_runtime(), cached_export(folder)
    except BackendError as error:
        LOG.warning("%s: runs on torch, the slower way on a CPU (%s)", folder, error)
        return "torch", None


def cached_export(folder: Path) -> Path:
    """The ONNX file of a trained folder, exported and checked at the first use, then taken from the cache.

    Raises:
        ArtifactError: the folder is missing or damaged, or the cache cannot be written.
        BackendError: the exporter is not installed, or its file differs from PyTorch's.
    """
    from poseline.infer.export import export_onnx  # with what it tries the network on; takes a second to load

    read_json(folder / SPEC_FILE, made_by="train")
    target = cache_folder().parent / "exports" / f"{file_hash(folder / SPEC_FILE)}.onnx"  # model.json holds the hash of the weights
    if not target.is_file():
        LOG.warning("%s: exported to ONNX for its first use on the CPU (%s); later runs start at once.", folder, target)
        export_onnx(folder, target)
    return target
