"""Poses on images: crops, limbs coloured by side or by track, and images as text for a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseline.core.boxes import pad_to_aspect
from poseline.core.geometry import crop_matrix
from poseline.core.skeletons import Skeleton

Colour = tuple[int, int, int]
Image = UInt8[np.ndarray, "_ _ 3"]

# Okabe and Ito's colours, which people with any kind of colour vision tell apart, without black.
TRACK_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178), (190, 190, 190),
)  # fmt: skip
_SHIFT = 4  # cv2 takes fixed-point coordinates with so many binary digits: lines start between pixels
DARK: Colour = (20, 20, 24)


@dataclass(frozen=True)
class Style:
    """Colours and widths of a drawn pose.

    Attributes:
        left, right, middle: RGB of limbs and keypoints of the person's left, right and neither side.
        width: of a limb, pixels.
        radius: of a keypoint, pixels; 0 draws none.
    """

    left: Colour
    right: Colour
    middle: Colour
    width: int = 2
    radius: int = 3


PREDICTED = Style(left=(230, 159, 0), right=(86, 180, 233), middle=(240, 228, 66))
GROUND_TRUTH = Style(left=(255, 255, 255), right=(255, 255, 255), middle=(255, 255, 255), width=1, radius=0)


def track_style(track_id: int) -> Style:
    """The style of a track: one colour, the same for the same id everywhere."""
    colour = TRACK_COLOURS[track_id % len(TRACK_COLOURS)]
    return Style(left=colour, right=colour, middle=colour)


def track_hex(track_id: int) -> str:
    """A track's colour for a style sheet.

    >>> track_hex(0)
    '#56b4e9'
    """
    return "#{:02x}{:02x}{:02x}".format(*TRACK_COLOURS[track_id % len(TRACK_COLOURS)])


def crop_to_box(
    image: Image, bbox_xyxy: Float[np.ndarray, " 4"], size_wh: tuple[int, int], *, padding: float = 1.4
) -> tuple[Image, np.ndarray]:
    """The surroundings of a box as an image of ``size_wh``, and the matrix [2, 3] that takes image points to it.

    The crop is moved into the image where it fits.
    """
    centres, extents = pad_to_aspect(np.asarray(bbox_xyxy)[None], size_wh[0] / size_wh[1], padding)
    extent, image_wh = extents[0], np.array([image.shape[1], image.shape[0]])
    inside = np.clip(centres[0], extent / 2, np.maximum(image_wh - 1 - extent / 2, extent / 2))
    centre = np.where(extent < image_wh, inside, (image_wh - 1) / 2)
    return warp(image, crop_matrix(centre, extent, size_wh), size_wh)


def fit_width(image: Image, width: int) -> tuple[Image, np.ndarray]:
    """The whole image at another width, and the matrix [2, 3] that takes its points there."""
    height, own = image.shape[:2]
    size_wh = (width, max(1, round(height * width / own)))
    # One pixel more than the steps between the first and last centre, so that both edges land on edges.
    matrix = crop_matrix(np.array([(own - 1) / 2, (height - 1) / 2]), np.array([own - 1.0, height - 1.0]), size_wh)
    return warp(image, matrix, size_wh)


def warp(image: Image, matrix: Float[np.ndarray, "2 3"], size_wh: tuple[int, int]) -> tuple[Image, np.ndarray]:
    """The image under an affine map, and the map."""
    flags = cv2.INTER_AREA if matrix[0, 0] < 0.5 else cv2.INTER_CUBIC
    canvas = cv2.warpAffine(image, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=(74, 80, 90))
    return canvas, matrix


def draw_pose(
    canvas: Image, keypoints: Float[np.ndarray, "K 2"], shown: Bool[np.ndarray, " K"], skeleton: Skeleton, style: Style
) -> None:
    """Draw one pose in place: limbs between shown keypoints on a dark rim, then the keypoints."""
    points = np.round(np.asarray(keypoints, dtype=np.float64) * (1 << _SHIFT)).astype(int)
    limbs = [(a, b) for a, b in skeleton.edges if shown[a] and shown[b]]
    sides = side_of_keypoints(skeleton)
    colours = {"left": style.left, "right": style.right, "middle": style.middle}
    for colour, width in ((DARK, style.width + 2), (None, style.width)):
        for a, b in limbs:
            side = sides[a] if sides[a] == sides[b] else "middle"
            start, end = (int(points[a, 0]), int(points[a, 1])), (int(points[b, 0]), int(points[b, 1]))
            cv2.line(canvas, start, end, colour or colours[side], width, cv2.LINE_AA, _SHIFT)
    for index in np.flatnonzero(shown) if style.radius else ():
        centre = (int(points[index, 0]), int(points[index, 1]))
        cv2.circle(canvas, centre, (style.radius + 1) << _SHIFT, DARK, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, centre, style.radius << _SHIFT, colours[sides[index]], -1, cv2.LINE_AA, _SHIFT)


def draw_label(canvas: Image, text: str, position: tuple[float, float], colour: Colour, *, scale: float = 0.42) -> None:
    """Write a short text in place on a coloured tag whose lower left corner is at ``position``, kept inside the image."""
    thickness = 1 if scale < 0.7 else 2
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    x = int(np.clip(position[0], 0, max(canvas.shape[1] - width - 6, 0)))
    y = int(np.clip(position[1], height + 6, canvas.shape[0]))
    cv2.rectangle(canvas, (x, y - height - 6), (x + width + 6, y), colour, -1)
    ink = DARK if sum(colour) > 300 else (255, 255, 255)
    cv2.putText(canvas, text, (x + 3, y - 4), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)


def side_of_keypoints(skeleton: Skeleton) -> list[str]:
    """Each keypoint's side of the body: left, right or middle."""
    sides = ["middle"] * skeleton.num_keypoints
    for left, right in skeleton.flip_pairs:
        sides[left], sides[right] = "left", "right"
    return sides


def image_uri(canvas: Image, *, quality: int = 80) -> str:
    """The image as a WebP data URI."""
    ok, data = cv2.imencode(".webp", cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert ok, "cv2 was built without WebP"
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}"
