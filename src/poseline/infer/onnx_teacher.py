"""An ONNX file as the model that a network in training learns from."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import Outputs
from poseline.codecs.build import build_codec
from poseline.errors import ConfigError
from poseline.infer.onnx_network import check_outputs, onnx_forward
from poseline.infer.onnx_spec import TRAINING_ONLY, OnnxInput, parse_pose_spec, read_onnx_spec
from poseline.train.teacher import TeacherNetwork
from poseline.zoo.weight_cache import get_file
from poseline.zoo.weight_files import find_entry


def load_onnx_teacher(name: Path, threads: int) -> TeacherNetwork:
    """The network of an ONNX file with its description, or of a name of the catalogue (``poseline weights list``). It runs on the CPU.

    Args:
        name: the file, or the name.
        threads: that one run may use.

    Raises:
        ConfigError: it wants crops that training does not cut, or no such name.
        ArtifactError: the file or its description is missing or wrong.
        BackendError: no runtime of ONNX files is installed, or the network does not fit its description.
    """
    if name.suffix == ".onnx":
        file, described = name, read_onnx_spec(name)
    else:
        entry = find_entry(str(name))
        if entry.task != "pose":
            raise ConfigError(f"train.teacher.model: {name} is a detector, expected a pose network.")
        file, described = get_file(entry), parse_pose_spec(dict(entry.spec), entry.name)
    if described.mask is not None:
        raise ConfigError(f"train.teacher.model: {name}: sees masked crops by its description, and training does not mask. Choose another.")
    saved = described.saved
    run = onnx_forward(
        file, input_name=described.input_name, bgr=described.bgr, output_names=described.output_names, runtime="auto", threads=threads
    )
    check_outputs(run, build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh), source=str(name))

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        outputs = run(images)
        return outputs.to(images.device) if isinstance(outputs, Tensor) else tuple(part.to(images.device) for part in outputs)

    return TeacherNetwork(forward, saved, unsaid=list_unsaid(described))


def list_unsaid(described: OnnxInput) -> frozenset[str]:
    """Options of the codec that shaped the targets of the network, and that its description, written by hand, does not say."""
    codec = described.saved.codec
    if described.assumed is None:
        return frozenset()
    said = getattr(codec, codec.kind).model_fields_set if hasattr(codec, codec.kind) else set()
    return frozenset(TRAINING_ONLY.get(codec.kind, ())) - said
