"""How OpenMP's threads wait: set by the command line before PyTorch is loaded, unless the user chose it."""

import os
import subprocess
import sys

import pytest

from poseline.threads import SPIN_COUNT

MAIN = """
import os, sys
from poseline.cli import app, main
sys.argv = ["poseline", "--help"]
try:
    main()
except SystemExit:
    pass
print("spin", os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, SPIN_COUNT), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_spinning_is_limited_before_torch_is_loaded(chosen: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    result = subprocess.run([sys.executable, "-c", MAIN], env=environment | chosen, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == f"spin {expected} False"
