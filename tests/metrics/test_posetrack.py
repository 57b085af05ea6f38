"""The PoseTrack protocol on hand-made videos whose figures can be counted on fingers."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from poseline.core.poses import PoseSet
from poseline.datasets.posetrack.evaluate import list_tables
from poseline.datasets.posetrack.files import PoseTrackFrame, PoseTrackSequence
from poseline.datasets.posetrack.frames import inside_polygon
from poseline.datasets.posetrack.scoring import score_posetrack
from poseline.errors import DataError
from poseline.metrics.posetrack import JOINTS, PoseTrackScore

Spot = tuple[int, float] | tuple[int, float, float]
HEAD = 10.0
SQUARE = np.array([[-50.0, -50], [150, -50], [150, 400], [-50, 400]])


def draw_video(
    frames: Sequence[Sequence[Spot]], *, heads: bool = True, labelled: Sequence[bool] | None = None,
    regions: tuple[np.ndarray, ...] = (), name: str = "a", form: str = "2018", scores: float = 0.9,
) -> PoseTrackSequence:  # fmt: skip
    """People as (track id, x of the left edge, shift in head sizes); the 17 keypoints lie in a column 20 px apart."""
    made = []
    for t, people in enumerate(frames):
        count = len(people)
        keypoints = np.zeros((count, 17, 2))
        for i, (_, x, *shift) in enumerate(people):
            keypoints[i] = np.stack([np.full(17, x + (shift[0] * HEAD * 0.6 * 2**0.5 if shift else 0)), np.arange(17) * 20.0], axis=1)
        poses = PoseSet(
            keypoints=keypoints, keypoint_scores=scores - 0.01 * np.arange(count)[:, None] - np.full((count, 17), 0.001 * t),
            bbox_xyxy=np.tile([0.0, 0, 100, 320], (count, 1)),
            track_ids=np.array([person[0] for person in people], dtype=np.int64),
        )  # fmt: skip
        head = np.tile([0.0, 0, HEAD, HEAD] if heads else [-1.0] * 4, (count, 1))
        made.append(PoseTrackFrame(t, f"images/{name}/{t:06d}.jpg", t, labelled is None or labelled[t], regions, poses, head))
    return PoseTrackSequence(name, tuple(made), form)  # type: ignore[arg-type]


def score(ground_truth: Sequence[Sequence[Spot]], predicted: Sequence[Sequence[Spot]], mode: str = "poseval", **options) -> PoseTrackScore:
    return score_posetrack({"a": draw_video(ground_truth, **options)}, {"a": draw_video(predicted, heads=False)}, mode=mode)  # type: ignore[arg-type]


TWO = [(0, 100.0), (1, 500.0)]


def test_a_perfect_prediction_scores_one_everywhere() -> None:
    metrics = score([TWO] * 5, [TWO] * 5, "strict").metrics
    assert metrics == dict.fromkeys(metrics, pytest.approx(1.0))


def test_poseval_leaves_the_last_frame_out_of_tracking_and_strict_does_not() -> None:
    predicted = [TWO] * 4 + [[]]
    assert score([TWO] * 5, predicted).metrics["mota"] == pytest.approx(1.0)
    assert score([TWO] * 5, predicted).metrics["map"] == pytest.approx(0.8)
    assert score([TWO] * 5, predicted, "strict").metrics["mota"] == pytest.approx(0.8)


def test_poseval_counts_a_frame_without_predictions_as_one_dummy() -> None:
    predicted = [TWO, [], TWO, TWO, TWO]
    assert score([TWO] * 5, predicted).metrics["mota"] == pytest.approx(1 - 2 / 7)
    assert score([TWO] * 5, predicted, "strict").metrics["mota"] == pytest.approx(0.8)


def test_a_frame_without_people_is_free_in_poseval_and_counted_in_strict_if_labelled() -> None:
    ground_truth, predicted = [TWO, [], TWO, TWO, TWO], [TWO] * 5
    assert score(ground_truth, predicted).metrics["precision"] == pytest.approx(1.0)
    assert score(ground_truth, predicted, "strict").metrics["precision"] == pytest.approx(0.8)
    assert score(ground_truth, predicted, "strict").metrics["ap_precision"] == pytest.approx(0.8)
    unlabelled = score(ground_truth, predicted, "strict", labelled=[True, False, True, True, True])
    assert unlabelled.metrics["precision"] == pytest.approx(1.0)


def test_one_switch_in_eight_objects_costs_an_eighth() -> None:
    swapped = [(0, 100.0), (7, 500.0)]
    assert score([TWO] * 5, [TWO, TWO, swapped, swapped, swapped]).metrics["mota"] == pytest.approx(0.875)


def test_motp_counts_candidates_and_matches_in_poseval_and_matches_in_strict() -> None:
    shifted = [(0, 100.0, 0.2), (1, 500.0, 0.2)]
    assert score([TWO] * 3, [shifted] * 3).metrics["motp"] == pytest.approx(0.6, abs=1e-6)
    assert score([TWO] * 3, [shifted] * 3, "strict").metrics["motp"] == pytest.approx(0.8, abs=1e-6)


def test_a_joint_beyond_half_a_head_is_wrong_in_both_scores() -> None:
    near, far = [(0, 100.0, 0.49), (1, 500.0)], [(0, 100.0, 0.51), (1, 500.0)]
    assert score([TWO] * 3, [near] * 3).metrics["recall"] == pytest.approx(1.0)
    assert score([TWO] * 3, [far] * 3).metrics["recall"] == pytest.approx(0.5)
    assert score([TWO] * 3, [far] * 3).metrics["ap_recall"] == pytest.approx(0.5)


def test_points_inside_an_ignore_region_do_not_count_on_either_side() -> None:
    extra = [*TWO, (9, 50.0)]
    outside = score([[(1, 500.0)]] * 3, [[(1, 500.0), (9, 50.0)]] * 3, "strict", regions=(SQUARE,))
    assert outside.metrics["precision"] == pytest.approx(1.0)
    inside = score([TWO] * 3, [extra] * 3, "strict", regions=(SQUARE,))
    assert inside.counts["nose"]["objects"] == 3


def test_predicted_tracks_of_other_ids_are_as_good() -> None:
    renamed = [(50, 100.0), (3, 500.0)]
    assert score([TWO] * 4, [renamed] * 4).metrics["mota"] == pytest.approx(1.0)


def test_people_without_points_are_dropped_in_form_2017_and_kept_in_2018() -> None:
    def blank(video: PoseTrackSequence) -> PoseTrackSequence:
        frames = []
        for frame in video.frames:
            visibility = np.zeros_like(frame.people.visibility)
            poses = PoseSet(frame.people.keypoints, frame.people.keypoint_scores, frame.people.bbox_xyxy, visibility=visibility,
                            track_ids=frame.people.track_ids)  # fmt: skip
            frames.append(PoseTrackFrame(frame.image_id, frame.file_name, frame.frame_index, True, (), poses, frame.head_xyxy))
        return PoseTrackSequence(video.name, tuple(frames), video.form)

    ground_truth = {"a": draw_video([TWO] * 3)}
    for form, misses in (("2018", 4), ("2017", 2)):
        predicted = {"a": blank(draw_video([[(0, 100.0)]] * 3, heads=False, form=form))}
        assert score_posetrack(ground_truth, predicted).counts["nose"]["misses"] == misses


def test_a_joint_the_truth_lacks_is_undefined_in_strict_and_zero_in_poseval() -> None:
    video = draw_video([TWO] * 3)
    frames = []
    for frame in video.frames:
        visibility = frame.people.visibility.copy()
        visibility[:, 0] = 0
        poses = PoseSet(frame.people.keypoints, frame.people.keypoint_scores, frame.people.bbox_xyxy, visibility=visibility,
                        track_ids=frame.people.track_ids)  # fmt: skip
        frames.append(PoseTrackFrame(frame.image_id, frame.file_name, frame.frame_index, True, (), poses, frame.head_xyxy))
    noseless = {"a": PoseTrackSequence("a", tuple(frames))}
    assert score_posetrack(noseless, noseless).metrics["map"] == pytest.approx(14 / 15)
    strict = score_posetrack(noseless, noseless, mode="strict")
    assert strict.metrics["map"] == pytest.approx(1.0)
    assert list_tables(strict).joints["nose"]["ap"] is None


def test_parts_are_means_of_their_joints_and_the_total_is_the_joint_mean() -> None:
    result = score([TWO] * 4, [[(0, 100.0, 0.6), (1, 500.0)]] * 4)
    parts = result.table.parts
    assert list(parts) == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Total"]
    assert parts["Head"]["mota"] == pytest.approx(np.mean([result.table.joints[j]["mota"] for j in ("head_top", "head_bottom", "nose")]))
    assert parts["Total"]["ap"] == result.metrics["map"]


def test_the_dictionary_is_plain_json() -> None:
    text = json.dumps(list_tables(score([TWO] * 3, [TWO] * 3)).model_dump(mode="json"), allow_nan=False)
    assert set(json.loads(text)["joints"]) == set(JOINTS)


def frames_of(video: PoseTrackSequence, *positions: int) -> PoseTrackSequence:
    return PoseTrackSequence(video.name, tuple(video.frames[i] for i in positions))


def test_videos_and_frames_must_correspond() -> None:
    video = draw_video([TWO] * 4)
    with pytest.raises(DataError, match=r"lack 1 \(a\)"):
        score_posetrack({"a": video}, {})
    with pytest.raises(DataError, match=r"add 1 \(b\)"):
        score_posetrack({"a": video}, {"a": video, "b": video})
    with pytest.raises(DataError, match="no video"):
        score_posetrack({}, {})
    with pytest.raises(DataError, match="3 predicted frames, the ground truth has 4"):
        score_posetrack({"a": video}, {"a": frames_of(video, 0, 1, 2)})
    with pytest.raises(DataError, match=r"000003\.jpg where the ground truth has .*000002\.jpg"):
        score_posetrack({"a": frames_of(video, 0, 1, 2)}, {"a": frames_of(video, 0, 1, 3)})


@pytest.mark.parametrize(("people", "message"), [
    ([(-1, 100.0)], "without a track id"),
    ([(4, 100.0), (4, 300.0)], "occurs twice"),
    ([(10_000, 100.0)], "below 10000"),
])  # fmt: skip
def test_bad_track_ids_are_named(people: list[Spot], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score([TWO] * 2, [people] * 2)


def test_strict_takes_large_track_ids() -> None:
    assert score([TWO] * 2, [[(123_456, 100.0), (1, 500.0)]] * 2, "strict").metrics["mota"] == pytest.approx(1.0)


def test_truth_without_head_box_or_without_people_is_an_error() -> None:
    with pytest.raises(DataError, match="head box"):
        score([TWO] * 2, [TWO] * 2, heads=False)
    with pytest.raises(DataError, match="annotated joint"):
        score([[]] * 2, [TWO] * 2)


def test_a_single_frame_has_ap_but_no_tracking_in_poseval() -> None:
    metrics = score([TWO], [TWO]).metrics
    assert metrics["map"] == pytest.approx(1.0)
    assert np.isnan(metrics["mota"])
    assert score([TWO], [TWO], "strict").metrics["mota"] == pytest.approx(1.0)


def test_polygons_are_even_odd_and_their_border_is_outside() -> None:
    bow = np.array([[0.0, 0], [2, 2], [2, 0], [0, 2]])
    points = np.array([[0.5, 1.0], [1.5, 1.0], [1.0, 0.2], [1.0, 1.0], [2.0, 1.0]])
    assert inside_polygon(points, bow).tolist() == [True, True, False, False, False]
    assert not inside_polygon(points, bow[:2]).any()
