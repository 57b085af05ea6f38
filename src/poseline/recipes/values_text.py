"""Values written into the text of a YAML file: all that is not changed stays to the byte, comments, order and spacing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from poseline.config.params import Yaml
from poseline.core.yaml_text import parse_yaml
from poseline.errors import ConfigError
from poseline.projects.params_text import flow


@dataclass(frozen=True)
class Edit:
    """A part of a text that another one takes the place of.

    Attributes:
        start: index of its first character.
        end: index after its last.
        text: the new part.
    """

    start: int
    end: int
    text: str


def write_values(text: str, values: Mapping[str, Yaml], *, source: str) -> str:
    r"""The text with these values under dotted keys; a key that is missing is added at the end of its section.

    Args:
        text: of a YAML file whose top is a mapping.
        values: dotted key to value; a mapping takes the place of what is there as a whole.
        source: names the file in errors.

    Raises:
        ConfigError: the file is written in a way that cannot be edited so (anchors, merged keys).

    >>> print(write_values("a:\n  b: 1   # one\n  c: {d: [2]}\n", {"a.b": 3, "a.c.d": 4, "a.e.f": 5}, source="x.yaml"), end="")
    a:
      b: 3   # one
      c: {d: 4}
      e:
        f: 5
    """
    wanted, top = _own_copy(parse_yaml(text)), yaml.compose(text)
    assert top is not None
    edits: list[Edit] = []
    missing: dict[tuple[str, ...], dict[str, Yaml]] = {}
    for key, value in values.items():
        *parents, leaf = key.split(".")
        node = wanted
        for name in parents:
            if not isinstance(node.get(name), dict):
                node[name] = {}
            node = node[name]
        if leaf in node and is_same(node[leaf], value):
            continue
        node[leaf] = value
        place, depth = _deepest(top, [*parents, leaf])
        if depth == len(parents) + 1:
            edits.append(_replace(text, place, leaf, value))
        else:
            _nest(missing.setdefault(tuple(parents[:depth]), {}), [*parents, leaf][depth:], value)
    # Of edits at one place the last one made comes first in the text: values, then new keys, those of inner sections before outer ones.
    inserts = [_insert(text, _deepest(top, list(path))[0], path, missing[path]) for path in sorted(missing, key=len)]
    for edit in sorted([*inserts, *edits], key=lambda one: one.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    try:
        same = parse_yaml(text) == wanted
    except yaml.YAMLError:
        same = False
    if not same:
        raise ConfigError(f"{source}: is written in a way that cannot be edited here (anchors, merged keys). Write the values by hand.")
    return text


def _own_copy(tree: Any) -> Any:
    """The tree with nothing in two places, as anchors leave it."""
    if isinstance(tree, dict):
        return {key: _own_copy(value) for key, value in tree.items()}
    return [_own_copy(value) for value in tree] if isinstance(tree, list) else tree


def is_same(one: Yaml, other: Yaml) -> bool:
    """Whether two values are one; true and 1 are not.

    >>> is_same(1, 1.0), is_same(1, True)
    (True, False)
    """
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _deepest(top: yaml.Node, path: list[str]) -> tuple[yaml.Node, int]:
    """The mapping that holds the last key of the path (or the deepest that there is of its parents), and how many keys were found."""
    node, depth = top, 0
    while depth < len(path):
        child = _find(node, path[depth])
        if child is None:
            return node, depth
        depth += 1
        if depth < len(path):
            if not isinstance(child[1], yaml.MappingNode):
                return node, depth - 1
            node = child[1]
    return node, depth


def _find(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((name, value) for name, value in pairs if name.value == key), None)


def _replace(text: str, node: yaml.Node, key: str, value: Yaml) -> Edit:
    """Another value in the place of that of a key; a comment behind it stays."""
    found = _find(node, key)
    assert found is not None
    name, old = found
    if isinstance(old, yaml.CollectionNode) and not old.flow_style:
        colon = text.index(":", name.end_mark.index) + 1
        line_end = text.find("\n", colon)
        return Edit(colon, _last(old), f" {flow(value)}{text[colon:line_end].rstrip()}")
    empty = old.start_mark.index == old.end_mark.index
    return Edit(old.start_mark.index, old.end_mark.index, f"{' ' * (empty and text[old.start_mark.index - 1] == ':')}{flow(value)}")


def _insert(text: str, node: yaml.Node, path: tuple[str, ...], tree: Mapping[str, Yaml]) -> Edit:
    """New keys at the end of a mapping."""
    inner = _find(node, path[-1]) if path else None
    mapping = inner[1] if inner is not None else node
    if not isinstance(mapping, yaml.MappingNode) or mapping.flow_style:
        end = mapping.end_mark.index - 1
        start = ", " if mapping.value else ""
        return Edit(end, end, start + ", ".join(f"{key}: {flow(value)}" for key, value in tree.items()))
    end = text.find("\n", _last(mapping))
    end = len(text) if end < 0 else end
    return Edit(end, end, "".join(f"\n{line}" for line in _block(tree, mapping.start_mark.column)))


def _block(tree: Mapping[str, Yaml], indent: int) -> list[str]:
    """Lines of a tree of new keys."""
    lines = []
    for key, value in tree.items():
        if isinstance(value, _Section):
            lines += [f"{' ' * indent}{key}:", *_block(value, indent + 2)]
        else:
            lines.append(f"{' ' * indent}{key}: {flow(value)}")
    return lines


class _Section(dict[str, Yaml]):
    """New keys below a new key, told from a mapping that is a value."""


def _nest(tree: dict[str, Yaml], path: list[str], value: Yaml) -> None:
    for name in path[:-1]:
        inner = tree.setdefault(name, _Section())
        assert isinstance(inner, dict)
        tree = inner
    tree[path[-1]] = value


def _last(node: yaml.Node) -> int:
    """Index after the last character of a node, without the comments and empty lines behind it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return max(_last(last[1]), last[0].end_mark.index) if isinstance(last, tuple) else _last(last)
    end: int = node.end_mark.index
    return end
