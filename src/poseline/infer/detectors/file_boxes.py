"""Boxes of people from a file, looked up by an image's name or a frame's number."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from poseline.core.boxes import xywh_to_xyxy
from poseline.datasets.json_files import Json, read_json
from poseline.errors import DataError
from poseline.infer.detectors.base import Detections
from poseline.infer.video_files import VIDEO_SUFFIXES

PERSON_CATEGORY = 1
EMPTY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

Rows = list[tuple[list[float], float]]


class FileBoxes:
    """Boxes that another program found, from a JSON file of one of these forms.

    - A list of {image_id, bbox: [x, y, w, h], score}, as COCO's detection results; category_id, where given, is 1 for a person. An
      image_id is a number or a file's name.
    - An object {images: [{id, file_name}], annotations: [...]}, as COCO's annotations; a score is 1 where none is given.
    - An object {name: [[x1, y1, x2, y2, score], ...]}; a name is a file's, or a frame's number.

    A numeric id belongs to the image whose name holds that number, as COCO's; in a video it is the frame's number, from 0.

    Attributes:
        path: the file.
        misses: lookups that found no entry for the image.
    """

    def __init__(self, path: Path, *, min_score: float = 0.0) -> None:
        self.path, self.min_score, self.misses = path, min_score, 0
        self._rows: dict[str, Rows] = defaultdict(list)
        self._read(read_json(path))
        if not self._rows:
            raise DataError(f"{path}: no box in it. Give COCO detection results, or {{name: [[x1, y1, x2, y2, score], ...]}}.")

    def lookup(self, name: str, frame_index: int) -> Detections:
        """The boxes of an image or frame, best first; none where the file has no entry for it.

        Args:
            name: of the image file, with or without folders; of the video for a frame.
            frame_index: of the frame in its video, or of the image among all.
        """
        rows = next((self._rows[key] for key in self._keys(name, frame_index) if key in self._rows), None)
        if rows is None:
            self.misses += 1
            return EMPTY
        kept = sorted((row for row in rows if row[1] >= self.min_score), key=lambda row: -row[1])
        if not kept:
            return EMPTY
        return Detections(np.array([box for box, _ in kept], np.float32), np.array([score for _, score in kept], np.float32))

    def _keys(self, name: str, frame_index: int) -> list[str]:
        path = Path(name)
        keys = [name, *("/".join(path.parts[-count:]) for count in range(len(path.parts), 0, -1)), path.stem]
        number = re.search(r"(\d+)$", path.stem)
        # The number in the name is an image's id; a video's name says nothing of its frames.
        if number and path.suffix.lower() not in VIDEO_SUFFIXES:
            return [*keys, str(int(number[1]))]
        return [*keys, str(frame_index)]

    def _read(self, content: Json) -> None:
        if isinstance(content, list):
            self._read_entries(content, {})
        elif isinstance(content, dict) and "annotations" in content:
            images = content.get("images")
            listed = [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
            names = {str(image.get("id")): str(image.get("file_name")) for image in listed}
            annotations = content["annotations"]
            self._read_entries(annotations if isinstance(annotations, list) else [], names)
        elif isinstance(content, dict):
            for name, boxes in content.items():
                for number, row in enumerate(boxes if isinstance(boxes, list) else [None]):
                    self._rows[name].append(self._row(row, f"{self.path}: {name}: box {number}"))
        else:
            raise DataError(f"{self.path}: expected a list or an object of boxes, got {type(content).__name__}.")

    def _read_entries(self, entries: list[Json], names: dict[str, str]) -> None:
        for number, entry in enumerate(entries):
            where = f"{self.path}: entry {number}"
            if not isinstance(entry, dict) or "image_id" not in entry or "bbox" not in entry:
                raise DataError(f"{where}: expected image_id and bbox [x, y, w, h]. Fix the file.")
            if entry.get("category_id", PERSON_CATEGORY) != PERSON_CATEGORY:
                continue
            given = str(entry["image_id"])
            corners, score = self._row([*_numbers(entry["bbox"], where, 4), entry.get("score", 1.0)], where)
            box = xywh_to_xyxy(np.array([corners]))[0].tolist()
            self._rows[names.get(given, given)].append((box, score))

    def _row(self, row: Json, where: str) -> tuple[list[float], float]:
        *box, score = _numbers(row, where, 5)
        return box, score


def _numbers(values: Json, where: str, count: int) -> list[float]:
    numbers = [float(value) for value in values if isinstance(value, int | float)] if isinstance(values, list) else []
    if len(numbers) != count or not isinstance(values, list) or len(values) != count or not np.isfinite(numbers).all():
        raise DataError(f"{where}: expected {count} finite numbers for a box, got {str(values)[:60]}. Fix the file.")
    return numbers
