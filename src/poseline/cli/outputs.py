"""Options that name what a command writes: checked before the work begins, so that no result is lost at its end."""

from __future__ import annotations

import os
from pathlib import Path

from poseline.errors import ConfigError


def new_file(path: Path | None) -> Path | None:
    """The path, where a file can be written there.

    Raises:
        ConfigError: a folder of that name is there, or its place cannot be written.
    """
    if path is not None:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder, expected the name of a file to write. Name a file in it.")
        _check_place(path)
    return path


def new_folder(path: Path | None) -> Path | None:
    """The path, where a folder can be made or filled there.

    Raises:
        ConfigError: a file of that name is there, or its place cannot be written.
    """
    if path is not None:
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{path}: is a file, expected a folder to write to. Name another, or remove the file.")
        _check_place(path)
    return path


def _check_place(path: Path) -> None:
    """Pass where the nearest folder that exists can be written."""
    place = path.absolute()
    try:
        while not place.exists():
            place = place.parent
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}). Name another place.") from None
    folder = place if place.is_dir() else place.parent if place == path.absolute() else None
    if folder is None:
        raise ConfigError(f"{path}: cannot be written, for {place} is a file. Name another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: cannot be written, for {folder} gives no right to. Name another place.")
