"""Ending early on request: a signal is noted, and the run stops where it can be continued."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import signal
import sys
import threading
from types import FrameType

from poseline.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C, what a scheduler sends before it takes the machine away, and what some of them send a while before that."""
PR_SET_PDEATHSIG = 1


class Interrupt:
    """While entered, the first of :data:`SIGNALS` is noted; a second SIGINT interrupts at once. In a thread it notes nothing.

    Attributes:
        signal: that arrived; None before.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, signal.Handlers] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {name: signal.signal(name, self._note) for name in SIGNALS}  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def error(self, saved: str, who: str = "train") -> StoppedError:
        """The error that ends the run; ``saved`` says what is on disk."""
        assert self.signal is not None
        return StoppedError(f"{who}: stopped by {self.signal.name}. {saved}", by_user=self.signal is signal.SIGINT)


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have this process get a signal when the one that started it ends, however it ends. Linux only; elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os.kill(os.getpid(), number)


def signal_of_node(node: int) -> signal.Signals:
    """What ends a node's processes with their parent: those of node 0 save first, the others have nothing to save."""
    return signal.SIGTERM if node == 0 else signal.SIGKILL


def end_quickly() -> None:
    """Have this process collect no garbage when it ends: with torch loaded that takes seconds on a busy machine, and frees nothing."""
    atexit.register(gc.freeze)
