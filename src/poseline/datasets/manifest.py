"""The manifest: counts and hashes of the data, which change when the data do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from poseline.artifacts import PoseTable, hash_path, read_json
from poseline.config import DataConfig
from poseline.datasets.annotations import Annotations
from poseline.datasets.json_files import Json
from poseline.datasets.sets import enabled_sets
from poseline.project import located, shown


def build_manifest(annotations: Sequence[Annotations]) -> dict[str, Json]:
    """Counts and hashes of every split, ``<dataset>/<split>`` -> entry; no times, so that the same data give the same manifest."""
    return {f"{split.dataset}/{split.split}": split_entry(split) for split in annotations}


def hash_manifests(validated: Path, data: DataConfig) -> str:
    """Sixteen hex digits over the manifests of every enabled set.

    Raises:
        ArtifactError: one is missing or damaged.
    """
    manifests = {name: read_json(validated / name / "manifest.json", made_by=f"validate {name}") for name in enabled_sets(data)}
    return hashlib.sha256(json.dumps(manifests, sort_keys=True).encode()).hexdigest()[:16]


def split_entry(annotations: Annotations) -> dict[str, Json]:
    """One split: images, videos, people, keypoints, and the hashes of the annotation files and of the images' paths and sizes."""
    people, images = annotations.people, annotations.images
    return {
        "annotations": shown(annotations.source).as_posix(),
        "annotations_sha256": hash_path(annotations.source),
        "images_sha256": hash_images([Path(path) for path in images["image_path"]]),
        "num_images": len(images),
        "num_videos": int(images.loc[images["video_id"] != "", "video_id"].nunique()),
        "num_people": len(annotations.raw),
        "num_crowds": int(annotations.raw.is_crowd.sum()),
        "num_labelled_people": int((people.rows["num_keypoints"] > 0).sum()),
        "num_keypoints": int(people.rows["num_keypoints"].sum()),
        "num_tracks": _count_tracks(people),
    }


def _count_tracks(people: PoseTable) -> int:
    tracks = people.rows[["video_id"]].assign(track_id=people.poses.track_ids)
    return len(tracks[tracks["track_id"] >= 0].drop_duplicates())


def hash_images(paths: Sequence[Path]) -> str:
    """SHA-256 over the images' paths and file sizes (-1 where missing), in path order."""
    root = located("")
    with ThreadPoolExecutor() as pool:
        sizes = list(pool.map(lambda path: path.stat().st_size if path.is_file() else -1, [root / path for path in paths], chunksize=64))
    lines = sorted(f"{path.as_posix()} {size}\n" for path, size in zip(paths, sizes, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
