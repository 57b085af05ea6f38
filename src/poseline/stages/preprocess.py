"""Stage preprocess: people of every set, and the crops that training reads."""

from __future__ import annotations

from dataclasses import replace

from poseline.artifacts import Layout, TableHeader, atomic_folder, write_poses, write_table
from poseline.config import Params, config_hash
from poseline.crops.preprocess import preprocess
from poseline.datasets.manifest import hash_manifests


def run(params: Params, layout: Layout) -> dict[str, int]:
    """Write data/processed: people.parquet, images.parquet, crops.parquet and crops-*.tar; counts.

    Raises:
        DataError: no person is left to cut a crop of.
    """
    header = TableHeader(
        kind="people",
        skeleton=params.data.skeleton,
        config_hash=config_hash(params.data, params.preprocess),
        source_hash=hash_manifests(layout.validated, params.data),
    )
    with atomic_folder(layout.processed) as folder:
        made = preprocess(params, folder)
        write_poses(folder / "people.parquet", made.people, header)
        write_table(folder / "images.parquet", made.images, replace(header, kind="images"))
        size = "{}x{}".format(*made.crop_wh)
        write_poses(folder / "crops.parquet", made.crops, replace(header, kind="crops", config_hash=size))
    return {
        "images": len(made.images),
        "people": len(made.people),
        "crops": len(made.crops),
        "train crops": int((made.crops.rows["split"] == "train").sum()),
        "shards": int(made.crops.rows["shard"].nunique()),
    }
