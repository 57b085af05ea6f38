"""The newest checkpoint of a run among nodes with a disk each: found, and brought to all before training begins."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poseline.artifacts import file_hash, write_text
from poseline.errors import ArtifactError, BackendError
from poseline.progress import note, warn
from poseline.train.checkpoint import checkpoint_file, previous_file, read_file
from poseline.train.roll_call import Joiner, present
from poseline.train.wire import Channel, ForeignError, LostError, Message, Saved

MARK = "node0"
ANSWER_S = 600.0
"""A node reads its checkpoint, or sends it, in less."""


def settle(folder: Path) -> Saved | None:
    """The newest checkpoint in a run's folder that can be read, which is then the file that is read first; None where there is none.

    A damaged one that a readable one follows is overwritten, and that is said.
    """
    newest = checkpoint_file(folder)
    for file in (newest, previous_file(newest)):
        if not file.is_file():
            continue
        try:
            progress, _ = read_file(file)
        except ArtifactError as error:
            warn(str(error))
            continue
        if file != newest:
            file.replace(newest)
        return Saved(epoch=progress.epoch, step=progress.step, size=newest.stat().st_size, digest=file_hash(newest))
    return None


def count_others(folder: Path) -> int:
    """How many unfinished runs of other parameters, data or code keep checkpoints beside this run's folder."""
    return len({one.parent for one in folder.parent.glob("*/*.pt") if one.parent != folder})


@contextmanager
def marked(folder: Path) -> Iterator[str]:
    """A text in a file of the run's folder, by which another node sees that it shares this disk."""
    mark, file = uuid.uuid4().hex, folder / MARK
    write_text(file, mark)
    try:
        yield mark
    finally:
        file.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def shares_disk(folder: Path, mark: str) -> bool:
    """Whether the folder is node 0's own."""
    try:
        return (folder / MARK).read_text(encoding="utf-8") == mark
    except OSError:
        return False


def offer(channel: Channel, folder: Path, mark: str) -> bool:
    """Tell node 0, on a node that joins, which checkpoint lies here; send and take what it asks. Whether the disk is node 0's own.

    Raises:
        BackendError: node 0 is gone.
    """
    shared = shares_disk(folder, mark)
    saved = None if shared else settle(folder)
    try:
        channel.send(Message(kind="saved", saved=saved, shared=shared, code=0 if shared else count_others(folder)))
        while True:
            message = channel.receive(ANSWER_S)
            if message.kind == "want":
                with checkpoint_file(folder).open("rb") as file:
                    channel.send(Message(kind="checkpoint", saved=saved), file)
            elif message.kind == "checkpoint" and message.saved is not None:
                channel.receive_file(message.saved.size, checkpoint_file(folder))
                note(f"takes node 0's checkpoint: {message.saved.describe()}")
            elif message.kind == "start":
                return shared
            else:
                raise LostError(message.text)
    except (TimeoutError, LostError, ForeignError) as error:
        reason = str(error).removeprefix("train: ") or "it does not answer"
        raise BackendError(f"join: node 0 ended before the training began: {reason}") from None


def level(joined: list[Joiner], folder: Path) -> None:
    """Bring the newest readable checkpoint of any node to all of them, and say where it was.

    Raises:
        BackendError: a node went away meanwhile.
        ArtifactError: there are checkpoints here, but none on any node that can be read.
    """
    saved, damaged = settle(folder), checkpoint_file(folder).is_file()
    held: dict[int, Saved | None] = {}
    others = count_others(folder)
    for one in joined:
        answer = ask(one, "saved")
        held[one.node], one.shared = answer.saved, answer.shared
        others += answer.code
    best = max((one for one in joined if held[one.node] is not None), key=lambda one: _place(held[one.node]), default=None)
    if best is not None and _place(held[best.node]) > _place(saved):
        saved = fetch(best, folder)
        note(f"the newest checkpoint, {saved.describe()}, is that of {best.describe()}: taken")
    elif saved is not None:
        note(f"the newest checkpoint, {saved.describe()}, is here, on node 0")
    elif damaged:
        path = checkpoint_file(folder)
        raise ArtifactError(f"{path}: not a readable checkpoint, and no other node has one. Delete it to train from the start.")
    elif others:
        note(f"starts from nothing: no node has a checkpoint of this run, but {others} of other parameters, data or code")
    for one in joined:
        other = held[one.node]
        with present(one):
            if saved is not None and not one.shared and (other is None or other.digest != saved.digest):
                with checkpoint_file(folder).open("rb") as file:
                    one.channel.send(Message(kind="checkpoint", saved=saved), file)
            one.channel.send(Message(kind="start"))


def fetch(joiner: Joiner, folder: Path) -> Saved:
    """The checkpoint of another node, written here."""
    with present(joiner):
        joiner.channel.send(Message(kind="want"))
        message = ask(joiner, "checkpoint")
        assert message.saved is not None
        joiner.channel.receive_file(message.saved.size, checkpoint_file(folder))
        return message.saved


def ask(joiner: Joiner, kind: str) -> Message:
    """The next message of a node.

    Raises:
        BackendError: it is gone, or says something else.
    """
    with present(joiner):
        message = joiner.channel.receive(ANSWER_S)
        if message.kind != kind:
            raise LostError(message.text)
        return message


def _place(saved: Saved | None) -> tuple[int, int]:
    return (-1, -1) if saved is None else saved.place
