"""Weight files of other projects: read without running code, and compared with a network by name and shape."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from poseline.errors import DataError

WRAPPERS = ("state_dict", "model_state_dict", "model", "best_state_dict")
"""Keys under which training programs put the weights."""

SHOWN = 10
"""Names shown of each list in an error."""

Shape = tuple[int, ...]
Renames = tuple[tuple[str, str], ...]
"""(pattern, replacement) pairs that turn other names of parameters into ours, each applied once to every name."""

NUMPY_NUMBERS: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    np.dtype,
    np.ndarray,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32)),
    *((np._core.multiarray.scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),  # type: ignore[attr-defined]
    *((np._core.multiarray._reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),  # type: ignore[attr-defined]
]
"""Numbers and arrays of numpy, which training programs keep beside the weights: they can be read without running code."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth or .safetensors file by name, on the CPU; wrappers and a ``module.`` prefix are taken off.

    Raises:
        DataError: missing, cut short, holding Python objects besides tensors, or holding no weights.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give the path of a .pth or .safetensors file.")
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for key in WRAPPERS:
        if isinstance(raw, dict) and isinstance(raw.get(key), dict):
            raw = raw[key]
    if not isinstance(raw, dict) or not raw:
        raise DataError(
            f"{path}: expected names and tensors, got {type(raw).__name__}. Save model.state_dict() in the program that made it."
        )
    odd = next((name for name, value in raw.items() if not isinstance(value, Tensor)), None)
    if odd is not None:
        kind = type(raw[odd]).__name__
        raise DataError(f"{path}: expected only tensors, '{odd}' is {kind}. Save model.state_dict() in the program that made it.")
    state = {str(name): tensor for name, tensor in raw.items()}
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: cut short or not a safetensors file ({_one_line(error)}). Download it again.") from None


def _read_pickle(path: Path) -> object:
    try:
        # torch warns of pickle protocols other than its own; what it cannot read is an error below anyway.
        with warnings.catch_warnings(), torch.serialization.safe_globals(NUMPY_NUMBERS):
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch names the refused global ("unsupported GLOBAL posix.system"), but not in every pickle protocol.
        refused = re.search(r"GLOBAL (\S+)", str(error))
        what = refused[1] if refused else _first_global(path)
        if what is None:
            raise DataError(f"{path}: not a PyTorch checkpoint. Give a .pth or .safetensors file.") from None
        raise DataError(
            f"{path}: expected tensors only, found the Python object '{what}', which could run code; it was not loaded. "
            "Save model.state_dict() alone in the program that made it."
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cut short or not a PyTorch checkpoint ({_one_line(error)}). Download it again.") from None


def _first_global(path: Path) -> str | None:
    """The first Python object that a plain pickle refers to, read without running it; None where it is no pickle."""
    strings: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(path.read_bytes()):
            if operation.name in ("GLOBAL", "INST"):
                return str(argument).replace(" ", ".")
            if operation.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
            if isinstance(argument, str):
                strings.append(argument)
    except (ValueError, EOFError, IndexError, KeyError):
        return None
    return None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()).partition(". ")[0]
    return text if " " in text else type(error).__name__


@dataclass(frozen=True)
class StateMismatch:
    """How given weights differ from those that a network expects.

    Attributes:
        missing: names that only the network has.
        unexpected: names that only the weights have.
        shapes: name -> (shape expected, shape given) where they differ.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: Mapping[str, tuple[Shape, Shape]]

    @property
    def count(self) -> int:
        """Names that do not agree; 0 where the weights fit."""
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    def describe(self) -> str:
        """The three lists on one line, the first ten names of each."""
        shapes = [f"{name} (expected {list(own)}, got {list(given)})" for name, (own, given) in self.shapes.items()]
        lists = (("missing", self.missing), ("unexpected", self.unexpected), ("wrong shape", shapes))
        return "; ".join(f"{len(names)} {label}: {_first(names)}" for label, names in lists if names)


def _first(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f", ... ({more} more)" if more > 0 else "")


def compare_states(
    expected: Mapping[str, Shape], given: Mapping[str, Shape], *, names: Mapping[str, str] = MappingProxyType({})
) -> StateMismatch:
    """The difference of two lists of names and shapes. Counters of batch norms (absent from old files) may be missing.

    ``names`` says what to call a given name in the result.

    >>> compare_states({"a": (1,), "b": (2,)}, {"b": (3,), "c": (1,)}).describe()
    '1 missing: a; 1 unexpected: c; 1 wrong shape: b (expected [2], got [3])'
    """
    return StateMismatch(
        missing=tuple(name for name in expected if name not in given and not name.endswith("num_batches_tracked")),
        unexpected=tuple(names.get(name, name) for name in given if name not in expected),
        shapes={name: (shape, given[name]) for name, shape in expected.items() if name in given and given[name] != shape},
    )


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Name -> shape."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def rename(name: str, renames: Renames) -> str:
    """A parameter's name after all renames."""
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name, count=1)
    return name


@torch.no_grad()
def match_state(network: nn.Module, state: Mapping[str, Tensor], *, names: Mapping[str, str] = MappingProxyType({})) -> None:
    """Copy tensors into a network whose names and shapes they have.

    Args:
        network: takes the weights.
        state: tensors under the network's names.
        names: what to call a tensor in an error, where its file names it otherwise.

    Raises:
        DataError: they differ; lists missing, unexpected and wrong-shape names.
    """
    mismatch = compare_states(shapes_of(network.state_dict()), shapes_of(state), names=names)
    if mismatch.count:
        raise DataError(f"weights of another network: {mismatch.describe()}.")
    # Files of old programs lack the counters of batch norms; nothing that we do depends on their value.
    counters = {name: torch.zeros_like(own) for name, own in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict({**counters, **state})
