"""Drawn truth and results, as functions that tests call with their own sizes."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

_DRAWN = runpy.run_path(str(Path(__file__).with_name("drawn.py")))


@pytest.fixture(scope="session")
def draw_set() -> Callable:
    """``draw_set(seed, images=..., people=..., ties=..., crowds=..., detections=...)``."""
    return _DRAWN["draw_set"]


@pytest.fixture(scope="session")
def shift_results() -> Callable:
    """``shift_results(truth, results, offset)``."""
    return _DRAWN["shift_results"]
