"""Keypoint sets as data: names, flip pairs, edges, OKS sigmas and groups, read from YAML files.

A skeleton ships with the package (see ``skeletons/*.yaml``) or is a user's own YAML file of the same format.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float, Int

from poseline.core.yaml_text import parse_yaml


@dataclass(frozen=True)
class Skeleton:
    """A named set of K keypoints.

    Attributes:
        name: short identifier, e.g. ``coco17``; a user's own file names itself, or is named by its path.
        keypoints: the K names, in file order.
        flip_pairs: (left, right) index pairs that a flip swaps.
        edges: index pairs drawn as limbs.
        sigmas: K OKS fall-off constants (COCO's per-keypoint standard deviations).
        groups: named index tuples, e.g. ``upper``, ``lower``, ``body``, ``face``, ``hand``.
        aliases: other names under which another skeleton may know a keypoint.
    """

    name: str
    keypoints: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    groups: dict[str, tuple[int, ...]]
    aliases: dict[str, str]

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints K."""
        return len(self.keypoints)

    @property
    def sigma_array(self) -> Float[np.ndarray, " K"]:
        """The OKS sigmas as a float64 array."""
        return np.asarray(self.sigmas, dtype=np.float64)

    @property
    def flip_permutation(self) -> Int[np.ndarray, " K"]:
        """Index array p such that ``keypoints[p]`` swaps left and right."""
        permutation = np.arange(self.num_keypoints)
        for left, right in self.flip_pairs:
            permutation[[left, right]] = right, left
        return permutation

    def index(self, keypoint: str) -> int:
        """Position of a keypoint by its name or alias; -1 where the skeleton lacks it."""
        name = keypoint if keypoint in self.keypoints else self.aliases.get(keypoint, keypoint)
        return self.keypoints.index(name) if name in self.keypoints else -1


def list_skeletons() -> list[str]:
    """Names of the skeletons that ship with the package."""
    folder = resources.files("poseline.core") / "skeletons"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_skeleton(name: str) -> Skeleton:
    """The skeleton of that name, or read from a YAML file where ``name`` ends in ``.yaml``.

    Raises:
        ValueError: unknown name, no such file, or a file that breaks the format (wrong counts, unknown keypoint in a pair).

    >>> load_skeleton("coco17").num_keypoints
    17
    >>> load_skeleton("coco17").keypoints[9]
    'left_wrist'
    """
    if not name.endswith((".yaml", ".yml")):
        return _load_own(name)
    path = find_upward(name)
    if path is None:
        raise ValueError(f"{name}: no such skeleton file. Give a path to a YAML file or one of {list_skeletons()}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: cannot be read ({' '.join(str(error).split())}). Give a YAML file in UTF-8.") from None
    return parse_skeleton(text, source=name)


@lru_cache(maxsize=64)
def _load_own(name: str) -> Skeleton:
    """A skeleton that ships with the package."""
    if name not in list_skeletons():
        raise ValueError(f"unknown skeleton '{name}'. Choose one of {list_skeletons()} or give a path to a YAML file.")
    text = (resources.files("poseline.core") / "skeletons" / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_skeleton(text, source=name)


def find_upward(name: str) -> Path | None:
    """The file of that relative path here or in the nearest folder above that has it; None where there is none.

    A project names its files from its root; a command may stand in any folder of it.
    """
    here = Path.cwd()
    return next((folder / name for folder in (here, *here.parents) if (folder / name).is_file()), None)


def parse_skeleton(text: str, *, source: str) -> Skeleton:
    """A skeleton from YAML text; ``source`` names it in error messages.

    Raises:
        ValueError: the text is no YAML or breaks the format.
    """
    try:
        raw = parse_yaml(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: not YAML ({' '.join(str(error).split())}). Fix the file.") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("keypoints"), list) or not raw["keypoints"]:
        raise ValueError(f"{source}: expected a mapping with 'name' and a list 'keypoints'")
    names = tuple(str(keypoint) for keypoint in raw["keypoints"])
    if len(set(names)) != len(names):
        raise ValueError(f"{source}: keypoint names are not unique")
    flip_pairs = _pairs(raw, "flip_pairs", names, source)
    _check_sides(names, flip_pairs, source)
    return Skeleton(
        name=str(raw.get("name", source)),
        keypoints=names,
        flip_pairs=flip_pairs,
        edges=_pairs(raw, "edges", names, source),
        sigmas=_sigmas(raw.get("sigmas"), len(names), source),
        groups={
            key: tuple(_position(k, names, source) for k in _list(members, f"groups.{key}", source))
            for key, members in _mapping(raw, "groups", source).items()
        },
        aliases={key: str(value) for key, value in _mapping(raw, "aliases", source).items()},
    )


def _sigmas(given: object, count: int, source: str) -> tuple[float, ...]:
    values = [0.05] * count if given is None else _list(given, "sigmas", source)
    if len(values) != count:
        raise ValueError(f"{source}: {len(values)} sigmas for {count} keypoints")
    odd = next((value for value in values if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf), None)
    if odd is not None:
        raise ValueError(f"{source}: sigmas: expected numbers above 0, got {odd!r}")
    return tuple(float(value) for value in values if isinstance(value, int | float))


def _pairs(raw: dict[str, object], key: str, names: tuple[str, ...], source: str) -> tuple[tuple[int, int], ...]:
    """Pairs of keypoints, named or numbered."""
    pairs = []
    for pair in _list(raw.get(key) or [], key, source):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{source}: {key}: expected pairs of keypoints, got {pair!r}")
        pairs.append((_position(pair[0], names, source), _position(pair[1], names, source)))
    return tuple(pairs)


def _check_sides(names: tuple[str, ...], flip_pairs: tuple[tuple[int, int], ...], source: str) -> None:
    """Pass where a flip can be undone by another one, and joins each ``left_x`` with its ``right_x``.

    Raises:
        ValueError: a keypoint in two pairs or paired with itself, or a left one that a flip leaves or makes another's.
    """
    other = {}
    for left, right in flip_pairs:
        if left == right or left in other or right in other:
            wrong = names[left if left == right or left in other else right]
            raise ValueError(f"{source}: flip_pairs: '{wrong}' is in two pairs, or paired with itself. Name each keypoint once.")
        other[left], other[right] = right, left
    for index, name in enumerate(names):
        mirror = name.replace("left_", "right_", 1)
        if name.startswith("left_") and mirror in names and other.get(index) != names.index(mirror):
            found = f"with '{names[other[index]]}'" if index in other else "with nothing"
            raise ValueError(f"{source}: flip_pairs: '{name}' is paired {found}, not with '{mirror}': a flip would teach wrong sides.")


def _position(keypoint: object, names: tuple[str, ...], source: str) -> int:
    if isinstance(keypoint, int) and not isinstance(keypoint, bool) and 0 <= keypoint < len(names):
        return keypoint
    if str(keypoint) not in names:
        raise ValueError(f"{source}: '{keypoint}' is not among its keypoints")
    return names.index(str(keypoint))


def _list(value: object, key: str, source: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{source}: {key}: expected a list, got {value!r}")
    return value


def _mapping(raw: dict[str, object], key: str, source: str) -> dict[str, object]:
    value = raw.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{source}: {key}: expected a mapping, got {value!r}")
    return {str(name): item for name, item in value.items()}


def map_keypoints(source: Skeleton, target: Skeleton) -> Int[np.ndarray, " K_target"]:
    """For each target keypoint its index in the source, -1 where the source lacks it; matched by name or alias.

    >>> map_keypoints(load_skeleton("coco17"), load_skeleton("mpii16"))[:7].tolist()
    [16, 14, 12, 11, 13, 15, -1]
    """
    indices = []
    for keypoint in target.keypoints:
        index = source.index(keypoint)
        if index < 0:
            alias = next((other for other, own in target.aliases.items() if own == keypoint and source.index(other) >= 0), None)
            index = source.index(alias) if alias is not None else -1
        indices.append(index)
    return np.asarray(indices, dtype=np.int64)
