"""The text of params.yaml with some values and sections changed; comments and all the rest stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from poseline.config.params import Yaml

SPECIAL = ("null", "true", "false", "yes", "no", "on", "off")
"""Words that YAML does not read as text."""


def set_values(text: str, values: Mapping[str, Yaml]) -> str:
    r"""The text with other values under dotted keys, on whose lines alone they stand; what follows as a comment is kept.

    Raises:
        KeyError: a key has no line of its own.

    >>> set_values("train:\n  epochs: 10   # in all\n", {"train.epochs": 3})
    'train:\n  epochs: 3   # in all\n'
    """
    lines, left = text.splitlines(), dict(values)
    path: list[str] = []
    for number, line in enumerate(lines):
        found = re.match(r"( *)([\w-]+):(?: +|$)", line)
        if found is None:
            continue
        path = [*path[: len(found[1]) // 2], found[2]]
        key = ".".join(path)
        if key in left:
            comment = re.search(r" +# .*$", line)
            lines[number] = f"{found[1]}{found[2]}: {flow(left.pop(key))}{comment[0] if comment else ''}"
    if left:
        raise KeyError(next(iter(left)))
    return "\n".join(lines) + "\n"


def replace_section(text: str, name: str, section: str) -> str:
    """The text with another section of that name, without the old one's comment; an empty ``section`` takes it out."""
    pattern = re.compile(rf"(?:^#.*\n)*^{name}:.*\n(?:^(?: .*|)\n)*?(?=^\S|\Z)", re.MULTILINE)
    return pattern.sub(lambda _: f"{section.rstrip()}\n\n" if section else "", text, count=1)


def flow(value: Yaml) -> str:
    """A value in one line of YAML.

    >>> flow({"kind": "a: b", "wh": [1, None]})
    '{kind: "a: b", wh: [1, null]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_./][\w./-]*", value) and value.lower() not in SPECIAL
    return str(value) if plain else json.dumps(value, ensure_ascii=False)
