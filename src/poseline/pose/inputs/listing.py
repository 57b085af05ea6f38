"""What a user names on the command line as sources of frames."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from poseline.datasets.frame_order import natural_key
from poseline.datasets.images import IMAGE_SUFFIXES
from poseline.errors import ConfigError, DataError
from poseline.infer.video_files import VIDEO_SUFFIXES
from poseline.pose.inputs.base import Source, Window
from poseline.pose.inputs.images import ImageSource
from poseline.pose.inputs.raw import RawFormat, RawSource
from poseline.pose.inputs.video import BrokenSource, LiveSource, VideoSource, open_capture

IMAGES = IMAGE_SUFFIXES | {".jp2", ".ppm", ".pgm", ".pnm", ".avif", ".jpe", ".jfif"}
LISTS = frozenset({".txt", ".lst", ".list"})
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class _Image:
    """An image file; what is no image is a bare path."""

    path: Path


def open_inputs(inputs: Sequence[str], window: Window, *, raw: RawFormat | None = None) -> list[Source]:
    """The sources that the arguments name; images named one after another are one source, and so is each folder with images.

    Raises:
        ConfigError: ``-`` without the form of the frames, or a video named twice.
        DataError: no such file, no image or video, a folder or pattern without any.
        BackendError: a camera or stream is not there.
    """
    sources: list[Source] = []
    named: list[_Image] = []
    for text in inputs:
        if _is_live(text):
            sources.extend(_flush(named, window))
            sources.append(_open_live(text, window, raw))
            continue
        for found in _expand(text):
            if isinstance(found, _Image):
                named.append(found)
                continue
            sources.extend(_flush(named, window))
            sources.extend(_folder(found, window) if found.is_dir() else [VideoSource(str(found), window)])
    sources.extend(_flush(named, window))
    _tell_apart(sources)
    return sources


def _tell_apart(sources: Sequence[Source]) -> None:
    """Give each source a name of its own: results are told apart by it.

    Raises:
        ConfigError: a video or camera is named twice.
    """
    seen: dict[str, int] = {}
    for source in sources:
        seen[source.name] = seen.get(source.name, 0) + 1
        if seen[source.name] > 1:
            if not isinstance(source, ImageSource):
                raise ConfigError(f"{source.name}: named twice. Name it once.")
            source.name = f"{source.name} ({seen[source.name]})"


def _is_live(text: str) -> bool:
    return text == "-" or bool(_ADDRESS.match(text)) or (text.isdigit() and not Path(text).exists())


def _open_live(text: str, window: Window, raw: RawFormat | None) -> Source:
    if text == "-":
        if raw is None:
            raise ConfigError("pose -: raw frames from standard input need their form: --raw 640x480:bgr24@25.")
        return RawSource(window, raw)
    if text.isdigit():
        return LiveSource(f"camera {text}", window, int(text))
    capture = open_capture(text)
    finite = capture.isOpened() and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
    capture.release()
    return VideoSource(text, window) if finite else LiveSource(text, window, text)


def _expand(text: str) -> Iterator[_Image | Path]:
    """Images, and paths of folders and videos, that an argument names."""
    path = Path(text)
    if path.is_dir():
        yield path
    elif path.is_file():
        if path.suffix.lower() in LISTS:
            yield from _listed(path)
        else:
            yield _Image(path) if _is_image(path) else path
    elif any(sign in text for sign in "*?["):
        matches = sorted(glob.glob(text, recursive=True), key=_natural)  # noqa: PTH207 - patterns may be absolute
        if not matches:
            raise DataError(f"{text}: nothing matches this pattern. Check it; quote it so that the shell leaves it alone.")
        for match in matches:
            yield from _expand(match)
    else:
        raise DataError(f"{text}: no such file or folder. Check the path.")


def _listed(path: Path) -> Iterator[_Image | Path]:
    """The files that a text file lists, one a line, relative to it or to the working folder."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected a list of files as UTF-8 text, one a line.") from None
    found = False
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = True
        chosen = next((file for file in (path.parent / text, Path(text)) if file.exists()), None)
        if chosen is None:
            raise DataError(f"{path}: line {number}: {text}: no such file. Give paths relative to the list, or absolute ones.")
        yield from _expand(str(chosen))
    if not found:
        raise DataError(f"{path}: an empty list. Name an image or a video a line.")


def _folder(folder: Path, window: Window) -> Iterator[Source]:
    """A source for each folder below that holds images, and one for each video, in the order of their names."""
    files = [
        file for file in folder.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]  # fmt: skip
    images = [file for file in files if file.suffix.lower() in IMAGES]
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    if not images and not videos:
        kinds = ", ".join(sorted(IMAGES))
        raise DataError(f"{folder}: no image or video in this folder or below it (images: {kinds}). Check the folder.")
    places: dict[Path, list[Path]] = {}
    for file in images:
        places.setdefault(file.parent, []).append(file)
    for place in sorted({*places, *(file.parent for file in videos)}, key=_natural):
        if place in places:
            paths = sorted(places[place], key=_natural)
            yield ImageSource(str(place), window, paths, [file.relative_to(folder).as_posix() for file in paths])
        for file in sorted((file for file in videos if file.parent == place), key=_natural):
            try:
                yield VideoSource(str(file), window)
            except DataError as error:
                yield BrokenSource(str(file), window, error)


def _flush(named: list[_Image], window: Window) -> list[Source]:
    """The images collected so far as one source; the list is emptied."""
    if not named:
        return []
    paths = [image.path for image in named]
    name = str(paths[0]) if len(paths) == 1 else str(paths[0].parent)
    source = ImageSource(name, window, paths, _names(paths))
    named.clear()
    return [source]


def _names(paths: list[Path]) -> list[str]:
    """The files' names; where two are equal, the paths below the folder that all share."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    absolute = [path.absolute() for path in paths]
    shared = os.path.commonpath([path.parent for path in absolute])
    return [path.relative_to(shared).as_posix() for path in absolute]


def _is_image(path: Path) -> bool:
    """By its ending; where that says nothing by its content."""
    suffix = path.suffix.lower()
    return suffix in IMAGES or (suffix not in VIDEO_SUFFIXES and cv2.haveImageReader(str(path)))


def _natural(path: str | Path) -> tuple[tuple[tuple[str | int, ...], ...], str]:
    """What puts paths into natural order: frame2 before frame10; equal ones by their exact text."""
    text = Path(path).as_posix()
    return natural_key(text), text
