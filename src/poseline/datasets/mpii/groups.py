"""Files of MPII's multi-person protocol: people and poses in groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poseline.datasets.json_files import Json, expect_list, integer, numbers, read_entries
from poseline.errors import DataError
from poseline.metrics.mpii_map import GroupPeople
from poseline.metrics.pckh import head_size_from_box


def read_groups(path: Path, *, ground_truth: bool) -> GroupPeople:
    """People of a JSON list of {group, keypoints: 16 x [x, y, flag or score]}, and in ground truth head_box [x1, y1, x2, y2].

    A joint whose third number is not above 0 is not annotated (ground_truth) or not predicted; scores are those numbers.

    Raises:
        DataError: missing, cut short or in another format; a number that is not finite; a head box of no size.
    """
    path = Path(path)
    entries = read_entries(path, expected="at least one person")
    group_ids, points, heads = [], [], []
    for index, entry in enumerate(entries):
        where = f"{path}: entry {index}"
        group_ids.append(integer(entry, "group", where=where))
        points.append(_joints(entry.get("keypoints"), where))
        heads.append(numbers(entry.get("head_box"), 4, where=f"{where}: 'head_box'") if ground_truth else [0.0, 0.0, 1.0, 1.0])
    joints = np.array(points)
    head_size = head_size_from_box(np.array(heads))
    if not np.isfinite(joints).all():
        raise DataError(f"{path}: entry {np.argwhere(~np.isfinite(joints))[0][0]}: expected finite numbers. Fix the file.")
    if ground_truth and not (head_size > 0).all():
        raise DataError(f"{path}: entry {int(np.argmin(head_size > 0))}: expected a head box with a size. Fix the file.")
    return GroupPeople(
        group_ids=np.array(group_ids, dtype=np.int64),
        keypoints=joints[..., :2],
        present=joints[..., 2] > 0,
        scores=joints[..., 2],
        head_size=head_size,
    )


def _joints(value: Json, where: str) -> list[list[float]]:
    rows = expect_list(value, where=f"{where}: 'keypoints'")
    if len(rows) != 16:
        raise DataError(f"{where}: {len(rows)} keypoints, skeleton 'mpii16' has 16. Fix the file.")
    return [numbers(row, 3, where=f"{where}: keypoint {joint}") for joint, row in enumerate(rows)]
