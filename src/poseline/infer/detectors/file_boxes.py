"""Boxes of people from a file, looked up by an image's name or a frame's number."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from poseline.core.boxes import xywh_to_xyxy
from poseline.datasets.categories import PERSON, Category, of_category, person_category
from poseline.datasets.json_files import (
    Entries,
    Json,
    expect_list,
    file_name,
    finite_matrix,
    finite_numbers,
    forward_slashes,
    integer,
    is_result_list,
    kind_of,
    objects,
    read_entries,
    read_json,
    section,
)
from poseline.errors import DataError
from poseline.infer.detectors.base import Detections
from poseline.infer.video_files import VIDEO_SUFFIXES

PEOPLE = Category(1, PERSON)
"""What a file that does not list its categories calls a person: COCO's number."""
EMPTY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

Rows = list[tuple[list[float], float]]


class FileBoxes:
    """Boxes that another program found, from a JSON file of one of these forms.

    - A list of {image_id, bbox: [x, y, w, h], score}, as COCO's detection results; an image_id is a number or a file's name. Where there
      are several category_id, 1 is a person.
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
        if isinstance(content, dict) and "images" in content:
            images = objects(section(content, "images", where=str(self.path)), where=f"{self.path}: images")
            names = {
                integer(image, "id", where=where): file_name(image, "file_name", where=where)
                for number, image in enumerate(images)
                for where in [f"{self.path}: images[{number}]"]
            }
            self._read_entries(
                objects(section(content, "annotations", where=str(self.path)), where=f"{self.path}: annotations"),
                names,
                person_category(content, where=str(self.path)) or PEOPLE,
            )
        elif is_result_list(content):
            entries = read_entries(self.path, expected="at least one box")
            single = len({str(entry.get("category_id")) for entry in entries}) == 1
            self._read_entries(entries, {}, None if single else PEOPLE)
        elif isinstance(content, dict):
            for name, boxes in content.items():
                self._read_rows(name, boxes)
        else:
            raise DataError(f"{self.path}: expected a list or an object of boxes, got {kind_of(content)}.")

    def _read_entries(self, entries: Entries, names: Mapping[int, str], category: Category | None) -> None:
        """Boxes of COCO's form; ``names`` are those of the images by number."""
        entries, places = of_category(entries, category, path=self.path, what="boxes")
        where = [f"{self.path}: entry {place}" for place in places]
        boxes = xywh_to_xyxy(finite_matrix(entries, "bbox", 4, where=where))
        scores = finite_numbers([{"score": 1.0, **entry} for entry in entries], "score", where=where)
        for entry, place, box, score in zip(entries, where, boxes.tolist(), scores.tolist(), strict=True):
            if isinstance(entry.get("image_id"), str):
                name = file_name(entry, "image_id", where=place)
            else:
                image_id = integer(entry, "image_id", where=place)
                name = names.get(image_id, str(image_id))
            self._rows[name].append((box, score))

    def _read_rows(self, name: str, boxes: Json) -> None:
        """Boxes with corners and score under an image's name or a frame's number."""
        rows = expect_list(boxes, where=f"{self.path}: {name}")
        where = [f"{self.path}: {name}: box {number}" for number in range(len(rows))]
        values = finite_matrix([{"bbox": row} for row in rows], "bbox", 5, where=where)
        self._rows[forward_slashes(name)] += [(box, score) for *box, score in values.tolist()]
