"""The body: builds, joint limits and forward kinematics from joint angles to points in space.

Person axes: x to the person's left, y up, z forward; metres; the origin lies on the ground under the pelvis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

#: Allowed angles in degrees; a left limb and its right twin share them.
LIMITS_DEG: dict[str, tuple[float, float]] = {
    "pelvis_pitch": (-95, 95), "pelvis_roll": (-95, 95), "lean": (-25, 75), "side": (-25, 25), "twist": (-40, 40),
    "head_pitch": (-35, 40), "head_yaw": (-65, 65), "head_roll": (-25, 25),
    "shoulder_flex": (-55, 175), "shoulder_abduct": (-12, 165), "shoulder_turn": (-40, 90), "elbow": (2, 145),
    "hip_flex": (-30, 120), "hip_abduct": (-10, 50), "hip_turn": (-20, 40), "knee": (0, 140), "ankle": (-25, 45),
}  # fmt: skip

#: Points that may carry the body.
TOUCHING = ("left_heel", "right_heel", "left_toe", "right_toe", "pelvis", "head", "left_hand", "right_hand")


@dataclass(frozen=True)
class Build:
    """Lengths and half-widths of one body, metres."""

    stature: float
    spine: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    thigh: float
    calf: float
    foot: float
    neck: float
    head: Float[np.ndarray, " 3"]
    girth: float

    @property
    def limb(self) -> float:
        """Scale of limb thickness."""
        return self.girth * self.stature / 1.72


def draw_build(rng: np.random.Generator) -> Build:
    """A body at random: child or adult, short or tall, thin or stout."""
    child = rng.random() < 0.14
    stature = rng.uniform(1.1, 1.45) if child else float(np.clip(rng.normal(1.72, 0.09), 1.5, 1.95))
    girth = float(np.clip(rng.normal(1.0, 0.14), 0.78, 1.4))

    def part(share: float, spread: float = 0.04) -> float:
        return float(stature * share * (1 + np.clip(rng.normal(0, spread), -0.1, 0.1)))

    # A child's head is nearly an adult's; everybody's is drawn a little large so that faces keep some pixels.
    head_height = (0.115 if child else 0.122) * (1 + 0.03 * float(np.clip(rng.normal(), -2, 2)))
    return Build(
        stature=float(stature),
        spine=part(0.29), shoulder=part(0.112) * (0.93 + 0.07 * girth), hip=part(0.055), upper_arm=part(0.172), forearm=part(0.15),
        thigh=part(0.238), calf=part(0.235), foot=part(0.13), neck=part(0.055),
        head=np.array([0.72, 1.0, 0.84]) * head_height, girth=girth,
    )  # fmt: skip


@dataclass(frozen=True)
class Angles:
    """One pose in degrees. Pairs are (left, right)."""

    pelvis_pitch: float = 0.0
    pelvis_roll: float = 0.0
    lean: float = 2.0
    side: float = 0.0
    twist: float = 0.0
    head_pitch: float = 0.0
    head_yaw: float = 0.0
    head_roll: float = 0.0
    shoulder_flex: tuple[float, float] = (0.0, 0.0)
    shoulder_abduct: tuple[float, float] = (8.0, 8.0)
    shoulder_turn: tuple[float, float] = (10.0, 10.0)
    elbow: tuple[float, float] = (12.0, 12.0)
    hip_flex: tuple[float, float] = (0.0, 0.0)
    hip_abduct: tuple[float, float] = (3.0, 3.0)
    hip_turn: tuple[float, float] = (6.0, 6.0)
    knee: tuple[float, float] = (3.0, 3.0)
    ankle: tuple[float, float] = (0.0, 0.0)

    def vector(self) -> Float[np.ndarray, " 26"]:
        """All angles in a row."""
        return np.concatenate([np.atleast_1d(np.asarray(getattr(self, f.name), dtype=np.float64)) for f in fields(self)])

    @classmethod
    def from_vector(cls, values: Float[np.ndarray, " 26"]) -> Angles:
        """The pose of a row of angles, held within the joints' limits."""
        chosen: dict[str, float | tuple[float, float]] = {}
        position = 0
        for f in fields(cls):
            low, high = LIMITS_DEG[f.name]
            if isinstance(f.default, tuple):
                pair = np.clip(values[position : position + 2], low, high)
                chosen[f.name] = (float(pair[0]), float(pair[1]))
                position += 2
            else:
                chosen[f.name] = float(np.clip(values[position], low, high))
                position += 1
        return cls(**chosen)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Body:
    """Points and local axes of a posed body in some frame.

    Attributes:
        points: name -> [3].
        axes: name (pelvis, trunk, head, left_thigh, ...) -> [3, 3], columns left, up, front.
    """

    points: dict[str, Float[np.ndarray, " 3"]]
    axes: dict[str, Float[np.ndarray, "3 3"]]

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, " 3"]) -> Body:
        """The same body after a rigid motion."""
        places = np.stack(list(self.points.values())) @ rotation.T + shift
        frames = rotation @ np.stack(list(self.axes.values()))
        return Body(dict(zip(self.points, places, strict=True)), dict(zip(self.axes, frames, strict=True)))


def turn(axis: int, degrees: float) -> Float[np.ndarray, "3 3"]:
    """Right-handed rotation about the x (0), y (1) or z (2) axis."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    if axis == 0:
        return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    if axis == 1:
        return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def pose_body(build: Build, angles: Angles, *, lift: float = 0.0) -> Body:
    """The body in that pose, its lowest point ``lift`` metres above the ground."""
    pelvis_axes = turn(0, angles.pelvis_pitch) @ turn(2, angles.pelvis_roll)
    trunk_axes = pelvis_axes @ turn(1, angles.twist) @ turn(0, angles.lean) @ turn(2, angles.side)
    half_axes = pelvis_axes @ turn(1, angles.twist / 2) @ turn(0, angles.lean / 2) @ turn(2, angles.side / 2)
    head_axes = trunk_axes @ turn(1, angles.head_yaw) @ turn(0, angles.head_pitch) @ turn(2, angles.head_roll)
    points: dict[str, np.ndarray] = {"pelvis": np.zeros(3)}
    points["waist"] = half_axes[:, 1] * (0.42 * build.spine)
    points["thorax"] = points["waist"] + trunk_axes[:, 1] * (0.58 * build.spine)
    points["upper_neck"] = points["thorax"] + (0.6 * trunk_axes + 0.4 * head_axes) @ np.array([0, build.neck, 0.012])
    head_centre = points["upper_neck"] + head_axes @ np.array([0, 0.86 * build.head[1], 0.018])
    points["head"] = head_centre
    on_head = {
        "head_top": (0, 1.06, -0.05), "nose": (0, -0.12, 1.16), "left_eye": (0.40, 0.12, 0.90), "right_eye": (-0.40, 0.12, 0.90),
        "left_ear": (1.03, -0.02, -0.08), "right_ear": (-1.03, -0.02, -0.08),
    }  # fmt: skip
    for name, place in on_head.items():
        points[name] = head_centre + head_axes @ (np.asarray(place) * build.head)
    axes = {"pelvis": pelvis_axes, "trunk": trunk_axes, "head": head_axes}
    for side, (label, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        _pose_arm(build, angles, side, label, sign, points, axes)
        _pose_leg(build, angles, side, label, sign, points, axes)
    lowest = min(points[name][1] for name in TOUCHING)
    body_radius = 0.1 * build.limb if lowest == points["pelvis"][1] else 0.03
    return Body(points, axes).moved(np.eye(3), np.array([0, lift + body_radius - lowest, 0]))


def _pose_arm(
    build: Build, angles: Angles, side: int, label: str, sign: float, points: dict[str, np.ndarray], axes: dict[str, np.ndarray]
) -> None:
    trunk = axes["trunk"]
    # The collar bone lifts with the arm.
    raised = max(angles.shoulder_abduct[side], angles.shoulder_flex[side], 0) / 180
    socket = np.array([sign * build.shoulder * (1 - 0.15 * raised), -0.048 + 0.07 * raised, 0])
    points[f"{label}_shoulder"] = points["thorax"] + trunk @ socket
    upper = trunk @ turn(2, sign * angles.shoulder_abduct[side]) @ turn(0, -angles.shoulder_flex[side])
    upper = upper @ turn(1, -sign * angles.shoulder_turn[side])
    lower = upper @ turn(0, -angles.elbow[side])
    points[f"{label}_elbow"] = points[f"{label}_shoulder"] - upper[:, 1] * build.upper_arm
    points[f"{label}_wrist"] = points[f"{label}_elbow"] - lower[:, 1] * build.forearm
    points[f"{label}_hand"] = points[f"{label}_wrist"] - lower[:, 1] * (0.085 * build.stature / 1.72)
    axes[f"{label}_upper_arm"], axes[f"{label}_forearm"] = upper, lower


def _pose_leg(
    build: Build, angles: Angles, side: int, label: str, sign: float, points: dict[str, np.ndarray], axes: dict[str, np.ndarray]
) -> None:
    pelvis = axes["pelvis"]
    points[f"{label}_hip"] = pelvis @ np.array([sign * build.hip, 0, 0])
    upper = pelvis @ turn(2, sign * angles.hip_abduct[side]) @ turn(0, -angles.hip_flex[side]) @ turn(1, sign * angles.hip_turn[side])
    lower = upper @ turn(0, angles.knee[side])
    foot = lower @ turn(0, angles.ankle[side])
    points[f"{label}_knee"] = points[f"{label}_hip"] - upper[:, 1] * build.thigh
    ankle = points[f"{label}_knee"] - lower[:, 1] * build.calf
    points[f"{label}_ankle"] = ankle
    points[f"{label}_heel"] = ankle + foot @ np.array([0, -0.045, -0.03])
    points[f"{label}_toe"] = ankle + foot @ np.array([0, -0.055, build.foot - 0.03])
    axes[f"{label}_thigh"], axes[f"{label}_calf"], axes[f"{label}_foot"] = upper, lower, foot
