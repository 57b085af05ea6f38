"""Training and validation batches from the crop store. The sample at (seed, epoch, index) is always the same."""

from __future__ import annotations

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
from poseline.crops.published_augment import LegacyAugmentOptions, LegacyDraws, augment_legacy
from poseline.crops.shards import CropStore, crop_matrices
from poseline.datasets.images import read_image


@dataclass(frozen=True)
class PoseBatch:
    """B crops with their keypoints.

    Attributes:
        images: uint8 [B, 3, H, W] RGB.
        keypoints: float32 [B, K, 2] pixels of the input.
        weights: float32 [B, K]: 1 where labelled and inside the input, else 0; the reference recipe leaves the second
            condition to the codec.
        index: int64 [B] rows of the crop index.
    """

    images: UInt8[Tensor, "B 3 H W"]
    keypoints: Float[Tensor, "B K 2"]
    weights: Float[Tensor, "B K"]
    index: Int[Tensor, " B"]


class PoseDataset(Dataset[tuple[int, CropSample]]):
    """People at the network's input size, one at (epoch, row).

    Attributes:
        input_wh: pixels.
        drops_outside: whether a keypoint outside the input gets weight 0 here, or is left to the codec.
    """

    input_wh: tuple[int, int]
    drops_outside = True

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, CropSample]:
        raise NotImplementedError

    def collate(self, samples: list[tuple[int, CropSample]]) -> PoseBatch:
        """Samples as one batch."""
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
    """The crops of an index at the network's input size, augmented where ``augment`` is given."""

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
            stored_wh = (sample.image.shape[1], sample.image.shape[0])
            matrix = centred_matrix(stored_wh, self.input_wh, self.extent)
            return row, apply_matrix(sample, matrix, False, self.skeleton, self.input_wh)
        rng = np.random.default_rng((self.seed, epoch, row))
        return row, augment_sample(rng, sample, self.augment, self.skeleton, input_wh=self.input_wh, extent=self.extent)


class ReferenceDataset(PoseDataset):
    """People augmented by the published recipe, cut from their pictures instead of the stored crops.

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
        self.paths = index.rows["image_path"].tolist()
        self.boxes, self.keypoints, self.visibility = index.poses.bbox_xyxy, index.poses.keypoints, index.poses.visibility
        self.options = LegacyAugmentOptions(
            scale=augment.scale,
            rotation_deg=augment.rotation_deg,
            half_body=augment.half_body,
            half_body_min_keypoints=augment.half_body_min_keypoints,
            box_noise=augment.box_noise,
            padding=padding,
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, CropSample]:
        epoch, row = key
        sample = augment_legacy(
            read_image(Path(self.paths[row])),
            self.boxes[row],
            self.keypoints[row],
            self.visibility[row] > 0,
            draws=LegacyDraws(int(np.random.default_rng((self.seed, epoch, row)).integers(2**32))),
            input_wh=self.input_wh,
            flip_permutation=self.skeleton.flip_permutation,
            upper_body=self.skeleton.groups.get("upper", ()),
            options=self.options,
        )
        return row, CropSample(sample.image, sample.keypoints, sample.labelled.astype(np.uint8))


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, row). A global batch is cut among ranks, so the order does not depend on how many there are.

    The last, incomplete global batch of an epoch is left out, unless it is the only one.
    """

    def __init__(self, num_rows: int, batch_size: int, *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.num_rows, self.batch_size, self.seed, self.rank, self.world_size = num_rows, batch_size, seed, rank, world_size
        self.epoch = 0

    @property
    def global_batch(self) -> int:
        """Samples per optimiser step over all ranks."""
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        return max(self.num_rows // self.global_batch, 1)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.num_rows)
        for step in range(len(self)):
            batch = order[step * self.global_batch : (step + 1) * self.global_batch]
            share = np.array_split(batch, self.world_size)[self.rank]
            yield [(self.epoch, int(row)) for row in share]


def train_loader(dataset: PoseDataset, sampler: EpochSampler, workers: int) -> DataLoader[PoseBatch]:
    """Batches of one epoch at a time; set ``sampler.epoch`` before iterating."""
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=dataset.collate,
        multiprocessing_context="forkserver" if workers else None,
        persistent_workers=workers > 0,
    )


def iterate_batches(dataset: PoseDataset, batch_size: int) -> Iterator[PoseBatch]:
    """All samples once, in order."""
    for start in range(0, len(dataset), batch_size):
        yield dataset.collate([dataset[(0, row)] for row in range(start, min(start + batch_size, len(dataset)))])
