"""MPII's files from drawn images: train/valid JSON, the scoring .mat of the validation split, and the release struct.

All coordinates are 1-based pixels, as MPII's own: the first pixel's centre is (1, 1). A missing joint is (-1, -1) in the
JSON and (0, 0) with ``jnt_missing`` 1 in the scoring file. ``scale`` is the person's height over 200 px; ``center`` lies
15 * scale above the middle of the person's box, because readers of this format move it down by as much.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.io import savemat

from poseline.core.skeletons import load_skeleton
from poseline.mini.coco_format import Json, keypoints_in
from poseline.mini.scene import Person

SHORT_NAMES = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho", "lsho", "lelb", "lwri",
)  # fmt: skip
#: A person is listed as a sample where at least so many joints lie in the image and this fraction of it shows.
MIN_JOINTS, MIN_FRACTION = 8, 0.4


@dataclass(frozen=True)
class MpiiPerson:
    """One person in MPII's terms; coordinates are 1-based.

    Attributes:
        joints: [16, 2]; (-1, -1) where missing.
        present: [16] of 0 and 1.
        seen: [16] of 0 and 1: not covered by anything.
        centre: the person's rough position.
        scale: height over 200 px.
        head_xyxy: the head's box.
        sample: whether the person is large and free enough for the single-person task.
        apart: whether no other person comes near.
    """

    joints: Float[np.ndarray, "16 2"]
    present: np.ndarray
    seen: np.ndarray
    centre: tuple[float, float]
    scale: float
    head_xyxy: Float[np.ndarray, " 4"]
    sample: bool
    apart: bool


def mpii_people(people: Sequence[Person]) -> list[MpiiPerson]:
    """The people of an image in MPII's terms."""
    converted = []
    for person in people:
        points, flags = keypoints_in(person, load_skeleton("mpii16"))
        present = flags > 0
        x, y, w, h = person.bbox_xywh
        scale = round(max(w, h) / 200, 6)
        converted.append(
            MpiiPerson(
                joints=np.where(present[:, None], np.round(points + 1, 4), -1.0),
                present=present.astype(np.uint8),
                seen=(flags == 2).astype(np.uint8),
                centre=(round(x + w / 2 + 1, 1), round(y + h / 2 + 1 - 15 * scale, 1)),
                scale=scale,
                head_xyxy=np.round(person.head_xyxy + 1, 2),
                sample=bool(present.sum() >= MIN_JOINTS and person.visible_fraction >= MIN_FRACTION),
                apart=all(other is person or _gap(person, other) > 0 for other in people),
            )
        )
    return converted


def _gap(one: Person, other: Person) -> float:
    """Pixels between two boxes; negative where they overlap."""
    ax, ay, aw, ah = one.bbox_xywh
    bx, by, bw, bh = other.bbox_xywh
    return max(max(ax, bx) - min(ax + aw, bx + bw), max(ay, by) - min(ay + ah, by + bh))


def json_entries(name: str, people: Sequence[MpiiPerson]) -> list[dict[str, Json]]:
    """The entries of train.json or valid.json for one image."""
    return [
        {
            "joints_vis": person.present.tolist(), "joints": person.joints.tolist(), "image": name, "scale": person.scale,
            "center": list(person.centre),
        }
        for person in people
        if person.sample
    ]  # fmt: skip


def scoring_arrays(people: Sequence[MpiiPerson]) -> dict[str, np.ndarray]:
    """The arrays of gt_valid.mat, people in the order of valid.json."""
    joints = np.stack([person.joints for person in people]) if people else np.zeros((0, 16, 2))
    present = np.stack([person.present for person in people]) if people else np.zeros((0, 16), np.uint8)
    heads = np.stack([person.head_xyxy.reshape(2, 2) for person in people]) if people else np.zeros((0, 2, 2))
    names = np.empty((1, 16), dtype=object)
    for i, name in enumerate(SHORT_NAMES):
        names[0, i] = name
    return {
        "pos_gt_src": np.where(present[..., None] > 0, joints, 0.0).transpose(1, 2, 0),
        "headboxes_src": heads.transpose(1, 2, 0),
        "jnt_missing": (1 - present).T.astype(np.uint8),
        "dataset_joints": names,
    }


def release_struct(rows: Sequence[tuple[str, Sequence[MpiiPerson], bool]]) -> dict[str, dict[str, np.ndarray]]:
    """The RELEASE struct of the official file from (image name, people, is training) rows."""
    annolist = np.zeros((1, len(rows)), dtype=[("image", object), ("annorect", object)])
    single = np.empty((len(rows), 1), dtype=object)
    for i, (name, people, _) in enumerate(rows):
        annolist["image"][0, i] = {"name": name}
        annolist["annorect"][0, i] = _rectangles(people)
        single[i, 0] = np.array([[k + 1] for k, person in enumerate(people) if person.sample and person.apart], np.uint8).reshape(-1, 1)
    training = np.array([[int(is_training) for _, _, is_training in rows]], np.uint8)
    return {"RELEASE": {"annolist": annolist, "img_train": training, "single_person": single}}


def _rectangles(people: Sequence[MpiiPerson]) -> np.ndarray:
    kinds = [(name, object) for name in ("x1", "y1", "x2", "y2", "annopoints", "scale", "objpos")]
    rectangles = np.zeros((1, len(people)), dtype=kinds)
    for k, person in enumerate(people):
        for name, value in zip(("x1", "y1", "x2", "y2"), person.head_xyxy.tolist(), strict=True):
            rectangles[name][0, k] = value
        points = np.zeros((1, int(person.present.sum())), dtype=[(name, object) for name in ("x", "y", "id", "is_visible")])
        for at, joint in enumerate(np.flatnonzero(person.present)):
            points["x"][0, at], points["y"][0, at] = person.joints[joint].tolist()
            points["id"][0, at], points["is_visible"][0, at] = int(joint), int(person.seen[joint])
        rectangles["annopoints"][0, k] = {"point": points}
        rectangles["scale"][0, k] = person.scale
        rectangles["objpos"][0, k] = {"x": person.centre[0], "y": person.centre[1]}
    return rectangles


def matlab_bytes(variables: dict[str, np.ndarray] | dict[str, dict[str, np.ndarray]]) -> bytes:
    """A MATLAB 5 file whose header carries no date, so that the same content is the same bytes."""
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=True)
    raw = buffer.getvalue()
    return b"MATLAB 5.0 MAT-file, drawn by poseline".ljust(116) + raw[116:]
