"""Which code each DVC stage executes, from the import graph, written into dvc.yaml as the stage's dependencies.

A stage executes its own module (``poseline.stages.NAME``), whatever that imports, step by step, and the kinds of the components that
these modules load by name. Imports for type checking alone do not count. What only writes the experiment store is left out: it decides
no result.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from poseline.core.yaml_text import parse_yaml
from poseline.errors import ArtifactError
from poseline.kinds import Kinds

if TYPE_CHECKING:
    from grimp import ImportGraph

PACKAGE = "poseline"
STORE = f"{PACKAGE}.experiments"
IDENTITY = f"{STORE}.lineage"
"""The one module of the store's side whose outcome stands in a result: the report names commit and parameters."""
PREFIX = f"src/{PACKAGE}"


def list_code(stage: str, source: Path) -> list[str]:
    """Paths below the project's root of all code that a stage executes: whole folders where all of it is executed, files elsewhere.

    Args:
        stage: its name in dvc.yaml.
        source: the folder ``src/poseline``.
    """
    return compact(executed_modules(f"{PACKAGE}.stages.{stage}"), source)


@cache
def executed_modules(start: str) -> frozenset[str]:
    """Every module that runs when the module ``start`` does, packages (their ``__init__``) among them."""
    graph = import_graph()
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in seen or (module.startswith(STORE) and not (start.endswith(".report") and module in (STORE, IDENTITY))):
            continue
        seen.add(module)
        parent = module.rpartition(".")[0]
        waiting += [name for name in graph.find_modules_directly_imported_by(module) if name.startswith(PACKAGE)]
        waiting += [*named_modules(module), *([parent] if parent else [])]
    return frozenset(seen)


@cache
def named_modules(module: str) -> tuple[str, ...]:
    """Modules that a module runs by name: the kinds that it loads, and those that it starts as programs."""
    found = [value.partition(":")[0] for kinds in loaded_kinds(module) for value in kinds.own.values()]
    for call in calls(module):
        match call:
            case ast.Call(func=ast.Name(id="launch"), args=[ast.Constant(value=str(name)), *_]) if name in import_graph().modules:
                found.append(name)
    return tuple(found)


@cache
def loaded_kinds(module: str) -> tuple[Kinds, ...]:
    """The tables of kinds that a module loads from."""
    found: list[Kinds] = []
    for call in calls(module):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="load" | "load_class")) if name.isupper():
                kinds = find_kinds(module, name)
                found += [kinds] if kinds is not None else []
    return tuple(found)


def find_kinds(module: str, name: str) -> Kinds | None:
    """The kinds under that name in a module; None where the name is something else. Only the module that defines them is imported."""
    from importlib import import_module

    for node in ast.walk(parse_module(module)):
        match node:
            case ast.ImportFrom(module=str(other), names=names) if other.startswith(PACKAGE) and any(name == one.name for one in names):
                return find_kinds(other, name)
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Call(func=ast.Name(id="Kinds"))) if target == name:
                value = getattr(import_module(module), name)
                return value if isinstance(value, Kinds) else None
    return None


@cache
def import_graph() -> ImportGraph:
    """Who imports whom in the package."""
    import grimp

    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)


@cache
def parse_module(module: str) -> ast.Module:
    """The syntax tree of a module of ours."""
    return ast.parse(module_file(module, Path(__file__).parent).read_bytes())


@cache
def calls(module: str) -> tuple[ast.Call, ...]:
    """The calls that stand in a module."""
    return tuple(node for node in ast.walk(parse_module(module)) if isinstance(node, ast.Call))


def compact(modules: Iterable[str], source: Path) -> list[str]:
    """The modules as few paths: a folder stands for all that it holds; folders of data go with the package around them."""
    files = {module_file(module, source) for module in modules}

    def walk(folder: Path) -> list[Path]:
        inside = [path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts]
        if not any(path in files for path in inside):
            return []
        if all(path in files for path in inside) and folder != source:
            return [folder]
        found: list[Path] = []
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                holds = {file.suffix for file in path.rglob("*") if file.is_file()} - {".pyc"}
                found += [path] if holds and ".py" not in holds else walk(path)
            elif path in files:
                found.append(path)
        return found

    return [f"{PREFIX}/{path.relative_to(source).as_posix()}" for path in walk(source)]


def module_file(module: str, source: Path) -> Path:
    """The file of a module. A folder of data may stand beside it under the same name."""
    path = source.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if (path / "__init__.py").is_file() else path.with_suffix(".py")


def write_code(text: str, source: Path) -> str:
    """The text of dvc.yaml with the code of every stage that runs a command of ours among its deps; the rest stays as it is.

    Raises:
        ArtifactError: no DVC pipeline, or a stage without ``deps``.
    """
    stages = (parse_yaml(text) or {}).get("stages")
    if not isinstance(stages, dict):
        raise ArtifactError("dvc.yaml: expected a mapping 'stages'. Restore the file from git.")
    for name, stage in stages.items():
        command = str(stage.get("do", stage)["cmd"]).split()
        if command[:1] == [PACKAGE]:
            text = _replace_code(text, str(name), list_code(command[1], source))
    return text


def _replace_code(text: str, stage: str, code: list[str]) -> str:
    start = re.search(rf"^  {re.escape(stage)}:\n", text, re.MULTILINE)
    end = re.compile(r"^(?:  \S|\S)", re.MULTILINE).search(text, start.end()) if start else None
    body = text[start.end() : end.start() if end else len(text)] if start else ""
    deps = re.search(r"^( +)deps:\n((?:\1  - .*\n)*)", body, re.MULTILINE)
    if start is None or deps is None:
        raise ArtifactError(f"dvc.yaml: stage '{stage}' has no deps. Add 'deps:' with what it reads.")
    indent = deps[1] + "  - "
    kept = [line for line in deps[2].splitlines() if not line.strip().startswith(f"- {PREFIX}")]
    lines = [f"{indent}{path}" for path in code] + kept
    body = body[: deps.start(2)] + "".join(f"{line}\n" for line in lines) + body[deps.end(2) :]
    return text[: start.end()] + body + (text[end.start() :] if end else "")
