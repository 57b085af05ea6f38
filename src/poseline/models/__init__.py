"""Networks: build one from its configuration, load published weights, save and load trained ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poseline.models.build import build_model
    from poseline.models.catalogue import list_models
    from poseline.models.saved import SavedModel, load_model, save_model
    from poseline.models.weights import import_weights, load_published

__all__ = ["SavedModel", "build_model", "import_weights", "list_models", "load_model", "load_published", "save_model"]

_HOMES = {
    "SavedModel": "saved",
    "build_model": "build",
    "import_weights": "weights",
    "list_models": "catalogue",
    "load_model": "saved",
    "load_published": "weights",
    "save_model": "saved",
}


def __getattr__(name: str) -> object:
    """The public name, imported on first use: torch is slow to load and half of the program does without it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'poseline.models' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"poseline.models.{_HOMES[name]}"), name)
