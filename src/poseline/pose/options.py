"""What a user asks of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from poseline.config.evaluation import NmsConfig
from poseline.config.tracking import TrackConfig
from poseline.pose.inputs.base import Window
from poseline.pose.inputs.raw import RawFormat
from poseline.pose.outputs.base import DrawOptions


@dataclass(frozen=True)
class PoseOptions:
    """Everything that decides a run's result.

    Attributes:
        inputs: as named on the command line.
        model, detector: names, files or folders.
        find_model: the folder of a model that is named in another way; None: there is no other.
        out: folder of the results.
        formats: beside poses.jsonl.
        track: how people are tracked; None: not at all.
        track_images: treat each folder of images as a video, too.
        min_score: of boxes.
        detect_every: boxes come from the detector in each so many frames, and from the tracker's prediction between them.
        window: which frames of each source.
        raw: form of the frames in a pipe.
        region: x1, y1, x2, y2 of the part in which people are looked for.
        fill_gaps: gaps of at most so many frames in a track are interpolated.
        nms: duplicates.
        flip: average with the mirrored crop.
        batch_size: crops a forward call.
        runtime, device: where networks run.
        workers: threads that each work on a chunk; 0: as many as fit.
        draw: of drawn outputs.
        resume, overwrite: go on with what lies in ``out``; replace it.
        save_every_s: seconds between two states to resume from.
    """

    inputs: tuple[str, ...]
    model: str
    detector: str
    out: Path
    formats: tuple[str, ...] = ()
    track: TrackConfig | None = None
    track_images: bool = False
    min_score: float = 0.1
    detect_every: int = 1
    window: Window = field(default_factory=Window)
    raw: RawFormat | None = None
    region: tuple[int, int, int, int] | None = None
    fill_gaps: int = 0
    nms: NmsConfig = field(default_factory=NmsConfig)
    flip: bool = False
    batch_size: int = 8
    runtime: str = "auto"
    device: str = "auto"
    workers: int = 0
    draw: DrawOptions = field(default_factory=DrawOptions)
    resume: bool = False
    overwrite: bool = False
    save_every_s: float = 5.0
    find_model: Callable[[str], Path] | None = None

    def fingerprint(self) -> dict[str, str]:
        """What must be the same for a run to go on where another ended: all that changes poses.jsonl."""
        track = "none" if self.track is None else self.track.model_dump_json()
        return {
            "inputs": " ".join(self.inputs), "model": self.model, "detector": self.detector, "track": track,
            "min_score": str(self.min_score), "detect_every": str(self.detect_every), "window": repr(self.window), "raw": repr(self.raw),
            "roi": repr(self.region), "fill_gaps": str(self.fill_gaps), "nms": self.nms.model_dump_json(),
            "flip": str(self.flip), "batch_size": str(self.batch_size), "track_images": str(self.track_images),
        }  # fmt: skip
