"""Messages between the nodes of a training run: a JSON object a line over TCP, some followed by the bytes of a file."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from poseline.artifacts import atomic_file
from poseline.errors import ArtifactError, BackendError, ConfigError
from poseline.train.node_facts import Facts

LONGEST_LINE = 1 << 24
SILENT_S = 60
"""A machine that acknowledges nothing for so long is taken to be gone."""


class Frozen(BaseModel):
    """Base of what is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Saved(Frozen):
    """A checkpoint: finished epochs, finished steps of the next, its size in bytes, and its digest."""

    epoch: int
    step: int
    size: int
    digest: str

    @property
    def place(self) -> tuple[int, int]:
        """What a newer checkpoint has more of."""
        return self.epoch, self.step

    def describe(self) -> str:
        """How far, in words.

        >>> Saved(epoch=2, step=31, size=9, digest="").describe()
        '2 epochs and 31 steps'
        """
        return f"{self.epoch} epochs" + (f" and {self.step} steps" if self.step else "")


class Plan(Frozen):
    """What a node is told once all are there.

    Attributes:
        node: its number; node 0 owns the run.
        nodes: how many there are.
        port: on node 0, at which the processes meet.
        run: name of the folder of the run's checkpoints.
        mark: a text in a file of that folder on node 0: a node that finds it on its own disk shares that disk.
        params: node 0's parameters, YAML.
    """

    node: int
    nodes: int
    port: int
    run: str
    mark: str
    params: str


class Message(Frozen):
    """One message; which fields it has depends on its kind.

    ``hello`` (joiner): facts, host, place, any_code. ``accepted``: text. ``refused``: text, code. ``plan``: plan. ``saved`` (answer to
    it): saved, shared, code (how many unfinished runs of other parameters). ``want``: the checkpoint is asked for. ``checkpoint``: saved,
    and its bytes follow. ``start``. ``load`` (joiner): values of its machine. ``ended``: code and text of a node's end. ``stop`` (joiner):
    text is the signal.
    """

    kind: Literal["hello", "accepted", "refused", "plan", "saved", "want", "checkpoint", "start", "load", "ended", "stop"]
    text: str = ""
    code: int = 0
    facts: Facts | None = None
    host: str = ""
    place: int | None = None
    any_code: bool = False
    plan: Plan | None = None
    saved: Saved | None = None
    shared: bool = False
    values: dict[str, float] = {}


class LostError(Exception):
    """The other side is gone."""


class ForeignError(Exception):
    """The other side does not speak this protocol."""


class Channel:
    """A connection to another node. Any thread may send; one receives.

    Attributes:
        own_address: of this machine, as the connection uses it.
        peer_address: of the other machine.
    """

    def __init__(self, connection: socket.socket) -> None:
        """The channel of a connected socket."""
        self._socket, self._buffer, self._lock = connection, b"", threading.Lock()
        self.own_address, self.peer_address = str(connection.getsockname()[0]), str(connection.getpeername()[0])
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, SILENT_S // 10 - 1)):
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)

    def send(self, message: Message, file: IO[bytes] | None = None) -> None:
        """Send a message, and the bytes of an open file after it.

        Raises:
            LostError: the other side is gone.
        """
        with self._lock:
            try:
                self._socket.sendall(message.model_dump_json(exclude_defaults=True).encode() + b"\n")
                if file is not None:
                    self._socket.sendfile(file)
            except OSError as error:
                raise LostError(error.strerror or str(error)) from None

    def receive(self, seconds: float | None = None) -> Message:
        """The next message; waits for it so many seconds, or for ever.

        Raises:
            TimeoutError: none came.
            LostError: the other side is gone.
            ForeignError: what came is no message.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._buffer:
            if len(self._buffer) > LONGEST_LINE:
                raise ForeignError("a line without an end")
            try:
                ready, _, _ = select.select([self._socket], [], [], None if until is None else max(until - time.monotonic(), 0.0))
            except (OSError, ValueError):  # closed by another thread
                raise LostError("the connection was closed") from None
            if not ready:
                raise TimeoutError
            self._buffer += self._read(1 << 16)
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return Message.model_validate_json(line)
        except ValidationError:
            raise ForeignError(line[:40].decode(errors="replace")) from None

    def receive_file(self, size: int, target: Path) -> None:
        """The bytes that follow a message, as a file; it appears whole or not at all.

        Raises:
            LostError: the other side is gone before the end.
            ArtifactError: it cannot be written; the bytes are read all the same, and the next message can be.
        """
        try:
            with atomic_file(target) as temporary, temporary.open("wb") as stream:
                while size:
                    part = self._part(size)
                    size -= len(part)
                    stream.write(part)
        except ArtifactError:
            while size:
                size -= len(self._part(size))
            raise

    def close(self) -> None:
        """End the connection; a thread that receives is told."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _part(self, size: int) -> bytes:
        """Some of the next bytes, at most so many."""
        if not self._buffer:
            return self._read(min(size, 1 << 20))
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        return part

    def _read(self, count: int) -> bytes:
        try:
            part = self._socket.recv(count)
        except OSError as error:
            raise LostError(str(error)) from None
        if not part:
            raise LostError("the connection was closed")
        return part


def parse_address(text: str | None, key: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; an IPv6 address stands in brackets.

    >>> parse_address("node0:29500", "train.rendezvous"), parse_address("[::1]:29500", "train.rendezvous")
    (('node0', 29500), ('::1', 29500))

    Raises:
        ConfigError: it is none.
    """
    host, _, port = (text or "").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or any(one.isspace() for one in host):
        raise ConfigError(f"{key}: expected HOST:PORT of the first node, such as 10.0.0.1:29500, got '{text or ''}'.")
    return host, int(port)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        BackendError: the port is in use, or the address is not of this machine.
    """
    where = f"train.rendezvous: {host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise BackendError(f"{where}: {error.strerror or error}. Give a name or address of this machine.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise BackendError(f"{where} is in use by another process. Choose another port, or end that process.") from None
        if error.errno == errno.EACCES:
            raise BackendError(f"{where}: {error.strerror}. Choose a port above 1023.") from None
        raise BackendError(
            f"{where} is no address of this machine ({error.strerror}). `poseline train` runs on the machine that it names; on the others "
            f"run: poseline join {host}:{port}"
        ) from None
    return listener


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])


def interface_of(address: str) -> str | None:
    """The name of the network interface that has this IPv4 address; None where that cannot be told."""
    if sys.platform != "linux" or ":" in address:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, 0x8915, struct.pack("256s", name.encode()[:15]))  # SIOCGIFADDR
            except OSError:  # it has no address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
