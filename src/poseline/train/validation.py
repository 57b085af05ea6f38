"""Scoring of checkpoints: OKS AP of the validation crops under their ground-truth boxes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from poseline.codecs.base import Codec
from poseline.config import Params
from poseline.core.geometry import invert_matrix, warp_points
from poseline.core.similarity import oks_pairs
from poseline.core.skeletons import load_skeleton
from poseline.crops.augment import centred_matrix
from poseline.crops.batches import iterate_batches
from poseline.crops.shards import crop_matrices, stored_crop_wh
from poseline.models.normalise import normalise_images
from poseline.models.pose_model import build_empty
from poseline.train.sources import TrainingData


class Validator:
    """Scores weights on the validation crops. It has a network of its own, so that training is not disturbed."""

    def __init__(self, data: TrainingData, params: Params, codec: Codec, device: torch.device) -> None:
        self.params, self.codec, self.device = params, codec, device
        self.skeleton = load_skeleton(params.data.skeleton)
        self.dataset = data.val_dataset(params)
        self.people = data.val.poses
        self.area = data.val.poses.area.astype(np.float64)
        stored_wh = stored_crop_wh(params.model.input_wh, params.model.padding, params.preprocess)
        inner = centred_matrix(stored_wh, params.model.input_wh, params.model.padding / data.padding)
        square = [np.vstack([matrix, [0, 0, 1]]) for matrix in crop_matrices(data.val)]
        self.to_picture = [invert_matrix(inner @ matrix) for matrix in square]
        # Weights come from the run: no random draw may happen here, or a resumed run would differ.
        self.model = build_empty(params.model, params.codec, self.skeleton.num_keypoints).to(device).eval()

    @torch.inference_mode()
    def score(self, state: dict[str, Tensor]) -> float:
        """AP (OKS .50:.95) of these weights, 0..1, every person matched with its own prediction."""
        self.model.load_state_dict(state)
        decoded: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        for batch in iterate_batches(self.dataset, self.params.predict.batch_size):
            images = normalise_images(batch.images.to(self.device), self.params.model.normalise)
            keypoints, keypoint_scores = self.codec.decode(self.model(images))
            decoded.append(keypoints.float().cpu().numpy())
            scores.append(keypoint_scores.float().cpu().numpy().mean(axis=1))
        in_picture = [warp_points(points, matrix) for points, matrix in zip(np.concatenate(decoded), self.to_picture, strict=True)]
        return self_matched_ap(self._oks(np.stack(in_picture)), np.concatenate(scores))

    def _oks(self, keypoints: np.ndarray) -> np.ndarray:
        return oks_pairs(keypoints, self.people.keypoints, self.people.visibility, self.area, self.skeleton.sigma_array)


def self_matched_ap(oks: np.ndarray, scores: np.ndarray) -> float:
    """AP over OKS .50:.95 where each prediction belongs to one known person; 101-point interpolation as COCO's.

    >>> self_matched_ap(np.array([1.0, 1.0]), np.array([0.9, 0.8]))
    1.0
    """
    order = np.argsort(-scores, kind="stable")
    recalls = np.linspace(0, 1, 101)
    values = []
    for threshold in np.arange(0.5, 1.0, 0.05):
        hits = oks[order] >= threshold
        true = np.cumsum(hits)
        precision = np.maximum.accumulate((true / np.arange(1, len(hits) + 1))[::-1])[::-1]
        place = np.searchsorted(true / len(hits), recalls, side="left")
        values.append(np.where(place < len(hits), precision[np.minimum(place, len(hits) - 1)], 0).mean())
    return float(np.mean(values))
