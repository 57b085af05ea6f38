"""`poseline recipe use`: a recipe's values in a project's params.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import write_text
from poseline.config import Params, load_params, parse_params
from poseline.config.params import Yaml
from poseline.core.yaml_text import parse_yaml
from poseline.recipes.catalogue import Recipe
from poseline.recipes.values_text import is_same, write_values

UNSET = "not set"


@dataclass(frozen=True)
class Change:
    """One value that a recipe changed.

    Attributes:
        key: dotted.
        before: the value in the file; :data:`UNSET` where the file had none.
        after: the value now.
    """

    key: str
    before: Yaml
    after: Yaml


def use_recipe(recipe: Recipe, path: Path, *, write: bool = True) -> list[Change]:
    """Write the values of a recipe into a parameter file; those that changed.

    Raises:
        ConfigError: the file cannot be read, is not valid, or cannot be edited.
    """
    load_params(path)
    text = path.read_text(encoding="utf-8")
    raw, values = parse_yaml(text), recipe.values()
    # A value that the file leaves to the default, and that the recipe leaves there too, is not written.
    default = Params.model_validate({"data": raw["data"]})
    values = {key: value for key, value in values.items() if look_up(raw, key) != UNSET or look_up(default, key) != value}
    changed = [Change(key, before, value) for key, value in values.items() if not is_same(before := look_up(raw, key), value)]
    after = write_values(text, values, source=str(path))
    parse_params(parse_yaml(after), source=str(path))
    if write and after != text:
        write_text(path, after)
    return changed


def look_up(tree: object, key: str) -> Yaml:
    """The plain value under a dotted key of raw or of typed parameters; :data:`UNSET` where there is none."""
    node: object = tree.model_dump(mode="json", by_alias=True) if isinstance(tree, Params) else tree
    for name in key.split("."):
        if not isinstance(node, dict) or name not in node:
            return UNSET
        node = node[name]
    return node  # type: ignore[return-value]
