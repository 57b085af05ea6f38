"""A whole run: sources through the pipeline and the tracker into poses.jsonl, then everything that is made from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from poseline.artifacts import write_json
from poseline.errors import ConfigError, DataError, PoselineError
from poseline.infer.detectors.base import Detector
from poseline.infer.detectors.build import load_detector
from poseline.infer.detectors.file_boxes import FileBoxes
from poseline.infer.networks import load_pose_network
from poseline.infer.video_files import has_h264
from poseline.models.device import resolve_device
from poseline.pose.carry import carry_frames
from poseline.pose.inputs.base import Source
from poseline.pose.inputs.listing import open_inputs
from poseline.pose.memory import keep_freed_blocks
from poseline.pose.options import PoseOptions
from poseline.pose.outputs.base import RunInfo
from poseline.pose.outputs.write import OutputSet, check_formats, describe_run, drawn_formats, write_outputs
from poseline.pose.pipeline import PosedFrame, PosePipeline, chunk_frames, worker_count
from poseline.pose.records import FrameRecord
from poseline.pose.resume import PoseLog, Progress, check_writable, read_state
from poseline.pose.revise import revise_poses
from poseline.pose.summary import Summary, part_rates
from poseline.pose.tracking import SourceTracker
from poseline.track.base import State

MAX_PROBLEMS = 100
Watch = Callable[[int, int | None], None]
"""Told how many frames are done and how many there will be, where that is known."""


def estimate_poses(options: PoseOptions, watch: Watch | None = None) -> Summary:
    """What was found, after poses.jsonl, the other formats and summary.json are in the output folder.

    Raises:
        PoselineError: see the classes; whatever was finished before is kept.
    """
    check_writable(options.out)
    progress, arrays = start_progress(options)
    sources = open_inputs(options.inputs, options.window, raw=options.raw)
    pipeline = build_pipeline(options)
    run = describe_run(options, sources, pipeline.network.skeleton)
    check_formats(options.formats, run)
    started, before = time.perf_counter(), progress.frames
    log = PoseLog(options.out, progress, every_s=options.save_every_s)
    try:
        failure = PoseRun(options, sources, run, pipeline, log, watch).run(arrays)
        revise_poses(options, run.skeleton.num_keypoints, log)
        files = write_outputs(options.formats, run, options.out, sources)
        log.finish()
    finally:
        log.close()
    summary = summarise(options, progress, pipeline, files, seconds=time.perf_counter() - started, before=before, tracked=run.tracked)
    write_json(options.out / "summary.json", summary.to_json())  # type: ignore[arg-type]
    if failure is not None:
        raise failure
    return summary


def start_progress(options: PoseOptions) -> tuple[Progress, State]:
    """The progress and the tracker's arrays to go on from: those of the folder with ``--resume``, else none.

    Raises:
        ConfigError: the folder holds an unfinished run and nothing says what to do with it, or one of other options.
        ArtifactError: its state is damaged.
    """
    found = None if options.overwrite else read_state(options.out)
    if found is None or (not options.resume and (found[0].phase == "done" or not found[0].frames)):
        return Progress(options.fingerprint()), {}
    progress, wanted = found[0], options.fingerprint()
    if not options.resume:
        raise ConfigError(f"{options.out}: holds an unfinished run of {progress.frames} frames. Go on with --resume, or give --overwrite.")
    if changed := [name for name in wanted if progress.fingerprint.get(name) != wanted[name]]:
        raise ConfigError(f"{options.out}: --resume: the run was started with other {', '.join(changed)}. Give the same, or --overwrite.")
    return found


def build_pipeline(options: PoseOptions) -> PosePipeline:
    """Detector and network, loaded and with their threads: as many workers as cores, each with one thread, do not wait for one another.

    Raises:
        PoselineError: a file or package is missing, or does not fit.
    """
    cores = worker_count(resolve_device(options.device).type)
    workers = 1 if options.detect_every > 1 else options.workers or cores
    threads = max(1, cores // workers)
    torch.set_num_threads(threads)
    keep_freed_blocks()
    network = load_pose_network(
        options.model, runtime=options.runtime, device=options.device, batch_size=options.batch_size, flip=options.flip, threads=threads,
        find_model=options.find_model,
    )  # fmt: skip
    detector: Detector | FileBoxes
    if options.detector.lower().endswith(".json"):
        detector = FileBoxes(Path(options.detector), min_score=options.min_score)
    else:
        detector = load_detector(options.detector, min_score=options.min_score, threads=threads, runtime=options.runtime)
    return PosePipeline(detector, network, options.nms, options.region, workers)


class PoseRun:
    """The first pass: every source through the pipeline, frame by frame into poses.jsonl."""

    def __init__(
        self, options: PoseOptions, sources: Sequence[Source], info: RunInfo, pipeline: PosePipeline, log: PoseLog, watch: Watch | None
    ) -> None:  # fmt: skip
        self._options, self._sources, self._info, self._pipeline, self._log, self._watch = options, sources, info, pipeline, log, watch
        lengths = [source.length for source in sources]
        self._total = None if None in lengths else sum(length for length in lengths if length is not None)

    def run(self, arrays: State) -> PoselineError | None:
        """The first error that ended a source early, after all sources were read.

        Raises:
            PoselineError: the output cannot be written, or no frame of any source could be read.
        """
        progress, failure = self._log.progress, None
        if progress.phase != "poses":
            return None
        self._log.save(arrays)
        drawn = drawn_formats(self._options.formats) if any(source.kind == "live" for source in self._sources) else ()
        with OutputSet(drawn, self._options.out, self._info) as live:
            while progress.source < len(self._sources):
                ended = self._read(self._sources[progress.source], arrays, live)
                failure, arrays = failure or ended, {}
        if not progress.frames:
            reason = progress.problems[0] if progress.problems else "the range of --start, --stop and --stride holds none"
            raise failure or DataError(f"{self._sources[0].name}: no frame could be read ({reason}). Check the input.")
        return failure

    def _read(self, source: Source, arrays: State, live: OutputSet) -> PoselineError | None:
        """The error that ended the source early; None after its last frame."""
        progress, failure = self._log.progress, None
        tracker = self._tracker(source, arrays)
        size = 1 if self._options.detect_every > 1 else chunk_frames(source)
        frames = self._frames(source, tracker, progress.taken, size)
        while True:
            try:
                posed = next(frames, None)
            except PoselineError as error:
                failure, posed = error, None
            except KeyboardInterrupt:
                if source.kind != "live":
                    raise
                posed = None
            if posed is None:
                break
            self._add(source, posed, tracker, live)
            if progress.taken % size == 0 and self._log.due():
                self._log.save({} if tracker is None else tracker.state())
        progress.source, progress.taken = progress.source + 1, 0
        progress.missing += source.missing
        progress.tracks += 0 if tracker is None else tracker.tracks
        self._log.save({})
        return failure

    def _tracker(self, source: Source, arrays: State) -> SourceTracker | None:
        config = self._options.track
        if config is None or (source.kind == "images" and not self._options.track_images):
            return None
        carries = self._options.detect_every > 1
        tracker = SourceTracker(config, self._info.skeleton, frames_per_second=source.frames_per_second, carries=carries)
        if arrays:
            tracker.restore(arrays)
        return tracker

    def _frames(self, source: Source, tracker: SourceTracker | None, taken: int, size: int) -> Iterator[PosedFrame]:
        """The frames of the source, without those taken before, with their poses."""
        frames = source.read(taken)
        if self._options.detect_every > 1 and tracker is not None:
            return carry_frames(self._pipeline, frames, tracker, every=self._options.detect_every, taken=taken)
        return self._pipeline.run(frames, chunk_frames=size)

    def _add(self, source: Source, posed: PosedFrame, tracker: SourceTracker | None, live: OutputSet) -> None:
        """Track the poses of a frame and write it."""
        progress, frame = self._log.progress, posed.frame
        progress.taken += 1
        if posed.image is None:
            progress.broken += 1
            if len(progress.problems) < MAX_PROBLEMS:
                progress.problems.append(posed.problem or "")
            return
        started, timings = time.perf_counter(), self._pipeline.timings
        poses = posed.poses if tracker is None else tracker.update(posed.poses, frame.frame_index, posed.image)
        started = timings.add("track", started) if tracker is not None else started
        height, width = posed.image.shape[:2]
        name = frame.name if source.kind == "images" else None
        record = FrameRecord(source.name, frame.frame_index, frame.time_ms, name, width, height, poses)
        self._log.add(record)
        if source.kind == "live":
            live.add(record, posed.image)
        timings.add("write", started)
        if self._watch is not None:
            self._watch(progress.frames + progress.broken, self._total)


def run_notes(options: PoseOptions, pipeline: PosePipeline, frames: int) -> list[str]:
    """What a user should know of the networks in use."""
    notes = []
    if isinstance(pipeline.detector, FileBoxes) and pipeline.detector.misses:
        notes.append(f"{options.detector} has no entry for {pipeline.detector.misses} of {frames} frames: nobody is there.")
    if options.draw.codec == "auto" and "video" in options.formats and not has_h264():
        notes.append("video is MPEG-4 at a constant rate; `pip install 'poseline[video]'` for H.264 with the source's time stamps.")
    return notes


def summarise(
    options: PoseOptions, progress: Progress, pipeline: PosePipeline, files: list[str], *, seconds: float, before: int, tracked: bool
) -> Summary:
    """The summary of a run; rates are of the frames of this session."""
    done = progress.frames - before
    return Summary(
        out=str(options.out), frames=progress.frames, people=progress.people, tracks=progress.tracks if tracked else None,
        broken=progress.broken, missing=progress.missing, seconds=round(seconds, 3), frames_per_second=round(done / max(seconds, 1e-9), 2),
        parts=part_rates(pipeline.timings.seconds, done), detector=options.detector, model=options.model,
        problems=progress.problems, notes=run_notes(options, pipeline, done), files=["poses.jsonl", *files, "summary.json"],
    )  # fmt: skip
