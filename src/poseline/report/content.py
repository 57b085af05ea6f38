"""The sections of the page, from what earlier stages wrote."""

from __future__ import annotations

from collections.abc import Mapping

from poseline.report.diagnosis import gain_table, kinds_table, reliability_chart
from poseline.report.inputs import ReportFiles
from poseline.report.scores import (
    joint_table,
    keypoint_table,
    metric_table,
    part_table,
    pckh_chart,
    percent,
    pr_chart,
    set_title,
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
        "(ground-truth boxes, no flip test, each person matched with its own prediction: a quick stand-in for the COCO AP above)."
    )


def keypoint_content(files: ReportFiles, dataset: str) -> Mapping[str, object]:
    """Curves and tables of a data set's keypoint AP under both kinds of boxes."""
    names = [name for name, entry in files.sets.items() if entry.dataset == dataset]
    scores = [files.scores[name] for name in names]
    title = set_title(files.sets[names[0]])
    return {
        "id": dataset,
        "title": title,
        "curves": [pr_chart(f"Precision over recall, {describe_boxes(files.scores[name].protocol)}", files.plots[name]) for name in names],
        "metrics": metric_table(scores, title),
        "slices": slice_table(scores),
        "keypoints": [table for score in scores if (table := keypoint_table(score)) is not None],
        "kinds": kinds_table(scores[0]),
        "gains": gain_table(scores[0]),
        "reliability": reliability_chart(scores[0]),
    }


def pckh_content(files: ReportFiles, dataset: str) -> Mapping[str, object]:
    """Joints and curve of a data set's PCKh."""
    score = files.scores[dataset]
    pckh, pckh_01, auc = (percent(score.metrics[key]) for key in ("pckh", "pckh_01", "auc"))
    return {
        "id": dataset,
        "title": set_title(files.sets[dataset]),
        "protocol": sentence(describe(score.protocol)),
        "joints": joint_table(score.joints or {}),
        "curve": pckh_chart(files.plots[dataset]),
        "note": f"PCKh@0.5 {pckh}, PCKh@0.1 {pckh_01}, area under the curve {auc}.",
    }


def tracking_content(files: ReportFiles, dataset: str, *, images: int, switches: int | None) -> Mapping[str, object]:
    """Tables, timelines, strips and at most ``switches`` changes of id of a data set of videos. Nothing is drawn at 0 ``images``."""
    score, tracks = files.scores[dataset], files.tracks[dataset]
    timelines = draw_timelines(files.followed[dataset], tracks[0])
    frames = VideoFrames.of(files.people, files.poses[dataset][0], tracks, dataset=dataset)
    strips = [(video.video_id, draw_strip(frames, video)) for video in choose_videos(timelines)] if images else []
    return {
        "id": dataset,
        "title": set_title(files.sets[dataset]),
        "protocol": sentence(describe(score.protocol)),
        "parts": part_table(score),
        "videos": video_table(files.per_person[dataset]),
        "people": tracking_table(score),
        "timelines": timelines,
        "strips": [(name, shown) for name, shown in strips if shown],
        "switches": draw_switches(frames, files.people, timelines, dataset=dataset, most=switches if images else 0),
        "num_switches": sum(video.num_switches for video in timelines),
    }


def sort_sets(files: ReportFiles) -> dict[str, list[str]]:
    """The scored data sets by what the page shows of them: keypoints (AP), pckh, or tracking."""
    kinds: dict[str, list[str]] = {"keypoints": [], "pckh": [], "tracking": []}
    for name, entry in files.sets.items():
        if not entry.detected:
            kind = "tracking" if entry.protocol.tracked else "pckh" if "pckh" in files.scores[name].metrics else "keypoints"
            kinds[kind].append(name)
    return kinds


def choose_videos(timelines: list[Timeline]) -> list[Timeline]:
    """The videos with the most and the fewest changes of id."""
    order = sorted(timelines, key=lambda video: (-video.num_switches, video.video_id))
    return order if len(order) <= NUM_STRIPS else [order[0], order[-1]]


def sentence(text: str) -> str:
    """The text with a capital."""
    return text[:1].upper() + text[1:]
