"""The embedded default data sets, drawn from a seed: people posed as 3D skeletons in cluttered scenes, in official formats."""

from poseline.mini.sets import draw_mini

__all__ = ["draw_mini"]
