"""How many threads may run, and how those of PyTorch wait for work: set before it is loaded."""

from __future__ import annotations

import os

SPIN_COUNT = "300"
"""Rounds that an idle OpenMP thread looks for work before it sleeps.

By default it spins for milliseconds, which costs nothing on an idle machine and takes the cores from the threads that work on a busy
one. Training steps of the small network, batch 16, two threads on two cores, images/s with 0, 1 and 2 busy foreign processes: default
110, 27, 10; 100 rounds 95, 50, -; 1000 rounds 98, 45, 20; 3000 rounds 104, 38, 14; no spinning at all 84, 58, 30.
"""


def limit_spinning() -> None:
    """Let OpenMP's threads sleep soon where nothing in the environment says how they wait; processes started later inherit it."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
