"""One person on a canvas: body parts as shaded solids, and which keypoints show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseline.core.skeletons import load_skeleton
from poseline.data.mini.anatomy import Body, Build
from poseline.data.mini.camera import Camera
from poseline.data.mini.clothing import paint_bare_or_cloth, paint_foot, paint_plain, paint_torso
from poseline.data.mini.face import draw_head
from poseline.data.mini.look import Look
from poseline.data.mini.raster import SUPERSAMPLE, Canvas, Tube, draw_tube, resolve

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
        origin: picture column and row of the first pixel of ``colour``.
        colour: float32 [h, w, 3], premultiplied.
        coverage: float32 [h, w], 0..1.
        keypoints: float64 [21, 2] picture pixels, order of ``union21``.
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
    """Corners of a box that holds all of the body's picture, flesh included."""
    points = np.stack(list(body.points.values()))
    flat = camera.project(points)
    margin = 0.16 * camera.focal / max(float(points[:, 2].min()), 0.3)
    return np.concatenate([flat.min(axis=0) - margin, flat.max(axis=0) + margin])


def draw_figure(
    body: Body, build: Build, look: Look, *, camera: Camera, light: Float[np.ndarray, " 3"], image_wh: tuple[int, int]
) -> Figure | None:
    """The person's picture; None where nothing of it falls inside.

    Args:
        body: posed, in camera axes.
        build: its lengths and widths.
        look: its clothes and colours.
        camera: projects it.
        light: unit vector towards the light.
        image_wh: the picture's size.
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
    labelled, shows = _judge_keypoints(canvas, body, build, camera)
    keypoints = camera.project(np.stack([body.points[name] for name in KEYPOINTS]))
    return Figure((int(low[0]), int(low[1])), colour, coverage, keypoints, labelled, shows, head_xyxy, float(body.points["pelvis"][2]))


def _judge_keypoints(canvas: Canvas, body: Body, build: Build, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Whether each keypoint is labelled at all, and whether the body's own parts leave it in view."""
    places = np.stack([body.points[name] for name in KEYPOINTS])
    pixels = np.rint(canvas.from_picture(camera.project(places))).astype(int)
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
        ends = np.stack([start, end])
        flat = self.canvas.from_picture(self.camera.project(ends))
        middle = ends.mean(axis=0)
        px_per_m = self.camera.focal / max(float(middle[2]), 0.1) * SUPERSAMPLE
        along = flat[1] - flat[0]
        length = max(float(np.hypot(along[0], along[1])), 1e-3)
        side = np.array([-along[1], along[0], 0.0]) / length
        view = -middle / np.linalg.norm(middle)
        side_left, side_front = float(side @ axes[:, 0]), float(side @ axes[:, 2])
        view_left, view_front = float(view @ axes[:, 0]), float(view @ axes[:, 2])
        width, depth = float(wide_m.max()), float(deep_m.max())
        first = float(np.arctan2(depth * side_front, width * side_left))
        faces = width * np.cos(first + np.pi / 2) * view_left + depth * np.sin(first + np.pi / 2) * view_front
        # Perspective widens the nearer end.
        near = np.linspace(float(middle[2]) / max(float(start[2]), 0.1), float(middle[2]) / max(float(end[2]), 0.1), len(wide_m))
        return Tube(
            start=np.array([*flat[0], start[2]]), end=np.array([*flat[1], end[2]]),
            radii_px=np.maximum(np.hypot(wide_m * side_left, deep_m * side_front) * px_per_m * near, 0.6),
            bulge_m=float(np.hypot(width * view_left, depth * view_front)), px_per_m=px_per_m,
            angle_start=first, angle_sign=1.0 if faces > 0 else -1.0, cap=cap,
        )  # fmt: skip

    def draw_trunk(self) -> None:
        """Hips, belly, chest, neck, and a skirt or backpack where worn."""
        b, look, g = self.body, self.look, self.build.limb
        hip_low = b.points["pelvis"] - b.axes["pelvis"][:, 1] * 0.03
        hips_wide = self.build.hip + np.array([0.062, 0.075, 0.062]) * g
        hips = self.tube(hip_low, b.points["pelvis"] + b.axes["pelvis"][:, 1] * 0.09 * g, b.axes["pelvis"], hips_wide, np.array([0.105, 0.115, 0.1]) * g, cap=1.6)
        draw_tube(self.canvas, hips, paint_plain(look.bottom_cloth, 0.12), PART["hips"])
        chest_wide = self.build.shoulder * np.array([0.78, 0.84, 0.93, 1.0, 0.98, 0.8, 0.42])
        belly_wide = np.array([self.build.hip + 0.062 * g, self.build.hip + 0.052 * g, 0.8 * self.build.shoulder])
        belly = self.tube(b.points["pelvis"] + b.axes["pelvis"][:, 1] * 0.05, b.points["waist"], b.axes["pelvis"], belly_wide, np.array([0.106, 0.106, 0.108]) * g, cap=1.5)
        spine = float(np.linalg.norm(b.points["thorax"] - b.points["waist"]))
        draw_tube(self.canvas, belly, paint_torso(look, low=-0.42 * self.build.spine, height=0.42 * self.build.spine, top=spine), PART["belly"])
        chest = self.tube(b.points["waist"], b.points["thorax"], b.axes["trunk"], chest_wide, np.array([0.108, 0.115, 0.12, 0.122, 0.115, 0.095, 0.07]) * g, cap=2.0)
        draw_tube(self.canvas, chest, paint_torso(look, low=0.0, height=spine, top=spine), PART["chest"])
        neck = self.tube(b.points["thorax"], b.points["upper_neck"] + b.axes["head"][:, 1] * 0.03, b.axes["trunk"], np.full(2, 0.052) * g, np.full(2, 0.055) * g)
        draw_tube(self.canvas, neck, paint_bare_or_cloth(look.skin, None, 0, 0.1), PART["neck"])
        if look.backpack:
            back = -b.axes["trunk"][:, 2] * (0.16 * g)
            pack = self.tube(b.points["waist"] + back, b.points["thorax"] + back - b.axes["trunk"][:, 1] * 0.06, b.axes["trunk"], np.full(3, 0.13) * g, np.full(3, 0.085) * g, cap=2.5)
            draw_tube(self.canvas, pack, paint_bare_or_cloth(look.accent, None, 0, spine), PART["pack"])
        if look.bottom == "skirt":
            knees = (b.points["left_knee"] + b.points["right_knee"]) / 2
            hem = b.points["pelvis"] + (knees - b.points["pelvis"]) * look.bottom_length
            spread = float(np.linalg.norm(b.points["left_knee"] - b.points["right_knee"])) / 2 * look.bottom_length
            wide = np.linspace(self.build.hip + 0.07 * g, max(self.build.hip + 0.09 * g, 0.6 * spread + 0.08 * g), 4)
            skirt = self.tube(b.points["pelvis"], hem, b.axes["pelvis"], wide, np.linspace(0.118, 0.15, 4) * g, cap=6.0)
            draw_tube(self.canvas, skirt, paint_plain(look.bottom_cloth, 0.3), PART["skirt"])

    def draw_arm(self, side: str) -> None:
        """Upper arm, forearm and hand."""
        p, look, g = self.body.points, self.look, self.build.limb
        upper_axes, lower_axes = self.body.axes[f"{side}_upper_arm"], self.body.axes[f"{side}_forearm"]
        loose = 1.12 if look.sleeve > 1 else 1.0
        radii = np.array([0.058, 0.052, 0.046, 0.041]) * g * loose
        upper = self.tube(p[f"{side}_shoulder"], p[f"{side}_elbow"], upper_axes, radii, radii)
        draw_tube(self.canvas, upper, paint_bare_or_cloth(look.skin, look.shirt, look.sleeve, self.build.upper_arm), PART[f"{side}_upper_arm"])
        radii = np.array([0.041, 0.043, 0.036, 0.029]) * g * loose
        lower = self.tube(p[f"{side}_elbow"], p[f"{side}_wrist"], lower_axes, radii, radii)
        draw_tube(self.canvas, lower, paint_bare_or_cloth(look.skin, look.shirt, look.sleeve - 1, self.build.forearm), PART[f"{side}_forearm"])
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
        draw_tube(self.canvas, thigh, paint_bare_or_cloth(look.skin, look.bottom_cloth, covered, self.build.thigh), PART[f"{side}_thigh"])
        radii = np.array([0.056, 0.06, 0.05, 0.04, 0.036]) * g * loose
        calf = self.tube(p[f"{side}_knee"], p[f"{side}_ankle"], calf_axes, radii, radii)
        draw_tube(self.canvas, calf, paint_bare_or_cloth(look.skin, look.bottom_cloth, covered - 1, self.build.calf, sock=look.sock), PART[f"{side}_calf"])
        radii = np.array([0.04, 0.043, 0.04, 0.034]) * g
        foot = self.tube(p[f"{side}_heel"], p[f"{side}_toe"], foot_axes[:, [0, 2, 1]], radii, radii * 0.9)
        draw_tube(self.canvas, foot, paint_foot(look.shoe), PART[f"{side}_foot"])
