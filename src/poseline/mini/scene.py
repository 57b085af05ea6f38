"""Single images: who stands where, what hides whom, and the labels that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseline.mini.actions import angles_at, draw_motion, lift_at
from poseline.mini.anatomy import Body, Build, draw_build, pose_body
from poseline.mini.backdrop import draw_backdrop
from poseline.mini.camera import Camera, draw_camera
from poseline.mini.figure import Figure, draw_figure, figure_reach
from poseline.mini.look import Look, draw_look
from poseline.mini.paper import Paper
from poseline.mini.props import draw_crowd, draw_obstacle, draw_seat

#: A person of whom less shows keeps a box but no keypoints; one with fewer pixels is not annotated.
MIN_VISIBLE_FRACTION = 0.15
MIN_VISIBLE_PX = 40


@dataclass(frozen=True)
class Style:
    """What kind of images a benchmark has.

    Attributes:
        people: probability of 0, 1, 2, ... people.
        height_px: smallest and largest height of most people in an image of 240 rows.
        small_fraction: fraction of people smaller than that, down to 40 px.
        close_fraction: fraction of people so near that the image cuts them.
        overlap: allowed fraction of a person's box behind a nearer one.
        obstacles: expected number of things in front.
        crowd_fraction: fraction of images with a distant group.
    """

    people: tuple[float, ...]
    height_px: tuple[float, float]
    small_fraction: float
    close_fraction: float
    overlap: float
    obstacles: float
    crowd_fraction: float


STYLES = {
    "coco": Style((0.03, 0.20, 0.29, 0.25, 0.13, 0.07, 0.03), (84, 215), 0.05, 0.07, 0.30, 0.20, 0.08),
    "mpii": Style((0.0, 0.34, 0.38, 0.28), (95, 215), 0.0, 0.03, 0.20, 0.15, 0.0),
}


@dataclass(frozen=True)
class Person:
    """The labels of one person in a finished image.

    Attributes:
        keypoints: float64 [21, 2] pixels, order of ``union21``; also where hidden or outside.
        visibility: uint8 [21]; 2 seen, 1 covered by something, 0 outside the image, on the far side of the head, or of a
            person who hardly shows.
        mask: bool [h, w] of the visible pixels, from ``mask_origin`` (x, y).
        head_xyxy: the tight box of the head.
        visible_fraction: visible pixels over those inside the image.
        track_id: the person's number in a video; -1 in stills.
    """

    keypoints: Float[np.ndarray, "21 2"]
    visibility: UInt8[np.ndarray, " 21"]
    mask_origin: tuple[int, int]
    mask: Bool[np.ndarray, "h w"]
    head_xyxy: Float[np.ndarray, " 4"]
    visible_fraction: float
    track_id: int = -1

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(self.mask.sum())

    @property
    def bbox_xywh(self) -> tuple[int, int, int, int]:
        """Tight box of the visible pixels."""
        height, width = self.mask.shape
        return self.mask_origin[0], self.mask_origin[1], width, height


@dataclass(frozen=True)
class Scene:
    """A finished image, its people and its unseparated groups (masks over the whole image)."""

    image: UInt8[np.ndarray, "h w 3"]
    people: list[Person]
    crowds: list[Bool[np.ndarray, "h w"]]


@dataclass(frozen=True)
class Actor:
    """A person placed in a scene, before drawing."""

    body: Body
    build: Build
    look_seed: int
    ground_xz: tuple[float, float]
    seated: bool
    on_ground: bool


def draw_scene(rng: np.random.Generator, style: Style, *, image_wh: tuple[int, int], max_people: int) -> Scene:
    """A single image at random."""
    camera = draw_camera(rng, image_wh)
    crowded = rng.random() < style.crowd_fraction
    paper = draw_backdrop(rng, image_wh, camera.horizon, outdoors=crowded)
    light = draw_light(rng)
    number = 1
    crowd_numbers = []
    if crowded:
        draw_crowd(rng, paper, line=float(np.clip(camera.horizon, 30, image_wh[1] - 40)), number=number)
        crowd_numbers.append(number)
    drawn: list[tuple[int, Figure, int]] = []
    for actor in draw_actors(rng, style, camera=camera, image_wh=image_wh, max_people=max_people):
        number += 2
        figure = stage_actor(rng, paper, actor, camera=camera, light=light, number=number)
        if figure is not None:
            drawn.append((number, figure, paper.figure(figure, number)))
    for _ in range(rng.poisson(style.obstacles)):
        number += 1
        draw_obstacle(rng, paper, number)
    people = [person for own, figure, pixels in drawn if (person := label_person(paper, figure, own, pixels)) is not None]
    crowds = [paper.owner == own for own in crowd_numbers]
    return Scene(finish_image(rng, paper.image), people, [mask for mask in crowds if mask.sum() >= MIN_VISIBLE_PX])


def draw_light(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Direction to the light: from above, rather in front than behind."""
    light = np.array([rng.uniform(-0.9, 0.9), rng.uniform(-1.0, -0.4), rng.uniform(-1.0, -0.25)])
    return (light / np.linalg.norm(light)).astype(np.float32)


def draw_actors(rng: np.random.Generator, style: Style, *, camera: Camera, image_wh: tuple[int, int], max_people: int) -> list[Actor]:
    """People placed on the ground so that few hide one another wholly, far ones first."""
    shares = np.asarray(style.people[: max_people + 1])
    count = int(rng.choice(len(shares), p=shares / shares.sum()))
    actors: list[Actor] = []
    boxes: list[np.ndarray] = []
    for _ in range(count):
        for _attempt in range(10):
            actor = _draw_actor(rng, style, camera=camera, image_wh=image_wh, taken=boxes)
            if actor is None:
                continue
            box = figure_reach(actor.body, camera)
            if _is_free(box, boxes, image_wh, style.overlap):
                actors.append(actor)
                boxes.append(box)
                break
    return sorted(actors, key=lambda actor: -actor.ground_xz[1])


def _draw_actor(
    rng: np.random.Generator, style: Style, *, camera: Camera, image_wh: tuple[int, int], taken: list[np.ndarray]
) -> Actor | None:
    """A person at random; None where even a rough box shows that there is no room."""
    build = draw_build(rng)
    tall = _draw_height(rng, style) * image_wh[1] / 240
    away = camera.focal * build.stature / tall
    across = float((rng.uniform(-0.02, 1.02) * image_wh[0] - camera.centre[0]) * away / camera.focal)
    foot, crown = camera.ground_point((across, away)), camera.ground_point((across, away), above=build.stature)
    rough = np.array([foot[0] - 0.18 * tall, crown[1], foot[0] + 0.18 * tall, foot[1]])
    if not _is_free(rough, taken, image_wh, style.overlap):
        return None
    motion = draw_motion(rng)
    phase = float(rng.random())
    side = rng.random()
    yaw = rng.normal(0, 35) if side < 0.60 else rng.choice([-90, 90]) + rng.normal(0, 22) if side < 0.80 else rng.normal(180, 35)
    lift = lift_at(motion, phase)
    body = pose_body(build, angles_at(motion, phase), lift=lift)
    placed = camera.place(body, (across, away), float(yaw))
    return Actor(placed, build, int(rng.integers(1 << 31)), (across, away), motion.action == "sit", lift < 0.1)


def _is_free(box: np.ndarray, taken: list[np.ndarray], image_wh: tuple[int, int], overlap: float) -> bool:
    """Whether a box lies mostly inside the image and clear enough of the others."""
    return _fits(box, image_wh) and all(_covered(box, other) <= overlap for other in taken)


def _draw_height(rng: np.random.Generator, style: Style) -> float:
    """Height of a standing person in pixels, in an image of 240 rows."""
    low, high = style.height_px
    luck = rng.random()
    if luck < style.small_fraction:
        return float(rng.uniform(40, low))
    if luck < style.small_fraction + style.close_fraction:
        return float(rng.uniform(250, 350))
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _fits(box: np.ndarray, image_wh: tuple[int, int]) -> bool:
    """Whether most of a box lies inside the image."""
    width, height = image_wh
    inside = np.prod(np.maximum(np.minimum(box[2:], [width, height]) - np.maximum(box[:2], 0), 0))
    return bool(inside > 0.6 * np.prod(box[2:] - box[:2]))


def _covered(box: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two boxes over the smaller one's area."""
    span = np.maximum(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0)
    return float(np.prod(span) / max(min(np.prod(box[2:] - box[:2]), np.prod(other[2:] - other[:2])), 1))


def stage_actor(
    rng: np.random.Generator, paper: Paper, actor: Actor, *, camera: Camera, light: Float[np.ndarray, " 3"], number: int
) -> Figure | None:
    """The actor's figure, after its shadow and seat were drawn on the paper (the seat as object ``number`` - 1)."""
    scale = camera.focal / actor.ground_xz[1]
    foot = camera.ground_point(actor.ground_xz)
    if actor.on_ground:
        paper.shadow((float(foot[0]), float(foot[1])), (0.42 * scale, 0.12 * scale), 0.45)
    if actor.seated:
        draw_seat(rng, paper, camera=camera, ground_xz=actor.ground_xz, height_m=0.36 * actor.build.stature / 1.72, number=number - 1)
    return draw_figure(actor.body, actor.build, _look_of(actor.look_seed), camera=camera, light=light, image_wh=paper.size_wh)


@lru_cache(maxsize=32)
def _look_of(seed: int) -> Look:
    """The appearance of that seed: in a video the same in every frame."""
    return draw_look(np.random.default_rng(seed))


def label_person(paper: Paper, figure: Figure, number: int, pixels: int, *, track_id: int = -1) -> Person | None:
    """The labels of a drawn figure in the finished image; None where too little of it shows."""
    x0, y0 = figure.origin
    height, width = figure.coverage.shape
    own = paper.owner[y0 : y0 + height, x0 : x0 + width] == number
    seen = int(own.sum())
    if seen < MIN_VISIBLE_PX:
        return None
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    mask = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    fraction = seen / max(pixels, 1)
    visibility = _label_visibility(paper, figure, number) if fraction >= MIN_VISIBLE_FRACTION else np.zeros(len(figure.shows), np.uint8)
    origin = (x0 + int(columns[0]), y0 + int(rows[0]))
    return Person(figure.keypoints, visibility, origin, mask, figure.head_xyxy, fraction, track_id)


def _label_visibility(paper: Paper, figure: Figure, number: int) -> UInt8[np.ndarray, " 21"]:
    """0, 1 or 2 for each keypoint: something drawn after the person hides what lies under it."""
    width, height = paper.size_wh
    pixels = np.rint(figure.keypoints).astype(int)
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
    x, y = np.clip(pixels[:, 0], 0, width - 1), np.clip(pixels[:, 1], 0, height - 1)
    hidden = (paper.owner[y, x] > number) | ~figure.shows
    return np.where(inside & figure.labelled, np.where(hidden, 1, 2), 0).astype(np.uint8)


def finish_image(
    rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"], *, noise: np.random.Generator | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """The image as a camera would take it: uneven light, colour cast, slight blur, noise (from a generator of its own if given)."""
    height, width = image.shape[:2]
    cast = (1 + rng.normal(0, 0.035, 3)) * rng.uniform(0.85, 1.12)
    light = rng.normal(rng.uniform(0.86, 1.12), 0.1, (2, 3, 1)) * cast
    gain = cv2.resize(light.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    grain, haze = np.float32(rng.uniform(1.0, 5.0)), np.float32(rng.uniform(-4, 18))
    blur = float(rng.uniform(0.3, 0.8)) if rng.random() < 0.4 else 0.0
    speckle = (noise or rng).standard_normal((height, width), dtype=np.float32) * grain + haze
    lit = cv2.multiply(image, gain, dtype=cv2.CV_32F)
    out = cv2.add(lit, cv2.merge([speckle, speckle, speckle]), dtype=cv2.CV_8U)
    return cv2.GaussianBlur(out, (3, 3), blur) if blur else out
