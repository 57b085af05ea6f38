"""YAML read in C gives what the parser in Python gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from poseline.core import yaml_text
from poseline.core.yaml_text import parse_yaml

REPOSITORY = Path(__file__).resolve().parents[2]
ODD = "{a: 1e-3, b: 1_000, c: on, d: 0o17, e: 12:30, f: .5, g: ~, h: 2020-01-01, i: -1e5, j: .inf, k: 'ü', l: [], m: {}, n: 0x1F}"


@pytest.mark.parametrize("text", [ODD, "", "- a\n- b: |\n    c\n", b"a: \xc3\xbc"], ids=["odd", "empty", "list", "bytes"])
def test_values_and_their_types_are_the_same(text: str | bytes) -> None:
    assert repr(parse_yaml(text)) == repr(yaml.safe_load(text))


def test_the_parser_in_c_is_used_and_reads_the_parameters_as_the_other_does() -> None:
    assert yaml_text._LOADER is not yaml.SafeLoader
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    assert repr(parse_yaml(text)) == repr(yaml.safe_load(text))


def test_an_error_quotes_the_place() -> None:
    with pytest.raises(yaml.YAMLError, match=r"line 2, column 5:\n    b: c: d"):
        parse_yaml("a: 1\nb: c: d")
