"""Frames a second, memory and ids of `poseline pose` on a clip with real pixels: a window that moves, turns and zooms over a photograph.

    python benchmarks/pose.py speed  --real DIR     against a plain loop with the same files, in turn
    python benchmarks/pose.py rtmlib --real DIR     against rtmlib (pip install rtmlib==0.0.16) with the same files, in turn
    python benchmarks/pose.py ids    --real DIR     id switches against the window's own motion
    python benchmarks/pose.py memory                peak memory of 500 and of 20,000 frames

Weights are looked up as `poseline pose` does (POSELINE_WEIGHTS). Writes pose_KIND.json under reports/benchmarks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from runtimes import prepare

from poseline.datasets.coco_scoring import read_ground_truth
from poseline.metrics.keypoint_ap import score_coco
from poseline.metrics.keypoint_types import GroundTruth, Predictions
from poseline.zoo.weight_cache import get_file
from poseline.zoo.weight_files import find_entry

WINDOW_WH = (640, 480)
PEOPLE = 4


def choose_photograph(real: Path) -> tuple[Path, np.ndarray]:
    """The photograph with four people whose smallest is the largest, and their boxes x1, y1, x2, y2."""
    content = json.loads((real / "coco/person_keypoints.json").read_text())
    boxes: dict[int, list[list[float]]] = {}
    for person in content["annotations"]:
        if not person["iscrowd"]:
            x, y, width, height = person["bbox"]
            boxes.setdefault(person["image_id"], []).append([x, y, x + width, y + height])
    names = {image["id"]: image["file_name"] for image in content["images"]}
    four = {image: np.array(found) for image, found in boxes.items() if len(found) == PEOPLE}
    best = max(four, key=lambda image: np.prod(four[image][:, 2:] - four[image][:, :2], axis=1).min())
    return real / "coco/images" / names[best], four[best]


def window_matrix(t: int, image_wh: tuple[int, int]) -> np.ndarray:
    """The map from the photograph to frame ``t``: a slow sway, a turn of up to 8 degrees, a zoom of up to 15 %."""
    width, height = image_wh
    phase = 2 * np.pi * t / 150
    scale = min(WINDOW_WH[0] / width, WINDOW_WH[1] / height) * (1.0 + 0.15 * np.sin(phase))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 8 * np.sin(0.7 * phase), scale)
    matrix[:, 2] += np.array(WINDOW_WH) / 2 - np.array([width, height]) / 2 + [40 * np.sin(1.3 * phase), 25 * np.cos(phase)]
    return matrix


def window_frames(photograph: Path, count: int) -> Iterator[np.ndarray]:
    """BGR frames of the moving window."""
    image = cv2.imread(str(photograph))
    for t in range(count):
        matrix = window_matrix(t, (image.shape[1], image.shape[0]))
        yield cv2.warpAffine(image, matrix, WINDOW_WH, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def write_clip(path: Path, frames: Iterator[np.ndarray], size_wh: tuple[int, int]) -> None:
    """Write BGR frames at 25 a second."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 25, size_wh)
    for frame in frames:
        writer.write(frame)
    writer.release()


def run_poseline(clip: Path, out: Path, model: str, detector: str, *more: str) -> dict:
    """The summary of a run in a process of its own, with its peak memory."""
    code = (
        "import resource, sys; from poseline.cli import main\ntry: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "pose", str(clip), "--model", model, "--detector", detector, "--out", str(out), "--json", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return {**json.loads(done.stdout), "peak_mb": round(int(done.stderr.split()[-1]) / 1024, 1)}


def plain_loop(clip: Path, model: str, detector_name: str, min_score: float) -> float:
    """Frames a second of the loop that one would write first: read, detect, one crop at a time, track."""
    from poseline.config.tracking import TrackConfig
    from poseline.core.poses import Frame, PoseSet
    from poseline.infer.detectors.build import load_detector
    from poseline.infer.networks import load_pose_network
    from poseline.track.build import build_tracker

    detector, network = load_detector(detector_name, min_score=min_score), load_pose_network(model)
    tracker, capture, count = build_tracker(TrackConfig(), network.skeleton), cv2.VideoCapture(str(clip)), 0
    started = time.perf_counter()
    while (read := capture.read())[0]:
        image = cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        (found,) = detector.detect([image])
        people = [network.estimate(image, found.bbox_xyxy[row : row + 1], found.scores[row : row + 1]) for row in range(len(found))]
        tracker.update(PoseSet.concat([*people, PoseSet.empty(network.skeleton.num_keypoints)]), Frame(image, count))
        count += 1
    return count / (time.perf_counter() - started)


def rtmlib_loop(clip: Path, model: str, detector: str, *, head: str, min_score: float) -> tuple[float, float]:
    """Frames a second and people a frame of rtmlib's tracker as its documentation has it, from a video to poses with ids.

    Args:
        clip: the video.
        model: the ONNX file of the pose network, 192x256.
        detector: the ONNX file of a YOLOX of COCO's classes, 416x416; only people are taken.
        head: ``RTMPose`` (two vectors a keypoint) or ``ViTPose`` (heat maps).
        min_score: of boxes.
    """
    rtmlib = import_module("rtmlib")  # no dependency of ours: whoever compares has it

    def solution(**options: object) -> object:
        files = {"det": detector, "det_input_size": (416, 416), "pose": model, "pose_input_size": (192, 256)}
        made = rtmlib.Custom(det_class="YOLOX", det_categories=[0], pose_class=head, **files, **options)
        made.det_model.score_thr = min_score
        return made

    with contextlib.redirect_stdout(sys.stderr):
        tracker = rtmlib.PoseTracker(solution, det_frequency=1, backend="onnxruntime", device="cpu")
    capture, count, people = cv2.VideoCapture(str(clip)), 0, 0
    started = time.perf_counter()
    while (read := capture.read())[0]:
        keypoints, _ = tracker(read[1])
        count, people = count + 1, people + len(keypoints)
    return count / (time.perf_counter() - started), people / count


def measure_rtmlib(real: Path, model: str, detector: str, frames: int, rounds: int) -> dict | None:
    """Ours, the plain loop and rtmlib, in turn; ``rtmpose-s`` is ours with random weights, ultralight a network with heat maps."""
    if find_spec("rtmlib") is None:
        print("rtmlib is not installed: nothing measured. Run `pip install --no-deps rtmlib==0.0.16 tqdm`.")
        return None
    head, boxes_file = "RTMPose" if model == "rtmpose-s" else "ViTPose", str(network_file(detector))
    rows: dict[str, list[float]] = {"frames_per_second": [], "plain_loop": [], "rtmlib": []}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, window_frames(choose_photograph(real)[0], frames), WINDOW_WH)
        rtmpose = Path(tempfile.gettempdir()) / "poseline_rtmpose_s"
        network = str(prepare("mmpose/rtmpose-small-coco-256x192", rtmpose) if head == "RTMPose" else network_file(model))
        for number in range(rounds):
            summary = run_poseline(clip, Path(folder) / str(number), network, boxes_file, "--min-score", "0.3")
            rows["frames_per_second"].append(summary["frames_per_second"])
            rows["plain_loop"].append(round(plain_loop(clip, network, boxes_file, 0.3), 2))
            rate, people = rtmlib_loop(clip, network, boxes_file, head=head, min_score=0.3)
            rows["rtmlib"].append(round(rate, 2))
    ours, plain, theirs = (float(np.median(rates)) for rates in rows.values())
    print(f"{model}: {ours:.1f} frames/s, plain loop {plain:.1f} (x{ours / plain:.2f}), rtmlib {theirs:.1f} (x{ours / theirs:.2f})")
    ratios = {"over_plain_loop": round(ours / plain, 3), "over_rtmlib": round(ours / theirs, 3)}
    counts = {"people_a_frame": round(summary["people"] / summary["frames"], 3), "rtmlib_people_a_frame": round(people, 3)}
    setting = {"model": model, "detector": detector, "frames": frames, "cores": len(os.sched_getaffinity(0))}
    medians = {"median": {"ours": ours, "plain_loop": plain, "rtmlib": theirs}}
    return {**setting, **rows, **medians, **ratios, **counts, "parts": summary["parts"]}


def network_file(name: str) -> Path:
    """The ONNX file of a name of the catalogue, which must lie in the folder of weights; or the file itself."""
    return Path(name) if Path(name).is_file() else get_file(find_entry(name))


def measure_speed(real: Path, model: str, detector: str, frames: int, rounds: int) -> dict:
    """Ours and the plain loop, in turn."""
    photograph, _ = choose_photograph(real)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, window_frames(photograph, frames), WINDOW_WH)
        ours, plain, parts = [], [], {}
        for number in range(rounds):
            summary = run_poseline(clip, Path(folder) / f"out{number}", model, detector, "--min-score", "0.3")
            ours.append(summary["frames_per_second"])
            parts = summary["parts"]
            plain.append(round(plain_loop(clip, model, detector, 0.3), 2))
    result = {"model": model, "detector": detector, "people": PEOPLE, "frames": frames, "cores": len(os.sched_getaffinity(0))}
    ratio = float(np.median(ours) / np.median(plain))
    print(f"{model} + {detector}: {np.median(ours):.1f} frames/s, plain loop {np.median(plain):.1f}: x{ratio:.2f}")
    return {**result, "frames_per_second": ours, "plain_loop": plain, "ratio": round(ratio, 3), "parts": parts}


def measure_ids(real: Path, model: str, detector: str, frames: int) -> dict:
    """AP, and switches of id of the people of the photograph, whose places in each frame are known; detecting in every N-th frame."""
    photograph, boxes = choose_photograph(real)
    image = cv2.imread(str(photograph))
    matrices = [window_matrix(t, (image.shape[1], image.shape[0])) for t in range(frames)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, window_frames(photograph, frames), WINDOW_WH)
        truth = window_truth(real, photograph.name, matrices, Path(folder) / "truth.json")
        for every in (1, 2, 4):
            out = Path(folder) / f"out{every}"
            rate = run_poseline(clip, out, model, detector, "--detect-every", str(every))["frames_per_second"]
            lines = [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()]
            row = {"detect_every": every, **count_switches(lines, boxes, matrices), "ap": clip_ap(truth, lines), "frames_per_second": rate}
            print(f"{model} + {detector}, {row}")
            rows.append(row)
    return {"model": model, "detector": detector, "frames": frames, "people": len(boxes), "runs": rows}


def count_switches(lines: list[dict], boxes: np.ndarray, matrices: list[np.ndarray]) -> dict:
    """How often a person of the photograph is found under another id than before, or not found."""
    last: dict[int, int] = {}
    switches = missed = 0
    for line, matrix in zip(lines, matrices, strict=True):
        centres = np.c_[boxes.reshape(-1, 2, 2).mean(axis=1), np.ones(len(boxes))] @ matrix.T
        for person, (x, y) in enumerate(centres):
            nearest = person_at([found for found in line["people"] if found["track_id"]], x, y)
            if nearest is None:
                missed += 1
                continue
            switches += person in last and last[person] != nearest
            last[person] = nearest
    ids = {found["track_id"] for line in lines for found in line["people"] if found["track_id"]}
    return {"switches": switches, "missed": missed, "ids": len(ids)}


def window_truth(real: Path, name: str, matrices: list[np.ndarray], target: Path) -> GroundTruth:
    """The photograph's annotated people in every frame, by the window's own motion."""
    content = json.loads((real / "coco/person_keypoints.json").read_text())
    (image_id,) = [image["id"] for image in content["images"] if image["file_name"] == name]
    people, annotations = [entry for entry in content["annotations"] if entry["image_id"] == image_id], []
    for t, matrix in enumerate(matrices):
        for person in people:
            points = np.array(person["keypoints"], float).reshape(-1, 3)
            moved = np.c_[points[:, :2], np.ones(len(points))] @ matrix.T
            x, y, width, height = person["bbox"]
            corners = np.array([[x, y, 1], [x + width, y, 1], [x, y + height, 1], [x + width, y + height, 1]]) @ matrix.T
            low, size = corners.min(axis=0), np.ptp(corners, axis=0)
            keypoints = np.where(points[:, 2:] > 0, np.c_[moved, points[:, 2:]], 0).ravel().tolist()
            area = person["area"] * abs(float(np.linalg.det(matrix[:, :2])))
            places = {"id": len(annotations) + 1, "image_id": t, "bbox": [*low.tolist(), *size.tolist()], "area": area}
            annotations.append({**person, **places, "keypoints": keypoints})
    images = [{"id": t, "file_name": f"{t}.jpg", "width": WINDOW_WH[0], "height": WINDOW_WH[1]} for t in range(len(matrices))]
    target.write_text(json.dumps({"images": images, "annotations": annotations, "categories": content["categories"]}))
    return read_ground_truth(target)


def clip_ap(truth: GroundTruth, lines: list[dict]) -> float:
    """COCO's AP over the frames."""
    found = [(line["frame_index"], person) for line in lines for person in line["people"]]
    keypoints = np.array([person["keypoints"] for _, person in found], np.float32).reshape(len(found), -1, 3)[..., :2]
    scores = np.array([person["score"] for _, person in found], np.float32)
    ids = np.array([frame for frame, _ in found], np.int64)
    return round(float(score_coco(truth, Predictions.from_arrays(truth, ids, keypoints=keypoints, scores=scores)).metrics["ap"]), 4)


def person_at(people: list[dict], x: float, y: float) -> int | None:
    """Id of the person whose box's centre is nearest to a place, of those whose box holds it."""
    best, found = np.inf, None
    for person in people:
        left, top, width, height = person["bbox"]
        off = (left + width / 2 - x, top + height / 2 - y)
        if abs(off[0]) < width / 2 and abs(off[1]) < height / 2 and np.hypot(*off) < best:
            best, found = np.hypot(*off), person["track_id"]
    return found


def measure_memory(model: str, counts: tuple[int, int]) -> dict:
    """Peak memory of a short and a long clip of one small image that moves."""
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            clip = Path(folder) / f"{count}.mp4"
            write_clip(clip, (np.roll(image, t, axis=1) for t in range(count)), (160, 120))
            summary = run_poseline(clip, Path(folder) / f"out{count}", model, "whole", "--set", "track.min_pose_score=0")
            peaks[str(count)] = summary["peak_mb"]
            print(f"{count} frames: peak {summary['peak_mb']} MB, {summary['people']} people, {summary['frames_per_second']} frames/s")
    short, long = (peaks[str(count)] for count in counts)
    return {"model": model, "peak_mb": peaks, "growth": round(long / short - 1, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["speed", "rtmlib", "ids", "memory"])
    parser.add_argument("--real", type=Path, default=Path(os.environ.get("POSELINE_REAL", "../shared/real")))
    parser.add_argument("--model", default="ultralight")
    parser.add_argument("--detector", default="yolox-nano")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs=2, default=[500, 20_000])
    given = parser.parse_args()
    match given.kind:
        case "speed":
            result = measure_speed(given.real, given.model, given.detector, given.frames, given.rounds)
        case "rtmlib":
            result = measure_rtmlib(given.real, given.model, given.detector, given.frames, given.rounds)
        case "ids":
            result = measure_ids(given.real, given.model, given.detector, given.frames)
        case "memory":
            result = measure_memory(given.model, tuple(given.counts))
    if result is None:
        return
    name = given.kind + (f"_{given.model}" if given.kind == "rtmlib" else "")
    path = Path(__file__).resolve().parents[1] / "reports/benchmarks" / f"pose_{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
