"""A pinhole camera over a ground plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from poseline.mini.anatomy import Body


@dataclass(frozen=True)
class Camera:
    """Focal length and centre in pixels, height over the ground in metres, downward pitch in radians."""

    focal: float
    centre: tuple[float, float]
    height: float
    pitch: float

    def project(self, points: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 2"]:
        """Image points of camera points (right, down, away)."""
        points = np.asarray(points)
        return points[..., :2] * (self.focal / np.maximum(points[..., 2:], 0.05)) + np.asarray(self.centre)

    def place(self, body: Body, ground_xz: tuple[float, float], yaw_deg: float) -> Body:
        """A body in camera axes; it stands at ``ground_xz`` metres (right, away) and at yaw 0 faces the camera."""
        yaw = np.deg2rad(yaw_deg)
        cos, sin = np.cos(yaw), np.sin(yaw)
        # Columns: where the person's left, up and front point in (right, down, away).
        upright = np.array([[cos, 0, sin], [0, -1, 0], [sin, 0, -cos]])
        pitch = self._pitch_matrix()
        return body.moved(pitch @ upright, pitch @ np.array([ground_xz[0], self.height, ground_xz[1]]))

    def ground_point(self, ground_xz: tuple[float, float], above: float = 0.0) -> Float[np.ndarray, " 2"]:
        """Image point of a place on the ground, or ``above`` metres over it."""
        return self.project(self._pitch_matrix() @ np.array([ground_xz[0], self.height - above, ground_xz[1]]))

    @property
    def horizon(self) -> float:
        """Image row where the ground meets the sky."""
        return self.centre[1] - self.focal * float(np.tan(self.pitch))

    def _pitch_matrix(self) -> Float[np.ndarray, "3 3"]:
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def draw_camera(rng: np.random.Generator, image_wh: tuple[int, int]) -> Camera:
    """A camera at random: from a child's eye level to a balcony, looking slightly down."""
    width, height = image_wh
    raised = float(np.clip(rng.normal(1.35, 0.4), 0.5, 2.6))
    pitch = np.deg2rad(np.clip(rng.normal(4 + 4 * (raised - 1.0), 3.0), -3, 20))
    return Camera(float(rng.uniform(0.95, 1.5) * width), ((width - 1) / 2, (height - 1) / 2), raised, float(pitch))
