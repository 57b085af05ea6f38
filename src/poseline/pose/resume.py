"""poses.jsonl and the state beside it: a run that was killed at any moment goes on as if it had not been.

The state names how many bytes of poses.jsonl it goes with. On resume the file is cut there, the tracker is restored, and the frames after
it are read again. A state is written after poses.jsonl is on disk, to a temporary name that is then renamed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter

from poseline.artifacts import atomic_file
from poseline.errors import ArtifactError
from poseline.pose.records import FrameRecord

STATE_NAME = ".resume.npz"
STATE_VERSION = 2


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        fingerprint: what must be the same for a run to go on: inputs, networks, options.
        source: number of the source at work.
        taken: frames of it that were taken, broken ones too.
        num_bytes: length of poses.jsonl.
        frames, people, broken: counted so far.
        tracks: ids given so far.
        problems: the first broken frames, a line each.
        phase: ``poses``: frames are to come; ``rewrite``: the revised file is about to replace poses.jsonl; ``done``.
    """

    fingerprint: dict[str, str]
    source: int = 0
    taken: int = 0
    num_bytes: int = 0
    frames: int = 0
    people: int = 0
    broken: int = 0
    tracks: int = 0
    missing: int = 0
    problems: list[str] = field(default_factory=list)
    phase: str = "poses"


class PoseLog:
    """poses.jsonl, written frame by frame, and its states."""

    def __init__(self, out: Path, progress: Progress, *, every_s: float = 5.0) -> None:
        """The log at the end of what ``progress`` says was written; what lies behind it is cut off.

        Raises:
            ArtifactError: the folder or the file cannot be written, or the file is shorter than the state says.
        """
        self.path, self._state = out / "poses.jsonl", out / STATE_NAME
        self.progress, self._every_s, self._last = progress, every_s, time.monotonic()
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("r+b" if progress.num_bytes or progress.phase != "poses" else "wb")
            size = self.path.stat().st_size
            if progress.phase == "rewrite":  # another file takes its place, or has taken it
                return
            if size < progress.num_bytes:
                raise ArtifactError(f"{self.path}: {size} bytes, its state goes with {progress.num_bytes}. Start again with --overwrite.")
            self._file.truncate(progress.num_bytes)
            self._file.seek(progress.num_bytes)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def add(self, record: FrameRecord) -> None:
        """Write a frame. Where that fails, the file is cut to the last whole line.

        Raises:
            ArtifactError: the disk is full, or the file cannot be written any more.
        """
        line = record.to_line().encode()
        try:
            self._file.write(line)
        except OSError as error:
            raise self._give_up(error) from None
        self.progress.num_bytes += len(line)
        self.progress.frames += 1
        self.progress.people += len(record.poses)

    def due(self) -> bool:
        """Whether it is time for a state."""
        return time.monotonic() - self._last >= self._every_s

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Bring poses.jsonl to the disk, then the state that goes with it.

        Raises:
            ArtifactError: the disk is full, or cannot be written.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._give_up(error) from None
        write_state(self._state, self.progress, arrays)
        self._last = time.monotonic()

    def replace_by(self, path: Path) -> None:
        """Go on with another file in the place of poses.jsonl.

        Raises:
            ArtifactError: it cannot be put there.
        """
        try:
            self._file.close()
            path.replace(self.path)
            self._file = self.path.open("r+b")
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def finish(self) -> None:
        """Note that nothing is left to do."""
        self.progress.phase = "done"
        self.save({})

    def close(self) -> None:
        """Close the file; what was written is on disk as far as it fits."""
        with suppress(OSError):
            self._file.close()

    def _give_up(self, error: OSError) -> ArtifactError:
        """The error, after the file was cut to whole lines: what was buffered may have been written in part."""
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), last_line_end(self.path))
        return _unwritable(self.path, error)


def check_writable(out: Path) -> None:
    """Nothing, where the folder is there or can be made, and takes files.

    Raises:
        ArtifactError: it does not.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with atomic_file(out / ".write_test") as temporary:
            temporary.touch()
        (out / ".write_test").unlink()
    except OSError as error:
        raise ArtifactError(f"{out}: cannot be written ({error.strerror or error}). Give --out another folder.") from None


def last_line_end(path: Path) -> int:
    """Bytes up to and with the last line break."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 65536)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            position = start
    return 0


def write_state(path: Path, progress: Progress, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a state, atomically."""
    text = json.dumps({"version": STATE_VERSION, **asdict(progress)})
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{"progress": np.array(text), **{f"state.{name}": array for name, array in arrays.items()}})  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())


def read_state(out: Path) -> tuple[Progress, dict[str, np.ndarray]] | None:
    """The state in a folder and its arrays; None where there is none.

    Raises:
        ArtifactError: damaged, or of another version.
    """
    path = out / STATE_NAME
    if not path.is_file():
        return None
    try:
        with np.load(path) as file:
            raw = json.loads(str(file["progress"]))
            arrays = {name.removeprefix("state."): file[name] for name in file.files if name.startswith("state.")}
        if raw.pop("version") != STATE_VERSION:
            raise ArtifactError(f"{path}: written by another version of poseline. Start again with --overwrite.")
        return TypeAdapter(Progress).validate_python(raw), arrays
    except (OSError, EOFError, BadZipFile, KeyError, AttributeError, ValueError) as error:  # pydantic's and JSON's are ValueErrors
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path}: damaged ({str(error).splitlines()[0]}). Start again with --overwrite.") from None


def _unwritable(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"{path}: cannot be written ({error.strerror or error}). Every frame before is kept; free the disk or check the folder's rights, "
        "then go on with --resume."
    )
