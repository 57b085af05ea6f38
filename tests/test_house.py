"""Rules of the house that no linter holds: sizes of files and functions, and dependencies that are declared and used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src" / "poseline"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PROVIDED = packages_distributions()

# Dependencies that other libraries import for us: mlflow's system metrics, what torch.onnx.export writes with, drivers of a team's store.
USED_INDIRECTLY = {"psutil", "onnx", "onnxscript", "boto3", "dvc-s3", "psycopg2-binary", "ruamel-yaml-clib"}
# Only these may import a package of an extra when they are loaded; elsewhere it is imported inside the function that needs it.
NEEDS_EXTRA = {
    "pipeline": ("checks", "experiments", "report"), "onnx": (), "openvino": (), "timm": (), "video": (), "supervision": (), "sweep": (),
    "team": ("checks", "experiments", "report"),
}  # fmt: skip


def source_files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


@lru_cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def test_files_are_short() -> None:
    lines = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in source_files()}
    assert {name: count for name, count in lines.items() if count > 400} == {}
    assert median(lines.values()) <= 180


def test_functions_are_short() -> None:
    lines = {}
    for path in source_files():
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                lines[f"{path.relative_to(SOURCE)}:{node.name}:{node.lineno}"] = (node.end_lineno or first) - first + 1
    assert {name: count for name, count in lines.items() if count > 60} == {}
    assert median(lines.values()) <= 15


def normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def declared(requirements: Iterable[str]) -> set[str]:
    """Names of the distributions of a list of requirements, without the project's own extras."""
    names = {normalised(re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]) for requirement in requirements}
    return names - {PROJECT["name"]}


REQUIRED = declared(PROJECT["dependencies"])
EXTRAS = {name: declared(requirements) for name, requirements in PROJECT["optional-dependencies"].items()}
DECLARED = REQUIRED.union(*EXTRAS.values())
SHIPPED = REQUIRED.union(*(names for extra, names in EXTRAS.items() if extra != "dev"))


def imported_packages(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def distributions(nodes: Iterable[ast.AST]) -> set[str]:
    """Names of the distributions that third-party imports among the nodes come from."""
    own = {"poseline", "tests", *(path.stem for folder in ("tests", "benchmarks", "tools") for path in (REPOSITORY / folder).glob("*.py"))}
    names = set(imported_packages(nodes)) - sys.stdlib_module_names - own
    # A package that several distributions hold parts of (mlflow, mlflow-skinny) counts as the declared one's.
    providers = [[normalised(one) for one in PROVIDED.get(name, [name])] for name in names]
    return {next((one for one in some if one in DECLARED), some[0]) for some in providers}


def used_in(folder: Path) -> dict[str, set[str]]:
    """Distribution -> files that import it."""
    used: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        for name in distributions(ast.walk(parse(path))):
            used.setdefault(name, set()).add(str(path.relative_to(folder)))
    return used


def test_what_the_package_imports_is_declared_and_what_is_declared_is_used() -> None:
    used = used_in(SOURCE)
    assert {name: files for name, files in used.items() if name not in SHIPPED} == {}, "imported, not in pyproject.toml"
    assert SHIPPED - used.keys() - USED_INDIRECTLY == set(), "in pyproject.toml, not imported"


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_what_tests_and_benchmarks_import_is_declared(folder: str) -> None:
    used = used_in(REPOSITORY / folder)
    assert {name: files for name, files in used.items() if name not in DECLARED} == {}


def loaded_imports(module: ast.Module) -> list[ast.AST]:
    """The statements that run when a module is imported; those for type checkers alone do not."""
    return [node for node in module.body if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If)]


@pytest.mark.parametrize("extra", sorted(NEEDS_EXTRA))
def test_a_package_of_an_extra_is_loaded_where_it_is_needed_only(extra: str) -> None:
    optional = EXTRAS[extra] - REQUIRED
    found = {str(path.relative_to(SOURCE)): optional & distributions(loaded_imports(parse(path))) for path in source_files()}
    assert {name: names for name, names in found.items() if names and name.split("/")[0] not in NEEDS_EXTRA[extra]} == {}


def test_every_extra_is_known_to_the_rules() -> None:
    assert NEEDS_EXTRA.keys() | {"dev"} == EXTRAS.keys()


def test_ci_runs_what_the_local_run_does() -> None:
    local, hosted = ((REPOSITORY / path).read_text() for path in (".ci/run", ".github/workflows/ci.yml"))
    commands = re.findall(r"^make .*|^grep .*", local, flags=re.MULTILINE)
    assert [command for command in commands if command not in hosted] == []
    assert len(commands) >= 5
