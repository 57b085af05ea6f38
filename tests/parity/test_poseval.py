"""PoseTrack figures against those that poseval (4258a15, py-motmetrics 1.4) wrote for a drawn pair of videos."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from poseline.datasets.posetrack.files import read_folder, write_sequence
from poseline.datasets.posetrack.scoring import score_posetrack
from poseline.metrics.posetrack import METRICS, MetricTable, PoseTrackScore
from poseline.metrics.posetrack_ap import average_precision

ARCHIVE = Path(__file__).parent / "golden/poseval.tar.gz"
# What NumPy's default argsort makes of ties where the reference ran; another processor's may be another.
RECORDED = [1, 3, 6, 8, 11, 13, 18, 16, 21, 26, 31, 28]
TIES = np.array([1.0, 0.5, 1.0, 0.5, 1.0] * 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("poseval")
    shutil.unpack_archive(ARCHIVE, root)
    return root / "poseval"


@pytest.fixture(scope="module")
def score(folder: Path) -> PoseTrackScore:
    return score_posetrack(read_folder(folder / "gt"), read_folder(folder / "pred"))


def expected_rows(folder: Path, name: str) -> dict[str, np.ndarray]:
    ap = json.loads((folder / f"out/{name}_AP_metrics.json").read_text())
    mot = json.loads((folder / f"out/{name}_MOT_metrics.json").read_text())
    rows = (ap["ap"], ap["pre"], ap["rec"], mot["mota"], mot["motp"], mot["pre"], mot["rec"])
    return {metric: np.array(row) / 100 for metric, row in zip(METRICS, rows, strict=True)}


def table_of(score: PoseTrackScore, name: str) -> MetricTable:
    return score.table if name == "total" else score.sequences[name].table


@pytest.mark.parametrize("name", ["total", "000522_mpii_test", "000523_mpii_test"])
@pytest.mark.parametrize("metric", METRICS)
def test_every_figure_of_poseval_is_met(folder: Path, score: PoseTrackScore, name: str, metric: str) -> None:
    table = table_of(score, name)
    got = np.append(table.values[METRICS.index(metric)], table.totals["map" if metric == "ap" else metric])
    expected = expected_rows(folder, name)[metric]
    if metric == "ap":
        low, high = tie_bounds(score, name)
        assert np.all((low - 1e-9 <= got[:15]) & (got[:15] <= high + 1e-9))
        assert np.all((low - 1e-9 <= expected[:15]) & (expected[:15] <= high + 1e-9))
        if sorts_like_the_reference():
            np.testing.assert_allclose(in_reference_order(score, name), expected[:15], rtol=0, atol=1e-8)
    else:
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-8)


def sorts_like_the_reference() -> bool:
    return np.argsort(TIES)[:12].tolist() == RECORDED


def in_reference_order(score: PoseTrackScore, name: str) -> list[float]:
    """AP of every joint with ties as poseval has them on the machine where the reference ran: the order alone is ours."""
    videos = list(score.sequences) if name == "total" else [name]
    parts = [score.sequences[video].detections for video in sorted(videos, reverse=True)]
    row = []
    for j in range(15):
        own = np.concatenate([part.present[:, j] for part in parts])
        order = np.argsort(np.concatenate([part.scores[:, j] for part in parts])[own])[::-1]
        labels = np.concatenate([part.labels[:, j] for part in parts])[own]
        row.append(average_precision(labels[order], int(sum(part.num_ground_truth[j] for part in parts)))[0])
    return row


def tie_bounds(score: PoseTrackScore, name: str) -> tuple[np.ndarray, np.ndarray]:
    """AP of every joint where each tie falls as badly, and as well, as it can."""
    videos = score.sequences.values() if name == "total" else [score.sequences[name]]
    parts = [video.detections for video in videos]
    bounds = []
    for sign in (1, -1):
        row = []
        for j in range(15):
            own = np.concatenate([part.present[:, j] for part in parts])
            scores = np.concatenate([part.scores[:, j] for part in parts])[own]
            labels = np.concatenate([part.labels[:, j] for part in parts])[own]
            order = np.lexsort((sign * labels, -scores))
            row.append(average_precision(labels[order], int(sum(part.num_ground_truth[j] for part in parts)))[0])
        bounds.append(row)
    return np.array(bounds[0]), np.array(bounds[1])


def test_our_own_writer_changes_no_figure(folder: Path, score: PoseTrackScore, tmp_path: Path) -> None:
    for side in ("gt", "pred"):
        for name, sequence in read_folder(folder / side).items():
            write_sequence(tmp_path / side / f"{name}.json", sequence)
    again = score_posetrack(read_folder(tmp_path / "gt"), read_folder(tmp_path / "pred"))
    np.testing.assert_array_equal(again.table.values[3:], score.table.values[3:])
    np.testing.assert_allclose(again.table.values[:3], score.table.values[:3], rtol=0, atol=1e-12)


def test_the_order_of_the_videos_does_not_matter(folder: Path, score: PoseTrackScore) -> None:
    ground_truth, predicted = read_folder(folder / "gt"), read_folder(folder / "pred")
    turned = score_posetrack(dict(reversed(ground_truth.items())), predicted)
    np.testing.assert_array_equal(turned.table.values, score.table.values)
