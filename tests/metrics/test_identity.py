"""Identity and track quality on hand-made lives; box tracks in the MOT form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poseline.datasets.mot.files import read_mot, read_mot_folder
from poseline.datasets.mot.scoring import box_frames, score_box_tracking
from poseline.errors import DataError
from poseline.metrics.identity import score_identity, score_tracks
from poseline.metrics.track_frames import TrackFrame


def life(found: str, track: int = 5) -> list[TrackFrame]:
    """One object, a frame a letter: x found, . missed."""
    return [TrackFrame(np.array([1]), np.array([track] if c == "x" else [], dtype=np.int64), np.ones((1, int(c == "x")))) for c in found]


@pytest.mark.parametrize(("found", "fragmentations", "kind"), [
    ("xxxxxxxx..", 0, "mostly_tracked"),
    ("xx..xx..xx", 2, "partially_tracked"),
    ("..x.......", 0, "mostly_lost"),
    ("xxxx.xxxxx", 1, "mostly_tracked"),
])  # fmt: skip
def test_fragmentations_and_share_of_a_life(found: str, fragmentations: int, kind: str) -> None:
    quality = score_tracks([life(found)])
    assert quality.fragmentations == fragmentations
    assert getattr(quality, kind) == 1
    assert quality.misses == found.count(".")


def test_identity_counts_add_over_sequences_and_ids_do_not_leak() -> None:
    score = score_identity([life("xxxx"), life("xx..", track=5)])
    assert (score.true_positives, score.false_positives, score.false_negatives) == (6, 0, 2)
    assert score.idr == pytest.approx(0.75)
    assert score_identity([]).idf1 == 0.0


def test_switch_events_name_the_sequence() -> None:
    quality = score_tracks([life("xx"), life("xx") + life("xx", track=6)])
    switches = [(number, match.previous_id, match.predicted_id) for number, match in quality.matches if match.previous_id is not None]
    assert switches == [(1, 5, 6)]


def test_similarity_below_the_threshold_is_no_pair() -> None:
    weak = [TrackFrame(np.array([1]), np.array([5]), np.array([[0.4]]))]
    assert score_identity([weak]).true_positives == 0
    assert score_identity([weak], threshold=0.3).true_positives == 1
    assert score_tracks([weak]).false_positives == 1


def test_distractors_and_unscored_boxes_of_the_mot_truth(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1,1,0,0,10,20,1,1,1\n1,2,100,0,10,20,1,8,1\n1,3,200,0,10,20,0,1,1\n2,1,0,0,10,20,1,1,1\n")
    (tmp_path / "res.txt").write_text("1,9,0,0,10,20,0.9,-1,-1,-1\n1,8,100,0,10,20,0.9,-1,-1,-1\n1,7,50,0,10,20,0.5,-1,-1,-1\n")
    frames = box_frames(read_mot(tmp_path / "gt.txt", ground_truth=True), read_mot(tmp_path / "res.txt"))
    assert [frame.ground_truth_ids.tolist() for frame in frames] == [[1], [1]]
    assert [frame.predicted_ids.tolist() for frame in frames] == [[9, 7], []]


def test_a_mot_folder_is_scored_against_its_results(tmp_path: Path) -> None:
    shipped = tmp_path / "truth/MOT-01/gt"
    shipped.mkdir(parents=True)
    (tmp_path / "results").mkdir()
    (shipped / "gt.txt").write_text("".join(f"{t},1,{t},0,10,20,1,1,1\n" for t in range(1, 6)))
    (tmp_path / "results/MOT-01.txt").write_text("".join(f"{t},4,{t},0,10,20,0.9,-1,-1,-1\n" for t in range(1, 6)))
    score = score_box_tracking(read_mot_folder(tmp_path / "truth", ground_truth=True), read_mot_folder(tmp_path / "results"))
    assert score.metrics["hota"] == pytest.approx(1.0)
    assert score.metrics["clear_mota"] == pytest.approx(1.0)
    with pytest.raises(DataError, match="videos differ"):
        score_box_tracking(read_mot_folder(tmp_path / "truth", ground_truth=True), {})
