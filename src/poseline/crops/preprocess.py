"""People and images of every set as tables, and the crops that training reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from poseline.artifacts import PoseTable
from poseline.config import Params, PreprocessConfig
from poseline.crops.shards import stored_crop_wh, write_crops
from poseline.datasets.formats import read_all
from poseline.errors import DataError


@dataclass(frozen=True)
class Preprocessed:
    """Tables and crops of all enabled sets.

    Attributes:
        people: every person of every split.
        images: every image.
        crops: the people that have a crop, with its place in the shards.
        crop_wh: width and height of a stored crop, pixels.
    """

    people: PoseTable
    images: pd.DataFrame
    crops: PoseTable
    crop_wh: tuple[int, int]


def preprocess(params: Params, folder: Path) -> Preprocessed:
    """People and images of every enabled set; the crops are written into ``folder``.

    Raises:
        DataError: no person is usable.
    """
    annotations = read_all(params.data)
    people = PoseTable.concat([part.people for part in annotations])
    images = pd.concat([part.images for part in annotations], ignore_index=True)
    usable = people.select(select_usable(people, params.preprocess))
    if not len(usable):
        raise DataError(
            f"preprocess: none of {len(people)} people has {params.preprocess.min_keypoints} labelled keypoints and a box of "
            f"{params.preprocess.min_box_px:g} px. Check the annotations or lower preprocess.min_keypoints."
        )
    crop_wh = stored_crop_wh(params.model.input_wh, params.model.padding, params.preprocess)
    return Preprocessed(people, images, write_crops(usable, folder, params.preprocess, crop_wh=crop_wh), crop_wh)


def select_usable(people: PoseTable, config: PreprocessConfig) -> np.ndarray:
    """A bool mask [N] of the people that get a crop: no crowds, enough labelled keypoints, a box that is large enough."""
    corners = people.poses.bbox_xyxy
    large = (corners[:, 2:] - corners[:, :2] >= config.min_box_px).all(axis=1)
    enough = people.rows["num_keypoints"].to_numpy() >= config.min_keypoints
    return np.asarray(~people.rows["is_crowd"].to_numpy(bool) & enough & large)
