"""What people do: joint angles of each action as a function of its phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from poseline.mini.anatomy import Angles

Action = Literal["stand", "walk", "run", "sit", "reach", "wave", "jump", "lie", "squat", "hips", "arms_up"]

#: How often each action is drawn in stills.
ACTION_WEIGHTS: dict[Action, float] = {
    "stand": 0.20, "walk": 0.22, "run": 0.12, "sit": 0.09, "reach": 0.10, "wave": 0.08, "jump": 0.05, "lie": 0.02, "squat": 0.03,
    "hips": 0.05, "arms_up": 0.04,
}  # fmt: skip


@dataclass(frozen=True)
class Motion:
    """One person's way of doing one action.

    Attributes:
        action: what is done.
        style: [26] degrees added to the action's angles.
        mirrored: whether the leading side is the right one.
        vigour: scale of the swing.
    """

    action: Action
    style: Float[np.ndarray, " 26"]
    mirrored: bool
    vigour: float


def draw_motion(rng: np.random.Generator, action: Action | None = None) -> Motion:
    """A way of moving at random."""
    if action is None:
        names = list(ACTION_WEIGHTS)
        shares = np.array([ACTION_WEIGHTS[name] for name in names])
        action = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    spread = np.array([2, 2, 4, 4, 6, 9, 20, 6, 9, 9, 6, 6, 14, 14, 14, 14, 5, 5, 3, 3, 5, 5, 5, 5, 5, 5])
    style = np.clip(rng.normal(size=26), -2.2, 2.2) * spread
    if action == "stand" and rng.random() < 0.5:
        # A bent arm or two: a phone, a cup, crossed arms.
        style[14 + int(rng.integers(2))] += rng.uniform(40, 95)
        style[12:14] += rng.uniform(-10, 45, 2)
    return Motion(action, style, bool(rng.random() < 0.5), float(rng.uniform(0.75, 1.2)))


def angles_at(motion: Motion, phase: float) -> Angles:
    """The pose at a phase (1 = one cycle)."""
    base = _BASES[motion.action](2 * np.pi * phase, motion.vigour)
    values = base.vector()
    if motion.mirrored:
        values = values.copy()
        values[8:] = values[8:].reshape(-1, 2)[:, ::-1].ravel()
        values[[1, 3, 4, 6, 7]] *= -1
    return Angles.from_vector(values + motion.style)


def lift_at(motion: Motion, phase: float) -> float:
    """Metres between the lowest point of the body and the ground."""
    if motion.action == "jump":
        return 0.28 * motion.vigour * (0.5 + 0.5 * float(np.sin(2 * np.pi * phase)))
    if motion.action == "run":
        return 0.06 * abs(float(np.sin(2 * np.pi * phase)))
    return 0.0


def _stand(phase: float, vigour: float) -> Angles:
    return Angles(side=2 * np.sin(phase), shoulder_flex=(2, -2), hip_flex=(2, 2), knee=(4, 8))


def _gait(phase: float, vigour: float, stride: float, arms: float, bend: float) -> tuple[tuple[float, float], ...]:
    swing = np.array([np.sin(phase), np.sin(phase + np.pi)])
    lag = np.array([np.cos(phase), np.cos(phase + np.pi)])
    hip = 6 + stride * vigour * swing
    knee = 8 + bend * vigour * np.clip(lag, 0, 1) + 6 * np.clip(-swing, 0, 1)
    arm = -arms * vigour * swing
    ankle = 14 * np.clip(-swing - 0.3, 0, 1)
    return tuple((float(pair[0]), float(pair[1])) for pair in (hip, knee, arm, ankle))


def _walk(phase: float, vigour: float) -> Angles:
    hip, knee, arm, ankle = _gait(phase, vigour, 27, 24, 42)
    return Angles(lean=4, twist=-5 * float(np.sin(phase)), hip_flex=hip, knee=knee, shoulder_flex=arm, elbow=(18, 18), ankle=ankle)


def _run(phase: float, vigour: float) -> Angles:
    hip, knee, arm, ankle = _gait(phase, vigour, 44, 46, 85)
    return Angles(lean=13, twist=-10 * float(np.sin(phase)), hip_flex=hip, knee=knee, shoulder_flex=arm, elbow=(88, 88), ankle=ankle)


def _sit(phase: float, vigour: float) -> Angles:
    return Angles(
        lean=8 + 8 * float(np.sin(phase)), hip_flex=(82, 86), hip_abduct=(9, 9), knee=(82, 88), shoulder_flex=(28, 35), elbow=(48, 62),
        shoulder_turn=(20, 20), hip_turn=(8, 8),
    )  # fmt: skip


def _reach(phase: float, vigour: float) -> Angles:
    up = 90 + 40 * float(np.sin(phase))
    return Angles(
        lean=10, side=-4, head_pitch=-6, shoulder_flex=(up, 5), shoulder_abduct=(20, 12), elbow=(18, 25), hip_flex=(12, -4), knee=(10, 6)
    )


def _wave(phase: float, vigour: float) -> Angles:
    beat = 22 * float(np.sin(phase)) * vigour
    return Angles(
        shoulder_abduct=(95, 9), shoulder_flex=(20, 3), shoulder_turn=(-30, 12), elbow=(85 + beat, 16), hip_flex=(2, 3), knee=(4, 7)
    )


def _jump(phase: float, vigour: float) -> Angles:
    up = 0.5 + 0.5 * float(np.sin(phase))
    tuck = 18 + 45 * (1 - up)
    return Angles(
        shoulder_abduct=(55 + 75 * up, 55 + 75 * up), shoulder_turn=(0, 0), elbow=(25, 30), hip_flex=(tuck, tuck * 0.8),
        hip_abduct=(14, 14), knee=(tuck * 1.4, tuck * 1.5), ankle=(25, 25),
    )  # fmt: skip


def _lie(phase: float, vigour: float) -> Angles:
    raised = 18 + 14 * float(np.sin(phase))
    return Angles(pelvis_pitch=-86, lean=4, shoulder_abduct=(40, 22), elbow=(40, 25), hip_flex=(raised, 8), knee=(35, 12), ankle=(25, 25))


def _squat(phase: float, vigour: float) -> Angles:
    deep = 70 + 28 * float(np.sin(phase))
    return Angles(
        lean=24, shoulder_flex=(50, 55), elbow=(45, 40), hip_flex=(deep, deep), hip_abduct=(16, 16), hip_turn=(15, 15),
        knee=(deep * 1.15, deep * 1.1), ankle=(-18, -18),
    )  # fmt: skip


def _hips(phase: float, vigour: float) -> Angles:
    return Angles(
        shoulder_abduct=(42, 42), shoulder_flex=(-14, -14), shoulder_turn=(62, 62), elbow=(100, 100), hip_flex=(0, 6), knee=(3, 9)
    )


def _arms_up(phase: float, vigour: float) -> Angles:
    bend = 20 + 18 * float(np.sin(phase))
    return Angles(shoulder_abduct=(140, 140), shoulder_flex=(10, 10), shoulder_turn=(0, 0), elbow=(bend, 24), knee=(4, 4))


_BASES = {
    "stand": _stand, "walk": _walk, "run": _run, "sit": _sit, "reach": _reach, "wave": _wave, "jump": _jump, "lie": _lie,
    "squat": _squat, "hips": _hips, "arms_up": _arms_up,
}  # fmt: skip
