"""The sections of the page, from what earlier stages wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from poseline.report.diagnosis import gain_table, kinds_table, reliability_chart
from poseline.report.inputs import Json, ReportFiles
from poseline.report.scores import (
    coco_table,
    joint_table,
    keypoint_table,
    part_table,
    pckh_chart,
    percent,
    pr_chart,
    slice_table,
    tracking_table,
    video_table,
)
from poseline.report.stamps import describe, describe_boxes
from poseline.report.tracks import Timeline, VideoFrames, draw_strip, draw_switches, draw_timelines

NUM_STRIPS = 2


def note_learning(files: ReportFiles) -> str:
    """How far the training went and which epoch was kept."""
    scored = [row for row in files.history if "val_ap" in row]
    if not scored:
        return f"{len(files.history)} epochs."
    # The later of equals, as training keeps it.
    best = max(scored, key=lambda row: (row["val_ap"], row["epoch"]))
    return (
        f"{len(files.history)} epochs; the weights of epoch {best['epoch']:.0f} were kept, at a validation AP of {percent(best['val_ap'])} "
        "(true boxes, no flip test, each person matched with its own prediction: a quick stand-in for the COCO AP above)."
    )


def coco_content(files: ReportFiles) -> Mapping[str, object] | None:
    """Curves and tables of both kinds of boxes; None without COCO."""
    names = [name for name in ("coco", "coco_detections") if name in files.metrics]
    if not names:
        return None
    boxes = {name: describe_boxes(stamp_of(files, name)) for name in names}
    return {
        "curves": [pr_chart(f"Precision over recall, {boxes[name]}", files.plots[name]) for name in names],
        "figures": coco_table(files.metrics),
        "slices": slice_table(files.metrics),
        "keypoints": [keypoint_table(files.metrics[name]) for name in names],
        "kinds": kinds_table(files.metrics[names[0]]),
        "gains": gain_table(files.metrics[names[0]]),
        "reliability": reliability_chart(files.metrics[names[0]]),
    }


def mpii_content(files: ReportFiles) -> Mapping[str, object] | None:
    """Joints and curve; None without MPII."""
    if "mpii" not in files.metrics:
        return None
    values = files.metrics["mpii"]
    pckh, pckh_01, auc = (percent(values[key]) for key in ("pckh", "pckh_01", "auc"))
    return {
        "protocol": sentence(describe(stamp_of(files, "mpii"))),
        "joints": joint_table(values),
        "curve": pckh_chart(files.plots["mpii"]),
        "note": f"PCKh@0.5 {pckh}, PCKh@0.1 {pckh_01}, area under the curve {auc}.",
    }


def posetrack_content(files: ReportFiles, *, pictures: int, switches: int | None) -> Mapping[str, object] | None:
    """Tables, timelines, strips and at most ``switches`` changes of id; None without PoseTrack. Nothing is drawn at 0 ``pictures``."""
    if "posetrack" not in files.metrics or files.tracks is None or files.followed is None:
        return None
    timelines = draw_timelines(files.followed, files.tracks[0])
    frames = VideoFrames.of(files.people, files.poses["posetrack"][0], files.tracks)
    strips = [(video.video_id, draw_strip(frames, video)) for video in choose_videos(timelines)] if pictures else []
    return {
        "protocol": sentence(describe(stamp_of(files, "posetrack"))),
        "parts": part_table(files.metrics["posetrack"]),
        "videos": video_table(files),
        "people": tracking_table(files.metrics["posetrack"]),
        "timelines": timelines,
        "strips": [(name, shown) for name, shown in strips if shown],
        "switches": draw_switches(frames, files.people, timelines, most=switches if pictures else 0),
        "num_switches": sum(video.num_switches for video in timelines),
    }


def choose_videos(timelines: list[Timeline]) -> list[Timeline]:
    """The videos with the most and the fewest changes of id."""
    order = sorted(timelines, key=lambda video: (-video.num_switches, video.video_id))
    return order if len(order) <= NUM_STRIPS else [order[0], order[-1]]


def stamp_of(files: ReportFiles, name: str) -> Json:
    """The protocol of a score."""
    return cast("Json", files.metrics[name]["protocol"])


def sentence(text: str) -> str:
    """The text with a capital."""
    return text[:1].upper() + text[1:]
