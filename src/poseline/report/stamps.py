"""The conditions of a score in words: whose boxes, flip, input size, codec, suppression of duplicates, data."""

from __future__ import annotations

from collections.abc import Sequence

from poseline.datasets.score import Stamp

LABELS = {
    "benchmark": "benchmark", "boxes": "boxes", "box_ap": "box AP", "flip": "flip test", "input_wh": "input size", "codec": "codec",
    "nms": "pose NMS", "rescoring": "pose score", "data_hash": "data", "num_images": "images", "num_people": "people",
    "mode": "mode", "tracker": "tracker", "weights": "weights",
}  # fmt: skip


def describe_boxes(stamp: Stamp) -> str:
    """Where the people's boxes came from; a detector's with its box AP.

    >>> describe_boxes(Stamp(benchmark="coco", boxes="detections", box_ap=0.712))
    'detector boxes (box AP 71.2 %)'
    """
    if stamp.boxes == "ground_truth":
        return "ground-truth boxes"
    quality = "" if stamp.box_ap is None else f" (box AP {100 * stamp.box_ap:.1f} %)"
    return f"detector boxes{quality}" if stamp.boxes == "detections" else "boxes not stated"


def describe_conditions(stamp: Stamp) -> list[str]:
    """The other conditions, a phrase each; what is not known is left out.

    >>> describe_conditions(Stamp(benchmark="coco", flip=False, input_wh=(96, 128), codec="udp", nms="none", num_people=2))
    ['no flip test', 'input 96 × 128 px', 'codec udp', 'no pose NMS', '2 people']
    """
    phrases = [] if stamp.flip is None else ["flip test" if stamp.flip else "no flip test"]
    phrases += _network(stamp)
    if stamp.nms:
        phrases.append("no pose NMS" if stamp.nms == "none" else f"pose NMS {stamp.nms}")
    if stamp.rescoring:
        phrases.append(f"pose score {stamp.rescoring}")
    phrases += [f"{LABELS[key]} {value}" for key, value in (("tracker", stamp.tracker), ("mode", stamp.mode)) if value]
    counts = (("num_images", stamp.num_images), ("num_people", stamp.num_people))
    phrases += [f"{count:,} {LABELS[key]}".replace(",", "\u202f") for key, count in counts if count is not None]
    return [*phrases, *([f"stale: {stamp.stale}"] if stamp.stale else [])]


def describe_model(stamp: Stamp) -> list[str]:
    """What was measured, a phrase a condition.

    >>> describe_model(Stamp(benchmark="coco", flip=False, codec="udp", weights="eb8ffde239f00fce"))
    ['codec udp', 'weights eb8ffde2']
    """
    phrases = [*_network(stamp), *([f"tracker {stamp.tracker}"] if stamp.tracker else [])]
    if stamp.weights:
        phrases.append(f"weights {stamp.weights.removeprefix('onnx:')[:8]}")
    return [*phrases, *([f"stale: {stamp.stale}"] if stamp.stale else [])]


def _network(stamp: Stamp) -> list[str]:
    size = [] if stamp.input_wh is None else [f"input {stamp.input_wh[0]} \u00d7 {stamp.input_wh[1]} px"]
    return [*size, *([f"codec {stamp.codec}"] if stamp.codec else [])]


def describe(stamp: Stamp) -> str:
    """All conditions in one line."""
    return ", ".join([describe_boxes(stamp), *describe_conditions(stamp)])


def differing_conditions(stamps: Sequence[Stamp]) -> list[str]:
    """What sets several stamps apart, a phrase each, e.g. ``flip test: no, yes``; empty where all are alike.

    >>> differing_conditions([Stamp(benchmark="coco", flip=True), Stamp(benchmark="coco", flip=False)])
    ['flip test: no, yes']
    """
    phrases = []
    for key, label in LABELS.items():
        values = sorted({_word(getattr(stamp, key)) for stamp in stamps})
        if len(values) > 1:
            phrases.append(f"{label}: {', '.join(values)}")
    return phrases


def _word(value: object) -> str:
    match value:
        case None:
            return "not stated"
        case bool():
            return "yes" if value else "no"
        case (width, height):
            return f"{width} \u00d7 {height}"
        case float():
            return f"{100 * value:.1f} %"
    return str(value)
