"""What each stage executes in this installation, as one hash a stage: modules of the package, and the project's plug-in files."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from poseline import stage_code
from poseline.errors import BackendError
from poseline.plugins import read_plugins
from poseline.projects.code_hash import hash_file
from poseline.projects.pipeline import list_stages

SOURCE = Path(__file__).resolve().parents[1]
"""The package as it is installed."""


class StageCode(BaseModel):
    """What a stage executes of the package.

    Attributes:
        hash: of its modules' statements and of the data files beside them.
        groups: components that it loads by name, which a plug-in may offer.
    """

    model_config = ConfigDict(frozen=True)

    hash: str
    groups: tuple[str, ...]


class PackageCode(BaseModel):
    """The code of all stages, for one content of the package."""

    model_config = ConfigDict(frozen=True)

    content: str
    stages: dict[str, StageCode]


def package_version() -> str:
    """The version of the installed package; ``0`` where nobody has installed it."""
    try:
        return installed_version(stage_code.PACKAGE)
    except PackageNotFoundError:
        return "0"


def hash_stages(root: Path, plugins: object, cache: Path) -> dict[str, str]:
    """Stage -> sixteen hex digits of what it executes now.

    Args:
        root: the project.
        plugins: what params.yaml lists under ``plugins``.
        cache: a folder in which the package's part is kept until the package changes.

    Raises:
        ConfigError: a plug-in is missing or cannot be parsed.
        BackendError: the import graph's package is not installed.
    """
    files = read_plugins(plugins, root)
    found = {}
    for stage, code in package_code(cache).stages.items():
        own = [plugin.path for plugin in files if set(plugin.kinds) & set(code.groups)]
        lines = [code.hash, *(f"{path.name} {hash_file(path)}" for path in sorted(with_imports(own)))]
        found[stage] = _digest(lines) if own else code.hash
    return found


def with_imports(files: Iterable[Path]) -> set[Path]:
    """Python files and those beside them that they import, step by step."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        for name in imported_names(ast.parse(path.read_bytes())):
            place = path.parent.joinpath(*name.split("."))
            waiting += [place.with_suffix(".py"), place / "__init__.py"]
    return found


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names of the modules that a file may import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = f"{node.module}." if node.module else ""
            yield from (name for alias in node.names for name in (f"{prefix}{alias.name}", node.module or alias.name))


def package_code(folder: Path) -> PackageCode:
    """The code of every stage, from the cache where the package's files are those of then."""
    kept, content = folder / "package-code.json", _digest(_contents(SOURCE))
    try:
        known = PackageCode.model_validate_json(kept.read_bytes())
    except (OSError, ValidationError):
        known = None
    if known is not None and known.content == content:
        return known
    from poseline.artifacts import write_text  # with all tables of data: loaded where it is needed

    made = PackageCode(content=content, stages=_code_of(list_stages()))
    write_text(kept, json.dumps(made.model_dump(), indent=1))
    return made


def _code_of(stages: Iterable[str]) -> dict[str, StageCode]:
    try:
        listed = {stage: stage_code.list_code(stage, SOURCE) for stage in stages}
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed. Install it: pip install 'poseline[pipeline]'") from None
    once = cache(hash_file)
    found = {}
    for stage, paths in listed.items():
        files = [file for path in paths for file in _files(SOURCE / path.removeprefix(f"{stage_code.PREFIX}/"))]
        lines = [f"{file.relative_to(SOURCE).as_posix()} {once(file)}" for file in files]
        modules = stage_code.executed_modules(f"{stage_code.PACKAGE}.stages.{stage}")
        groups = sorted({kinds.group for module in modules for kinds in stage_code.loaded_kinds(module)})
        found[stage] = StageCode(hash=_digest(lines), groups=tuple(groups))
    return found


def _contents(folder: Path) -> Iterator[str]:
    for path in _files(folder):
        yield f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _files(place: Path) -> list[Path]:
    """The files of code and data of a folder, or the file itself."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
