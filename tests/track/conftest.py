"""Drawn scenes for the trackers: walking people of known identity, with images on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from poseline.core.poses import Frame, PoseSet
from poseline.core.skeletons import Skeleton, load_skeleton
from poseline.track.base import Tracker
from poseline.track.build import track_frames

# A person standing upright, in body heights from the middle of the hips, coco17 order.
STANDING = np.array(
    [
        [0.0, -0.42], [0.02, -0.44], [-0.02, -0.44], [0.04, -0.43], [-0.04, -0.43], [0.1, -0.3], [-0.1, -0.3],
        [0.13, -0.15], [-0.13, -0.15], [0.14, 0.0], [-0.14, 0.0], [0.06, 0.0], [-0.06, 0.0],
        [0.06, 0.24], [-0.06, 0.24], [0.06, 0.46], [-0.06, 0.46],
    ]
)  # fmt: skip
SWING = np.zeros(17)
SWING[[9, 10, 13, 14, 15, 16]] = [-0.06, 0.06, 0.05, -0.05, 0.1, -0.1]
PALETTE = np.array([[220, 40, 40], [40, 60, 220], [40, 190, 60], [230, 210, 40], [180, 60, 200], [240, 240, 240], [30, 30, 30]])


@dataclass(frozen=True)
class Scene:
    """Poses of each frame, who they are (truth), and the images where drawn."""

    poses: list[PoseSet]
    truth: list[np.ndarray]
    frames: list[Frame] | None


def draw_scene(
    centres: np.ndarray,
    *,
    height: float = 120.0,
    visible: np.ndarray | None = None,
    scores: np.ndarray | float = 0.9,
    noise_px: float = 1.0,
    seed: int = 0,
    camera: np.ndarray | None = None,
    images: bool = False,
    image_wh: tuple[int, int] = (640, 360),
) -> Scene:
    """People walking along ``centres`` [P, T, 2]; ``camera`` [T, 2] shifts everything; hidden people give no pose."""
    rng = np.random.default_rng(seed)
    num_people, num_frames = centres.shape[:2]
    visible = np.ones((num_people, num_frames), dtype=bool) if visible is None else visible
    camera = np.zeros((num_frames, 2)) if camera is None else camera
    scores = np.broadcast_to(scores, (num_people, num_frames))
    background = _texture(rng, image_wh) if images else None
    poses, truth, frames = [], [], []
    for t in range(num_frames):
        phase = np.sin(0.5 * t + np.arange(num_people))
        keypoints = np.repeat(STANDING[None], num_people, axis=0)
        keypoints[..., 0] += SWING * phase[:, None]
        keypoints = keypoints * height + (centres[:, t] + camera[t])[:, None]
        if background is not None:
            frames.append(Frame(_image(background, keypoints[visible[:, t]], np.flatnonzero(visible[:, t]), camera[t], image_wh), t))
        who = rng.permutation(np.flatnonzero(visible[:, t]))
        seen = keypoints[who] + rng.normal(scale=noise_px, size=(len(who), 17, 2))
        margin = 0.04 * height
        bbox = np.concatenate([seen.min(axis=1) - margin, seen.max(axis=1) + margin], axis=1)
        poses.append(PoseSet(keypoints=seen, keypoint_scores=np.repeat(scores[who, t, None], 17, axis=1), bbox_xyxy=bbox))
        truth.append(who)
    return Scene(poses, truth, frames if images else None)


def _texture(rng: np.random.Generator, image_wh: tuple[int, int]) -> np.ndarray:
    width, height = image_wh
    noise = rng.integers(60, 200, (height // 4 + 100, width // 4 + 100, 3), dtype=np.uint8)
    return cv2.resize(noise, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)


def _image(background: np.ndarray, keypoints: np.ndarray, who: np.ndarray, camera: np.ndarray, image_wh: tuple[int, int]) -> np.ndarray:
    width, height = image_wh
    x, y = (np.array([200, 200]) - np.rint(camera)).astype(int)
    image = np.ascontiguousarray(background[y : y + height, x : x + width])
    for person, pose in zip(who, keypoints, strict=True):
        for a, b in load_skeleton("coco17").edges:
            lower = a >= 11 and b >= 11
            colour = PALETTE[(2 * person + lower) % len(PALETTE)]
            cv2.line(image, *(tuple(map(int, np.rint(pose[k]))) for k in (a, b)), colour.tolist(), 9)
    return image


def count_switches(scene: Scene, tracked: list[PoseSet]) -> tuple[int, int]:
    """How often a person's id changes between sightings, and how many ids there are in all."""
    last: dict[int, int] = {}
    switches, ids = 0, set()
    for poses, who, out in zip(scene.poses, scene.truth, tracked, strict=True):
        for row, track_id in enumerate(out.track_ids.tolist()):
            distance = np.abs(poses.keypoints - out.keypoints[row]).sum(axis=(1, 2))
            person = int(who[int(distance.argmin())])
            switches += last.get(person, track_id) != track_id
            last[person] = track_id
            ids.add(track_id)
    return switches, len(ids)


def line(start: tuple[float, float], step: tuple[float, float], num_frames: int) -> np.ndarray:
    """A straight walk [T, 2]."""
    return np.asarray(start) + np.arange(num_frames)[:, None] * np.asarray(step)


@dataclass(frozen=True)
class Scenes:
    """The functions above, for tests."""

    draw: Callable[..., Scene]
    line: Callable[..., np.ndarray]

    def switches(self, tracker: Tracker, scene: Scene, *, with_frames: bool = True) -> tuple[int, int]:
        """Switches and number of ids after tracking a scene."""
        return count_switches(scene, track_frames(tracker, scene.poses, scene.frames if with_frames else None))


@pytest.fixture
def scenes() -> Scenes:
    """Draws scenes and counts switches."""
    return Scenes(draw_scene, line)


@pytest.fixture
def coco17() -> Skeleton:
    """The COCO skeleton."""
    return load_skeleton("coco17")
