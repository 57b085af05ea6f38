"""Stage preprocess: person records of every set, and the crops that training reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from poseline.artifacts import Layout, TableHeader, atomic_folder, file_hash, read_json, write_table
from poseline.config import Params, PreprocessConfig, config_hash
from poseline.crops.shards import stored_crop_wh, write_crops
from poseline.datasets.records import BBOX_COLUMNS
from poseline.datasets.sets import read_all, target_skeleton
from poseline.errors import DataError


def run(params: Params, layout: Layout) -> dict[str, int]:
    """Write data/processed: people.parquet, images.parquet, crops.parquet and crops-*.tar; counts.

    Raises:
        DataError: no person is left to cut a crop of.
    """
    skeleton = target_skeleton(params)
    manifest = layout.validated / "manifest.json"
    read_json(manifest, made_by="validate")
    annotations = read_all(params)
    people = pd.concat([part.records for part in annotations], ignore_index=True)
    images = pd.concat([part.images for part in annotations], ignore_index=True)
    usable = people[select_usable(people, params.preprocess)]
    if not len(usable):
        raise DataError(
            f"preprocess: none of {len(people)} people has {params.preprocess.min_keypoints} labelled keypoints and a box of "
            f"{params.preprocess.min_box_px:g} px. Check the annotations or lower preprocess.min_keypoints."
        )
    header = TableHeader(
        kind="people",
        skeleton=skeleton.name,
        config_hash=config_hash(params.data, params.preprocess),
        source_hash=file_hash(manifest),
    )
    crop_wh = stored_crop_wh(params.model.input_wh, params.model.padding, params.preprocess)
    with atomic_folder(layout.processed) as folder:
        crops = write_crops(usable, folder, params.preprocess, crop_wh=crop_wh)
        write_table(folder / "people.parquet", people, header)
        write_table(folder / "images.parquet", images, replace(header, kind="images"))
        write_table(folder / "crops.parquet", crops, replace(header, kind="crops", config_hash=f"{crop_wh[0]}x{crop_wh[1]}"))
    return {
        "pictures": len(images),
        "people": len(people),
        "crops": len(crops),
        "train crops": int((crops["split"] == "train").sum()),
        "shards": int(crops["shard"].nunique()),
    }


def select_usable(people: pd.DataFrame, config: PreprocessConfig) -> np.ndarray:
    """Which people are worth a crop: no crowds, enough labelled keypoints, a box that is not tiny."""
    corners = people[list(BBOX_COLUMNS)].to_numpy()
    sides = corners[:, 2:] - corners[:, :2]
    large = (sides >= config.min_box_px).all(axis=1)
    return ~people["is_crowd"].to_numpy(bool) & (people["num_keypoints"].to_numpy() >= config.min_keypoints) & large
