"""The command pose: from images, videos and cameras to poses and tracks."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from poseline.cli.app import RUN, TRACKER_NAMES, AsJson, Device, app
from poseline.cli.named_models import find_model
from poseline.cli.outputs import new_folder
from poseline.errors import ConfigError

if TYPE_CHECKING:
    from poseline.config.tracking import TrackConfig
    from poseline.pose.run import Watch

FORMATS = "coco, alphapose, alphapose-cmu, alphapose-open, posetrack18, csv, parquet, trc, images, video"
INTERRUPTED = 130
OF_THE_PIPELINE = ("sets", "video", "min_keypoint_score", "frames_per_second")
"""Keys of ``track`` that only the pipeline's tracking reads."""
Smooth = Literal["none", "one_euro", "savgol", "butterworth"]
Codec = Literal["auto", "h264", "mp4v"]


Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT...", help="Images, folders, 'patterns', lists (.txt), videos, cameras (0), URLs, - (a pipe).")
]
Model = Annotated[str, typer.Option("--model", help=f"Pose network: a name (`poseline weights list`), an ONNX file, or a model: {RUN}.")]
DetectorName = Annotated[
    str, typer.Option("--detector", help="Who finds people: a name, an ONNX file, boxes.json, or 'whole' for the whole image.")
]
Out = Annotated[Path, typer.Option("--out", callback=new_folder, help="Folder for the results.")]
Track = Annotated[
    str | None,
    typer.Option("--track", help=f"{TRACKER_NAMES} or none; default: bytepose for videos, none for images. "
                 "Named, it takes each folder of images as a video, too."),
]  # fmt: skip
Formats = Annotated[list[str] | None, typer.Option("--format", help=f"Beside poses.jsonl: {FORMATS}. May be repeated.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where a run into this folder ended.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an unfinished run in this folder.")]
Start = Annotated[str | None, typer.Option("--start", help="First frame: a number (250) or a time (12.5s, 1:30).")]
Stop = Annotated[str | None, typer.Option("--stop", help="The frame before which to end, likewise.")]
Stride = Annotated[int, typer.Option("--stride", min=1, help="Use every N-th frame.")]
Roi = Annotated[str | None, typer.Option("--roi", help="Look for people in this region only: X,Y,WIDTH,HEIGHT in pixels.")]
Raw = Annotated[str | None, typer.Option("--raw", help="Form of the frames in a pipe: 640x480:bgr24@25.")]
MinScore = Annotated[float, typer.Option("--min-score", min=0, max=1, help="Least score of a box.")]
DetectEvery = Annotated[int, typer.Option("--detect-every", min=1, help="Detect in every N-th frame; carry boxes between.")]
Smoothing = Annotated[Smooth, typer.Option("--smooth", help="Keypoints along tracks; the last two after the whole clip.")]
Offline = Annotated[bool, typer.Option("--offline", help="After the whole clip: join the tracks' parts anew and fill short gaps, marked.")]
FillGaps = Annotated[int, typer.Option("--fill-gaps", min=0, help="Interpolate gaps of at most N frames in a track, marked.")]
Flip = Annotated[bool, typer.Option("--flip", help="Average with the mirrored crop: slower, a little better.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Crops a forward call.")]
Runtime = Annotated[str, typer.Option("--runtime", help="Of the networks: auto, torch, onnxruntime, openvino.")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="Threads; 0: one a core.")]
DrawMinScore = Annotated[float, typer.Option("--draw-min-score", help="Poses and keypoints scored below are not drawn.")]
DrawBoxes = Annotated[bool, typer.Option("--boxes/--no-boxes", help="Draw boxes.")]
BlurFaces = Annotated[bool, typer.Option("--blur-faces", help="Blur faces in drawn outputs.")]
Sound = Annotated[bool, typer.Option("--sound", help="Keep the sound of the source in --format video.")]
VideoCodec = Annotated[Codec, typer.Option("--codec", help="Of --format video; h264 needs poseline[video].")]
SaveEvery = Annotated[float, typer.Option("--save-every", min=0, help="Seconds between states to resume from.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="An option of the tracker: track.bytepose.high_score=0.4.")]


@app.command()
def pose(
    inputs: Inputs, model: Model, detector: DetectorName, out: Out, track: Track = None, formats: Formats = None,
    resume: Resume = False, overwrite: Overwrite = False, start: Start = None, stop: Stop = None, stride: Stride = 1, roi: Roi = None,
    raw: Raw = None, min_score: MinScore = 0.1, detect_every: DetectEvery = 1, smooth: Smoothing = "none",
    offline: Offline = False, fill_gaps: FillGaps = 0, flip: Flip = False, batch_size: BatchSize = 8, runtime: Runtime = "auto",
    device: Device = "auto", workers: Workers = 0,
    draw_min_score: DrawMinScore = 0.3, draw_boxes: DrawBoxes = True, blur_faces: BlurFaces = False, sound: Sound = False,
    codec: VideoCodec = "auto", save_every: SaveEvery = 5.0, overrides: Settings = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Estimate and track poses: any images, videos or cameras to poses.jsonl and other formats."""
    from poseline.pose.inputs.base import Window, parse_end
    from poseline.pose.inputs.raw import RawFormat
    from poseline.pose.options import PoseOptions
    from poseline.pose.outputs.base import DrawOptions
    from poseline.pose.run import estimate_poses

    options = PoseOptions(
        inputs=tuple(inputs), model=model, find_model=find_model, detector=detector, out=out, formats=tuple(dict.fromkeys(formats or [])),
        track=track_config(track, smooth, offline, overrides or []), track_images=track is not None,
        min_score=min_score, detect_every=detect_every,
        window=Window(parse_end(start, option="--start"), parse_end(stop, option="--stop"), stride),
        raw=None if raw is None else RawFormat.parse(raw), region=None if roi is None else parse_region(roi),
        fill_gaps=fill_gaps, flip=flip, batch_size=batch_size, runtime=runtime, device=device, workers=workers,
        draw=DrawOptions(min_score=draw_min_score, boxes=draw_boxes, blur_faces=blur_faces, sound=sound, codec=codec),
        resume=resume, overwrite=overwrite, save_every_s=save_every,
    )  # fmt: skip
    with interruptible(out), progress_bar() as watch:
        summary = estimate_poses(options, watch)
    print(json.dumps(summary.to_json()) if as_json else "\n".join(summary.to_lines()))


def track_config(kind: str | None, smooth: Smooth, offline: bool, overrides: list[str]) -> TrackConfig | None:
    """The tracker; None where there is to be none.

    Raises:
        ConfigError: an unknown kind or option, or what goes along tracks without tracks.
    """
    from poseline.track.files import config_from_overrides

    if kind == "none":
        if smooth != "none" or offline or overrides:
            raise ConfigError("pose: --smooth, --offline and --set go along tracks. Leave them out, or name a tracker with --track.")
        return None
    joined = ["track.offline.enabled=true"] * offline
    config = config_from_overrides([f"track.kind={kind or 'bytepose'}", f"track.smoothing.kind={smooth}", *joined, *overrides])
    for override in overrides:
        option = override.partition("=")[0].partition(".")[2].partition(".")[0].strip()
        if option in OF_THE_PIPELINE:
            raise ConfigError(f"pose: --set {override}: only `poseline track` uses track.{option}. Leave it out.")
        if option in type(config).kinds.names and option != config.kind:
            raise ConfigError(f"pose: --set {override}: the tracker is {config.kind}. Leave it out, or choose with --track {option}.")
    return config


def parse_region(text: str) -> tuple[int, int, int, int]:
    """The corners x1, y1, x2, y2 of X,Y,WIDTH,HEIGHT.

    Raises:
        ConfigError: another text, or an empty region.
    """
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() for part in parts) or 0 in (int(parts[2]), int(parts[3])):
        raise ConfigError(f"--roi: expected X,Y,WIDTH,HEIGHT in pixels, got '{text}'.")
    x, y, width, height = (int(part) for part in parts)
    return x, y, x + width, y + height


@contextmanager
def interruptible(out: Path) -> Iterator[None]:
    """A block that Ctrl-C and SIGTERM end with one line; what is finished is on disk."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        print(f"\ninterrupted: the finished frames are in {out / 'poses.jsonl'}; go on with --resume", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def progress_bar() -> Iterator[Watch]:
    """A bar on stderr with the time to come, where stderr is a terminal."""
    from tqdm import tqdm

    with tqdm(unit="frame", disable=None, file=sys.stderr) as bar:

        def watch(done: int, total: int | None) -> None:
            if bar.total is None and total is not None:
                bar.total = total
            bar.update(done - bar.n)

        yield watch
