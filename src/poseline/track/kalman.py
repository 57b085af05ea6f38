"""Constant-velocity Kalman filters of many scalars at once: one filter for each coordinate of each track."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class MotionState:
    """Mean and covariance of position and velocity; D independent coordinates of T tracks.

    Attributes:
        position: float64 [T, D].
        velocity: float64 [T, D], per frame.
        variance: float64 [T, D], of the position.
        covariance: float64 [T, D], of position and velocity.
        velocity_variance: float64 [T, D].
    """

    position: Float[np.ndarray, "T D"]
    velocity: Float[np.ndarray, "T D"]
    variance: Float[np.ndarray, "T D"]
    covariance: Float[np.ndarray, "T D"]
    velocity_variance: Float[np.ndarray, "T D"]

    def select(self, index: np.ndarray) -> MotionState:
        """The tracks at these indices."""
        return MotionState(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def join(self, other: MotionState) -> MotionState:
        """These tracks and then the other's."""
        return MotionState(**{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)})

    def replace_rows(self, rows: np.ndarray, other: MotionState) -> MotionState:
        """The same tracks with ``rows`` taken from ``other`` (one for each row)."""
        values = {}
        for f in fields(self):
            array = getattr(self, f.name).copy()
            array[rows] = getattr(other, f.name)
            values[f.name] = array
        return MotionState(**values)


def start(
    measurement: Float[np.ndarray, "T D"], noise: Float[np.ndarray, "T D"], *, velocity_noise: Float[np.ndarray, "T D"]
) -> MotionState:
    """Filters at rest on their first measurement; ``noise`` and ``velocity_noise`` are standard deviations."""
    zeros = np.zeros_like(measurement)
    return MotionState(measurement.copy(), zeros, noise**2, zeros.copy(), velocity_noise**2)


def predict(state: MotionState, step: float, *, acceleration: Float[np.ndarray, "T D"], damping: Float[np.ndarray, "T D"]) -> MotionState:
    """The state ``step`` frames later under white acceleration; the velocity shrinks by ``damping`` (for the whole step).

    Reference:
        Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and Navigation, 6.3.2 (piecewise white acceleration).
    """
    power = acceleration**2
    return MotionState(
        position=state.position + step * state.velocity,
        velocity=damping * state.velocity,
        variance=state.variance + 2 * step * state.covariance + step**2 * state.velocity_variance + power * step**4 / 4,
        covariance=damping * (state.covariance + step * state.velocity_variance) + power * step**3 / 2,
        velocity_variance=damping**2 * state.velocity_variance + power * step**2,
    )


def correct(state: MotionState, measurement: Float[np.ndarray, "T D"], noise: Float[np.ndarray, "T D"]) -> MotionState:
    """The state after a measurement; a coordinate with infinite ``noise`` (standard deviation) was not measured and stays."""
    innovation_variance = state.variance + noise**2
    gain = state.variance / innovation_variance
    velocity_gain = state.covariance / innovation_variance
    innovation = measurement - state.position
    return MotionState(
        position=state.position + gain * innovation,
        velocity=state.velocity + velocity_gain * innovation,
        variance=(1 - gain) * state.variance,
        covariance=(1 - gain) * state.covariance,
        velocity_variance=state.velocity_variance - velocity_gain * state.covariance,
    )
