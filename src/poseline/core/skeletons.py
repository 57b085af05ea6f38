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


@dataclass(frozen=True)
class Skeleton:
    """A named set of K keypoints.

    Attributes:
        name: short identifier, e.g. ``coco17``.
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


@lru_cache(maxsize=64)
def load_skeleton(name: str) -> Skeleton:
    """The skeleton of that name, or read from a YAML file where ``name`` ends in ``.yaml``.

    Raises:
        ValueError: unknown name, or a file that breaks the format (wrong counts, unknown keypoint in a pair).

    >>> load_skeleton("coco17").num_keypoints
    17
    >>> load_skeleton("coco17").keypoints[9]
    'left_wrist'
    """
    if name.endswith((".yaml", ".yml")):
        path = find_upward(name)
        if path is None:
            raise ValueError(f"{name}: no such skeleton file. Give a path to a YAML file or one of {list_skeletons()}.")
        text = path.read_text(encoding="utf-8")
    elif name in list_skeletons():
        text = (resources.files("poseline.core") / "skeletons" / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise ValueError(f"unknown skeleton '{name}'. Choose one of {list_skeletons()} or give a path to a YAML file.")
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
        ValueError: the text breaks the format.
    """
    raw = yaml.safe_load(text)
    if not isinstance(raw, dict) or not isinstance(raw.get("keypoints"), list):
        raise ValueError(f"{source}: expected a mapping with 'name' and a list 'keypoints'")
    names = tuple(str(keypoint) for keypoint in raw["keypoints"])
    if len(set(names)) != len(names):
        raise ValueError(f"{source}: keypoint names are not unique")
    sigmas = tuple(float(sigma) for sigma in raw.get("sigmas", [0.05] * len(names)))
    if len(sigmas) != len(names):
        raise ValueError(f"{source}: {len(sigmas)} sigmas for {len(names)} keypoints")

    def position(keypoint: str | int) -> int:
        if isinstance(keypoint, int) and 0 <= keypoint < len(names):
            return keypoint
        if keypoint not in names:
            raise ValueError(f"{source}: '{keypoint}' is not among its keypoints")
        return names.index(str(keypoint))

    return Skeleton(
        name=str(raw.get("name", source)),
        keypoints=names,
        flip_pairs=tuple((position(a), position(b)) for a, b in raw.get("flip_pairs", [])),
        edges=tuple((position(a), position(b)) for a, b in raw.get("edges", [])),
        sigmas=sigmas,
        groups={key: tuple(position(k) for k in members) for key, members in raw.get("groups", {}).items()},
        aliases={str(key): str(value) for key, value in raw.get("aliases", {}).items()},
    )


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
