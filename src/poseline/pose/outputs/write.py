"""Which outputs a run has, and the pass that makes them from poses.jsonl."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from poseline.core.skeletons import Skeleton
from poseline.errors import DataError
from poseline.pose.inputs.base import Image, Source
from poseline.pose.inputs.images import ImageSource
from poseline.pose.options import PoseOptions
from poseline.pose.outputs.base import OUTPUTS, Output, RunInfo, SourceInfo
from poseline.pose.records import FrameRecord, read_records


def output_class(name: str) -> type[Output]:
    """The output of that name.

    Raises:
        ConfigError: there is none.
    """
    return OUTPUTS.load_class(name, Output)  # type: ignore[type-abstract]


def check_formats(formats: Sequence[str], run: RunInfo) -> None:
    """Nothing, where every format goes with the run.

    Raises:
        ConfigError: an unknown format, or one that this run cannot fill.
        BackendError: it needs a package that is missing.
    """
    for name in formats:
        output_class(name).check(run)


def drawn_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Those that need the frames' pixels."""
    return tuple(name for name in formats if output_class(name).needs_images)


class OutputSet(ExitStack):
    """Several outputs fed together; a context like each of them."""

    def __init__(self, formats: Sequence[str], out: Path, run: RunInfo) -> None:
        super().__init__()
        self._make = [(output_class(name), out, run) for name in formats]
        self.outputs: list[Output] = []

    def __enter__(self) -> OutputSet:
        """The set, its files open."""
        super().__enter__()
        self.outputs = [self.enter_context(kind(out, run)) for kind, out, run in self._make]
        return self

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Write a frame into every output."""
        for output in self.outputs:
            output.add(record, image)


def describe_run(options: PoseOptions, sources: Sequence[Source], skeleton: Skeleton) -> RunInfo:
    """The run as outputs see it; where sources are called alike, their files get numbers."""
    counts: Counter[str] = Counter()
    infos: dict[str, SourceInfo] = {}
    for source in sources:
        counts[source.stem] += 1
        number = f"_{counts[source.stem]}" * (counts[source.stem] > 1)
        infos.setdefault(source.name, SourceInfo(
            source.name, source.stem + number, source.kind, source.frames_per_second, options.window.stride
        ))
    tracked = options.track is not None and (options.track_images or any(source.kind != "images" for source in sources))
    return RunInfo(skeleton, infos, numbered=_are_numbered(sources), tracked=tracked, draw=options.draw)


def _are_numbered(sources: Sequence[Source]) -> bool:
    """Whether every frame is an image named by a number of its own."""
    if not all(isinstance(source, ImageSource) for source in sources):
        return False
    stems = [Path(name).stem for source in sources if isinstance(source, ImageSource) for name in source.chosen_names]
    return all(stem.isascii() and stem.isdigit() for stem in stems) and len({int(stem) for stem in stems}) == len(stems)


def write_outputs(formats: Sequence[str], run: RunInfo, out: Path, sources: Sequence[Source]) -> list[str]:
    """The names of the outputs made from poses.jsonl; for drawn ones the sources are read again, but for live ones, drawn before.

    Raises:
        ArtifactError: the disk is full, or the folder cannot be written.
    """
    drawn = drawn_formats(formats)
    plain = [name for name in formats if name not in drawn]
    records = out / "poses.jsonl"
    if plain:
        with OutputSet(plain, out, run) as outputs:
            for record in read_records(records, run.skeleton.num_keypoints):
                outputs.add(record)
    if drawn and any(source.kind != "live" for source in sources):
        with OutputSet(drawn, out, run) as outputs:
            for record, image in _with_images(read_records(records, run.skeleton.num_keypoints), sources):
                outputs.add(record, image)
    return [output_class(name).produces for name in formats]


def _with_images(records: Iterator[FrameRecord], sources: Sequence[Source]) -> Iterator[tuple[FrameRecord, Image]]:
    """Each frame of poses.jsonl with its pixels; frames of live sources are left out."""
    record = next(records, None)
    for source in sources:
        if source.kind == "live":
            while record is not None and record.source == source.name:
                record = next(records, None)
            continue
        for frame in source.read() if record is not None and record.source == source.name else ():
            if record is None or record.source != source.name:
                break
            if frame.frame_index != record.frame_index:
                continue
            with suppress(DataError):  # it could be read before; a file may have gone since
                yield record, frame.load()
            record = next(records, None)
