"""The two file forms of MPII Human Pose, read as they are: pixels counted from 1.

Reference:
    http://human-pose.mpi-inf.mpg.de (release v1, u12); the JSON lists and head-box files that stacked hourglass and
    simple-baselines made of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Float
from scipy.io.matlab import MatReadError, mat_struct

from poseline.datasets.json_files import Entries, Json, expect_list, file_name, forward_slashes, number, numbers, read_entries
from poseline.errors import DataError

NUM_JOINTS = 16

_DAMAGED = (OSError, ValueError, TypeError, KeyError, IndexError, zlib.error, MatReadError)
"""What scipy raises on a damaged file, by where the damage is."""


@dataclass(frozen=True)
class MpiiPerson:
    """One person as MPII gives it; pixels counted from 1.

    Attributes:
        image: file name.
        joints: [16, 2].
        visibility: [16] of 0 not labelled, 1 occluded, 2 visible or, in the JSON lists that do not tell, labelled.
        centre: [2], rough position of the person.
        scale: height of the person over 200 px.
        head_xyxy: [4]; NaN where there is none.
    """

    image: str
    joints: Float[np.ndarray, "16 2"]
    visibility: Float[np.ndarray, " 16"]
    centre: Float[np.ndarray, " 2"]
    scale: float
    head_xyxy: Float[np.ndarray, " 4"]


def read_people_json(path: Path) -> list[MpiiPerson]:
    """The people of a list of {image, joints, joints_vis, center, scale}; a test list without joints gives unlabelled people.

    Raises:
        DataError: no such file, not JSON, or another form.
    """
    entries: Entries = read_entries(path, expected="at least one person")
    return [_json_person(entry, where=f"{path}: entry {i}") for i, entry in enumerate(entries)]


def _json_person(entry: Mapping[str, Json], *, where: str) -> MpiiPerson:
    joints, visibility = np.zeros((NUM_JOINTS, 2)), np.zeros(NUM_JOINTS)
    if "joints" in entry or "joints_vis" in entry:
        rows = expect_list(entry.get("joints"), where=f"{where}: 'joints'")
        if len(rows) != NUM_JOINTS:
            raise DataError(f"{where}: expected {NUM_JOINTS} joints (skeleton 'mpii16'), got {len(rows)}. Fix the file.")
        joints = np.asarray([numbers(row, 2, where=f"{where}: joint {j}") for j, row in enumerate(rows)])
        flags = expect_list(entry.get("joints_vis"), where=f"{where}: 'joints_vis'")
        flags = [int(flag) if isinstance(flag, bool) else flag for flag in flags]
        visibility = 2.0 * np.asarray(numbers(flags, NUM_JOINTS, where=f"{where}: 'joints_vis'"))
    return MpiiPerson(
        image=file_name(entry, "image", where=where),
        joints=joints,
        visibility=visibility,
        centre=np.asarray(numbers(entry.get("center"), 2, where=f"{where}: 'center'")),
        scale=number(entry.get("scale")),
        head_xyxy=np.full(4, np.nan),
    )


def add_head_boxes(people: list[MpiiPerson], path: Path) -> list[MpiiPerson]:
    """The same people with the head boxes of a .mat file (``headboxes_src`` [2 corners, xy, N], ``jnt_missing`` [16, N]).

    A joint that the file calls missing becomes unlabelled: PCKh leaves it out.

    Raises:
        DataError: no such file, not MATLAB's form, no head boxes, or of another number of people.
    """
    content = load_matlab(path)
    if "headboxes_src" not in content:
        raise DataError(f"{path}: expected 'headboxes_src', got {sorted(k for k in content if k[0] != '_')}. Give the head-box file.")
    heads = np.asarray(content["headboxes_src"], dtype=np.float64).reshape(2, 2, -1)
    missing = np.asarray(content.get("jnt_missing", np.zeros((NUM_JOINTS, heads.shape[2])))).reshape(NUM_JOINTS, -1)
    if not heads.shape[2] == missing.shape[1] == len(people):
        raise DataError(
            f"{path}: {heads.shape[2]} head boxes and {missing.shape[1]} columns of missing joints for {len(people)} people. "
            "Give the head boxes of the same list, in the same order."
        )
    return [
        replace(person, head_xyxy=heads[:, :, i].reshape(4), visibility=np.where(missing[:, i] > 0, 0.0, person.visibility))
        for i, person in enumerate(people)
    ]


def load_matlab(path: Path) -> dict[str, object]:
    """The variables of a MATLAB file up to version 7.2.

    Raises:
        DataError: no such file, cut short, or not of that form.
    """
    try:
        with path.open("rb") as file:
            content: dict[str, object] = scipy.io.loadmat(file, struct_as_record=False, squeeze_me=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the paths under data in params.yaml.") from None
    except NotImplementedError:
        raise DataError(f"{path}: MATLAB 7.3 (HDF5) file, expected version 5 to 7.2. Save it again with -v7.") from None
    except _DAMAGED as error:
        raise DataError(f"{path}: cannot be read as a MATLAB file ({' '.join(str(error).split())[:120]}). Fetch it again.") from None
    return content


def number_images(names: list[str]) -> dict[str, int]:
    """An integer for each image: its name's number where all names are different numbers, as MPII's are, else 1, 2, 3, ...

    >>> number_images(["015601864.jpg", "000000007.jpg"])
    {'015601864.jpg': 15601864, '000000007.jpg': 7}
    >>> number_images(["a.jpg", "b.jpg"])
    {'a.jpg': 1, 'b.jpg': 2}
    """
    names = list(dict.fromkeys(names))
    stems = [Path(name).stem for name in names]
    if all(stem.isdecimal() and len(stem) < 19 for stem in stems) and len({int(stem) for stem in stems}) == len(names):
        return {name: int(stem) for name, stem in zip(names, stems, strict=True)}
    return {name: number for number, name in enumerate(names, start=1)}


def read_people_release(path: Path, *, split: str) -> list[MpiiPerson]:
    """The people of the official release .mat: ``train`` is img_train = 1, ``val`` the rest, whose joints MPII withholds.

    Rectangles without position or scale (a head alone, in the background) are no person entries and are left out, as everywhere.

    Raises:
        DataError: no such file, or not the release's form.
    """
    release = load_matlab(path).get("RELEASE")
    if not isinstance(release, mat_struct) or not {"annolist", "img_train"} <= set(release._fieldnames):
        raise DataError(f"{path}: expected a struct RELEASE with annolist and img_train. Give mpii_human_pose_v1_u12_1.mat.")
    wanted = 1 if split == "train" else 0
    people = []
    for image, is_train in zip(np.atleast_1d(release.annolist), np.atleast_1d(release.img_train), strict=True):
        if int(is_train) == wanted:
            people += [person for rect in _structs(getattr(image, "annorect", None)) if (person := _release_person(image.image.name, rect))]
    return people


def _release_person(image: str, rect: mat_struct) -> MpiiPerson | None:
    position = _structs(getattr(rect, "objpos", None))
    scale = np.atleast_1d(getattr(rect, "scale", np.empty(0)))
    if not position or scale.size != 1:
        return None
    joints, visibility = np.zeros((NUM_JOINTS, 2)), np.zeros(NUM_JOINTS)
    for points in _structs(getattr(rect, "annopoints", None)):
        for point in _structs(getattr(points, "point", None)):
            joints[int(point.id)] = float(point.x), float(point.y)
            visibility[int(point.id)] = _visibility(getattr(point, "is_visible", None))
    corners = [np.atleast_1d(getattr(rect, name, np.empty(0))) for name in ("x1", "y1", "x2", "y2")]
    head = np.concatenate(corners).astype(np.float64) if all(c.size == 1 for c in corners) else np.full(4, np.nan)
    centre = np.asarray([float(position[0].x), float(position[0].y)])
    return MpiiPerson(forward_slashes(str(image)), joints, visibility, centre, float(scale[0]), head)


def _structs(value: object) -> list[mat_struct]:
    """The structs of a field that MATLAB squeezes to nothing, one struct or an array of them."""
    if isinstance(value, mat_struct):
        return [value]
    return [entry for entry in np.atleast_1d(value) if isinstance(entry, mat_struct)] if isinstance(value, np.ndarray) else []


def _visibility(flag: object) -> int:
    """1 for an occluded joint, else 2: the release writes the flag as number, text or, for the head's joints, not at all."""
    values = np.atleast_1d(np.asarray(flag if flag is not None else []))
    return 1 if values.size == 1 and str(values[0]) in ("0", "0.0") else 2
