"""Plug-ins that are files of the project: ``plugins: [my_tracker.py]`` in params.yaml.

Such a file names what it offers in ``KINDS``, a literal of the same form as the entry points of a package:
``KINDS = {"poseline.trackers": {"mine": "MyTracker"}}``. The name is read, not run: the file is imported when a kind of it is needed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from poseline.errors import ConfigError
from poseline.kinds import FileKinds, Kinds

GROUPS = (
    "poseline.backbones", "poseline.codecs", "poseline.formats", "poseline.heads", "poseline.losses", "poseline.outputs",
    "poseline.protocols", "poseline.sessions", "poseline.teachers", "poseline.trackers",
)  # fmt: skip
"""Every component that a plug-in may offer."""
EXAMPLE = 'KINDS = {"poseline.trackers": {"mine": "MyTracker"}}'


@dataclass(frozen=True)
class Plugin:
    """A plug-in file: group -> kind -> name in the file."""

    path: Path
    kinds: Mapping[str, Mapping[str, str]]


def use_plugins(listed: object, root: Path) -> None:
    """Let the kinds of the listed files be known, in place of those of an earlier list.

    Args:
        listed: what params.yaml has under ``plugins``.
        root: the project, from which the paths count.

    Raises:
        ConfigError: no list of Python files; one is missing, does not say what it offers, or its name or a kind is taken.
    """
    kinds: FileKinds = {}
    plugins = read_plugins(listed, root)
    _make_importable([plugin.path for plugin in plugins])
    for plugin in plugins:
        for group, offers in plugin.kinds.items():
            known = kinds.setdefault(group, {})
            ours = {kind for table in Kinds.tables if table.group == group for kind in table.own}
            for kind, name in offers.items():
                if kind in ours:
                    raise ConfigError(f"plugins: {plugin.path.name}: {group} '{kind}' is one of poseline's own. Rename it.")
                if kind in known:
                    raise ConfigError(f"plugins: {plugin.path.name} and {known[kind].module}.py both offer {group} '{kind}'. Rename one.")
                known[kind] = EntryPoint(kind, f"{plugin.path.stem}:{name}", group)
    Kinds.use_files(kinds)


def _make_importable(files: list[Path]) -> None:
    """Put the files' folders behind all others on Python's path; a name that another module has is an error."""
    for path in _MADE_IMPORTABLE - set(files):  # of another project, earlier in this process
        if getattr(sys.modules.get(path.stem), "__file__", None) == str(path):
            del sys.modules[path.stem]
        if str(path.parent) in sys.path:
            sys.path.remove(str(path.parent))
        _MADE_IMPORTABLE.discard(path)
    for path in files:
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        spec = find_spec(path.stem)
        if spec is None or spec.origin is None or Path(spec.origin).resolve() != path:
            taken = spec.origin if spec is not None else None
            raise ConfigError(f"plugins: {path.name}: another module has that name ({taken or 'built in'}). Rename the file.")
        _MADE_IMPORTABLE.add(path)


_MADE_IMPORTABLE: set[Path] = set()


def read_plugins(listed: object, root: Path) -> list[Plugin]:
    """The listed plug-in files with what they offer; none is imported.

    Raises:
        ConfigError: no list of Python files, or one is missing or does not say what it offers.
    """
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ConfigError(f"plugins: expected a list of Python files, got {listed!r}. For example: plugins: [my_tracker.py]")
    return [Plugin((root / name).resolve(), offered(root / name, name)) for name in listed]


def offered(path: Path, name: str) -> dict[str, dict[str, str]]:
    """What a plug-in file offers: group -> kind -> name in the file.

    Raises:
        ConfigError: the file is missing or no Python, its name is no module's, or it has no ``KINDS`` of the right form.
    """
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise ConfigError(f"plugins: {name}: expected a Python file with a name of letters, digits and _, for example my_tracker.py")
    try:
        tree = ast.parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"plugins: {name}: cannot be read ({error.strerror}). Paths count from the project.") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"plugins: {name}: not valid Python ({' '.join(str(error).split())}). Fix the file.") from None
    kinds = next((value for value in (_kinds(node) for node in tree.body) if value is not None), None)
    if kinds is None:
        raise ConfigError(f"plugins: {name}: does not say what it offers. Write, for example: {EXAMPLE}")
    unknown = next((group for group in kinds if group not in GROUPS), None)
    if unknown is not None:
        close = get_close_matches(unknown, GROUPS, n=1)
        hint = f"Write {close[0]}" if close else f"Choose one of {', '.join(GROUPS)}"
        raise ConfigError(f"plugins: {name}: no component '{unknown}'. {hint}.")
    defined = {name for node in tree.body for name in _names(node)}
    missing = next((target for group in kinds.values() for target in group.values() if target not in defined), None)
    if missing is not None:
        raise ConfigError(f"plugins: {name}: KINDS names {missing}, which the file does not define. Fix the name.")
    return kinds


def _kinds(node: ast.stmt) -> dict[str, dict[str, str]] | None:
    """The value of ``KINDS = {...}``; None where the statement is another, or the value of another form."""
    targets: Iterable[ast.expr] = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else ()
    if not any(isinstance(target, ast.Name) and target.id == "KINDS" for target in targets):
        return None
    assert isinstance(node, ast.Assign | ast.AnnAssign)
    try:
        value = ast.literal_eval(node.value) if node.value is not None else None
    except (ValueError, TypeError):
        return None
    if not isinstance(value, dict) or not all(isinstance(group, dict) for group in value.values()):
        return None
    texts = [text for key, group in value.items() for text in (key, *group, *group.values())]
    return value if all(isinstance(text, str) for text in texts) else None


def _names(node: ast.stmt) -> list[str]:
    """The names that a statement binds."""
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name for alias in names]
    return [target.id for target in ast.walk(node) if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)]
