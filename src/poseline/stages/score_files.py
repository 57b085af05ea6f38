"""Scores of official files, apart from the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from poseline.config.params import Yaml
from poseline.data.posetrack_files import read_folder
from poseline.metrics.coco_ap import score_coco
from poseline.metrics.coco_files import read_results, read_truth
from poseline.metrics.mpii_files import read_mpii_predictions, read_mpii_truth
from poseline.metrics.pckh import score_pckh
from poseline.metrics.posetrack_score import score_posetrack

FileProtocol = Literal["coco", "mpii", "posetrack"]


def score_files(
    protocol: FileProtocol, truth: Path, predictions: Path, *, mode: Literal["poseval", "strict"] = "poseval"
) -> dict[str, Yaml]:
    """The metrics of official prediction files as fractions, headline numbers at the top level.

    Raises:
        DataError: a file is missing, damaged or against its format.
    """
    match protocol:
        case "coco":
            coco = read_truth(truth)
            return cast("dict[str, Yaml]", dict(score_coco(coco, read_results(predictions, coco)).metrics))
        case "mpii":
            mpii = read_mpii_truth(truth)
            found = score_pckh(read_mpii_predictions(predictions, mpii), mpii.keypoints, mpii.missing, mpii.head_size)
            return cast("dict[str, Yaml]", {**found.metrics, "joints": found.joints})
        case "posetrack":
            score = score_posetrack(read_folder(truth), read_folder(predictions), mode=mode)
            tables = score.as_dict()
            return cast("dict[str, Yaml]", {**cast("dict[str, Yaml]", tables.pop("metrics")), **tables})
