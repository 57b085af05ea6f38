"""The process that writes a project's records into the experiment store, so that no stage loads MLflow or waits for it.

The first stage that finds none starts it. It serves every stage of the project: it sends what a running one has written every ten seconds
and an ended record at once, and ends when there was nothing to do for a while. A stage rings (touches a file) when its record begins and
when it has ended; what went wrong when the store was last tried stands in a file that stages read. There is one process a store: its lock
says that it lives.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from poseline.artifacts import Layout, write_json
from poseline.config import MlflowConfig
from poseline.errors import PoselineError
from poseline.experiments.mirror import Mirror
from poseline.experiments.record import Frozen, RecordFolder, now_ms, pending_records
from poseline.experiments.store import StoreLostError, one_line, store_address

INTERVAL_S = 10.0
"""A running stage's record is sent so often."""
RETRY_S = 60.0
"""A store that is away is left alone for so long."""
LINGER_S = 15.0
"""So long the process waits for the next stage; a pipeline's stages follow one another in less."""
POLL_S = 0.1


class Order(Frozen):
    """What the process is told: the store, and the project's main checkout."""

    config: MlflowConfig
    root: Path


class Fault(Frozen):
    """What went wrong when the store was last tried, when that was, and whether the store was away."""

    time_ms: int
    reason: str
    lost: bool


@dataclass(frozen=True)
class Post:
    """Where stages and the process that serves them meet: files in the project's cache."""

    folder: Path
    address: str

    @classmethod
    def of(cls, order: Order) -> Post:
        """That of a project and a store."""
        return cls(Layout(order.root).cache / "mirror", store_address(order.config))

    def file(self, kind: str) -> Path:
        """A file for that store and this machine; several may share the folder."""
        return self.folder / f"{hashlib.sha256(f'{self.address} {socket.gethostname()}'.encode()).hexdigest()[:12]}.{kind}"

    def ring(self) -> None:
        """Tell the process to look."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file("bell").touch()

    def rung_at(self) -> int:
        """When it was rung last, in nanoseconds; 0 for never."""
        try:
            return self.file("bell").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def take(self) -> int | None:
        """The lock of the one process that serves, as a file descriptor; None where one does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.file("lock"), os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def read_fault(self) -> Fault | None:
        """What went wrong when the store was last tried; None where nothing did."""
        try:
            return Fault.model_validate_json(self.file("fault").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def write_fault(self, reason: str, *, lost: bool) -> None:
        """Say what went wrong just now."""
        write_json(self.file("fault"), {"time_ms": now_ms(), "reason": reason, "lost": lost})

    def clear_fault(self) -> None:
        """Say that nothing is wrong."""
        self.file("fault").unlink(missing_ok=True)


def ensure(order: Order) -> None:
    """Ring, and start the process where none serves."""
    post = Post.of(order)
    post.ring()
    lock = post.take()
    if lock is not None:
        try:
            spawn(order, lock)
        finally:
            os.close(lock)


def spawn(order: Order, lock: int) -> None:
    """Start the process, which inherits the lock.

    It outlives the stage and holds none of its other files: who waits for the stage's output does not wait for it.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "poseline.experiments.sender", str(lock)], cwd=order.root, pass_fds=[lock], start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdin is not None
    with child.stdin as pipe:
        pipe.write(order.model_dump_json().encode())
    _STARTED.append(child)


_STARTED: list[subprocess.Popen[bytes]] = []


def serve(order: Order, lock: int | None) -> None:
    """Send records until there was nothing to do for a while, or the store is away and no stage runs.

    Args:
        order: what to serve.
        lock: that of :meth:`Post.take`; it is closed.
    """
    post = Post.of(order)
    while lock is not None:
        try:
            Service(order, post).run()
        finally:
            os.close(lock)
        # A stage that rang just before has found the lock taken and started no other process.
        waits = post.read_fault() is None and own_records(post, Layout(order.root))
        lock = post.take() if waits else None


def own_records(post: Post, layout: Layout) -> list[RecordFolder]:
    """Records for this store that it does not hold in whole, but for those of stages that run on other machines."""
    waiting = [(folder, folder.read_progress()) for folder in pending_records(layout)]
    ours = [folder for folder, progress in waiting if progress is not None and progress.store == post.address]
    return [folder for folder in ours if folder.is_here() or not folder.may_run()]


class Service:
    """The work of the process while it holds the lock."""

    def __init__(self, order: Order, post: Post) -> None:
        """Nothing is reached yet."""
        self._order, self._post, self._layout = order, post, Layout(order.root)
        self._mirror: Mirror | None = None

    def run(self) -> None:
        """Send what there is, again at every ring and in every interval."""
        heard, due, busy_at, running = -1, 0.0, time.monotonic(), 0
        while self._layout.cache.is_dir():
            rung = self._post.rung_at()
            if time.monotonic() >= due or rung != heard:
                self._send(rung=rung != heard)
                due = time.monotonic() + (RETRY_S if self._mirror is None else INTERVAL_S)
                running = sum(folder.may_run() for folder in own_records(self._post, self._layout))
                busy_at = time.monotonic() if running or rung != heard else busy_at
                heard = rung
            if not running and (self._mirror is None or time.monotonic() - busy_at >= LINGER_S):
                return
            time.sleep(POLL_S)

    def _send(self, *, rung: bool) -> None:
        """Send; what goes wrong is left for the stages to read."""
        try:
            if self._mirror is None:
                self._mirror = Mirror.open(self._order.config, self._layout)
                self._mirror.catch_up()
            elif rung:
                self._mirror.end_gone()
            self._mirror.send_all(own_records(self._post, self._layout))
            self._post.clear_fault()
        except StoreLostError as error:
            self._mirror = None
            self._post.write_fault(f"no experiment store ({error})", lost=True)
        except (PoselineError, OSError) as error:
            self._post.write_fault(f"not tracked: {error}", lost=False)


def main() -> None:
    """Serve as stdin says."""
    order = Order.model_validate_json(sys.stdin.buffer.read())
    os.nice(5)  # a training on all cores goes first
    try:
        serve(order, int(sys.argv[1]))
    except Exception as error:
        Post.of(order).write_fault(f"no experiment store (its writer failed: {one_line(error)})", lost=True)
        raise


if __name__ == "__main__":
    main()
