"""Keys and values of params.yaml that have been renamed: an old one gives an error that names the new one."""

from __future__ import annotations

from collections.abc import Mapping

KEYS: dict[str, str] = {
    **{f"data.{name}": f"data.sets.{name} (with format: {name})" for name in ("coco", "mpii", "posetrack")},
    "track.bytepose.sure_score": "track.bytepose.high_score",
    "track.bytepose.unsure_match_threshold": "track.bytepose.low_match_threshold",
    "track.bytepose.relink.min_likeness": "track.bytepose.relink.min_similarity",
    "track.bytepose.max_lost_frames": "track.bytepose.max_lost_seconds (frames / track.frames_per_second)",
    "track.bytepose.lost_damping": "track.bytepose.lost_velocity_seconds",
    "track.bytepose.pose_damping": "track.bytepose.pose_velocity_seconds",
    "track.bytepose.relink.min_appearance": "track.bytepose.appearance.neutral",
    "track.poseflow_released": "track.poseflow_published",
    "report.pictures": "report.images",
}
"""Old dotted key -> new dotted key."""

VALUES: dict[str, dict[str, str]] = {
    "augment.kind": {"reference": "published"},
    "predict.nms.mode": {"reference": "published"},
    "track.kind": {"poseflow_released": "poseflow_published"},
    "codec.geometry": {"legacy": "published"},
    "predict.score": {"reference": "published"},
}
"""Dotted key -> old value -> new value."""


def find_renamed(raw: Mapping[str, object], prefix: str = "") -> str | None:
    """What to write in place of the first old key or value of a parameter tree; None where there is none."""
    for name, value in raw.items():
        key = f"{prefix}{name}"
        if key in KEYS:
            return f"{key}: renamed, write {KEYS[key]}"
        if isinstance(value, str) and value in VALUES.get(key, {}):
            return f"{key}: value '{value}' was renamed, write '{VALUES[key][value]}'"
        if isinstance(value, Mapping) and (found := find_renamed(value, f"{key}.")) is not None:
            return found
    return None
