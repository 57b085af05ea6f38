"""Boxes to poses: crops, batches, flip test, decoding, and the way back to the image."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from poseline.artifacts import BBOX_COLUMNS, PoseTable
from poseline.codecs.base import Codec
from poseline.codecs.scores import ScoreRule, pose_score
from poseline.core.boxes import pad_to_aspect
from poseline.core.geometry import crop_matrix, invert_matrix, warp_points
from poseline.core.poses import PoseSet
from poseline.datasets.boxes import BOX_ROWS
from poseline.datasets.images import read_image
from poseline.infer.onnx_network import Forward
from poseline.infer.onnx_spec import CropMask
from poseline.models.normalise import normalise_crops
from poseline.models.saved import SavedModel
from poseline.progress import Meter
from poseline.project import all_located


@dataclass(frozen=True)
class CropBatch:
    """Crops of one image, and the matrices that take crop points back to it."""

    crops: UInt8[np.ndarray, "N h w 3"]
    to_image: Float[np.ndarray, "N 2 3"]


class PoseEstimator:
    """Poses from boxes: the network, how its inputs are cut and its outputs decoded, and how a pose is scored.

    Attributes:
        forward: the network.
        codec: decodes its outputs.
        saved: the model's description: input size, padding, normalisation, geometry.
        skeleton: of the poses.
        device: where ``forward`` runs.
        batch_size: crops a forward call.
        flip: average with the outputs of the mirrored crops.
        score: rule of a pose's score.
        inspect: is given the first batch of crops, once; None: nothing is.
        mask: what is blackened of a crop; None: nothing.
    """

    inspect: Callable[[PoseEstimator, UInt8[np.ndarray, "B h w 3"]], None] | None = None

    def __init__(
        self, forward: Forward, codec: Codec, saved: SavedModel, *, device: torch.device, batch_size: int, flip: bool,
        score: ScoreRule = "mean_visible", mask: CropMask | None = None,
    ) -> None:  # fmt: skip
        self.forward, self.codec, self.saved, self.skeleton = forward, codec, saved, saved.keypoints
        self.device, self.batch_size, self.flip, self.score, self.mask = device, batch_size, flip, score, mask

    def cut(self, image: UInt8[np.ndarray, "H W 3"], bbox_xyxy: Float[np.ndarray, "N 4"]) -> CropBatch:
        """The network's inputs for the boxes of an image."""
        return cut_crops(image, bbox_xyxy, self.saved, mask=self.mask)

    @torch.inference_mode()
    def decode(self, crops: UInt8[np.ndarray, "B h w 3"]) -> tuple[Float[np.ndarray, "B K 2"], Float[np.ndarray, "B K"]]:
        """Keypoints in crop pixels and their scores, for one batch of crops."""
        if self.inspect is not None:
            inspect, self.inspect = self.inspect, None
            inspect(self, crops)
        keypoints, scores = self.decode_resident(torch.from_numpy(crops).to(self.device))
        return keypoints.float().cpu().numpy(), scores.float().cpu().numpy()

    @torch.inference_mode()
    def decode_resident(self, crops: UInt8[Tensor, "B h w 3"]) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
        """The same for crops that lie on the device, where the results stay; nothing waits for them."""
        inputs = normalise_crops(crops, self.saved.model.normalise)
        outputs = self.forward(inputs)
        if self.flip:
            mirrored = self.codec.flip(self.forward(inputs.flip(3)), self.skeleton.flip_permutation)
            outputs = self.codec.average(outputs, mirrored)
        return self.codec.decode(outputs)

    def estimate(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        bbox_xyxy: Float[np.ndarray, "N 4"],
        bbox_scores: Float[np.ndarray, " N"] | None = None,
    ) -> PoseSet:
        """The poses of the people in these boxes, in pixels of the image."""
        boxes = np.asarray(bbox_xyxy, dtype=np.float32).reshape(-1, 4)
        if not len(boxes):
            return PoseSet.empty(self.skeleton.num_keypoints)
        box_scores = np.ones(len(boxes), np.float32) if bbox_scores is None else np.asarray(bbox_scores, np.float32)
        ((keypoints, scores),) = self.run([self.cut(image, boxes)])
        return PoseSet(
            keypoints=keypoints,
            keypoint_scores=scores,
            bbox_xyxy=boxes,
            bbox_scores=box_scores,
            pose_scores=pose_score(scores, box_scores, self.score),
        )

    def run(self, groups: Iterable[CropBatch], meter: Meter | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each group of crops the keypoints [N, K, 2] in its image and scores [N, K]; batches are filled across groups.

        The meter counts crops, a batch at a time.
        """
        waiting: deque[CropBatch] = deque()
        pending = 0
        for group in groups:
            waiting.append(group)
            pending += len(group.crops)
            if pending >= self.batch_size:
                yield from self._flush(waiting, meter)
                pending = 0
        yield from self._flush(waiting, meter)

    def _flush(self, waiting: deque[CropBatch], meter: Meter | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if not waiting:
            return
        crops = np.concatenate([group.crops for group in waiting])
        parts = []
        for start in range(0, len(crops), self.batch_size):
            parts.append(self.decode(crops[start : start + self.batch_size]))
            if meter is not None:
                meter.add(len(parts[-1][0]))
        num_keypoints = self.skeleton.num_keypoints
        keypoints = np.concatenate([p[0] for p in parts]) if parts else np.zeros((0, num_keypoints, 2), np.float32)
        scores = np.concatenate([p[1] for p in parts]) if parts else np.zeros((0, num_keypoints), np.float32)
        start = 0
        while waiting:
            group = waiting.popleft()
            rows = slice(start, start + len(group.crops))
            start = rows.stop
            in_image = [warp_points(points, back) for points, back in zip(keypoints[rows], group.to_image, strict=True)]
            yield np.stack(in_image) if in_image else keypoints[rows], scores[rows]


def cut_crops(
    image: UInt8[np.ndarray, "H W 3"], bbox_xyxy: Float[np.ndarray, "N 4"], saved: SavedModel, *, mask: CropMask | None = None
) -> CropBatch:
    """The inputs of a network for the boxes of an image, as its description says."""
    width, height = saved.model.input_wh
    centres, sizes = pad_to_aspect(bbox_xyxy, width / height, saved.model.padding)
    sizes = np.maximum(sizes, 1.0)
    geometry = saved.codec.geometry
    matrices = [crop_matrix(c, s, (width, height), geometry=geometry) for c, s in zip(centres, sizes, strict=True)]
    crops = [cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR) for matrix in matrices]
    if mask is not None:
        blacken_outside(crops, matrices, grow_boxes(bbox_xyxy, mask))
    back = [invert_matrix(matrix) for matrix in matrices]
    return CropBatch(
        np.stack(crops) if crops else np.zeros((0, height, width, 3), np.uint8), np.stack(back) if back else np.zeros((0, 2, 3))
    )


def grow_boxes(bbox_xyxy: Float[np.ndarray, "N 4"], mask: CropMask) -> Float[np.ndarray, "N 4"]:
    """Boxes about the same centres, each side times the mask's scale plus its margin of the longer side."""
    boxes = np.asarray(bbox_xyxy, np.float64).reshape(-1, 4)
    sides = boxes[:, 2:] - boxes[:, :2]
    half = (mask.scale * sides + mask.margin * sides.max(axis=1, keepdims=True)) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def blacken_outside(
    crops: Sequence[UInt8[np.ndarray, "h w 3"]], matrices: Sequence[Float[np.ndarray, "2 3"]], bbox_xyxy: Float[np.ndarray, "N 4"]
) -> None:
    """Blacken in place the pixels of each crop whose centres lie outside its box of the image."""
    for crop, matrix, box in zip(crops, matrices, bbox_xyxy, strict=True):
        (left, top), (right, bottom) = warp_points(box.reshape(2, 2), matrix).tolist()
        x1, y1 = max(math.ceil(left), 0), max(math.ceil(top), 0)
        x2, y2 = max(math.floor(right) + 1, x1), max(math.floor(bottom) + 1, y1)
        crop[:y1] = crop[y2:] = 0
        crop[:, :x1] = crop[:, x2:] = 0


def estimate_boxes(estimator: PoseEstimator, boxes: pd.DataFrame) -> PoseTable:
    """The poses in these boxes (see ``datasets/boxes.py``), in the order of the boxes; each image is read once."""
    boxes = boxes.reset_index(drop=True)
    corners = boxes[list(BBOX_COLUMNS)].to_numpy(np.float32)
    rows_of = boxes.groupby("image_path", sort=False).indices
    images = list(zip(all_located(map(str, rows_of)), map(np.asarray, rows_of.values()), strict=True))
    num_keypoints = estimator.skeleton.num_keypoints
    keypoints = np.zeros((len(boxes), num_keypoints, 2), np.float32)
    scores = np.zeros((len(boxes), num_keypoints), np.float32)

    def cut_image(path: Path, rows: np.ndarray) -> CropBatch:
        return estimator.cut(read_image(path), corners[rows])

    groups = read_ahead(partial(cut_image, path, rows) for path, rows in images)
    with Meter("poses", len(boxes), "people") as meter:
        for (_, rows), (found, found_scores) in zip(images, estimator.run(meter.timed(groups), meter), strict=True):
            keypoints[rows], scores[rows] = found, found_scores
    box_scores = boxes["bbox_score"].to_numpy(np.float32)
    poses = PoseSet(
        keypoints=keypoints,
        keypoint_scores=scores,
        bbox_xyxy=corners,
        bbox_scores=box_scores,
        pose_scores=pose_score(scores, box_scores, estimator.score),
    )
    return PoseTable(boxes[list(BOX_ROWS)], poses)


def read_ahead(jobs: Iterable[Callable[[], CropBatch]], *, threads: int = 2, depth: int = 64) -> Iterator[CropBatch]:
    """Results of the jobs in order, computed by threads at most ``depth`` jobs ahead, so that memory stays bounded."""
    with ThreadPoolExecutor(threads) as pool:
        futures: deque[Future[CropBatch]] = deque()
        for job in jobs:
            futures.append(pool.submit(job))
            if len(futures) >= depth:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
