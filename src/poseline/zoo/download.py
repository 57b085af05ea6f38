"""Files from an address or a folder: resumed where they broke off, checked before they are kept."""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path

from poseline.errors import ArtifactError
from poseline.zoo.weight_files import sha256

CHUNK = 1 << 18
TRIES = 4
"""Connections for one file, each going on where the last broke off."""
TIMEOUT_S = 30.0

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and all of them where that is known."""


MIRROR = "POSELINE_MIRROR"


def has_mirror() -> bool:
    """Whether ``$POSELINE_MIRROR`` says where all files come from."""
    return bool(os.environ.get(MIRROR))


def mirror_source(file: str, hashes: Sequence[str] = ()) -> str | None:
    """Where ``$POSELINE_MIRROR`` has a file: an address, or a path in its folder; None where no mirror is set.

    Args:
        file: its name; a folder may have it under another one of the same ending, told by its hash.
        hashes: SHA-256 of its known versions.

    Raises:
        ArtifactError: the mirror is a folder that lacks the file.
    """
    mirror = os.environ.get(MIRROR)
    if not mirror:
        return None
    if mirror.startswith(("http://", "https://")):
        return f"{mirror.rstrip('/')}/{file}"
    path = Path(mirror.removeprefix("file://")).expanduser() / file
    if path.is_file():
        return str(path)
    renamed = (other for other in sorted(path.parent.glob(f"*{path.suffix}")) if hashes and sha256(other) in hashes)
    found = next(renamed, None)
    if found is None:
        raise ArtifactError(f"POSELINE_MIRROR: {path} is not there. Copy the file into the mirror, or unset POSELINE_MIRROR.")
    return str(found)


def fetch(
    source: str, target: Path, *, size: int | None = None, check: Callable[[Path], str | None], progress: Progress | None = None,
    help_text: str,
) -> None:  # fmt: skip
    """Bring a file to ``target``, which appears whole and checked or not at all; a part that is there is gone on with.

    Args:
        source: http or https address, or path of a file.
        target: where it goes; the part lies beside it with the ending ``.part``.
        size: bytes that are expected.
        check: tells what is wrong with the whole file.
        progress: is told of every chunk.
        help_text: what a user can do where the file cannot be had; ends the error.

    Raises:
        ArtifactError: unreachable, refused, broken off again and again, no room, or not the expected file.
    """
    part = target.with_name(f"{target.name}.part")
    resumed = part.exists()
    for attempt in (1, 2):
        _complete(source, part, size=size, progress=progress, help_text=help_text)
        fault = check(part)
        if fault is None:
            part.replace(target)
            return
        part.unlink()
        if not resumed or attempt == 2:  # a part of an older file may have been gone on with: once more from the start
            raise ArtifactError(f"{source}: {fault}. The file was not kept. {help_text}")


class _BrokenError(Exception):
    """The connection ended before the file did."""


def _complete(source: str, part: Path, *, size: int | None, progress: Progress | None, help_text: str) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            if source.startswith(("http://", "https://")):
                _from_address(source, part, size=size, progress=progress)
            else:
                _check_room(part, Path(source).stat().st_size)
                shutil.copyfile(source, part)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == TRIES:
                raise ArtifactError(f"{source}: the server answers {error.code} ({error.reason}). {help_text}") from None
        except _BrokenError as error:
            there = part.stat().st_size if part.exists() else 0
            if attempt == TRIES:
                raise ArtifactError(f"{source}: broke off after {there} bytes, {TRIES} times ({error}). "
                                    f"Run it again: it goes on there. {help_text}") from None  # fmt: skip
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ArtifactError(f"{part.parent}: the disk is full. Make room, or set POSELINE_WEIGHTS to a folder elsewhere.") from None
            reason = getattr(error, "reason", None) or error.strerror or error
            raise ArtifactError(f"{source}: cannot be reached ({reason}). {help_text}") from None


def _from_address(source: str, part: Path, *, size: int | None, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(source, headers={"User-Agent": "poseline", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            # A server without ranges sends the whole file with status 200.
            appends = answer.status == http.client.PARTIAL_CONTENT and _starts_at(answer.headers.get("Content-Range", ""), have)
            have = have if appends else 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length is not None else size
            if total is not None:
                _check_room(part, total - have)
            with part.open("ab" if appends else "wb") as out:
                have = _copy(answer, out, have, total, progress)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        _settle_range(error.headers.get("Content-Range", ""), part)
        return
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _BrokenError(str(error) or type(error).__name__) from None
    if total is not None and have < total:
        raise _BrokenError(f"{have} of {total} bytes came")


def _copy(answer: http.client.HTTPResponse, out: BufferedWriter, have: int, total: int | None, progress: Progress | None) -> int:
    while chunk := answer.read(CHUNK):
        out.write(chunk)
        have += len(chunk)
        if progress is not None:
            progress(have, total)
    return have


def _starts_at(content_range: str, start: int) -> bool:
    return content_range.removeprefix("bytes").strip().startswith(f"{start}-")


def _settle_range(content_range: str, part: Path) -> None:
    """After 416: the part is whole where it has the size that the server names; otherwise it is of another file and goes."""
    if content_range.rpartition("/")[2] != str(part.stat().st_size):
        part.unlink()
        raise _BrokenError("the part was of another file")


def _check_room(part: Path, needed: int) -> None:
    with suppress(FileNotFoundError):
        if shutil.disk_usage(part.parent).free < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
