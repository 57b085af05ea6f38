"""Search of tracker parameters on the training videos, with the trained model's own poses.

Candidates are drawn at random from a seed and selected by successive halving over the videos.

Reference:
    Jamieson and Talwalkar, Non-stochastic Best Arm Identification, AISTATS 2016 (successive halving).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from poseline.artifacts import BBOX_COLUMNS, Layout, write_json
from poseline.config import Params, config_hash
from poseline.config.params import Yaml, describe_validation_error
from poseline.config.tracking import TrackConfig
from poseline.core.poses import PoseSet
from poseline.core.skeletons import load_skeleton
from poseline.datasets.boxes import detected_boxes
from poseline.datasets.coco_format import read_detections
from poseline.datasets.images import read_image_size
from poseline.datasets.posetrack.files import read_folder
from poseline.datasets.posetrack.scoring import score_pose_tracking, score_posetrack
from poseline.datasets.sets import dataset_config, split_files
from poseline.errors import ConfigError, DataError
from poseline.infer.predict import predict_boxes
from poseline.infer.runtime import load_estimator
from poseline.mini.detector import SimulatedDetector
from poseline.mini.scene import Person
from poseline.models.device import resolve_device
from poseline.progress import follow
from poseline.project import located
from poseline.track.base import Space, Value
from poseline.track.build import track_video, tracker_class
from poseline.track.videos import Video, frame_poses, list_videos, track_submission

Metric = Literal["hota", "mota", "idf1"]
Objective = Callable[[TrackConfig, Sequence[str]], float]
SCORED_JOINTS = 15


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes:
        overrides: ``track.a.b`` -> value of the best candidate, empty where nothing beat the start.
        start_score: of the present parameters on all training videos.
        score: of the best candidate on the same videos.
        num_videos: training videos.
        summary: what reports/track_tuning.json holds.
    """

    overrides: dict[str, Yaml]
    start_score: float
    score: float
    num_videos: int
    summary: dict[str, Yaml]


def tune(
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
    """The parameters that raise ``metric`` most on the training videos; also written to reports/track_tuning.json.

    The poses are those of data/model in detections on the training images. Without a file of them, detections are simulated from the
    ground-truth boxes by the rule that draws mini's (jitter, misses that last, duplicates, false positives; see ``simulate_boxes``).

    Raises:
        DataError: training and val share a video, or annotations are missing.
        ArtifactError: there is no trained model.
    """
    config = dataset_config(params.data, name)
    (part, train), (_, val) = split_files(config, "train", name=name), split_files(config, "val", name=name)
    if train.resolve() == val.resolve():
        raise DataError(f"{train}: data.sets.{name}.train and val are the same. Tune on other videos than those reported.")
    videos = {video.sequence.name: video for video in list_videos(train, located(part.images))}
    reported = list(read_folder(val))
    check_apart(list(videos), reported)
    skeleton = load_skeleton("posetrack17")
    shown = list(videos.values())
    boxes = simulate_boxes(shown, seed) if detections is None else read_boxes(detections, shown, min_score=params.predict.min_box_score)
    estimator = load_estimator(params.predict, layout.model, resolve_device(device))
    table = predict_boxes(estimator, boxes, skeleton, params.predict.nms)
    poses = {name: frame_poses(video, table) for name, video in videos.items()}

    def objective(track: TrackConfig, names: Sequence[str]) -> float:
        return score_config(track, {name: videos[name] for name in names}, poses, metric)

    result = search(params.track, objective, sequences=list(videos), reported=reported, num_candidates=candidates, seed=seed)
    found = summarise(result, len(videos), params.track)
    found.summary.update(metric=metric, seed=seed, candidates=candidates, detections=str(detections or "simulated"))
    write_json(layout.root / "reports/track_tuning.json", found.summary)
    return found


def score_config(config: TrackConfig, videos: Mapping[str, Video], poses: Mapping[str, list[PoseSet]], metric: Metric) -> float:
    """One metric of a tracker on some videos."""
    skeleton = load_skeleton("posetrack17")
    ground_truth = {name: video.sequence for name, video in videos.items()}
    tracked = {}
    for name, video in videos.items():
        found = track_video(config, skeleton, poses[name], frame_indices=video.frame_times, images=video.read_images())
        tracked[name], _ = track_submission(video.sequence, found, min_keypoint_score=config.min_keypoint_score)
    if metric == "mota":
        return score_posetrack(ground_truth, tracked, mode="strict").metrics["mota"]
    return score_pose_tracking(ground_truth, tracked).metrics[metric]


def summarise(result: SearchResult, num_videos: int, start: TrackConfig) -> Tuning:
    """The best candidate's parameters, and every trial for the report."""
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


@dataclass(frozen=True)
class Trial:
    """One evaluation: candidate number (0 is the starting configuration), parameters, sequences seen, score."""

    candidate: int
    parameters: dict[str, Value]
    num_sequences: int
    score: float


@dataclass(frozen=True)
class SearchResult:
    """The best configuration on all sequences, its score, and every evaluation in order."""

    config: TrackConfig
    score: float
    trials: tuple[Trial, ...]


def search(
    config: TrackConfig,
    objective: Objective,
    *,
    sequences: Sequence[str],
    reported: Collection[str],
    space: Space | None = None,
    num_candidates: int = 32,
    keep: float = 1 / 3,
    seed: int = 0,
) -> SearchResult:
    """The configuration that scores best over ``sequences``.

    All candidates run on a few sequences, the best third on three times as many, and so on; the last ones run on all. The starting
    configuration is never dropped, so the result is never worse than it on ``sequences``.

    Args:
        config: where to start; it also gives every parameter outside the space.
        objective: score of a configuration on some sequences, higher is better.
        sequences: names of the sequences to tune on.
        reported: names of those whose score will be reported; they must not be among ``sequences``.
        space: what to draw for each parameter (``bytepose.match_threshold``); by default the search space of the tracker's kind.
        num_candidates: configurations drawn, besides the first.
        keep: fraction of the candidates that goes on to the next round.
        seed: of the draws and of the order of the sequences.

    Raises:
        DataError: no sequences, or some of the reported ones among them.
        ConfigError: a parameter that does not exist or a value out of its range; nothing to tune for this kind.
    """
    check_apart(sequences, reported)
    rng = np.random.default_rng(seed)
    order = [sequences[i] for i in rng.permutation(len(sequences))]
    drawn = draw_candidates(config, num_candidates, rng, space)
    configs = [override(config, parameters) for parameters in drawn]
    alive, trials = list(range(len(drawn))), []
    for num_sequences in _budgets(len(order), len(drawn), keep):
        rounds = follow(alive, f"{num_sequences} videos each", total=len(alive), unit="candidates")
        scores = {candidate: float(objective(configs[candidate], order[:num_sequences])) for candidate in rounds}
        trials += [Trial(candidate, drawn[candidate], num_sequences, score) for candidate, score in scores.items()]
        ranked = sorted(alive, key=lambda candidate: (-scores[candidate], candidate))
        alive = sorted({0, *ranked[: max(1, round(len(ranked) * keep))]})
    return SearchResult(configs[ranked[0]], scores[ranked[0]], tuple(trials))


def draw_candidates(config: TrackConfig, count: int, rng: np.random.Generator, space: Space | None = None) -> list[dict[str, Value]]:
    """No changes, and then ``count`` random choices of dotted parameters; by default from the search space of the tracker's kind.

    Raises:
        ConfigError: nothing to tune for this kind.
    """
    if space is None:
        space = {f"{config.kind}.{name}": values for name, values in tracker_class(config.kind).search_space.items()}
    if not space:
        raise ConfigError(f"track tune: kind '{config.kind}' has no search space. Choose another --kind.")
    return [{}, *({name: space[name].draw(rng) for name in space} for _ in range(count))]


def check_apart(sequences: Collection[str], reported: Collection[str]) -> None:
    """Refuse to tune on what will be reported.

    Raises:
        DataError: no sequences, or some of the reported ones among them.
    """
    shared = sorted(set(sequences) & set(reported))
    if shared or not sequences:
        what = f"'{shared[0]}' is to be reported" if shared else "no sequences"
        raise DataError(f"track tune: {what}. Tune on other sequences than those reported (the training split).")


def override(config: TrackConfig, parameters: Mapping[str, Value]) -> TrackConfig:
    """The configuration with some dotted parameters changed.

    Raises:
        ConfigError: unknown parameter, or a value out of range.
    """
    raw = config.model_dump()
    for name, value in parameters.items():
        node = raw
        *parents, leaf = name.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    try:
        return TrackConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"track tune: {describe_validation_error(error)}") from None


def _budgets(num_sequences: int, num_candidates: int, keep: float) -> list[int]:
    """Sequences used in each round, rising to all of them."""
    rounds = 1 + int(np.ceil(np.log(max(num_candidates, 1)) / -np.log(keep)))
    budgets = {max(1, int(np.ceil(num_sequences * keep**back))) for back in range(rounds)}
    return sorted(budgets)


def read_boxes(path: Path, videos: Sequence[Video], *, min_score: float) -> pd.DataFrame:
    """The detections of a file as a box table."""
    images = pd.DataFrame(
        [row for video in videos for row in _image_rows(video)], columns=["image_id", "image_path", "video_id", "frame_index"]
    )
    return detected_boxes(read_detections(path, images), images, min_score=min_score)


def simulate_boxes(videos: Sequence[Video], seed: int) -> pd.DataFrame:
    """Detections drawn from the ground-truth boxes by mini's detector rule; the seed of each video is (seed, its position).

    The visible fraction of a person, which the rule needs, is taken to be the fraction of labelled joints.
    """
    rows: list[dict[str, object]] = []
    for place, video in enumerate(videos):
        detector = SimulatedDetector(np.random.default_rng([seed, place]), read_image_size(video.images[0]))
        for frame, image in zip(video.sequence.frames, _image_rows(video), strict=True):
            for one in detector.detect(_visible_people(frame.people)):
                x, y, width, height = one.bbox_xywh
                corners = dict(zip(BBOX_COLUMNS, np.array([x, y, x + width, y + height], dtype=np.float32), strict=True))
                rows.append({**image, "boxes": "detections", "annotation_id": -1, **corners, "bbox_score": np.float32(one.score)})
    return pd.DataFrame(rows)


def _image_rows(video: Video) -> list[dict[str, object]]:
    return [
        {"image_id": image_id, "image_path": path.as_posix(), "video_id": video.sequence.name, "frame_index": index}
        for image_id, path, index in zip(video.image_ids, video.images, video.frame_indices, strict=True)
    ]


def _visible_people(people: PoseSet) -> list[Person]:
    """The people with a box, as the simulated detector takes them."""
    found = []
    for row in range(len(people)):
        x1, y1, x2, y2 = np.rint(people.bbox_xyxy[row]).astype(int).tolist()
        visible = float((people.visibility[row] > 0).sum()) / SCORED_JOINTS
        if x2 > x1 and y2 > y1 and visible > 0:
            mask = np.ones((y2 - y1, x2 - x1), dtype=bool)
            points, unlabelled = np.zeros((21, 2)), np.zeros(21, dtype=np.uint8)
            track_id = int(people.track_ids[row])
            found.append(Person(points, unlabelled, (x1, y1), mask, np.zeros(4), visible_fraction=min(visible, 1.0), track_id=track_id))
    return found
