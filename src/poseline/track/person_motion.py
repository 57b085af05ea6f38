"""A person's motion: Kalman filters on the box and on the keypoints' offsets from the box centre.

Coordinates of a track, in order: centre x, centre y, log width, log height, then (x, y) of each keypoint's offset from the centre.
Offsets keep the limbs with the body while nobody sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import gammaln

from poseline.config.tracking import ByteposeConfig
from poseline.core.poses import PoseSet
from poseline.track import kalman
from poseline.track.kalman import MotionState

MIN_SIDE_PX = 1.0
BOX = 4  # coordinates before the keypoints' own
CLIPPED_AT, CLIPPED_MEAN = 9.0, 0.995  # squared standard deviations, and the mean of a normal one's square clipped there
NOISE_MEMORY = 100  # sightings after which the stream's own noise counts as much as the configured one
FOLLOW_GAIN = 3.0  # how quickly the acceleration follows the innovations' signs
LOG_SIDE_NOISE = (2.0, 1.0)  # a walker's box changes its width with every step
LOG_SIDE = 0.4  # a person's sides change less than the place: acceleration and start speed of their logarithms against sizes


@dataclass(frozen=True, eq=False)
class Sightings:
    """Poses as the filters measure them, N rows, D coordinates.

    Attributes:
        position: the coordinates.
        box_unit: [N, 4], what the box's noise is a fraction of.
        keypoint_noise: [N, D - 4], standard deviations; infinite for keypoints not seen.
    """

    position: Float[np.ndarray, "N D"]
    box_unit: Float[np.ndarray, "N 4"]
    keypoint_noise: Float[np.ndarray, "N L"]

    def __len__(self) -> int:
        """Number of poses, N."""
        return len(self.position)

    def select(self, index: np.ndarray) -> Sightings:
        """The poses at these indices."""
        return Sightings(self.position[index], self.box_unit[index], self.keypoint_noise[index])


@dataclass(frozen=True)
class PersonMotion:
    """Predicts and corrects the motion of all tracks at once. Velocities are per second, noise grows with the person's size."""

    config: ByteposeConfig
    sigmas: Float[np.ndarray, " K"]
    noise_scale: float = 1.0
    acceleration_scale: float = 1.0

    def observe(
        self, state: MotionState, sightings: Sightings, last: Float[np.ndarray, "T 2"]
    ) -> tuple[PersonMotion, Float[np.ndarray, "T 2"]]:
        """The same physics, its noise led towards what these tracks' next sightings show, and the sightings' innovations.

        Innovations as wide as expected tell that the noise is right; that they follow the last ones' signs (``last``, 0: unknown)
        tells that people are quicker than thought. Clipped squares and signs are robust to wrong pairs.

        Reference:
            Mehra, On the Identification of Variances and Adaptive Kalman Filtering, IEEE TAC 1970 (white innovations).
        """
        variance = state.variance[:, :BOX] + self._box_noise(sightings) ** 2
        innovation = (sightings.position[:, :BOX] - state.position[:, :BOX]) / np.sqrt(variance)
        rate = len(sightings) / (len(sightings) + NOISE_MEMORY)
        ratio = float(np.mean(np.minimum(innovation**2, CLIPPED_AT))) / CLIPPED_MEAN
        follows = float(np.mean(np.sign(innovation[:, :2] * last)))
        most = self.config.max_noise_scale
        return replace(
            self,
            noise_scale=float(np.clip(self.noise_scale * max(ratio, 0.1) ** (rate / 2), 1 / most, most)),
            acceleration_scale=float(np.clip(self.acceleration_scale * np.exp(FOLLOW_GAIN * rate * follows), 1 / most, most)),
        ), innovation[:, :2]

    def start(self, sightings: Sightings) -> MotionState:
        """New tracks standing still at these poses. A keypoint not seen starts at the centre with a noise of half the person's size."""
        size = _size(sightings.position)
        noise = self._noise(sightings)
        position = np.where(np.isfinite(noise), sightings.position, 0)
        noise = np.where(np.isfinite(noise), noise, 0.5 * size)
        return kalman.start(position, noise, velocity_noise=_scaled(self.config.start_speed, size, position.shape[1]))

    def predict(self, state: MotionState, seconds: float, lost: Bool[np.ndarray, " T"]) -> MotionState:
        """The tracks ``seconds`` later; velocities of the tracks that were not seen last (``lost``) die away."""
        size = _size(state.position)
        acceleration = _scaled(self.noise_scale * self.acceleration_scale * self.config.acceleration, size, state.position.shape[1])
        damping = np.full_like(state.position, np.exp(-seconds / self.config.pose_velocity_seconds))
        damping[:, :BOX] = np.where(lost, np.exp(-seconds / self.config.lost_velocity_seconds), 1.0)[:, None]
        damping[:, 2:BOX] *= ~lost[:, None]
        predicted = kalman.predict(state, seconds, acceleration=acceleration, damping=damping)
        predicted.position[:, 2:BOX] = np.clip(predicted.position[:, 2:BOX], np.log(MIN_SIDE_PX), 12.0)
        return predicted

    def correct(self, state: MotionState, sightings: Sightings) -> MotionState:
        """The tracks after one pose each."""
        return kalman.correct(state, sightings.position, self._noise(sightings))

    def log_density(self, state: MotionState, sightings: Sightings) -> Float[np.ndarray, "T N"]:
        """Log density of each pose's box where each track is expected, per person size squared and log side squared.

        The innovations follow a t distribution: people start, stop and turn more often than a normal one allows.
        """
        size = _size(state.position)
        unit = np.concatenate([size, size, np.ones_like(size), np.ones_like(size)], axis=1)
        innovation = (sightings.position[None, :, :BOX] - state.position[:, None, :BOX]) / unit[:, None]
        variance = (state.variance[:, None, :BOX] + self._box_noise(sightings)[None] ** 2) / unit[:, None] ** 2
        squared = (innovation**2 / variance).sum(axis=-1)
        freedom = self.config.degrees_of_freedom
        scale = gammaln((freedom + BOX) / 2) - gammaln(freedom / 2) - BOX / 2 * np.log(freedom * np.pi)
        density: Float[np.ndarray, "T N"] = scale - (freedom + BOX) / 2 * np.log1p(squared / freedom) - np.log(variance).sum(axis=-1) / 2
        return density

    def expected_shift(self, state: MotionState, sightings: Sightings) -> Float[np.ndarray, "P 2"]:
        """How far each of P tracks would be moved by its pose, pixels: all the way where the track is uncertain."""
        gain = state.variance[:, :2] / (state.variance[:, :2] + self._box_noise(sightings)[:, :2] ** 2)
        return np.asarray(gain * (sightings.position[:, :2] - state.position[:, :2]))

    def measure(self, poses: PoseSet, seen: Bool[np.ndarray, "N K"]) -> Sightings:
        """The poses as the filters measure them; ``seen`` tells which keypoints."""
        bbox = poses.bbox_xyxy.astype(np.float64)
        centre = (bbox[:, :2] + bbox[:, 2:]) / 2
        side = np.maximum(bbox[:, 2:] - bbox[:, :2], MIN_SIDE_PX)
        offsets = poses.keypoints.astype(np.float64) - centre[:, None]
        position = np.concatenate([centre, np.log(side), offsets.reshape(len(poses), 2 * poses.num_keypoints)], axis=1)
        unit = np.concatenate([side, np.broadcast_to(LOG_SIDE_NOISE, side.shape)], axis=1)
        spread = self.config.keypoint_noise * self.sigmas / self.sigmas.mean()
        noise = _size(position) * spread / np.clip(poses.keypoint_scores.astype(np.float64), 0.1, 1)
        return Sightings(position, unit, np.repeat(np.where(seen, noise, np.inf), 2, axis=1))

    def _box_noise(self, sightings: Sightings) -> Float[np.ndarray, "N 4"]:
        """Standard deviations of the boxes' coordinates."""
        return self.noise_scale * self.config.box_noise * sightings.box_unit

    def _noise(self, sightings: Sightings) -> Float[np.ndarray, "N D"]:
        """Standard deviations of all coordinates; infinite for keypoints not seen."""
        return np.concatenate([self._box_noise(sightings), sightings.keypoint_noise], axis=1)


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
    return np.asarray(np.exp((position[:, 2:3] + position[:, 3:BOX]) / 2))


def _scaled(fraction: float, size: Float[np.ndarray, "T 1"], dimensions: int) -> Float[np.ndarray, "T D"]:
    """A fraction of the person's size for pixel coordinates; LOG_SIDE of the fraction for the two logarithms."""
    scaled = np.repeat(fraction * size, dimensions, axis=1)
    scaled[:, 2:BOX] = fraction * LOG_SIDE
    return scaled
