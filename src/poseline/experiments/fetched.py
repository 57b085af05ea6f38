"""Models that were fetched from elsewhere: kept in the cache under the hash of their description, which holds that of their weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from poseline.artifacts import atomic_folder, file_hash

SPEC, WEIGHTS_FILE = "model.json", "model.safetensors"


def keep_model(cache: Path, fetch: Callable[[str, Path], None]) -> Path:
    """The folder of a model, whose weights are fetched unless they are here.

    Args:
        cache: the folder of all fetched models.
        fetch: copies a file of the model, named as in the model's folder, into a folder.
    """
    with TemporaryDirectory() as scratch:
        fetch(SPEC, Path(scratch))
        target = cache / file_hash(Path(scratch) / SPEC)
    if not target.is_dir():
        with atomic_folder(target) as folder:
            for name in (SPEC, WEIGHTS_FILE):
                fetch(name, folder)
    return target
