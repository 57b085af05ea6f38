"""Exported networks in fewer bits: float16, or 8-bit integers whose ranges come from real crops."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from poseline.errors import BackendError
from poseline.infer.onnx_metadata import KEY, add_metadata, read_metadata

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
QUANTISED = ["Conv", "Gemm", "MatMul"]
"""Operators whose weights and inputs become 8-bit integers; the rest stays float32."""


def reduce_precision(source: Path, target: Path, precision: Precision, inputs: Float[np.ndarray, "B 3 H W"]) -> None:
    """Write an exported network in fewer bits; its inputs and outputs stay float32, its description goes with it.

    Args:
        source: the network in float32.
        target: the file to write.
        precision: fp16, or int8: static, with the ranges that the inputs show.
        inputs: normalised crops.

    Raises:
        BackendError: onnx or onnxruntime is not installed.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise BackendError(f"export: '{error.name}' is not installed. Run `pip install 'poseline[onnx]'`.") from None
    if precision == "fp16":
        onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(target))
    else:

        class Crops(CalibrationDataReader):  # type: ignore[misc]
            """Hands over one crop after another."""

            def __init__(self) -> None:
                self.left: Iterator[np.ndarray] = iter(np.split(inputs, len(inputs)))

            def get_next(self) -> dict[str, np.ndarray] | None:
                crop = next(self.left, None)
                return None if crop is None else {"images": crop}

        level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # onnxruntime advises on the root logger
        try:
            quantize_static(
                str(source), str(target), Crops(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8, op_types_to_quantize=QUANTISED,
            )  # fmt: skip
        finally:
            logging.root.setLevel(level)
    if KEY not in read_metadata(target):
        add_metadata(target, {KEY: read_metadata(source)[KEY]})
