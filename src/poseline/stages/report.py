"""Stage report: the HTML page, the model card, and the comparison of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from poseline.artifacts import Layout, write_text
from poseline.config import Params, dump_section
from poseline.train.tracking.lineage import Identity, identify
from poseline.viz.gallery import draw_gallery
from poseline.viz.inputs import Json, ReportFiles, read_files
from poseline.viz.lineage import describe_origin, flat_config, list_commands
from poseline.viz.page import render
from poseline.viz.scores import (
    Card, coco_table, headline_cards, joint_table, keypoint_table, learning_charts, part_table, pckh_chart, percent, pr_chart,
    slice_table, video_table,
)  # fmt: skip
from poseline.viz.stamps import describe, describe_boxes
from poseline.viz.summary import data_note, describe_data, describe_model, list_limits
from poseline.viz.tracks import Timeline, VideoFrames, draw_strip, draw_switches, draw_timelines

NUM_STRIPS = 2


def run(params: Params, layout: Layout, *, compare: Sequence[str] = ()) -> dict[str, int]:
    """Write reports/index.html and reports/model_card.md, or reports/compare.html of several runs; counts.

    Args:
        params: the title, the number of pictures, and what the lineage quotes.
        layout: the project's files; only files are read.
        compare: folders with reports/metrics/*.json or git revisions to set side by side instead.

    Raises:
        ArtifactError: a file is missing or damaged, or a run cannot be found.
    """
    if compare:
        from poseline.viz.comparison import compare_runs

        runs, text = compare_runs(compare, layout.root)
        write_text(layout.page.with_name("compare.html"), text)
        return {"runs": runs}
    files = read_files(layout)
    identity = identify(params, layout.root.resolve())
    cards = headline_cards(files.metrics)
    page = render_page(params, layout, files, identity, cards)
    write_text(layout.page, page)
    write_text(layout.page.with_name("model_card.md"), render_card(params, files, identity, cards))
    return {"bytes": len(page.encode()), "scores": len(files.metrics)}


def render_page(params: Params, layout: Layout, files: ReportFiles, identity: Identity, cards: list[Card]) -> str:
    """The page's text."""
    coco = "coco" in files.metrics and params.report.pictures
    return render(
        "report.html.j2",
        title=params.report.title,
        summary=summarise(cards, identity),
        cards=cards,
        left_out=files.left_out,
        learning=learning_charts(files.history),
        learning_note=note_learning(files),
        coco=coco_content(files),
        gallery=draw_gallery(files.people, files.poses["coco"], skeleton=params.data.skeleton, count=params.report.pictures) if coco else {},
        mpii=mpii_content(files),
        posetrack=posetrack_content(files, pictures=params.report.pictures),
        data=describe_data(files),
        lineage=describe_origin(files, identity.tags, name=identity.name, root=layout.root.resolve()),
        config=flat_config({key: value for key, value in dump_section(params).items() if key not in ("mini", "mlflow")}),
        commands=list_commands(identity.tags),
    )


def render_card(params: Params, files: ReportFiles, identity: Identity, cards: list[Card]) -> str:
    """The model card's text."""
    return render(
        "model_card.md.j2",
        name=params.mlflow.registered_model,
        model=describe_model(files, identity.tags),
        data_note=data_note(params),
        splits=describe_data(files)["splits"],
        cards=cards,
        left_out=files.left_out,
        limits=list_limits(params, files),
    )


def summarise(cards: list[Card], identity: Identity) -> str:
    """The page in one line."""
    commit = identity.tags.get("mlflow.source.git.commit", "")
    return f"Run {identity.name}" + (f" at commit {commit[:10]}" if commit else "") + f": {len(cards)} headline numbers, each with its protocol."


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
    boxes = {name: describe_boxes(cast("Json", files.metrics[name]["protocol"])) for name in names}
    return {
        "curves": [pr_chart(f"Precision over recall, {boxes[name]}", files.plots[name]) for name in names],
        "figures": coco_table(files.metrics),
        "slices": slice_table(files.metrics),
        "keypoints": [keypoint_table(files.metrics[name]) for name in names],
    }


def mpii_content(files: ReportFiles) -> Mapping[str, object] | None:
    """Joints and curve; None without MPII."""
    if "mpii" not in files.metrics:
        return None
    values = files.metrics["mpii"]
    note = f"PCKh@0.5 {percent(values['pckh'])}, PCKh@0.1 {percent(values['pckh_01'])}, area under the curve {percent(values['auc'])}."
    protocol = describe(cast("Json", values["protocol"]))
    return {"protocol": protocol[:1].upper() + protocol[1:], "joints": joint_table(values), "curve": pckh_chart(files.plots["mpii"]), "note": note}


def posetrack_content(files: ReportFiles, *, pictures: int) -> Mapping[str, object] | None:
    """Tables, timelines, strips and switches; None without PoseTrack."""
    if "posetrack" not in files.metrics or files.tracks is None:
        return None
    values = files.metrics["posetrack"]
    protocol = describe(cast("Json", values["protocol"]))
    timelines = draw_timelines(files.people, files.tracks[0])
    frames = VideoFrames.of(files.people, files.poses["posetrack"][0], files.tracks)
    chosen = choose_videos(timelines) if pictures else []
    return {
        "protocol": protocol[:1].upper() + protocol[1:],
        "parts": part_table(values),
        "videos": video_table(files),
        "timelines": timelines,
        "strips": [(video.video_id, draw_strip(frames, video)) for video in chosen],
        "switches": draw_switches(frames, files.people, timelines, most=pictures),
        "num_switches": sum(video.num_switches for video in timelines),
    }


def choose_videos(timelines: list[Timeline]) -> list[Timeline]:
    """The videos with the most and the fewest changes of id."""
    order = sorted(timelines, key=lambda video: (-video.num_switches, video.video_id))
    return order if len(order) <= NUM_STRIPS else [order[0], order[-1]]


