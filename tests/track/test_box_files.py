"""Boxes without keypoints in, MOT results out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from poseline.cli import app
from poseline.config.tracking import TrackConfig
from poseline.datasets.mot.files import read_mot
from poseline.errors import ConfigError, DataError
from poseline.track.box_files import read_box_videos, scale_scores, track_boxes

RUNNER = CliRunner()


def _walk(frames: int = 30, scale: float = 1.0) -> list[tuple[int, list[float], float]]:
    """Two people walking towards each other, and a false positive in one frame."""
    rows = []
    for t in range(1, frames + 1):
        rows += [(t, [100.0 + 4 * t, 100.0, 40.0, 100.0], 0.9 * scale), (t, [500.0 - 4 * t, 110.0, 42.0, 104.0], 0.8 * scale)]
    return [*rows, (frames // 2, [300.0, 400.0, 40.0, 100.0], 0.3 * scale)]


def _det(path: Path, rows: list[tuple[int, list[float], float]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{t},-1,{','.join(map(str, box))},{score},-1,-1,-1\n" for t, box, score in rows))
    return path


@pytest.mark.parametrize("kind", ["bytepose", "poseflow", "poseflow_published"])
@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_a_mot_detection_file_becomes_a_mot_result(kind: str, scale: float, tmp_path: Path) -> None:
    """Scores of any scale; the result can be read as any other tracker's."""
    counts = track_boxes(TrackConfig(kind=kind), _det(tmp_path / "clip.txt", _walk(scale=scale)), tmp_path / "out")
    result = read_mot(tmp_path / "out/clip.txt")
    people = result.track_ids[np.isin(result.bbox_xyxy[:, 1], (100, 110))]
    assert len(np.unique(people)) == 2
    assert len(people) == 60
    assert counts["boxes"] == len(result.frames)
    assert (counts["boxes"], counts["left_out"]) in {(60, 1), (61, 0)}
    assert result.confidence.max() == pytest.approx(0.9 * scale, rel=1e-5)


def test_a_list_of_boxes_gives_the_same_as_the_text_file(tmp_path: Path) -> None:
    rows = _walk()
    listed = [{"image_id": t, "category_id": 1, "bbox": box, "score": score} for t, box, score in rows]
    (tmp_path / "clip.json").write_text(json.dumps(listed))
    track_boxes(TrackConfig(), tmp_path / "clip.json", tmp_path / "a")
    track_boxes(TrackConfig(), _det(tmp_path / "clip.txt", rows), tmp_path / "b")
    assert (tmp_path / "a/clip.txt").read_text() == (tmp_path / "b/clip.txt").read_text()


def test_a_sequence_folder_names_the_video_and_its_frame_rate(tmp_path: Path) -> None:
    path = _det(tmp_path / "Street-1/det/det.txt", _walk())
    (tmp_path / "Street-1/seqinfo.ini").write_text("[Sequence]\nname=Street-1\nframeRate=7\n")
    (video,) = read_box_videos(path)
    assert (video.name, video.frames_per_second) == ("Street-1", 7.0)
    done = RUNNER.invoke(app, ["track", "--boxes", str(path), "--out", str(tmp_path / "out"), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["frames"] == 30
    assert (tmp_path / "out/Street-1.txt").is_file()


def test_the_frame_rate_decides_how_long_a_track_is_kept(tmp_path: Path) -> None:
    """20 frames unseen are .8 s at 25/s and 4 s at 5/s."""
    rows = [(t, [100.0, 100.0, 40.0, 100.0], 0.9) for t in (*range(1, 20), *range(40, 60))]
    path = _det(tmp_path / "clip.txt", rows)
    tracks = [
        track_boxes(TrackConfig(frames_per_second=rate), path, tmp_path / f"{rate}", known_rate=True)["tracks"] for rate in (25.0, 5.0)
    ]
    assert tracks == [1, 2]


def test_scores_come_onto_one_scale_in_their_order() -> None:
    assert scale_scores(np.array([0.1, 1.0])).tolist() == [0.1, 1.0]
    assert np.argsort(scale_scores(np.array([5.0, -1.0, 3.0]))).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "no boxes"),
        ("a.json", "[]", "got an empty list"),
        ("a.txt", "1,-1,2,3\n", "4 columns"),
        ("a.json", '[{"image_id": 1, "bbox": [1, 2, 3, 4], "keypoints": [1, 2, 1]}]', "Give lists of poses as --predictions"),
        ("a.json", '[{"image_id": 1, "bbox": [1, 2, 3]}]', "bbox"),
        ("a.json", '[{"image_id": -1, "bbox": [1, 2, 3, 4]}]', "frame number"),
    ],
)
def test_bad_files_are_refused_in_one_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        track_boxes(TrackConfig(), tmp_path / name, tmp_path / "out")


def test_boxes_go_alone(tmp_path: Path) -> None:
    path = _det(tmp_path / "clip.txt", _walk())
    for more in (["--predictions", str(path)], ["--frames", str(tmp_path)], ["--video"], []):
        done = RUNNER.invoke(app, ["track", "--boxes", str(path), *more])
        assert isinstance(done.exception, ConfigError)
    with pytest.raises(DataError, match="would replace"):
        track_boxes(TrackConfig(), path, tmp_path)
