"""What `poseline export` does: export, check on people, reduce the precision, and say what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast, get_args

import torch

from poseline.artifacts import atomic_file, write_json
from poseline.codecs.build import build_codec
from poseline.errors import ConfigError
from poseline.infer.estimator import PoseEstimator
from poseline.infer.export import Contents, compare_outputs, example_inputs, export_description, export_onnx
from poseline.infer.export_data import LabelledPeople, draw_people
from poseline.infer.onnx_spec import read_onnx_spec
from poseline.infer.reduced import Precision, reduce_precision
from poseline.infer.runtime import load_onnx_estimator, torch_forward
from poseline.models.saved import load_model

CHECKED_CROPS = 16
CALIBRATION_CROPS = 128


@dataclass(frozen=True)
class ExportOptions:
    """What to write and what to check it on.

    Attributes:
        outputs: raw outputs, or keypoints decoded in the graph.
        precision: of the weights.
        data: annotations in COCO's format; None: drawn people are the check.
        images: folder of their images.
    """

    outputs: Contents = "raw"
    precision: Precision = "fp32"
    data: Path | None = None
    images: Path | None = None

    @classmethod
    def checked(cls, *, to: str, outputs: str, precision: str, data: Path | None, images: Path | None) -> ExportOptions:
        """The options, where they go together.

        Raises:
            ConfigError: unknown, or a precision without data to say what it costs.
        """
        for option, value, known in (("to", to, ("onnx",)), ("outputs", outputs, get_args(Contents)),
                                     ("precision", precision, get_args(Precision))):  # fmt: skip
            if value not in known:
                raise ConfigError(f"--{option} {value}: expected {' or '.join(known)}.")
        if precision != "fp32" and data is None:
            raise ConfigError(f"--precision {precision}: needs --data, to say what AP it costs. Give annotations in COCO's format.")
        if precision != "fp32" and outputs == "keypoints":
            raise ConfigError(f"--precision {precision}: goes with --outputs raw only; decoding needs float32.")
        folder = images or (data.parent / "images" if data is not None else None)
        return cls(cast("Contents", outputs), cast("Precision", precision), data, folder)


def run_export(model: Path, target: Path, options: ExportOptions) -> dict[str, object]:
    """Export a model folder; what was written, how far it is from PyTorch, and the AP of both where there are data.

    Raises:
        BackendError: a package is missing, or the file differs by more than is allowed; it is not kept then.
        ArtifactError: the model is missing or damaged, or the file cannot be written.
        DataError: the annotations are missing or of another skeleton.
    """
    module, saved = load_model(model)
    codec = build_codec(saved.codec, num_keypoints=saved.num_keypoints, input_wh=saved.model.input_wh)
    eager = PoseEstimator(torch_forward(module, torch.device("cpu")), codec, saved, device=torch.device("cpu"), batch_size=16, flip=False)
    people = LabelledPeople.read(options.data, options.images or Path()) if options.data is not None else None
    crops = people.cut(saved, limit=CHECKED_CROPS) if people is not None else draw_people(saved)
    unit = "difference_px" if options.outputs == "keypoints" else "relative_difference"
    if options.precision == "fp32":
        difference = export_onnx(model, target, outputs=options.outputs, crops=crops)
    else:
        assert people is not None, "checked with the options"
        calibration = example_inputs(saved, people.cut(saved, limit=CALIBRATION_CROPS)).numpy()
        with TemporaryDirectory() as folder:
            whole = Path(folder) / "whole.onnx"
            export_onnx(model, whole, crops=crops)
            with atomic_file(target) as temporary:
                reduce_precision(whole, temporary, options.precision, calibration)
                with torch.inference_mode():
                    inputs = example_inputs(saved, crops)
                    expected = module(inputs)
                # What fewer bits change is said, not refused: the AP beside it is what counts.
                difference = compare_outputs(temporary, inputs, expected if isinstance(expected, tuple) else (expected,))
        write_json(target.with_suffix(".json"), export_description(model, saved, "raw"))
    result: dict[str, object] = {"file": str(target), "outputs": options.outputs, "precision": options.precision, unit: difference}
    result |= {"crops": len(crops), "crops_of": "annotated people" if people is not None else "drawn people"}
    if people is not None:
        described = read_onnx_spec(target)
        exported = load_onnx_estimator(target, described, batch_size=16, flip=False, score=eager.score, runtime="onnxruntime")
        before, after = people.measure_ap(eager), people.measure_ap(exported)
        result |= {"ap_pytorch": before, "ap_exported": after, "ap_cost": before - after}
    return result
