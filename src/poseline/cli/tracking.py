"""Commands about tracking: track (the stage, or any prediction files) and track tune."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poseline.cli.app import TRACKER_NAMES, AllowStale, AsJson, Commands, Device, Overrides, ParamsFile, app, on_stale, run_each, show
from poseline.cli.outputs import new_folder
from poseline.errors import ConfigError, DataError

if TYPE_CHECKING:
    from poseline.stages.runner import Context

track_app = typer.Typer(
    name="track",
    cls=Commands,
    help="Track the predicted PoseTrack videos, or with --predictions any prediction files.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(track_app)

Kind = Annotated[
    str | None, typer.Option("--kind", help=f"The tracker ({TRACKER_NAMES}, ...); default: track.kind of the parameters.")
]


@track_app.callback()
def track(
    context: typer.Context,
    dataset: Annotated[str | None, typer.Option("--dataset", help="One data set of videos; default: all of track.sets.")] = None,
    kind: Kind = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Track these instead: PoseTrack file or folder, or a COCO result list of poses.")
    ] = None,
    frames: Annotated[
        Path | None, typer.Option("--frames", help="Their images: a folder, or a video file. Without: by the poses alone.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option("--boxes", help="Track boxes without keypoints: a MOT detection file, or a COCO result list.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", callback=new_folder, help="Folder for the results: PoseTrack18 format, of boxes MOT format.")
    ] = None,
    frames_per_second: Annotated[
        float | None, typer.Option("--fps", help="Frame rate of the videos; default: the video's or file's, else the parameters'.")
    ] = None,
    skeleton: Annotated[str, typer.Option("--skeleton", help="Keypoints of a COCO result list.")] = "coco17",
    offline: Annotated[
        bool, typer.Option("--offline", help="After the whole clip: join the tracks' parts anew and fill short gaps.")
    ] = False,
    video: Annotated[bool, typer.Option("--video", help="Also write mp4 videos with coloured ids.")] = False,
    allow_stale: AllowStale = False,
    params: ParamsFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Track the predicted PoseTrack videos, or with --predictions any prediction files."""
    options = [f"track.kind={kind}"] * (kind is not None) + ["track.video=true"] * video + ["track.offline.enabled=true"] * offline
    options += [f"track.frames_per_second={frames_per_second}"] * (frames_per_second is not None)
    if context.invoked_subcommand is not None:
        if dataset or predictions or boxes or frames or out or options or params or overrides or as_json:
            raise ConfigError(f"track: options of `{context.invoked_subcommand}` come after its name.")
        return
    settings = [*(overrides or []), *options]
    if boxes is not None:
        if predictions is not None or frames is not None or dataset is not None or video:
            raise ConfigError("track --boxes: goes without --predictions, --frames, --dataset and --video.")
        track_box_file(boxes, out, params=params, overrides=settings, known_rate=frames_per_second is not None, as_json=as_json)
        return
    if predictions is not None:
        rate = frames_per_second is not None
        track_predictions(predictions, frames, out, skeleton, params=params, overrides=settings, known_rate=rate, as_json=as_json)
        return
    if frames is not None or out is not None:
        raise ConfigError("track: --frames and --out go with --predictions FILE or DIR, or --boxes FILE.")
    from poseline.stages import track as stage

    def choose(known: Context) -> list[str]:
        return [dataset] if dataset else list(known.params.track.sets)

    def work(known: Context, name: str) -> Mapping[str, float]:
        return stage.run(known.params, known.layout, name, on_stale=on_stale(allow_stale))

    run_each("track", choose, work, params, [*(overrides or []), *options], as_json=as_json)


def track_predictions(
    predictions: Path,
    frames: Path | None,
    out: Path | None,
    skeleton: str,
    *,
    params: Path | None,
    overrides: list[str],
    known_rate: bool,
    as_json: bool,
) -> None:
    """Track files outside the pipeline; nothing is logged. With ``known_rate`` the parameters' frame rate goes before the video's."""
    from poseline.datasets.sets import named_skeleton
    from poseline.track.build import reads_images
    from poseline.track.files import read_config, track_files

    if out is None:
        raise ConfigError("track --predictions: needs --out DIR for the results.")
    if frames is not None and not frames.exists():
        raise DataError(f"--frames {frames}: no such folder or video.")
    started = time.perf_counter()
    config = read_config(params, overrides)
    named_skeleton(skeleton, key="--skeleton")
    if frames is None and reads_images(config):
        print(f"track: no --frames, so {config.kind} goes by the poses alone", file=sys.stderr)

    def report(line: str) -> None:
        print(f"track: {line}", file=sys.stderr)

    counts = track_files(config, predictions, out, frames=frames, skeleton=skeleton, known_rate=known_rate, report=report)
    show(counts, as_json=as_json, title="track", started=started)


def track_box_file(boxes: Path, out: Path | None, *, params: Path | None, overrides: list[str], known_rate: bool, as_json: bool) -> None:
    """Track boxes outside the pipeline; nothing is logged."""
    from poseline.track.box_files import track_boxes
    from poseline.track.files import read_config

    if out is None:
        raise ConfigError("track --boxes: needs --out DIR for the results.")
    started = time.perf_counter()
    counts = track_boxes(read_config(params, overrides), boxes, out, known_rate=known_rate)
    show(counts, as_json=as_json, title="track", started=started)


@track_app.command()
def tune(
    dataset: Annotated[str | None, typer.Option("--dataset", help="A data set of videos; default: the first of track.sets.")] = None,
    kind: Kind = None,
    candidates: Annotated[int, typer.Option("--candidates", min=1, help="Configurations drawn, beside the present one.")] = 27,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws, the order of videos and the simulated detections.")] = 0,
    metric: Annotated[Literal["hota", "mota", "idf1"], typer.Option("--metric", help="What to raise (mota: strict).")] = "hota",
    detections: Annotated[
        Path | None, typer.Option("--detections", help="Detections on the training images, COCO result format; default: simulated.")
    ] = None,
    mot: Annotated[
        Path | None,
        typer.Option("--mot", help="Search on the MOT Challenge sequences of this folder (VIDEO/gt/gt.txt) instead, leaving one out each."),
    ] = None,
    mot_input: Annotated[
        Literal["drop", "occlude", "detections"] | None,
        typer.Option("--input", help="With --mot: detections drawn from the ground truth (the default, drop), or the sequences' own."),
    ] = None,
    params: ParamsFile = None,
    overrides: Overrides = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Search tracker parameters on the training videos, and print the best as --set lines."""
    from poseline.stages.runner import make_context
    from poseline.track import tune as tuning

    settings = [*(overrides or []), *([f"track.kind={kind}"] if kind else [])]
    if mot is not None:
        if dataset or detections:
            raise ConfigError("track tune --mot: goes without --dataset and --detections.")
        report = tune_on_mot(
            mot, mot_input or "drop", candidates=candidates, seed=seed, metric=metric, params=params, overrides=settings, as_json=as_json
        )
        print(report, file=sys.stderr)
        return
    if mot_input is not None:
        raise ConfigError("track tune --input: goes with --mot DIR.")
    context = make_context(params, settings, device)
    result = tuning.tune(
        context.params, context.layout, context.device, dataset or context.params.track.sets[0],
        candidates=candidates, seed=seed, metric=metric, detections=detections,
    )  # fmt: skip
    if as_json:
        print(json.dumps(result.summary))
        return
    for name, value in result.overrides.items():
        print(f"--set {name}={value}")
    if not result.overrides:
        print(f"track tune: none of {candidates} candidates beats the present parameters; nothing to set.", file=sys.stderr)
    print(
        f"track tune: {metric} {result.start_score:.4f} -> {result.score:.4f} on {result.num_videos} training videos "
        f"({context.layout.root / 'reports/track_tuning.json'})",
        file=sys.stderr,
    )


def tune_on_mot(
    folder: Path,
    kind: Literal["drop", "occlude", "detections"],
    *,
    candidates: int,
    seed: int,
    metric: Literal["hota", "mota", "idf1"],
    params: Path | None,
    overrides: list[str],
    as_json: bool,
) -> str:
    """One line about the gain on sequences left out; the --set lines, or the summary, are printed before."""
    from poseline.track.files import read_config
    from poseline.track.tune_mot import tune_on_sequences

    start = read_config(params, overrides)
    result, summary = tune_on_sequences(start, folder, candidates=candidates, seed=seed, metric=metric, kind=kind)
    if as_json:
        print(json.dumps(summary))
    elif result.held:
        found = summary["overrides"]
        print("\n".join(f"--set {name}={value}" for name, value in (found.items() if isinstance(found, dict) else ())))
    low, high = result.interval
    verdict = "" if result.held else ": no gain that holds; nothing to set"
    gain = f"{metric} {result.gain:+.4f} [{low:+.4f}, {high:+.4f}]"
    return f"track tune: {gain} on the sequence left out, mean of {len(result.gains)} ({candidates} candidates){verdict}."
