"""Torchrun as a program that says in one file what went wrong: `python -m poseline.train.launcher REPORT TORCHRUN_ARGUMENTS...`.

Torchrun alone prints some fifty lines around the one that matters. The stage that started this program reads the report and says it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from poseline.train.interrupt import end_quickly, end_with_parent, signal_of_node

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

DEBUG = "POSELINE_DEBUG"
"""Environment variable that is set under --debug."""
NODE = "POSELINE_NODE"
"""Environment variable with the number of this node, for the launcher and its processes."""
SECONDARY = ("Connection closed by peer", "Connection reset by peer", "DistNetworkError", "DistBackendError", "DistStoreError", "gloo")
"""Words of errors in a process that lost another one: they follow from the other's end."""
HINTS = {
    "SIGKILL": " (as the system does when memory runs out, or from outside)",
    "SIGBUS": " (shared memory may be full)",
    "SIGSEGV": " (a crash in compiled code)",
}


class Failure(BaseModel):
    """Why the processes of a run ended.

    Attributes:
        rank: of the process that failed first; None where none did: the processes did not meet, or the launcher failed.
        pid: its process id.
        exitcode: its exit status; negative: the signal that killed it.
        error: ``Type: message`` of its exception; empty where it left none.
    """

    model_config = ConfigDict(frozen=True)

    rank: int | None = None
    pid: int = 0
    exitcode: int = 1
    error: str = ""

    def describe(self, world_size: int) -> str:
        """Who failed, and of what.

        >>> Failure(rank=1, pid=42, exitcode=-9).describe(2)
        'rank 1 of 2 (process 42) was killed by SIGKILL (as the system does when memory runs out, or from outside)'
        >>> Failure(rank=0, pid=42, error="DataError: no image").describe(2)
        'rank 0 of 2 (process 42) stopped with DataError: no image'
        """
        who = "the launcher of the processes" if self.rank is None else f"rank {self.rank} of {world_size} (process {self.pid})"
        if self.error:
            return f"{who} stopped with {self.error}"
        if self.exitcode >= 0:
            return f"{who} ended with status {self.exitcode}"
        known = self.exitcode in {-one.value for one in signal.Signals}
        name = signal.Signals(-self.exitcode).name if known else f"signal {-self.exitcode}"
        return f"{who} was killed by {name}{HINTS.get(name, '')}"


    def follows(self) -> bool:
        """Whether the processes only lost those of another node."""
        return self.rank is None or not self.error or is_secondary(self.error)


def is_secondary(error: str) -> bool:
    """Whether an error is that of a process that lost another one."""
    return any(word in error for word in SECONDARY)


def read_failure(path: Path, status: int) -> Failure:
    """The report of a launcher that ended with ``status``; where it left none, it was killed itself."""
    try:
        return Failure.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return Failure(exitcode=status)


def first_failure(failures: Mapping[int, ProcessFailure]) -> Failure:
    """The failure that the others follow from: a killed process, else an exception that is not about a lost connection, else the first."""
    found = []
    for rank, one in failures.items():
        message = one.message
        error = str(message.get("message", "")) if isinstance(message, dict) else ""
        lost = not error or is_secondary(error)
        killed = one.exitcode < 0 and one.exitcode != -signal.SIGTERM
        line = " ".join(error.split("\n\n")[0].split())
        found.append(((not killed, lost, one.timestamp, rank), Failure(rank=rank, pid=one.pid, exitcode=one.exitcode, error=line)))
    return min(found, key=lambda pair: pair[0])[1]


def main() -> None:
    """Run torchrun with the arguments after the first; a failure goes into the report that the first names."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    end_quickly()
    end_with_parent(signal_of_node(int(os.environ.get(NODE, "0"))))
    report, debug = Path(sys.argv[1]), DEBUG in os.environ
    if not debug:
        logging.disable(logging.CRITICAL)
    try:
        run.main(sys.argv[2:])
    except ChildFailedError as error:
        failure = first_failure(error.failures)
        cause: Exception = error
    except Exception as error:  # the rendezvous raises many types
        failure = Failure(error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        cause = error
    else:
        return
    report.write_text(json.dumps(failure.model_dump()), encoding="utf-8")
    if debug:
        raise cause
    sys.exit(1)


if __name__ == "__main__":
    main()
