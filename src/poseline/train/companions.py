"""The nodes of a run while it trains: node 0 copies its checkpoints to the others, and each hears at once when another one ends."""

from __future__ import annotations

import os
import select
import shutil
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from poseline.errors import PoselineError
from poseline.progress import note
from poseline.train.checkpoint import checkpoint_file
from poseline.train.interrupt import Interrupt
from poseline.train.roll_call import Joiner, send_quietly, turn_away
from poseline.train.wire import Channel, ForeignError, LostError, Message, Saved

LOOK_S = 0.2
"""Between two looks for a new checkpoint."""
FIRST_CAUSE_S = 3.0
"""What ended another node, and with it this one's processes, is known sooner."""
LAST_WORDS_S = 15.0
"""Node 0 saves, and says so, in less."""


def ignore(host: str, values: dict[str, float]) -> None:
    """Keep no load of other machines."""


@dataclass(frozen=True)
class Trouble:
    """Why a run cannot go on, as another node says it.

    Attributes:
        text: who, and what happened.
        code: exit code of that node.
        signal: that it got; None: it ended by an error, or is gone.
    """

    text: str
    code: int = 3
    signal: str | None = None


class Companions:
    """The other nodes, as node 0 sees them. The first trouble of any of them is kept.

    Args:
        joined: the nodes.
        listener: where late ones knock; None: there are no other nodes.
        folder: of the run's checkpoints.
        keep_load: receives the load of a node's machine, by its host.
    """

    def __init__(
        self,
        joined: list[Joiner],
        listener: socket.socket | None,
        folder: Path,
        keep_load: Callable[[str, dict[str, float]], None] = ignore,
    ) -> None:
        self.joined, self._keep_load = joined, keep_load
        self.trouble: Trouble | None = None
        self._listener, self._folder, self._over = listener, folder, threading.Event()
        self._lock = threading.Lock()
        newest = checkpoint_file(folder)
        self._copied = newest.stat().st_mtime_ns if newest.is_file() else 0  # all have it since the roll call
        self._copier = threading.Thread(target=self._copy, daemon=True)

    def __enter__(self) -> Companions:
        for one in self.joined:
            threading.Thread(target=self._hear, args=(one,), daemon=True).start()
        threading.Thread(target=self._turn_away, daemon=True).start()
        self._copier.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._copier.join()
        if error is not None:
            self._copy_once()  # what the first process saved when it ended

    def first_cause(self) -> Trouble | None:
        """The trouble of another node, which may follow in a moment where this one's processes have just lost it."""
        until = time.monotonic() + FIRST_CAUSE_S
        while self.joined and self.trouble is None and time.monotonic() < until:
            time.sleep(0.05)
        return self.trouble

    def stopped(self) -> bool:
        """Whether the processes of this node should end."""
        return self.trouble is not None

    def _note(self, trouble: Trouble) -> None:
        with self._lock:
            if self.trouble is None and not self._over.is_set():
                self.trouble = trouble

    def _hear(self, one: Joiner) -> None:
        try:
            while (message := one.channel.receive()).kind == "load":
                self._keep_load(one.host, message.values)
        except (LostError, ForeignError):
            return self._note(Trouble(f"{one.describe()} is gone"))
        if message.kind == "stop":
            return self._note(Trouble(f"stopped by {message.text} on {one.describe()}", signal=message.text))
        if message.code:
            return self._note(Trouble(f"{one.describe()}: {message.text}", code=message.code))
        return None

    def _copy(self) -> None:
        """Send each new checkpoint to the nodes that have a disk of their own."""
        while not self._over.wait(LOOK_S):
            self._copy_once()

    def _copy_once(self) -> None:
        try:
            with checkpoint_file(self._folder).open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_mtime_ns == self._copied:
                    return
                self._copied = status.st_mtime_ns
                saved = Saved(epoch=0, step=0, size=status.st_size, digest="")
                for one in self.joined:
                    if not one.shared:
                        file.seek(0)
                        one.channel.send(Message(kind="checkpoint", saved=saved), file)
        except (FileNotFoundError, LostError):  # none yet, or the run is over; the thread that hears says who is gone
            return

    def _turn_away(self) -> None:
        """Refuse what comes when all are there, and say so."""
        while self._listener is not None and not self._over.is_set():
            try:
                if not select.select([self._listener], [], [], LOOK_S)[0]:
                    continue
                who = turn_away(self._listener.accept()[0], len(self.joined) + 1)
            except (OSError, ValueError):  # closed meanwhile
                return
            if who is not None:
                note(f"{who} wanted to join and was refused: all {len(self.joined) + 1} nodes are there")


class Membership:
    """Node 0, as a node that joined sees it: its checkpoints are written to the own disk, and its end is kept.

    Args:
        channel: to node 0.
        folder: of the run's checkpoints; None: it is node 0's own.
        interrupt: a signal that it notes is passed on to node 0, whose first process saves.
    """

    def __init__(self, channel: Channel, folder: Path | None, interrupt: Interrupt) -> None:
        self.ended: Message | None = None
        self.gone = self._warned = False
        self._channel, self._folder, self._interrupt = channel, folder, interrupt
        self._told: float | None = None
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def trouble(self) -> bool:
        """Whether the processes of this node should end: node 0 has ended, or a signal was passed on to it and it does not end."""
        if self._interrupt.signal is not None and self._told is None:
            self._told = time.monotonic()
            send_quietly(self._channel, Message(kind="stop", text=self._interrupt.signal.name))
        late = self._told is not None and time.monotonic() - self._told > LAST_WORDS_S
        return self.gone or late or (self.ended is not None and self.ended.code != 0)

    def say_end(self, code: int, text: str) -> None:
        """Tell node 0 how the processes of this node ended."""
        send_quietly(self._channel, Message(kind="ended", code=code, text=text))

    def send_load(self, values: dict[str, float]) -> None:
        """Tell node 0 the load of this machine."""
        send_quietly(self._channel, Message(kind="load", values=values))

    def last_words(self, seconds: float) -> Message | None:
        """How node 0 ended, waited for so long; None where it does not say it."""
        self._thread.join(seconds)
        return self.ended

    def _hear(self) -> None:
        try:
            while self.ended is None:
                message = self._channel.receive()
                if message.kind == "checkpoint" and message.saved is not None:
                    self._keep(message.saved)
                elif message.kind == "ended":
                    self.ended = message
        except (LostError, ForeignError):
            self.gone = True
        if self.ended is not None and self.ended.code == 0 and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _keep(self, saved: Saved) -> None:
        """Write a copy; where the disk is full, say so once and go on."""
        assert self._folder is not None, "node 0 copies nothing to its own disk"
        try:
            self._channel.receive_file(saved.size, checkpoint_file(self._folder))
        except PoselineError as error:
            if not self._warned:
                note(f"warning: {error} The run goes on without a copy of its checkpoints here.")
            self._warned = True
