"""The protocol stamp: under which conditions a score was made, so that unlike scores are not ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from poseline.errors import ArtifactError


@dataclass(frozen=True)
class Protocol:
    """Conditions of a score; None where they are not known (results from elsewhere).

    Attributes:
        benchmark: coco, coco-wholebody, halpe, crowdpose, mpii, mpii-multi, posetrack.
        boxes: where the people came from: ``ground_truth`` or ``detections``.
        box_ap: AP of those boxes, a fraction; None with ground truth.
        flip: whether the mirrored picture was averaged in.
        input_wh: the network's input in pixels.
        codec: how keypoints are read from the network, e.g. ``heatmap``.
        nms: suppression of duplicate poses, e.g. ``none``, ``parametric-fixed``.
        rescoring: how the pose score is made, e.g. ``mean_visible``, ``expected_oks``.
        data_hash: of the truth.
        num_images: pictures scored.
        num_people: people asked for.
    """

    benchmark: str
    boxes: str | None = None
    box_ap: float | None = None
    flip: bool | None = None
    input_wh: tuple[int, int] | None = None
    codec: str | None = None
    nms: str | None = None
    rescoring: str | None = None
    data_hash: str | None = None
    num_images: int | None = None
    num_people: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain values for a JSON file.

        >>> Protocol("coco", input_wh=(192, 256)).to_dict()["input_wh"]
        [192, 256]
        """
        values = asdict(self)
        return values | {"input_wh": None if self.input_wh is None else list(self.input_wh)}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Protocol:
        """The stamp from plain values.

        Raises:
            ArtifactError: no benchmark, or a key that a stamp does not have.
        """
        known = {entry.name for entry in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or not isinstance(values.get("benchmark"), str):
            problem = f"unknown keys {unknown}" if unknown else "no 'benchmark'"
            raise ArtifactError(f"protocol stamp: {problem}. Score again with this version.")
        given = dict(values)
        size = given.get("input_wh")
        if isinstance(size, list | tuple):
            given["input_wh"] = tuple(size)
        return cls(**given)  # type: ignore[arg-type]

    def describe(self) -> str:
        """One line for a table or a plot.

        >>> Protocol("coco", boxes="ground_truth", flip=True, input_wh=(192, 256)).describe()
        'coco, ground-truth boxes, flip, 192x256'
        """
        boxes = None if self.boxes is None else {"ground_truth": "ground-truth boxes"}.get(self.boxes, self.boxes)
        if boxes and self.box_ap is not None:
            boxes += f" (box AP {100 * self.box_ap:.1f})"
        flip = None if self.flip is None else ("flip" if self.flip else "no flip")
        size = None if self.input_wh is None else f"{self.input_wh[0]}x{self.input_wh[1]}"
        parts = (self.benchmark, boxes, flip, size, self.codec, self.nms and f"NMS {self.nms}", self.rescoring)
        return ", ".join(part for part in parts if part)


def differences(first: Protocol, second: Protocol) -> list[str]:
    """What sets two stamps apart, a phrase a field; empty where their scores may be compared.

    >>> differences(Protocol("coco", flip=True), Protocol("coco", flip=False))
    ['flip: True against False']
    """
    pairs = ((entry.name, getattr(first, entry.name), getattr(second, entry.name)) for entry in fields(Protocol))
    return [f"{name}: {a} against {b}" for name, a, b in pairs if a != b]
