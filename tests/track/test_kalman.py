from __future__ import annotations

import numpy as np
import pytest

from poseline.config.tracking import ByteposeConfig
from poseline.core.poses import PoseSet
from poseline.track import kalman
from poseline.track.person_motion import PersonMotion, boxes_of, keypoints_of, move


def _full_filter(measurements: list[float], noise: float, acceleration: float) -> tuple[np.ndarray, np.ndarray]:
    """The textbook filter with matrices, one coordinate."""
    mean, covariance = np.array([measurements[0], 0.0]), np.diag([noise**2, 1.0])
    transition, observe = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    push = np.array([[0.5], [1.0]])
    for value in measurements[1:]:
        mean, covariance = transition @ mean, transition @ covariance @ transition.T + push @ push.T * acceleration**2
        gain = covariance @ observe.T / (observe @ covariance @ observe.T + noise**2)
        mean, covariance = mean + (gain * (value - mean[0])).ravel(), (np.eye(2) - gain @ observe) @ covariance
    return mean, covariance


def test_equals_the_filter_with_matrices() -> None:
    values = [0.0, 1.2, 1.9, 3.3, 4.0, 4.8]
    mean, covariance = _full_filter(values, 0.5, 0.1)
    column = lambda value: np.array([[value]])  # noqa: E731
    state = kalman.start(column(values[0]), column(0.5), velocity_noise=column(1.0))
    for value in values[1:]:
        state = kalman.predict(state, 1, acceleration=column(0.1), damping=column(1.0))
        state = kalman.correct(state, column(value), column(0.5))
    assert np.allclose([state.position, state.velocity], mean.reshape(2, 1, 1), rtol=1e-12)
    assert np.allclose([state.variance, state.covariance, state.velocity_variance], covariance[[0, 0, 1], [0, 1, 1]].reshape(3, 1, 1))


def test_one_step_of_three_frames_moves_as_three_steps() -> None:
    start = kalman.MotionState(*(np.full((1, 1), value) for value in (5.0, 2.0, 1.0, 0.1, 0.5)))
    none, keep = np.full((1, 1), 1e-12), np.ones((1, 1))
    thrice = start
    for _ in range(3):
        thrice = kalman.predict(thrice, 1, acceleration=none, damping=keep)
    once = kalman.predict(start, 3, acceleration=none, damping=keep)
    assert np.allclose([once.position, once.variance, once.covariance], [thrice.position, thrice.variance, thrice.covariance])


def test_a_coordinate_not_measured_stays() -> None:
    state = kalman.MotionState(*(np.full((1, 2), value) for value in (5.0, 2.0, 1.0, 0.1, 0.5)))
    after = kalman.correct(state, np.array([[9.0, 9.0]]), np.array([[0.5, np.inf]]))
    assert after.position[0, 1] == 5.0
    assert after.velocity[0, 1] == 2.0
    assert after.variance[0, 1] == 1.0
    assert 5.0 < after.position[0, 0] < 9.0


def _person(num: int = 2) -> PoseSet:
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(100, 200, (num, 4, 2))
    boxes = np.concatenate([keypoints.min(axis=1) - 5, keypoints.max(axis=1) + 5], axis=1)
    return PoseSet(keypoints=keypoints, keypoint_scores=np.full((num, 4), 0.9), bbox_xyxy=boxes)


def test_a_new_track_stands_where_its_pose_is() -> None:
    poses = _person()
    physics = PersonMotion(ByteposeConfig(), np.full(4, 0.05))
    state = physics.start(physics.measure(poses, np.ones((2, 4), dtype=bool)))
    assert np.allclose(boxes_of(state), poses.bbox_xyxy, atol=1e-3)
    assert np.allclose(keypoints_of(state), poses.keypoints, atol=1e-3)


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (0.3, 1.0), (0.0, 1.4), (-0.2, 0.7)])
def test_the_cameras_motion_moves_keypoints_as_points(angle: float, scale: float) -> None:
    poses = _person()
    physics = PersonMotion(ByteposeConfig(), np.full(4, 0.05))
    state = physics.start(physics.measure(poses, np.ones((2, 4), dtype=bool)))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array([12.0, -7.0])
    moved = move(state, np.concatenate([linear, shift[:, None]], axis=1))
    assert np.allclose(keypoints_of(moved), poses.keypoints @ linear.T + shift, atol=1e-3)
    sides, before = (np.diff(boxes_of(s).reshape(-1, 2, 2), axis=1)[:, 0] for s in (moved, state))
    assert np.allclose(sides, scale * before)
