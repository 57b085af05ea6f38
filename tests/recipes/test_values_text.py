"""Values in the text of a YAML file: what is not changed stays to the byte, however the file is written."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from poseline.errors import ConfigError
from poseline.recipes.values_text import write_values

CASES = {
    "a comment behind the value": ("a:\n  b: 1   # one\n", {"a.b": 2}, "a:\n  b: 2   # one\n"),
    "four spaces": ("a:\n    b: 1\n    c:\n        d: x\n", {"a.c.d": "y"}, "a:\n    b: 1\n    c:\n        d: y\n"),
    "a list in lines": ("a:\n  b:   # some\n    - 1\n    - 2\n  c: 3\n", {"a.b": [4]}, "a:\n  b: [4]   # some\n  c: 3\n"),
    "a list without indentation": ("a:\n  b:\n  - 1\n  - 2\n# end\n", {"a.b": [4]}, "a:\n  b: [4]\n# end\n"),
    "within braces": ("a: {b: 1, c: {d: 2}}   # x\n", {"a.c.d": 3}, "a: {b: 1, c: {d: 3}}   # x\n"),
    "new within braces": ("a: {b: 1}\n", {"a.c": 3}, "a: {b: 1, c: 3}\n"),
    "new within empty braces": ("a: {}\n", {"a.c": 3}, "a: {c: 3}\n"),
    "new at the end of a section": ("a:\n  b: 1\n\n# the next\nz: 1\n", {"a.c": 2}, "a:\n  b: 1\n  c: 2\n\n# the next\nz: 1\n"),
    "new after a list in lines": ("a:\n  b:\n  - 1\nz: 1\n", {"a.c": 2}, "a:\n  b:\n  - 1\n  c: 2\nz: 1\n"),
    "new sections": ("a:\n  b: 1\n", {"a.c.d.e": 2, "a.c.f": 3, "n.m": 4}, "a:\n  b: 1\n  c:\n    d:\n      e: 2\n    f: 3\nn:\n  m: 4\n"),
    "no newline at the end": ("a:\n  b: 1", {"a.c": 2}, "a:\n  b: 1\n  c: 2"),
    "nothing there": ("a:\n  b:\n  c: 1\n", {"a.b": 2}, "a:\n  b: 2\n  c: 1\n"),
    "quoted": ("a:\n  'b': \"x: y\"   # q\n", {"a.b": "z"}, "a:\n  'b': z   # q\n"),
    "a mapping as a value": ("a:\n  b: {c: 1, d: 2}\n", {"a.b": {"e": 3}}, "a:\n  b: {e: 3}\n"),
    "a mapping in lines as a value": ("a:\n  b:\n    c: 1\n    d: 2\n  z: 1\n", {"a.b": {}}, "a:\n  b: {}\n  z: 1\n"),
    "the same value": ("a:\n  b:   1.0   # x\n", {"a.b": 1.0}, "a:\n  b:   1.0   # x\n"),
    "a key that ends as another": ("a:\n  bb: 1\n  b: 1\n", {"a.b": 2}, "a:\n  bb: 1\n  b: 2\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_only_the_values_change(name: str) -> None:
    text, values, wanted = CASES[name]
    assert write_values(text, values, source="p.yaml") == wanted


def test_an_anchor_that_another_place_uses_is_refused() -> None:
    text = "a: &one\n  b: 1\nc: *one\n"
    with pytest.raises(ConfigError, match=r"p.yaml: is written in a way .* Write the values by hand") as caught:
        write_values(text, {"c.b": 2}, source="p.yaml")
    assert "\n" not in str(caught.value)


LEAVES = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9).map(lambda value: round(value, 3)) | st.sampled_from("xyz")
VALUES = LEAVES | st.lists(LEAVES, max_size=3)
TREES = st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("defg"), VALUES, min_size=1, max_size=4), min_size=1)


@given(TREES, st.dictionaries(st.tuples(st.sampled_from("abcq"), st.sampled_from("defgr")).map(".".join), VALUES), st.sampled_from([2, 4]), st.sampled_from([None, False, True]))  # fmt: skip  # noqa: E501
def test_any_tree_takes_any_values(tree: dict[str, dict[str, object]], values: dict[str, object], indent: int, flow: bool | None) -> None:
    text = yaml.safe_dump(tree, indent=indent, default_flow_style=flow)
    wanted = {key: dict(section) for key, section in tree.items()}
    for key, value in values.items():
        section, name = key.split(".")
        wanted.setdefault(section, {})[name] = value
    written = write_values(text, values, source="p.yaml")  # type: ignore[arg-type]
    assert yaml.safe_load(written) == wanted
    assert write_values(written, values, source="p.yaml") == written  # type: ignore[arg-type]
