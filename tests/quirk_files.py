"""Files of COCO-WholeBody and Halpe with what their tools treat in ways of their own: part scores, poses without scores, crowds.

NumPy alone, and no random generator of its: the official tools, which need another NumPy, are run on the same files.
"""

from __future__ import annotations

import numpy as np

PARTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
PART_SCORES = ("foot_score", "face_score", "lefthand_score", "righthand_score", "wholebody_score")


class Numbers:
    """A stream of numbers between 0 and 1 that is the same everywhere (Lehmer's generator)."""

    def __init__(self, seed: int) -> None:
        self.state = 48271 * (seed + 1)

    def one(self) -> float:
        """The next number."""
        self.state = self.state * 48271 % 2147483647
        return self.state / 2147483647

    def many(self, *shape: int) -> np.ndarray:
        """An array of the next numbers."""
        return np.array([self.one() for _ in range(int(np.prod(shape)))]).reshape(shape)


def draw(count: int, *, crowds: bool = False, zero: bool = False, part_scores: bool = False) -> tuple[dict, list]:
    """Annotations and results of ``count`` keypoints: 8 images of 3 people, two poses of each.

    Args:
        count: 133 in the parts of COCO-WholeBody, 136 in Halpe's one list.
        crowds: some people are crowds.
        zero: some poses have no keypoint score above 0, some none of the feet.
        part_scores: most results have scores of their own for the parts.
    """
    numbers = Numbers(count)
    images = [{"id": i + 1, "file_name": f"{i + 1}.jpg", "width": 600, "height": 600} for i in range(8)]
    people, poses = [], []
    for number in range(24):
        size = 60 + 190 * numbers.one()
        points = numbers.many(count, 2) * size + 300 * numbers.many(2)
        flags = np.floor(3 * numbers.many(count))
        people.append({
            "id": number + 1, "image_id": number // 3 + 1, "category_id": 1, "area": size * size / 2,
            "bbox": [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()], "iscrowd": int(numbers.one() < 0.4 and crowds),
            "num_keypoints": int((flags > 0).sum()), **lists(points, flags),
        })  # fmt: skip
        for _ in range(2):
            noise = size * (0.002, 0.006, 0.015, 0.05)[int(4 * numbers.one())]
            found = points + noise * 3.4 * (numbers.many(count, 2) - 0.5)
            scores, chance = 0.1 + 0.9 * numbers.many(count), numbers.one()
            scores[slice(0, None) if chance < 0.3 else slice(17, 23) if chance < 0.6 else slice(0, 0)] *= not zero
            pose = {"image_id": number // 3 + 1, "category_id": 1, "score": numbers.one(), **lists(found, scores)}
            own = {key: numbers.one() for key in PART_SCORES}
            poses.append(pose | ({key: value for key, value in own.items() if value < 0.9} if part_scores else {}))
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person", "keypoints": []}]}, poses


def lists(points: np.ndarray, third: np.ndarray) -> dict[str, list[float]]:
    """Keypoint lists by key."""
    triples = np.column_stack([points, third])
    if len(points) == 136:
        return {"keypoints": triples.ravel().tolist()}
    ends = np.cumsum(list(PARTS.values()))[:-1]
    return {key: part.ravel().tolist() for key, part in zip(PARTS, np.split(triples, ends), strict=True)}


CASES = {
    f"{name} {quirks}": (count, {key: key in quirks for key in ("crowds", "zero", "part_scores")})
    for name, count, all_quirks in (
        ("coco-wholebody", 133, ("plain", "zero", "part_scores", "crowds, zero, part_scores")),
        ("halpe", 136, ("plain", "zero", "crowds", "crowds, zero")),
    )
    for quirks in all_quirks
}
