"""Greedy matching of detections to people by COCO's rule, for all images, thresholds and slices together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from poseline.metrics.keypoint_types import GroundTruth
from poseline.metrics.match_table import MatchTable

_CHUNK_ELEMENTS = 4_000_000


def rank_detections(
    image_index: Int[np.ndarray, " N"], scores: Float[np.ndarray, " N"], max_detections: int
) -> tuple[Int[np.ndarray, " D"], Int[np.ndarray, " D"]]:
    """Positions of the kept detections, by image and falling score (ties keep file order), and their ranks from 0."""
    order = np.lexsort((-scores, image_index))
    sorted_index = image_index[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_index, sorted_index, side="left")
    keep = rank < max_detections
    return order[keep], rank[keep]


def pair_up(
    detection_images: Int[np.ndarray, " D"], ground_truth_images: Int[np.ndarray, " G"], num_images: int
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """Every (detection, person) pair of one image, ordered by detection and then person; both inputs ascend."""
    per_image = np.bincount(ground_truth_images, minlength=num_images)
    starts = np.concatenate([[0], np.cumsum(per_image)])[:-1]
    repeats = per_image[detection_images]
    detections = np.repeat(np.arange(len(detection_images)), repeats)
    offset = np.arange(len(detections)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return detections, starts[detection_images][detections] + offset


def tabulate_matches(
    ground_truth: GroundTruth,
    similarity: Float[np.ndarray, " P"],
    pairs: tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]],
    *,
    kept: Int[np.ndarray, " D"],
    images: Int[np.ndarray, " D"],
    ranks: Int[np.ndarray, " D"],
    scores: Float[np.ndarray, " D"],
    ground_truth_ignored: Bool[np.ndarray, "S G"],
    unmatched_ignored: Bool[np.ndarray, "S D"],
    thresholds: Float[np.ndarray, " T"],
    slices: tuple[str, ...],
) -> MatchTable:
    """The table of matches of ranked detections, from the similarity of every pair of an image.

    Args:
        ground_truth: annotated people.
        similarity: of each pair.
        pairs: as :func:`pair_up` lists them.
        kept: each detection's position in the predictions.
        images: its image.
        ranks: its rank in the image.
        scores: its score.
        ground_truth_ignored: people who do not count in a slice.
        unmatched_ignored: detections that do not count in a slice when they match no person.
        thresholds: similarity from which a detection may take a person.
        slices: the names.
    """
    num_images = len(ground_truth.image_ids)
    found = match_greedily(
        similarity,
        pairs,
        detection_images=images,
        ranks=ranks,
        ground_truth_images=ground_truth.image_index,
        ground_truth_ignored=ground_truth_ignored,
        is_crowd=ground_truth.is_crowd,
        thresholds=thresholds,
        num_images=num_images,
    )
    # One more column, so that the index -1 (no person) may be looked up.
    padded = np.pad(ground_truth_ignored, ((0, 0), (0, 1)))
    on_ignored = np.take_along_axis(padded, found.reshape(len(found), -1), axis=1).reshape(found.shape)
    return MatchTable(
        image_ids=ground_truth.image_ids,
        image_index=images,
        detection_index=kept,
        scores=scores,
        matched=found >= 0,
        ignored=on_ignored | ((found < 0) & unmatched_ignored[:, :, None]),
        num_people=count_people(ground_truth.image_index, ground_truth_ignored, num_images),
        slices=slices,
        thresholds=thresholds,
        ground_truth_index=found,
    )


def count_people(image_index: Int[np.ndarray, " G"], ignored: Bool[np.ndarray, "S G"], num_images: int) -> Int[np.ndarray, "S I"]:
    """People counted in each slice and image."""
    return np.stack([np.bincount(image_index[~row], minlength=num_images) for row in ignored]).astype(np.int64)


def match_greedily(
    similarity: Float[np.ndarray, " P"],
    pairs: tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]],
    *,
    detection_images: Int[np.ndarray, " D"],
    ranks: Int[np.ndarray, " D"],
    ground_truth_images: Int[np.ndarray, " G"],
    ground_truth_ignored: Bool[np.ndarray, "S G"],
    is_crowd: Bool[np.ndarray, " G"],
    thresholds: Float[np.ndarray, " T"],
    num_images: int,
) -> Int[np.ndarray, "S D T"]:
    """The person that each detection finds in each slice at each threshold (position in the ground truth), -1 none.

    Detections choose in the order of their scores. Each takes the most similar free person above the threshold; one who
    is ignored only where no other is left; of equals the last. A crowd may be taken again and again.

    Reference:
        pycocotools ``evaluateImg``.
    """
    detections, people = pairs
    num_slices, num_thresholds = len(ground_truth_ignored), len(thresholds)
    found = np.full((num_slices, len(detection_images), num_thresholds), -1, dtype=np.int32)
    if not len(detections):
        return found
    per_image = np.bincount(ground_truth_images, minlength=num_images)
    starts = np.cumsum(per_image) - per_image
    # Images of like crowdedness go together, so that the padding stays small.
    images = np.unique(detection_images[detections])
    images = images[np.argsort(per_image[images], kind="stable")]
    depth = int(ranks.max()) + 1
    pair_images = detection_images[detections]
    slot_of_image = np.full(num_images, -1)
    while len(images):
        # The widest image of a chunk sets the padding; halve until it fits.
        take = len(images)
        while take > 1 and take * int(per_image[images[take - 1]]) * num_slices * num_thresholds > _CHUNK_ELEMENTS:
            take //= 2
        chunk, images = images[:take], images[take:]
        slot_of_image[:] = -1
        slot_of_image[chunk] = np.arange(take)
        chosen = np.flatnonzero(slot_of_image[pair_images] >= 0)
        width = int(per_image[chunk].max())
        slots, columns = slot_of_image[pair_images[chosen]], people[chosen] - starts[pair_images[chosen]]
        table = np.full((take, depth, width), -1.0)
        table[slots, ranks[detections[chosen]], columns] = similarity[chosen]
        ignored = np.zeros((num_slices, take, width), dtype=bool)
        ignored[:, slots, columns] = ground_truth_ignored[:, people[chosen]]
        crowd = np.zeros((take, width), dtype=bool)
        crowd[slots, columns] = is_crowd[people[chosen]]
        picked = _match_chunk(table, ignored, crowd, thresholds)
        rows = np.flatnonzero(slot_of_image[detection_images] >= 0)
        slots = slot_of_image[detection_images[rows]]
        local = picked[:, slots, ranks[rows]]
        found[:, rows] = np.where(local >= 0, local + starts[detection_images[rows]][None, :, None], -1)
    return found


def _match_chunk(
    similarity: Float[np.ndarray, "B D G"],
    ignored: Bool[np.ndarray, "S B G"],
    crowd: Bool[np.ndarray, "B G"],
    thresholds: Float[np.ndarray, " T"],
) -> Int[np.ndarray, "S B D T"]:
    """The person (column) that each detection takes, -1 none; all images step through their ranks together."""
    num_slices, (num_images, depth, width) = len(ignored), similarity.shape
    picked = np.full((num_slices, num_images, depth, len(thresholds)), -1, dtype=np.int32)
    free = np.ones((num_slices, num_images, len(thresholds), width), dtype=bool)
    for rank in range(depth):
        values = similarity[:, rank]
        able = (values[:, None, :] >= thresholds[:, None])[None] & free
        counted = able & ~ignored[:, :, None, :]
        able = np.where(counted.any(axis=-1, keepdims=True), counted, able)
        # Reversed, so that of equally similar people the last one wins.
        best = width - 1 - np.argmax(np.where(able, values[None, :, None, :], -1.0)[..., ::-1], axis=-1)
        hit = able.any(axis=-1)
        picked[:, :, rank] = np.where(hit, best, -1)
        slices, images, levels = np.nonzero(hit & ~crowd[np.arange(num_images)[None, :, None], best])
        free[slices, images, levels, best[slices, images, levels]] = False
    return picked
