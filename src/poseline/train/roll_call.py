"""The roll call of a training on several nodes: who is there, whether all are in the same state, and which number each has."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from poseline.errors import BackendError, ConfigError, PoselineError
from poseline.progress import duration, note
from poseline.train.interrupt import Interrupt
from poseline.train.node_facts import Facts, describe_differences, differences
from poseline.train.wire import Channel, ForeignError, LostError, Message, Plan, listen

EVERY_S = 30.0
"""Between two lines about whom a node waits for."""
ANSWER_S = 10.0
"""Node 0 answers sooner."""
HELLO_S = 3.0
"""A node that connects says who it is sooner; what says nothing is not waited for."""


@dataclass
class Joiner:
    """A node that has joined, as node 0 sees it.

    Attributes:
        channel: the connection to it.
        host: its name.
        place: its number under a scheduler; None: it takes the next.
        node: its number in the run, known when all are there.
        shared: whether it has node 0's disk.
    """

    channel: Channel
    host: str
    place: int | None = None
    node: int = 0
    shared: bool = False

    def describe(self) -> str:
        """Number and machine."""
        return f"node {self.node} ({self.host}, {self.channel.peer_address})" if self.node else f"{self.host} ({self.channel.peer_address})"


class Waiting:
    """Time that is left, and the lines about what is waited for."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self._seconds, self._said = seconds, time.monotonic() - EVERY_S

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return self.until - time.monotonic()

    def say(self, text: str, *, now: bool = False) -> None:
        """Say it where the last line is long enough ago."""
        if now or time.monotonic() - self._said >= EVERY_S:
            note(f"{text} (gives up in {duration(max(self.left_s, 0.0))})")
            self._said = time.monotonic()

    def describe(self) -> str:
        """How long in all."""
        return duration(self._seconds)


def call_nodes(where: tuple[str, int], facts: Facts, nodes: int, wait_s: float, interrupt: Interrupt) -> tuple[socket.socket, list[Joiner]]:
    """The nodes that join node 0 at ``where``, numbered from 1, and the socket at which later ones can be turned away.

    Raises:
        BackendError: the port is in use, or not all came in time.
        ConfigError: one that came is in another state; it was told so.
        StoppedError: a signal arrived.
    """
    listener, address, waiting, joined = listen(*where), f"{where[0]}:{where[1]}", Waiting(wait_s), list[Joiner]()
    with telling(joined, listener, when_well=False):
        while not all_there(joined, nodes):
            if interrupt.signal is not None:
                raise interrupt.error("Nothing was trained: not all nodes had joined.")
            if waiting.left_s <= 0:
                who = "nobody joined" if not joined else f"only {', '.join(one.describe() for one in joined)} joined"
                raise BackendError(
                    f"train: {who} at {address} in {waiting.describe()}: {len(joined) + 1} of {nodes} nodes are there. "
                    f"On the others run: poseline join {address}"
                )
            missing = nodes - 1 - len(joined)
            waiting.say(f"waits for {missing} of {nodes} nodes. On each run: poseline join {address}")
            if select.select([listener], [], [], 0.2)[0]:
                joiner = greet(listener.accept()[0], facts)
                if joiner is not None:
                    joined.append(joiner)
                    note(f"{joiner.describe()} joined: {len(joined) + 1} of {nodes} nodes are there")
    joined.sort(key=lambda one: nodes if one.place is None else one.place)
    for number, one in enumerate(joined, start=1):
        one.node = number
    return listener, joined


@contextmanager
def telling(joined: list[Joiner], listener: socket.socket, *, when_well: bool = True) -> Iterator[None]:
    """Tell the nodes how the block ended on node 0, and hang up; where it ended well, only if that is asked for."""
    code, text = 0, ""
    try:
        yield
    except BaseException as error:
        code = getattr(error, "exit_code", BackendError.exit_code)
        text = str(error).removeprefix("train: ") if isinstance(error, PoselineError) else type(error).__name__
        raise
    finally:
        if code or when_well:
            for one in joined:
                send_quietly(one.channel, Message(kind="ended", code=code, text=text))
                one.channel.close()
            listener.close()


@contextmanager
def present(joiner: Joiner) -> Iterator[None]:
    """Turn the loss of a node that has joined into the error of the run.

    Raises:
        BackendError: it is gone, or says what it should not.
    """
    try:
        yield
    except (TimeoutError, LostError, ForeignError) as error:
        raise BackendError(f"train: {joiner.describe()} is gone before the training began ({error or 'no answer'}).") from None


def greet(connection: socket.socket, facts: Facts) -> Joiner | None:
    """The node that has connected, if it may take part; None for what is no node.

    Raises:
        ConfigError: it is in another state; it was told so.
    """
    channel = Channel(connection)
    try:
        hello = channel.receive(HELLO_S)
    except (TimeoutError, LostError, ForeignError):
        hello = None
    if hello is None or hello.kind != "hello" or hello.facts is None:
        channel.close()
        return None
    found = differences(facts, hello.facts, any_code=hello.any_code)
    if found:
        who = f"{hello.host} ({channel.peer_address})"
        send_quietly(channel, Message(kind="refused", code=2, text=describe_differences(found, on_first=False)))
        channel.close()
        raise ConfigError(f"train: {who} cannot take part: {describe_differences(found, on_first=True)}")
    send_quietly(channel, Message(kind="accepted", text=socket.gethostname()))
    return Joiner(channel, hello.host, hello.place)


def turn_away(connection: socket.socket, nodes: int) -> str | None:
    """Tell a node that comes when all are there; who it was, or None for what is no node."""
    channel = Channel(connection)
    try:
        hello = channel.receive(HELLO_S)
        if hello.kind != "hello":
            return None
        channel.send(Message(kind="refused", code=2, text=f"all {nodes} nodes are there already. Raise train.nodes for more."))
    except (TimeoutError, LostError, ForeignError):
        return None
    else:
        return f"{hello.host} ({channel.peer_address})"
    finally:
        channel.close()


def all_there(joined: list[Joiner], nodes: int) -> bool:
    """Whether all nodes have joined; those that have gone while others were waited for are left out."""
    for one in list(joined):
        try:
            one.channel.receive(0.0)
        except TimeoutError:
            continue
        except (LostError, ForeignError):
            pass
        joined.remove(one)
        one.channel.close()
        note(f"{one.describe()} left again")
    return len(joined) == nodes - 1


def send_quietly(channel: Channel, message: Message) -> None:
    """Send to a node that may be gone."""
    with suppress(LostError):
        channel.send(message)


def report_in(where: tuple[str, int], hello: Message, wait_s: float, interrupt: Interrupt) -> tuple[Channel, Plan, Waiting]:
    """The connection to node 0, what it says when all are there, and the time that is left.

    Raises:
        BackendError: it does not answer, or the others did not come in time.
        PoselineError: it refused; of the kind that its exit code says.
        StoppedError: a signal arrived.
    """
    address, waiting = f"{where[0]}:{where[1]}", Waiting(wait_s)
    channel = connect(where, waiting, interrupt)
    try:
        channel.send(hello)
        first = channel.receive(ANSWER_S)
    except (ForeignError, TimeoutError):
        channel.close()
        raise BackendError(
            f"join: what listens at {address} is no training of poseline that waits for nodes. Check host and port."
        ) from None
    except LostError:
        channel.close()
        raise BackendError(f"join: node 0 at {address} closed the connection at once. Look at what it says.") from None
    if first.kind != "accepted":
        channel.close()
        raise ConfigError(f"join: node 0 at {address} refuses: {first.text}")
    while True:
        message = receive_while_waiting(channel, waiting, interrupt, f"is at node 0 ({first.text}, {address}); waits for the other nodes")
        if message.plan is not None:
            return channel, message.plan, waiting
        if message.kind == "ended":
            raise BackendError(f"join: node 0 ended before the training began: {message.text}")


def receive_while_waiting(channel: Channel, waiting: Waiting, interrupt: Interrupt, what: str) -> Message:
    """The next message of node 0; every 30 s a line says what is waited for.

    Raises:
        BackendError: none came in time, or node 0 is gone.
        StoppedError: a signal arrived.
    """
    while True:
        if interrupt.signal is not None:
            raise interrupt.error("Nothing was trained.", who="join")
        if waiting.left_s <= 0:
            raise BackendError(f"join: gave up after {waiting.describe()}: {what}.")
        waiting.say(what)
        try:
            return channel.receive(0.2)
        except TimeoutError:
            continue
        except (LostError, ForeignError):
            raise BackendError("join: node 0 is gone before the training began. Start it again, then join again.") from None


def connect(where: tuple[str, int], waiting: Waiting, interrupt: Interrupt) -> Channel:
    """A connection to node 0, which may be started later than this.

    Raises:
        BackendError: it does not answer in time.
        StoppedError: a signal arrived.
    """
    reason = ""
    while True:
        if interrupt.signal is not None:
            raise interrupt.error("Nothing was trained.", who="join")
        if waiting.left_s <= 0:
            raise BackendError(
                f"join: node 0 at {where[0]}:{where[1]} did not answer in {waiting.describe()} ({reason}). Start training there first: "
                "`dvc repro` or `poseline train`, with train.nodes and train.rendezvous set."
            )
        try:
            return Channel(socket.create_connection(where, timeout=min(max(waiting.left_s, 0.1), 2.0)))
        except OSError as error:
            reason = error.strerror or str(error)
        waiting.say(f"waits for node 0 at {where[0]}:{where[1]} ({reason})")
        time.sleep(0.2)
