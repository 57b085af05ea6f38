"""The description of an ONNX detector, short enough to write by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from poseline.config.params import Yaml, describe_validation_error
from poseline.errors import ArtifactError
from poseline.infer.image_input import ImageInput
from poseline.infer.onnx_spec import find_description

Column = Literal["x1", "y1", "x2", "y2", "cx", "cy", "w", "h", "score", "label", "skip"]


class DetectorSpec(ImageInput):
    """What a detector takes and gives."""

    head: Literal["yolox", "yolo", "boxes", "table"] = Field(
        description="yolox: rows [N, 5 + C] in grid units; yolo: rows or columns of cx, cy, w, h, [objectness,] classes in pixels of the "
        "input; boxes: an output of boxes and one of scores, perhaps one of labels; table: one output with a row a box, see `columns`"
    )
    resize: Literal["letterbox", "letterbox_centre", "stretch"] = Field(
        default="letterbox", description="letterbox: the image's shape is kept, at the top left or in the centre; stretch: it is not"
    )
    fill: int = Field(default=114, ge=0, le=255, description="value of the letterbox's border")
    person: int = Field(default=0, ge=0, description="index of the class of people; where `classes` is given, it is looked up there")
    classes: tuple[str, ...] | None = Field(default=None, description="names of the classes, one of them person")
    nms_iou: float | None = Field(default=0.65, gt=0, le=1, description="overlap above which the lower score goes; null: no NMS")
    strides: tuple[int, ...] = Field(default=(8, 16, 32), description="yolox: of its grids")
    objectness: bool = Field(default=True, description="yolo: a row has an objectness after its box (v5: true, v8 and later: false)")
    scores: Literal["probability", "logits"] = Field(default="probability", description="boxes: logits get a sigmoid")
    box: Literal["xyxy", "yxyx", "cxcywh"] = Field(default="xyxy", description="boxes: order of the numbers of a box")
    units: Literal["image", "input", "fraction"] = Field(
        default="input", description="boxes, table: pixels of the image (a network that knows its size), of the input, or 0..1 of it"
    )
    columns: tuple[Column, ...] = Field(default=("x1", "y1", "x2", "y2", "score", "label"), description="table: what each column is")
    size_input: str | None = Field(default=None, description="input that takes the size of the image, or by units its own")
    size_order: Literal["wh", "hw"] = Field(default="wh", description="order of the two numbers of that input")
    tile: int | None = Field(default=None, ge=64, description="side of the tiles in which a larger image is searched, pixels; null: none")
    tile_overlap: float = Field(default=0.25, ge=0, lt=0.9, description="fraction of a tile that it shares with the next")

    @model_validator(mode="after")
    def _check_head(self) -> DetectorSpec:
        if self.classes is not None and "person" not in self.classes:
            first = ", ".join(self.classes[:5])
            raise ValueError(f"classes: no class 'person' among {len(self.classes)} ({first}, ...). Take another detector")
        if self.head == "table" and "score" not in self.columns:
            raise ValueError("columns: expected one named score")
        return self

    @property
    def person_class(self) -> int:
        """Index of the class of people."""
        return self.person if self.classes is None else self.classes.index("person")


def read_detector_spec(network: Path) -> DetectorSpec:
    """The description of an ONNX detector: beside the file, inside it, or in the catalogue by its hash.

    Raises:
        ArtifactError: missing, of a pose network, a key that is unknown or missing, or a value out of range.
    """
    found = find_description(network)
    if found is None:
        wanted = network.with_suffix(".yaml").name
        raise ArtifactError(f"{network}: no description beside it, inside it or in the catalogue. Write {wanted} (head, input_wh, ...).")
    return parse_detector_spec(*found)


def parse_detector_spec(raw: dict[str, Yaml], source: str) -> DetectorSpec:
    """The checked description of a detector.

    Raises:
        ArtifactError: of a pose network, a key that is unknown or missing, or a value out of range.
    """
    if "schema_version" in raw or "skeleton" in raw:
        raise ArtifactError(f"{source}: describes a pose network, expected a detector. Give it as --model.")
    try:
        return DetectorSpec.model_validate(raw)
    except ValidationError as error:
        raise ArtifactError(f"{source}: {describe_validation_error(error)}. Fix the description.") from None
