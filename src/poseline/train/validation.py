"""Validation of checkpoints: OKS AP on the validation crops, cut around ground-truth boxes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from poseline.codecs.base import Codec
from poseline.config import Params
from poseline.core.geometry import invert_matrix, warp_points
from poseline.core.similarity import oks_pairs
from poseline.crops.augment import centred_matrix
from poseline.crops.batches import PoseBatch, iterate_batches
from poseline.crops.shards import crop_matrices, stored_crop_wh
from poseline.datasets.sets import target_skeleton
from poseline.metrics.average_precision import interpolate_at_recall_points
from poseline.metrics.keypoint_types import OKS_THRESHOLDS
from poseline.models.normalise import normalise_images
from poseline.models.pose_model import build_empty
from poseline.progress import follow
from poseline.train.sources import TrainingData


class Validator:
    """Scores weights on the validation crops, with a network of its own, so that training is not disturbed."""

    def __init__(self, data: TrainingData, params: Params, codec: Codec, device: torch.device) -> None:
        self.params, self.codec, self.device = params, codec, device
        self.skeleton = target_skeleton(params.data)
        self.dataset, self.batch_size = data.val_dataset(params), params.predict.batch_size
        self.people = data.val.poses
        stored_wh = stored_crop_wh(params.model.input_wh, params.model.padding, params.preprocess)
        inner = centred_matrix(stored_wh, params.model.input_wh, params.model.padding / params.preprocess.padding)
        square = [np.vstack([matrix, [0, 0, 1]]) for matrix in crop_matrices(data.val)]
        self.to_image = [invert_matrix(inner @ matrix) for matrix in square]
        # No random draw may happen here, or a resumed run would differ.
        self.model = build_empty(params.model, params.codec, self.skeleton.num_keypoints).to(device).eval()

    @torch.inference_mode()
    def score(self, state: dict[str, Tensor]) -> float:
        """AP (OKS .50:.95) of these weights, 0..1, every person matched with its own prediction."""
        self.model.load_state_dict(state)
        decoded: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        batches = iterate_batches(self.dataset, self.batch_size)
        for batch in follow(batches, "validation", total=-(-len(self.dataset) // self.batch_size), unit="batches"):
            keypoints, keypoint_scores = self._decode(batch)
            decoded.append(keypoints.float().cpu().numpy())
            scores.append(keypoint_scores.float().cpu().numpy().mean(axis=1))
        in_image = np.stack([warp_points(points, matrix) for points, matrix in zip(np.concatenate(decoded), self.to_image, strict=True)])
        people, area = self.people, self.people.area.astype(np.float64)
        oks = oks_pairs(in_image, people.keypoints, people.visibility, area, self.skeleton.sigma_array)
        return self_matched_ap(oks, np.concatenate(scores))

    @torch.inference_mode()
    def try_batch(self, count: int) -> None:
        """Decode the first people as one batch, and forget them: for the memory that it takes."""
        self._decode(next(iterate_batches(self.dataset, count)))

    def _decode(self, batch: PoseBatch) -> tuple[Tensor, Tensor]:
        images = normalise_images(batch.images.to(self.device), self.params.model.normalise)
        return self.codec.decode(self.model(images))


def self_matched_ap(oks: np.ndarray, scores: np.ndarray) -> float:
    """AP over OKS .50:.95 where each prediction belongs to one known person.

    Precision is exact: without the machine epsilon in the divisor that pycocotools has.

    >>> self_matched_ap(np.array([1.0, 1.0]), np.array([0.9, 0.8]))
    1.0
    """
    rank = np.arange(1, len(oks) + 1)
    found = oks[np.argsort(-scores, kind="stable")] >= OKS_THRESHOLDS[:, None]
    hits = np.cumsum(found, axis=1)
    return float(np.mean([interpolate_at_recall_points(row / len(oks), row / rank).mean() for row in hits]))
