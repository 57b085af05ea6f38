"""A small z-buffer painter: shaded tubes and ellipsoids on a supersampled canvas, numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

SUPERSAMPLE = 2
AMBIENT, DIFFUSE = 0.56, 0.52

_TABLE = 32


@dataclass(frozen=True)
class Canvas:
    """Colour, depth and part buffers of one figure, ``SUPERSAMPLE`` times finer than the image.

    Attributes:
        origin: image column and row of the canvas' first pixel block.
        colour: uint8 [h, w, 3] RGB.
        depth: float32 [h, w], metres from the camera; infinite where nothing was drawn.
        part: uint8 [h, w], number of the body part on top; 0 where nothing was drawn.
        light: unit vector towards the light, camera axes (x right, y down, z away).
    """

    origin: tuple[int, int]
    colour: UInt8[np.ndarray, "h w 3"]
    depth: Float[np.ndarray, "h w"]
    part: UInt8[np.ndarray, "h w"]
    light: Float[np.ndarray, " 3"]
    _columns: Float[np.ndarray, " w"] = field(repr=False)
    _rows: Float[np.ndarray, " h"] = field(repr=False)

    @classmethod
    def blank(cls, origin: tuple[int, int], size_wh: tuple[int, int], light: Float[np.ndarray, " 3"]) -> Canvas:
        """An empty canvas over ``size_wh`` image pixels from ``origin``."""
        height, width = size_wh[1] * SUPERSAMPLE, size_wh[0] * SUPERSAMPLE
        return cls(
            origin=origin,
            colour=np.zeros((height, width, 3), np.uint8),
            depth=np.full((height, width), np.inf, np.float32),
            part=np.zeros((height, width), np.uint8),
            light=light,
            _columns=np.arange(width, dtype=np.float32),
            _rows=np.arange(height, dtype=np.float32),
        )

    def from_image(self, points: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        """Image points (integer = pixel centre) in canvas pixels."""
        return (np.asarray(points) - np.asarray(self.origin) + 0.5) * SUPERSAMPLE - 0.5

    def window(self, low: Float[np.ndarray, " 2"], high: Float[np.ndarray, " 2"]) -> tuple[slice, slice] | None:
        """Rows and columns of the canvas that a box covers; None where it lies outside."""
        height, width = self.depth.shape
        x0, y0 = max(math.floor(low[0]), 0), max(math.floor(low[1]), 0)
        x1, y1 = min(math.ceil(high[0]) + 1, width), min(math.ceil(high[1]) + 1, height)
        return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None

    def put(self, window: tuple[slice, slice], index: np.ndarray, depth: np.ndarray, colour: np.ndarray, part: int) -> None:
        """Write the pixels ``index`` (flat, within the window) that the caller found to be nearest."""
        width = self.depth.shape[1]
        rows, columns = np.divmod(index, window[1].stop - window[1].start)
        flat = (rows + window[0].start) * width + columns + window[1].start
        self.depth.ravel()[flat] = depth
        self.part.ravel()[flat] = part
        self.colour.reshape(-1, 3)[flat] = np.minimum(colour, 255).astype(np.uint8)


@dataclass(frozen=True)
class Tube:
    """A tapered, capped cylinder of elliptic cross-section, as the camera sees it.

    Attributes:
        start, end: (x, y) canvas pixels and z metres of the axis.
        radii_px: half-width across the axis at evenly spaced places from start to end.
        bulge_m: how far the surface stands out of the axis towards the camera at its middle, metres.
        px_per_m: canvas pixels of a metre here.
        angle_start, angle_sign: angle around the axis = angle_start + angle_sign * acos(lateral).
        cap: flatness of the round ends; 1 a half circle, 2 half as long.
    """

    start: Float[np.ndarray, " 3"]
    end: Float[np.ndarray, " 3"]
    radii_px: Float[np.ndarray, " n"]
    bulge_m: float
    px_per_m: float
    angle_start: float = 0.0
    angle_sign: float = 1.0
    cap: float = 1.0

    def angles(self, lateral: np.ndarray) -> np.ndarray:
        """Angles around the axis, radians from its left (pi/2 is the front), of surface points by their lateral place -1..1."""
        inside = np.minimum(np.maximum(lateral, np.float32(-1)), np.float32(1))
        return np.float32(self.angle_start) + np.float32(self.angle_sign) * np.arccos(inside)


#: Takes the place along (0..1) and across (-1..1) of P pixels of a tube, returns their colours [P, 3], 0..255.
Paint = Callable[[np.ndarray, np.ndarray, Tube], np.ndarray]


@lru_cache(maxsize=16)
def _blend(count: int) -> np.ndarray:
    """Matrix [_TABLE + 1, count] that interpolates ``count`` evenly spaced values."""
    at = np.linspace(0, count - 1, _TABLE + 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(count)[None, :]), 0)


def draw_tube(canvas: Canvas, tube: Tube, paint: Paint, part: int) -> None:
    """Paint a tube where it is nearer than what the canvas holds."""
    axis = tube.end[:2] - tube.start[:2]
    length = max(math.hypot(axis[0], axis[1]), 1e-3)
    along_x, along_y = float(axis[0]) / length, float(axis[1]) / length
    widest = float(tube.radii_px.max()) + 1.0
    low = np.minimum(tube.start[:2], tube.end[:2]) - widest
    high = np.maximum(tube.start[:2], tube.end[:2]) + widest
    window = canvas.window(low, high)
    if window is None:
        return
    dx = canvas._columns[window[1]] - np.float32(tube.start[0])
    dy = canvas._rows[window[0]] - np.float32(tube.start[1])
    along = (dx * np.float32(along_x))[None, :] + (dy * np.float32(along_y))[:, None]
    across = (dx * np.float32(-along_y))[None, :] + (dy * np.float32(along_x))[:, None]
    on_axis = np.minimum(np.maximum(along, np.float32(0)), np.float32(length))
    over = (along - on_axis) * np.float32(tube.cap)
    radii = (_blend(len(tube.radii_px)) @ tube.radii_px).astype(np.float32)
    radius = radii[(on_axis * np.float32(_TABLE / length) + np.float32(0.5)).astype(np.int32)]
    across /= radius
    over /= radius
    squared = across * across + over * over
    index = np.flatnonzero(squared < 1)
    t = on_axis.ravel()[index] * np.float32(1 / length)
    out = np.sqrt(1 - squared.ravel()[index])
    depth = np.float32(tube.start[2]) + t * np.float32(tube.end[2] - tube.start[2]) - out * np.float32(tube.bulge_m)
    nearer = np.flatnonzero(depth < canvas.depth[window].ravel()[index])
    if not len(nearer):
        return
    if len(nearer) < len(index):
        index, t, out, depth = index[nearer], t[nearer], out[nearer], depth[nearer]
    lateral, beyond = across.ravel()[index], over.ravel()[index]
    across_light, out_light, along_light = _light_terms(canvas.light, tube, along_x, along_y, length)
    lit = lateral * across_light + out * out_light + beyond * along_light
    shade = np.float32(AMBIENT) + np.float32(DIFFUSE) * np.maximum(lit, 0)
    canvas.put(window, index, depth, paint(t, lateral, tube) * shade[:, None], part)


def _light_terms(light: np.ndarray, tube: Tube, along_x: float, along_y: float, length: float) -> tuple[np.float32, np.float32, np.float32]:
    """How much light falls on the side, the front and the end of a tube."""
    rise = float(tube.end[2] - tube.start[2]) * tube.px_per_m
    norm = math.hypot(length, rise)
    tilt, level = rise / norm, length / norm
    x, y, z = float(light[0]), float(light[1]), float(light[2])
    ahead = along_x * x + along_y * y
    return np.float32(along_x * y - along_y * x), np.float32(ahead * tilt - level * z), np.float32(ahead)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid with axes of its own.

    Attributes:
        centre: (x, y) canvas pixels and z metres.
        radii_m: half-axes in metres.
        axes: [3, 3], columns are its own axes (x left, y up, z front for a head) in camera axes.
        px_per_m: canvas pixels of a metre here.
    """

    centre: Float[np.ndarray, " 3"]
    radii_m: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]
    px_per_m: float


def draw_ellipsoid(canvas: Canvas, shape: Ellipsoid, paint: Callable[[np.ndarray], np.ndarray], part: int) -> None:
    """Paint an ellipsoid; ``paint`` takes surface points [P, 3] on the unit sphere of its own axes and returns colours."""
    reach = np.sqrt(((shape.axes * shape.radii_m) ** 2).sum(axis=1))[:2] * shape.px_per_m + 1
    window = canvas.window(shape.centre[:2] - reach, shape.centre[:2] + reach)
    if window is None:
        return
    # A ray (dx, dy, lambda) in metres, taken to the unit sphere: offset + lambda * along.
    to_unit = (shape.axes / shape.radii_m).T.astype(np.float32)
    dx = (canvas._columns[window[1]] - np.float32(shape.centre[0])) / np.float32(shape.px_per_m)
    dy = (canvas._rows[window[0]] - np.float32(shape.centre[1])) / np.float32(shape.px_per_m)
    offset = to_unit[:, 0, None, None] * dx[None, None, :] + to_unit[:, 1, None, None] * dy[None, :, None]
    offset = offset.reshape(3, -1)
    along = to_unit[:, 2]
    a = float(along @ along)
    b = along @ offset
    root = b * b - np.float32(a) * (np.einsum("ij,ij->j", offset, offset) - 1)
    index = np.flatnonzero(root > 0)
    if not len(index):
        return
    step = (-b[index] - np.sqrt(root[index])) / np.float32(a)
    depth = np.float32(shape.centre[2]) + step
    nearer = depth < canvas.depth[window].ravel()[index]
    if not nearer.any():
        return
    index, step, depth = index[nearer], step[nearer], depth[nearer]
    surface = offset[:, index] + along[:, None] * step
    normal = surface / shape.radii_m.astype(np.float32)[:, None]
    light = (shape.axes.T @ canvas.light).astype(np.float32)
    lit = (light @ normal) / np.sqrt(np.einsum("ij,ij->j", normal, normal))
    shade = np.float32(AMBIENT) + np.float32(DIFFUSE) * np.maximum(lit, 0)
    canvas.put(window, index, depth, paint(surface.T) * shade[:, None], part)


def resolve(canvas: Canvas) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Colour (premultiplied, float32) and coverage 0..1 at the image's resolution."""
    size = (canvas.depth.shape[1] // SUPERSAMPLE, canvas.depth.shape[0] // SUPERSAMPLE)
    colour = cv2.resize(canvas.colour, size, interpolation=cv2.INTER_AREA)
    coverage = cv2.resize((canvas.part > 0).view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    return colour.astype(np.float32), coverage.astype(np.float32) * np.float32(1 / 255)
