"""Multi-person pose estimation and tracking: ``load`` a network, call it with images, iterate over videos.

Names are imported when they are first used, so that ``import poseline`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poseline.core.skeletons import Skeleton, load_skeleton
    from poseline.errors import PoselineError
    from poseline.pose.poses import PoseSet
    from poseline.pose.predictor import PosePredictor, VideoFrame, load

__version__ = "0.1.0"
__all__ = ["PosePredictor", "PoseSet", "PoselineError", "Skeleton", "VideoFrame", "__version__", "load", "load_skeleton"]

_PLACES = {
    "PosePredictor": "poseline.pose.predictor",
    "PoseSet": "poseline.pose.poses",
    "PoselineError": "poseline.errors",
    "Skeleton": "poseline.core.skeletons",
    "VideoFrame": "poseline.pose.predictor",
    "load": "poseline.pose.predictor",
    "load_skeleton": "poseline.core.skeletons",
}


def __getattr__(name: str) -> object:
    """A public name of the package, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module 'poseline' has no attribute '{name}'")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
