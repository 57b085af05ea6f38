"""What camera motion and appearance buy the default tracker on real pixels, and what they cost.

    python benchmarks/tracking_images.py --real DIR [--clips 1] [--seed 0] [--reid FILE.onnx [--neutral COSINE]]

A window moves over photographs (``DIR/coco``, by default of $POSELINE_REAL) with two or more annotated people, for 100 frames at 25 a
second: calmly, or as a camera in the hand does that is swung. The ground truth moves with the window. Poses are the ground truth with
jitter, misses, misses that last, and false positives; the tracker gets them with and without the images. Differences of HOTA (box IoU,
mean over photographs) have 95 % intervals over resampled photographs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from poseline.config.tracking import TrackConfig
from poseline.core.boxes import xyxy_to_xywh
from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.track.build import build_tracker
from poseline.track.mot_sequences import Boxes, score_sequence
from poseline.track.tune import override

OUT = Path("reports/benchmarks/tracking_images.json")
FRAMES, PER_SECOND, RESAMPLES = 100, 25, 2000
LEAST_KEYPOINTS = 5  # of a person who takes part
WINDOW = 0.6  # of the photograph's sides
MISSES, FALSE_POSITIVES, JITTER, KEYPOINT_JITTER = 0.10, 0.05, 0.05, 0.02
MOTIONS = ("calm", "swung")
SETTINGS: dict[str, dict[str, str]] = {
    "poses alone": {"bytepose.camera_motion": "none", "bytepose.appearance.kind": "none"},
    "camera motion": {"bytepose.appearance.kind": "none"},
    "limb colours": {"bytepose.camera_motion": "none"},
    "both (the default)": {},
}
METRICS = ("hota", "idf1", "mota", "switches", "ids")


@dataclass(frozen=True)
class Photograph:
    """A file and its annotated people: keypoints [N, 17, 3] and boxes [N, 4] (x1, y1, x2, y2)."""

    path: Path
    keypoints: np.ndarray
    boxes: np.ndarray

    @cached_property
    def image(self) -> np.ndarray:
        """RGB pixels."""
        return cv2.cvtColor(cv2.imread(str(self.path)), cv2.COLOR_BGR2RGB)


@dataclass(frozen=True)
class Clip:
    """A window's way over a photograph: a matrix from the photograph to each frame, and the frames' size."""

    photograph: Photograph
    matrices: np.ndarray
    size_wh: tuple[int, int]

    def frames(self) -> Iterator[np.ndarray]:
        """RGB frames."""
        for matrix in self.matrices:
            yield cv2.warpAffine(self.photograph.image, matrix, self.size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    def people(self, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Who is at least half in the window (rows of the photograph's people), their keypoints [n, 17, 2] and boxes in the window."""
        matrix, boxes = self.matrices[frame], self.photograph.boxes
        corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] @ matrix[:, :2].T + matrix[:, 2]
        low, high = corners.min(axis=1), corners.max(axis=1)
        inside_low, inside_high = np.clip(low, 0, self.size_wh), np.clip(high, 0, self.size_wh)
        who = np.flatnonzero(np.prod(inside_high - inside_low, axis=1) >= 0.5 * np.prod(high - low, axis=1))
        return who, self.photograph.keypoints[who, :, :2] @ matrix[:, :2].T + matrix[:, 2], np.hstack([inside_low, inside_high])[who]


def read_photographs(real: Path) -> list[Photograph]:
    """The photographs with at least two people of whom five keypoints are annotated, by name."""
    content = json.loads((real / "coco/person_keypoints.json").read_text(encoding="utf-8"))
    found = []
    for image in sorted(content["images"], key=lambda entry: entry["file_name"]):
        people = [one for one in content["annotations"] if one["image_id"] == image["id"] and one["num_keypoints"] >= LEAST_KEYPOINTS]
        if len(people) >= 2:
            boxes = np.array([one["bbox"] for one in people])
            boxes[:, 2:] += boxes[:, :2]
            keypoints = np.array([one["keypoints"] for one in people], float).reshape(len(people), -1, 3)
            found.append(Photograph(real / "coco/images" / image["file_name"], keypoints, boxes))
    return found


def draw_clip(photograph: Photograph, motion: str, rng: np.random.Generator) -> Clip:
    """A window that drifts, turns by up to 3 degrees and zooms by up to 8 %; swung: quicker, with sudden turns to another place."""
    height, width = photograph.image.shape[:2]
    size = np.rint(np.array([width, height]) * WINDOW)
    wander = gaussian_filter1d(rng.normal(size=(FRAMES + 200, 4)), 25 if motion == "calm" else 8, axis=0)[100:-100]
    wander = np.clip(wander / np.abs(wander).max(axis=0), -1, 1)
    if motion == "swung":
        for start in rng.integers(10, FRAMES - 15, 2):
            turn = rng.uniform(-1, 1, 2) * np.clip((np.arange(FRAMES) - start) / 10, 0, 1)[:, None]
            wander[:, :2] = np.clip(wander[:, :2] + turn, -1, 1)
        wander = gaussian_filter1d(wander, 1.0, axis=0, mode="nearest")
    centre = np.array([width, height]) / 2 + wander[:, :2] * (np.array([width, height]) - size) / 2
    matrices = [
        cv2.getRotationMatrix2D((float(x), float(y)), 3 * turn, 1 + 0.08 * zoom)
        + np.array([[0, 0, size[0] / 2 - x], [0, 0, size[1] / 2 - y]])
        for (x, y), turn, zoom in zip(centre, wander[:, 2], wander[:, 3], strict=True)
    ]
    return Clip(photograph, np.array(matrices), (int(size[0]), int(size[1])))


def observe(clip: Clip, rng: np.random.Generator) -> tuple[Boxes, list[PoseSet]]:
    """Ground truth, and what an estimator might have found. Each person is not found at all for .5 to 1.1 s once."""
    truth: Boxes = {}
    poses = []
    hidden_from = rng.integers(10, FRAMES - 10, len(clip.photograph.boxes))
    hidden_to = hidden_from + rng.integers(PER_SECOND // 2, round(1.1 * PER_SECOND), len(hidden_from))
    for frame in range(FRAMES):
        who, keypoints, boxes = clip.people(frame)
        truth[frame + 1] = np.column_stack([xyxy_to_xywh(boxes), who + 1.0])
        missed = (rng.random(len(who)) < MISSES) | ((hidden_from[who] <= frame) & (frame < hidden_to[who]))
        seen = np.flatnonzero(~missed)
        extent = boxes[seen, 2:] - boxes[seen, :2]
        shift = rng.normal(0, JITTER, (len(seen), 2, 2)) * extent[:, None]
        moved = keypoints[seen] + shift.mean(axis=1)[:, None] + rng.normal(0, KEYPOINT_JITTER, keypoints[seen].shape) * extent[:, None]
        labelled = clip.photograph.keypoints[who[seen], :, 2] > 0
        scores = np.where(labelled, rng.uniform(0.6, 0.95, (len(seen), 1)), 0.05)
        parts = [
            PoseSet(keypoints=moved, keypoint_scores=scores, bbox_xyxy=boxes[seen] + shift.reshape(-1, 4), pose_scores=scores.max(axis=1))
        ]
        parts += [_false_positive(clip, rng) for _ in range(rng.binomial(max(len(who), 1), FALSE_POSITIVES))]
        poses.append(PoseSet.concat(parts))
    return truth, poses


def _false_positive(clip: Clip, rng: np.random.Generator) -> PoseSet:
    """A person's keypoints where nobody is annotated."""
    one = rng.integers(len(clip.photograph.boxes))
    low, high = clip.photograph.boxes[one, :2], clip.photograph.boxes[one, 2:]
    shift = rng.uniform(0, 1, 2) * np.maximum(np.array(clip.size_wh) - (high - low), 1) - low
    scores = np.full((1, 17), rng.uniform(0.3, 0.7))
    box = np.concatenate([low + shift, high + shift])[None]
    return PoseSet(
        keypoints=clip.photograph.keypoints[one, None, :, :2] + shift, keypoint_scores=scores, bbox_xyxy=box, pose_scores=scores[:, 0]
    )


def track(config: TrackConfig, poses: list[PoseSet], images: list[np.ndarray] | None) -> tuple[Boxes, float]:
    """Tracks, and the seconds that they took."""
    tracker, found = build_tracker(config, load_skeleton("coco17")), {}
    begin = time.perf_counter()
    for frame, own in enumerate(poses):
        people = tracker.update(own, None if images is None else Frame(images[frame], frame))
        found[frame + 1] = np.column_stack([xyxy_to_xywh(people.bbox_xyxy), people.track_ids])
    return found, time.perf_counter() - begin


def measure(
    photographs: list[Photograph], motion: str, clips: int, seed: int, settings: dict[str, dict[str, str]]
) -> list[dict[str, object]]:
    """A row a setting."""
    scores = {name: np.zeros((len(photographs), clips, len(METRICS))) for name in settings}
    seconds = dict.fromkeys(settings, 0.0)
    for place, photograph in enumerate(photographs):
        for number in range(clips):
            rng = np.random.default_rng((seed, MOTIONS.index(motion), place, number))
            clip = draw_clip(photograph, motion, rng)
            truth, poses = observe(clip, rng)
            images = list(clip.frames())
            for name, changes in settings.items():
                tracked, took = track(override(TrackConfig(), changes), poses, None if name == "poses alone" else images)
                row = score_sequence(truth, tracked)
                scores[name][place, number] = [row[metric] for metric in METRICS]
                seconds[name] += took
    return summarise(scores, seconds, frames=len(photographs) * clips * FRAMES, motion=motion)


def summarise(scores: dict[str, np.ndarray], seconds: dict[str, float], *, frames: int, motion: str) -> list[dict[str, object]]:
    """Means over photographs, and the difference to poses alone with its interval."""
    base = scores["poses alone"].mean(axis=1)
    drawn = np.random.default_rng(0).integers(0, len(base), (RESAMPLES, len(base)))
    rows = []
    for name, found in scores.items():
        means = found.mean(axis=1)
        difference = (means - base)[:, 0]
        row: dict[str, object] = {"motion": motion, "setting": name}
        row |= {metric: round(float(value), 4) for metric, value in zip(METRICS, means.mean(axis=0), strict=True)}
        low, high = np.percentile(difference[drawn].mean(axis=1), (2.5, 97.5))
        row["hota_difference"] = [round(float(value), 4) for value in (difference.mean(), low, high)]
        row["frames_per_second"] = round(frames / seconds[name], 1)
        rows.append(row)
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return rows


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=os.environ.get("POSELINE_REAL"))
    parser.add_argument("--clips", type=int, default=1, help="of each photograph and motion")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reid", type=Path, help="a re-identification network, in place of limb colours; its description beside it")
    parser.add_argument("--neutral", default="0.75", help="its cosine that speaks neither for nor against a pair")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    if given.real is None:
        parser.error("no real data: give --real DIR or set POSELINE_REAL")
    cv2.setNumThreads(1)
    photographs = read_photographs(Path(given.real))
    settings = dict(SETTINGS)
    if given.reid is not None:
        network = {"kind": "onnx", "onnx": str(given.reid), "neutral": given.neutral}
        settings["camera motion, network"] = {f"bytepose.appearance.{key}": value for key, value in network.items()}
    rows = [row for motion in MOTIONS for row in measure(photographs, motion, given.clips, given.seed, settings)]
    content = {
        "photographs": len(photographs),
        "people": sum(len(one.boxes) for one in photographs),
        "frames": FRAMES,
        "clips": given.clips,
    }
    given.out.write_text(json.dumps({**content, "seed": given.seed, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
