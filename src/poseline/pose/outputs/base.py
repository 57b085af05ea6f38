"""What every output is: fed one frame after another, whole on disk or not there."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TextIO

from poseline.artifacts import atomic_file
from poseline.core.skeletons import Skeleton
from poseline.errors import ArtifactError
from poseline.kinds import Kinds
from poseline.pose.inputs.base import Image, SourceKind
from poseline.pose.records import FrameRecord

OUTPUTS = Kinds(
    "poseline.outputs",
    {
        "coco": "poseline.pose.outputs.coco:CocoOutput",
        "alphapose": "poseline.pose.outputs.alphapose:AlphaPoseOutput",
        "alphapose-cmu": "poseline.pose.outputs.alphapose:CmuOutput",
        "alphapose-open": "poseline.pose.outputs.alphapose:OpenPoseOutput",
        "posetrack18": "poseline.pose.outputs.posetrack18:PoseTrackOutput",
        "csv": "poseline.pose.outputs.tables:CsvOutput",
        "parquet": "poseline.pose.outputs.tables:ParquetOutput",
        "trc": "poseline.pose.outputs.trc:TrcOutput",
        "images": "poseline.pose.outputs.drawn:ImagesOutput",
        "video": "poseline.pose.outputs.drawn:VideoOutput",
    },
)


@dataclass(frozen=True)
class SourceInfo:
    """A source as outputs see it: the stem names its files, the rate is None where it has none, and every ``stride``-th frame is used."""

    name: str
    stem: str
    kind: SourceKind
    frames_per_second: float | None
    stride: int = 1


@dataclass(frozen=True)
class DrawOptions:
    """How results are drawn, and how videos are written."""

    min_score: float = 0.3
    boxes: bool = True
    blur_faces: bool = False
    sound: bool = False
    codec: str = "auto"


@dataclass(frozen=True)
class RunInfo:
    """What outputs know of a run.

    Attributes:
        skeleton: of the poses.
        sources: name -> how its files are called, and its frame rate.
        numbered: every frame is an image whose name is a number of its own, as in COCO.
        tracked: whether poses have track ids.
        draw: of drawn outputs.
    """

    skeleton: Skeleton
    sources: Mapping[str, SourceInfo]
    numbered: bool = False
    tracked: bool = False
    draw: DrawOptions = field(default_factory=DrawOptions)


class Output(ABC):
    """A format. Used as a context: files get their names when it ends well, and are gone otherwise.

    Attributes:
        needs_images: frames are handed over with their pixels.
        produces: the file or folder.
    """

    needs_images: ClassVar[bool] = False
    produces: ClassVar[str]

    def __init__(self, out: Path, run: RunInfo) -> None:
        """An output into the folder ``out``."""
        self.out, self.run, self.files = out, run, ExitStack()

    @classmethod
    def check(cls, run: RunInfo) -> None:
        """Nothing, where the format goes with this run.

        Raises:
            ConfigError: it does not.
            BackendError: it needs a package that is missing.
        """
        del run  # most formats go with every run

    @abstractmethod
    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame; the frames of a source come in order, one source after another."""

    def finish(self) -> None:  # noqa: B027 - nothing for most
        """Write what goes after the last frame."""

    def __enter__(self) -> Output:
        """The output itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Finish where no error came, and close the files."""
        with self.files:
            if error is not None:
                raise error  # inside the files' context, so that what is half written goes
            self.finish()

    def open_text(self, name: str) -> TextIO:
        """A text file of the output folder."""
        return self.files.enter_context(open_text(self.out / name))


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A text file that appears when the block ends well."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


class JsonList:
    """A JSON list written entry by entry."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._between = file, "["

    def add(self, entry: Mapping[str, object]) -> None:
        """Write an entry.

        Raises:
            ArtifactError: the disk is full.
        """
        try:
            self._file.write(self._between + json.dumps(entry, allow_nan=False))
        except OSError as error:
            raise ArtifactError(
                f"{self._file.name}: cannot be written ({error.strerror or error}). Free the disk and use --resume."
            ) from None
        self._between = ",\n"

    def finish(self) -> None:
        """End the list."""
        self._file.write("]\n" if self._between != "[" else "[]\n")
