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

import yaml

from poseline.errors import ArtifactError
from poseline.kinds import Kinds

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
    import grimp

    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in seen or (module.startswith(STORE) and not (start.endswith(".report") and module in (STORE, IDENTITY))):
            continue
        seen.add(module)
        parent = module.rpartition(".")[0]
        waiting += [name for name in graph.find_modules_directly_imported_by(module) if name.startswith(PACKAGE)]
        waiting += [*named_modules(module, graph.modules), *([parent] if parent else [])]
    return frozenset(seen)


def named_modules(module: str, modules: Iterable[str]) -> list[str]:
    """Modules that a module runs by name: the kinds that it loads, and those that it starts as programs."""
    from importlib.util import find_spec

    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return []
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="load" | "load_class")) if name.isupper():
                kinds = find_kinds(module, name)
                found += [value.partition(":")[0] for value in kinds.own.values()] if kinds is not None else []
            case ast.Call(func=ast.Name(id="launch"), args=[ast.Constant(value=str(name)), *_]) if name in set(modules):
                found.append(name)
    return found


def find_kinds(module: str, name: str) -> Kinds | None:
    """The kinds under that name in a module; None where the name is something else."""
    from importlib import import_module

    value = getattr(import_module(module), name, None)
    return value if isinstance(value, Kinds) else None


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
    """The file of a module."""
    path = source.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def write_code(text: str, source: Path) -> str:
    """The text of dvc.yaml with the code of every stage that runs a command of ours among its deps; the rest stays as it is.

    Raises:
        ArtifactError: no DVC pipeline, or a stage without ``deps``.
    """
    stages = (yaml.safe_load(text) or {}).get("stages")
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
