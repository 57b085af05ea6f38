"""The one rule for ``category_id``: annotations and results count where they are of the one category that has keypoints.

What is of another category is left out, counted and said in a warning; where nothing is left, the error names the categories. A file's
category is the one with keypoint names; where none or several have them, the one called 'person'; a single category is taken whatever it is
called. Entries without ``category_id`` belong to it.

Reference:
    pycocotools evaluates the categories that the annotation file lists, each apart.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poseline.datasets.json_files import Entries, Json, check_unique, integer, integers, objects, section
from poseline.errors import DataError, DataWarning

PERSON = "person"


@dataclass(frozen=True)
class Category:
    """The category that a file's people are of.

    Attributes:
        id: its number; None where the file gives its only category none.
        name: what the file calls it; empty where it is not known.
        keypoints: the names of its keypoints; empty where the file gives none.
    """

    id: int | None
    name: str = ""
    keypoints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.id} '{self.name}'" if self.name else str(self.id)


def person_category(content: Mapping[str, Json], *, where: str) -> Category | None:
    """The category of the people; None where the file lists none.

    Raises:
        DataError: the list is damaged, or does not tell which category the people are of.
    """
    if content.get("categories") in (None, []):
        return None
    entries = objects(section(content, "categories", where=where), where=f"{where}: categories")
    places = [f"{where}: categories[{i}]" for i in range(len(entries))]
    if len(entries) > 1:
        check_unique(integers(entries, "id", where=places), "category", where=where)
    found = [_category(entry, where=place) for entry, place in zip(entries, places, strict=True)]
    named = [category for category in found if category.keypoints]
    for candidates in (named, [c for c in named or found if c.name.lower() == PERSON], found):
        if len(candidates) == 1:
            return candidates[0]
    told = ", ".join(str(category) for category in found[:6])
    problem = "several categories have keypoint names" if named else "no category has keypoint names"
    raise DataError(f"{where}: {problem} ({told}). Name the keypoints of the one category of people, or call it 'person'.")


def _category(entry: Mapping[str, Json], *, where: str) -> Category:
    names = entry.get("keypoints")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DataError(f"{where}: expected a list of names under 'keypoints', got {str(names)[:40]!r}. Fix the file.")
    name = entry.get("name", PERSON if names else "")
    if not isinstance(name, str):
        raise DataError(f"{where}: expected a string 'name', got {name!r}. Fix the file.")
    number = integer(entry, "id", where=where) if entry.get("id") is not None else None
    return Category(number, name, tuple(str(name) for name in names or ()))


def of_category(entries: Entries, category: Category | None, *, path: Path, what: str) -> tuple[Entries, list[int]]:
    """The entries of a category and their positions in the file; with None, of the single category that they have.

    Args:
        entries: annotations or results.
        category: of the people; None where it is not known.
        path: of the file.
        what: the entries' name in messages, in the plural.

    Raises:
        DataError: entries, but none of this category; or, where it is not known, entries of several; or a ``category_id`` that is
            no integer.
    """
    ids = [_category_id(entry, where=f"{path}: {what}: entry {i}") for i, entry in enumerate(entries)]
    counts = Counter(number for number in ids if number is not None)
    if category is None or category.id is None:
        if len(counts) > 1:
            told = ", ".join(f"{number} ({count})" for number, count in counts.most_common(6))
            raise DataError(f"{path}: {what} of categories {told}, and nothing says which are people. Add 'categories' to the file.")
        return entries, list(range(len(entries)))
    kept = [i for i, number in enumerate(ids) if number is None or number == category.id]
    others = ", ".join(f"{number} ({count})" for number, count in counts.most_common(6) if number != category.id)
    if entries and not kept:
        told = f"none of the {len(entries)} {what} is of category {category}; they are of {others}"
        raise DataError(f"{path}: {told}. Set category_id to {category.id}.")
    if others:
        left = len(entries) - len(kept)
        told = f"{path}: {left} of {len(entries)} {what} are not of category {category} and are left out: category {others}."
        warnings.warn(told, DataWarning, stacklevel=2)
    return [entries[i] for i in kept], kept


def _category_id(entry: Mapping[str, Json], *, where: str) -> int | None:
    return integer(entry, "category_id", where=where) if entry.get("category_id") is not None else None
