"""An ONNX file as a network: tensors in, tensors out, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from poseline.codecs.base import Codec, Outputs
from poseline.errors import BackendError
from poseline.infer.image_input import find_input, find_outputs, run_batches
from poseline.infer.sessions import open_session

Forward = Callable[[Float[Tensor, "B 3 H W"]], Outputs]


def onnx_forward(
    path: Path, *, input_name: str | None = None, bgr: bool = False, output_names: tuple[str, ...] | None = None,
    runtime: str = "onnxruntime", threads: int | None = None,
) -> Forward:  # fmt: skip
    """The forward of an ONNX file on the CPU.

    Args:
        path: the file.
        input_name: of its input tensor; None takes the first.
        bgr: the network wants blue first.
        output_names: of the outputs to read; None takes all.
        runtime: ``onnxruntime``, ``openvino`` or ``auto``.
        threads: that one run may use; None: every core.

    Raises:
        BackendError: the runtime is missing, refuses the file, or the file has no such input or output.
    """
    session = open_session(path, runtime=runtime, threads=threads)
    port = find_input(session, input_name, source=str(path))
    chosen = find_outputs(session, output_names, source=str(path))
    channels_last = len(port.shape) == 4 and port.shape[3] == 3 and port.shape[1] != 3

    def forward(images: Float[Tensor, "B 3 H W"]) -> Outputs:
        images = images.flip(1) if bgr else images
        array = (images.permute(0, 2, 3, 1) if channels_last else images).contiguous().cpu().numpy()
        array = array if np.issubdtype(port.dtype, np.floating) else np.rint(array)
        found = run_batches(session, {port.name: np.ascontiguousarray(array, dtype=port.dtype)}, fixed=port.shape[0])
        tensors = tuple(torch.from_numpy(np.asarray(found[index], np.float32)) for index in chosen)
        return tensors[0] if len(tensors) == 1 else tensors

    return forward


def check_outputs(forward: Forward, codec: Codec, *, source: str) -> None:
    """Run one blank image, so that a network whose description is wrong is refused at once.

    Raises:
        BackendError: the network refuses the input, or gives other shapes than the codec reads.
    """
    width, height = codec.input_wh
    try:
        outputs = forward(torch.zeros(1, 3, height, width))
    except Exception as error:  # onnxruntime raises its own, undocumented types
        reason = str(error).splitlines()[0]
        raise BackendError(f"{source}: does not take an input of {width}x{height} ({reason}). Fix its description.") from None
    shapes = tuple(tuple(part.shape[1:]) for part in (outputs if isinstance(outputs, tuple) else (outputs,)))
    if codec.outputs == "keypoints":  # a network for one person may have an axis for it
        shapes = tuple(shape[1:] if shape[:1] == (1,) and len(shape) > 1 else shape for shape in shapes)
    if shapes != codec.output_shapes:
        raise BackendError(
            f"{source}: gives {shapes}, expected {codec.output_shapes} by its description (codec {codec.config.kind}, "
            f"{codec.num_keypoints} keypoints, input {width}x{height}). Fix the description."
        )
