"""A hash of what code does: comments, docstrings, layout and what only type checkers read do not count."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import yaml

from poseline.core.yaml_text import parse_yaml
from poseline.errors import ConfigError

UNREAD = ("ctx", "kind", "type_comment", "type_ignores")
"""Fields that say nothing beside the others, or nothing that runs."""


def hash_file(path: Path) -> str:
    """Sixteen hex digits of a file: of a Python file's statements, of a YAML file's values, of any other file's bytes.

    Raises:
        ConfigError: Python or YAML that cannot be parsed.
    """
    content = path.read_bytes()
    try:
        if path.suffix == ".py":
            content = "\n".join(statements(ast.parse(content))).encode()
        elif path.suffix in (".yaml", ".yml"):
            content = json.dumps(parse_yaml(content), sort_keys=True, default=str).encode()
    except (SyntaxError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read ({' '.join(str(error).split())}). Fix the file.") from None
    return hashlib.sha256(content).hexdigest()[:16]


def statements(tree: ast.AST) -> list[str]:
    r"""The syntax tree as lines, the same under every version of Python: fields without a value are left out.

    >>> def same(first, second):
    ...     return statements(ast.parse(first)) == statements(ast.parse(second))
    >>> same("x = 1  # one", "'A module.'\nx = (1)"), same("x = 1", "x = 2")
    (True, False)
    """
    lines: list[str] = []
    _add(tree, lines)
    return lines


def _add(node: ast.AST, lines: list[str]) -> None:
    lines.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if value is None or value == [] or name in UNREAD:
            continue
        lines.append(f".{name}")
        for one in value if isinstance(value, list) else (value,):
            if not isinstance(one, ast.AST):
                lines.append(repr(one))
            elif not is_idle(one):
                _add(one, lines)
    lines.append("end")


def is_idle(node: object) -> bool:
    """Whether a statement does nothing when it runs: a string that stands alone, as docstrings do, or ``if TYPE_CHECKING:``."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=[]):
            return True
    return False
