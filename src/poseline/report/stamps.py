"""The conditions of a score in words: whose boxes, flip, input size, codec, suppression of duplicates, data."""

from __future__ import annotations

from collections.abc import Mapping

from poseline.config.params import Yaml

LABELS = {
    "benchmark": "benchmark", "boxes": "boxes", "box_ap": "box AP", "flip": "flip test", "input_wh": "input size", "codec": "codec",
    "nms": "pose NMS", "rescoring": "pose score", "data_hash": "data", "num_images": "pictures", "num_people": "people",
    "mode": "mode", "tracker": "tracker",
}  # fmt: skip


def describe_boxes(protocol: Mapping[str, Yaml]) -> str:
    """Where the people's boxes came from; a detector's with its box AP.

    >>> describe_boxes({"boxes": "detections", "box_ap": 0.712})
    'detector boxes (box AP 71.2 %)'
    """
    if protocol.get("boxes") == "ground_truth":
        return "ground-truth boxes"
    box_ap = protocol.get("box_ap")
    quality = f" (box AP {100 * box_ap:.1f} %)" if isinstance(box_ap, float) else ""
    return f"detector boxes{quality}" if protocol.get("boxes") == "detections" else "boxes not stated"


def describe_conditions(protocol: Mapping[str, Yaml]) -> list[str]:
    """The other conditions, a phrase each; what is not known is left out.

    >>> describe_conditions({"flip": False, "input_wh": [96, 128], "codec": "udp", "nms": "none", "num_people": 2})
    ['no flip test', 'input 96 × 128 px', 'codec udp', 'no pose NMS', '2 people']
    """
    phrases = []
    if isinstance(protocol.get("flip"), bool):
        phrases.append("flip test" if protocol["flip"] else "no flip test")
    size = protocol.get("input_wh")
    if isinstance(size, list):
        phrases.append(f"input {size[0]} \u00d7 {size[1]} px")
    if protocol.get("codec"):
        phrases.append(f"codec {protocol['codec']}")
    if protocol.get("nms"):
        phrases.append("no pose NMS" if protocol["nms"] == "none" else f"pose NMS {protocol['nms']}")
    if protocol.get("rescoring"):
        phrases.append(f"pose score {protocol['rescoring']}")
    for key in ("tracker", "mode"):
        if protocol.get(key):
            phrases.append(f"{LABELS[key]} {protocol[key]}")
    for key in ("num_images", "num_people"):
        if isinstance(protocol.get(key), int):
            phrases.append(f"{protocol[key]:,} {LABELS[key]}".replace(",", "\u202f"))
    return phrases


def describe(protocol: Mapping[str, Yaml]) -> str:
    """All conditions in one line."""
    return ", ".join([describe_boxes(protocol), *describe_conditions(protocol)])


def differing_conditions(stamps: list[Mapping[str, Yaml]]) -> list[str]:
    """What sets several stamps apart, a phrase each, e.g. ``flip test: no, yes``; empty where all are alike.

    >>> differing_conditions([{"flip": True}, {"flip": False}])
    ['flip test: no, yes']
    """
    keys = [key for key in LABELS if any(key in stamp for stamp in stamps)]
    phrases = []
    for key in keys:
        values = sorted({_word(stamp.get(key)) for stamp in stamps})
        if len(values) > 1:
            phrases.append(f"{LABELS[key]}: {', '.join(values)}")
    return phrases


def _word(value: Yaml) -> str:
    match value:
        case None:
            return "not stated"
        case bool():
            return "yes" if value else "no"
        case [width, height]:
            return f"{width} \u00d7 {height}"
        case float():
            return f"{100 * value:.1f} %"
    return str(value)
