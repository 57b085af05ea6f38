"""The three data sets of ``mini``: every image drawn by itself from (seed, set, split, index), then put together."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from poseline.artifacts.scratch import is_running
from poseline.config.dataset import MiniConfig
from poseline.errors import ConfigError, DataError
from poseline.mini.coco_format import Json, coco_document, detection_rows, image_annotations
from poseline.mini.detector import SimulatedDetector
from poseline.mini.long_video import SECONDS_PER_FRAME, draw_long_video
from poseline.mini.mpii_format import MpiiPerson, json_entries, matlab_bytes, mpii_people, release_struct, scoring_arrays
from poseline.mini.posetrack_format import frame_entry, frame_id, person_entries, sequence_document
from poseline.mini.scene import STYLES, draw_scene
from poseline.mini.video import draw_video
from poseline.progress import follow
from poseline.threads import available_cores

JPEG_QUALITY = 86
MIN_SIDE = 96
SPLITS = ("train", "val")
BENCHMARKS = ("coco", "mpii", "posetrack")
README = """The mini data sets of poseline
All pictures here are synthetic: drawn by poseline.mini from seed {seed}. They show no real person or place.
The forms are those of COCO keypoints 2017, MPII Human Pose and PoseTrack18, so that the same readers serve both.
The detections (coco/annotations/person_detections_val2017.json, posetrack/annotations/detections_val.json) are simulated:
ground-truth boxes with jitter, misses, duplicates and false alarms, not the output of a detector.
MPII coordinates are 1-based; a missing joint is (-1, -1) in the JSON files and (0, 0) with jnt_missing = 1 in gt_valid.mat.
Videos: train has 10 frames a second, val 25. People whom something hides are not annotated, and keep their track_id when they return.
Keypoints: 2 = in view, 1 = covered by something, 0 = outside the picture, on the far side of the head, or of a person
of whom hardly anything shows.
Delete this folder and run `poseline mini` to draw it again; the same seed gives the same files.
"""
Row = TypeVar("Row")


@dataclass(frozen=True)
class Job:
    """One image or video to draw; ``frames`` is the least and the most of a video."""

    seed: int
    benchmark: str
    split: str
    index: int
    image_wh: tuple[int, int]
    max_people: int
    frames: tuple[int, int]
    folder: Path

    def generator(self, purpose: int = 0) -> np.random.Generator:
        """The job's own source of chance; the same whatever process draws it."""
        key = (self.seed, BENCHMARKS.index(self.benchmark), SPLITS.index(self.split), self.index, purpose)
        return np.random.default_rng(np.random.SeedSequence(key))


@dataclass(frozen=True)
class CocoRow:
    """What a drawn COCO image leaves for the annotation files."""

    image_id: int
    name: str
    annotations: list[dict[str, Json]]
    detections: list[dict[str, Json]]


@dataclass(frozen=True)
class VideoRow:
    """What a drawn video leaves: its file, its annotated people over all frames, and its detections."""

    name: str
    num_frames: int
    num_people: int
    document: dict[str, Json]
    detections: list[dict[str, Json]]


def draw_mini(config: MiniConfig, out_dir: Path) -> dict[str, int]:
    """Draw the chosen sets into ``out_dir`` (replaced as a whole) and return how many images and people each split has.

    The files appear under a temporary name beside ``out_dir`` and are moved when complete, so that a kill leaves no half
    set. The same seed gives the same bytes whatever the number of processes.

    Raises:
        ConfigError: images too small to draw people in.
        DataError: the folder cannot be written.
    """
    if min(config.image_wh) < MIN_SIDE:
        raise ConfigError(f"mini.image_wh: expected at least {MIN_SIDE} pixels a side, got {list(config.image_wh)}")
    try:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out_dir)
        work = out_dir.parent / f".{out_dir.name}.{os.getpid()}.partial"
        try:
            work.mkdir()
            counts = _draw_sets(config, work)
            _move_into_place(work, out_dir)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{out_dir}: cannot be written ({reason}). Free space or choose another folder, then draw again.") from error
    return counts


def _draw_sets(config: MiniConfig, folder: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    with _mapper(config.processes) as run:
        for benchmark, draw in (("coco", _draw_coco), ("mpii", _draw_mpii), ("posetrack", _draw_posetrack)):
            (folder / benchmark / "annotations").mkdir(parents=True)
            if benchmark in config.sets:
                counts.update(draw(config, folder / benchmark, run))
            else:
                text = f"mini.sets in the parameters does not name '{benchmark}'.\n"
                (folder / benchmark / "annotations" / "NOT_DRAWN.txt").write_text(text, encoding="utf-8")
    (folder / "README.txt").write_text(README.format(seed=config.seed), encoding="utf-8")
    return counts


def _remove_leftovers(out_dir: Path) -> None:
    """Delete what killed runs left beside ``out_dir``; a living run's folder stays."""
    for left in out_dir.parent.glob(f".{out_dir.name}.*"):
        owner = left.name.split(".")[-2]
        if left.suffix in (".partial", ".old") and owner.isdigit() and not is_running(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


def _move_into_place(work: Path, out_dir: Path) -> None:
    """Swap a finished folder in; what was there before goes only after."""
    if out_dir.exists():
        old = work.with_suffix(".old")
        out_dir.rename(old)
        work.rename(out_dir)
        shutil.rmtree(old)
    else:
        work.rename(out_dir)


@runtime_checkable
class Runner(Protocol):
    """An ordered map over jobs."""

    def __call__(self, draw: Callable[[Job], Row], jobs: Iterable[Job], /) -> Iterator[Row]:
        """The drawn rows in the order of the jobs."""


@contextmanager
def _mapper(processes: int) -> Iterator[Runner]:
    """An ordered map over jobs, in this process or over a pool."""
    workers = processes or available_cores()
    threads = cv2.getNumThreads()
    if workers == 1:
        cv2.setNumThreads(1)
        try:
            yield partial(_drawn, map)
        finally:
            cv2.setNumThreads(threads)
        return
    # Spawned, not forked: the caller may hold threads (torch, MLflow) that do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield partial(_drawn, partial(_map_chunks, pool))


def _map_chunks(pool: Pool, draw: Callable[[Job], Row], jobs: Sequence[Job]) -> Iterator[Row]:
    """Images go to the processes by fours, videos one by one, since a process that drew four would be waited for."""
    return pool.imap(draw, jobs, chunksize=1 if jobs[0].benchmark == "posetrack" else 4)


def _drawn(run: Runner, draw: Callable[[Job], Row], jobs: Sequence[Job]) -> Iterator[Row]:
    """The drawn rows, counted."""
    first = jobs[0]
    unit = "videos" if first.benchmark == "posetrack" else "images"
    return follow(run(draw, jobs), f"{first.benchmark} {first.split}", total=len(jobs), unit=unit)


def _jobs(config: MiniConfig, benchmark: str, split: str, count: int, folder: Path) -> list[Job]:
    folder.mkdir(parents=True, exist_ok=True)
    frames = config.posetrack_val_frames if split == "val" else (config.posetrack_frames, config.posetrack_frames)
    common = (config.image_wh, config.max_people, frames, folder)
    return [Job(config.seed, benchmark, split, index, *common) for index in range(count)]


def _draw_coco(config: MiniConfig, folder: Path, run: Runner) -> dict[str, int]:
    counts: dict[str, int] = {}
    for split, number in (("train", config.coco_train_images), ("val", config.coco_val_images)):
        rows: list[CocoRow] = list(run(_coco_image, _jobs(config, "coco", split, number, folder / f"{split}2017")))
        entries = [(row.image_id, row.name, row.annotations) for row in rows]
        document = coco_document(entries, config.image_wh, split=split, seed=config.seed)
        _write_json(folder / "annotations" / f"person_keypoints_{split}2017.json", document)
        if split == "val":
            _write_json(folder / "annotations" / "person_detections_val2017.json", [one for row in rows for one in row.detections])
        people = [one for row in rows for one in row.annotations if one["num_keypoints"]]
        counts |= {f"coco_{split}_images": number, f"coco_{split}_people": len(people)}
    return counts


def _coco_image(job: Job) -> CocoRow:
    scene = draw_scene(job.generator(), STYLES["coco"], image_wh=job.image_wh, max_people=job.max_people)
    image_id = job.index + 1 + (500_000 if job.split == "val" else 0)
    name = f"{image_id:012d}.jpg"
    _write_jpeg(job.folder / name, scene.image)
    found = SimulatedDetector(job.generator(1), job.image_wh).detect(scene.people) if job.split == "val" else []
    return CocoRow(image_id, name, image_annotations(scene, image_id), detection_rows(found, image_id))


def _draw_mpii(config: MiniConfig, folder: Path, run: Runner) -> dict[str, int]:
    counts: dict[str, int] = {}
    release: list[tuple[str, list[MpiiPerson], bool]] = []
    for split, number, name in (("train", config.mpii_train_images, "train"), ("val", config.mpii_val_images, "valid")):
        rows: list[tuple[str, list[MpiiPerson]]] = list(run(_mpii_image, _jobs(config, "mpii", split, number, folder / "images")))
        entries = [entry for image, people in rows for entry in json_entries(image, people)]
        _write_json(folder / "annotations" / f"{name}.json", entries)
        release += [(image, people, split == "train") for image, people in rows]
        if split == "val":
            samples = [person for _, people in rows for person in people if person.sample]
            (folder / "annotations" / "gt_valid.mat").write_bytes(matlab_bytes(scoring_arrays(samples)))
        counts |= {f"mpii_{split}_images": number, f"mpii_{split}_people": len(entries)}
    (folder / "annotations" / "mpii_human_pose_v1_u12_1.mat").write_bytes(matlab_bytes(release_struct(release)))
    return counts


def _mpii_image(job: Job) -> tuple[str, list[MpiiPerson]]:
    scene = draw_scene(job.generator(), STYLES["mpii"], image_wh=job.image_wh, max_people=job.max_people)
    name = f"{job.index + 1 + (50_000_000 if job.split == 'val' else 0):09d}.jpg"
    _write_jpeg(job.folder / name, scene.image)
    return name, mpii_people(scene.people)


def _draw_posetrack(config: MiniConfig, folder: Path, run: Runner) -> dict[str, int]:
    counts: dict[str, int] = {}
    for split, number in (("train", config.posetrack_train_videos), ("val", config.posetrack_val_videos)):
        rows: list[VideoRow] = list(run(_posetrack_video, _jobs(config, "posetrack", split, number, folder / "images" / split)))
        (folder / "annotations" / split).mkdir()
        for row in rows:
            _write_json(folder / "annotations" / split / f"{row.name}.json", row.document)
        if split == "val":
            _write_json(folder / "annotations" / "detections_val.json", [one for row in rows for one in row.detections])
        counts[f"posetrack_{split}_videos"] = number
        counts[f"posetrack_{split}_images"] = sum(row.num_frames for row in rows)
        counts[f"posetrack_{split}_people"] = sum(row.num_people for row in rows)
    return counts


def _posetrack_video(job: Job) -> VideoRow:
    """A short video to train on, a long one with detections to score on."""
    video = job.index + 1 + (500 if job.split == "val" else 0)
    name = f"{video:06d}_mini"
    (job.folder / name).mkdir()
    frames = int(job.generator(2).integers(job.frames[0], job.frames[1] + 1))
    if job.split == "val":
        scenes = draw_long_video(job.generator(), image_wh=job.image_wh, frames=frames, max_people=job.max_people)
    else:
        scenes = draw_video(job.generator(), image_wh=job.image_wh, frames=frames)
    detector = SimulatedDetector(job.generator(1), job.image_wh, SECONDS_PER_FRAME)
    images, annotations, detections = [], [], []
    for frame, scene in enumerate(scenes):
        _write_jpeg(job.folder / name / f"{frame:06d}.jpg", scene.image)
        images.append(frame_entry(scene, video=video, frame=frame, frames=frames, folder=f"images/{job.split}/{name}"))
        annotations += person_entries(scene.people, video=video, frame=frame)
        if job.split == "val":
            detections += detection_rows(detector.detect(scene.people), frame_id(video, frame))
    return VideoRow(name, frames, len(annotations), sequence_document(images, annotations), detections)


def _write_jpeg(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    path.write_bytes(data.tobytes())


def _write_json(path: Path, content: Json | list[dict[str, Json]] | dict[str, Json]) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
