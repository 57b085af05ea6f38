"""Temporary files of a run, in the project's cache: what a killed run leaves there, the next one sweeps."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path

LONGEST_PATH = 72
"""Of a folder for sockets: their addresses, some 35 characters longer, end at 107."""
FOREIGN_AGE_S = 7 * 86_400.0
"""After so long a folder of another machine, whose processes cannot be seen from here, is taken to be left behind."""


def scratch_folder(cache: Path) -> Path:
    """This process's folder for temporary files, ``cache/tmp/HOST-PID``; it goes when the process ends."""
    folder = cache.resolve() / "tmp" / f"{_host()}-{os.getpid()}"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        # After multiprocessing has removed its own folder in it (priority -100), and not in forks of this process.
        Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-200)
    return folder


@contextmanager
def scratch(cache: Path) -> Iterator[None]:
    """Within the block, libraries and child processes make their temporary files in the cache, after the leftovers there are swept.

    The system's folder stays in use where the cache cannot be written, or its path is too long for a socket's address.
    """
    try:
        sweep(cache)
        folder = scratch_folder(cache)
    except OSError:
        yield
        return
    if len(str(folder)) > LONGEST_PATH:
        yield
        return
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if variable is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = variable


def sweep(cache: Path) -> list[str]:
    """Remove the folders of processes that are gone; their names."""
    gone = leftovers(cache)
    for folder in gone:
        shutil.rmtree(folder, ignore_errors=True)
    return [folder.name for folder in gone]


def leftovers(cache: Path) -> list[Path]:
    """The folders of processes that are gone."""
    found = []
    for folder in sorted((cache / "tmp").glob("*-*")):
        host, _, process = folder.name.rpartition("-")
        try:
            left = not is_running(int(process)) if host == _host() else time.time() - folder.stat().st_mtime > FOREIGN_AGE_S
        except (ValueError, OSError):
            continue
        if left:
            found.append(folder)
    return found


def _host() -> str:
    return socket.gethostname()[:12]


def is_running(process: int) -> bool:
    """Whether a process of this machine with that number lives."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
