"""Search of tracker parameters on the PoseTrack training videos, with the trained model's own poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from poseline.artifacts import BBOX_COLUMNS, Layout, write_json
from poseline.config import Params, config_hash
from poseline.config.params import Yaml
from poseline.config.tracking import TrackConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.boxes import detected_boxes
from poseline.datasets.coco_format import read_detections
from poseline.datasets.images import read_image_size
from poseline.datasets.posetrack.files import read_folder
from poseline.datasets.posetrack.scoring import score_pose_tracking, score_posetrack
from poseline.datasets.sets import dataset_config, split_files
from poseline.errors import DataError
from poseline.infer.predict import predict_boxes, settle_rule
from poseline.infer.runtime import load_estimator
from poseline.mini.detector import SimulatedDetector
from poseline.mini.scene import Person
from poseline.models.device import resolve_device
from poseline.track.submission import track_submission
from poseline.track.tune import TuneResult, check_apart, tune
from poseline.track.videos import Video, frame_poses, list_videos, track_poses

Metric = Literal["hota", "mota", "idf1"]
SCORED_JOINTS = 15


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes:
        overrides: ``track.a.b`` -> value of the best candidate, empty where nothing beat the start.
        start_score: of the present parameters on all training videos.
        score: of the best.
        num_videos: training videos.
        summary: what reports/track_tuning.json holds.
    """

    overrides: dict[str, Yaml]
    start_score: float
    score: float
    num_videos: int
    summary: dict[str, Yaml]


def run(
    params: Params,
    layout: Layout,
    device: str,
    name: str,
    *,
    candidates: int,
    seed: int,
    metric: Metric = "hota",
    detections: Path | None = None,
) -> Tuning:
    """Write reports/track_tuning.json; the parameters that raise ``metric`` most on the training videos.

    The poses are those of data/model in detections on the training pictures. Without a file of them they are simulated from the
    true boxes by the rule that draws mini's detections (jitter, misses that last, doubles, false alarms; see ``simulate_boxes``).

    Raises:
        DataError: training and val share a video, or annotations are missing.
        ArtifactError: there is no trained model.
    """
    config = dataset_config(params.data, name)
    (part, train), (_, val) = split_files(config, "train", name=name), split_files(config, "val", name=name)
    if train.resolve() == val.resolve():
        raise DataError(f"{train}: data.sets.{name}.train and val are the same. Tune on other videos than those reported.")
    videos = {video.sequence.name: video for video in list_videos(train, part.images)}
    reported = list(read_folder(val))
    check_apart(list(videos), reported)
    skeleton = load_skeleton("posetrack17")
    boxes = simulate_boxes(list(videos.values()), seed) if detections is None else read_boxes(detections, list(videos.values()), params)
    estimator = load_estimator(params.predict, layout.model, resolve_device(device))
    params = settle_rule(params, estimator.saved)
    table = predict_boxes(estimator, boxes, skeleton, params.predict)
    poses = {name: frame_poses(video, table) for name, video in videos.items()}

    def objective(track: TrackConfig, names: Sequence[str]) -> float:
        return score_config(track, {name: videos[name] for name in names}, poses, metric)

    result = tune(params.track, objective, sequences=list(videos), reported=reported, num_candidates=candidates, seed=seed)
    found = summarise(result, len(videos), params.track)
    found.summary.update(metric=metric, seed=seed, candidates=candidates, detections=str(detections or "simulated"))
    write_json(layout.root / "reports/track_tuning.json", found.summary)
    return found


def score_config(config: TrackConfig, videos: Mapping[str, Video], poses: Mapping[str, list[PoseSet]], metric: Metric) -> float:
    """One figure of a tracker on some videos."""
    skeleton = load_skeleton("posetrack17")
    truth = {name: video.sequence for name, video in videos.items()}
    tracked = {
        name: track_submission(video.sequence, track_poses(config, video, poses[name], skeleton), config)[0]
        for name, video in videos.items()
    }
    if metric == "mota":
        return score_posetrack(truth, tracked, mode="strict").metrics["mota"]
    return score_pose_tracking(truth, tracked).metrics[metric]


def summarise(result: TuneResult, num_videos: int, start: TrackConfig) -> Tuning:
    """The search in figures: the best candidate's parameters and every trial."""
    final = [trial for trial in result.trials if trial.num_sequences == num_videos]
    start_score = next(trial.score for trial in final if trial.candidate == 0)
    best = min((trial for trial in final if trial.score == result.score), key=lambda trial: trial.candidate)
    overrides: dict[str, Yaml] = {f"track.{name}": value for name, value in best.parameters.items()}
    trials: list[Yaml] = [
        {"candidate": trial.candidate, "videos": trial.num_sequences, "score": trial.score, "parameters": dict(trial.parameters)}
        for trial in result.trials
    ]
    summary: dict[str, Yaml] = {
        "kind": start.kind, "start": config_hash(start), "videos": num_videos, "start_score": start_score, "score": result.score,
        "overrides": dict(overrides), "trials": trials,
    }  # fmt: skip
    return Tuning(overrides, start_score, result.score, num_videos, summary)


def read_boxes(path: Path, videos: Sequence[Video], params: Params) -> pd.DataFrame:
    """The detections of a file as a box table."""
    pictures = pd.DataFrame(
        [row for video in videos for row in _picture_rows(video)], columns=["image_id", "image_path", "video_id", "frame_index"]
    )
    return detected_boxes(read_detections(path, pictures), pictures, min_score=params.predict.min_box_score)


def simulate_boxes(videos: Sequence[Video], seed: int) -> pd.DataFrame:
    """Detections drawn from the true boxes, each video from (seed, its place): mini's detector rule.

    How much of a person can be seen, which the rule asks for, is taken to be the share of labelled joints.
    """
    rows: list[dict[str, object]] = []
    for place, video in enumerate(videos):
        detector = SimulatedDetector(np.random.default_rng([seed, place]), read_image_size(video.images[0]))
        for frame, picture in zip(video.sequence.frames, _picture_rows(video), strict=True):
            for one in detector.detect(_visible_people(frame.people)):
                x, y, width, height = one.bbox_xywh
                corners = dict(zip(BBOX_COLUMNS, np.array([x, y, x + width, y + height], dtype=np.float32), strict=True))
                rows.append({**picture, "boxes": "detections", "annotation_id": -1, **corners, "bbox_score": np.float32(one.score)})
    return pd.DataFrame(rows)


def _picture_rows(video: Video) -> list[dict[str, object]]:
    return [
        {"image_id": image_id, "image_path": path.as_posix(), "video_id": video.sequence.name, "frame_index": index}
        for image_id, path, index in zip(video.image_ids, video.images, video.frame_indices, strict=True)
    ]


def _visible_people(people: PoseSet) -> list[Person]:
    """The people with a box, as the detector's rule wants them."""
    found = []
    for row in range(len(people)):
        x1, y1, x2, y2 = np.rint(people.bbox_xyxy[row]).astype(int).tolist()
        share = float((people.visibility[row] > 0).sum()) / SCORED_JOINTS
        if x2 > x1 and y2 > y1 and share > 0:
            mask = np.ones((y2 - y1, x2 - x1), dtype=bool)
            points, unlabelled = np.zeros((21, 2)), np.zeros(21, dtype=np.uint8)
            track_id = int(people.track_ids[row])
            found.append(Person(points, unlabelled, (x1, y1), mask, np.zeros(4), visible_fraction=min(share, 1.0), track_id=track_id))
    return found
