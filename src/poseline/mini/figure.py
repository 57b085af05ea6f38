"""One person on a canvas: body parts as shaded solids, and which keypoints show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from poseline.core.skeletons import load_skeleton
from poseline.mini.anatomy import Body, Build
from poseline.mini.camera import Camera
from poseline.mini.clothing import paint_bare_or_cloth, paint_foot, paint_plain, paint_torso
from poseline.mini.face import draw_head
from poseline.mini.look import Look
from poseline.mini.raster import SUPERSAMPLE, Canvas, Tube, draw_tube, resolve

KEYPOINTS = load_skeleton("union21").keypoints
PARTS = (
    "none", "hips", "belly", "chest", "neck", "head", "hair", "left_ear", "right_ear", "nose", "left_upper_arm", "right_upper_arm",
    "left_forearm", "right_forearm", "left_hand", "right_hand", "left_thigh", "right_thigh", "left_calf", "right_calf", "left_foot",
    "right_foot", "pack", "skirt",
)  # fmt: skip
PART = {name: number for number, name in enumerate(PARTS)}
#: Metres between a joint and the skin over it, for a grown person; more than that in front of it hides it.
FLESH_M = {
    "nose": 0.025, "eye": 0.022, "ear": 0.03, "shoulder": 0.11, "elbow": 0.07, "wrist": 0.06, "hip": 0.155, "knee": 0.095, "ankle": 0.085,
    "pelvis": 0.19, "thorax": 0.14, "upper_neck": 0.11, "head_top": 0.08,
}  # fmt: skip
#: Cosine towards the camera below which a feature of the far side of the head is left unlabelled, as annotators do.
FAR_SIDE = -0.3


@dataclass(frozen=True)
class Figure:
    """A drawn person, before others are drawn over.

    Attributes:
        origin: image column and row of the first pixel of ``colour``.
        colour: float32 [h, w, 3], premultiplied.
        coverage: float32 [h, w], 0..1.
        keypoints: float64 [21, 2] image pixels, order of ``union21``.
        labelled: [21] False for features on the far side of the head.
        shows: [21] False where the person's own body hides the keypoint.
        head_xyxy: the tight box of the head, hidden or not.
        depth: metres to the pelvis.
    """

    origin: tuple[int, int]
    colour: Float[np.ndarray, "h w 3"]
    coverage: Float[np.ndarray, "h w"]
    keypoints: Float[np.ndarray, "21 2"]
    labelled: Bool[np.ndarray, " 21"]
    shows: Bool[np.ndarray, " 21"]
    head_xyxy: Float[np.ndarray, " 4"]
    depth: float


def figure_reach(body: Body, camera: Camera) -> Float[np.ndarray, " 4"]:
    """Corners of a box in the image that holds the whole body, flesh included."""
    points = np.stack(list(body.points.values()))
    flat = camera.project(points)
    margin = 0.16 * camera.focal / max(float(points[:, 2].min()), 0.3)
    return np.concatenate([flat.min(axis=0) - margin, flat.max(axis=0) + margin])


def draw_figure(
    body: Body, build: Build, look: Look, *, camera: Camera, light: Float[np.ndarray, " 3"], image_wh: tuple[int, int]
) -> Figure | None:
    """The person as drawn; None where nothing of it falls inside the image.

    Args:
        body: posed, in camera axes.
        build: its lengths and widths.
        look: its clothes and colours.
        camera: projects it.
        light: unit vector towards the light.
        image_wh: the image's size.
    """
    reach = figure_reach(body, camera)
    low = np.maximum(np.floor(reach[:2]), 0).astype(int)
    high = np.minimum(np.ceil(reach[2:]) + 1, image_wh).astype(int)
    if (high - low).min() < 2 or min(point[2] for point in body.points.values()) < 0.3:
        return None
    canvas = Canvas.blank((int(low[0]), int(low[1])), (int(high[0] - low[0]), int(high[1] - low[1])), light)
    pencil = Pencil(canvas, camera, body, build, look)
    pencil.draw_trunk()
    for side in ("left", "right"):
        pencil.draw_arm(side)
        pencil.draw_leg(side)
    head_xyxy = draw_head(canvas, body, build, look, camera=camera, parts=PART)
    colour, coverage = resolve(canvas)
    labelled, shows = _label_keypoints(canvas, body, build, camera)
    keypoints = camera.project(np.stack([body.points[name] for name in KEYPOINTS]))
    return Figure((int(low[0]), int(low[1])), colour, coverage, keypoints, labelled, shows, head_xyxy, float(body.points["pelvis"][2]))


def _label_keypoints(canvas: Canvas, body: Body, build: Build, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Whether each keypoint is labelled at all, and whether the body's own parts leave it in view."""
    places = np.stack([body.points[name] for name in KEYPOINTS])
    pixels = np.rint(canvas.from_image(camera.project(places))).astype(int)
    height, width = canvas.depth.shape
    labelled, shows = np.ones(len(KEYPOINTS), bool), np.ones(len(KEYPOINTS), bool)
    for i, name in enumerate(KEYPOINTS):
        kind = name.removeprefix("left_").removeprefix("right_")
        if kind in ("nose", "eye", "ear"):
            outward = places[i] - body.points["head"]
            facing = -float(outward @ places[i]) / (np.linalg.norm(outward) * np.linalg.norm(places[i]))
            labelled[i] = facing > FAR_SIDE
        x, y = pixels[i]
        if 0 <= x < width and 0 <= y < height:
            scale = build.stature / 1.72 if kind in ("nose", "eye", "ear", "head_top") else build.limb
            shows[i] = canvas.depth[y, x] > places[i, 2] - FLESH_M[kind] * max(scale, 0.75) - 0.01
    return labelled, shows


@lru_cache(maxsize=16)
def _ramp(count: int) -> Float[np.ndarray, " n"]:
    return np.linspace(0, 1, count)


@dataclass(frozen=True)
class Pencil:
    """Draws the body parts of one person."""

    canvas: Canvas
    camera: Camera
    body: Body
    build: Build
    look: Look

    def tube(
        self, start: Float[np.ndarray, " 3"], end: Float[np.ndarray, " 3"], axes: Float[np.ndarray, "3 3"],
        wide_m: Float[np.ndarray, " n"], deep_m: Float[np.ndarray, " n"], *, cap: float = 1.0,
    ) -> Tube:  # fmt: skip
        """The visible shape of an elliptic cylinder whose cross-section spans ``axes``' left (wide) and front (deep)."""
        flat = self.canvas.from_image(self.camera.project(np.stack([start, end])))
        middle = (start + end) * 0.5
        away = max(float(middle[2]), 0.1)
        px_per_m = self.camera.focal / away * SUPERSAMPLE
        along_x, along_y = float(flat[1, 0] - flat[0, 0]), float(flat[1, 1] - flat[0, 1])
        length = max(math.hypot(along_x, along_y), 1e-3)
        side = np.array([-along_y / length, along_x / length, 0.0]) @ axes
        view = (middle @ axes) * (-1 / math.sqrt(middle @ middle))
        width, depth = float(max(wide_m)), float(max(deep_m))
        first = math.atan2(depth * side[2], width * side[0])
        faces = depth * math.cos(first) * view[2] - width * math.sin(first) * view[0]
        # Perspective widens the nearer end.
        near = away / max(float(start[2]), 0.1) + _ramp(len(wide_m)) * (away / max(float(end[2]), 0.1) - away / max(float(start[2]), 0.1))
        return Tube(
            start=np.array([flat[0, 0], flat[0, 1], start[2]]), end=np.array([flat[1, 0], flat[1, 1], end[2]]),
            radii_px=np.maximum(np.hypot(wide_m * side[0], deep_m * side[2]) * px_per_m * near, 0.6),
            bulge_m=math.hypot(width * view[0], depth * view[2]), px_per_m=px_per_m,
            angle_start=first, angle_sign=1.0 if faces > 0 else -1.0, cap=cap,
        )  # fmt: skip

    def draw_trunk(self) -> None:
        """Hips, belly, chest, neck, and a skirt or backpack where worn."""
        b, look, g = self.body, self.look, self.build.limb
        pelvis, up = b.points["pelvis"], b.axes["pelvis"][:, 1]
        waist, thorax = b.points["waist"], b.points["thorax"]
        spine, lower = float(np.linalg.norm(thorax - waist)), 0.42 * self.build.spine
        wide, deep = self.build.hip + np.array([0.062, 0.075, 0.062]) * g, np.array([0.105, 0.115, 0.1]) * g
        hips = self.tube(pelvis - up * 0.03, pelvis + up * (0.09 * g), b.axes["pelvis"], wide, deep, cap=1.6)
        draw_tube(self.canvas, hips, paint_plain(look.bottom_cloth, 0.12), PART["hips"])
        wide = np.array([self.build.hip + 0.062 * g, self.build.hip + 0.052 * g, 0.8 * self.build.shoulder])
        belly = self.tube(pelvis + up * 0.05, waist, b.axes["pelvis"], wide, np.array([0.106, 0.106, 0.108]) * g, cap=1.5)
        draw_tube(self.canvas, belly, paint_torso(look, low=-lower, height=lower, top=spine), PART["belly"])
        wide = self.build.shoulder * np.array([0.76, 0.82, 0.9, 0.97, 1.0, 0.96, 0.5])
        deep = np.array([0.108, 0.115, 0.12, 0.122, 0.115, 0.095, 0.07]) * g
        chest = self.tube(waist, thorax, b.axes["trunk"], wide, deep, cap=2.0)
        draw_tube(self.canvas, chest, paint_torso(look, low=0.0, height=spine, top=spine), PART["chest"])
        wide, deep = np.array([0.085, 0.054, 0.05]) * g, np.array([0.07, 0.055, 0.053]) * g
        neck = self.tube(thorax, b.points["upper_neck"] + b.axes["head"][:, 1] * 0.03, b.axes["trunk"], wide, deep)
        draw_tube(self.canvas, neck, paint_bare_or_cloth(look.skin, None, 0, 0.1), PART["neck"])
        if look.backpack:
            back = -b.axes["trunk"][:, 2] * (0.16 * g)
            top = thorax + back - b.axes["trunk"][:, 1] * 0.06
            pack = self.tube(waist + back, top, b.axes["trunk"], np.full(3, 0.13) * g, np.full(3, 0.085) * g, cap=2.5)
            draw_tube(self.canvas, pack, paint_bare_or_cloth(look.accent, None, 0, spine), PART["pack"])
        if look.bottom == "skirt":
            self._draw_skirt()

    def _draw_skirt(self) -> None:
        """A cone from the hips towards the knees, as wide as the step."""
        b, look, g = self.body, self.look, self.build.limb
        pelvis, left, right = b.points["pelvis"], b.points["left_knee"], b.points["right_knee"]
        hem = pelvis + ((left + right) / 2 - pelvis) * look.bottom_length
        step = (left - right) / 2 * look.bottom_length
        top, axes = self.build.hip + 0.07 * g, b.axes["pelvis"]
        wide = np.linspace(top, max(self.build.hip + 0.09 * g, abs(float(step @ axes[:, 0])) + 0.1 * g), 4)
        deep = np.linspace(0.118 * g, max(0.15 * g, abs(float(step @ axes[:, 2])) + 0.1 * g), 4)
        skirt = self.tube(pelvis, hem, axes, wide, deep, cap=6.0)
        draw_tube(self.canvas, skirt, paint_plain(look.bottom_cloth, 0.3), PART["skirt"])

    def draw_arm(self, side: str) -> None:
        """Upper arm, forearm and hand."""
        p, look, g = self.body.points, self.look, self.build.limb
        upper_axes, lower_axes = self.body.axes[f"{side}_upper_arm"], self.body.axes[f"{side}_forearm"]
        loose = 1.12 if look.sleeve > 1 else 1.0
        radii = np.array([0.052, 0.051, 0.046, 0.041]) * g * loose
        upper = self.tube(p[f"{side}_shoulder"], p[f"{side}_elbow"], upper_axes, radii, radii)
        sleeve = paint_bare_or_cloth(look.skin, look.shirt, look.sleeve, self.build.upper_arm)
        draw_tube(self.canvas, upper, sleeve, PART[f"{side}_upper_arm"])
        radii = np.array([0.041, 0.043, 0.036, 0.029]) * g * loose
        lower = self.tube(p[f"{side}_elbow"], p[f"{side}_wrist"], lower_axes, radii, radii)
        sleeve = paint_bare_or_cloth(look.skin, look.shirt, look.sleeve - 1, self.build.forearm)
        draw_tube(self.canvas, lower, sleeve, PART[f"{side}_forearm"])
        radii = np.array([0.026, 0.04, 0.036, 0.022]) * g
        hand = self.tube(p[f"{side}_wrist"], p[f"{side}_hand"], lower_axes, radii * 0.7, radii)
        draw_tube(self.canvas, hand, paint_bare_or_cloth(look.skin, None, 0, 0.1), PART[f"{side}_hand"])

    def draw_leg(self, side: str) -> None:
        """Thigh, calf and foot."""
        p, look, g = self.body.points, self.look, self.build.limb
        thigh_axes, calf_axes, foot_axes = (self.body.axes[f"{side}_{name}"] for name in ("thigh", "calf", "foot"))
        covered = {"trousers": 1.97, "shorts": look.bottom_length, "skirt": 0.0}[look.bottom]
        loose = 1.1 if covered > 1 else 1.0
        radii = np.array([0.088, 0.084, 0.07, 0.058]) * g * loose
        thigh = self.tube(p[f"{side}_hip"], p[f"{side}_knee"], thigh_axes, radii, radii)
        cloth = paint_bare_or_cloth(look.skin, look.bottom_cloth, covered, self.build.thigh)
        draw_tube(self.canvas, thigh, cloth, PART[f"{side}_thigh"])
        radii = np.array([0.056, 0.06, 0.05, 0.04, 0.036]) * g * loose
        calf = self.tube(p[f"{side}_knee"], p[f"{side}_ankle"], calf_axes, radii, radii)
        cloth = paint_bare_or_cloth(look.skin, look.bottom_cloth, covered - 1, self.build.calf, sock=look.sock)
        draw_tube(self.canvas, calf, cloth, PART[f"{side}_calf"])
        radii = np.array([0.04, 0.043, 0.04, 0.034]) * g
        foot = self.tube(p[f"{side}_heel"], p[f"{side}_toe"], foot_axes[:, [0, 2, 1]], radii, radii * 0.9)
        draw_tube(self.canvas, foot, paint_foot(look.shoe), PART[f"{side}_foot"])
