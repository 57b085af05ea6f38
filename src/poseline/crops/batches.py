"""Training and validation batches. A sample depends on (seed, epoch, row) only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from poseline.artifacts import PoseTable
from poseline.config.training import AugmentConfig
from poseline.core.geometry import warp_points
from poseline.core.skeletons import Skeleton
from poseline.crops.augment import CropSample, apply_matrix, augment_sample, centred_matrix
from poseline.crops.published_augment import PublishedDraws, augment_published
from poseline.crops.shards import CropStore, crop_matrices
from poseline.datasets.images import read_image
from poseline.project import all_located


@dataclass(frozen=True)
class PoseBatch:
    """B crops with their keypoints.

    Attributes:
        images: uint8 [B, 3, H, W] RGB.
        keypoints: float32 [B, K, 2] pixels of the input.
        weights: float32 [B, K]: 1 where labelled and inside the input, else 0; the published augmentation leaves the second
            condition to the codec.
        index: int64 [B], rows of the crop index.
    """

    images: UInt8[Tensor, "B 3 H W"]
    keypoints: Float[Tensor, "B K 2"]
    weights: Float[Tensor, "B K"]
    index: Int[Tensor, " B"]

    def pin_memory(self) -> PoseBatch:
        """The batch in memory from which a device copies by itself; called by the loader's thread."""
        return PoseBatch(self.images.pin_memory(), self.keypoints.pin_memory(), self.weights.pin_memory(), self.index)

    def to(self, device: torch.device) -> PoseBatch:
        """The batch on a device, the index left on the host, which does not wait for the copy of a pinned batch."""
        images, keypoints, weights = (part.to(device, non_blocking=True) for part in (self.images, self.keypoints, self.weights))
        return PoseBatch(images, keypoints, weights, self.index)


class PoseDataset(Dataset[tuple[int, CropSample]], ABC):
    """One person per row at the network's input size; the key is (epoch, row).

    Attributes:
        input_wh: width and height, pixels.
        drops_outside: whether a keypoint outside the input gets weight 0 here; otherwise the codec decides.
    """

    input_wh: tuple[int, int]
    drops_outside = True

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    @abstractmethod
    def __getitem__(self, key: tuple[int, int]) -> tuple[int, CropSample]:
        """The row and its sample in that epoch."""

    def collate(self, samples: list[tuple[int, CropSample]]) -> PoseBatch:
        """The samples as one batch."""
        keypoints = np.stack([sample.keypoints for _, sample in samples])
        weighed = np.stack([sample.visibility for _, sample in samples]) > 0
        if self.drops_outside:
            weighed &= ((keypoints > -0.5) & (keypoints < np.asarray(self.input_wh) - 0.5)).all(axis=-1)
        images = np.stack([sample.image for _, sample in samples])
        return PoseBatch(
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            keypoints=torch.from_numpy(keypoints),
            weights=torch.from_numpy(weighed.astype(np.float32)),
            index=torch.tensor([row for row, _ in samples]),
        )


class CropDataset(PoseDataset):
    """Stored crops, with the standard augmentation where ``augment`` is given.

    Args:
        folder: of the shards.
        index: rows of the crop index.
        skeleton: of its keypoints.
        input_wh: pixels.
        extent: fraction of the stored crop that the input shows.
        seed: with epoch and row, of each sample's draws.
        augment: strengths; None: no augmentation.
    """

    def __init__(
        self,
        folder: Path,
        index: PoseTable,
        skeleton: Skeleton,
        *,
        input_wh: tuple[int, int],
        extent: float,
        seed: int = 0,
        augment: AugmentConfig | None = None,
    ) -> None:
        self.store = CropStore(folder)
        self.skeleton, self.input_wh, self.extent = skeleton, input_wh, extent
        self.seed, self.augment = seed, augment
        matrices = crop_matrices(index)
        warped = [warp_points(points, matrix) for points, matrix in zip(index.poses.keypoints, matrices, strict=True)]
        self.keypoints = np.stack(warped) if warped else index.poses.keypoints
        self.visibility = index.poses.visibility
        self.places = list(zip(index.rows["shard"], index.rows["offset"].to_list(), index.rows["length"].to_list(), strict=True))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, CropSample]:
        epoch, row = key
        sample = CropSample(self.store.read(*self.places[row]), self.keypoints[row], self.visibility[row])
        if self.augment is None:
            matrix = centred_matrix((sample.image.shape[1], sample.image.shape[0]), self.input_wh, self.extent)
            return row, apply_matrix(sample, matrix, False, self.skeleton, self.input_wh)
        rng = np.random.default_rng((self.seed, epoch, row))
        return row, augment_sample(rng, sample, self.augment, self.skeleton, input_wh=self.input_wh, extent=self.extent)


class PublishedDataset(PoseDataset):
    """People with the published augmentation, cut from whole images instead of the stored crops.

    Args:
        index: rows of the crop index.
        skeleton: of its keypoints.
        input_wh: pixels.
        padding: extent of the crop over the box.
        seed: with epoch and row, of each sample's draws.
        augment: strengths.
    """

    drops_outside = False

    def __init__(
        self, index: PoseTable, skeleton: Skeleton, *, input_wh: tuple[int, int], padding: float, seed: int, augment: AugmentConfig
    ) -> None:
        self.skeleton, self.input_wh, self.seed = skeleton, input_wh, seed
        self.paths = all_located(index.rows["image_path"])
        self.boxes, self.keypoints, self.visibility = index.poses.bbox_xyxy, index.poses.keypoints, index.poses.visibility
        self.augment, self.padding = augment, padding

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, CropSample]:
        epoch, row = key
        sample = augment_published(
            read_image(self.paths[row]),
            self.boxes[row],
            self.keypoints[row],
            self.visibility[row] > 0,
            draws=PublishedDraws(int(np.random.default_rng((self.seed, epoch, row)).integers(2**32))),
            input_wh=self.input_wh,
            flip_permutation=self.skeleton.flip_permutation,
            upper_body=self.skeleton.groups.get("upper", ()),
            config=self.augment,
            padding=self.padding,
        )
        return row, CropSample(sample.image, sample.keypoints, sample.labelled.astype(np.uint8))


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of keys (epoch, row). A global batch is split among ranks, so the order does not depend on their number.

    The last, incomplete global batch of an epoch is left out, unless it is the only one. Set ``epoch`` before iterating, and ``start``
    to leave out the first steps of the epoch: its order is the same.
    """

    def __init__(self, num_rows: int, batch_size: int, *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.num_rows, self.batch_size, self.seed, self.rank, self.world_size = num_rows, batch_size, seed, rank, world_size
        self.epoch = self.start = 0

    @property
    def global_batch(self) -> int:
        """Samples per optimiser step over all ranks."""
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        return max(self.num_rows // self.global_batch, 1)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.num_rows)
        for step in range(self.start, len(self)):
            batch = order[step * self.global_batch : (step + 1) * self.global_batch]
            yield [(self.epoch, int(row)) for row in np.array_split(batch, self.world_size)[self.rank]]


def train_loader(
    dataset: PoseDataset, sampler: EpochSampler, workers: int, *, pin_memory: bool = False
) -> DataLoader[tuple[int, CropSample]]:
    """A loader of the sampler's batches as :class:`PoseBatch`, made by ``workers`` processes; 0: by this one, when asked."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=dataset.collate,
        multiprocessing_context="forkserver" if workers else None,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
    )


def iterate_batches(dataset: PoseDataset, batch_size: int) -> Iterator[PoseBatch]:
    """All samples of epoch 0 once, in order."""
    for start in range(0, len(dataset), batch_size):
        yield dataset.collate([dataset[(0, row)] for row in range(start, min(start + batch_size, len(dataset)))])
