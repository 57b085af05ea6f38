"""The command line, called in the test's own process."""

from __future__ import annotations

import sys

import pytest

from poseline.cli import main


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of a command."""
    monkeypatch.setattr(sys, "argv", ["poseline", *arguments])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
