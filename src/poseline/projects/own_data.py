"""A data set of your own in COCO's form: which files are which split, where their images lie, and what its keypoints are."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from poseline.config.params import Yaml
from poseline.core.skeletons import list_skeletons, load_skeleton
from poseline.datasets.categories import of_category, person_category
from poseline.datasets.json_files import Json, expect_mapping, objects, read_json, section
from poseline.errors import ConfigError, DataError

Content = dict[str, Json]
TRAIN, VAL = ("train",), ("val", "valid", "validation", "test", "dev")
MAX_DEPTH = 4
SAMPLE = 20
VAL_OF = 5
"""Of so many images one goes to val, where the set names no splits."""
MANY_FOLDERS = 5
"""From so many folders of images on, whole folders (videos, as a rule) go to a split."""


@dataclass(frozen=True)
class SplitFiles:
    """A split: its annotation file and the folder of its images."""

    annotations: Path
    images: Path
    content: Content = field(repr=False)

    @property
    def num_images(self) -> int:
        """How many images the file lists."""
        return len(section(self.content, "images", where=str(self.annotations)))


@dataclass(frozen=True)
class OwnData:
    """What a folder holds.

    Attributes:
        splits: ``train`` and ``val``.
        made: the splits were made here, out of one file, and must be written.
        skeleton: the name of a known skeleton; None where the set has its own.
        keypoints: the names of the keypoints.
        edges: pairs of keypoints that are drawn as limbs.
        people: annotated people in train.
    """

    splits: Mapping[str, SplitFiles]
    made: bool
    skeleton: str | None
    keypoints: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    people: int


def read_own_data(folder: Path) -> OwnData:
    """What a folder in COCO's form holds.

    Raises:
        ConfigError: no such folder.
        DataError: no annotation file with keypoints, images that are not there, or splits that cannot be told apart.
    """
    if not folder.is_dir():
        raise ConfigError(f"--data {folder}: no such folder. Name the folder that holds the annotation files (JSON) and the images.")
    found = list(find_annotations(folder))
    if not found:
        raise DataError(f"{folder}: no JSON file in COCO's form with keypoints ('images', 'annotations' with 'keypoints'). Name another.")
    chosen, made = choose_splits(found, folder)
    folders = image_folders(folder)
    splits = {
        name: SplitFiles(path, find_images(content, path, folders, folder, split=name), content)
        for name, (path, content) in chosen.items()
    }
    path, content = next(iter(chosen.values()))
    keypoints, edges = read_keypoints(path, content)
    for other, held in chosen.values():
        if read_keypoints(other, held)[0] != keypoints:
            raise DataError(f"{other}: other keypoints than {path}. Give files of the same keypoints.")
    people = len(annotated(chosen["train"][1], path))
    return OwnData(splits, made, known_skeleton(keypoints), keypoints, edges, people)


def find_annotations(folder: Path) -> Iterator[tuple[Path, Content]]:
    """The JSON files below a folder that are annotations with keypoints in COCO's form, with their content."""
    for path in sorted(folder.rglob("*.json")):
        if len(path.relative_to(folder).parts) > MAX_DEPTH or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            content = read_json(path)
        except DataError:
            continue
        people = content.get("annotations") if isinstance(content, dict) and isinstance(content.get("images"), list) else None
        if isinstance(content, dict) and isinstance(people, list) and any(isinstance(one, dict) and one.get("keypoints") for one in people):
            yield path, content


def choose_splits(found: list[tuple[Path, Content]], folder: Path) -> tuple[dict[str, tuple[Path, Content]], bool]:
    """The files by split, and whether they were made here out of one.

    Raises:
        DataError: several files that do not say which split they are.
    """
    named: dict[str, list[tuple[Path, Content]]] = {"train": [], "val": []}
    for path, content in found:
        split = split_of(path.relative_to(folder))
        if split is not None:
            named[split].append((path, content))
    # Of val and test, both given, val scores: the test set is kept for the end.
    named["val"] = [one for one in named["val"] if "test" not in one[0].name.lower()] or named["val"]
    if len(named["train"]) == 1 and len(named["val"]) == 1:
        return {name: files[0] for name, files in named.items()}, False
    one = named["train"] or found
    if len(one) == 1 and not named["val"]:
        path, content = one[0]
        return {name: (path, part) for name, part in zip(("train", "val"), divide(content, path), strict=True)}, True
    listed = ", ".join(str(path.relative_to(folder)) for path, _ in found[:6])
    expected = "expected one, or one with 'train' and one with 'val' in its name"
    raise DataError(f"{folder}: {len(found)} annotation files ({listed}): {expected}. Rename or move them.")


def split_of(path: Path) -> str | None:
    """The split that a path names, the last word that does; None where none does.

    >>> split_of(Path("train/images")), split_of(Path("mice_val2017.json")), split_of(Path("trainer"))
    ('train', 'val', None)
    """
    words = reversed(re.split(r"[^a-z]+", path.as_posix().lower()))
    return next(("train" if word in TRAIN else "val" for word in words if word in TRAIN + VAL), None)


def divide(content: Content, path: Path) -> tuple[Content, Content]:
    """Train and val of one file: about a fifth of the images to val, whole folders where there are several; always the same.

    Raises:
        DataError: fewer than two images, or images without a name or id.
    """
    images = objects(section(content, "images", where=str(path)), where=f"{path}: images")
    names = {str(image.get("file_name", "")): image for image in images if image.get("file_name") and image.get("id") is not None}
    if len(names) < 2:
        raise DataError(f"{path}: {len(names)} images with a name and an id; expected at least two, one of them to score. Give more.")
    parents = {name: str(PurePosixPath(name).parent) for name in names}
    groups = parents if len(set(parents.values())) >= MANY_FOLDERS else {name: name for name in names}
    order = sorted(set(groups.values()), key=lambda group: hashlib.sha256(group.encode()).hexdigest())
    val_groups = set(order[: max(1, round(len(order) / VAL_OF))])
    val_ids = {json.dumps(image["id"]) for name, image in names.items() if groups[name] in val_groups}

    def part(wanted: bool) -> Content:
        def kept(entries: Iterable[Content], key: str) -> list[Json]:
            return [entry for entry in entries if (json.dumps(entry.get(key)) in val_ids) is wanted]

        people = objects(section(content, "annotations", where=str(path)), where=f"{path}: annotations")
        return {**content, "images": kept(images, "id"), "annotations": kept(people, "image_id")}

    return part(False), part(True)


def image_folders(folder: Path) -> list[Path]:
    """The folder and those below it, the nearest first."""
    below = [path for path in folder.rglob("*") if path.is_dir() and len(path.relative_to(folder).parts) <= MAX_DEPTH]
    return [folder, *sorted(below, key=lambda path: (len(path.parts), path))]


def find_images(content: Content, path: Path, folders: list[Path], folder: Path, *, split: str) -> Path:
    """The folder from which the file names of a split lead to images; of several, the one that is called after the split.

    Raises:
        DataError: there is none.
    """
    images = objects(section(content, "images", where=str(path)), where=f"{path}: images")
    names = [str(image.get("file_name", "")) for image in images]
    sample = names[:: max(1, len(names) // SAMPLE)] if names else []
    counts = Counter({place: sum((place / name).is_file() for name in sample) for place in folders})
    called = {place: split_of(place.relative_to(folder)) for place in folders}
    best = max(folders, key=lambda place: (counts[place], called[place] == split, called[place] is None))
    if not sample or counts[best] == 0:
        name = sample[0] if sample else "any image"
        raise DataError(f"{folder}: no folder below it holds '{name}', which {path.name} names. Put the images there.")
    return best


def read_keypoints(path: Path, content: Content) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Names of the keypoints, and the limbs as pairs of names; numbered names where the file has none.

    Raises:
        DataError: people with different numbers of keypoints, or another number than names.
    """
    category = person_category(content, where=str(path))
    given = [entry["keypoints"] for entry in annotated(content, path)]
    counts = Counter(len(numbers) // 3 for numbers in given if isinstance(numbers, list))
    count = counts.most_common(1)[0][0] if counts else 0
    names = category.keypoints if category is not None else ()
    names = names or tuple(f"keypoint_{number}" for number in range(1, count + 1))
    if counts and (len(counts) > 1 or len(names) != count):
        told = ", ".join(f"{number} of {size}" for size, number in counts.most_common(3))
        raise DataError(f"{path}: {len(names)} keypoint names, people with other numbers of keypoints ({told}). Fix the file.")
    listed = content.get("categories")
    entries = [expect_mapping(entry, where=f"{path}: categories") for entry in listed] if isinstance(listed, list) else []
    limbs = next((entry.get("skeleton") for entry in entries if entry.get("keypoints") == list(names)), [])
    pairs = [limb for limb in limbs if isinstance(limb, list) and len(limb) == 2] if isinstance(limbs, list) else []
    inside = [(int(a) - 1, int(b) - 1) for a, b in pairs if isinstance(a, int) and isinstance(b, int)]
    return names, tuple((names[a], names[b]) for a, b in inside if 0 <= a < len(names) and 0 <= b < len(names) and a != b)


def annotated(content: Content, path: Path) -> list[Content]:
    """The annotations of the category that has keypoints, of those that have some."""
    entries = objects(section(content, "annotations", where=str(path)), where=f"{path}: annotations")
    people, _ = of_category(entries, person_category(content, where=str(path)), path=path, what="annotations")
    return [entry for entry in people if isinstance(entry.get("keypoints"), list) and entry["keypoints"]]


def known_skeleton(keypoints: tuple[str, ...]) -> str | None:
    """The skeleton of the package with these keypoints in this order; None where there is none."""
    return next((name for name in list_skeletons() if load_skeleton(name).keypoints == keypoints), None)


def flip_pairs(keypoints: tuple[str, ...]) -> list[tuple[str, str]]:
    """(left, right) pairs, told by their names: left_x and right_x, l_x, x_left, leftX, ...

    >>> flip_pairs(("nose", "left_eye", "right_eye", "EarL", "EarR"))
    [('left_eye', 'right_eye'), ('EarL', 'EarR')]
    """
    pairs = []
    for name in keypoints:
        for left, right in (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT")):
            other = name.replace(left, right)
            if other != name and other in keypoints:
                pairs.append((name, other))
        for pattern, other in ((r"^([lL])(?=[_. -])", ""), (r"(?<=[_. -])([lL])$", ""), (r"^([lL])(?=[A-Z])", ""), (r"(?<=[a-z])(L)$", "")):
            other = re.sub(pattern, lambda found: "r" if found[1] == "l" else "R", name)
            if other != name and other in keypoints:
                pairs.append((name, other))
    return list(dict.fromkeys(pairs))


def skeleton_values(data: OwnData) -> dict[str, Yaml]:
    """A skeleton file's content: equal OKS sigmas, for nobody has measured them."""
    return {
        "name": "own",
        "keypoints": list(data.keypoints),
        "flip_pairs": [list(pair) for pair in flip_pairs(data.keypoints)],
        "edges": [list(edge) for edge in data.edges],
        "sigmas": [0.05] * len(data.keypoints),
    }
