"""The MOT Challenge's protocol: HOTA, identity and CLEAR metrics of tracked boxes."""

from __future__ import annotations

from pathlib import Path

from poseline.config import ScoreConfig
from poseline.datasets.mot.files import MotTracks, read_mot_folder
from poseline.datasets.mot.scoring import score_box_tracking
from poseline.datasets.protocols import Evaluation, EvaluationProtocol, Headline
from poseline.errors import DataError
from poseline.metrics.tracking_score import TrackingScore
from poseline.metrics.video_table import tabulate_videos

TRACK_COUNTS = ("switches", "fragmentations", "mostly_tracked", "partially_tracked", "mostly_lost")
Videos = dict[str, MotTracks]


class Mot(EvaluationProtocol[Videos, Videos]):
    """Videos of boxes with ids, matched at IoU 0.5."""

    name = "mot"
    title = "MOT"
    headline = (Headline("hota", "HOTA", "Higher order tracking accuracy of boxes."), Headline("mota", "MOTA"), Headline("idf1", "IDF1"))
    gateable = r"hota|det_a|ass_a|idf1|mota"
    signed = frozenset({"mota"})
    tracked = True

    def read_ground_truth(self, path: Path, *, head_boxes: Path | None = None) -> Videos:
        """The videos of a folder (or the one of a file).

        Raises:
            DataError: a bad file, or a video without boxes.
        """
        videos = read_mot_folder(path, ground_truth=True)
        empty = [name for name, video in videos.items() if not len(video.frames)]
        if empty:
            raise DataError(f"{path}: video '{empty[0]}' has no boxes. Give the official ground truth.")
        return videos

    def read_predictions(self, path: Path, ground_truth: Videos) -> Videos:
        """The videos of a folder (or the one of a file)."""
        return read_mot_folder(path)

    def evaluate(self, ground_truth: Videos, predictions: Videos, options: ScoreConfig) -> Evaluation:
        """HOTA, identity and CLEAR metrics in total and by video."""
        score = score_box_tracking(ground_truth, predictions)
        values = score.metrics
        metrics = {name: values[name] for name in ("hota", "det_a", "ass_a", "loc_a", "idf1", "idp", "idr")}
        return Evaluation(
            metrics={**metrics, "mota": values["clear_mota"], "motp": score.tracks.similarity},
            num_images=sum(video.num_frames for video in ground_truth.values()),
            num_people=None,
            table=tabulate_videos(people=score),
            sections={"tracks": {name: int(values[name]) for name in TRACK_COUNTS}, "sequences": _by_video(score)},
        )


def _by_video(score: TrackingScore) -> dict[str, dict[str, float | int]]:
    return {
        name: {
            "hota": video.metrics["hota"],
            "idf1": video.metrics["idf1"],
            "mota": video.metrics["clear_mota"],
            "switches": int(video.metrics["switches"]),
        }
        for name, video in score.sequences.items()
    }
