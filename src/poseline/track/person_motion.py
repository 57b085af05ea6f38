"""A person's motion: Kalman filters on the box and on the keypoints' offsets from the box centre.

Coordinates of a track, in order: centre x, centre y, log width, log height, then (x, y) of each keypoint's offset from the centre.
Offsets keep the limbs with the body while nobody sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Real

from poseline.config.tracking import ByteposeConfig
from poseline.core.poses import PoseSet
from poseline.track import kalman
from poseline.track.kalman import MotionState

MIN_SIDE_PX = 1.0
BOX = 4  # coordinates before the keypoints' own


@dataclass(frozen=True)
class PersonMotion:
    """Predicts and corrects the motion of all tracks at once."""

    config: ByteposeConfig
    sigmas: Float[np.ndarray, " K"]

    def start(self, poses: PoseSet, seen: Bool[np.ndarray, "N K"]) -> MotionState:
        """New tracks standing still at these poses. A keypoint not ``seen`` starts at the centre with a noise of half the person's size."""
        measurement, noise = self._measure(poses, seen)
        size = _size(measurement)
        noise = np.where(np.isfinite(noise), noise, 0.5 * size)
        measurement[:, BOX:] = np.where(np.repeat(seen, 2, axis=1), measurement[:, BOX:], 0)
        velocity_noise = np.broadcast_to(_scaled(0.1, size, measurement.shape[1]), measurement.shape)
        return kalman.start(measurement, noise, velocity_noise=velocity_noise)

    def predict(self, state: MotionState, step: int, lost: Real[np.ndarray, " T"]) -> MotionState:
        """The tracks ``step`` frames later; velocities of tracks unseen (``lost`` frames > 0) die away."""
        size = _size(state.position)
        acceleration = _scaled(self.config.acceleration, size, state.position.shape[1])
        damping = np.full_like(state.position, self.config.pose_damping**step)
        damping[:, :BOX] = np.where(lost > 0, self.config.lost_damping**step, 1.0)[:, None]
        damping[:, 2:BOX] *= (lost == 0)[:, None]
        predicted = kalman.predict(state, step, acceleration=acceleration, damping=damping)
        predicted.position[:, 2:BOX] = np.clip(predicted.position[:, 2:BOX], np.log(MIN_SIDE_PX), 12.0)
        return predicted

    def correct(self, state: MotionState, poses: PoseSet, seen: Bool[np.ndarray, "T K"]) -> MotionState:
        """The tracks after one pose each."""
        return kalman.correct(state, *self._measure(poses, seen))

    def _measure(self, poses: PoseSet, seen: Bool[np.ndarray, "N K"]) -> tuple[np.ndarray, np.ndarray]:
        bbox = poses.bbox_xyxy.astype(np.float64)
        centre = (bbox[:, :2] + bbox[:, 2:]) / 2
        side = np.maximum(bbox[:, 2:] - bbox[:, :2], MIN_SIDE_PX)
        offsets = poses.keypoints.astype(np.float64) - centre[:, None]
        measurement = np.concatenate([centre, np.log(side), offsets.reshape(len(poses), 2 * poses.num_keypoints)], axis=1)
        size = _size(measurement)
        noise = _scaled(self.config.box_noise, size, BOX)
        spread = self.config.keypoint_noise * self.sigmas / self.sigmas.mean()
        keypoint_noise = size * spread / np.clip(poses.keypoint_scores.astype(np.float64), 0.1, 1)
        keypoint_noise = np.where(seen, keypoint_noise, np.inf)
        return measurement, np.concatenate([noise, np.repeat(keypoint_noise, 2, axis=1)], axis=1)


def boxes_of(state: MotionState) -> Float[np.ndarray, "T 4"]:
    """The tracks' boxes, corners in pixels."""
    half = np.exp(state.position[:, 2:BOX]) / 2
    centre = state.position[:, :2]
    return np.concatenate([centre - half, centre + half], axis=1)


def keypoints_of(state: MotionState) -> Float[np.ndarray, "T K 2"]:
    """The tracks' keypoints in pixels."""
    offsets = state.position[:, BOX:]
    return np.asarray(offsets.reshape(len(offsets), offsets.shape[1] // 2, 2) + state.position[:, None, :2])


def move(state: MotionState, matrix: Float[np.ndarray, "2 3"]) -> MotionState:
    """The tracks in the next image's coordinates, where the camera's motion is x -> A x + b (a similarity: rotation, scale, shift)."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    growth = float(np.sqrt(abs(np.linalg.det(linear))))

    if not len(state.position):
        return state

    def turn(array: np.ndarray) -> np.ndarray:
        turned = array.copy()
        turned[:, :2] = array[:, :2] @ linear.T
        turned[:, BOX:] = (array[:, BOX:].reshape(len(array), -1, 2) @ linear.T).reshape(array[:, BOX:].shape)
        return turned

    position = turn(state.position)
    position[:, :2] += shift
    position[:, 2:BOX] += np.log(max(growth, 1e-6))
    return replace(state, position=position, velocity=turn(state.velocity))


def _size(position: Float[np.ndarray, "T D"]) -> Float[np.ndarray, "T 1"]:
    """Root of the box area in pixels."""
    return np.asarray(np.exp(position[:, 2:BOX].mean(axis=1, keepdims=True)))


def _scaled(fraction: float, size: Float[np.ndarray, "T 1"], dimensions: int) -> Float[np.ndarray, "T D"]:
    """A fraction of the person's size for pixel coordinates, the bare fraction for the two logarithms."""
    scaled = np.repeat(fraction * size, dimensions, axis=1)
    scaled[:, 2:BOX] = fraction
    return scaled
