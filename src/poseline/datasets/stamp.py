"""The conditions of a score, and which of them must agree for scores to be compared."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue

from poseline.artifacts.freshness import MadeFrom


class ScorePart(BaseModel):
    """Base of a score and its sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Stamp(ScorePart):
    """The conditions of a score; None where one is not known (as for results from elsewhere).

    Attributes:
        benchmark: the protocol's name, e.g. coco, crowdpose, mpii.
        boxes: where the people's boxes came from: ``ground_truth`` or ``detections``.
        box_ap: AP of those boxes, a fraction; None with ground truth.
        flip: whether the mirrored image was averaged in.
        input_wh: the network's input in pixels.
        codec: how keypoints are read from the network, e.g. ``heatmap``.
        nms: suppression of duplicate poses, e.g. ``none``, ``parametric-fixed``.
        rescoring: how the pose score is made, e.g. ``mean_visible``, ``expected_oks``.
        data_hash: of the ground truth's files.
        num_images: images scored.
        num_people: people counted.
        mode: PoseTrack: poseval or strict.
        tracker: PoseTrack: who gave the ids.
        weights: hash of the weights behind the predictions.
        stale: why these are not the scores of the parameters and files of their time, where that was overridden.
        made_from: the parameters and files that made the score.
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
    mode: str | None = None
    tracker: str | None = None
    weights: str | None = None
    stale: str | None = None
    made_from: MadeFrom | None = None

    def protocol_only(self) -> Stamp:
        """The stamp without what belongs to the model: equal for scores that may be ranked."""
        return self.model_copy(update=dict.fromkeys((*MODEL, "stale", "made_from")))

    def to_json(self) -> dict[str, JsonValue]:
        """Plain values for a JSON file."""
        return {name: value for name, value in self.model_dump(mode="json").items() if value is not None or name not in LATER}

    def describe(self) -> str:
        """One line for a table or a plot.

        >>> Stamp(benchmark="coco", boxes="ground_truth", flip=True, input_wh=(192, 256)).describe()
        'coco, ground-truth boxes, flip, 192x256'
        """
        boxes = None if self.boxes is None else {"ground_truth": "ground-truth boxes"}.get(self.boxes, self.boxes)
        if boxes and self.box_ap is not None:
            boxes += f" (box AP {100 * self.box_ap:.1f})"
        flip = None if self.flip is None else ("flip" if self.flip else "no flip")
        size = None if self.input_wh is None else f"{self.input_wh[0]}x{self.input_wh[1]}"
        parts = (self.benchmark, boxes, flip, size, self.codec, self.nms and f"NMS {self.nms}", self.rescoring)
        return ", ".join(part for part in parts if part)


LATER = ("mode", "tracker", "weights", "stale", "made_from")
"""Conditions that a file leaves out where they are not known."""
MUST_AGREE = ("benchmark", "data_hash", "num_images", "num_people")
"""Conditions that may not be unknown on one side only: what was scored."""
PROTOCOL = ("benchmark", "boxes", "box_ap", "flip", "nms", "rescoring", "data_hash", "num_images", "num_people", "mode")
"""Conditions of a measurement: scores are compared where they agree."""
MODEL = ("input_wh", "codec", "tracker", "weights")
"""Conditions of what is measured: they may differ, and are shown where they do."""


def differences(first: Stamp, second: Stamp) -> list[str]:
    """What sets the protocols of two stamps apart, a phrase a condition; empty where their scores may be compared.

    A condition that one of them does not state sets them apart only if it says what was scored; see :func:`unstated`.

    >>> differences(Stamp(benchmark="coco", flip=True), Stamp(benchmark="coco", flip=False, codec="udp"))
    ['flip: True against False']
    """
    pairs = ((name, getattr(first, name), getattr(second, name)) for name in PROTOCOL)
    return [f"{name}: {a} against {b}" for name, a, b in pairs if a != b and (name in MUST_AGREE or None not in (a, b))]


def model_changes(first: Stamp, second: Stamp) -> list[str]:
    """What differs between the models of two stamps, a phrase a condition that both state.

    >>> model_changes(Stamp(benchmark="coco", codec="udp"), Stamp(benchmark="coco", codec="simcc", flip=True))
    ['codec: udp -> simcc']
    """
    pairs = ((name, getattr(first, name), getattr(second, name)) for name in MODEL)
    return [f"{name}: {_word(a)} -> {_word(b)}" for name, a, b in pairs if a != b and None not in (a, b)]


def _word(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def unstated(first: Stamp, second: Stamp) -> list[str]:
    """The conditions that only one of two stamps states, a phrase each: whether they differ is not known.

    >>> unstated(Stamp(benchmark="coco", flip=True), Stamp(benchmark="coco"))
    ['flip: True against not stated']
    """
    names = [
        name
        for name in (*PROTOCOL, *MODEL)
        if name not in MUST_AGREE and (getattr(first, name) is None) != (getattr(second, name) is None)
    ]
    words = [["not stated" if getattr(stamp, name) is None else str(getattr(stamp, name)) for stamp in (first, second)] for name in names]
    return [f"{name}: {a} against {b}" for name, (a, b) in zip(names, words, strict=True)]
