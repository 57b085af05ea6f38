"""OpenSim's marker files (.trc): one for each track, the image plane as X and Y with Y upwards, Z zero."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from poseline.errors import ConfigError
from poseline.pose.inputs.base import Image
from poseline.pose.outputs.base import Output, RunInfo, open_text
from poseline.pose.records import FrameRecord

DEFAULT_RATE = 30.0


class TrcOutput(Output):
    """trc/SOURCE_idN.trc; poses without an id are left out.

    Units are pixels of the image, called mm because the format knows no pixels: scale them in OpenSim. A missing marker is an empty cell.
    Frames in which the track is not seen have empty cells too, so that rows are evenly spaced in time.
    """

    produces = "trc/"

    def __init__(self, out: Path, run: RunInfo) -> None:
        super().__init__(out, run)
        self._source = ""
        self._parts: dict[int, _Markers] = {}

    @classmethod
    def check(cls, run: RunInfo) -> None:
        """Nothing, where people are tracked.

        Raises:
            ConfigError: they are not.
        """
        if not run.tracked:
            raise ConfigError("--format trc: a file is one person's, so people must be tracked. Add --track bytepose.")

    def add(self, record: FrameRecord, image: Image | None = None) -> None:
        """Take a frame's people."""
        if record.source != self._source:
            self.finish()
            self._source = record.source
        rate = self.run.sources[record.source].frames_per_second or DEFAULT_RATE
        time_s = record.frame_index / rate if record.time_ms is None else record.time_ms / 1000
        for row, track_id in enumerate(record.poses.track_ids.tolist()):
            if track_id <= 0:
                continue
            cells = [
                f"{x:.2f}\t{record.height - 1 - y:.2f}\t0.00" if shown else "\t\t"
                for (x, y), shown in zip(record.poses.keypoints[row].tolist(), record.poses.visibility[row].tolist(), strict=True)
            ]
            self._parts.setdefault(track_id, _Markers()).add(record.frame_index, time_s, "\t".join(cells))

    def finish(self) -> None:
        """Write the files of the source that ended."""
        if not self._parts:
            return
        info, names = self.run.sources[self._source], self.run.skeleton.keypoints
        rate = info.frames_per_second or DEFAULT_RATE
        with ExitStack() as files:
            for track_id, markers in sorted(self._parts.items()):
                path = self.out / "trc" / f"{info.stem}_id{track_id}.trc"
                files.enter_context(open_text(path)).write(markers.to_text(path.name, names, rate))
        self._parts = {}


class _Markers:
    """The rows of one track: frame, time and cells."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, float, str]] = []

    def add(self, frame_index: int, time_s: float, cells: str) -> None:
        self._rows.append((frame_index, time_s, cells))

    def to_text(self, name: str, keypoints: tuple[str, ...], rate: float) -> str:
        """The whole file."""
        rows = self._filled("\t".join(["\t\t"] * len(keypoints)))
        labels = "".join(f"\t{keypoint}\t\t" for keypoint in keypoints)
        axes = "".join(f"\tX{number}\tY{number}\tZ{number}" for number in range(1, len(keypoints) + 1))
        head = [
            f"PathFileType\t4\t(X/Y/Z)\t{name}",
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
            f"{rate:g}\t{rate:g}\t{len(rows)}\t{len(keypoints)}\tmm\t{rate:g}\t{rows[0][0] + 1}\t{len(rows)}",
            f"Frame#\tTime{labels}".rstrip("\t"),
            f"\t{axes}",
            "",
        ]
        return "\n".join([*head, *(f"{frame + 1}\t{time_s:.6f}\t{cells}" for frame, time_s, cells in rows)]) + "\n"

    def _filled(self, empty: str) -> list[tuple[int, float, str]]:
        """The rows with empty ones for frames between that the track was not seen in."""
        steps = [after[0] - before[0] for before, after in zip(self._rows, self._rows[1:], strict=False)]
        step = min(steps, default=1)
        filled: list[tuple[int, float, str]] = []
        for row in self._rows:
            if filled:
                last = filled[-1]
                gap = range(last[0] + step, row[0], step)
                filled += [(f, last[1] + (row[1] - last[1]) * (f - last[0]) / (row[0] - last[0]), empty) for f in gap]
            filled.append(row)
        return filled
