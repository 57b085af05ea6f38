"""Person crops for training: JPEG files in tar shards, with an index that finds each by offset.

A stored crop shows more of the image than the network's input, so that augmentation can shift, rotate and scale inside it.
Tar shards instead of single files: DVC hashes a few dozen files, and any tool can open them.
"""

from __future__ import annotations

import io
import mmap
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from poseline.artifacts import PoseTable
from poseline.config.dataset import PreprocessConfig
from poseline.core.boxes import pad_to_aspect
from poseline.core.geometry import crop_matrix
from poseline.datasets.images import read_image
from poseline.errors import ArtifactError, DataError
from poseline.progress import follow
from poseline.project import all_located

MATRIX_COLUMNS = tuple(f"crop_m{i}" for i in range(6))


def stored_crop_wh(input_wh: tuple[int, int], model_padding: float, config: PreprocessConfig) -> tuple[int, int]:
    """Width and height of a stored crop: the input's, grown with the padding, times the resolution.

    >>> stored_crop_wh((96, 128), 1.25, PreprocessConfig(padding=1.5))
    (115, 154)
    """
    factor = config.resolution * config.padding / model_padding
    return round(input_wh[0] * factor), round(input_wh[1] * factor)


def cut_crops(
    image: UInt8[np.ndarray, "H W 3"], bbox_xyxy: Float[np.ndarray, "N 4"], crop_wh: tuple[int, int], padding: float
) -> tuple[UInt8[np.ndarray, "N h w 3"], Float[np.ndarray, "N 2 3"]]:
    """Crops of an image around boxes, and the matrices from image pixels to crop pixels."""
    centres, sizes = pad_to_aspect(bbox_xyxy, crop_wh[0] / crop_wh[1], padding)
    matrices = np.stack([crop_matrix(centre, size, crop_wh) for centre, size in zip(centres, sizes, strict=True)])
    crops = np.stack([cv2.warpAffine(image, matrix, crop_wh, flags=cv2.INTER_LINEAR) for matrix in matrices])
    return crops, matrices


@dataclass(frozen=True)
class _ImageJob:
    path: str
    image_wh: tuple[int, int]
    bbox_xyxy: np.ndarray
    crop_wh: tuple[int, int]
    padding: float
    jpeg_quality: int


def _encode_image(job: _ImageJob) -> tuple[list[bytes], np.ndarray]:
    cv2.setNumThreads(1)
    image = read_image(Path(job.path))
    if image.shape[0] != image.shape[1] and image.shape[:2] == job.image_wh:
        raise DataError(
            f"{job.path}: {image.shape[1]}x{image.shape[0]} upright, annotated as {job.image_wh[0]}x{job.image_wh[1]}: an EXIF orientation "
            "that the annotations leave aside. Annotate the image upright, or take the tag out."
        )
    crops, matrices = cut_crops(image, job.bbox_xyxy, job.crop_wh, job.padding)
    options = [cv2.IMWRITE_JPEG_QUALITY, job.jpeg_quality]
    return [cv2.imencode(".jpg", crop[..., ::-1], options)[1].tobytes() for crop in crops], matrices


def write_crops(people: PoseTable, folder: Path, config: PreprocessConfig, *, crop_wh: tuple[int, int]) -> PoseTable:
    """Write one crop per person into ``folder/crops-*.tar``.

    Returns:
        The people, those of one image together, with columns shard, offset, length (bytes of the JPEG) and the six entries of the
        crop matrix.
    """
    positions: list[np.ndarray] = []
    jobs: list[_ImageJob] = []
    boxes = people.poses.bbox_xyxy
    sizes = people.rows.reindex(columns=["image_width", "image_height"], fill_value=0).to_numpy(np.int64)
    rows_of = people.rows.groupby("image_path", sort=False).indices
    for path, rows in zip(all_located(map(str, rows_of)), rows_of.values(), strict=True):
        positions.append(np.asarray(rows))
        image_wh = (int(sizes[rows[0], 0]), int(sizes[rows[0], 1]))
        jobs.append(_ImageJob(str(path), image_wh, boxes[rows], crop_wh, config.padding, config.jpeg_quality))
    order = np.concatenate(positions) if positions else np.zeros(0, dtype=np.int64)
    writer = _ShardWriter(folder, config.shard_crops)
    matrices: list[np.ndarray] = []
    with writer:
        for encoded, image_matrices in follow(_map_jobs(jobs, config.processes), "crops", total=len(jobs)):
            matrices.extend(image_matrices.reshape(-1, 6))
            for jpeg in encoded:
                writer.add(jpeg)
    index = people.select(order)
    entries = dict(zip(MATRIX_COLUMNS, np.asarray(matrices, dtype=np.float64).reshape(-1, 6).T, strict=True))
    return replace(index, rows=index.rows.assign(shard=writer.shards, offset=writer.offsets, length=writer.lengths, **entries))


def _map_jobs(jobs: list[_ImageJob], processes: int) -> Iterator[tuple[list[bytes], np.ndarray]]:
    count = processes or os.cpu_count() or 1
    if count == 1 or len(jobs) < 32:
        yield from map(_encode_image, jobs)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(_encode_image, jobs, chunksize=16)


class _ShardWriter:
    """Appends files to numbered tars; timestamps are zero, so the same crops give the same bytes."""

    def __init__(self, folder: Path, shard_crops: int) -> None:
        self.folder, self.shard_crops = folder, shard_crops
        self.shards: list[str] = []
        self.offsets: list[int] = []
        self.lengths: list[int] = []
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> _ShardWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._tar is not None:
            self._tar.close()

    def add(self, data: bytes) -> None:
        """Append one file."""
        number = len(self.shards)
        if number % self.shard_crops == 0:
            if self._tar is not None:
                self._tar.close()
            self._tar = tarfile.open(  # noqa: SIM115
                self.folder / f"crops-{number // self.shard_crops:05d}.tar", "w", format=tarfile.USTAR_FORMAT
            )
        assert self._tar is not None
        entry = tarfile.TarInfo(f"{number:08d}.jpg")
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))
        padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self.shards.append(Path(str(self._tar.name)).name)
        self.offsets.append(self._tar.offset - padded)
        self.lengths.append(len(data))


class CropStore:
    """Random access to the crops of a folder. A shard is mapped into memory on first use in each process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maps: dict[str, mmap.mmap] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder, "_maps": {}}  # maps cannot be sent to another process

    def read(self, shard: str, offset: int, length: int) -> UInt8[np.ndarray, "h w 3"]:
        """One crop, uint8 [h, w, 3] RGB.

        Raises:
            ArtifactError: the shard is missing or the bytes are no image.
        """
        if shard not in self._maps:
            path = self.folder / shard
            try:
                with path.open("rb") as stream:
                    self._maps[shard] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise ArtifactError(f"{path}: cannot be read ({error}). Run `poseline preprocess` again.") from None
        encoded = np.frombuffer(self._maps[shard], dtype=np.uint8, count=length, offset=offset)
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise ArtifactError(f"{self.folder / shard}: no image at byte {offset}. Run `poseline preprocess` again.")
        return image


def crop_matrices(index: PoseTable) -> Float[np.ndarray, "N 2 3"]:
    """The matrices from image pixels to stored-crop pixels, one per row of a crop index."""
    return index.rows[list(MATRIX_COLUMNS)].to_numpy(np.float64).reshape(-1, 2, 3)
