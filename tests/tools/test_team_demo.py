"""`make team-demo`: a message where something is missing, and the demonstration itself where all is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "tools/team_demo.py"


def test_what_is_missing_is_named_in_one_line() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(DEMO.parent)!r})
import team_demo
team_demo.NEEDED = {{"no_such_module": "no-such"}}
sys.exit(team_demo.main())
"""
    environment = {**os.environ, "MOTO": "no-such-server"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert line.startswith("error: team-demo: missing: Python packages no-such (pip install no-such); moto_server (pip install ")
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demonstration() -> None:
    done = subprocess.run([sys.executable, str(DEMO)], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert "nothing runs again" in done.stdout
    assert "join: node 1, nodes 2" in done.stdout
    assert "none left RUNNING" in done.stdout
