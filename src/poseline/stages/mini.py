"""Stage mini: draw the embedded data sets."""

from __future__ import annotations

from poseline.artifacts import Layout
from poseline.config import Params
from poseline.mini import draw_mini


def run(params: Params, layout: Layout) -> dict[str, int]:
    """Draw the sets of ``mini.sets`` into data/mini; counts of images and people."""
    return draw_mini(params.mini, layout.mini)
