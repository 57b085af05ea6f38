"""Trackers measured: frames per second, and PoseTrack scores of the kinds side by side.

    python benchmarks/tracking.py speed
    python benchmarks/tracking.py quality --truth DIR [--images DIR] [--predictions DIR] [--tune DIR]

``--predictions`` is the pipeline's data/predictions/posetrack, or a folder of PoseTrack files. Without it a simulated estimator makes
poses from the truth: noise, misses, doubles and false alarms, from a seed. ``--tune`` names a folder of other truth on which
parameters are searched first.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from poseline.datasets.predictions import pose_set

from poseline.artifacts import read_table
from poseline.config.tracking import PoseflowConfig, ReleasedConfig, TrackConfig
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.posetrack.files import read_folder
from poseline.datasets.posetrack.scoring import score_pose_tracking, score_posetrack
from poseline.datasets.posetrack.video import PoseTrackSequence
from poseline.track.build import build_tracker
from poseline.track.tune import tune

OUT = Path("reports/benchmarks/tracking.json")
Videos = Mapping[str, list[PoseSet]]


def draw_crowd(num_people: int, num_frames: int, *, pictures: bool) -> tuple[list[PoseSet], list[Frame] | None]:
    """People on straight walks over a textured 640x360 picture."""
    rng = np.random.default_rng(0)
    bodies = rng.normal(size=(num_people, 17, 2)) * 20
    centres, speed = rng.uniform((60, 80), (580, 280), (num_people, 2)), rng.normal(size=(num_people, 2)) * 2
    texture = cv2.resize(rng.integers(0, 255, (120, 200, 3), dtype=np.uint8), (800, 480), interpolation=cv2.INTER_CUBIC)
    poses, frames = [], []
    for t in range(num_frames):
        keypoints = bodies + (centres + t * speed)[:, None] + rng.normal(size=bodies.shape)
        boxes = np.concatenate([keypoints.min(axis=1) - 3, keypoints.max(axis=1) + 3], axis=1)
        poses.append(PoseSet(keypoints=keypoints, keypoint_scores=np.full((num_people, 17), 0.9), bbox_xyxy=boxes))
        frames.append(Frame(np.ascontiguousarray(texture[t % 60 : t % 60 + 360, t % 100 : t % 100 + 640]), t))
    return poses, frames if pictures else None


def measure_speed() -> list[dict[str, object]]:
    """Frames per second by the clock, and by the time on one core (for busy machines), of each kind: best of three runs."""
    flow = {name: TrackConfig(kind="poseflow", poseflow=PoseflowConfig(correspondence=name)) for name in ("lk", "dis", "orb")}
    cases: list[tuple[str, TrackConfig, int, bool]] = []
    for people in (5, 20, 50):
        cases += [(kind, TrackConfig(kind=kind), people, False) for kind in ("bytepose", "poseflow", "poseflow_released")]
    for people in (5, 20):
        cases += [("bytepose, colour + camera", TrackConfig(), people, True)]
        cases += [(f"poseflow, {name}", config, people, True) for name, config in flow.items()]
    cases += [("poseflow_released, ORB 10,000", TrackConfig(kind="poseflow_released"), 5, True)]
    rows = []
    for name, config, people, pictures in cases:
        poses, frames = draw_crowd(people, 16 if pictures else 120, pictures=pictures)
        wall, cpu = [], []
        for _ in range(3):
            tracker = build_tracker(config, load_skeleton("coco17"))
            begin, begin_cpu = time.perf_counter(), time.process_time()
            for t, one in enumerate(poses):
                tracker.update(one, frames[t] if frames else None)
            wall.append(len(poses) / (time.perf_counter() - begin))
            cpu.append(len(poses) / (time.process_time() - begin_cpu))
        row = {"tracker": name, "people": people, "pictures": pictures}
        rows.append(row | {"frames_per_second": round(max(wall), 1), "frames_per_cpu_second": round(max(cpu), 1)})
        print(
            f"{name:30s} people {people:3d}  pictures {pictures!s:5s}  {max(wall):8.1f} frames/s  {max(cpu):8.1f} frames/CPU s", flush=True
        )
    return rows


def simulate_estimator(sequence: PoseTrackSequence, seed: int) -> list[PoseSet]:
    """Poses as a fair estimator might give: noise by size, misses of hidden people, doubles, false alarms."""
    rng = np.random.default_rng([seed, *sequence.name.encode()])
    return [_estimate(frame.people, rng) for frame in sequence.frames]


def _estimate(people: PoseSet, rng: np.random.Generator) -> PoseSet:
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for keypoints, labelled in zip(people.keypoints, people.visibility > 0, strict=True):
        share = labelled.sum() / 15
        if not labelled.any() or rng.uniform() < 0.02 + 0.6 * (1 - share) ** 2:
            continue
        low, high = keypoints[labelled].min(axis=0), keypoints[labelled].max(axis=0)
        size = max(float(np.sqrt(np.prod(high - low))), 10.0)
        for copy in range(1 + int(rng.uniform() < 0.08)):
            noise = rng.normal(scale=(0.025 + 0.05 * copy) * size, size=keypoints.shape)
            guess = rng.uniform(low, np.maximum(high, low + 1), size=keypoints.shape)
            scores = np.where(labelled, rng.normal(0.75, 0.1, 17) * (0.6 + 0.4 * share) - 0.2 * copy, rng.uniform(0.02, 0.25, 17))
            found.append((np.where(labelled[:, None], keypoints + noise, guess), np.clip(scores, 0.01, 1)))
    for _ in range(rng.poisson(0.3)):
        corner, extent = rng.uniform((0, 0), (260, 160)), rng.uniform(20, 80, 2)
        found.append((corner + rng.uniform(size=(17, 2)) * extent, rng.uniform(0.05, 0.45, 17)))
    if not found:
        return PoseSet.empty(17)
    keypoints, scores = (np.stack(part) for part in zip(*found, strict=True))
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    return PoseSet(keypoints=keypoints, keypoint_scores=scores, bbox_xyxy=boxes)


def read_frames(sequence: PoseTrackSequence, images: Path | None) -> Iterator[Frame | None]:
    """The video's pictures one at a time; None each where there are none."""
    for index, frame in enumerate(sequence.frames):
        if images is None:
            yield None
        else:
            name = Path(frame.file_name)
            image = cv2.imread(str(images / name.parent.name / name.name), cv2.IMREAD_COLOR)
            if image is None:
                raise SystemExit(
                    f"{images / name.parent.name / name.name}: cannot be read. Give the folder that holds the videos' folders."
                )
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), index)


def run_tracker(
    config: TrackConfig, truth: Mapping[str, PoseTrackSequence], poses: Videos, images: Path | None
) -> dict[str, PoseTrackSequence]:
    """Every video tracked; keypoints below the submission's threshold are left out."""
    tracked = {}
    for name, sequence in truth.items():
        tracker, frames = build_tracker(config, load_skeleton("posetrack17")), []
        for frame, own, picture in zip(sequence.frames, poses[name], read_frames(sequence, images), strict=True):
            people = tracker.update(own, picture)
            sure = (people.keypoint_scores >= config.min_keypoint_score).astype(np.uint8)
            frames.append(frame.with_people(replace(people, visibility=sure)))
        tracked[name] = replace(sequence, frames=tuple(frames))
    return tracked


def score(truth: Mapping[str, PoseTrackSequence], tracked: Mapping[str, PoseTrackSequence]) -> dict[str, float]:
    """MAP and MOTA as published, MOTA counted honestly, and HOTA, IDF1, switches of people on OKS."""
    published, strict = (score_posetrack(truth, tracked, mode=mode).metrics for mode in ("poseval", "strict"))
    people = score_pose_tracking(truth, tracked).metrics
    return {
        "map": published["map"], "mota": published["mota"], "mota_strict": strict["mota"], "hota": people["hota"], "deta": people["det_a"],
        "assa": people["ass_a"], "idf1": people["idf1"], "switches": int(people["switches"]),
        "fragmentations": int(people["fragmentations"]), "precision": strict["precision"], "recall": strict["recall"],
    }  # fmt: skip


def compare_kinds(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Scores of each kind, tuned first where asked for."""
    truth = read_folder(arguments.truth)
    poses = _poses_of(truth, arguments.predictions)
    has_images = arguments.images is not None
    configs = {
        "released PoseFlow": TrackConfig(
            kind="poseflow_released", poseflow_released=ReleasedConfig(correspondence="orb" if has_images else "none", orb_features=2000)
        ),
        "Pose Flow complete": TrackConfig(kind="poseflow", poseflow=PoseflowConfig(correspondence="lk" if has_images else "none")),
        "bytepose": TrackConfig(),
    }
    rows: list[dict[str, object]] = []
    for name, start in configs.items():
        config = tune_on(arguments.tune, start, reported=list(truth)) if arguments.tune else start
        begin, begin_cpu = time.perf_counter(), time.process_time()
        tracked = run_tracker(config, truth, poses, arguments.images)
        frames = sum(len(sequence.frames) for sequence in truth.values())
        rates = {
            "frames_per_second": round(frames / (time.perf_counter() - begin), 1),
            "frames_per_cpu_second": round(frames / (time.process_time() - begin_cpu), 1),
        }
        row: dict[str, object] = {"tracker": name} | score(truth, tracked) | rates
        rows.append(row)
        print("  ".join(f"{value:20s}" if isinstance(value, str) else f"{key} {value:.4g}" for key, value in row.items()), flush=True)
    return rows


def tune_on(folder: Path, start: TrackConfig, *, reported: Sequence[str]) -> TrackConfig:
    """The configuration that reaches the best strict MOTA on another folder of truth, without pictures."""
    videos = read_folder(folder)
    poses = _poses_of(videos, None)
    objective: Callable[[TrackConfig, Sequence[str]], float] = lambda config, names: score(  # noqa: E731
        {name: videos[name] for name in names}, run_tracker(config, {name: videos[name] for name in names}, poses, None)
    )["mota_strict"]
    result = tune(start, objective, sequences=list(videos), reported=reported, num_candidates=27, seed=0)
    best = next(trial for trial in result.trials if trial.score == result.score)
    print(f"  tuned {start.kind}: MOTA {result.score:.4f} on {len(videos)} videos with {best.parameters}")
    return result.config


def _poses_of(truth: Mapping[str, PoseTrackSequence], predictions: Path | None) -> dict[str, list[PoseSet]]:
    if predictions is None:
        return {name: simulate_estimator(sequence, seed=1) for name, sequence in truth.items()}
    if (predictions / "poses.parquet").is_file():
        table, _ = read_table(predictions / "poses.parquet", kind="predictions", made_by="predict posetrack")
        found = dict(list(table[table["boxes"] == "detections"].groupby("image_id")))
        empty = PoseSet.empty(17)
        return {
            name: [pose_set(found[frame.image_id], 17) if frame.image_id in found else empty for frame in sequence.frames]
            for name, sequence in truth.items()
        }
    return {name: [frame.people for frame in sequence.frames] for name, sequence in read_folder(predictions).items()}


def main() -> None:
    """Run, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "quality"))
    for name in ("truth", "images", "predictions", "tune"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.what == "quality" and arguments.truth is None:
        parser.error("quality needs --truth DIR")
    rows = measure_speed() if arguments.what == "speed" else compare_kinds(arguments)
    found = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found | {arguments.what: rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
